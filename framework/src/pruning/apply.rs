//! Carrying a plan out, and counting what came of it.

use super::budget::{Asked, CostOf, KeepCount, LayerBudget, in_multiples};
use super::config::{Apply, Granularity, PruneConfig};
use super::masks::{Blocks, KeepMask, pattern};
use super::plan::{Plan, current_mask, kept};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Sizes;
use crate::network::model::{InputSpec, Model};
use crate::network::params::ParamStore;
use crate::pruning::measure::{Churn, Returned};
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
        (Granularity::Weight | Granularity::Block | Granularity::NOfM { .. }, _) => {
            for (name, keep) in &plan.keep {
                let marks = match keep {
                    KeepMask::Weights(marks) => marks.clone(),
                    KeepMask::Blocks(keep) => {
                        let blocks = Blocks::new(&store.get(name)?.spec().shape, config.block);
                        blocks.marks(store.device(), keep)?
                    }
                    KeepMask::Units(_) => continue,
                };
                store.set_mask(name, marks)?;
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
        let counts = match &self.keep {
            // What it costs is looked at by `verify_cost`.
            KeepCount::Cost(_) => Ok(()),
            KeepCount::Total(asked) if config.multiple > 1 => {
                // A round before the last may have taken what would have brought the sum nearer.
                let asked = Some(*asked).filter(|_| config.rounds == 1);
                let nearest = in_multiples(&found, &self.layers, config.multiple, asked);
                let wrong = names.iter().zip(found.iter().zip(&nearest)).find(|(_, (found, nearest))| found != nearest);
                wrong.map_or(Ok(()), |(name, (found, nearest))| fail(name, *found, *nearest))
            }
            KeepCount::Total(asked) => {
                let found = found.iter().sum();
                if found == *asked { Ok(()) } else { fail("the network", found, *asked) }
            }
            KeepCount::Each(asked) => {
                let wrong = names.iter().zip(found.iter().zip(asked)).find(|(_, (found, asked))| found != asked);
                wrong.map_or(Ok(()), |(name, (found, asked))| fail(name, *found, *asked))
            }
        };
        counts?;
        for (name, (kept, layer)) in names.iter().zip(found.iter().zip(&self.layers)) {
            if *kept < layer.least || *kept > layer.most {
                let (least, most) = (layer.least, layer.most);
                let message = format!("{kept} elements are kept after the pruning step, outside of {least} to {most}");
                return Err(Error::Invariant { step: step.0, layer: name.clone(), message });
            }
        }
        let Granularity::NOfM { n, m } = config.granularity else { return Ok(()) };
        for name in &names {
            let p = store.get(name)?;
            let axis = pattern::input_axis(store.layout(), p.spec());
            let keep = p.mask().map_or_else(|| vec![true; p.value().count()], |mask| mask.keep().to_vec());
            if let Some((at, kept)) = pattern::broken(&keep, &p.spec().shape, axis, n, m) {
                let message = format!("{kept} of the {m} weights from {at} on are kept, more than {n} of {m}");
                return Err(Error::Invariant { step: step.0, layer: name.clone(), message });
            }
        }
        Ok(())
    }
}

impl Asked {
    /// Makes sure that a pruning step left no more than the cost that was asked of it, unless each layer keeps the least
    /// that it can.
    ///
    /// # Errors
    /// If it did not; what `cost` reports.
    pub fn verify_cost<B: Backend>(
        &self,
        config: &PruneConfig,
        store: &ParamStore<B>,
        step: Step,
        cost: &CostOf<'_>,
    ) -> Result<()> {
        let KeepCount::Cost(limit) = self.keep else { return Ok(()) };
        let names = config.names(store.layout());
        let kept = names.iter().map(|name| kept(config, store, name)).collect::<Result<Vec<_>>>()?;
        let found = cost(&kept)?;
        let least = config.multiple > 1 || kept.iter().zip(&self.layers).all(|(kept, layer)| *kept <= layer.least);
        if found <= limit || least {
            return Ok(());
        }
        let counted = config.counted();
        let (found, limit) = (counted.number(found), counted.number(limit));
        let message = format!("{found} {} are kept, the schedule asked for {limit}", counted.words());
        Err(Error::Invariant { step: step.0, layer: "the network".into(), message })
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

    /// Adds what came back since, by what [`Census::churn`] counted.
    ///
    /// # Errors
    /// If the store lacks a name of the configuration.
    pub fn returned(
        &self,
        config: &PruneConfig,
        store: &ParamStore<B>,
        churn: &Churn,
        returned: &mut Returned,
    ) -> Result<()> {
        for (name, _, before) in &self.0 {
            let some = churn.get(name).is_some_and(|(_, regrown)| *regrown > 0);
            if let (true, Some(before), Some(after)) = (some, before, current_mask(config, store, name)?) {
                returned.add(name, &before.flags(), &after.flags());
            }
        }
        Ok(())
    }
}

/// How many weights or units came back at least once, and which part of them is there.
pub fn stay<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, returned: &Returned) -> Option<(usize, f64)> {
    returned.stay(|name| current_mask(config, store, name).ok().flatten().map(|mask| mask.flags()))
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

/// Fraction of what the dense network costs which is gone.
///
/// # Errors
/// If the store lacks a name of the configuration; what `cost` reports.
pub fn saved<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, cost: &CostOf<'_>) -> Result<f64> {
    let names = config.names(store.layout());
    let layers = names.iter().map(|n| super::budget::budget(config, store, n)).collect::<Result<Vec<_>>>()?;
    let of = |count: fn(&LayerBudget) -> usize| cost(&layers.iter().map(count).collect::<Vec<_>>());
    Ok(1.0 - of(|r| r.current)? as f64 / of(|r| r.dense)?.max(1) as f64)
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
