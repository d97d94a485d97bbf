//! From scores and a target to masks or smaller layers.
//!
//! Scores come in per parameter or per unit group, counts come out of the scope, the lowest go. What was achieved is counted anew
//! after the change, never assumed.

mod allocate;
mod config;
mod score;
mod select;

pub use config::{Apply, Granularity, PruneConfig, Scope};

use crate::backend::Backend;
use crate::criterion::{Criterion, Target};
use crate::error::{Error, Result};
use crate::measure::Churn;
use crate::model::{InputSpec, Model};
use crate::params::{Masking, ParamStore};
use crate::schedule::{Amount, Step};
use crate::structure::{Sizes, UnitGroup};
use allocate::{Keep, Room, allocate};
use score::{Verdict, verdict};
use select::lowest;
use std::collections::BTreeMap;

/// Which elements of which parameters or groups stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Sparsity asked for, over everything that may be pruned.
    pub target: f64,
    /// Parameters or groups, sorted by name, and what is kept of each as it is now.
    pub keep: Vec<(String, Vec<bool>)>,
    /// Elements of the dense network.
    pub dense: usize,
}

/// What one pruning step did.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruned {
    /// The sparsity asked for.
    pub target: f64,
    /// The sparsity counted afterwards.
    pub achieved: f64,
    /// Weights or units that were kept before and are not now.
    pub left: usize,
    /// Weights or units that were pruned before and are back.
    pub returned: usize,
    /// The same by parameter or group.
    pub churn: Churn,
}

/// Ranks everything that may be pruned and decides what stays.
///
/// `end` is the sparsity the schedule ends with, for the table scope; `nth` counts pruning steps from 0, for the counts scope. `view` makes what the criterion scores.
///
/// # Errors
/// What the criterion reports; scores that are not finite or do not fit.
pub fn plan<'a, B: Backend>(
    config: &PruneConfig,
    store: &'a ParamStore<B>,
    criterion: &mut dyn Criterion<B>,
    amount: Amount,
    end: f64,
    nth: usize,
    view: &dyn Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<Plan> {
    let names = config.names(store.layout());
    let verdicts = names.iter().map(|n| verdict(config, store, n, criterion, view)).collect::<Result<Vec<_>>>()?;
    let rooms = names.iter().map(|n| room(config, store, n)).collect::<Result<Vec<_>>>()?;
    let dense = rooms.iter().map(|r| r.dense).sum();
    // Held masks: what is gone stays gone, and counts as removed already.
    let fixed = store.masking() == Masking::Held;
    let before: Vec<Vec<bool>> = names.iter().map(|n| kept(config, store, n)).collect::<Result<_>>()?;

    let scores: Option<Vec<&[f32]>> =
        verdicts.iter().map(|v| if let Verdict::Scores(s) = v { Some(s.as_slice()) } else { None }).collect();
    let Some(scores) = scores else {
        return own_rule(names, verdicts, &before, fixed, dense);
    };
    let (target, counts) =
        allocate(config, &rooms, amount, config.rounding.unwrap_or_else(|| criterion.rounding()), end, nth);
    let one_stays = config.granularity == Granularity::Unit;
    let keep = match counts {
        Keep::Each(counts) => (scores.iter().zip(&before).zip(counts))
            .map(|((s, before), count)| {
                keep_best(&[s], &[before], count.max(usize::from(one_stays)), fixed, one_stays).remove(0)
            })
            .collect(),
        Keep::Total(total) => {
            let before: Vec<&[bool]> = before.iter().map(Vec::as_slice).collect();
            keep_best(&scores, &before, total, fixed, one_stays)
        }
    };
    Ok(Plan { target, keep: names.into_iter().zip(keep).collect(), dense })
}

/// Carries a plan out.
///
/// # Errors
/// If the model's layout does not fit what remains; if the counts afterwards are not those of the plan.
pub fn apply<B: Backend>(
    config: &PruneConfig,
    store: &mut ParamStore<B>,
    plan: &Plan,
    model: &dyn Model<B>,
    input: &InputSpec,
    step: Step,
) -> Result<Pruned> {
    let mut churn = Churn::new();
    for (name, keep) in &plan.keep {
        let moved = churn.entry(name.clone()).or_default();
        for (was, is) in kept(config, store, name)?.into_iter().zip(keep) {
            moved.0 += usize::from(was && !is);
            moved.1 += usize::from(!was && *is);
        }
    }
    let (left, returned) = churn.values().fold((0, 0), |(l, r), m| (l + m.0, r + m.1));
    match (config.granularity, config.apply) {
        (Granularity::Weight, _) => store.set_masks(plan.keep.clone())?,
        (Granularity::Unit, Apply::Mask) => store.set_alive(plan.keep.clone())?,
        (Granularity::Unit, Apply::Shrink) => {
            let mut sizes = store.layout().sizes();
            sizes.0.extend(plan.keep.iter().map(|(n, k)| (n.clone(), count(k))));
            store.shrink(plan.keep.clone(), model.layout(input, &sizes)?)?;
        }
    }
    for (name, keep) in &plan.keep {
        let (found, expected) = (count(&kept(config, store, name)?), count(keep));
        if found != expected {
            let message = format!("{found} elements are kept after the pruning step, the plan keeps {expected}");
            return Err(Error::Invariant { step: step.0, layer: name.clone(), message });
        }
    }
    Ok(Pruned { target: plan.target, achieved: sparsity(config, store)?, left, returned, churn })
}

/// Fraction of the weights or units that may be pruned which is gone, counted from the store.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn sparsity<B: Backend>(config: &PruneConfig, store: &ParamStore<B>) -> Result<f64> {
    let rooms = config.names(store.layout()).iter().map(|n| room(config, store, n)).collect::<Result<Vec<_>>>()?;
    let (kept, dense) = rooms.iter().fold((0, 0), |(k, d), r| (k + r.current, d + r.dense));
    Ok(1.0 - kept as f64 / dense.max(1) as f64)
}

/// Weights or units kept of each parameter or group that may be pruned.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn counts<B: Backend>(config: &PruneConfig, store: &ParamStore<B>) -> Result<BTreeMap<String, usize>> {
    let names = config.names(store.layout()).into_iter();
    names.map(|name| Ok((name.clone(), room(config, store, &name)?.current))).collect()
}

/// Sizes of a network's groups, masked units not counted.
pub fn units_in_use<B: Backend>(store: &ParamStore<B>) -> Sizes {
    Sizes(store.layout().groups.iter().map(|g| (g.name.clone(), store.units(&g.name))).collect())
}

fn count(keep: &[bool]) -> usize {
    keep.iter().filter(|&&k| k).count()
}

fn room<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<Room> {
    match config.granularity {
        Granularity::Weight => {
            let p = store.get(name)?;
            Ok(Room { name: name.into(), dense: p.dense_count(), current: p.kept(), axes: p.value().shape().to_vec() })
        }
        Granularity::Unit => {
            let layout = store.layout();
            let group = layout.group(name).ok_or_else(|| Error::Other(format!("there is no unit group `{name}`")))?;
            let producer = group.producer_weights(layout).first().and_then(|m| layout.spec(&m.param));
            let axes = producer.map_or(vec![group.dense_units], |s| s.shape.to_vec());
            Ok(Room { name: name.into(), dense: group.dense_units, current: store.units(name), axes })
        }
    }
}

fn kept<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<Vec<bool>> {
    match config.granularity {
        Granularity::Weight => {
            let p = store.get(name)?;
            Ok(p.mask().map_or_else(|| vec![true; p.value().count()], |m| m.keep().to_vec()))
        }
        Granularity::Unit => {
            let units = store.layout().group(name).map_or(0, |g| g.units);
            Ok(store.alive(name).map_or_else(|| vec![true; units], <[bool]>::to_vec))
        }
    }
}

/// Keeps the `total` best over several lists; positions run through the lists in order. Where `fixed`, what was gone stays gone;
/// where `one_stays`, no list loses its last element.
fn keep_best(scores: &[&[f32]], before: &[&[bool]], total: usize, fixed: bool, one_stays: bool) -> Vec<Vec<bool>> {
    let mut keep: Vec<Vec<bool>> =
        before.iter().map(|b| if fixed { b.to_vec() } else { vec![true; b.len()] }).collect();
    let alive = keep.iter().map(|k| count(k)).sum::<usize>();
    let starts: Vec<usize> = scores.iter().scan(0, |at, s| Some(std::mem::replace(at, *at + s.len()))).collect();
    let place = |position: u32| {
        let list = starts.partition_point(|&s| s <= position as usize) - 1;
        (list, position as usize - starts[list])
    };
    let candidates = |keep: &[Vec<bool>]| -> Vec<(u32, f32)> {
        let of = |(list, k): (usize, &Vec<bool>)| {
            let start = starts[list];
            let scores = scores[list];
            (0..k.len()).filter(|&i| k[i]).map(move |i| ((start + i) as u32, scores[i])).collect::<Vec<_>>()
        };
        keep.iter().enumerate().flat_map(of).collect()
    };
    let mut remove = alive.saturating_sub(total);
    let mut order = lowest(candidates(&keep).into_iter(), if one_stays { alive } else { remove });
    if one_stays {
        // Few units: rank them all, so that the last unit of a group can be passed over for the next lowest elsewhere.
        let score = |p: u32| scores[place(p).0][place(p).1];
        order.sort_by(|&a, &b| score(a).total_cmp(&score(b)).then(a.cmp(&b)));
    }
    let mut counts: Vec<usize> = keep.iter().map(|k| count(k)).collect();
    for (list, i) in order.into_iter().map(place) {
        if remove == 0 {
            break;
        }
        if one_stays && counts[list] == 1 {
            continue;
        }
        keep[list][i] = false;
        counts[list] -= 1;
        remove -= 1;
    }
    keep
}

/// The criterion decided itself: its sparsity is the target.
fn own_rule(
    names: Vec<String>,
    verdicts: Vec<Verdict>,
    before: &[Vec<bool>],
    fixed: bool,
    dense: usize,
) -> Result<Plan> {
    let mut keep = vec![];
    for ((name, verdict), before) in names.into_iter().zip(verdicts).zip(before) {
        let Verdict::Keep(mut own) = verdict else {
            return Err(Error::Other(format!(
                "the criterion decided some parameters itself but returned scores for `{name}`"
            )));
        };
        if fixed {
            own.iter_mut().zip(before).for_each(|(k, b)| *k &= b);
        }
        keep.push((name, own));
    }
    let kept: usize = keep.iter().map(|(_, k)| count(k)).sum();
    Ok(Plan { target: 1.0 - kept as f64 / dense.max(1) as f64, keep, dense })
}
