//! Lottery tickets (Frankle & Carbin 2019).

use crate::run::due;
use secateur::prelude::*;

choices! {
    /// What the point of the rewind is counted in.
    pub enum Unit {
        /// Optimizer updates.
        Steps = "steps",
        /// Passes over the training data.
        Epochs = "epochs",
    }
}

options! {
    /// Iterative magnitude pruning with rewinding: a round trains the network, `fraction` of the remaining weights
    /// goes, and what stays starts the next round from its weights at initialisation (Frankle & Carbin 2019), or from
    /// those after `rewind_to` steps or epochs (Frankle et al. 2020). Every round ends as far into its training as the
    /// first, its learning rate follows `train.lr_schedule` anew, and the optimizer starts afresh; the last round goes
    /// on to the end of the run, and lasts a whole round at least. The paper prunes every layer by itself (`prune.scope
    /// = "layer"`), the output layer at half the rate (`prune.include_output = true`, `prune.output_rate = 0.5`).
    pub struct Lottery {
        /// Epochs of a round; a rewind shortens those after the first by what it does not repeat.
        #[acts(always)]
        pub epochs_per_round: u64 = 2,
        /// Fraction of what remains that goes after a round.
        #[acts(always)]
        pub fraction: f64 = 0.2,
        /// Steps or epochs after which the weights come back, k; 0 is the initialisation.
        #[acts(always)]
        pub rewind_to: u64 = 0,
        /// What `rewind_to` is counted in: `steps` or `epochs`.
        #[acts(|l| l.rewind_to > 0, "rewind_to above 0")]
        pub rewind_unit: Unit = Unit::Steps,
        /// Most pruning steps; as many as fit where absent.
        #[acts(always)]
        pub rounds: Option<u64> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.ensure("epochs_per_round", self.epochs_per_round > 0, "must be at least 1 epoch");
        let takes = self.fraction > 0.0 && self.fraction < 1.0;
        checks.ensure("fraction", takes, "must lie between 0 and 1, both excluded");
        checks.range("rounds", self.rounds, 1.0..);
    }
}

impl Lottery {
    /// Updates of the first round, and those of it that are not repeated.
    fn round(&self, run: &RunLength) -> (u64, u64) {
        let kept = match self.rewind_unit {
            Unit::Steps => self.rewind_to,
            Unit::Epochs => self.rewind_to.saturating_mul(run.steps_per_epoch),
        };
        (self.epochs_per_round.saturating_mul(run.steps_per_epoch), kept)
    }

    /// Pruning steps that a whole round follows.
    fn fitting(&self, run: &RunLength) -> u64 {
        let (round, kept) = self.round(run);
        run.steps.saturating_sub(round) / round.saturating_sub(kept).max(1)
    }

    /// The number of the pruning step at `step`, from 0.
    fn nth(&self, step: Step, run: &RunLength) -> Option<u64> {
        let (round, kept) = self.round(run);
        let (since, repeated) = ((step.0 + 1).checked_sub(round)?, round.checked_sub(kept).filter(|r| *r > 0)?);
        let nth = since / repeated;
        let due = since.is_multiple_of(repeated) && nth < self.rounds.unwrap_or(u64::MAX).min(self.fitting(run));
        due.then_some(nth)
    }
}

impl Schedule for Lottery {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        let (round, kept) = self.round(run);
        if kept >= round {
            let text = format!("must lie within the first round, which has {round} steps");
            return Err(OptionError::new("rewind_to", self.rewind_to, text).into());
        }
        let (epochs, fitting) = (run.steps / run.steps_per_epoch.max(1), self.fitting(run));
        if fitting == 0 {
            let text =
                format!("leaves no second round in train.epochs = {epochs}: a ticket is trained after it is drawn");
            return Err(OptionError::new("epochs_per_round", self.epochs_per_round, text).into());
        }
        match self.rounds.filter(|rounds| *rounds > fitting) {
            None => Ok(()),
            Some(rounds) => {
                let text = format!("must be at most {fitting}, which is what fits into train.epochs = {epochs}");
                Err(OptionError::new("rounds", rounds, text).into())
            }
        }
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let (round, kept) = self.round(run);
        let step = Step(due(from.0 + 1, round, round.saturating_sub(kept)) - 1);
        // After the last round nothing is due any more.
        Ok(self.nth(step, run).map(|_| step))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.nth(step, run).map(|_| Amount::OfRemaining(self.fraction)))
    }

    fn rewind(&self, step: Step, run: &RunLength) -> Result<Option<Step>> {
        Ok(self.nth(step, run).map(|_| Step(self.round(run).1)))
    }
}

register!(
    Schedule,
    "lottery",
    Lottery,
    "Rounds of training that each start again from early weights (lottery tickets)."
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;
    use secateur::training::Timeline;

    fn steps(schedule: &Lottery, epochs: u64) -> Vec<u64> {
        targets(schedule, epochs * 10, 10).iter().map(|t| t.0).collect()
    }

    #[test]
    fn a_round_ends_with_pruning_and_the_last_goes_to_the_end() {
        let schedule = Lottery { epochs_per_round: 3, ..Lottery::default() };
        assert_eq!(steps(&schedule, 9), [29, 59]);
        assert_eq!(steps(&schedule, 11), [29, 59], "five epochs are left for the last round");
        assert_eq!(steps(&Lottery { rounds: Some(1), ..schedule }, 11), [29]);
        let run = RunLength { steps: 90, steps_per_epoch: 10 };
        assert_eq!(schedule.rewind(Step(29), &run).unwrap(), Some(Step(0)));
        assert_eq!(schedule.rewind(Step(30), &run).unwrap(), None);
    }

    /// Every round ends after as many updates from the initialisation, and its learning rate as well.
    #[test]
    fn rounds_from_later_weights_repeat_only_what_follows_them() {
        let mut schedule = Lottery { epochs_per_round: 2, rewind_to: 5, ..Lottery::default() };
        assert_eq!(steps(&schedule, 5), [19, 34], "rounds of 20, 15 and 15 steps");
        let timeline = Timeline::plan(&mut schedule, &RunLength { steps: 50, steps_per_epoch: 10 }).unwrap();
        let found = [0, 19, 20, 34, 35, 49].map(|s| timeline.in_round(Step(s)));
        assert_eq!(found.map(|(s, end)| (s.0, end)), [(0, 20), (19, 20), (5, 20), (19, 20), (5, 20), (19, 20)]);
        let epochs = Lottery { epochs_per_round: 3, rewind_to: 1, rewind_unit: Unit::Epochs, ..Lottery::default() };
        assert_eq!(steps(&epochs, 7), [29, 49]);
    }

    #[test]
    fn rounds_that_do_not_fit_are_refused_by_their_key() {
        let run = RunLength { steps: 70, steps_per_epoch: 10 };
        let key = |mut schedule: Lottery| match schedule.setup(&run) {
            Err(Error::Option(error)) => error.key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key(Lottery { epochs_per_round: 4, ..Lottery::default() }), "epochs_per_round");
        assert_eq!(key(Lottery { rewind_to: 20, ..Lottery::default() }), "rewind_to");
        assert_eq!(key(Lottery { rounds: Some(3), ..Lottery::default() }), "rounds");
        assert!(Lottery { rounds: Some(2), ..Lottery::default() }.setup(&run).is_ok());
        let keys: Vec<_> =
            Lottery { epochs_per_round: 0, fraction: 1.0, rounds: Some(0), ..Lottery::default() }.errors();
        assert_eq!(keys.into_iter().map(|e| e.key).collect::<Vec<_>>(), ["epochs_per_round", "fraction", "rounds"]);
    }
}
