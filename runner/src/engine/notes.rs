//! What a person should know of the settings of a run: those that cannot act, and who set them.

use std::collections::BTreeMap;

use secateur::Result;
use secateur::data::{DataConfig, Examples, TestExamples};
use secateur::options::{Idle, OptionSet, Table};
use secateur::plugins::registry::{Kind, Registry};
use secateur::training::event::Event;
use secateur::training::picture::Picture;
use secateur::training::{Checkpoint, Evaluation, KeptWeights, Observer};
use toml::Value;

use crate::config::{OutputConfig, Resolved, RunConfig, SEEDS, SetBy};

/// How the origin of what a control sets begins.
const CONTROL: &str = "control ";

/// A sentence, and the keys it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The keys, the idle one first.
    pub keys: Vec<String>,
    /// The sentence.
    pub text: String,
}

impl From<Idle> for Note {
    fn from(idle: Idle) -> Self {
        Self { keys: idle.keys(), text: idle.to_string() }
    }
}

/// What is set and cannot act, as far as the config alone tells.
pub fn of_config(config: &Resolved, registry: &Registry) -> Vec<Note> {
    let sections = config.table();
    let run = &config.run;
    let mut all: Vec<Idle> = Vec::new();
    all.extend(run.top.idle_beside(sections));
    all.extend(run.seeds.idle_beside(sections).iter().map(|idle| idle.under(SEEDS)));
    all.extend(run.output.idle_beside(sections).iter().map(|idle| idle.under("output")));
    all.extend(run.init.idle_beside(sections).iter().map(|idle| idle.under("init")));
    all.extend(run.fork.idle_beside(sections).iter().map(|idle| idle.under("fork")));
    all.extend(run.data.common.idle_beside(sections).iter().map(|idle| idle.under("data")));
    let data = format!("data.{}", run.data.name);
    all.extend(of_plugin(registry, Kind::Data, &run.data.name, &data, &run.data.options, sections));
    for (kind, choice) in [
        (Kind::Model, &run.model),
        (Kind::Criterion, &run.criterion),
        (Kind::Schedule, &run.schedule),
        (Kind::Compressor, &run.compressor),
    ] {
        all.extend(of_plugin(registry, kind, &choice.name, kind.name(), &choice.options, sections));
    }
    for (key, choice) in run.growing() {
        all.extend(of_plugin(registry, Kind::Criterion, &choice.name, key, &choice.options, sections));
    }
    let mut all: Vec<Note> = all.into_iter().map(Note::from).collect();
    all.extend(other_data_sets(config, registry));
    all.extend(checkpoints(config));
    all.extend(unused_libraries(config, registry));
    all
}

/// The options of a plugin, and of the plugins named in its options.
fn of_plugin(registry: &Registry, kind: Kind, name: &str, path: &str, options: &Table, sections: &Table) -> Vec<Idle> {
    let Ok(item) = registry.get(kind, name) else { return Vec::new() };
    let mut all: Vec<Idle> = item.idle(options, sections).iter().map(|idle| idle.under(path)).collect();
    for doc in item.docs().iter().filter(|doc| doc.ty.contains("PluginSpec")) {
        if let Some(Value::Table(inner)) = options.get(doc.name) {
            let mut inner = inner.clone();
            if let Some(Value::String(name)) = inner.remove("name") {
                all.extend(of_plugin(registry, kind, &name, &format!("{path}.{}", doc.name), &inner, sections));
            }
        }
    }
    all
}

/// Tables of data sets that are not the chosen one.
fn other_data_sets(config: &Resolved, registry: &Registry) -> Vec<Note> {
    let chosen = &config.run.data.name;
    let section = config.table().get("data").and_then(Value::as_table);
    let others = registry.of_kind(Kind::Data).filter(|(name, _)| name != chosen);
    let there = others.filter_map(|(name, _)| Some((name, section?.get(name)?.as_table()?)));
    there
        .filter(|(_, options)| !options.is_empty())
        .map(|(name, options)| Note {
            keys: vec![format!("data.{name}"), "data.name".to_owned()],
            text: format!(
                "data.{name} = {} does nothing here: it acts with data.name = \"{name}\", and data.name is \"{chosen}\".",
                Value::Table(options.clone())
            ),
        })
        .collect()
}

fn checkpoints(config: &Resolved) -> Option<Note> {
    let (every, epochs) = (config.run.output.checkpoint_every?, config.run.train.epochs);
    (every >= epochs).then(|| Note {
        keys: vec!["output.checkpoint_every".to_owned(), "train.epochs".to_owned()],
        text: format!(
            "output.checkpoint_every = {every} does nothing here: the run ends with epoch {epochs}, and after it there is \
             nothing to go on with."
        ),
    })
}

/// Libraries of which the config chooses no plugin.
fn unused_libraries(config: &Resolved, registry: &Registry) -> Option<Note> {
    if config.run.top.plugins.is_empty() {
        return None;
    }
    let file = |kind: Kind, name: &str| registry.get(kind, name).ok()?.origin().file.clone();
    let inner = |table: &Value| table.as_table().and_then(|t| t.get("name")).is_some();
    let growing = config.run.growing();
    let criteria = || std::iter::once(&config.run.criterion).chain(growing.iter().map(|(_, choice)| choice));
    let nested = criteria().any(|choice| choice.options.values().any(inner));
    let mut chosen = Kind::ALL.map(|kind| (kind, config.run.plugin(kind))).into_iter();
    let linked = chosen.all(|(kind, name)| file(kind, name).is_none())
        && criteria().all(|choice| file(Kind::Criterion, &choice.name).is_none());
    (!nested && linked).then(|| Note {
        keys: vec!["plugins".to_owned()],
        text: "plugins does nothing here: the config chooses no plugin of the libraries it lists.".to_owned(),
    })
}

/// What is set and cannot act on these examples.
pub fn of_data(run: &RunConfig, examples: &Examples, registry: &Registry) -> Result<Vec<Note>> {
    let choice = &run.data;
    let source = registry.data(&choice.name, &choice.options)?;
    let path = format!("data.{}", choice.name);
    let mut all: Vec<Note> = source.idle(examples).iter().map(|idle| idle.under(&path).into()).collect();
    let name = &choice.name;
    if let Some(dir) = choice.common.dir.as_ref().filter(|_| source.files().is_none()) {
        all.push(Note {
            keys: vec!["data.dir".to_owned(), "data.name".to_owned()],
            text: format!("data.dir = {dir:?} does nothing here: \"{name}\" makes its examples and reads no file."),
        });
    }
    let none = DataConfig::default().validation;
    if run.output.best && examples.validation.is_none() && choice.common.validation == none {
        all.push(Note {
            keys: vec!["output.best".to_owned(), "data.validation".to_owned()],
            text: "output.best = true does nothing here: it acts with a validation split, and data.validation is 0."
                .to_owned(),
        });
    }
    let changed = choice.common.validation != none;
    all.extend(of_seeds(run, examples, source.follows_seed()));
    if examples.validation.is_some() && changed {
        let size = f64::from(choice.common.validation);
        all.push(Note {
            keys: vec!["data.validation".to_owned(), "data.name".to_owned()],
            text: format!("data.validation = {size} does nothing here: \"{name}\" has a validation split of its own."),
        });
    }
    Ok(all)
}

/// Seeds from which nothing is drawn.
fn of_seeds(run: &RunConfig, examples: &Examples, generated: bool) -> Vec<Note> {
    let common = &run.data.common;
    let held_out = examples.validation.is_none() && common.validation != DataConfig::default().validation;
    let test = matches!(examples.test, TestExamples::Drawn { .. }) || common.test_limit.is_some();
    let drawn = common.train_limit.is_some() || common.noise > 0.0 || generated;
    let split = run.seeds.split.filter(|_| !held_out && !test).map(|seed| {
        let text = format!(
            "seeds.split = {seed} does nothing here: data.validation and data.test_limit hold out nothing that is drawn."
        );
        Note { keys: vec!["seeds.split".to_owned(), "data.validation".to_owned()], text }
    });
    let data = run.seeds.data.filter(|_| !drawn).map(|seed| {
        let text = format!(
            "seeds.data = {seed} does nothing here: \"{}\" is not generated from it, and neither data.train_limit nor \
             data.noise draws.",
            run.data.name
        );
        Note { keys: vec!["seeds.data".to_owned(), "data.name".to_owned()], text }
    });
    split.into_iter().chain(data).collect()
}

/// Stands between a run and whoever watches it: tells what is known of the settings right after the start, and of every
/// note who set the keys that it names.
pub struct Telling<'a, O> {
    to: &'a mut O,
    config: &'a Resolved,
    notes: Vec<Note>,
    /// Whether pictures were asked for, as a number other than the default, and none has come yet.
    waits: Option<usize>,
}

impl<'a, O: Observer> Telling<'a, O> {
    /// Tells `notes` to `to`.
    pub fn new(to: &'a mut O, config: &'a Resolved, notes: Vec<Note>) -> Self {
        let pictures = config.run.output.pictures;
        let waits = (pictures != 0 && pictures != OutputConfig::default().pictures).then_some(pictures);
        Self { to, config, notes, waits }
    }

    /// What a control of a sweep leaves without effect, it leaves so on purpose.
    fn tell(&mut self, step: u64, Note { keys, text }: Note) -> Result<()> {
        let by_control =
            |key: &String| matches!(self.config.set_by(key), SetBy::Flag(flag) if flag.starts_with(CONTROL));
        if keys.iter().any(by_control) {
            return Ok(());
        }
        let text = format!("{text}{}", set_by(self.config, &keys, &text));
        self.to.event(&Event::Note { step, keys, text })
    }
}

impl<O: Observer> Observer for Telling<'_, O> {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Note { step, keys, text } => {
                return self.tell(*step, Note { keys: keys.clone(), text: text.clone() });
            }
            Event::Step { step: 0, .. } => {
                if let Some(pictures) = self.waits.take() {
                    let keys = vec!["output.pictures".to_owned(), "model.name".to_owned()];
                    let text = format!(
                        "output.pictures = {pictures} does nothing here: there are no images, or the network neither \
                         reconstructs them nor merges their tokens."
                    );
                    self.tell(0, Note { keys, text })?;
                }
            }
            _ => {}
        }
        self.to.event(event)?;
        if let Event::Start { step: 0, .. } = event {
            for note in std::mem::take(&mut self.notes) {
                self.tell(0, note)?;
            }
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.to.should_stop()
    }

    fn should_leave(&self) -> bool {
        self.to.should_leave()
    }

    fn wants_checkpoint(&self) -> bool {
        self.to.wants_checkpoint()
    }

    fn validated(&mut self, found: &Evaluation, network: &dyn Fn(Table) -> Result<Vec<u8>>) -> Result<()> {
        self.to.validated(found, network)
    }

    fn pictures(&self) -> usize {
        self.to.pictures()
    }

    fn picture(&mut self, picture: &Picture) -> Result<()> {
        self.waits = None;
        self.to.picture(picture)
    }

    fn pruned(&mut self, nth: usize, kept: &mut dyn Iterator<Item = KeptWeights<'_>>) -> Result<()> {
        self.to.pruned(nth, kept)
    }

    fn boundary<'a>(&mut self, stopping: bool, take: &dyn Fn(&str) -> Result<Checkpoint<'a>>) -> Result<()> {
        self.to.boundary(stopping, take)
    }
}

/// ` (train.momentum: base.toml line 33; train.optimizer: --set)`: who set the keys, with the values that the sentence
/// does not say; nothing of keys that nobody set.
fn set_by(config: &Resolved, keys: &[String], text: &str) -> String {
    let rows: BTreeMap<String, String> = config.rows().into_iter().map(|row| (row.key, row.value)).collect();
    let part = |key: &String| {
        let origin = match config.set_by(key) {
            SetBy::BuiltIn | SetBy::Plugin { .. } => return None,
            origin => origin,
        };
        let value = rows.get(key).filter(|value| !text.contains(value.as_str()));
        Some(format!("{key}{}: {origin}", value.map(|value| format!(" = {value}")).unwrap_or_default()))
    };
    let parts: Vec<String> = keys.iter().filter_map(part).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// The sentences among the lines of `events.jsonl`.
pub fn told(lines: impl Iterator<Item = String>) -> Vec<String> {
    let note = |line: String| match serde_json::from_str(&line).ok()? {
        Event::Note { text, .. } => Some(text),
        _ => None,
    };
    lines.filter(|line| line.contains("\"note\"")).filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DataChoice, Request, SeedsConfig, TopConfig, resolve};
    use crate::engine::Workbench;
    use secateur::backend::Cpu;
    use secateur::data::{DataOrigin, Dataset, Pool};
    use secateur::training::{Run, TrainConfig};

    #[test]
    fn every_key_of_the_program_says_when_it_acts() {
        assert_eq!((TopConfig::undeclared(), OutputConfig::undeclared()), (vec![], vec![]));
        assert_eq!(SeedsConfig::undeclared(), [""; 0]);
    }

    /// Gathers notes, and stops the run before its first step.
    #[derive(Default)]
    struct Start(Vec<String>);

    impl Observer for Start {
        fn event(&mut self, event: &Event) -> Result<()> {
            if let Event::Note { text, .. } = event {
                self.0.push(text.clone());
            }
            Ok(())
        }
        fn should_stop(&self) -> bool {
            true
        }
    }

    /// A few of a batch's examples: the pruning before the first update sees one.
    fn batch_of(config: &Resolved) -> usize {
        config.run.train.batch_size.min(16)
    }

    /// Examples of the shape of a config's own: two batches of them, or as many as its masks need to change twice, and
    /// ten of each class, which some criteria ask for.
    fn stand_in(config: &Resolved) -> Dataset {
        let DataChoice { name, common, options } = &config.run.data;
        let size = options.get("size").and_then(Value::as_integer).unwrap_or(0) as usize;
        let (shape, classes) = match name.as_str() {
            "mnist" | "fashion-mnist" | "glyphs" => (vec![1, 28, 28], 10),
            "cifar10" => (vec![3, 32, 32], 10),
            "cifar100" => (vec![3, 32, 32], 100),
            "image-folder" => (vec![3, size, size], 1),
            "cubist-spiral" => (vec![2], 2),
            other => panic!("which shape has {other}?"),
        };
        let every = config.run.schedule.options.get("every").and_then(Value::as_integer).unwrap_or(100) as u64;
        let renews = config.run.grow.is_on() || config.run.prune.regrow;
        let steps = if renews { 4 * every } else { 0 };
        let batches = steps.div_ceil(config.run.train.epochs).max(2) as usize;
        let item = shape.iter().product::<usize>();
        let pool = |count: usize| {
            let values = (0..count * item).map(|i| (i * 7919 % 251) as u8).collect();
            Pool::bytes(values, (0..count).map(|i| (i % classes) as u32).collect())
        };
        let examples = Examples {
            name: name.clone(),
            shape: shape.clone(),
            class_names: (0..classes).map(|class| class.to_string()).collect(),
            train: pool((batches * batch_of(config)).max(10 * classes)),
            validation: None,
            test: TestExamples::Own(pool(1)),
            origin: DataOrigin::InMemory,
            searched: vec![],
        };
        let common = DataConfig { normalize: common.normalize.clone(), ..DataConfig::default() };
        examples.dataset(&common, 1).unwrap()
    }

    #[test]
    fn the_experiments_that_come_with_the_program_have_no_idle_settings() {
        let workbench = Workbench::new(&[]).unwrap();
        let registry = &workbench.registry;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/experiment");
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = format!("experiment/{}", path.file_stem().unwrap().to_str().unwrap());
            let config = resolve(&Request { configs: vec![name.clone()], ..Request::default() }, &workbench).unwrap();
            assert_eq!(workbench.idle(&config), [], "{name}");
            let (data, told) = (stand_in(&config), &config.run);
            let run = Run {
                name: name.clone(),
                device: Cpu::default(),
                seeds: told.seeds(),
                data: &data,
                model: registry.model(&told.model.name, &told.model.options).unwrap(),
                criterion: registry.criterion(&told.criterion.name, &told.criterion.options).unwrap(),
                schedule: registry.schedule(&told.schedule.name, &told.schedule.options).unwrap(),
                compressor: registry.compressor(&told.compressor.name, &told.compressor.options).unwrap(),
                prune: told.prune.clone(),
                grow: told.grow.clone(),
                train: TrainConfig { batch_size: batch_of(&config), ..told.train.clone() },
                given: None,
                make_criterion: &|name, options| registry.criterion(name, options),
            };
            let mut start = Start::default();
            let error = run.execute(&mut start).err().unwrap().to_string();
            assert!(error.starts_with("stopped at step 0"), "{name}: {error}");
            assert_eq!(start.0, [""; 0], "{name}");
            count += 1;
        }
        assert!(count > 20, "{count}");
    }
}
