//! Scores of everything that may be pruned, checked and brought to one form.

use super::config::{Granularity, Normalizer, PruneConfig};
use super::masks::{Blocks, KeepMask};
use super::measure::UnitScores;
use crate::backend::{Backend, Reduce};
use crate::error::{Error, Result};
use crate::network::layout::{Member, UnitGroup};
use crate::network::params::ParamStore;
use crate::pruning::criterion::{Criterion, Scores, Target};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// What a criterion said about one parameter or group.
#[derive(Debug, Clone)]
pub(super) enum LayerScores<B: Backend> {
    /// One finite score per weight; higher is kept.
    Weights(Tensor<B>),
    /// One finite score per unit; higher is kept.
    Units(Vec<f32>),
    /// One finite score per block; higher is kept.
    Blocks(Vec<f32>),
    /// The criterion's own decision.
    Keep(Vec<bool>),
}

/// In which forms a criterion answered at a pruning step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// It scored weights.
    pub weights: bool,
    /// It scored units.
    pub units: bool,
    /// It decided weight by weight itself.
    pub decisions: bool,
}

impl<B: Backend> LayerScores<B> {
    /// Makes the scores comparable with those of other layers; `before` marks what is still there.
    pub fn normalize(&mut self, how: Normalizer, before: Option<&KeepMask<B>>) -> Result<()> {
        match (&mut *self, before) {
            _ if how == Normalizer::None => {}
            (Self::Weights(t), before) => {
                let marks = if let Some(KeepMask::Weights(marks)) = before { Some(marks.host()) } else { None };
                let mut values = t.to_vec();
                normalize(&mut values, how, |i| marks.as_ref().is_none_or(|m| m[i] != 0.0));
                *t = Tensor::from_vec(t.device(), values, t.shape())?;
            }
            (Self::Units(scores), Some(KeepMask::Units(alive)))
            | (Self::Blocks(scores), Some(KeepMask::Blocks(alive))) => normalize(scores, how, |i| alive[i]),
            (Self::Units(scores) | Self::Blocks(scores), _) => normalize(scores, how, |_| true),
            (Self::Keep(_), _) => {}
        }
        Ok(())
    }
}

/// `(score - shift) / scale`, both made of the scores of what is there.
fn normalize(scores: &mut [f32], how: Normalizer, there: impl Fn(usize) -> bool) {
    let of = |f: &dyn Fn(f64) -> f64| {
        (scores.iter().enumerate()).filter(|(i, _)| there(*i)).map(|(_, &s)| f(f64::from(s))).sum::<f64>()
    };
    let n = of(&|_| 1.0).max(1.0);
    let mean = of(&|s| s) / n;
    let (shift, scale) = match how {
        Normalizer::None => (0.0, 1.0),
        Normalizer::Mean => (0.0, of(&f64::abs) / n),
        Normalizer::Size => (0.0, n),
        Normalizer::L2 => (0.0, of(&|s| s * s).sqrt()),
        Normalizer::ZScore => (mean, (of(&|s| (s - mean).powi(2)) / n).sqrt()),
    };
    // Equal scores of a layer stay equal: there is nothing to divide by.
    let scale = if scale > 0.0 { scale } else { 1.0 };
    scores.iter_mut().for_each(|s| *s = ((f64::from(*s) - shift) / scale) as f32);
}

/// What is scored of one name in [`PruneConfig::names`]: a parameter, or the weights of a group's units.
pub(super) fn targets<'a, B: Backend>(
    config: &PruneConfig,
    store: &'a ParamStore<B>,
    name: &str,
    view: impl Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<Vec<Target<'a, B>>> {
    if config.granularity != Granularity::Unit {
        return Ok(vec![view(&store.get(name)?.spec().name, None)?]);
    }
    let group = group(store, name)?;
    group.producer_weights(store.layout()).into_iter().map(|member| view(&member.param, Some(group))).collect()
}

fn group<'a, B: Backend>(store: &'a ParamStore<B>, name: &str) -> Result<&'a UnitGroup> {
    store.layout().group(name).ok_or_else(|| Error::Other(format!("there is no unit group `{name}`")))
}

/// Scores of one name in [`PruneConfig::names`], by its [`targets`].
pub(super) fn score_layer<B: Backend>(
    config: &PruneConfig,
    store: &ParamStore<B>,
    (name, targets): (&str, &[Target<'_, B>]),
    criterion: &mut dyn Criterion<B>,
    answers: &mut Answers,
) -> Result<LayerScores<B>> {
    match config.granularity {
        Granularity::Weight | Granularity::Block | Granularity::NOfM { .. } => {
            let param = store.get(name)?;
            let [target] = targets else { return Err(Error::Other(format!("`{name}` is not one target"))) };
            match criterion.score(target)? {
                Scores::Weights(t) => {
                    answers.weights = true;
                    fits(name, t.count(), param.value().count())?;
                    // Looked at one by one only where something is wrong: on a device that would copy them all.
                    if !B::norm_squared(&t)?.is_finite() {
                        finite(name, &t.host())?;
                    }
                    if config.granularity != Granularity::Block {
                        return Ok(LayerScores::Weights(t));
                    }
                    let blocks = Blocks::new(&param.value().shape(), config.block);
                    let mut sums = Sums::new(config.reduce.unwrap_or_else(|| criterion.reduce()), blocks.count());
                    t.host().iter().enumerate().for_each(|(i, score)| sums.add_one(blocks.of(i), *score));
                    let scores = sums.finish();
                    finite(name, &scores).map(|()| LayerScores::Blocks(scores))
                }
                Scores::Keep(keep) if config.granularity == Granularity::Weight => {
                    answers.decisions = true;
                    fits(name, keep.len(), param.value().count()).map(|()| LayerScores::Keep(keep))
                }
                Scores::Keep(_) => Err(decides()),
                Scores::Units(_) => {
                    Err(Error::Config("this criterion scores units: set prune.granularity = \"unit\"".into()))
                }
            }
        }
        Granularity::Unit => {
            let group = group(store, name)?;
            let mut sums = Sums::new(config.reduce.unwrap_or_else(|| criterion.reduce()), group.units);
            for (member, target) in group.producer_weights(store.layout()).into_iter().zip(targets) {
                match criterion.score(target)? {
                    Scores::Units(scores) => {
                        answers.units = true;
                        fits(name, scores.len(), group.units)?;
                        return finite(name, &scores).map(|()| LayerScores::Units(scores));
                    }
                    Scores::Weights(t) => {
                        answers.weights = true;
                        fits(&member.param, t.count(), store.get(&member.param)?.value().count())?;
                        let (_, n, inner) = store.get(&member.param)?.value().shape().around(member.axis);
                        sums.add(&t.host(), n, inner, member);
                    }
                    Scores::Keep(_) => return Err(decides()),
                }
            }
            let scores = sums.finish();
            finite(name, &scores).map(|()| LayerScores::Units(scores))
        }
    }
}

/// What the scores of units look like, by group; of those that `before` marks as there.
pub(super) fn unit_scores<B: Backend>(
    names: &[String],
    scored: &[LayerScores<B>],
    before: &[Option<KeepMask<B>>],
) -> BTreeMap<String, UnitScores> {
    let there = |(scores, before): (&LayerScores<B>, &Option<KeepMask<B>>)| {
        let LayerScores::Units(scores) = scores else { return vec![] };
        let alive = if let Some(KeepMask::Units(alive)) = before { Some(alive) } else { None };
        let there = scores.iter().enumerate().filter(|(unit, _)| alive.is_none_or(|alive| alive[*unit]));
        there.map(|(_, score)| f64::from(*score)).collect()
    };
    UnitScores::of(names.iter().cloned().zip(scored.iter().zip(before).map(there)))
}

fn decides() -> Error {
    Error::Config("this criterion decides weight by weight: set prune.granularity = \"weight\"".into())
}

fn fits(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Other(format!("`{name}` has {expected} elements to score, but the criterion returned {found} scores")))
}

fn finite(name: &str, scores: &[f32]) -> Result<()> {
    match scores.iter().position(|s| !s.is_finite()) {
        None => Ok(()),
        Some(i) => {
            Err(Error::Other(format!("the score of element {i} of `{name}` is {}; scores must be finite", scores[i])))
        }
    }
}

/// Scores of single weights, summed up by unit or block.
struct Sums {
    how: Reduce,
    totals: Vec<f64>,
    counts: Vec<usize>,
}

impl Sums {
    fn new(how: Reduce, units: usize) -> Self {
        Self { how, totals: vec![0.0; units], counts: vec![0; units] }
    }

    /// Adds a parameter seen as `[outer, n, inner]`, whose middle axis holds the units.
    fn add(&mut self, scores: &[f32], n: usize, inner: usize, member: &Member) {
        let units = self.totals.len();
        let mut unit_of = vec![None; n];
        for unit in 0..units {
            member.indices(unit, units).for_each(|i| unit_of[i] = Some(unit));
        }
        for (row, values) in scores.chunks(inner).enumerate() {
            let Some(unit) = unit_of[row % n] else { continue };
            values.iter().for_each(|&v| self.add_one(unit, v));
        }
    }

    /// Adds one weight of a unit or block.
    fn add_one(&mut self, unit: usize, score: f32) {
        let (v, total) = (f64::from(score), &mut self.totals[unit]);
        self.counts[unit] += 1;
        match self.how {
            Reduce::Sum | Reduce::Mean => *total += v,
            Reduce::L1 => *total += v.abs(),
            Reduce::L2 => *total += v * v,
            Reduce::Max => *total = total.max(v.abs()),
        }
    }

    fn finish(self) -> Vec<f32> {
        let how = self.how;
        (self.totals.into_iter().zip(self.counts))
            .map(|(t, n)| match how {
                Reduce::Mean => t / n.max(1) as f64,
                Reduce::L2 => t.sqrt(),
                _ => t,
            } as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizers_divide_by_what_they_say() {
        let of = |how| {
            let mut scores = [3.0, 100.0, -4.0];
            normalize(&mut scores, how, |i| i != 1);
            [scores[0], scores[2]]
        };
        assert_eq!(of(Normalizer::None), [3.0, -4.0]);
        assert_eq!(of(Normalizer::Mean), [3.0 / 3.5, -4.0 / 3.5]);
        assert_eq!(of(Normalizer::Size), [1.5, -2.0]);
        assert_eq!(of(Normalizer::L2), [0.6, -0.8]);
        assert_eq!(of(Normalizer::ZScore), [1.0, -1.0]);
    }

    #[test]
    fn equal_scores_stay_equal() {
        let mut scores = [0.0; 3];
        normalize(&mut scores, Normalizer::Mean, |_| true);
        assert_eq!(scores, [0.0; 3]);
        let mut scores = [2.0; 3];
        normalize(&mut scores, Normalizer::ZScore, |_| true);
        assert_eq!(scores, [0.0; 3]);
    }
}
