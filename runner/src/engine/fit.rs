//! What finished runs teach: their start is made again, and looked at beside what they recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use secateur::Error;
use secateur::options::Table;
use secateur::plugins::registry::Registered;
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::training::event::Event;
use secateur::training::{Observer, Run, TrainConfig};
use secateur_bundle::autosparse::{Regression, Survivors};

use super::Workbench;
use super::device::{Work, on_device};
use crate::config::Resolved;
use crate::failure::Failure;

impl Workbench {
    /// What the criterion autosparse is fitted to, of a run: `survived` is the share of its pruning steps that each weight
    /// survived, by parameter.
    ///
    /// # Errors
    /// The data is not there; the network that the config describes is not that of `survived`.
    pub fn fit_autosparse(
        &self,
        config: &Resolved,
        survived: BTreeMap<String, Vec<f64>>,
        batches: u64,
    ) -> Result<Regression, Failure> {
        on_device((&config.run.top, config.run.train.bits), Fitting { bench: self, config, survived, batches })
    }
}

struct Fitting<'a> {
    bench: &'a Workbench,
    config: &'a Resolved,
    survived: BTreeMap<String, Vec<f64>>,
    batches: u64,
}

/// Stops a run before its first update.
struct AtStart;

impl Observer for AtStart {
    fn event(&mut self, _event: &Event) -> secateur::Result<()> {
        Ok(())
    }

    fn should_stop(&self) -> bool {
        true
    }
}

impl Work for Fitting<'_> {
    type Made = Regression;

    fn on<B: Registered>(self, device: B) -> Result<Regression, Failure> {
        let Self { bench, config, survived, batches } = self;
        let (registry, data) = (&bench.registry, &bench.data);
        let told = &config.run;
        let data = data.dataset(registry, &told.data, told.seeds(), &mut |_| ());
        let data = data.map_err(|error: Arc<Error>| Failure::from(&*error))?;
        let regression = Arc::new(Mutex::new(Regression::default()));
        let at_start = Table::from_iter([("at".to_owned(), 0.0.into())]);
        let run = Run {
            name: config.name().to_owned(),
            device,
            seeds: told.seeds(),
            data: &data,
            model: registry.model(&told.model.name, &told.model.options)?,
            criterion: Box::new(Survivors { survived, batches, regression: regression.clone() }),
            schedule: registry.schedule("one-shot", &at_start)?,
            compressor: registry.compressor(&told.compressor.name, &told.compressor.options)?,
            prune: PruneConfig::default(),
            grow: GrowConfig::default(),
            train: TrainConfig { eval_prunes: 0, ..told.train.clone() },
            given: bench.given(&told.init).map_err(|error| Failure::from(&*error))?,
            make_criterion: &|name, options| registry.criterion(name, options),
        };
        match run.execute(&mut AtStart).map(|_| ()) {
            Ok(()) | Err(Error::Stopped { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let regression = regression.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(regression.clone())
    }
}
