//! From a resolved config to a trained and pruned network.

use std::path::Path;

use secateur::data::LoadProgress;
use secateur::error::OptionError;
use secateur::network::layout::{Layout, ParamSpec};
use secateur::network::model::InputSpec;
use secateur::network::model_file::ModelFile;
use secateur::plugins::registry::Registered;
use secateur::training::{Kept, Observer, Run};
use serde_json::Map;
use toml::Value;

use super::Workbench;
use super::device::{Work, on_device};
use super::notes::{self, Telling};
use crate::config::{ConfigError, ConfigErrors, Content, Resolved};
use crate::failure::Failure;

/// Refuses a network whose parameters alone are more than this machine's memory, where the system says how much that is:
/// the program would be ended without a word.
fn room_for(layout: &Layout) -> Result<(), Failure> {
    let numbers = |spec: &ParamSpec| spec.shape.iter().map(|size| *size as f64).product::<f64>();
    let count: f64 = layout.params.iter().map(numbers).sum();
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    match total.map(|kilobytes| kilobytes * 1024.0) {
        Some(memory) if count * 4.0 > memory => Err(Failure::Failed(format!(
            "the network has {count:.0} parameters, which take {:.0} GB, and this machine has {:.0} GB of memory\n  fix: choose smaller \
             sizes in the section [model]",
            count * 4e-9,
            memory * 1e-9
        ))),
        _ => Ok(()),
    }
}

/// A checkpoint to go on from.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// The file that it was read from, for errors.
    pub file: &'a Path,
    /// The content of that file.
    pub bytes: &'a [u8],
    /// The name under which it was taken.
    pub name: &'a str,
    /// What it keeps of another run's plugins, where it is another run's.
    pub kept: Option<Kept>,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The final metrics.
    pub summary: Map<String, serde_json::Value>,
    /// The pruned network, as safetensors.
    pub model: Vec<u8>,
}

impl Workbench {
    /// Loads the data, trains, prunes and measures, from a checkpoint on where one is given. The observer is told every
    /// event, and `loading` how far loading the data has come.
    ///
    /// # Errors
    /// Whatever ends the run early.
    pub fn train<O: Observer + Send>(
        &self,
        config: &Resolved,
        from: Option<Checkpoint<'_>>,
        observer: &mut O,
        loading: fn(&mut O, Option<LoadProgress>),
    ) -> Result<Trained, Failure> {
        on_device((&config.run.top, config.run.train.bits), Training { bench: self, config, from, observer, loading })
    }

    /// The config, and with it the content of the data and of the weights that it names, where these are read from
    /// files: they are read now, and kept for the run.
    ///
    /// # Errors
    /// They are not there, or not what they should be.
    pub fn identified(&self, config: Resolved, progress: &mut dyn FnMut(LoadProgress)) -> Result<Resolved, Failure> {
        let choice = &config.run.data;
        let source = self.registry.data(&choice.name, &choice.options)?;
        let given = self.given(&config.run.init).map_err(|error| refused(&error, None, &config))?;
        let init = given.map(|given| given.weights.sha256.clone());
        let mut data = None;
        if source.files().is_some() {
            let digest = self.data.digest(&self.registry, choice, progress);
            data = Some(digest.map_err(|error| refused(&error, None, &config))?.to_string());
        }
        Ok(config.on_content(Content { data, init }))
    }

    fn train_on<B: Registered, O: Observer>(
        &self,
        device: B,
        config: &Resolved,
        from: Option<Checkpoint<'_>>,
        observer: &mut O,
        loading: fn(&mut O, Option<LoadProgress>),
    ) -> Result<Trained, Failure> {
        let (registry, told) = (&self.registry, &config.run);
        loading(observer, None);
        let data = self.data.dataset(registry, &told.data, told.seeds(), &mut |some| loading(observer, Some(some)));
        let data = data.map_err(|error| refused(&error, from, config))?;
        let examples = self.data.examples(registry, &told.data, told.seeds().data, &mut |_| ());
        let examples = examples.map_err(|error| refused(&error, from, config))?;
        let mut idle = self.idle(config);
        idle.extend(notes::of_data(told, &examples, registry)?);
        let mut observer = Telling::new(observer, config, idle);
        let under = |section: &'static str| move |error: secateur::Error| refused(&error.under(section), from, config);
        let run = Run {
            name: config.name().to_owned(),
            device,
            seeds: told.seeds(),
            data: &data,
            model: registry.model(&told.model.name, &told.model.options).map_err(under("model"))?,
            criterion: registry.criterion(&told.criterion.name, &told.criterion.options).map_err(under("criterion"))?,
            schedule: registry.schedule(&told.schedule.name, &told.schedule.options).map_err(under("schedule"))?,
            compressor: registry
                .compressor(&told.compressor.name, &told.compressor.options)
                .map_err(under("compressor"))?,
            prune: told.prune.clone(),
            grow: told.grow.clone(),
            train: told.train.clone(),
            given: self.given(&told.init).map_err(|error| refused(&error, from, config))?,
            make_criterion: &|name, options| registry.criterion(name, options),
        };
        let input = InputSpec { shape: data.shape.clone(), classes: told.train.loss.outputs(data.classes()) };
        let begun = told.prune.start_sizes(|sizes| run.model.layout(&input, sizes));
        // What is wrong with the layout itself, the run tells.
        if let Ok(layout) = begun.and_then(|sizes| run.model.layout(&input, &sizes)) {
            room_for(&layout)?;
        }
        let outcome = match from {
            None => run.execute(&mut observer),
            Some(Checkpoint { bytes, name, kept: None, .. }) => run.resume(bytes, name, &mut observer),
            Some(Checkpoint { bytes, name, kept: Some(kept), .. }) => run.fork((bytes, name), kept, &mut observer),
        };
        let outcome = outcome.map_err(|error| refused(&error, from, config))?;
        let summary = serde_json::to_value(&outcome.summary)
            .map_err(|error| Failure::Failed(format!("summary.json: {error}")))?;
        let summary = if let serde_json::Value::Object(metrics) = summary { metrics } else { Map::new() };
        let about = ModelFile::new(
            told.model.section(),
            &outcome.params,
            outcome.input,
            &data.class_names,
            &data.normalizer,
            outcome.layers,
        );
        let about = match told.network().remove("compressor") {
            Some(Value::Table(compressor)) => about.behind(compressor),
            _ => about,
        };
        Ok(Trained { summary, model: about.write(&outcome.params)? })
    }
}

/// A run that waits for its device.
struct Training<'a, O> {
    bench: &'a Workbench,
    config: &'a Resolved,
    from: Option<Checkpoint<'a>>,
    observer: &'a mut O,
    loading: fn(&mut O, Option<LoadProgress>),
}

impl<O: Observer + Send> Work for Training<'_, O> {
    type Made = Trained;

    fn on<B: Registered>(self, device: B) -> Result<Trained, Failure> {
        self.bench.train_on(device, self.config, self.from, self.observer, self.loading)
    }
}

/// Options that fit their own plugin but not the data or the network are known to be wrong only here; the config knows
/// who set them.
fn refused(error: &secateur::Error, from: Option<Checkpoint<'_>>, config: &Resolved) -> Failure {
    let errors = match (error, from) {
        (secateur::Error::Option(error), _) => vec![error.clone()],
        (secateur::Error::Options(errors), _) => errors.clone(),
        (error @ secateur::Error::Checkpoint(_), Some(checkpoint)) => {
            let fix = "start the run anew: secateur run CONFIG... --force";
            return Failure::Checkpoint(format!("{}: {error}\n  fix: {fix}", checkpoint.file.display()));
        }
        (other, _) => return other.into(),
    };
    let value = |OptionError { key, found, allowed, .. }: OptionError| {
        let origin = config.set_by(&key);
        ConfigError::Value { key, origin, found, allowed }
    };
    ConfigErrors(errors.into_iter().map(value).collect()).into()
}
