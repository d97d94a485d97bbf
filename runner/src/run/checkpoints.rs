//! How often a run's checkpoint is written.

use std::time::{Duration, Instant};

/// Where nobody says how often, one second of writing is followed by this many seconds without: less than 1 % of the
/// time.
const REST: u32 = 100;
/// The time that a checkpoint is taken to cost at least: short runs need none, and nobody misses ten seconds.
const GUESS: Duration = Duration::from_millis(100);

/// Decides at the end of each epoch whether a checkpoint is written.
#[derive(Debug)]
pub struct Checkpoints {
    every: Option<u64>,
    epochs: u64,
    due: Instant,
}

impl Checkpoints {
    /// Checkpoints every so many epochs, never for 0, and as often as costs little where absent.
    pub fn new(every: Option<u64>, now: Instant) -> Self {
        Self { every, epochs: 0, due: now + GUESS * REST }
    }

    /// Whether one is wanted now that another epoch is over.
    pub fn after_epoch(&mut self, now: Instant) -> bool {
        self.epochs += 1;
        match self.every {
            Some(0) => false,
            Some(every) => self.epochs.is_multiple_of(every),
            None => now >= self.due,
        }
    }

    /// Learns what the last one cost.
    pub fn written(&mut self, began: Instant, now: Instant) {
        self.due = now + (now - began).max(GUESS) * REST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs of half a second each, checkpoints of 40 ms: how many epochs of a hundred end with one.
    fn count(every: Option<u64>) -> usize {
        let mut now = Instant::now();
        let mut checkpoints = Checkpoints::new(every, now);
        let one = |_: &u32| {
            now += Duration::from_millis(500);
            let wanted = checkpoints.after_epoch(now);
            if wanted {
                let began = now;
                now += Duration::from_millis(40);
                checkpoints.written(began, now);
            }
            wanted
        };
        (0..100).filter(one).count()
    }

    #[test]
    fn as_often_as_asked_for_or_as_costs_little() {
        assert_eq!((count(Some(0)), count(Some(1)), count(Some(3))), (0, 100, 33));
        // One in every ten seconds, of fifty.
        assert_eq!(count(None), 5);
    }
}
