//! What training brings back of what pruning steps cost (the dips that recover in the figures of the USC report, "Neural
//! importance-based train-time pruning").

use serde::{Deserialize, Serialize};

/// Means over the pruning steps of a run around which the network was measured and after which it was trained on, in
/// fractions of the validation examples (of the test examples, where there is no validation split).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Pruning steps that it is known of.
    pub steps: usize,
    /// Accuracy right before a step less accuracy right after it.
    pub drop: f64,
    /// Accuracy right before the next step, or at the last evaluation of the run, less accuracy right after the step. What the
    /// network would have learned anyway counts too.
    pub regained: f64,
    /// What is missing of what a step cost: `drop - regained`, below 0 where accuracy ended higher than it was.
    pub left: f64,
}

/// Follows the accuracy from pruning step to pruning step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recovering {
    /// The sums of `drop` and `regained`, and of how many steps.
    sums: (f64, f64, usize),
    /// Accuracy right before and right after the last pruning step.
    open: Option<(f64, f64)>,
    /// Accuracy at the last evaluation since then.
    last: Option<f64>,
}

impl Recovering {
    /// The network was measured after an epoch.
    pub fn trained(&mut self, accuracy: Option<f64>) {
        self.last = accuracy;
    }

    /// It was measured right before and right after a pruning step.
    pub fn pruned(&mut self, before: f64, after: f64) {
        self.last = Some(before);
        *self = Self { sums: self.closed(), open: Some((before, after)), last: None };
    }

    /// Weights of an earlier step came back: what follows says nothing of the step before.
    pub fn rewound(&mut self) {
        (self.open, self.last) = (None, None);
    }

    /// The sums with the step that is open, where the network was measured after it.
    fn closed(&self) -> (f64, f64, usize) {
        let (drop, regained, steps) = self.sums;
        let closed = self.open.zip(self.last);
        closed.map_or(self.sums, |((before, after), now)| (drop + before - after, regained + now - after, steps + 1))
    }

    /// The means; none where no step was measured.
    pub fn told(&self) -> Option<Recovery> {
        let (drop, regained, steps) = self.closed();
        let n = steps as f64;
        (steps > 0).then(|| Recovery { steps, drop: drop / n, regained: regained / n, left: (drop - regained) / n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_counted_up_to_the_next_step_or_the_end() {
        let mut recovering = Recovering::default();
        recovering.trained(Some(0.9));
        assert_eq!(recovering.told(), None);
        recovering.pruned(0.875, 0.625);
        assert_eq!(recovering.told(), None, "it was not trained on yet");
        recovering.trained(Some(0.75));
        let found = recovering.told().unwrap();
        assert_eq!((found.steps, found.drop, found.regained, found.left), (1, 0.25, 0.125, 0.125));
        // Measured again right before the next step, which is what counts.
        recovering.pruned(1.0, 0.5);
        recovering.trained(None);
        let found = recovering.told().unwrap();
        assert_eq!((found.steps, found.drop, found.regained, found.left), (1, 0.25, 0.375, -0.125));
        recovering.trained(Some(0.75));
        let found = recovering.told().unwrap();
        assert_eq!((found.steps, found.drop, found.regained, found.left), (2, 0.375, 0.3125, 0.0625));
        recovering.rewound();
        recovering.trained(Some(0.0));
        assert_eq!(recovering.told().unwrap().steps, 1);
    }
}
