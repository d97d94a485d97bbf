//! From scores and counts to what stays.

use super::budget::{CostOf, Goal, KeepCount, budget, in_multiples, most_within};
use super::config::{Granularity, Normalizer, OnEmptyLayer, PruneConfig, Scope};
use super::masks::{self, Blocks, KeepMask, Layer, pattern};
use super::measure::UnitScores;
use super::scores::{Answers, LayerScores, score_layer, targets, unit_scores};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::UnitGroup;
use crate::network::params::{Masking, ParamStore};
use crate::pruning::criterion::{Criterion, Target};
use std::collections::BTreeMap;

/// Which elements of which parameters or groups stay.
#[derive(Debug, Clone)]
pub struct Plan<B: Backend> {
    /// Parameters or groups, sorted by name, and what is kept of each as it is now.
    pub keep: Vec<(String, KeepMask<B>)>,
    /// In which forms the criterion answered; where it decided itself, no count was asked of it.
    pub answers: Answers,
    /// What the scores of units look like, by group; nothing where single weights or blocks are pruned.
    pub scores: BTreeMap<String, UnitScores>,
}

impl<B: Backend> Plan<B> {
    /// The groups among what is planned, and which of their units stay.
    pub fn units(&self) -> Vec<(String, Vec<bool>)> {
        let units = |(name, choice): &(String, KeepMask<B>)| match choice {
            KeepMask::Units(keep) => Some((name.clone(), keep.clone())),
            KeepMask::Weights(_) | KeepMask::Blocks(_) => None,
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

/// Ranks everything that may be pruned and decides what stays: as many as `goal` says, unless the criterion decides
/// itself.
///
/// `view` makes what the criterion scores.
///
/// # Errors
/// What the criterion reports; scores that are not finite or do not fit.
pub fn plan<'a, B: Backend>(
    config: &PruneConfig,
    store: &'a ParamStore<B>,
    criterion: &mut dyn Criterion<B>,
    goal: &Goal,
    view: &dyn Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<Plan<B>> {
    let unpriced =
        |_: &[usize]| -> Result<usize> { Err(Error::Other("the goal is a cost, and nothing has a price here".into())) };
    plan_at_cost(config, store, criterion, (goal, &unpriced), view)
}

/// [`plan`] where the goal may be a cost.
///
/// # Errors
/// As there; what the cost reports.
pub fn plan_at_cost<'a, B: Backend>(
    config: &PruneConfig,
    store: &'a ParamStore<B>,
    criterion: &mut dyn Criterion<B>,
    (goal, cost): (&Goal, &CostOf<'_>),
    view: &dyn Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<Plan<B>> {
    let names = config.names(store.layout());
    let mut answers = Answers::default();
    let targets = |(i, name): (usize, &String)| {
        let to_go = match &goal.counts {
            KeepCount::Total(_) | KeepCount::Cost(_) => None,
            KeepCount::Each(counts) => Some(kept(config, store, name)?.saturating_sub(counts[i])),
        };
        let view = |name, group| Ok(Target { to_go, ..view(name, group)? });
        targets(config, store, name, view)
    };
    let targets = names.iter().enumerate().map(targets).collect::<Result<Vec<_>>>()?;
    criterion.announce(&targets.concat())?;
    let score =
        |layer: (&String, &Vec<Target<'_, B>>)| score_layer(config, store, (layer.0, layer.1), criterion, &mut answers);
    let scored = names.iter().zip(&targets).map(score).collect::<Result<Vec<_>>>()?;
    // Held masks: what is gone stays gone, and counts as removed already.
    let fixed = store.masking() == Masking::Held;
    let before = |n: &String| if fixed { current_mask(config, store, n) } else { Ok(None) };
    let before = names.iter().map(before).collect::<Result<Vec<_>>>()?;
    let scores = unit_scores(&names, &scored, &before);
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
        let mut layers: Vec<Layer<B>> =
            scored.into_iter().zip(before).map(|(scores, before)| Layer { scores, before }).collect();
        match config.granularity {
            Granularity::NOfM { n, m } => patterned(store, &names, &layers, (n, m))?,
            _ if config.scope != Scope::Global => masks::best(&layers, goal)?,
            _ => {
                let units = config.granularity == Granularity::Unit;
                let usual = if units { Normalizer::Mean } else { Normalizer::None };
                let how = config.normalize.or_else(|| criterion.normalizer()).unwrap_or(usual);
                for Layer { scores, before } in &mut layers {
                    scores.normalize(how, before.as_ref())?;
                }
                ranked(config, store, &names, &layers, (goal, cost))?
            }
        }
    };
    Ok(Plan { keep: names.into_iter().zip(keep).collect(), answers, scores })
}

/// The best of one ranking over all layers, in multiples where they are asked for, and within a cost.
fn ranked<B: Backend>(
    config: &PruneConfig,
    store: &ParamStore<B>,
    names: &[String],
    layers: &[Layer<B>],
    (goal, cost): (&Goal, &CostOf<'_>),
) -> Result<Vec<KeepMask<B>>> {
    let mut budgets = names.iter().map(|name| budget(config, store, name)).collect::<Result<Vec<_>>>()?;
    for (budget, (least, most)) in budgets.iter_mut().zip(&goal.bounds) {
        budget.most = budget.most.min(*most);
        budget.least = (*least).min(budget.most);
    }
    let counts = |keep: &[KeepMask<B>]| keep.iter().map(KeepMask::count).collect::<Result<Vec<_>>>();
    let within = |counts: KeepCount| masks::best(layers, &Goal { counts, ..goal.clone() });
    let best = |total: usize| {
        let best = within(KeepCount::Total(total))?;
        if goal.multiple == 1 {
            return Ok(best);
        }
        within(KeepCount::Each(in_multiples(&counts(&best)?, &budgets, goal.multiple, Some(total))))
    };
    match &goal.counts {
        KeepCount::Total(total) => best(*total),
        KeepCount::Cost(limit) => {
            let (least, most) = budgets.iter().fold((0, 0), |(least, most), b| (least + b.least, most + b.most));
            best(most_within(least, most, *limit, |total| cost(&counts(&best(total)?)?))?)
        }
        KeepCount::Each(_) => masks::best(layers, goal),
    }
}

/// n of every m, whichever the counts.
fn patterned<B: Backend>(
    store: &ParamStore<B>,
    names: &[String],
    layers: &[Layer<B>],
    nm: (usize, usize),
) -> Result<Vec<KeepMask<B>>> {
    let one = |(name, Layer { scores, before }): (&String, &Layer<B>)| {
        let spec = store.get(name)?.spec();
        let (LayerScores::Weights(scores), None | Some(KeepMask::Weights(_))) = (scores, before) else {
            return Err(Error::Other(format!("the weights of `{name}` have no scores of their own")));
        };
        let before = if let Some(KeepMask::Weights(marks)) = before { Some(marks) } else { None };
        let axis = pattern::input_axis(store.layout(), spec);
        pattern::best(scores, before, &spec.shape, axis, nm).map(KeepMask::Weights)
    };
    names.iter().zip(layers).map(one).collect()
}

/// Elements of a parameter or group that are there now.
pub(super) fn kept<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<usize> {
    match config.granularity {
        Granularity::Weight | Granularity::NOfM { .. } => Ok(store.get(name)?.kept()),
        Granularity::Unit => Ok(store.units(name)),
        Granularity::Block => match current_mask(config, store, name)? {
            Some(mask) => mask.count(),
            None => Ok(Blocks::new(&store.get(name)?.spec().shape, config.block).count()),
        },
    }
}

/// The mask of a parameter or group as it is now; `None` where nothing is pruned.
pub(super) fn current_mask<B: Backend>(
    config: &PruneConfig,
    store: &ParamStore<B>,
    name: &str,
) -> Result<Option<KeepMask<B>>> {
    Ok(match config.granularity {
        Granularity::Weight | Granularity::NOfM { .. } => {
            store.get(name)?.mask().map(|m| KeepMask::Weights(m.tensor().clone()))
        }
        Granularity::Block => {
            let p = store.get(name)?;
            let blocks = Blocks::new(&p.spec().shape, config.block);
            p.mask().map(|mask| KeepMask::Blocks(blocks.kept(mask.keep())))
        }
        Granularity::Unit => store.alive(name).map(|alive| KeepMask::Units(alive.to_vec())),
    })
}
