//! Carrying a plan out, and counting what came of it.

use super::budget::{Asked, KeepCount};
use super::config::{Apply, Granularity, PruneConfig};
use super::masks::KeepMask;
use super::plan::{Plan, current_mask, kept};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Sizes;
use crate::network::model::{InputSpec, Model};
use crate::network::params::ParamStore;
use crate::pruning::measure::Churn;
use crate::pruning::schedule::Step;
use std::collections::BTreeMap;

/// Carries a plan out.
///
/// # Errors
/// If the model's layout does not fit what remains; if what the store keeps afterwards is not what the plan says.
pub fn apply<B: Backend>(
    config: &PruneConfig,
    store: &mut ParamStore<B>,
    plan: &Plan<B>,
    model: &dyn Model<B>,
    input: &InputSpec,
    step: Step,
) -> Result<()> {
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
        let (found, expected) = (kept(config, store, name)?, keep.count()?);
        if found != expected {
            let message = format!("{found} elements are kept after the pruning step, the plan keeps {expected}");
            return Err(Error::Invariant { step: step.0, layer: name.clone(), message });
        }
    }
    Ok(())
}

impl Asked {
    /// Makes sure that a pruning step left what was asked of it, whatever its plan was.
    ///
    /// # Errors
    /// If it did not.
    pub fn verify<B: Backend>(&self, config: &PruneConfig, store: &ParamStore<B>, step: Step) -> Result<()> {
        let names = config.names(store.layout());
        let found = names.iter().map(|name| kept(config, store, name)).collect::<Result<Vec<_>>>()?;
        let fail = |layer: &str, found: usize, asked: usize| {
            let message = format!("{found} elements are kept after the pruning step, the schedule asked for {asked}");
            Err(Error::Invariant { step: step.0, layer: layer.into(), message })
        };
        match &self.keep {
            KeepCount::Total(asked) => {
                let found = found.iter().sum();
                if found == *asked { Ok(()) } else { fail("the network", found, *asked) }
            }
            KeepCount::Each(asked) => {
                let wrong = names.iter().zip(found.iter().zip(asked)).find(|(_, (found, asked))| found != asked);
                wrong.map_or(Ok(()), |(name, (found, asked))| fail(name, *found, *asked))
            }
        }
    }
}

/// What may be pruned, as it was at one moment.
pub struct Census<B: Backend>(Vec<(String, usize, Option<KeepMask<B>>)>);

impl<B: Backend> Census<B> {
    /// Takes it.
    ///
    /// # Errors
    /// If the store lacks a name of the configuration.
    pub fn take(config: &PruneConfig, store: &ParamStore<B>) -> Result<Self> {
        let names = config.names(store.layout()).into_iter();
        let one = |name: String| {
            let (count, mask) = (kept(config, store, &name)?, current_mask(config, store, &name)?);
            Ok((name, count, mask))
        };
        names.map(one).collect::<Result<_>>().map(Self)
    }

    /// What was pruned and what regrew since, by parameter or group.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn churn(&self, config: &PruneConfig, store: &ParamStore<B>) -> Result<Churn> {
        let one = |(name, was, before): &(String, usize, Option<KeepMask<B>>)| {
            let is = kept(config, store, name)?;
            let both = match (before, current_mask(config, store, name)?) {
                (Some(before), Some(after)) => before.common(&after)?,
                // What is cut out does not return, and from a full layer it can only go.
                _ => is.min(*was),
            };
            Ok((name.clone(), (was - both, is - both)))
        };
        self.0.iter().map(one).collect()
    }
}

/// Fraction of the weights or units that may be pruned which is gone, counted from the store.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn sparsity<B: Backend>(config: &PruneConfig, store: &ParamStore<B>) -> Result<f64> {
    let names = config.names(store.layout());
    let layers = names.iter().map(|n| super::budget::budget(config, store, n)).collect::<Result<Vec<_>>>()?;
    let (kept, dense) = layers.iter().fold((0, 0), |(k, d), r| (k + r.current, d + r.dense));
    Ok(1.0 - kept as f64 / dense.max(1) as f64)
}

/// Weights or units kept of each parameter or group that may be pruned.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn counts<B: Backend>(config: &PruneConfig, store: &ParamStore<B>) -> Result<BTreeMap<String, usize>> {
    let names = config.names(store.layout()).into_iter();
    names.map(|name| Ok((name.clone(), kept(config, store, &name)?))).collect()
}

/// Sizes of a network's groups, masked units not counted.
pub fn units_in_use<B: Backend>(store: &ParamStore<B>) -> Sizes {
    Sizes(store.layout().groups.iter().map(|g| (g.name.clone(), store.units(&g.name))).collect())
}
