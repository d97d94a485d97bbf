//! What stays of a parameter or a unit group, and who decided it.

use super::budget::KeepCount;
use super::scores::LayerScores;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Which elements stay.
#[derive(Debug, Clone)]
pub enum KeepMask<B: Backend> {
    /// One or zero for every weight.
    Weights(Tensor<B>),
    /// Whether each unit stays.
    Units(Vec<bool>),
}

impl<B: Backend> KeepMask<B> {
    /// How many stay.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn count(&self) -> Result<usize> {
        match self {
            // The sum of the squares of ones is their number.
            Self::Weights(marks) => Ok(B::norm_squared(marks)? as usize),
            Self::Units(keep) => Ok(count(keep)),
        }
    }

    /// How many of this choice's elements are in `other` too.
    pub(super) fn common(&self, other: &Self) -> Result<usize> {
        match (self, other) {
            (Self::Weights(a), Self::Weights(b)) => Ok(B::norm_squared(&a.reshape(b.shape())?.mul(b)?)? as usize),
            (Self::Units(a), Self::Units(b)) => Ok(a.iter().zip(b).filter(|(a, b)| **a && **b).count()),
            _ => Err(Error::Other("weights cannot be compared with units".into())),
        }
    }
}

/// The best by the criterion's scores: `counts` of each list, or over all lists. `before` marks what of each was kept
/// so far, where what is pruned never returns.
///
/// Where `one_each`, no list of weights is left without any; the total stays what it is.
pub(super) fn best<B: Backend>(
    scored: Vec<LayerScores<B>>,
    before: Vec<Option<KeepMask<B>>>,
    counts: &KeepCount,
    one_each: bool,
) -> Result<Vec<KeepMask<B>>> {
    let (mut weights, mut alive, mut units, mut keep) = (vec![], vec![], vec![], vec![]);
    for (scores, before) in scored.into_iter().zip(before) {
        match (scores, before) {
            (LayerScores::Weights(scores), None) => (weights.push(scores), alive.push(None)),
            (LayerScores::Weights(scores), Some(KeepMask::Weights(marks))) => {
                (weights.push(scores), alive.push(Some(marks)))
            }
            (LayerScores::Units(scores), None) => (keep.push(vec![true; scores.len()]), units.push(scores)),
            (LayerScores::Units(scores), Some(KeepMask::Units(before))) => (keep.push(before), units.push(scores)),
            _ => return Err(Error::Other("the criterion scored some names by weights and others by units".into())),
        };
    }
    if !weights.is_empty() {
        let kept = match counts {
            KeepCount::Total(total) if one_each => best_weights_of_every_layer(weights, &alive, *total)?,
            KeepCount::Total(total) => best_weights(&weights, &alive, *total)?,
            KeepCount::Each(counts) => {
                let one = |((w, a), n): ((&Tensor<B>, &Option<Tensor<B>>), &usize)| {
                    best_weights(std::slice::from_ref(w), std::slice::from_ref(a), *n)
                };
                weights.iter().zip(&alive).zip(counts).map(one).collect::<Result<Vec<_>>>()?.concat()
            }
        };
        return Ok(kept);
    }
    match counts {
        KeepCount::Total(total) => best_units(&mut keep, &units, *total),
        KeepCount::Each(counts) => keep.iter_mut().zip(&units).zip(counts).for_each(|((keep, scores), count)| {
            best_units(std::slice::from_mut(keep), std::slice::from_ref(scores), *count);
        }),
    }
    Ok(keep.into_iter().map(KeepMask::Units).collect())
}

/// The criterion decided itself; `before` as in [`best`].
pub(super) fn own_rule<B: Backend>(
    device: &B,
    scored: Vec<LayerScores<B>>,
    before: Vec<Option<KeepMask<B>>>,
) -> Result<Vec<KeepMask<B>>> {
    let one = |(scores, before)| {
        let LayerScores::Keep(own) = scores else {
            let message = "the criterion decided some parameters itself but returned scores for others";
            return Err(Error::Other(message.into()));
        };
        let n = own.len();
        let marks = Tensor::from_vec(device, own.into_iter().map(|k| f32::from(u8::from(k))).collect(), [n])?;
        Ok(KeepMask::Weights(match before {
            Some(KeepMask::Weights(before)) => marks.mul(&before.reshape([n])?)?,
            _ => marks,
        }))
    };
    scored.into_iter().zip(before).map(one).collect()
}

/// Leaves the `total` best weights over several lists, and makes sure that the device kept as many.
fn best_weights<B: Backend>(
    scores: &[Tensor<B>],
    alive: &[Option<Tensor<B>>],
    total: usize,
) -> Result<Vec<KeepMask<B>>> {
    let candidates = |(s, a): (&Tensor<B>, &Option<Tensor<B>>)| match a {
        Some(marks) => KeepMask::Weights(marks.clone()).count(),
        None => Ok(s.count()),
    };
    let expected = total.min(scores.iter().zip(alive).map(candidates).sum::<Result<usize>>()?);
    let kept: Vec<_> = B::keep_best(scores, alive, total)?.into_iter().map(KeepMask::Weights).collect();
    let found = kept.iter().map(KeepMask::count).sum::<Result<usize>>()?;
    if found == expected {
        return Ok(kept);
    }
    Err(Error::Other(format!("{} kept {found} weights of a ranking that was to keep {expected}", B::NAME)))
}

/// The same, but the best weight of a layer that would lose all of them takes the place of the worst elsewhere.
fn best_weights_of_every_layer<B: Backend>(
    mut scores: Vec<Tensor<B>>,
    alive: &[Option<Tensor<B>>],
    total: usize,
) -> Result<Vec<KeepMask<B>>> {
    loop {
        let kept = best_weights(&scores, alive, total)?;
        let counts = kept.iter().map(KeepMask::count).collect::<Result<Vec<_>>>()?;
        // Each pass secures one weight in every layer that came out empty, so that there are as many passes as layers
        // at most.
        let mut secured = false;
        for ((scores, alive), _) in scores.iter_mut().zip(alive).zip(counts).filter(|(_, count)| *count == 0) {
            let mut values = scores.to_vec();
            if let Some(best) = best_of(&values, alive.as_ref()) {
                values[best] = f32::MAX;
                *scores = Tensor::from_vec(scores.device(), values, scores.shape())?;
                secured = true;
            }
        }
        if !secured {
            return Ok(kept);
        }
    }
}

/// Index of the largest score among what is there, the last of equals as everywhere.
fn best_of<B: Backend>(scores: &[f32], alive: Option<&Tensor<B>>) -> Option<usize> {
    let alive = alive.map(Tensor::host);
    let there = |i: &usize| alive.as_ref().is_none_or(|a| a[*i] != 0.0);
    (0..scores.len()).filter(there).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

/// Gives a choice that leaves nothing the element of the largest score.
pub(super) fn never_empty<B: Backend>(keep: &mut KeepMask<B>, scores: &Tensor<B>) -> Result<()> {
    let KeepMask::Weights(marks) = keep else { return Ok(()) };
    if B::norm_squared(marks)? == 0.0
        && let Some(best) = best_of::<B>(&scores.host(), None)
    {
        let mut values = marks.to_vec();
        values[best] = 1.0;
        *marks = Tensor::from_vec(marks.device(), values, marks.shape())?;
    }
    Ok(())
}

/// Leaves the `total` best units over several groups; no group loses its last one.
fn best_units(keep: &mut [Vec<bool>], scores: &[Vec<f32>], total: usize) {
    let mut order: Vec<(f32, usize, usize)> = (keep.iter().zip(scores).enumerate())
        .flat_map(|(group, (keep, scores))| {
            keep.iter().zip(scores).enumerate().filter(|(_, (k, _))| **k).map(move |(i, (_, &s))| (s + 0.0, group, i))
        })
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut remove = order.len().saturating_sub(total);
    let mut counts: Vec<usize> = keep.iter().map(|k| count(k)).collect();
    for (_, group, i) in order {
        if remove == 0 {
            break;
        }
        // The last unit of a group is passed over for the next lowest elsewhere.
        if counts[group] > 1 {
            keep[group][i] = false;
            counts[group] -= 1;
            remove -= 1;
        }
    }
}

fn count(keep: &[bool]) -> usize {
    keep.iter().filter(|&&k| k).count()
}
