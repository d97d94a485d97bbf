//! Alternating compressed and decompressed phases (Peste et al. 2021).

use crate::run::{due, end_of, epochs_from};
use secateur::prelude::*;

options! {
    /// AC/DC: after a dense warm-up the network is compressed to `sparsity` and decompressed again in turn, each time
    /// for `phase` epochs; a longer dense phase and a longer compressed one end the run. The defaults are the paper's
    /// for 100 epochs of ImageNet. Every decompression is a pruning step to sparsity 0, so that it needs `prune.regrow
    /// = true`; in the paper weights are zero while they are pruned and start from there when they return, which is
    /// `prune.regrow_from = "zero"`.
    pub struct AcDc {
        /// Sparsity of the compressed phases.
        #[acts(always)]
        pub sparsity: f64 = 0.9,
        /// Dense epochs at the beginning; 0 compresses before the first update.
        #[acts(always)]
        pub warmup: u64 = 10,
        /// Epochs of each phase in between, the first of which is compressed.
        #[acts(always)]
        pub phase: u64 = 5,
        /// Epochs of the last dense phase; 0 has none.
        #[acts(always)]
        pub last_dense: u64 = 10,
        /// Epochs of the last compressed phase, which ends the run.
        #[acts(always)]
        pub last_compressed: u64 = 15,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("sparsity", self.sparsity);
        checks.above("sparsity", self.sparsity, 0.0);
        checks.ensure("phase", self.phase > 0, "must be at least 1 epoch");
        checks.ensure("last_compressed", self.last_compressed > 0, "must be at least 1 epoch");
    }
}

impl AcDc {
    /// Whether an epoch of a run of `epochs` is compressed.
    fn compressed(&self, epoch: u64, epochs: u64) -> bool {
        let left = epochs.saturating_sub(epoch);
        if left <= self.last_compressed {
            return true;
        }
        let between = epoch.checked_sub(self.warmup).filter(|_| left > self.last_compressed + self.last_dense);
        between.is_some_and(|since| (since / self.phase).is_multiple_of(2))
    }
}

fn epochs(run: &RunLength) -> u64 {
    run.steps / run.steps_per_epoch.max(1)
}

impl Schedule for AcDc {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        let (epochs, fixed) = (epochs(run), self.warmup + self.last_dense + self.last_compressed);
        if fixed <= epochs {
            return Ok(());
        }
        let text = format!(
            "and `last_dense` = {} and `last_compressed` = {} take {fixed} epochs, but train.epochs = {epochs}",
            self.last_dense, self.last_compressed
        );
        Err(OptionError::new("warmup", self.warmup, text).into())
    }

    fn at_start(&self, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.compressed(0, epochs(run)).then_some(Amount::Sparsity(self.sparsity)))
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let (from, all) = (epochs_from(from, run), epochs(run));
        let last = all.saturating_sub(self.last_compressed);
        let phases_end = last.saturating_sub(self.last_dense);
        let phase = due(from, self.warmup, self.phase);
        let changes = [phase.min(phases_end), phases_end, last];
        Ok(changes.into_iter().find(|epoch| *epoch >= from).map(|epoch| end_of(epoch, run)))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let all = epochs(run);
        let Some(next) = run.epochs_finished(step).filter(|next| *next < all) else { return Ok(None) };
        let (was, is) = (self.compressed(next - 1, all), self.compressed(next, all));
        Ok((was != is).then_some(Amount::Sparsity(if is { self.sparsity } else { 0.0 })))
    }
}

register!(Schedule, "ac-dc", AcDc, "Compressed and dense phases in turn (Peste et al. 2021).");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;

    /// The epochs at whose beginning something changes.
    fn changes(schedule: &AcDc, epochs: u64) -> Vec<(u64, f64)> {
        targets(schedule, epochs * 10, 10).into_iter().map(|(step, s)| ((step + 1) / 10, s)).collect()
    }

    /// Peste et al. 2021, section 4: 10 dense epochs, phases of 5, a last dense phase of 10 from epoch 75, and a last
    /// compressed one of 15.
    #[test]
    fn a_hundred_epochs_are_divided_as_in_the_paper() {
        let expected: Vec<(u64, f64)> = (2..=15).map(|i| (i * 5, if i % 2 == 0 { 0.9 } else { 0.0 })).collect();
        let expected: Vec<_> = expected.into_iter().chain([(85, 0.9)]).collect();
        assert_eq!(changes(&AcDc::default(), 100), expected);
    }

    #[test]
    fn phases_that_do_not_fit_are_cut_by_the_last_ones() {
        let short = AcDc { warmup: 1, phase: 2, last_dense: 2, last_compressed: 3, ..AcDc::default() };
        // d c c d d c | d d | c c c: the third compressed phase has one epoch.
        assert_eq!(changes(&short, 11), [(1, 0.9), (3, 0.0), (5, 0.9), (6, 0.0), (8, 0.9)]);
        let dense_before = AcDc { warmup: 1, phase: 2, last_dense: 2, last_compressed: 3, ..AcDc::default() };
        // d c c d d | d d | c c c: a dense phase goes over into the last one.
        assert_eq!(changes(&dense_before, 10), [(1, 0.9), (3, 0.0), (7, 0.9)]);
        let from_start = AcDc { warmup: 0, ..short };
        let run = RunLength { steps: 100, steps_per_epoch: 10 };
        assert_eq!(from_start.at_start(&run).unwrap(), Some(Amount::Sparsity(0.9)));
    }

    #[test]
    fn a_run_that_is_too_short_is_refused() {
        let text = AcDc::default().setup(&RunLength { steps: 340, steps_per_epoch: 10 }).unwrap_err().to_string();
        assert!(text.contains("take 35 epochs") && text.contains("train.epochs = 34"), "{text}");
        assert!(AcDc::default().setup(&RunLength { steps: 350, steps_per_epoch: 10 }).is_ok());
        let keys: Vec<_> = AcDc { phase: 0, last_compressed: 0, ..AcDc::default() }.errors();
        assert_eq!(keys.into_iter().map(|e| e.key).collect::<Vec<_>>(), ["phase", "last_compressed"]);
    }
}
