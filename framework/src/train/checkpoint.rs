//! The whole state of a run at a step boundary. What the config and the seed decide is not in it: the run is built as before and
//! takes the rest from here.

use super::losses::EpochProgress;
use super::{Clock, Engine};
use crate::archive::Archive;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::measure::Burden;
use crate::params::Snapshot;
use crate::schedule::Step;
use crate::structure::Sizes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that is no array.
#[derive(Serialize, Deserialize)]
struct Manifest {
    run: String,
    next: Step,
    steps: u64,
    units: Sizes,
    updates: BTreeMap<String, u64>,
    snapshots: Vec<Step>,
    progress: EpochProgress,
    burden: Burden,
    clock: Clock,
}

/// The name under which a checkpoint was taken, see [`Observer::boundary`](super::Observer::boundary).
///
/// # Errors
/// If it is damaged, or was written by another version.
pub fn checkpoint_name(checkpoint: &[u8]) -> Result<String> {
    Ok(Archive::from_bytes::<Manifest>(checkpoint)?.0.run)
}

impl<B: Backend> Engine<'_, B> {
    /// The state before the next step, for the run of that name.
    pub(super) fn checkpoint(&self, name: &str) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        self.params.save(&mut archive);
        for (step, snapshot) in &self.snapshots {
            snapshot.save(&snapshot_prefix(*step), &mut archive);
        }
        archive.put_state("criterion", self.run.criterion.save());
        archive.put_state("schedule", self.run.schedule.save());
        if let Some(error) = self.run.criterion.failure().or_else(|| self.run.schedule.failure()) {
            return Err(error);
        }
        archive.to_bytes(&Manifest {
            run: name.into(),
            next: self.next,
            steps: self.length.steps,
            units: self.params.layout().sizes(),
            updates: self.params.updates(),
            snapshots: self.snapshots.keys().copied().collect(),
            progress: self.progress,
            burden: self.burden.clone(),
            clock: self.clock,
        })
    }

    /// Takes the state back into a run that has not begun.
    pub(super) fn restore(&mut self, bytes: &[u8], name: &str) -> Result<()> {
        let (manifest, mut archive) = Archive::from_bytes::<Manifest>(bytes)?;
        if manifest.run != name || manifest.steps != self.length.steps {
            let (there, here) = (manifest.steps, self.length.steps);
            return Err(Error::Checkpoint(format!(
                "belongs to the run `{}` of {there} steps, and this is `{name}` of {here} steps",
                manifest.run
            )));
        }
        let layout = self.run.model.layout(&self.input, &manifest.units)?;
        self.params.load(layout, &manifest.updates, &mut archive)?;
        for step in manifest.snapshots {
            let snapshot = Snapshot::load(&self.run.device, &snapshot_prefix(step), &mut archive)?;
            self.snapshots.insert(step, snapshot);
        }
        self.run.criterion.load(archive.take_state("criterion"))?;
        self.run.schedule.load(archive.take_state("schedule"))?;
        if let Some(left) = archive.left() {
            return Err(Error::Checkpoint(format!("holds `{left}`, which is no part of this run")));
        }
        (self.next, self.progress, self.clock) = (manifest.next, manifest.progress, manifest.clock);
        self.burden = manifest.burden;
        Ok(())
    }
}

fn snapshot_prefix(step: Step) -> String {
    format!("snapshot/{}", step.0)
}
