//! The toy's pruners: which parameters stay, for every data set.

use super::network::{LANES, Points, WEIGHTS, Weights, gradient, hessian_times, synaptic_flow, train};
use super::{Training, random};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;

/// Every parameter, as bits.
const EVERYTHING: u32 = (1 << WEIGHTS) - 1;
/// Rounds of SynFlow, as its authors have it.
const ROUNDS: usize = 100;

/// How a mask is made. Of equal scores, the earlier parameter stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pruner {
    /// Trained, and the largest weights stay.
    Magnitude,
    /// Trained, the smallest of the rest go, back to the start; until few enough are left (Frankle & Carbin 2018).
    Imp,
    /// The largest |w dL/dw| at the start stay (Lee et al. 2019).
    Snip,
    /// The largest w (H dL/dw) at the start stay (Wang et al. 2020); its temperature divides logits, and has no place
    /// under a squared error.
    Grasp,
    /// The largest synaptic flow stays, of 100 rounds (Tanaka et al. 2020). Sees no data.
    Synflow,
    /// Drawn at random. Sees no data.
    Random,
}

impl Pruner {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Imp, Self::Magnitude, Self::Snip, Self::Grasp, Self::Synflow, Self::Random];

    /// Its name: `imp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Magnitude => "magnitude",
            Self::Imp => "imp",
            Self::Snip => "snip",
            Self::Grasp => "grasp",
            Self::Synflow => "synflow",
            Self::Random => "random",
        }
    }
}

/// The parameters that stay for every problem, as bits.
pub(super) fn masks(
    blocks: &[(Points, usize)],
    pruner: Pruner,
    start: &[f64; WEIGHTS],
    training: &Training,
) -> Result<Vec<u32>> {
    let Training { nnz, pruner_seed, .. } = *training;
    let blind = match pruner {
        Pruner::Random => Some(random(nnz, pruner_seed)),
        Pruner::Synflow => Some(synflow(start, nnz)),
        _ => None,
    };
    let w: Weights = std::array::from_fn(|i| [start[i]; LANES]);
    let block = |(points, used): &(Points, usize)| -> Result<Vec<u32>> {
        let bits = match (blind, pruner) {
            (Some(bits), _) => [bits; LANES],
            (None, Pruner::Snip) => {
                let g = gradient(&w, points);
                let score = |i: usize, l: usize| (w[i][l] * g[i][l]).abs();
                best([EVERYTHING; LANES], nnz, score)
            }
            (None, Pruner::Grasp) => {
                let hg = hessian_times(&w, points, &gradient(&w, points));
                best([EVERYTHING; LANES], nnz, |i, l| w[i][l] * hg[i][l])
            }
            (None, _) => trained(&w, points, training, pruner == Pruner::Imp)?,
        };
        Ok(bits[..*used].to_vec())
    };
    let all = blocks.par_iter().map(block).collect::<Result<Vec<_>>>()?;
    Ok(all.concat())
}

/// Magnitude pruning, at once or in rounds from the start again.
fn trained(start: &Weights, points: &Points, training: &Training, rounds: bool) -> Result<[u32; LANES]> {
    let Training { steps, lr, nnz, rate, .. } = *training;
    let (mut kept, mut bits) = (WEIGHTS, [EVERYTHING; LANES]);
    while kept > nnz {
        let mask: Weights = std::array::from_fn(|i| std::array::from_fn(|l| f64::from(bits[l] >> i & 1)));
        let mut w: Weights = std::array::from_fn(|i| std::array::from_fn(|l| start[i][l] * mask[i][l]));
        train(&mut w, &mask, points, steps, lr);
        if !w.as_flattened().iter().all(|value| value.is_finite()) {
            return Err(Error::Config(format!(
                "lr is {lr}: weights of a network became infinite\n  allowed: one at which every network is stable, \
                 such as 0.05"
            )));
        }
        kept = if rounds { nnz.max(kept - ((rate * kept as f64) as usize).max(1)) } else { nnz };
        bits = best(bits, kept, |i, l| w[i][l].abs());
    }
    Ok(bits)
}

/// The `count` highest scores of those that were kept, for each network.
fn best(before: [u32; LANES], count: usize, score: impl Fn(usize, usize) -> f64) -> [u32; LANES] {
    std::array::from_fn(|l| top(before[l], count, |i| score(i, l)))
}

fn top(before: u32, count: usize, score: impl Fn(usize) -> f64) -> u32 {
    let mut order: Vec<usize> = (0..WEIGHTS).filter(|i| before >> i & 1 == 1).collect();
    // Stable: of equal ones (of 0 and -0 too) the earlier comes first.
    order.sort_by(|a, b| score(*b).partial_cmp(&score(*a)).unwrap_or(std::cmp::Ordering::Equal));
    order.into_iter().take(count).fold(0, |bits, i| bits | 1 << i)
}

/// In rounds of which the k-th keeps `21 (nnz/21)^(k/100)`.
fn synflow(start: &[f64; WEIGHTS], nnz: usize) -> u32 {
    let density = nnz as f64 / WEIGHTS as f64;
    let round = |bits: u32, k: usize| {
        let kept = (WEIGHTS as f64 * density.powf(k as f64 / ROUNDS as f64)).round() as usize;
        let flow = synaptic_flow(start, bits);
        top(bits, kept.max(nnz), |i| flow[i])
    };
    (1..=ROUNDS).fold(EVERYTHING, round)
}
