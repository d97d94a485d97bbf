//! A loaded schedule as a [`Schedule`].

use super::super::abi::{self, Str};
use super::super::view::{self, Lender, Receiver};
use super::Loaded;
use super::object::{Object, absent};
use crate::error::Result;
use crate::options::Table;
use crate::pruning::schedule::{Amount, Measured, RunLength, Schedule, Step};
use crate::state::State;

/// A schedule that lives in a plugin.
pub(super) struct Adapter {
    object: Object<abi::ScheduleTable>,
}

impl Adapter {
    pub fn new(loaded: &Loaded, options: &Table) -> Result<Self> {
        Ok(Self { object: Object::new(loaded, options)? })
    }
}

fn length(run: &RunLength) -> abi::RunLength {
    abi::RunLength { steps: run.steps, steps_per_epoch: run.steps_per_epoch }
}

impl Schedule for Adapter {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        let Some(setup) = self.object.functions.setup else { return Ok(()) };
        // SAFETY: the object and its function belong together.
        self.object.call(|this, report| unsafe { setup(this, length(run), report) })
    }

    fn at_start(&self, run: &RunLength) -> Result<Option<Amount>> {
        let Some(at_start) = self.object.functions.at_start else { return Ok(None) };
        let mut amount = abi::Amount::of(None);
        // SAFETY: as in `target`.
        self.object.call(|this, report| unsafe { at_start(this, length(run), &mut amount, report) })?;
        amount.value().map_err(|e| self.object.error(e.to_string()))
    }

    fn may_be_idle(&self) -> bool {
        let Some(function) = self.object.functions.may_be_idle else { return false };
        let mut answer = 0;
        // SAFETY: the object and its function belong together; `answer` lives for the call.
        let asked = self.object.call(|this, report| unsafe { function(this, &mut answer, report) });
        asked.is_ok() && answer != 0
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let Some(next) = self.object.functions.next else { return Ok(Some(from)) };
        let mut step = u64::MAX;
        // SAFETY: as in `target`.
        self.object.call(|this, report| unsafe { next(this, from.0, length(run), &mut step, report) })?;
        Ok((step != u64::MAX).then_some(Step(step)))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let target = self.object.functions.target.ok_or_else(|| absent("target"))?;
        let mut amount = abi::Amount::of(None);
        // SAFETY: the object and its function belong together; `amount` lives for the call.
        self.object.call(|this, report| unsafe { target(this, step.0, length(run), &mut amount, report) })?;
        amount.value().map_err(|e| self.object.error(e.to_string()))
    }

    fn watches(&self) -> bool {
        let Some(function) = self.object.functions.watches else { return false };
        let mut answer = 0;
        // SAFETY: as in `may_be_idle`.
        let asked = self.object.call(|this, report| unsafe { function(this, &mut answer, report) });
        asked.is_ok() && answer != 0 && self.object.functions.adjust.is_some()
    }

    fn adjust(&mut self, planned: Amount, seen: &Measured<'_>) -> Result<Amount> {
        let adjust = self.object.functions.adjust.ok_or_else(|| absent("adjust"))?;
        let burden: Vec<abi::Indicators> = (seen.burden.iter())
            .map(|one| abi::Indicators {
                name: Str::of(&one.name),
                gradient: one.gradient,
                gradient_mean: one.gradient_mean,
                weight: one.weight,
                kept: one.kept,
            })
            .collect();
        let seen = abi::Measured {
            step: seen.step.0,
            run: length(&seen.run),
            sparsity: seen.sparsity,
            validation_loss: seen.validation_loss.unwrap_or(f64::NAN),
            burden: burden.as_ptr(),
            burden_count: burden.len(),
        };
        let (planned, mut amount) = (abi::Amount::of(Some(planned)), abi::Amount::of(None));
        // SAFETY: the object and its function belong together; `seen`, its list and `amount` live for the call.
        self.object.call(|this, report| unsafe { adjust(this, planned, &seen, &mut amount, report) })?;
        let amount = amount.value().map_err(|e| self.object.error(e.to_string()))?;
        amount.ok_or_else(|| self.object.error("it asks for nothing where it had planned to prune"))
    }

    fn rewind(&self, step: Step, run: &RunLength) -> Result<Option<Step>> {
        let Some(rewind) = self.object.functions.rewind else { return Ok(None) };
        let mut to = u64::MAX;
        // SAFETY: as in `target`.
        self.object.call(|this, report| unsafe { rewind(this, step.0, length(run), &mut to, report) })?;
        Ok((to != u64::MAX).then_some(Step(to)))
    }

    fn save(&self) -> Result<State> {
        let Some(save) = self.object.functions.save else { return Ok(State::default()) };
        let mut receiver = Receiver::new();
        let sink = receiver.sink();
        // SAFETY: as in `target`; the receiver lives for the call.
        self.object.call(|this, report| unsafe { save(this, sink, report) })?;
        view::state_of(receiver.finish()?)
    }

    fn load(&mut self, state: State) -> Result<()> {
        let mut lender = Lender::default();
        let entries = lender.state(&state);
        match self.object.functions.load {
            Some(load) => {
                let (list, count) = (entries.as_ptr(), entries.len());
                // SAFETY: as in `target`; the entries live for the call.
                self.object.call(|this, report| unsafe { load(this, list, count, report) })
            }
            None if entries.is_empty() => Ok(()),
            None => Err(self.object.error("it keeps no state, but some was saved")),
        }
    }
}
