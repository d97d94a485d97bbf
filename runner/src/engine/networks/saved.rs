//! A network that was saved, read back, and the examples that it is shown.

use std::sync::Arc;

use secateur::Error;
use secateur::data::{Dataset, Examples, Normalizer, SplitName, TestExamples};
use secateur::network::compressor::Compressor;
use secateur::network::model::Model;
use secateur::network::model_file::{ModelFile, SavedModel};
use secateur::network::params::ParamStore;
use secateur::plugins::registry::Registered;
use secateur::training::{Loss, Task};

use crate::config::Resolved;
use crate::engine::Workbench;
use crate::failure::Failure;

/// The examples that a network is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// A split of the config's data set.
    Split(SplitName),
    /// The images of the folder that the config names: one of its parts, or those of `test` where it has them, or all.
    Images(Option<SplitName>),
}

/// A network with everything that computes it.
pub struct SavedNetwork<B: Registered> {
    pub about: ModelFile,
    pub params: ParamStore<B>,
    model: Box<dyn Model<B>>,
    compressor: Box<dyn Compressor<B>>,
    loss: Loss,
}

impl<B: Registered> SavedNetwork<B> {
    /// The network without its parameters.
    pub fn task(&self) -> Task<'_, B> {
        Task { model: self.model.as_ref(), compressor: self.compressor.as_ref(), loss: self.loss }
    }

    /// The model.
    pub fn model(&self) -> &dyn Model<B> {
        self.model.as_ref()
    }
}

/// Examples, with the normalisation of the network that is shown them.
pub struct Shown {
    pub data: Dataset,
    pub split: SplitName,
    /// Whether their classes are known.
    pub labelled: bool,
}

impl Workbench {
    /// Reads the network of a config from its file.
    pub(in crate::engine) fn saved<B: Registered>(
        &self,
        device: &B,
        config: &Resolved,
        file: &[u8],
    ) -> Result<SavedNetwork<B>, Failure> {
        let (registry, run) = (&self.registry, &config.run);
        let saved = SavedModel::read(file)?;
        let about = saved.about.clone();
        let model = registry.model(&run.model.name, &run.model.options)?;
        let params = saved.params::<B>(device, model.as_ref())?;
        let compressor = registry.compressor(&run.compressor.name, &run.compressor.options)?;
        // One output is what a squared error trains, or for two classes a binary loss.
        let loss = match (run.train.loss, about.input.classes, about.classes.len()) {
            (Loss::SquaredError, 1, _) => Loss::SquaredError,
            (_, 1, 2) => Loss::Binary,
            _ => Loss::CrossEntropy,
        };
        Ok(SavedNetwork { about, params, model, compressor, loss })
    }

    /// The examples, which must be of the network's shape and classes; they are normalised as those were that it was
    /// trained on, whatever they are themselves.
    pub(in crate::engine) fn shown(
        &self,
        config: &Resolved,
        about: &ModelFile,
        which: Which,
    ) -> Result<Shown, Failure> {
        let (registry, run) = (&self.registry, &config.run);
        let failed = |error: Arc<Error>| Failure::from(&*error);
        let (data, split, labelled) = match which {
            Which::Split(split) => {
                let data = self.data.dataset(registry, &run.data, run.seeds(), &mut |_| ()).map_err(failed)?;
                ((*data).clone(), split, true)
            }
            Which::Images(part) => {
                let examples =
                    self.data.examples(registry, &run.data, run.seeds().data, &mut |_| ()).map_err(failed)?;
                let (data, labelled) = images(&examples, part, about)?;
                (data, SplitName::Test, labelled)
            }
        };
        if data.shape != about.input.shape {
            let fix = "name the data that it is for: --data DIR with images, or --set data.name=... --set data.dir=...";
            return Err(Failure::Usage(format!(
                "examples of the shape {:?} do not fit the network, which takes {:?}\n  fix: {fix}",
                data.shape, about.input.shape
            )));
        }
        if labelled && data.class_names != about.classes {
            return Err(Failure::Usage(format!(
                "the classes of \"{}\" ({}) are not those of the network ({})\n  fix: name the data that it is for: \
                 --set data.name=...",
                data.name,
                some(&data.class_names),
                some(&about.classes)
            )));
        }
        if data.split(split).is_empty() {
            let fix = "choose another: --split test";
            return Err(Failure::Usage(format!("the {split} split of \"{}\" is empty\n  fix: {fix}", data.name)));
        }
        let normalizer = Normalizer::of_channels(&about.normalization, data.split(split).values());
        Ok(Shown { data: Dataset { normalizer, ..data }, split, labelled })
    }
}

/// Images of a folder as the test split of a data set with the network's classes, and whether their classes are known:
/// those of images right in the folder are not.
fn images(examples: &Examples, part: Option<SplitName>, about: &ModelFile) -> Result<(Dataset, bool), Failure> {
    let test = match &examples.test {
        TestExamples::Own(pool) => Some(pool),
        TestExamples::Drawn { .. } => None,
    };
    let pool = match part {
        None => Some(test.unwrap_or(&examples.train)),
        Some(SplitName::Train) => Some(&examples.train),
        Some(SplitName::Validation) => examples.validation.as_ref(),
        Some(SplitName::Test) => test,
    };
    let pool = pool.ok_or_else(|| {
        let part = part.map(|part| part.to_string()).unwrap_or_default();
        Failure::Usage(format!("--split {part}: the folder has no part of this name\n  fix: leave it out"))
    })?;
    let all = pool.split(examples.shape.iter().product())?;
    let known = |name: &String| about.classes.iter().position(|class| class == name);
    let labelled = examples.class_names.len() > 1 || examples.class_names.iter().all(|name| known(name).is_some());
    let place = |name: &String| match known(name) {
        Some(class) => Ok(class as u32),
        None if !labelled => Ok(0),
        None => Err(Failure::Usage(format!(
            "the folder \"{name}\" is no class of the network: {}\n  fix: rename the folder, or give images without \
             folders",
            some(&about.classes)
        ))),
    };
    let places = examples.class_names.iter().map(place).collect::<Result<Vec<u32>, _>>()?;
    let targets = pool.targets.iter().map(|&class| places[class as usize]).collect();
    let all = all.with_targets(targets)?;
    let none = all.select(vec![])?;
    let data = Dataset {
        name: examples.name.clone(),
        shape: examples.shape.clone(),
        class_names: about.classes.clone(),
        normalizer: Normalizer::of_channels(&about.normalization, all.values()),
        train: none.clone(),
        validation: none,
        test: all,
        augment: Default::default(),
        origin: examples.origin.clone(),
    };
    Ok((data, labelled))
}

/// Names for an error: not more than a person reads.
fn some(names: &[String]) -> String {
    const MOST: usize = 10;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown}, ... {} in all", names.len()) } else { shown }
}
