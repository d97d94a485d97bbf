//! Which scores are the k lowest, exactly: two counting passes, no sorting and no copy.

/// The place where scores are cut: those below it go, and of those equal to it the first few.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The k-th lowest score.
    pub score: f32,
    /// How many scores are below it.
    pub below: usize,
    /// How many equal to it go, the first in order.
    pub ties: usize,
}

/// Why no cut exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A score is not a number.
    #[error("score {index} of slice {slice} is NaN: scores must be numbers (infinities are allowed)")]
    Nan {
        /// Which of the slices.
        slice: usize,
        /// Index in it.
        index: usize,
    },
    /// More are asked for than there are.
    #[error("{k} lowest scores of {n} cannot be chosen: ask for at most {n}")]
    TooMany {
        /// Asked for.
        k: usize,
        /// Scores there are.
        n: usize,
    },
}

/// Finds the cut that takes exactly the `k` lowest of all scores; equal ones go in the order of slice, then index.
///
/// For `k` = 0 the score is minus infinity and nothing goes.
///
/// # Errors
/// A score is NaN, or there are fewer than `k` scores.
pub fn lowest(scores: &[&[f32]], k: usize) -> Result<Cut, SelectError> {
    let n = scores.iter().map(|s| s.len()).sum();
    if k > n {
        return Err(SelectError::TooMany { k, n });
    }
    for (slice, s) in scores.iter().enumerate() {
        // A cheap test first: NaN is the only value that differs from itself.
        if s.iter().any(|s| s.is_nan()) {
            let index = s.iter().position(|s| s.is_nan()).unwrap_or_default();
            return Err(SelectError::Nan { slice, index });
        }
    }
    if k == 0 {
        return Ok(Cut { score: f32::NEG_INFINITY, below: 0, ties: 0 });
    }
    let keys = || scores.iter().flat_map(|s| s.iter().map(|&s| key(s)));
    let (high, before) = bin_of(k, keys().map(|key| key >> 16));
    let (low, below) = bin_of(k - before, keys().filter(|key| key >> 16 == high).map(|key| key & 0xffff));
    let below = before + below;
    Ok(Cut { score: score(high << 16 | low), below, ties: k - below })
}

impl Cut {
    /// Writes 0 for the scores that go and 1 for the others; slice after slice, in the order given to [`lowest`].
    ///
    /// `ties` counts down over the slices; start it at [`Cut::ties`].
    pub fn write_mask(&self, mask: &mut [f32], scores: &[f32], ties: &mut usize) {
        assert_eq!(mask.len(), scores.len());
        for (mask, &score) in mask.iter_mut().zip(scores) {
            let tie = score == self.score && *ties > 0;
            *ties -= usize::from(tie);
            *mask = if tie || score < self.score { 0.0 } else { 1.0 };
        }
    }
}

/// The bin of the k-th lowest (from 1) of numbers below 2^16, and how many are in the bins before.
fn bin_of(k: usize, values: impl Iterator<Item = u32>) -> (u32, usize) {
    let mut counts = vec![0_usize; 1 << 16];
    for v in values {
        counts[v as usize] += 1;
    }
    let mut before = 0;
    for (bin, count) in (0..).zip(counts) {
        if before + count >= k {
            return (bin, before);
        }
        before += count;
    }
    unreachable!("k is at most the number of values")
}

/// An integer that orders as the score does; both zeros are equal.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The inverse of [`key`].
fn score(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::super::testing::random;
    use super::*;
    use proptest::prelude::*;

    fn mask_of(scores: &[&[f32]], k: usize) -> Vec<Vec<f32>> {
        let cut = lowest(scores, k).expect("valid");
        let mut ties = cut.ties;
        let one = |s: &&[f32]| {
            let mut mask = vec![f32::NAN; s.len()];
            cut.write_mask(&mut mask, s, &mut ties);
            mask
        };
        scores.iter().map(one).collect()
    }

    #[test]
    fn ties_go_in_order() {
        assert_eq!(mask_of(&[&[1.0, 0.0, 1.0, 2.0, 1.0]], 3), [[0.0, 0.0, 0.0, 1.0, 1.0]]);
        assert_eq!(mask_of(&[&[-0.0, 0.0], &[0.0, -0.0]], 3), [[0.0, 0.0], [0.0, 1.0]]);
        assert_eq!(mask_of(&[&[f32::INFINITY, f32::NEG_INFINITY, 0.0]], 2), [[1.0, 0.0, 0.0]]);
    }

    #[test]
    fn nothing_and_everything_can_go() {
        assert_eq!(mask_of(&[&[3.0, 1.0]], 0), [[1.0, 1.0]]);
        assert_eq!(mask_of(&[&[f32::NEG_INFINITY]], 0), [[1.0]]);
        assert_eq!(mask_of(&[&[3.0, 1.0]], 2), [[0.0, 0.0]]);
        assert_eq!(lowest(&[], 0), Ok(Cut { score: f32::NEG_INFINITY, below: 0, ties: 0 }));
    }

    #[test]
    fn nan_and_excess_are_errors() {
        assert_eq!(lowest(&[&[1.0], &[0.0, f32::NAN]], 1), Err(SelectError::Nan { slice: 1, index: 1 }));
        assert_eq!(lowest(&[&[1.0], &[0.0]], 3), Err(SelectError::TooMany { k: 3, n: 2 }));
    }

    proptest! {
        #[test]
        fn agrees_with_a_stable_sort(seed in 0_u64..1000, n in 1_usize..200, share in 0.0_f64..=1.0, coarse: bool) {
            let mut scores = random(n, seed);
            if coarse {
                scores.iter_mut().for_each(|s| *s = (*s * 3.0).round());
            }
            let k = (share * n as f64) as usize;
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| scores[a].partial_cmp(&scores[b]).expect("no NaN"));
            let mut expected = vec![1.0; n];
            order[..k].iter().for_each(|&i| expected[i] = 0.0);
            let (a, b) = scores.split_at(n / 3);
            prop_assert_eq!(mask_of(&[a, b], k).concat(), expected);
        }
    }
}
