//! Where a run can be left, and gone on with: its whole state at a step boundary. What the config and the seed decide
//! is not in it: the run is built as before and takes the rest from here.

use super::Evaluation;
use super::reporter::{Clock, EpochProgress, Reported, Reporter, Said};
use super::run::Live;
use super::setting::Setting;
use crate::backend::Backend;
use crate::data::SplitName;
use crate::error::{Error, Result};
use crate::network::layout::Sizes;
use crate::network::params::Snapshot;
use crate::pruning::LatencyTable;
use crate::pruning::criterion::Setup;
use crate::pruning::measure::{Burden, Returned};
use crate::pruning::schedule::Step;
use crate::state::{Archive, Checkpoint};
use crate::training::event::EvalAt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Nobody waits for an evaluation that takes less.
const LONG: Duration = Duration::from_millis(200);

/// The state of a run before a step.
#[derive(Clone)]
pub(super) struct Saved<'a> {
    manifest: Manifest,
    archive: Archive<'a>,
}

/// Everything that is no array.
#[derive(Clone, Serialize, Deserialize)]
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
    #[serde(default)]
    notes: Vec<Said>,
    #[serde(default)]
    latency: Option<LatencyTable>,
    #[serde(default)]
    asked: Option<f64>,
    #[serde(default)]
    unmeasured: bool,
}

/// What a run takes over of the plugins of the one whose checkpoint it goes on from: their state, or nothing, where they are
/// others or have other options. Such a criterion has seen nothing yet, and is set up for the network as it is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The criterion.
    pub criterion: bool,
    /// The criterion by which weights grow.
    pub grower: bool,
    /// The schedule.
    pub schedule: bool,
}

impl Kept {
    /// Of the same run: everything.
    pub(super) const ALL: Self = Self { criterion: true, grower: true, schedule: true };
}

/// The name under which a checkpoint was taken, see [`Observer::boundary`](super::Observer::boundary).
///
/// # Errors
/// If it is damaged, or was written by another version.
pub fn checkpoint_name(checkpoint: &[u8]) -> Result<String> {
    Ok(Archive::from_bytes::<Manifest>(checkpoint)?.0.run)
}

/// The step before which a checkpoint was taken.
///
/// # Errors
/// If it is damaged, or was written by another version.
pub fn checkpoint_step(checkpoint: &[u8]) -> Result<Step> {
    Ok(Archive::from_bytes::<Manifest>(checkpoint)?.0.next)
}

/// The table of times by which the run of that name went on from a checkpoint; whatever is wrong with a checkpoint of
/// another run is told when the state is taken from it.
pub(super) fn latency_of(checkpoint: &[u8], name: &str) -> Result<Option<LatencyTable>> {
    let manifest = Archive::from_bytes::<Manifest>(checkpoint)?.0;
    Ok(manifest.latency.filter(|_| manifest.run == name))
}

impl<'a> Saved<'a> {
    /// The checkpoint, for the run of that name.
    pub fn into_checkpoint(self, name: &str) -> Result<Checkpoint<'a>> {
        self.archive.into_checkpoint(&Manifest { run: name.into(), ..self.manifest })
    }
}

impl Saved<'_> {
    /// The same, whatever the next step does to the network.
    fn into_owned(self) -> Saved<'static> {
        Saved { manifest: self.manifest, archive: self.archive.into_owned() }
    }
}

impl<B: Backend> Live<B> {
    /// The state before the next step.
    pub fn saved(&self, setting: &Setting<'_, B>, reported: Reported) -> Result<Saved<'_>> {
        let mut archive = Archive::default();
        self.params.save(&mut archive);
        for (step, snapshot) in &self.snapshots {
            snapshot.save(&snapshot_prefix(*step), &mut archive);
        }
        self.burden.returned.save(&mut archive);
        archive.put_state("criterion", self.criterion.save()?);
        if let Some(grower) = &self.grower {
            archive.put_state("grow", grower.save()?);
        }
        archive.put_state("schedule", self.schedule.save()?);
        let manifest = Manifest {
            run: String::new(),
            next: self.next,
            steps: setting.length.steps,
            units: self.params.layout().sizes(),
            updates: self.params.updates(),
            snapshots: self.snapshots.keys().copied().collect(),
            progress: reported.epoch,
            burden: self.burden.clone(),
            clock: reported.clock,
            notes: reported.notes,
            latency: setting.latency.clone(),
            asked: self.asked,
            unmeasured: self.unmeasured,
        };
        Ok(Saved { manifest, archive })
    }

    /// Takes the state back into a run that has not begun, and of its plugins what is kept.
    pub fn restore(
        &mut self,
        setting: &Setting<'_, B>,
        reporter: &mut Reporter<'_, B>,
        (bytes, name): (&[u8], &str),
        kept: Kept,
    ) -> Result<()> {
        let (manifest, mut archive) = Archive::from_bytes::<Manifest>(bytes)?;
        if manifest.run != name || manifest.steps != setting.length.steps {
            let (there, here) = (manifest.steps, setting.length.steps);
            return Err(Error::Checkpoint(format!(
                "belongs to the run `{}` of {there} steps, and this is `{name}` of {here} steps",
                manifest.run
            )));
        }
        // Before the first step a run is what it begins as; what comes before that step is done again.
        if manifest.next == Step(0) {
            return Ok(());
        }
        let layout = setting.model.layout(&setting.input, &manifest.units)?;
        self.params.load(layout, &manifest.updates, &mut archive)?;
        for step in manifest.snapshots {
            let snapshot = Snapshot::load(&setting.device, &snapshot_prefix(step), &mut archive)?;
            self.snapshots.insert(step, snapshot);
        }
        let returned = Returned::load(&mut archive, manifest.burden.total().1);
        let [criterion, grower, schedule] = ["criterion", "grow", "schedule"].map(|name| archive.take_state(name));
        let seed = setting.seeds.pruner.derive("criterion", &[]);
        let setup = Setup { layout: self.params.layout(), seed, make_criterion: setting.make_criterion };
        match kept.criterion {
            true => self.criterion.load(criterion, &setting.device)?,
            false => self.criterion.setup(&setup).map_err(|error| error.under("criterion"))?,
        }
        match &mut self.grower {
            Some(own) if kept.grower => own.load(grower, &setting.device)?,
            Some(own) => {
                let setup = Setup { seed: setting.growth_seed(), ..setup };
                own.setup(&setup).map_err(|error| error.under("criterion").under("grow"))?;
            }
            None => {}
        }
        if kept.schedule {
            self.schedule.load(schedule)?;
        }
        if let Some((at, to)) = setting.timeline.lacks(manifest.next, |step| self.snapshots.contains_key(&step)) {
            return Err(Error::Config(format!(
                "the schedule rewinds after step {} to step {}, whose weights the run that was left at step {} did not keep: \
                 let it rewind to a step after the fork, or fork a run with such a schedule",
                at.0, to.0, manifest.next.0
            )));
        }
        if let Some(untaken) = archive.untaken() {
            return Err(Error::Checkpoint(format!("holds `{untaken}`, which is no part of this run")));
        }
        self.next = manifest.next;
        self.burden = manifest.burden;
        self.burden.returned = returned;
        self.asked = manifest.asked;
        self.unmeasured = manifest.unmeasured;
        let reported = Reported { epoch: manifest.progress, clock: manifest.clock, notes: manifest.notes };
        reporter.restore(self.next, reported);
        Ok(())
    }

    /// Measures the network between two steps. Where the run is to stop meanwhile, the checkpoint says that it is still
    /// to be measured.
    pub fn measure(
        &self,
        setting: &Setting<'_, B>,
        split: SplitName,
        at: EvalAt,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<Evaluation> {
        reporter.may_leave = true;
        let found = setting.evaluate(&self.params, Step(self.next.0 - 1), split, at, reporter);
        reporter.may_leave = false;
        if let Err(Error::Stopped { .. }) = &found {
            boundary(setting, self, reporter, true)?;
            return Err(Error::Stopped { step: self.next.0 });
        }
        found
    }

    /// The state before the next step, where the network is pruned after it and measured at length before and after
    /// that: whoever stops it there goes on from here, as there is no other point between two steps.
    pub fn before_measured_prune(
        &self,
        setting: &Setting<'_, B>,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<Option<Saved<'static>>> {
        let long = reporter.evaluation.is_none_or(|took| took > LONG);
        let measured = setting.measures_prunes() && setting.timeline.position(self.next).is_some();
        let keep = long && measured;
        keep.then(|| Ok(self.saved(setting, reporter.reported()?)?.into_owned())).transpose()
    }
}

/// A point from which the run can go on.
pub(super) fn boundary<B: Backend>(
    setting: &Setting<'_, B>,
    live: &Live<B>,
    reporter: &mut Reporter<'_, B>,
    stopping: bool,
) -> Result<()> {
    reporter.boundary(stopping, &|name, reported| live.saved(setting, reported)?.into_checkpoint(name))
}

fn snapshot_prefix(step: Step) -> String {
    format!("snapshot/{}", step.0)
}
