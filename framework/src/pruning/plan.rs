//! From scores and counts to what stays.

use super::budget::KeepCount;
use super::choices::{Granularity, Normalizer, OnEmptyLayer, Scope};
use super::config::PruneConfig;
use super::masks::{self, KeepMask};
use super::scores::{Answers, score_layer};
use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::UnitGroup;
use crate::network::params::{Masking, ParamStore};
use crate::pruning::criterion::{Criterion, Target};

/// Which elements of which parameters or groups stay.
#[derive(Debug, Clone)]
pub struct Plan<B: Backend> {
    /// Parameters or groups, sorted by name, and what is kept of each as it is now.
    pub keep: Vec<(String, KeepMask<B>)>,
    /// In which forms the criterion answered; where it decided itself, no count was asked of it.
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

    /// Parameters or groups of which nothing stays.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn emptied(&self) -> Result<Vec<&str>> {
        let empty = |(name, keep): &'_ (String, KeepMask<B>)| Ok((keep.count()? == 0).then_some(name.clone()));
        let empty = self.keep.iter().map(empty).collect::<Result<Vec<_>>>()?;
        Ok(self.keep.iter().zip(empty).filter_map(|((name, _), empty)| empty.map(|_| name.as_str())).collect())
    }
}

/// Ranks everything that may be pruned and decides what stays: `counts` of it, unless the criterion decides itself.
///
/// `view` makes what the criterion scores.
///
/// # Errors
/// What the criterion reports; scores that are not finite or do not fit.
pub fn plan<'a, B: Backend>(
    config: &PruneConfig,
    store: &'a ParamStore<B>,
    criterion: &mut dyn Criterion<B>,
    counts: &KeepCount,
    view: &dyn Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<Plan<B>> {
    let names = config.names(store.layout());
    let mut answers = Answers::default();
    let score = |(i, name): (usize, &String)| {
        let to_go = match counts {
            KeepCount::Total(_) => None,
            KeepCount::Each(counts) => Some(kept(config, store, name)?.saturating_sub(counts[i])),
        };
        let view = |name, group| Ok(Target { to_go, ..view(name, group)? });
        score_layer(config, store, name, criterion, view, &mut answers)
    };
    let mut scored = names.iter().enumerate().map(score).collect::<Result<Vec<_>>>()?;
    // Held masks: what is gone stays gone, and counts as removed already.
    let fixed = store.masking() == Masking::Held;
    let before = |n: &String| if fixed { current_mask(config, store, n) } else { Ok(None) };
    let before = names.iter().map(before).collect::<Result<Vec<_>>>()?;
    let one_each = config.on_empty_layer == OnEmptyLayer::KeepOne;
    let keep = if answers.decisions {
        let mut keep = masks::own_rule(store.device(), scored, before)?;
        if one_each {
            for (name, keep) in names.iter().zip(&mut keep) {
                masks::never_empty(keep, &store.get(name)?.value().abs()?)?;
            }
        }
        keep
    } else {
        let units = config.granularity == Granularity::Unit;
        let usual = if units { Normalizer::Mean } else { Normalizer::None };
        let how = config.normalize.or_else(|| criterion.normalizer()).unwrap_or(usual);
        if config.scope == Scope::Global {
            for (scores, before) in scored.iter_mut().zip(&before) {
                scores.normalize(how, before.as_ref())?;
            }
        }
        masks::best(scored, before, counts, one_each)?
    };
    Ok(Plan { keep: names.into_iter().zip(keep).collect(), answers })
}

/// Elements of a parameter or group that are there now.
pub(super) fn kept<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<usize> {
    match config.granularity {
        Granularity::Weight => Ok(store.get(name)?.kept()),
        Granularity::Unit => Ok(store.units(name)),
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
