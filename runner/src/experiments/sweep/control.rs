//! Controls: what a pruned network must beat before anything is said about its criterion.

use std::collections::BTreeMap;
use std::path::Path;

use secateur::pruning::{Granularity, PruneConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml::Value;

use crate::config::{Layer, PluginChoice, Resolved, SetBy};
use crate::failure::Failure;
use crate::run::{EVENTS, SUMMARY, event_lines, read_summary};

/// One kind of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Control {
    /// A random choice of what goes, with the cell's own counts in every layer at every pruning step.
    Random,
    /// The criterion's scores, shuffled among the weights or units of each layer; the counts are the cell's own.
    Shuffled,
    /// A dense network from the start, with the sizes (or as many parameters) as the cell ended with.
    SmallDense,
    /// The same network, never pruned.
    Unpruned,
}

/// What a control needs to know of the run that it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Weights or units that were kept of each parameter or group, pruning step by pruning step.
    kept: BTreeMap<String, Vec<i64>>,
    /// Units remaining at the end, by group.
    units: BTreeMap<String, i64>,
    /// Parameters remaining at the end.
    params: i64,
}

impl Control {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Random, Self::Shuffled, Self::SmallDense, Self::Unpruned];

    /// The kind as it is written in `sweep.controls`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Shuffled => "shuffled",
            Self::SmallDense => "small-dense",
            Self::Unpruned => "unpruned",
        }
    }

    /// Whether it is a run of its own from the first step on, also where its cell leaves another run.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::SmallDense | Self::Unpruned)
    }

    /// What it changes in the config of the run that it belongs to; `None` where it would say nothing.
    pub fn layer(self, paired: &Resolved, facts: &Facts) -> Option<Layer> {
        if facts.nothing_was_pruned() {
            return None;
        }
        let pattern = paired.run.prune.granularity.is_pattern();
        let origin = SetBy::Flag(format!("control {}", self.name()));
        let mut layer = Layer::default();
        let mut set = |key: &str, value: Value| {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            layer.insert(&path, value, &origin);
        };
        match self {
            Self::Random | Self::Shuffled => {
                // A random order at the counts of a random order, and one that is shuffled, is the same run.
                if paired.run.criterion.name == "random"
                    && paired.run.growing().iter().all(|(_, grown)| is_random(grown))
                {
                    return None;
                }
                set("criterion.name", if self == Self::Random { "random" } else { "shuffled" }.into());
                if self == Self::Shuffled {
                    set("criterion.of", Value::Table(paired.run.criterion.section()));
                    // A script is the one that the cell has, wherever that lies.
                    paired.table().get("plugins").into_iter().for_each(|plugins| set("plugins", plugins.clone()));
                }
                // A pattern says itself how many weights stay of each layer.
                if !pattern {
                    set("prune.scope", "counts".into());
                    set("prune.target", "sparsity".into());
                    set("prune.multiple", Value::Integer(1));
                }
                set("prune.rounds", Value::Integer(1));
                // What grows, and where a network begins, is chosen without knowledge too.
                // Where a run leaves another one, its beginning is past.
                let begun = paired.fork_at().is_some();
                for (key, choice) in paired.run.growing().into_iter().filter(|(key, _)| !begun || *key != "grow.start")
                {
                    let anew = if key == "grow.criterion" { "-redrawn" } else { "" };
                    let name = if self == Self::Random { "random" } else { "shuffled" };
                    set(&format!("{key}.name"), format!("{name}{anew}").into());
                    if self == Self::Shuffled {
                        set(&format!("{key}.of"), Value::Table(choice.section()));
                    }
                }
            }
            Self::SmallDense | Self::Unpruned => {
                // Nothing is pruned: what is said about pruning is made alike, so that cells share these controls.
                // Random has no options.
                set("criterion.name", "random".into());
                set("schedule.name", "never".into());
                let plain = [
                    ("granularity", "weight"),
                    ("scope", "global"),
                    ("target", "sparsity"),
                    ("apply", "mask"),
                    ("reduce", "l1"),
                ];
                // A table of units' names stays there, since a layer cannot take it away, and names nothing of weights.
                let PruneConfig { granularity, table, .. } = &paired.run.prune;
                let named = *granularity == Granularity::Unit && !table.is_empty();
                let plain = plain.into_iter().filter(|(key, _)| !(named && ["granularity", "scope"].contains(key)));
                plain.for_each(|(key, value)| set(&format!("prune.{key}"), value.into()));
                ["regrow", "include_output"].into_iter().for_each(|key| set(&format!("prune.{key}"), false.into()));
                set("prune.exempt", Value::Array(Vec::new()));
                ["rounds", "multiple"].into_iter().for_each(|key| set(&format!("prune.{key}"), Value::Integer(1)));
                if paired.run.grow.is_on() {
                    let plain = [("decay", "cosine"), ("criterion.name", "gradient")];
                    plain.into_iter().for_each(|(key, value)| set(&format!("grow.{key}"), value.into()));
                    [("fraction", 0.0), ("until", 0.75)].into_iter().for_each(|(key, value)| {
                        set(&format!("grow.{key}"), Value::Float(value));
                    });
                }
            }
        }
        match self {
            Self::Random | Self::Shuffled if pattern => {}
            Self::Random | Self::Shuffled => {
                for (name, counts) in &facts.kept {
                    let path = ["prune".to_owned(), "counts".to_owned(), name.clone()];
                    layer.insert(&path, counts.clone().into(), &origin);
                }
            }
            Self::SmallDense => {
                // One key alone says how a network begins, and a layer cannot take the other away.
                let PruneConfig { granularity, start, start_params, .. } = &paired.run.prune;
                if *granularity == Granularity::Unit && start_params.is_none() {
                    for (name, units) in &facts.units {
                        let path = ["prune".to_owned(), "start".to_owned(), name.clone()];
                        layer.insert(&path, (*units).into(), &origin);
                    }
                } else if !start.is_empty() {
                    return None;
                } else {
                    set("prune.start_params", facts.params.into());
                }
            }
            Self::Unpruned => {}
        }
        Some(layer)
    }
}

fn is_random(choice: &PluginChoice) -> bool {
    choice.name.starts_with("random")
}

impl Facts {
    /// Whether there is nothing to make a control from.
    pub fn nothing_was_pruned(&self) -> bool {
        self.kept.is_empty()
    }

    /// Reads a finished run's folder.
    ///
    /// # Errors
    /// A file is damaged, or was written by a version that did not record what controls need.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let damaged = |file: &str, what: &str| {
            let path = folder.join(file);
            let fix = "remove the folder and run the sweep again, or set sweep.controls = []";
            Failure::Failed(format!("{}: {what}, so the run's controls cannot be made\n  fix: {fix}", path.display()))
        };
        let summary = read_summary(folder).map_err(|damage| damaged(damage.file, &damage.reason))?;
        let summary = Json::Object(summary.ok_or_else(|| damaged(SUMMARY, "it cannot be read"))?);
        let events = event_lines(folder)?;
        let mut facts = Self { params: summary["params_kept"].as_i64().unwrap_or(0), ..Self::default() };
        let counts = |value: &Json| value.as_object().cloned().unwrap_or_default();
        facts.units = counts(&summary["units"]).into_iter().filter_map(|(name, n)| Some((name, n.as_i64()?))).collect();
        for line in events.filter(|line| line.contains("\"prune\"")) {
            let event: Json = serde_json::from_str(&line).map_err(|_| damaged(EVENTS, "a line is damaged"))?;
            if event["event"] != "prune" {
                continue;
            }
            let kept = event["kept"].as_object().ok_or_else(|| damaged(EVENTS, "its pruning steps have no counts"))?;
            for (name, count) in kept {
                facts.kept.entry(name.clone()).or_default().extend(count.as_i64());
            }
        }
        Ok(facts)
    }
}

/// `control` of a run's summary: which kind it is, where it is one.
pub fn mark(control: Control, of: &str) -> [(String, Json); 2] {
    [("control".to_owned(), control.name().into()), ("control_of".to_owned(), of.into())]
}
