//! Whether the threads share a pass: where its operations are small, handing them over takes longer on some machines than
//! computing them, on others not. So the first passes over batches of a size try both, and the faster way stays. The answers
//! are the same bits.

use std::time::Duration;

/// Passes that try, half of them each way.
const TRIES: u32 = 8;

/// The ways for batches of one size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ways {
    tried: u32,
    /// The shortest pass of one thread alone, and of all together.
    shortest: [Option<Duration>; 2],
}

impl Ways {
    /// Whether the next pass is that of all threads together.
    pub fn together(&self) -> bool {
        match self.shortest {
            [Some(alone), Some(together)] if self.tried >= TRIES => together < alone,
            _ => self.tried.is_multiple_of(2),
        }
    }

    /// How long a pass took.
    pub fn took(&mut self, together: bool, time: Duration) {
        if self.tried < TRIES {
            self.tried += 1;
            let shortest = &mut self.shortest[usize::from(together)];
            *shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_way_stays_when_both_were_tried() {
        for (alone, together) in [(3, 5), (5, 3)] {
            let (mut ways, mut passes) = (Ways::default(), [0; 2]);
            for pass in 0..20 {
                let way = ways.together();
                passes[usize::from(way)] += 1;
                // The first passes take long, whichever way.
                let cold = if pass < 2 { 100 } else { 0 };
                ways.took(way, Duration::from_millis(cold + if way { together } else { alone }));
            }
            assert_eq!(passes, if together < alone { [4, 16] } else { [16, 4] });
        }
    }
}
