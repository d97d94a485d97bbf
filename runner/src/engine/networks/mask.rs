//! The mask of a saved network.

use secateur::backend::Cpu;
use secateur::information::Mask;
use secateur::network::layout::Sizes;
use secateur::network::model_file::SavedModel;
use secateur::pruning::measure::lipschitz_at_most;

use crate::engine::Workbench;
use crate::failure::Failure;

/// Which weights of a network are kept, over all of its prunable parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedMask {
    /// The parameters in the order of the bits, with the number of their weights.
    pub parameters: Vec<(String, usize)>,
    /// A bit for each weight.
    pub mask: Mask,
    /// What its Lipschitz constant is at most, where it is fully connected.
    pub lipschitz: Option<f64>,
    /// Numbers in an input.
    pub features: usize,
}

impl Workbench {
    /// Reads the mask of the network in `file`.
    ///
    /// # Errors
    /// It is no network, or that of a model that is not at hand.
    pub fn mask(&self, file: &[u8]) -> Result<SavedMask, Failure> {
        let saved = SavedModel::read(file)?;
        let (_, name) = saved.about.model.iter().find(|(key, _)| *key == "name").unzip();
        let name = name.and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let mut options = saved.about.model.clone();
        options.remove("name");
        let model = self.registry.model::<Cpu>(&name, &options)?;
        // All networks that lost as many units look alike, and which units these were stands nowhere.
        if model.layout(&saved.about.input, &Sizes::default())?.sizes() != saved.about.units {
            let fix = "run it with prune.apply = \"mask\"";
            return Err(Failure::Usage(format!(
                "units were cut out of it, so that it has no mask of them\n  fix: {fix}"
            )));
        }
        let (layers, features) = (saved.about.layers.clone(), saved.about.input.features());
        let params = saved.params(&Cpu::default(), model.as_ref())?;
        let prunable = || params.iter().filter(|param| param.spec().prunable);
        let parameters = prunable().map(|param| (param.spec().name.clone(), param.spec().shape.count())).collect();
        let keep = prunable().flat_map(|param| {
            let all = param.spec().shape.count();
            let mask = param.mask().map(|mask| mask.keep());
            (0..all).map(move |i| mask.is_none_or(|keep| keep[i]))
        });
        let lipschitz = lipschitz_at_most(&layers, &params)?;
        Ok(SavedMask { parameters, mask: Mask::new(keep), lipschitz, features })
    }
}
