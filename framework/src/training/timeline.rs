//! What a schedule will do, known before the first step.

use crate::error::{OptionError, Result};
use crate::pruning::criterion::Window;
use crate::pruning::schedule::{Amount, Position, RunLength, Schedule, Step};
use std::collections::BTreeSet;

/// Every pruning step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// Steps after which something is pruned.
    pub prunes: Vec<(Step, Amount)>,
    /// Steps whose starting weights are brought back later.
    pub snapshots: BTreeSet<Step>,
    /// For every rewinding step, the step it goes back to.
    rewinds: Vec<(Step, Step)>,
}

impl Timeline {
    /// Asks the schedule about every step.
    ///
    /// # Errors
    /// An amount outside [0, 1); a rewind to a later step.
    pub fn plan(schedule: &dyn Schedule, length: &RunLength) -> Result<Self> {
        let (mut prunes, mut rewinds) = (vec![], vec![]);
        for step in (0..length.steps).map(Step) {
            let Some(amount) = schedule.target(step, length)? else { continue };
            let (Amount::Sparsity(s) | Amount::OfRemaining(s)) = amount;
            if !(0.0..1.0).contains(&s) {
                let text = format!("must be at least 0 and below 1; the schedule returned it for step {}", step.0);
                return Err(OptionError::new("schedule", s, text).into());
            }
            prunes.push((step, amount));
            if let Some(to) = schedule.rewind(step, length)? {
                if to > step {
                    let text = format!("must not lie after the step itself, {}", step.0);
                    return Err(OptionError::new("schedule", format!("rewind to step {}", to.0), text).into());
                }
                rewinds.push((step, to));
            }
        }
        let snapshots = rewinds.iter().map(|r| r.1).collect();
        Ok(Self { prunes, snapshots, rewinds })
    }

    /// Where the schedule stands at `step`, or `None` where nothing is pruned.
    pub fn position(&self, step: Step) -> Option<Position> {
        let nth = self.prunes.binary_search_by_key(&step, |p| p.0).ok()?;
        Some(Position { amount: self.prunes[nth].1, end: self.final_sparsity(), nth })
    }

    /// The largest sparsity the schedule asks for; the one it ends with where it only grows.
    pub fn final_sparsity(&self) -> f64 {
        self.prunes.iter().fold(0.0, |most, (_, a)| if let Amount::Sparsity(s) = a { s.max(most) } else { most })
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

    /// The step to which pruning at `step` rewinds.
    pub fn rewind(&self, step: Step) -> Option<Step> {
        self.rewinds.iter().find(|r| r.0 == step).map(|r| r.1)
    }

    /// The step as the learning rate sees it: after a rewind it goes on from where the weights came from.
    pub fn since_rewind(&self, step: Step) -> Step {
        let last = self.rewinds.iter().rev().find(|r| r.0 < step);
        last.map_or(step, |(at, to)| Step(to.0 + (step.0 - at.0 - 1)))
    }
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
        let t = Timeline::plan(&Ticket, &length).unwrap();
        assert_eq!(t.prunes.iter().map(|p| p.0.0).collect::<Vec<_>>(), [9, 19]);
        assert_eq!((t.rewind(Step(9)), t.rewind(Step(10))), (Some(Step(2)), None));
        assert_eq!([9, 10, 19, 20].map(|s| t.since_rewind(Step(s)).0), [9, 2, 11, 2]);
        let seen = |w| (0..30).map(Step).filter(|s| t.collects(*s, w, &length)).count();
        assert_eq!((seen(Window::LastStep), seen(Window::Epoch), seen(Window::SincePrune)), (2, 20, 20));
    }

    struct TooMuch;
    impl Schedule for TooMuch {
        fn target(&self, _: Step, _: &RunLength) -> Result<Option<Amount>> {
            Ok(Some(Amount::Sparsity(1.0)))
        }
    }

    #[test]
    fn an_impossible_amount_is_refused() {
        let text = Timeline::plan(&TooMuch, &RunLength { steps: 3, steps_per_epoch: 3 }).unwrap_err().to_string();
        assert!(text.contains("below 1") && text.contains("step 0"), "{text}");
    }
}
