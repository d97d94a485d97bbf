//! Data sets in use, so that the runs of a sweep read each file once and share the examples.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use secateur::data::{self, DataError, Dataset, LoadProgress, Opened, Surroundings};

use super::read_data;
use crate::config::PluginChoice;
use crate::failure::Failure;

/// Keys of the `[data]` section that choose among examples, or change them, after they were read.
const AFTER_READING: [&str; 5] = ["validation", "train_limit", "test_limit", "normalize", "augment"];

/// A value that is made once, by whoever asks first; the others wait.
type Slot<T> = Arc<OnceLock<Result<Arc<T>, Arc<DataError>>>>;

/// Data sets by what they were read from, and by what was drawn from them.
#[derive(Default)]
pub struct DataCache {
    opened: Mutex<HashMap<String, Slot<Opened>>>,
    sets: Mutex<HashMap<String, Slot<Dataset>>>,
}

impl DataCache {
    /// The data set of a `[data]` section, with the splits that `seed` draws.
    pub fn dataset(
        &self,
        data: &PluginChoice,
        seed: u64,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Arc<Dataset>, Failure> {
        let section = data.section();
        let config = read_data(&section)?;
        let mut source = section.clone();
        source.retain(|key, _| !AFTER_READING.contains(&key));
        let set = slot(&self.sets, format!("{seed} {section}"));
        let made = set.get_or_init(|| {
            let opened = slot(&self.opened, source.to_string());
            let open = || data::open(&Surroundings::from_env(), &config, progress).map(Arc::new).map_err(Arc::new);
            let opened = opened.get_or_init(open).clone()?;
            opened.dataset(&config, seed).map(Arc::new).map_err(Arc::new)
        });
        made.clone().map_err(|error| Failure::from(&*error))
    }
}

fn slot<T>(cache: &Mutex<HashMap<String, Slot<T>>>, key: String) -> Slot<T> {
    // A panic elsewhere leaves the map itself whole.
    cache.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}
