//! From scores and a target to masks or smaller layers.
//!
//! Scores come in per parameter or per unit group, counts come out of the scope, the lowest go. What was achieved is counted anew
//! after the change, never assumed.

use super::budget::{Room, allocate};
use super::config::{Apply, Granularity, PruneConfig};
use super::masks::{self, Choice};
use super::scores::{Verdict, verdict};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::{Sizes, UnitGroup};
use crate::network::model::{InputSpec, Model};
use crate::network::params::{Masking, ParamStore};
use crate::pruning::criterion::{Criterion, Target};
use crate::pruning::measure::Churn;
use crate::pruning::schedule::{Amount, Step};
use std::collections::BTreeMap;

/// Which elements of which parameters or groups stay.
#[derive(Debug, Clone)]
pub struct Plan<B: Backend> {
    /// Sparsity asked for, over everything that may be pruned.
    pub target: f64,
    /// Parameters or groups, sorted by name, and what is kept of each as it is now.
    pub keep: Vec<(String, Choice<B>)>,
    /// Elements of the dense network.
    pub dense: usize,
}

impl<B: Backend> Plan<B> {
    /// The groups among what is planned, and which of their units stay.
    pub fn units(&self) -> Vec<(String, Vec<bool>)> {
        let units = |(name, choice): &(String, Choice<B>)| match choice {
            Choice::Units(keep) => Some((name.clone(), keep.clone())),
            Choice::Weights(_) => None,
        };
        self.keep.iter().filter_map(units).collect()
    }
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
) -> Result<Plan<B>> {
    let names = config.names(store.layout());
    let verdicts = names.iter().map(|n| verdict(config, store, n, criterion, view)).collect::<Result<Vec<_>>>()?;
    let rooms = names.iter().map(|n| room(config, store, n)).collect::<Result<Vec<_>>>()?;
    let dense: usize = rooms.iter().map(|r| r.dense).sum();
    // Held masks: what is gone stays gone, and counts as removed already.
    let fixed = store.masking() == Masking::Held;
    let before = |n: &String| if fixed { kept(config, store, n) } else { Ok(None) };
    let before = names.iter().map(before).collect::<Result<Vec<_>>>()?;
    if verdicts.iter().any(|v| matches!(v, Verdict::Keep(_))) {
        let keep = masks::own_rule(store.device(), verdicts, before)?;
        // Its sparsity is the target.
        let kept = keep.iter().map(Choice::count).sum::<Result<usize>>()?;
        let target = 1.0 - kept as f64 / dense.max(1) as f64;
        return Ok(Plan { target, keep: names.into_iter().zip(keep).collect(), dense });
    }
    let rounding = config.rounding.unwrap_or_else(|| criterion.rounding());
    let (target, counts) = allocate(config, &rooms, amount, rounding, end, nth);
    let keep = masks::best(verdicts, before, counts)?;
    Ok(Plan { target, keep: names.into_iter().zip(keep).collect(), dense })
}

/// Carries a plan out.
///
/// # Errors
/// If the model's layout does not fit what remains; if the counts afterwards are not those of the plan.
pub fn apply<B: Backend>(
    config: &PruneConfig,
    store: &mut ParamStore<B>,
    plan: &Plan<B>,
    model: &dyn Model<B>,
    input: &InputSpec,
    step: Step,
) -> Result<Pruned> {
    let mut churn = Churn::new();
    for (name, keep) in &plan.keep {
        let (was, is) = (room(config, store, name)?.current, keep.count()?);
        let both = kept(config, store, name)?.map_or(Ok(is), |before| before.common(keep))?;
        churn.insert(name.clone(), (was - both, is - both));
    }
    let (left, returned) = churn.values().fold((0, 0), |(l, r), m| (l + m.0, r + m.1));
    match (config.granularity, config.apply) {
        (Granularity::Weight, _) => {
            for (name, keep) in &plan.keep {
                if let Choice::Weights(marks) = keep {
                    store.set_mask(name, marks.clone())?;
                }
            }
        }
        (Granularity::Unit, Apply::Mask) => store.set_alive(plan.units())?,
        (Granularity::Unit, Apply::Shrink) => {
            let mut sizes = store.layout().sizes();
            sizes.0.extend(plan.units().into_iter().map(|(n, keep)| (n, keep.iter().filter(|k| **k).count())));
            store.shrink(plan.units(), model.layout(input, &sizes)?)?;
        }
    }
    for (name, keep) in &plan.keep {
        let (found, expected) = (room(config, store, name)?.current, keep.count()?);
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

/// What is left of a parameter or group; `None` where that is all of it.
fn kept<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<Option<Choice<B>>> {
    Ok(match config.granularity {
        Granularity::Weight => store.get(name)?.mask().map(|m| Choice::Weights(m.tensor().clone())),
        Granularity::Unit => store.alive(name).map(|alive| Choice::Units(alive.to_vec())),
    })
}
