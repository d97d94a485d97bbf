//! Carrying a plan out, and counting what came of it.

use super::config::{Apply, Granularity, PruneConfig};
use super::masks::KeepMask;
use super::plan::{Plan, budget, current_mask};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Sizes;
use crate::network::model::{InputSpec, Model};
use crate::network::params::ParamStore;
use crate::pruning::measure::Churn;
use crate::pruning::schedule::Step;
use std::collections::BTreeMap;

/// What one pruning step did.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruned {
    /// The sparsity asked for.
    pub target: f64,
    /// The sparsity counted afterwards.
    pub achieved: f64,
    /// Weights or units that were kept before and are not now.
    pub pruned: usize,
    /// Weights or units that were pruned before and are back.
    pub regrown: usize,
    /// The same by parameter or group.
    pub churn: Churn,
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
        let (was, is) = (budget(config, store, name)?.current, keep.count()?);
        let both = current_mask(config, store, name)?.map_or(Ok(is), |before| before.common(keep))?;
        churn.insert(name.clone(), (was - both, is - both));
    }
    let (pruned, regrown) = churn.values().fold((0, 0), |(l, r), m| (l + m.0, r + m.1));
    match (config.granularity, config.apply) {
        (Granularity::Weight, _) => {
            for (name, keep) in &plan.keep {
                if let KeepMask::Weights(marks) = keep {
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
        let (found, expected) = (budget(config, store, name)?.current, keep.count()?);
        if found != expected {
            let message = format!("{found} elements are kept after the pruning step, the plan keeps {expected}");
            return Err(Error::Invariant { step: step.0, layer: name.clone(), message });
        }
    }
    Ok(Pruned { target: plan.target, achieved: sparsity(config, store)?, pruned, regrown, churn })
}

/// Fraction of the weights or units that may be pruned which is gone, counted from the store.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn sparsity<B: Backend>(config: &PruneConfig, store: &ParamStore<B>) -> Result<f64> {
    let layers = config.names(store.layout()).iter().map(|n| budget(config, store, n)).collect::<Result<Vec<_>>>()?;
    let (kept, dense) = layers.iter().fold((0, 0), |(k, d), r| (k + r.current, d + r.dense));
    Ok(1.0 - kept as f64 / dense.max(1) as f64)
}

/// Weights or units kept of each parameter or group that may be pruned.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn counts<B: Backend>(config: &PruneConfig, store: &ParamStore<B>) -> Result<BTreeMap<String, usize>> {
    let names = config.names(store.layout()).into_iter();
    names.map(|name| Ok((name.clone(), budget(config, store, &name)?.current))).collect()
}

/// Sizes of a network's groups, masked units not counted.
pub fn units_in_use<B: Backend>(store: &ParamStore<B>) -> Sizes {
    Sizes(store.layout().groups.iter().map(|g| (g.name.clone(), store.units(&g.name))).collect())
}
