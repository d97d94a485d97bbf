//! The weights that runs begin with, each file read once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secateur::Error;
use secateur::backend::Cpu;
use secateur::network::given::{Given, InitConfig, Weights};
use secateur::network::layout::Sizes;
use secateur::network::model_file::{self, ModelFile};

use super::Workbench;
use super::data_cache::slot;

impl Workbench {
    /// What an `[init]` section names, if it names anything.
    ///
    /// # Errors
    /// It is not there, or no file of weights; every run that asks for it is told the same.
    pub(super) fn given(&self, config: &InitConfig) -> Result<Option<Given>, Arc<Error>> {
        let Some(from) = &config.from else { return Ok(None) };
        let path = file(Path::new(from));
        let read = slot(&self.weights, path.clone());
        let read = read.get_or_init(|| {
            let refused = |why: String| Arc::new(Error::from(config.refused(why)).under("init"));
            let bytes = fs::read(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
            Weights::read(bytes).map(Arc::new).map_err(|error| refused(error.to_string()))
        });
        let weights = read.clone()?;
        let whole = weights.about.as_ref().and_then(|about| self.whole(about));
        Ok(Some(Given { weights, config: config.clone(), whole }))
    }

    /// The sizes that a network had before anything was removed; none where its model is not here.
    fn whole(&self, about: &ModelFile) -> Option<Sizes> {
        let mut options = about.model.clone();
        let name = options.remove("name")?;
        let model = self.registry.model::<Cpu>(name.as_str()?, &options).ok()?;
        Some(model.layout(&about.input, &Sizes::default()).ok()?.sizes())
    }
}

/// The file that is meant: in the folder of a run its network.
fn file(from: &Path) -> PathBuf {
    if from.is_dir() { from.join(model_file::NAME) } else { from.to_owned() }
}
