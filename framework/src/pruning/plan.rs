//! From scores and a target to masks or smaller layers.
//!
//! Scores come in per parameter or per unit group, counts come out of the scope, the lowest go. What was achieved is
//! counted anew after the change, never assumed.

use super::budget::{LayerBudget, allocate};
use super::config::{Granularity, PruneConfig};
use super::masks::{self, KeepMask};
use super::scores::{Answers, LayerScores, score_layer};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::UnitGroup;
use crate::network::params::{Masking, ParamStore};
use crate::pruning::criterion::{Criterion, Target};
use crate::pruning::schedule::Position;

/// Which elements of which parameters or groups stay.
#[derive(Debug, Clone)]
pub struct Plan<B: Backend> {
    /// Sparsity asked for, over everything that may be pruned.
    pub target: f64,
    /// Parameters or groups, sorted by name, and what is kept of each as it is now.
    pub keep: Vec<(String, KeepMask<B>)>,
    /// Elements of the dense network.
    pub dense: usize,
    /// What the criterion's answers were.
    pub answers: Answers,
}

impl<B: Backend> Plan<B> {
    /// The groups among what is planned, and which of their units stay.
    pub fn units(&self) -> Vec<(String, Vec<bool>)> {
        let units = |(name, choice): &(String, KeepMask<B>)| match choice {
            KeepMask::Units(keep) => Some((name.clone(), keep.clone())),
            KeepMask::Weights(_) => None,
        };
        self.keep.iter().filter_map(units).collect()
    }
}

/// Ranks everything that may be pruned and decides what stays.
///
/// `view` makes what the criterion scores.
///
/// # Errors
/// What the criterion reports; scores that are not finite or do not fit.
pub fn plan<'a, B: Backend>(
    config: &PruneConfig,
    store: &'a ParamStore<B>,
    criterion: &mut dyn Criterion<B>,
    position: Position,
    view: &dyn Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<Plan<B>> {
    let names = config.names(store.layout());
    let mut answers = Answers::default();
    let scored = names.iter().map(|n| score_layer(config, store, n, criterion, view, &mut answers));
    let scored = scored.collect::<Result<Vec<_>>>()?;
    let layers = names.iter().map(|n| budget(config, store, n)).collect::<Result<Vec<_>>>()?;
    let dense: usize = layers.iter().map(|r| r.dense).sum();
    // Held masks: what is gone stays gone, and counts as removed already.
    let fixed = store.masking() == Masking::Held;
    let before = |n: &String| if fixed { current_mask(config, store, n) } else { Ok(None) };
    let before = names.iter().map(before).collect::<Result<Vec<_>>>()?;
    if scored.iter().any(|v| matches!(v, LayerScores::Keep(_))) {
        let keep = masks::own_rule(store.device(), scored, before)?;
        // Its sparsity is the target.
        let kept = keep.iter().map(KeepMask::count).sum::<Result<usize>>()?;
        let target = 1.0 - kept as f64 / dense.max(1) as f64;
        return Ok(Plan { target, keep: names.into_iter().zip(keep).collect(), dense, answers });
    }
    let rounding = config.rounding.unwrap_or_else(|| criterion.rounding());
    let (target, counts) = allocate(config, &layers, position, rounding);
    let keep = masks::best(scored, before, counts)?;
    Ok(Plan { target, keep: names.into_iter().zip(keep).collect(), dense, answers })
}

/// The numbers of a parameter or group.
pub(super) fn budget<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<LayerBudget> {
    match config.granularity {
        Granularity::Weight => {
            let p = store.get(name)?;
            Ok(LayerBudget {
                name: name.into(),
                dense: p.dense_count(),
                current: p.kept(),
                axes: p.value().shape().to_vec(),
            })
        }
        Granularity::Unit => {
            let layout = store.layout();
            let group = layout.group(name).ok_or_else(|| Error::Other(format!("there is no unit group `{name}`")))?;
            let producer = group.producer_weights(layout).first().and_then(|m| layout.spec(&m.param));
            let axes = producer.map_or(vec![group.dense_units], |s| s.shape.to_vec());
            Ok(LayerBudget { name: name.into(), dense: group.dense_units, current: store.units(name), axes })
        }
    }
}

/// The mask of a parameter or group as it is now; `None` where nothing is pruned.
pub(super) fn current_mask<B: Backend>(
    config: &PruneConfig,
    store: &ParamStore<B>,
    name: &str,
) -> Result<Option<KeepMask<B>>> {
    Ok(match config.granularity {
        Granularity::Weight => store.get(name)?.mask().map(|m| KeepMask::Weights(m.tensor().clone())),
        Granularity::Unit => store.alive(name).map(|alive| KeepMask::Units(alive.to_vec())),
    })
}
