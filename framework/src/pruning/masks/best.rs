//! The highest scores stay: so many of each layer, or over all layers.

use super::{KeepMask, count};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::pruning::budget::{Goal, KeepCount};
use crate::pruning::scores::LayerScores;
use crate::tensor::Tensor;

/// What is ranked of one layer.
pub(in crate::pruning) struct Layer<B: Backend> {
    /// Scores of its weights, units or blocks.
    pub scores: LayerScores<B>,
    /// What of it was kept so far, where what is pruned never returns.
    pub before: Option<KeepMask<B>>,
}

/// The best by the criterion's scores: `goal` says how many of each list, or over all lists, and how many a list keeps
/// at least and at most where they are ranked together.
pub(in crate::pruning) fn best<B: Backend>(layers: &[Layer<B>], goal: &Goal) -> Result<Vec<KeepMask<B>>> {
    let (mut weights, mut alive, mut units, mut keep, mut blocks) = (vec![], vec![], vec![], vec![], false);
    for Layer { scores, before } in layers {
        match (scores, before) {
            (LayerScores::Weights(scores), None) => (weights.push(scores.clone()), alive.push(None)),
            (LayerScores::Weights(scores), Some(KeepMask::Weights(marks))) => {
                (weights.push(scores.clone()), alive.push(Some(marks.clone())))
            }
            (LayerScores::Units(scores) | LayerScores::Blocks(scores), None) => {
                (keep.push(vec![true; scores.len()]), units.push(scores))
            }
            (LayerScores::Units(scores), Some(KeepMask::Units(before)))
            | (LayerScores::Blocks(scores), Some(KeepMask::Blocks(before))) => {
                (keep.push(before.clone()), units.push(scores))
            }
            _ => return Err(Error::Other("the criterion scored some names by weights and others by units".into())),
        };
        blocks |= matches!(scores, LayerScores::Blocks(_));
    }
    if !weights.is_empty() {
        return match &goal.counts {
            KeepCount::Cost(_) => Err(no_number()),
            KeepCount::Total(total) => best_weights_within(weights, alive, *total, &goal.bounds),
            KeepCount::Each(counts) => {
                let one = |((w, a), n): ((&Tensor<B>, &Option<Tensor<B>>), &usize)| {
                    best_weights(std::slice::from_ref(w), std::slice::from_ref(a), *n)
                };
                let kept = weights.iter().zip(&alive).zip(counts).map(one).collect::<Result<Vec<_>>>()?;
                Ok(kept.into_iter().flatten().map(KeepMask::Weights).collect())
            }
        };
    }
    match &goal.counts {
        KeepCount::Cost(_) => return Err(no_number()),
        KeepCount::Total(total) => best_units(&mut keep, &units, *total, &goal.bounds),
        KeepCount::Each(counts) => {
            for (((keep, scores), count), (least, _)) in keep.iter_mut().zip(&units).zip(counts).zip(&goal.bounds) {
                best_units(std::slice::from_mut(keep), std::slice::from_ref(scores), *count, &[(*least, usize::MAX)]);
            }
        }
    }
    Ok(keep.into_iter().map(if blocks { KeepMask::Blocks } else { KeepMask::Units }).collect())
}

fn no_number() -> Error {
    Error::Other("a ranking leaves a number, and the goal is a cost: find the number that costs as much first".into())
}

/// Leaves the `total` best weights over several lists, and makes sure that the device kept as many.
fn best_weights<B: Backend>(scores: &[Tensor<B>], alive: &[Option<Tensor<B>>], total: usize) -> Result<Vec<Tensor<B>>> {
    let expected = total.min(scores.iter().zip(alive).map(candidates).sum::<Result<usize>>()?);
    let kept = B::keep_best(scores, alive, total)?;
    let found = kept.iter().map(marked).sum::<Result<usize>>()?;
    if found == expected {
        return Ok(kept);
    }
    Err(Error::Other(format!("{} kept {found} weights of a ranking that was to keep {expected}", B::NAME)))
}

/// The same, where each list keeps a least and a most number: what is above the most goes first, and the best of each up
/// to the least outrank everything else.
fn best_weights_within<B: Backend>(
    mut scores: Vec<Tensor<B>>,
    mut alive: Vec<Option<Tensor<B>>>,
    total: usize,
    bounds: &[(usize, usize)],
) -> Result<Vec<KeepMask<B>>> {
    for ((scores, alive), (least, most)) in scores.iter_mut().zip(&mut alive).zip(bounds) {
        let cut = |scores: &Tensor<B>, alive: &Option<Tensor<B>>, n: usize| -> Result<Tensor<B>> {
            Ok(best_weights(std::slice::from_ref(scores), std::slice::from_ref(alive), n)?.swap_remove(0))
        };
        let secured = if *least > 0 { Some(cut(scores, alive, *least)?) } else { None };
        if *most < candidates((&*scores, &*alive))? {
            *alive = Some(cut(scores, alive, *most)?);
        }
        if let Some(secured) = secured {
            *scores = scores.sub(&scores.mul(&secured)?)?.add(&secured.scale(f32::MAX)?)?;
        }
    }
    Ok(best_weights(&scores, &alive, total)?.into_iter().map(KeepMask::Weights).collect())
}

/// How many weights of a list can be kept.
fn candidates<B: Backend>((scores, alive): (&Tensor<B>, &Option<Tensor<B>>)) -> Result<usize> {
    alive.as_ref().map_or_else(|| Ok(scores.count()), marked)
}

/// The sum of the squares of ones is their number.
fn marked<B: Backend>(marks: &Tensor<B>) -> Result<usize> {
    Ok(B::norm_squared(marks)? as usize)
}

/// Leaves the `total` best units over several groups; of each, its bounds say how many stay at least and at most.
fn best_units(keep: &mut [Vec<bool>], scores: &[&Vec<f32>], total: usize, bounds: &[(usize, usize)]) {
    let mut order: Vec<(f32, usize, usize)> = (keep.iter().zip(scores).enumerate())
        .flat_map(|(group, (keep, scores))| {
            keep.iter().zip(*scores).enumerate().filter(|(_, (k, _))| **k).map(move |(i, (_, &s))| (s + 0.0, group, i))
        })
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut counts: Vec<usize> = keep.iter().map(|k| count(k)).collect();
    let mut left: usize = order.len();
    // What a group has above its most goes first. Then a group at its least is passed over for the next elsewhere.
    for forced in [true, false] {
        for &(_, group, i) in &order {
            let (least, most) = bounds[group];
            let goes = if forced { counts[group] > most } else { left > total && counts[group] > least };
            if goes && keep[group][i] {
                keep[group][i] = false;
                counts[group] -= 1;
                left -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use proptest::prelude::*;

    /// What may stay of lists with bounds, by the definition: every choice of `total` within the bounds, the one whose
    /// removed scores are lowest when sorted from the highest.
    fn by_search(scores: &[Vec<f32>], total: usize, bounds: &[(usize, usize)]) -> f32 {
        let all: Vec<(usize, f32)> =
            scores.iter().enumerate().flat_map(|(l, list)| list.iter().map(move |s| (l, *s))).collect();
        let fits = |choice: u32| {
            let in_list = |l: usize| (0..all.len()).filter(|i| choice >> i & 1 == 1 && all[*i].0 == l).count();
            choice.count_ones() as usize == total
                && bounds.iter().enumerate().all(|(l, (least, most))| (*least..=*most).contains(&in_list(l)))
        };
        let sum = |choice: u32| (0..all.len()).filter(|i| choice >> i & 1 == 1).map(|i| all[i].1).sum::<f32>();
        (0..1u32 << all.len()).filter(|c| fits(*c)).map(sum).fold(f32::MIN, f32::max)
    }

    proptest! {
        #[test]
        fn bounds_cost_as_little_score_as_they_can(
            lists in prop::collection::vec((prop::collection::vec(0i8..20, 1..5), 0.0..1.0f64, 0.0..1.0f64), 1..4),
            part in 0.0..1.0f64,
        ) {
            let scores: Vec<Vec<f32>> = lists.iter().map(|l| l.0.iter().map(|s| f32::from(*s)).collect()).collect();
            let bounds: Vec<(usize, usize)> = (lists.iter())
                .map(|(s, a, b)| ((a.min(*b) * s.len() as f64) as usize, (a.max(*b) * s.len() as f64).ceil() as usize))
                .collect();
            let (least, most) = bounds.iter().fold((0, 0), |(l, m), b| (l + b.0, m + b.1));
            let total = least + (part * (most - least) as f64) as usize;
            let best_sum = by_search(&scores, total, &bounds);
            let goal = Goal { counts: KeepCount::Total(total), bounds: bounds.clone(), multiple: 1 };
            let device = Cpu::default();
            let tensor = |s: &Vec<f32>| Tensor::from_vec(&device, s.clone(), [s.len()]).unwrap();
            type Form<'a> = &'a dyn Fn(&Vec<f32>) -> LayerScores<Cpu>;
            let forms: [Form<'_>; 2] =
                [&|s| LayerScores::Weights(tensor(s)), &|s| LayerScores::Units(s.clone())];
            for form in forms {
                let layers: Vec<Layer<Cpu>> =
                    scores.iter().map(|s| Layer { scores: form(s), before: None }).collect();
                let kept: Vec<Vec<bool>> = (best(&layers, &goal).unwrap().into_iter())
                    .map(|mask| match mask {
                        KeepMask::Weights(marks) => marks.to_vec().iter().map(|m| *m != 0.0).collect(),
                        KeepMask::Units(keep) | KeepMask::Blocks(keep) => keep,
                    })
                    .collect();
                let found: f32 = (kept.iter().zip(&scores))
                    .map(|(k, s)| k.iter().zip(s).filter(|(k, _)| **k).map(|(_, s)| s).sum::<f32>())
                    .sum();
                prop_assert_eq!(kept.iter().map(|k| count(k)).sum::<usize>(), total);
                prop_assert!(kept.iter().zip(&bounds).all(|(k, b)| (b.0..=b.1).contains(&count(k))));
                prop_assert_eq!(found, best_sum);
            }
        }
    }
}
