//! What a schedule will do, known before the first step.

use crate::error::{Error, Result};
use crate::pruning::criterion::Window;
use crate::pruning::schedule::{Amount, Position, RunLength, Schedule, Step};
use std::collections::BTreeSet;

/// Every pruning step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// Steps after which something is pruned.
    pub prunes: Vec<(Step, Amount)>,
    /// Where the schedule stands before the first update, if it prunes there.
    pub start: Option<Position>,
    /// Where it stands at each of `prunes`.
    positions: Vec<Position>,
    /// Steps whose starting weights are brought back later.
    pub snapshots: BTreeSet<Step>,
    /// For every rewinding step, the step it goes back to.
    rewinds: Vec<(Step, Step)>,
    /// Optimizer updates in the whole run.
    steps: u64,
}

impl Timeline {
    /// Asks the schedule about every step after which it may prune.
    ///
    /// # Errors
    /// Options that do not fit the length; an amount outside [0, 1); a rewind to a later step; a step named that lies
    /// before the one it was asked from; a schedule that prunes nothing and does not say that this is its purpose.
    pub fn plan(schedule: &mut dyn Schedule, length: &RunLength) -> Result<Self> {
        schedule.setup(length)?;
        let fits = |amount: Amount, when: &str| {
            let (Amount::Sparsity(s) | Amount::OfRemaining(s)) = amount;
            if (0.0..1.0).contains(&s) {
                return Ok(());
            }
            Err(Error::Config(format!("the schedule asks for {s} {when}: an amount must be at least 0 and below 1")))
        };
        let initial = schedule.at_start(length)?;
        initial.map_or(Ok(()), |amount| fits(amount, "before the first step"))?;
        let (mut prunes, mut rewinds) = (vec![], vec![]);
        let mut from = Step(0);
        while let Some(step) = schedule.next(from, length)?.filter(|step| step.0 < length.steps) {
            if step < from {
                let (step, from) = (step.0, from.0);
                return Err(Error::Other(format!("asked for steps from {from} on, the schedule names step {step}")));
            }
            from = Step(step.0 + 1);
            let Some(amount) = schedule.target(step, length)? else { continue };
            fits(amount, &format!("after step {}", step.0))?;
            prunes.push((step, amount));
            if let Some(to) = schedule.rewind(step, length)? {
                if to > step {
                    let (step, to) = (step.0, to.0);
                    return Err(Error::Config(format!(
                        "the schedule rewinds after step {step} to step {to}, which is later"
                    )));
                }
                rewinds.push((step, to));
            }
        }
        if initial.is_none() && prunes.is_empty() && !schedule.may_be_idle() {
            let (steps, epochs) = (length.steps, length.steps.div_ceil(length.steps_per_epoch.max(1)));
            return Err(Error::Config(format!(
                "the schedule prunes at none of the {steps} steps of this run (train.epochs = {epochs}): let it begin \
                 earlier, train for longer, or set schedule.name = \"never\""
            )));
        }
        let snapshots = rewinds.iter().map(|r| r.1).collect();
        let amounts: Vec<Amount> = initial.into_iter().chain(prunes.iter().map(|p| p.1)).collect();
        let mut positions = positions(&amounts);
        let start = initial.map(|_| positions.remove(0));
        Ok(Self { prunes, start, positions, snapshots, rewinds, steps: length.steps })
    }

    /// Where the schedule stands at `step`, or `None` where nothing is pruned.
    pub fn position(&self, step: Step) -> Option<Position> {
        self.prunes.binary_search_by_key(&step, |p| p.0).ok().map(|nth| self.positions[nth])
    }

    /// Every pruning step in order, `None` being the time before the first step.
    pub fn positions(&self) -> impl Iterator<Item = (Option<Step>, Position)> + '_ {
        let later = self.prunes.iter().zip(&self.positions).map(|(prune, position)| (Some(prune.0), *position));
        self.start.iter().map(|start| (None, *start)).chain(later)
    }

    /// Pruning steps in all.
    pub fn count(&self) -> usize {
        self.prunes.len() + usize::from(self.start.is_some())
    }

    /// Whether the criterion is shown this step: whether a pruning step will look back on it.
    pub fn collects(&self, step: Step, window: Window, length: &RunLength) -> bool {
        let next = self.prunes.partition_point(|(s, _)| *s < step);
        self.prunes.get(next).is_some_and(|(prune, _)| match window {
            Window::LastStep => *prune == step,
            Window::Epoch => length.epoch(*prune) == length.epoch(step),
            Window::SincePrune => true,
        })
    }

    /// The last step of every round, see [`in_round`](Self::in_round).
    pub fn round_ends(&self) -> impl Iterator<Item = Step> + '_ {
        self.rewinds.iter().map(|rewind| rewind.0).chain(self.steps.checked_sub(1).map(Step))
    }

    /// The step to which pruning at `step` rewinds.
    pub fn rewind(&self, step: Step) -> Option<Step> {
        self.rewinds.binary_search_by_key(&step, |r| r.0).ok().map(|nth| self.rewinds[nth].1)
    }

    /// The first rewind from the step `next` on to weights of a step before it that are not at hand, and its goal.
    pub fn lacks(&self, next: Step, at_hand: impl Fn(Step) -> bool) -> Option<(Step, Step)> {
        self.rewinds.iter().copied().find(|(at, to)| *at >= next && *to < next && !at_hand(*to))
    }

    /// Whether the weights of an earlier step are ever brought back.
    pub fn rewinds(&self) -> bool {
        !self.rewinds.is_empty()
    }

    /// The step as the learning rate sees it, and the step at which its schedule ends. Between two rewinds stands a
    /// training of its own, from the step that the weights came from to the next pruning: its learning rate goes the
    /// whole way (Frankle & Carbin 2019 train every round to the end).
    pub fn in_round(&self, step: Step) -> (Step, u64) {
        let (before, after) = self.rewinds.split_at(self.rewinds.partition_point(|r| r.0 < step));
        let next = after.first().map_or(self.steps, |r| r.0.0 + 1);
        let (began, from) = before.last().map_or((0, 0), |r| (r.0.0 + 1, r.1.0));
        (Step(from + (step.0 - began)), from + (next - began))
    }
}

fn positions(amounts: &[Amount]) -> Vec<Position> {
    let mut density = 1.0;
    let mut sparsity = |amount: &Amount| {
        density = match amount {
            Amount::Sparsity(s) => 1.0 - s,
            Amount::OfRemaining(f) => density * (1.0 - f),
        };
        1.0 - density
    };
    let nominal: Vec<f64> = amounts.iter().map(&mut sparsity).collect();
    let most = nominal.iter().copied().fold(0.0, f64::max);
    let progress = |s: f64| if most > 0.0 { s / most } else { 0.0 };
    let position = |(nth, (&amount, &s))| Position { amount, progress: progress(s), nth };
    amounts.iter().zip(&nominal).enumerate().map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lottery ticket: after each of the first two epochs, 20 % of the rest, back to step 2.
    struct Ticket;
    impl Schedule for Ticket {
        fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
            Ok(run.epochs_finished(step).filter(|e| *e <= 2).map(|_| Amount::OfRemaining(0.2)))
        }
        fn rewind(&self, _: Step, _: &RunLength) -> Result<Option<Step>> {
            Ok(Some(Step(2)))
        }
    }

    #[test]
    fn prunes_rewinds_and_windows_are_known_ahead() {
        let length = RunLength { steps: 30, steps_per_epoch: 10 };
        let t = Timeline::plan(&mut Ticket, &length).unwrap();
        assert_eq!(t.prunes.iter().map(|p| p.0.0).collect::<Vec<_>>(), [9, 19]);
        assert_eq!((t.rewind(Step(9)), t.rewind(Step(10))), (Some(Step(2)), None));
        let seen = |w| (0..30).map(Step).filter(|s| t.collects(*s, w, &length)).count();
        assert_eq!((seen(Window::LastStep), seen(Window::Epoch), seen(Window::SincePrune)), (2, 20, 20));
    }

    #[test]
    fn every_round_between_rewinds_is_a_whole_training() {
        let t = Timeline::plan(&mut Ticket, &RunLength { steps: 30, steps_per_epoch: 10 }).unwrap();
        // The first round has 10 steps; those after it go from step 2 through 10 steps of their own.
        let found = [0, 9, 10, 19, 20, 29].map(|s| t.in_round(Step(s)));
        assert_eq!(found.map(|(s, end)| (s.0, end)), [(0, 10), (9, 10), (2, 12), (11, 12), (2, 12), (11, 12)]);
    }

    #[test]
    fn progress_runs_to_one_whichever_way_the_amounts_are_told() {
        struct Mixed;
        impl Schedule for Mixed {
            fn at_start(&self, _: &RunLength) -> Result<Option<Amount>> {
                Ok(Some(Amount::Sparsity(0.2)))
            }
            fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
                Ok((step.0 < 2).then_some(Amount::OfRemaining(0.5)))
            }
        }
        let t = Timeline::plan(&mut Mixed, &RunLength { steps: 9, steps_per_epoch: 3 }).unwrap();
        let found: Vec<_> = t.positions().map(|(s, p)| (s.map(|s| s.0), p.nth, p.progress)).collect();
        for (found, expected) in found.iter().zip([(None, 0, 0.25), (Some(0), 1, 0.75), (Some(1), 2, 1.0)]) {
            assert!(
                found.0 == expected.0 && found.1 == expected.1 && (found.2 - expected.2).abs() < 1e-12,
                "{found:?}"
            );
        }
        assert_eq!((t.start.unwrap().nth, t.position(Step(1)).unwrap().nth, t.count()), (0, 2, 3));
    }

    /// Prunes after every thousand million steps, and knows it.
    struct Sparse(u64);
    impl Schedule for Sparse {
        fn next(&self, from: Step, _: &RunLength) -> Result<Option<Step>> {
            Ok(Some(Step(from.0.next_multiple_of(self.0))))
        }
        fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
            Ok(step.0.is_multiple_of(self.0).then_some(Amount::OfRemaining(0.5)))
        }
        fn rewind(&self, step: Step, _: &RunLength) -> Result<Option<Step>> {
            Ok(Some(Step(step.0 / 2)))
        }
    }

    #[test]
    fn a_long_run_is_laid_out_by_its_pruning_steps_alone() {
        const BILLION: u64 = 1_000_000_000;
        let length = RunLength { steps: 1_000_000 * BILLION, steps_per_epoch: 10 };
        let t = Timeline::plan(&mut Sparse(BILLION), &length).unwrap();
        assert_eq!((t.count(), t.prunes[7].0), (1_000_000, Step(7 * BILLION)));
        assert_eq!((t.rewind(Step(8 * BILLION)), t.rewind(Step(8))), (Some(Step(4 * BILLION)), None));
        // Every one of them is looked for; by a search from the start that would be a million million steps.
        assert!(t.prunes.iter().all(|(step, _)| t.rewind(*step).is_some() && t.in_round(*step).1 > 0));
        let ends: Vec<Step> = t.round_ends().collect();
        assert_eq!((ends.len(), ends.last().copied()), (1_000_001, Some(Step(length.steps - 1))));
    }

    #[test]
    fn a_schedule_that_goes_back_is_refused() {
        struct Back;
        impl Schedule for Back {
            fn next(&self, from: Step, _: &RunLength) -> Result<Option<Step>> {
                Ok(Some(Step(from.0 / 2)))
            }
            fn target(&self, _: Step, _: &RunLength) -> Result<Option<Amount>> {
                Ok(None)
            }
        }
        let error = Timeline::plan(&mut Back, &RunLength { steps: 9, steps_per_epoch: 3 }).unwrap_err().to_string();
        assert!(error.contains("from 1 on, the schedule names step 0"), "{error}");
    }

    struct At(f64);
    impl Schedule for At {
        fn target(&self, _: Step, _: &RunLength) -> Result<Option<Amount>> {
            Ok((self.0 > 0.0).then_some(Amount::Sparsity(self.0)))
        }
    }

    #[test]
    fn an_impossible_amount_is_refused_and_so_is_a_schedule_that_never_prunes() {
        let text = |s| Timeline::plan(&mut At(s), &RunLength { steps: 3, steps_per_epoch: 3 }).unwrap_err().to_string();
        assert!(text(1.0).contains("below 1") && text(1.0).contains("step 0"), "{}", text(1.0));
        assert!(text(0.0).contains("none of the 3 steps") && text(0.0).contains("train.epochs = 1"), "{}", text(0.0));
    }
}
