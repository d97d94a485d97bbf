//! Wilcoxon's signed-rank test, two-sided, with the choices that scipy makes by default.

use statrs::distribution::{ContinuousCDF, Normal};

/// Pairs up to which the distribution is counted out, where no two differences are equal and none is zero.
const EXACT: usize = 50;

/// The same, where some differences are equal or zero.
const EXACT_WITH_TIES: usize = 13;

/// Probability of rank sums at least as uneven if differences were symmetric about zero; `None` where all are zero.
///
/// Zeros are left out, ties share their mean rank. Exact for few pairs, else the normal approximation with the variance
/// corrected for ties and without continuity correction.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Twice the ranks are whole numbers, mean ranks of ties too.
    let mut doubled = Vec::with_capacity(sorted.len());
    let (mut ties, mut tied) = (0.0, false);
    for same in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = doubled.len() + 1;
        doubled.resize(doubled.len() + same.len(), 2 * first + same.len() - 1);
        let t = same.len() as f64;
        ties += t * t * t - t;
        tied |= same.len() > 1;
    }
    let positive: usize = sorted.iter().zip(&doubled).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    let untied = !tied && sorted.len() == differences.len();
    if differences.len() <= if untied { EXACT } else { EXACT_WITH_TIES } {
        return Some(exact(&doubled, positive));
    }
    let n = sorted.len() as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    let z = (positive as f64 / 2.0 - n * (n + 1.0) / 4.0) / variance.sqrt();
    Some(2.0 * Normal::standard().sf(z.abs()))
}

/// Over all signs, which are equally likely.
fn exact(ranks: &[usize], positive: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    let mut ways = vec![0.0f64; total + 1];
    ways[0] = 1.0;
    let mut reach = 0;
    for rank in ranks {
        reach += rank;
        for sum in (*rank..=reach).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = 2f64.powi(ranks.len() as i32);
    let below = ways[..=positive].iter().sum::<f64>() / all;
    let above = ways[positive..].iter().sum::<f64>() / all;
    (2.0 * below.min(above)).min(1.0)
}
