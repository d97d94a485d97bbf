//! Data sets in use, so that the runs of a sweep read each file once and share the examples.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use secateur::Error;
use secateur::data::{Dataset, Examples, LoadProgress};
use secateur::plugins::registry::Registry;
use secateur::seed::{Seed, Seeds};

use super::data;
use crate::config::DataChoice;

/// A value that is made once, by whoever asks first; the others wait.
pub(super) type Slot<T> = Arc<OnceLock<Result<Arc<T>, Arc<Error>>>>;

/// Data sets by what they were read from, and by what was drawn from them.
#[derive(Default)]
pub struct DataCache {
    opened: Mutex<HashMap<String, Slot<Examples>>>,
    sets: Mutex<HashMap<String, Slot<Dataset>>>,
    digests: Mutex<HashMap<String, Slot<String>>>,
}

impl DataCache {
    /// The data set of a `[data]` section, with what these seeds draw.
    ///
    /// # Errors
    /// What the data set reports; every run that asks for it is told the same.
    pub fn dataset(
        &self,
        registry: &Registry,
        choice: &DataChoice,
        seeds: Seeds,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Arc<Dataset>, Arc<Error>> {
        let set = slot(&self.sets, format!("{} {} {choice:?}", seeds.split.0, seeds.data.0));
        let made = set.get_or_init(|| {
            let examples = self.examples(registry, choice, seeds.data, progress)?;
            examples.dataset(&choice.common, seeds).map(Arc::new).map_err(Arc::new)
        });
        made.clone()
    }

    /// The examples of a `[data]` section, before anything is drawn from them; `seed` is that of the data.
    ///
    /// # Errors
    /// What the data set reports.
    pub fn examples(
        &self,
        registry: &Registry,
        choice: &DataChoice,
        seed: Seed,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Arc<Examples>, Arc<Error>> {
        let opened = slot(&self.opened, data::source(choice, registry, seed));
        opened.get_or_init(|| data::open(choice, registry, seed, progress).map(Arc::new).map_err(Arc::new)).clone()
    }

    /// The hash of the content of examples that are read from files, which no seed changes.
    ///
    /// # Errors
    /// What the data set reports.
    pub fn digest(
        &self,
        registry: &Registry,
        choice: &DataChoice,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Arc<String>, Arc<Error>> {
        let digest = slot(&self.digests, data::source(choice, registry, Seed(0)));
        digest.get_or_init(|| Ok(Arc::new(self.examples(registry, choice, Seed(0), progress)?.digest()))).clone()
    }
}

/// The place of a value, made where there is none yet.
pub(super) fn slot<K: Eq + Hash, T>(cache: &Mutex<HashMap<K, Slot<T>>>, key: K) -> Slot<T> {
    // A panic elsewhere leaves the map itself whole.
    cache.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}
