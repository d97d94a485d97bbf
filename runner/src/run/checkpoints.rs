//! How often a run's checkpoint is written.

use std::time::{Duration, Instant};

/// Where nobody says how often, a second of writing is followed by this many seconds without: that is less than 2 % of
/// the time.
const REST: u32 = 50;
/// Nothing is written more often than this: nobody misses half a minute, and short runs need no checkpoint.
const SHORTEST: Duration = Duration::from_secs(30);
/// What a checkpoint is taken to hold for each parameter before the first one is written: its value and two of the
/// optimizer, on a disk that takes a gigabyte a second.
const GUESS: Duration = Duration::from_nanos(12);

/// Decides when a checkpoint is written.
#[derive(Debug)]
pub struct Checkpoints {
    every: Option<u64>,
    epochs: u64,
    due: Instant,
}

impl Checkpoints {
    /// Checkpoints every so many epochs, never for 0; where absent, so often that at most a minute is lost, or fifty
    /// times what a checkpoint takes where that is longer.
    pub fn new(every: Option<u64>, now: Instant) -> Self {
        Self { every, epochs: 0, due: now + SHORTEST }
    }

    /// The steps begin, of a network of so many parameters.
    pub fn begin(&mut self, params: usize, now: Instant) {
        let guess = GUESS * u32::try_from(params).unwrap_or(u32::MAX);
        self.due = now + (guess * REST).max(SHORTEST);
    }

    /// Whether so much time has gone by that one is wanted, wherever the run is.
    pub fn due(&self, now: Instant) -> bool {
        self.every.is_none() && now >= self.due
    }

    /// Whether one is wanted where one can be written: at the end of an epoch, and where one is [`due`](Self::due).
    pub fn wanted(&mut self, now: Instant) -> bool {
        match self.every {
            Some(0) => false,
            // Nothing else is then asked for, so that this is the end of an epoch.
            Some(every) => {
                self.epochs += 1;
                self.epochs.is_multiple_of(every)
            }
            None => self.due(now),
        }
    }

    /// Learns what the last one cost.
    pub fn written(&mut self, began: Instant, now: Instant) {
        self.due = now + ((now - began) * REST).max(SHORTEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of 100 ms of a network of so many parameters, four to an epoch, checkpoints that take `cost`: how many are
    /// written in an hour, the longest time without one, and when the first one was there.
    fn hour(every: Option<u64>, params: usize, cost: Duration) -> (u32, Duration, Duration) {
        let (start, step) = (Instant::now(), Duration::from_millis(100));
        let mut checkpoints = Checkpoints::new(every, start);
        checkpoints.begin(params, start);
        let (mut now, mut last, mut count, mut longest, mut first) = (start, start, 0, Duration::ZERO, None);
        for steps in 1.. {
            now += step;
            if now - start > Duration::from_secs(3600) {
                break;
            }
            let epoch_over = steps % 4 == 0;
            if (checkpoints.due(now) || epoch_over) && checkpoints.wanted(now) {
                longest = longest.max(now - last);
                let began = now;
                now += cost;
                checkpoints.written(began, now);
                (last, count) = (now, count + 1);
                first.get_or_insert(now - start);
            }
        }
        (count, longest.max(now - last), first.unwrap_or_default())
    }

    #[test]
    fn at_most_a_minute_is_lost_or_fifty_times_a_checkpoint_at_less_than_a_fiftieth_of_the_time() {
        const HOUR: Duration = Duration::from_secs(3600);
        for (cost, most) in [(1, 60), (40, 60), (900, 60), (2_000, 101), (20_000, 1_001)] {
            let (cost, most) = (Duration::from_millis(cost), Duration::from_secs(most));
            let (count, longest, _) = hour(None, cost.div_duration_f64(GUESS) as usize, cost);
            let share = (cost * count).div_duration_f64(HOUR);
            assert!(count > 0 && share < 0.02 && longest <= most, "{cost:?}: {count}, {share}, {longest:?}");
            // On a disk so slow that nobody guesses it: as soon as the first one was written.
            let (count, longest, first) = hour(None, 1000, cost);
            let share = (cost * (count - 1)).div_duration_f64(HOUR - first);
            assert!(share < 0.02 && longest <= most, "{cost:?} for a small network: {count}, {share}, {longest:?}");
        }
    }

    #[test]
    fn epochs_are_counted_where_that_is_asked_for() {
        let cost = Duration::ZERO;
        assert_eq!([Some(0), Some(1), Some(3)].map(|every| hour(every, 1000, cost).0), [0, 9_000, 3_000]);
    }

    #[test]
    fn a_large_network_gets_its_first_checkpoint_later() {
        let now = Instant::now();
        let mut checkpoints = Checkpoints::new(None, now);
        checkpoints.begin(85_000_000, now);
        assert!(!checkpoints.due(now + Duration::from_secs(45)) && checkpoints.due(now + Duration::from_secs(60)));
    }
}
