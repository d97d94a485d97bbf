//! Entropy of what was counted.

use std::f64::consts::LN_2;

/// Entropy in bits of outcomes that were counted (the plug-in estimate): `-sum n_i/N log2 n_i/N`. With the counts of
/// all equally likely outcomes it is exact; of a sample it is too low on average, and never above `log2 N`.
pub fn entropy(counts: impl IntoIterator<Item = u64>) -> f64 {
    let mut counts: Vec<u64> = counts.into_iter().filter(|count| *count > 0).collect();
    // Counts come out of hash tables: a sum in their order would differ in its last digits from process to process.
    counts.sort_unstable();
    let (mut total, mut sum) = (0, 0.0);
    for count in counts {
        total += count;
        sum += count as f64 * (count as f64).log2();
    }
    if total == 0 { 0.0 } else { ((total as f64).log2() - sum / total as f64).max(0.0) }
}

/// What Miller and Madow (1955) add to the plug-in entropy, in bits: `(seen - 1) / (2 N ln 2)` for outcomes of `seen`
/// kinds among `N`. It corrects the bias to the order 1/N, where most kinds were seen; where nearly every outcome is of
/// a kind of its own, no correction helps.
pub fn miller_madow(seen: usize, total: u64) -> f64 {
    if total == 0 { 0.0 } else { seen.saturating_sub(1) as f64 / (2.0 * total as f64 * LN_2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_counts_have_the_logarithm_of_their_number() {
        assert_eq!(entropy([3, 3, 3, 3]), 2.0);
        assert_eq!((entropy([5]), entropy([0, 5]), entropy([])), (0.0, 0.0, 0.0));
        // 1/2, 1/4, 1/8, 1/8.
        assert!((entropy([4, 2, 1, 1]) - 1.75).abs() < 1e-15);
    }

    #[test]
    fn the_order_of_the_counts_changes_no_bit() {
        let counts: Vec<u64> = (1..200).map(|i| i * i % 97 + 1).collect();
        let reversed = entropy(counts.iter().rev().copied());
        assert_eq!(entropy(counts).to_bits(), reversed.to_bits());
    }

    /// Of two throws of a fair coin, the plug-in entropy is 0 or 1 with probability one half each; the correction adds
    /// nothing or 1 / (4 ln 2) bits.
    #[test]
    fn the_correction_brings_the_mean_nearer() {
        let mean = |corrected: bool| -> f64 {
            let of = |counts: [u64; 2]| {
                let seen = counts.iter().filter(|count| **count > 0).count();
                entropy(counts) + if corrected { miller_madow(seen, 2) } else { 0.0 }
            };
            ([[2, 0], [1, 1], [1, 1], [0, 2]].map(of)).iter().sum::<f64>() / 4.0
        };
        assert_eq!(mean(false), 0.5);
        assert!((mean(true) - (0.5 + 0.5 / (4.0 * LN_2))).abs() < 1e-15 && mean(true) < 1.0);
    }
}
