//! At which step a run leaves another one, and what it keeps of that one's plugins.

use secateur::Error;
use secateur::backend::Cpu;
use secateur::network::layout::Sizes;
use secateur::network::model::InputSpec;
use secateur::options::Table;
use secateur::pruning::criterion::{Setup, Window};
use secateur::pruning::schedule::{RunLength, Schedule, Step};
use secateur::training::{Kept, Timeline};

use super::Workbench;
use crate::config::{At, ConfigError, ConfigErrors, PluginChoice, Resolved};
use crate::failure::Failure;
use crate::printable::counted;

/// Where a run leaves another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The first step of its own.
    pub step: u64,
    /// What it keeps.
    pub kept: Kept,
}

/// The steps of a run after which something is pruned, after the pruning before the first step.
struct Plan {
    at_start: bool,
    prunes: Vec<u64>,
}

impl Plan {
    /// How many pruning steps come before a step.
    fn before(&self, step: u64) -> usize {
        self.prunes.iter().filter(|prune| **prune < step).count() + usize::from(self.at_start && step > 0)
    }
}

impl Workbench {
    /// Whether a run measures its network on validation data.
    ///
    /// # Errors
    /// The data is not there, or not what it should be.
    pub fn validates(&self, config: &Resolved) -> Result<bool, Failure> {
        let told = &config.run;
        let data = self.data.dataset(&self.registry, &told.data, told.seeds(), &mut |_| ());
        Ok(!data.map_err(|error| Failure::from(&*error))?.validation.is_empty())
    }

    /// Where `fork` leaves the run `other`.
    ///
    /// A criterion of its own looks back on the training steps of its window before its first pruning step: it is there from
    /// the first of these, and the weights do not notice unless it penalises some. What else changes, changes with the step
    /// after which that pruning step comes.
    ///
    /// # Errors
    /// The other run has no such step; a schedule that would have pruned a network less or more often until then; data that
    /// is not there.
    pub fn leaves(&self, fork: &Resolved, other: &Resolved, at: At) -> Result<Left, Failure> {
        let told = &other.run;
        let data = self.data.dataset(&self.registry, &told.data, told.seeds(), &mut |_| ());
        let data = data.map_err(|error| Failure::from(&*error))?;
        let steps_per_epoch = data.train.len().div_ceil(told.train.batch_size).max(1) as u64;
        let length = RunLength { steps: steps_per_epoch * told.train.epochs, steps_per_epoch };
        let plan = |config: &Resolved| -> Result<Plan, Failure> {
            let choice = &config.run.schedule;
            let mut schedule: Box<dyn Schedule> = self.registry.schedule(&choice.name, &choice.options)?;
            let plan = Timeline::plan(schedule.as_mut(), &length).map_err(|error| error.under("schedule"))?;
            Ok(Plan { at_start: plan.start.is_some(), prunes: plan.prunes.iter().map(|(step, _)| step.0).collect() })
        };
        let there = plan(other)?;
        let (criterion, grower) = (same(&fork.run.criterion, &other.run.criterion), growing(fork) == growing(other));
        let schedule = same(&fork.run.schedule, &other.run.schedule);
        let step = match at {
            At::Step(step) => step,
            At::Epoch(epochs) => epochs.saturating_mul(steps_per_epoch),
            At::Prune(nth) => {
                let count = there.prunes.len() + usize::from(there.at_start);
                let Some(place) = (nth - 1).checked_sub(usize::from(there.at_start)) else {
                    return Ok(Left { step: 0, kept: Kept { criterion, grower, schedule } });
                };
                let Some(prune) = there.prunes.get(place) else {
                    return Err(refused(
                        fork,
                        format!("\"prune:1\" to \"prune:{count}\", since that run prunes {}", counted(count, "time")),
                    ));
                };
                let since = if place > 0 { there.prunes[place - 1] + 1 } else { 0 };
                let first = |window| match window {
                    Window::LastStep => *prune,
                    Window::Epoch => (length.epoch(Step(*prune)) * steps_per_epoch).max(since),
                    Window::SincePrune => since,
                };
                let mut windows = Vec::new();
                if !criterion {
                    windows.push(self.window(&fork.run.criterion, fork, &data.shape, data.class_names.len())?);
                }
                for (_, choice) in fork.run.growing().iter().filter(|_| !grower) {
                    windows.push(self.window(choice, fork, &data.shape, data.class_names.len())?);
                }
                windows.into_iter().map(first).min().unwrap_or(*prune)
            }
        };
        if step >= length.steps {
            let epochs = told.train.epochs;
            let allowed = format!("a place within the {} steps and {epochs} epochs of that run", length.steps);
            return Err(refused(fork, allowed));
        }
        let here = if schedule { there.before(step) } else { plan(fork)?.before(step) };
        if here != there.before(step) {
            let allowed = format!(
                "one that prunes {} times before step {step}, as that run did: masks are not taken back, and counts go by the \
                 number of the pruning step (schedule = {} prunes {here} times)",
                there.before(step),
                fork.run.schedule.name
            );
            let (key, found) = ("schedule".to_owned(), format!("{:?}", fork.run.schedule.name));
            let origin = fork.set_by("schedule.name");
            return Err(ConfigErrors(vec![ConfigError::Value { key, origin, found, allowed }]).into());
        }
        Ok(Left { step, kept: Kept { criterion, grower, schedule } })
    }

    /// The training steps on which a criterion looks back.
    fn window(
        &self,
        choice: &PluginChoice,
        config: &Resolved,
        shape: &[usize],
        classes: usize,
    ) -> Result<Window, Failure> {
        let run = &config.run;
        let classes = run.train.loss.outputs(classes);
        let model = self.registry.model::<Cpu>(&run.model.name, &run.model.options)?;
        let layout = model.layout(&InputSpec { shape: shape.to_vec(), classes }, &Sizes::default())?;
        let make_criterion = |name: &str, options: &Table| self.registry.criterion::<Cpu>(name, options);
        let mut criterion = make_criterion(&choice.name, &choice.options)?;
        let setup = Setup { layout: &layout, seed: run.seeds().pruner, make_criterion: &make_criterion };
        criterion.setup(&setup).map_err(|error: Error| error.under("criterion"))?;
        Ok(criterion.window())
    }
}

fn same(own: &PluginChoice, other: &PluginChoice) -> bool {
    own == other
}

/// The criterion by which weights grow, where any do.
fn growing(config: &Resolved) -> Option<PluginChoice> {
    config.run.growing().into_iter().find(|(key, _)| *key == "grow.criterion").map(|(_, choice)| choice)
}

fn refused(fork: &Resolved, allowed: String) -> Failure {
    let (key, found) = ("fork.at".to_owned(), format!("{:?}", fork.run.fork.at.as_deref().unwrap_or_default()));
    ConfigErrors(vec![ConfigError::Value { origin: fork.set_by(&key), key, found, allowed }]).into()
}
