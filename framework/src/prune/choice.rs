//! What stays of a parameter or a unit group, and who decided it.

use super::allocate::Keep;
use super::score::Verdict;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Which elements stay.
#[derive(Debug, Clone)]
pub enum Choice<B: Backend> {
    /// One or zero for every weight.
    Weights(Tensor<B>),
    /// Whether each unit stays.
    Units(Vec<bool>),
}

impl<B: Backend> Choice<B> {
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

/// What is kept now of a parameter or group. No marks: all of it.
#[derive(Debug, Clone)]
pub(super) enum Kept<B: Backend> {
    Weights(Option<Tensor<B>>),
    Units(Vec<bool>),
}

/// The best by the criterion's scores: `counts` of each list, or over all lists. Where `fixed`, what is gone stays gone.
pub(super) fn best<B: Backend>(
    verdicts: Vec<Verdict<B>>,
    before: &[Kept<B>],
    counts: Keep,
    fixed: bool,
) -> Result<Vec<Choice<B>>> {
    let (mut weights, mut alive, mut units, mut keep) = (vec![], vec![], vec![], vec![]);
    for (verdict, before) in verdicts.into_iter().zip(before) {
        match (verdict, before) {
            (Verdict::Weights(scores), Kept::Weights(marks)) => {
                weights.push(scores);
                alive.push(marks.clone().filter(|_| fixed));
            }
            (Verdict::Units(scores), Kept::Units(before)) => {
                keep.push(if fixed { before.clone() } else { vec![true; before.len()] });
                units.push(scores);
            }
            _ => return Err(Error::Other("the criterion scored some names by weights and others by units".into())),
        }
    }
    if !weights.is_empty() {
        let kept = match counts {
            Keep::Total(total) => B::keep_best(&weights, &alive, total)?,
            Keep::Each(counts) => {
                let one = |((w, a), n): ((&Tensor<B>, &Option<Tensor<B>>), usize)| {
                    B::keep_best(std::slice::from_ref(w), std::slice::from_ref(a), n)
                };
                weights.iter().zip(&alive).zip(counts).map(one).collect::<Result<Vec<_>>>()?.concat()
            }
        };
        return Ok(kept.into_iter().map(Choice::Weights).collect());
    }
    match counts {
        Keep::Total(total) => keep_best_units(&mut keep, &units, total),
        Keep::Each(counts) => keep.iter_mut().zip(&units).zip(counts).for_each(|((keep, scores), count)| {
            keep_best_units(std::slice::from_mut(keep), std::slice::from_ref(scores), count.max(1));
        }),
    }
    Ok(keep.into_iter().map(Choice::Units).collect())
}

/// The criterion decided itself.
pub(super) fn own_rule<B: Backend>(
    device: &B,
    verdicts: Vec<Verdict<B>>,
    before: &[Kept<B>],
    fixed: bool,
) -> Result<Vec<Choice<B>>> {
    let one = |(verdict, before): (Verdict<B>, &Kept<B>)| match (verdict, before) {
        (Verdict::Keep(own), Kept::Weights(before)) => {
            let marks = own.into_iter().map(|k| f32::from(u8::from(k))).collect::<Vec<_>>();
            let n = marks.len();
            let marks = Tensor::from_vec(device, marks, [n])?;
            Ok(Choice::Weights(match before.as_ref().filter(|_| fixed) {
                Some(before) => marks.mul(&before.reshape([n])?)?,
                None => marks,
            }))
        }
        _ => Err(Error::Other("the criterion decided some parameters itself but returned scores for others".into())),
    };
    verdicts.into_iter().zip(before).map(one).collect()
}

/// Leaves the `total` best units over several groups; no group loses its last one.
fn keep_best_units(keep: &mut [Vec<bool>], scores: &[Vec<f32>], total: usize) {
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
