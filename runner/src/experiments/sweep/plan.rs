//! All cells of a sweep, known before the first one runs.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::choice::Choice;
use super::control::Control;
use super::fork::Origins;
use super::grid::{self, Cell, Walked};
use super::growing::{self, Leg, Until};
use super::problems::Problems;
use super::section::{self, Sections};
use super::spec::Spec;
use crate::config::fork::FORK;
use crate::config::{ConfigError, ConfigErrors, Layer, PluginFile, Request, Resolved, Schema, Stack, names_script};
use crate::experiments::claims::Claim;
use crate::experiments::search::Search;
use crate::printable::in_one_line;

/// A person reads no more than this many problems at once.
const MOST_ERRORS: usize = 20;

/// What may be done with a combination that cannot be.
const FIX: &str = "exclude that combination, or bind the key to its plugin with [[sweep.when]]";

/// Cells with problems after which no more are looked at.
const MOST_BAD_CELLS: usize = 200;

/// The labels of all cells of a sweep, in its folder.
pub const CELLS: &str = "cells.json";

/// A sweep, planned.
#[derive(Serialize, Deserialize)]
pub struct SweepPlan {
    pub(super) stack: Arc<Stack>,
    pub(super) spec: Arc<Spec>,
    #[serde(skip)]
    pub(super) origins: Arc<Origins>,
    /// The controls of each cell, where these are not those of the section.
    pub(super) chosen: Option<Vec<Vec<Control>>>,
    /// What its cells are in a search, where they are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) leg: Option<Leg>,
    /// The cells in the order in which they run.
    pub cells: Vec<Cell>,
    /// How many cells `exclude` took away.
    #[serde(skip)]
    pub excluded: usize,
    /// What of the `[sweep]` section does nothing, in words.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// The sweep's name: that of its config.
    pub name: String,
    /// The folder that holds its run folders.
    pub folder: PathBuf,
    /// The folder that holds sweeps and runs.
    pub out: PathBuf,
}

/// The libraries that the layers and the groups among the axes name: they must be loaded before the sweep can be
/// planned.
///
/// # Errors
/// What cannot be found or read; a `[sweep]` section or a `plugins` that is not what it should be.
pub fn plugin_files(request: &Request) -> Result<Vec<PluginFile>, ConfigErrors> {
    let mut stack = Stack::load(request)?;
    match stack.take_section("sweep") {
        Some((table, origins)) => libraries(&Spec::read(table, &origins, &stack)?, &stack),
        None => stack.libraries(&[]),
    }
}

fn libraries(spec: &Spec, stack: &Stack) -> Result<Vec<PluginFile>, ConfigErrors> {
    let mut files = stack.libraries(&[])?;
    let own = |layer: &Layer| layer.table.contains_key("plugins") || names_script(layer);
    let names_some = |choice: &&Choice| choice.layers.iter().any(own);
    for choice in spec.axes.iter().flat_map(|axis| &axis.values).filter(names_some) {
        files.extend(stack.libraries(&choice.layers.iter().collect::<Vec<_>>())?);
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.path.clone()));
    Ok(files)
}

impl SweepPlan {
    /// Reads the `[sweep]` section and finds all cells.
    ///
    /// # Errors
    /// Everything that is wrong with the config, with an axis, or with the section of some cell; two cells that are the
    /// same run.
    pub fn make(request: &Request, schema: &dyn Schema) -> Result<Self, ConfigErrors> {
        let mut stack = Stack::load(request)?;
        let Some((table, origins)) = stack.take_section("sweep") else {
            return Err(refused(
                "the config has no [sweep] section",
                "name a sweep such as sweep/mnist-criteria, or set axes: --set 'sweep.axes.train.lr=[0.1, 0.01]' --set sweep.seeds=5",
            ));
        };
        let spec = Spec::read(table, &origins, &stack)?;
        if spec.axes.iter().any(|axis| axis.key == FORK) {
            // That of the run that is left: cells have their own.
            _ = stack.take_section(FORK);
        }
        let (cells, walked) = match &spec.search {
            Some(search) => (growing::corners(search, &spec, &stack, schema)?, Walked::default()),
            None => cells(&spec, &stack, schema)?,
        };
        let Some(first) = cells.first() else {
            return Err(refused("every cell is excluded", "remove a rule of sweep.exclude"));
        };
        let resolved = stack.resolve(&section::layers(&spec, &first.picks), schema)?;
        let (name, out) = (resolved.name().to_owned(), PathBuf::from(&resolved.run.output.dir));
        let (excluded, notes) = (walked.excluded, grid::idle(&spec, &walked));
        let (stack, spec, origins, chosen) = (Arc::new(stack), Arc::new(spec), Arc::default(), None);
        let leg = None;
        Ok(Self { stack, spec, origins, chosen, leg, cells, excluded, notes, folder: out.join(&name), out, name })
    }

    /// What each pruned cell is compared with.
    pub fn controls(&self) -> &[Control] {
        &self.spec.controls
    }

    /// What its runs are to show.
    pub fn claims(&self) -> &[Claim] {
        &self.spec.claims
    }

    /// The kinds of control that one of the cells is compared with now.
    pub fn kinds_of(&self, cell: usize) -> &[Control] {
        self.chosen.as_ref().map_or(&self.spec.controls, |chosen| &chosen[cell])
    }

    /// How seeds are added, where that goes on until comparisons are settled.
    pub fn until(&self) -> Option<&Until> {
        self.spec.until.as_ref()
    }

    /// The same sweep with some of its cells, and with controls of its own for each.
    pub fn part(&self, (cells, controls): (Vec<Cell>, Vec<Vec<Control>>)) -> Self {
        let (stack, spec, origins) = (Arc::clone(&self.stack), Arc::clone(&self.spec), Arc::clone(&self.origins));
        let (notes, name, folder, out) = (Vec::new(), self.name.clone(), self.folder.clone(), self.out.clone());
        let (chosen, leg) = (Some(controls), self.leg);
        Self { stack, spec, origins, cells, chosen, leg, excluded: 0, notes, name, folder, out }
    }

    /// How settings are proposed, where that goes by what earlier ones came to; the cells are then those with which the space
    /// was checked.
    pub fn search(&self) -> Option<&Search> {
        self.spec.search.as_ref()
    }

    /// What the cells are in a search, where they are of one.
    pub fn leg(&self) -> Option<Leg> {
        self.leg
    }

    /// What a cell has besides its seed.
    pub fn setting(&self, cell: &Cell) -> String {
        let mut cell = cell.clone();
        cell.picks.retain(|(axis, _)| self.spec.axes[*axis as usize].key != "seed");
        self.label(&cell)
    }

    /// The place of a cell's seed among the seeds.
    pub fn seed_place(&self, cell: &Cell) -> usize {
        let seed = cell.picks.iter().find(|(axis, _)| self.spec.axes[*axis as usize].key == "seed");
        seed.map_or(0, |(_, value)| *value as usize)
    }

    /// The whole config of a cell, with stronger layers on top, and what the run that it leaves was told.
    ///
    /// # Errors
    /// Values that contradict each other; a run that the cell cannot leave.
    pub fn resolve(&self, cell: &Cell, stronger: &[&Layer], schema: &dyn Schema) -> Result<Resolved, ConfigErrors> {
        let layers = [section::layers(&self.spec, &cell.picks).as_slice(), stronger].concat();
        self.origins.completed(self.stack.resolve(&layers, schema)?, &self.stack, schema)
    }

    /// The same of a run that leaves no other, whatever the cell does.
    ///
    /// # Errors
    /// Values that contradict each other.
    pub fn resolve_whole(
        &self,
        cell: &Cell,
        stronger: &[&Layer],
        schema: &dyn Schema,
    ) -> Result<Resolved, ConfigErrors> {
        let layers = [section::layers(&self.spec, &cell.picks).as_slice(), stronger].concat();
        self.stack.resolve(&layers, schema)?.without_fork(schema)
    }

    /// For each config of a run, the cell that it is of this sweep, by its number; `None` where it is another run.
    pub fn places<'a>(&self, configs: impl Iterator<Item = &'a Table>, schema: &dyn Schema) -> Vec<Option<usize>> {
        let cells: HashMap<u128, usize> = self.cells.iter().enumerate().map(|(at, cell)| (cell.print, at)).collect();
        configs.map(|config| cells.get(&section::print_of(config, schema)).copied()).collect()
    }

    /// The libraries that its layers and the groups among its axes name.
    ///
    /// # Errors
    /// A `plugins` that is no list of files.
    pub fn libraries(&self) -> Result<Vec<PluginFile>, ConfigErrors> {
        libraries(&self.spec, &self.stack)
    }

    /// The folder in which the sweep was planned: what its config names is found from there.
    pub fn root(&self) -> &Path {
        self.stack.root()
    }

    /// `criterion=magnitude seed=3`: what makes a cell this one.
    pub fn label(&self, cell: &Cell) -> String {
        label(&self.spec, cell)
    }

    /// One line a dimension: `criterion: contribution-rank, magnitude`.
    pub fn axes(&self) -> Vec<String> {
        let values = |axis: usize| {
            let labels: Vec<_> = self.spec.axes[axis].values.iter().map(|choice| in_one_line(&choice.label)).collect();
            let (count, shown) = (labels.len(), labels[..labels.len().min(8)].join(", "));
            let more = if count > 8 { format!(", ... ({count} values)") } else { String::new() };
            format!("{}: {shown}{more}", self.spec.axes[axis].key)
        };
        let together = |group: &Vec<usize>| group.iter().map(|axis| values(*axis)).collect::<Vec<_>>().join("  with  ");
        let for_all = self.spec.dimensions.iter().map(together);
        let for_some = self.spec.when.iter().map(|when| format!("when a condition holds, {}", together(&when.axes)));
        for_all.chain(for_some).collect()
    }
}

fn cells(spec: &Spec, stack: &Stack, schema: &dyn Schema) -> Result<(Vec<Cell>, Walked), ConfigErrors> {
    let mut sections = Sections::new(stack, spec, schema);
    let (mut cells, mut seen) = (Vec::new(), HashMap::new());
    let (mut problems, mut bad) = (Problems::new(stack, spec, schema), 0);
    let walked = grid::walk(spec, &mut sections, |cell, picked| {
        let place = || format!("in the cell: {}", label(spec, &cell));
        if problems.take(&cell.picks, picked, &place, FIX) {
            bad += 1;
            let more = bad < MOST_BAD_CELLS && problems.errors.len() < MOST_ERRORS;
            return if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        }
        match seen.insert(cell.print, cells.len()) {
            Some(twin) if problems.errors.len() < MOST_ERRORS => {
                let problem =
                    format!("two cells are the same run\n  {}\n  {}", label(spec, &cells[twin]), label(spec, &cell));
                let fix = "remove one of the values, or leave one cell out with [[sweep.exclude]]".to_owned();
                problems.errors.push(ConfigError::Sweep { key: "sweep.axes".to_owned(), origin: None, problem, fix });
            }
            _ => {}
        }
        cells.push(cell);
        ControlFlow::Continue(())
    });
    let mut errors = problems.errors;
    if let (Ok(walked), true) = (&walked, errors.is_empty()) {
        errors
            .extend(spec.claims.iter().zip(&walked.sides).filter_map(|(claim, met)| grid::without_cells(claim, *met)));
    }
    match walked {
        Err(count) => Err(refused(&format!("the axes make {count:.0} cells"), "give the axes fewer values")),
        Ok(_) if !errors.is_empty() => Err(ConfigErrors(errors)),
        Ok(walked) => Ok((cells, walked)),
    }
}

/// `criterion=magnitude seed=3`: what makes a cell this one, in one line, whatever its values are.
pub(super) fn label(spec: &Spec, cell: &Cell) -> String {
    let part = |(axis, value): &(u32, u32)| {
        let axis = &spec.axes[*axis as usize];
        format!("{}={}", axis.key, in_one_line(&axis.values[*value as usize].label))
    };
    cell.picks.iter().map(part).collect::<Vec<_>>().join(" ")
}

fn refused(problem: &str, fix: &str) -> ConfigErrors {
    let (problem, fix) = (problem.to_owned(), fix.to_owned());
    ConfigErrors(vec![ConfigError::Sweep { key: "sweep".to_owned(), origin: None, problem, fix }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;
    use crate::engine::Workbench;

    #[test]
    fn a_reader_bears_configs_that_nobody_wrote() {
        let (here, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let run = "extends = ['experiment/quickstart']\nseed = 3\n[train]\nlr = 0.05\nepochs = 20\n[data.glyphs]\n\
                   train = 100\n[prune]\ntable = { '*' = 0.5 }\n";
        let sweep = "extends = ['experiment/quickstart']\n[sweep]\nseeds = 2\ncontrols = ['random']\nzip = [['train.lr', \
                     'train.epochs']]\n[sweep.axes]\ntrain.lr = [0.1, 0.2]\ntrain.epochs = [20, 30]\n\
                     [[sweep.exclude]]\ntrain.lr = 0.1\n";
        let request = |configs: &[&str], sets: Vec<String>| Request {
            configs: configs.iter().map(|config| (*config).to_owned()).collect(),
            sets,
            root: here.path().to_owned(),
            ..Request::default()
        };
        let path = here.path().join("c.toml");
        let whole = [run, sweep].map(|text| text.as_bytes().to_vec());
        std::fs::write(&path, sweep).unwrap();
        assert_eq!(SweepPlan::make(&request(&["c.toml"], vec![]), &workbench).map(|plan| plan.cells.len()).unwrap(), 2);
        secateur_fuzz::bears_part(20, "config", &whole, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let request = request(&["c.toml"], vec![]);
            let resolved = resolve(&request, &workbench).map_or_else(|e| e.to_string(), |config| config.to_toml());
            // A cell has a name and a config of its own, and may have a control.
            let planned = |plan: SweepPlan| plan.axes().concat().len() + plan.cells.len() * 300;
            resolved.len() + SweepPlan::make(&request, &workbench).map_or_else(|e| e.to_string().len(), planned)
        });
        let sets = ["train.lr=0.1", "prune.table.'*'=[1, 2]", "criterion={name = \"random\"}", "name=a b"];
        secateur_fuzz::bears_part(20, "set", &sets.map(|set| set.as_bytes().to_vec()), |bytes| {
            let set = String::from_utf8_lossy(bytes).into_owned();
            let request = request(&["experiment/quickstart"], vec![set]);
            resolve(&request, &workbench).map_or_else(|e| e.to_string(), |config| config.to_toml()).len()
        });
    }
}
