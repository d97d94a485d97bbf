//! From a resolved config to a finished run.

use std::time::Instant;

use secateur::backend::{Cpu, DeviceName};
use secateur::error::OptionError;
use secateur::options::{self, OptionSet, Table};
use secateur::plugins::registry::{Registered, Registry};
use secateur::pruning::PruneConfig;
use secateur::seed::Seed;
use secateur::training::event::Event;
use secateur::training::picture::Picture;
use secateur::training::{Observer, Run, TrainConfig};
use serde_json::Value as Json;

use super::model_file;
use super::sections::{OutputConfig, TopConfig};
use super::shelf::Shelf;
use crate::config::{ConfigError, ConfigErrors, Origin, Resolved};
use crate::failure::Failure;
use crate::program::Trained;
use crate::recorder::Recorder;
use crate::run_dir::Saved;

/// Loads the data, builds the plugins, and runs.
pub fn train(
    registry: &Registry,
    shelf: &Shelf,
    config: &Resolved,
    from: Option<&Saved>,
    recorder: &mut Recorder<'_>,
) -> Result<Trained, Failure> {
    let top: Table = config
        .table
        .iter()
        .filter(|(_, value)| !value.is_table())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let top: TopConfig = parsed(&top)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(top.threads).build();
    let threads = threads.map_err(|error| Failure::Failed(format!("threads = {}: {error}", top.threads)))?;
    let place =
        DeviceName::parse(&top.device).map_err(|allowed| Failure::Failed(format!("device: must be {allowed}")))?;
    threads.install(|| match place {
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(n) => on(secateur::backend::cuda::cuda(n)?, registry, shelf, config, &top, from, recorder),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => {
            Err(Failure::Failed(format!("device = \"{place}\": this program was built without CUDA")))
        }
        DeviceName::Cpu => on(Cpu::default(), registry, shelf, config, &top, from, recorder),
    })
}

fn on<B: Registered>(
    device: B,
    registry: &Registry,
    shelf: &Shelf,
    config: &Resolved,
    top: &TopConfig,
    from: Option<&Saved>,
    recorder: &mut Recorder<'_>,
) -> Result<Trained, Failure> {
    recorder.loading(None);
    let data = section(config, "data");
    let data = shelf.dataset(registry, &data, top.seed, &mut |some| recorder.loading(Some(some)));
    let data = data.map_err(|error| refused(&error, config))?;
    let (criterion, criterion_options) = plugin(config, "criterion");
    let (schedule, schedule_options) = plugin(config, "schedule");
    let (compressor, compressor_options) = plugin(config, "compressor");
    let (model, model_options) = plugin(config, "model");
    let under = |section: &'static str| move |error: secateur::Error| refused(error.under(section), config);
    let run = Run {
        name: config.name().to_owned(),
        device,
        seed: Seed(top.seed),
        data: &data,
        model: registry.model(&model, &model_options).map_err(under("model"))?,
        criterion: registry.criterion(&criterion, &criterion_options).map_err(under("criterion"))?,
        schedule: registry.schedule(&schedule, &schedule_options).map_err(under("schedule"))?,
        compressor: registry.compressor(&compressor, &compressor_options).map_err(under("compressor"))?,
        prune: parsed::<PruneConfig>(&section(config, "prune"))?,
        train: parsed::<TrainConfig>(&section(config, "train"))?,
        make_criterion: &|name, options| registry.criterion(name, options),
    };
    let identity = config.identity();
    let OutputConfig { pictures, .. } = parsed(&section(config, "output"))?;
    let mut observer = Recording { recorder, identity: &identity, pictures };
    let outcome = match from {
        None => run.execute(&mut observer).map_err(|error| refused(&error, config))?,
        Some(saved) => {
            run.resume(&saved.bytes, &identity, &mut observer).map_err(|error| unusable(error, saved, config))?
        }
    };
    let summary =
        serde_json::to_value(&outcome.summary).map_err(|error| Failure::Failed(format!("summary.json: {error}")))?;
    let summary = if let Json::Object(figures) = summary { figures } else { serde_json::Map::new() };
    Ok(Trained { summary, model: model_file::write(config, &outcome.params)? })
}

fn unusable(error: secateur::Error, saved: &Saved, config: &Resolved) -> Failure {
    match error {
        secateur::Error::Checkpoint(_) => Failure::Failed(format!(
            "{}: {error}\n  fix: start the run anew: secateur run CONFIG... --force",
            saved.path.display()
        )),
        other => refused(&other, config),
    }
}

/// Options that fit their own plugin but not the data or the network are known to be wrong only here; the config knows who set them.
fn refused(error: &secateur::Error, config: &Resolved) -> Failure {
    let errors = match error {
        secateur::Error::Option(error) => vec![error.clone()],
        secateur::Error::Options(errors) => errors.clone(),
        other => return other.into(),
    };
    let value = |error: OptionError| ConfigError::Value {
        origin: config.origins.get(&error.key).cloned().unwrap_or(Origin::BuiltIn),
        key: error.key,
        found: error.found,
        allowed: error.allowed,
    };
    ConfigErrors(errors.into_iter().map(value).collect()).into()
}

struct Recording<'a, 'r> {
    recorder: &'a mut Recorder<'r>,
    identity: &'a str,
    pictures: usize,
}

impl Observer for Recording<'_, '_> {
    fn event(&mut self, event: &Event) -> secateur::Result<()> {
        match event {
            Event::Step { step, .. } if !self.recorder.keeps_step(*step) => Ok(()),
            _ => self.recorder.record(event).map_err(|error| secateur::Error::Other(error.to_string())),
        }
    }

    fn should_stop(&self) -> bool {
        self.recorder.stop_asked()
    }

    fn pictures(&self) -> usize {
        self.pictures
    }

    fn picture(&mut self, picture: &Picture) -> secateur::Result<()> {
        self.recorder.picture(picture).map_err(|error| secateur::Error::Other(error.to_string()))
    }

    fn boundary(&mut self, stopping: bool, take: &dyn Fn(&str) -> secateur::Result<Vec<u8>>) -> secateur::Result<()> {
        if !self.recorder.wants_checkpoint(stopping) {
            return Ok(());
        }
        let began = Instant::now();
        let bytes = take(self.identity)?;
        self.recorder.checkpoint(began, &bytes).map_err(|error| secateur::Error::Other(error.to_string()))
    }
}

fn section(config: &Resolved, name: &str) -> Table {
    config.table.get(name).and_then(|value| value.as_table()).cloned().unwrap_or_default()
}

fn plugin(config: &Resolved, section_name: &str) -> (String, Table) {
    let mut options = section(config, section_name);
    let name = options.remove("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    (name, options)
}

fn parsed<T: OptionSet>(table: &Table) -> Result<T, Failure> {
    Ok(options::parse(table).map_err(secateur::Error::Options)?)
}
