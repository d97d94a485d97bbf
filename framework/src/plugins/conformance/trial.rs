//! Whole runs of plugins that are given by name, for tests of plugins together.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::network::compressor::NoCompression;
use crate::options::Table;
use crate::plugins::registry::{Registered, Registry};
use crate::pruning::{GrowConfig, PruneConfig};
use crate::training::event::Event;
use crate::training::{Observer, Outcome, Run, TrainConfig};

/// A plugin's name, and its options as TOML.
pub type Named = (&'static str, &'static str);

/// A run put together from plugins that are given by name.
///
/// ```no_run
/// # fn test(data: &secateur::data::Dataset) -> secateur::Result<()> {
/// use secateur::backend::Cpu;
/// use secateur::plugins::conformance::Trial;
/// use secateur::plugins::registry::Registry;
///
/// let trial = Trial { criterion: ("magnitude", "norm = \"l2\""), ..Trial::default() };
/// let (outcome, events) = trial.run(&Registry::linked()?, Cpu::default(), data)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Trial {
    /// All randomness comes from it.
    pub seed: u64,
    /// The network.
    pub model: Named,
    /// The criterion that decides what is pruned first.
    pub criterion: Named,
    /// The schedule that decides when, and how much.
    pub schedule: Named,
    /// The compressor in front of the network, where there is one.
    pub compressor: Option<Named>,
    /// The `[prune]` section.
    pub prune: PruneConfig,
    /// The `[grow]` section.
    pub grow: GrowConfig,
    /// The `[train]` section.
    pub train: TrainConfig,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            seed: 1,
            model: ("mlp", "hidden = [20, 10]"),
            criterion: ("magnitude", ""),
            schedule: ("never", ""),
            compressor: None,
            prune: PruneConfig::default(),
            grow: GrowConfig::default(),
            train: TrainConfig::default(),
        }
    }
}

impl Trial {
    /// Puts the run together and hands it to `go`, which may replace parts of it before it begins.
    ///
    /// # Errors
    /// A plugin that is not there or refuses its options; what `go` reports.
    pub fn with<B: Registered, T>(
        &self,
        registry: &Registry,
        device: B,
        data: &Dataset,
        go: impl FnOnce(Run<'_, B>) -> Result<T>,
    ) -> Result<T> {
        let options = |text: &str| {
            text.parse::<Table>().map_err(|e| Error::Config(format!("the options `{text}` are not TOML: {e}")))
        };
        go(Run {
            name: "trial".into(),
            device,
            seeds: self.seed.into(),
            data,
            model: registry.model(self.model.0, &options(self.model.1)?)?,
            criterion: registry.criterion(self.criterion.0, &options(self.criterion.1)?)?,
            schedule: registry.schedule(self.schedule.0, &options(self.schedule.1)?)?,
            compressor: match self.compressor {
                Some((name, text)) => registry.compressor(name, &options(text)?)?,
                None => Box::new(NoCompression {}),
            },
            prune: self.prune.clone(),
            grow: self.grow.clone(),
            train: self.train.clone(),
            given: None,
            make_criterion: &|name, options| registry.criterion(name, options),
        })
    }

    /// Runs it and keeps its events.
    ///
    /// # Errors
    /// As [`Trial::with`]; whatever ends the run.
    pub fn run<B: Registered>(
        &self,
        registry: &Registry,
        device: B,
        data: &Dataset,
    ) -> Result<(Outcome<B>, Vec<Event>)> {
        let mut log = Log::default();
        let outcome = self.with(registry, device, data, |run| run.execute(&mut log))?;
        Ok((outcome, log.0))
    }
}

/// Keeps every event of a run.
#[derive(Debug, Default)]
pub struct Log(pub Vec<Event>);

impl Observer for Log {
    fn event(&mut self, event: &Event) -> Result<()> {
        self.0.push(event.clone());
        Ok(())
    }
}
