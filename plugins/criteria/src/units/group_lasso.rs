//! Group lasso: a penalty that takes whole units to zero, and their norms.

use crate::axes::{spread, sums};
use secateur::prelude::*;
use std::collections::BTreeMap;

options! {
    /// Group lasso (Yuan and Lin 2006; of filters Wen et al. 2016, "Learning Structured Sparsity"): training adds
    /// `lambda Σ √n ‖w_u‖₂` to the loss, over the units u of every group and their n weights in a layer, and a unit's score
    /// is the L2 norm of its weights. The gradient of the penalty is `lambda √n w / ‖w_u‖₂`, and zero for a unit that is
    /// zero.
    ///
    /// The weights of a unit are those that compute it; biases, and what reads it, take no part. Units that several layers
    /// compute are penalised in each of them. Groups in `prune.exempt` are penalised as well. Under
    /// `prune.granularity = "weight"` the penalty is the same, and single weights go by |w|.
    pub struct GroupLassoOptions {
        /// Weight of the penalty.
        #[acts(always)]
        pub lambda: f64 = 1e-4,
        /// Whether the penalty ends with the first pruning step.
        #[acts(always)]
        pub until_pruned: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("lambda", self.lambda, 0.0..);
    }
}

/// Which unit every index along an axis of a weight belongs to, by weight and group.
pub struct GroupLasso {
    options: GroupLassoOptions,
    units: BTreeMap<(String, String), Units>,
    pruned: bool,
}

/// Units along one axis: a label for each index, the same for those of one unit, negative for those of none.
struct Units {
    axis: usize,
    labels: Vec<i32>,
}

impl Units {
    fn new(member: &Member, units: usize, n: usize) -> Self {
        let mut labels = vec![-1; n];
        for unit in 0..units {
            member.indices(unit, units).for_each(|i| labels[i] = unit as i32);
        }
        Self { axis: member.axis, labels }
    }

    /// `Σ √n ‖w_u‖` and its gradient.
    fn penalty<B: Backend>(&self, weight: &Tensor<B>) -> Result<(f64, Tensor<B>)> {
        let squares = sums(&weight.square()?, Reduce::Sum, self.axis)?;
        let each = weight.count() / self.labels.len().max(1);
        let mut units: BTreeMap<i32, (f64, usize)> = BTreeMap::new();
        for (label, square) in self.labels.iter().zip(squares.host().iter()).filter(|(label, _)| **label >= 0) {
            let unit = units.entry(*label).or_default();
            *unit = (unit.0 + f64::from(*square), unit.1 + each);
        }
        let value = units.values().map(|(square, n)| (*n as f64 * square).sqrt()).sum();
        let factor = |label: &i32| match units.get(label) {
            Some((square, n)) if *square > 0.0 => (*n as f64 / square).sqrt() as f32,
            _ => 0.0,
        };
        let factors: Vec<f32> = self.labels.iter().map(factor).collect();
        Ok((value, weight.mul(&spread(weight.device(), &factors, self.axis, weight.shape())?)?))
    }
}

impl From<GroupLassoOptions> for GroupLasso {
    fn from(options: GroupLassoOptions) -> Self {
        Self { options, units: BTreeMap::new(), pruned: false }
    }
}

impl<B: Backend> Criterion<B> for GroupLasso {
    fn needs(&self) -> Needs {
        Needs::PENALTY
    }

    fn reduce(&self) -> Reduce {
        Reduce::L2
    }

    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        for group in &run.layout.groups {
            for member in group.producer_weights(run.layout) {
                let Some(spec) = run.layout.spec(&member.param) else { continue };
                let units = Units::new(member, group.units, spec.shape[member.axis]);
                self.units.insert((member.param.clone(), group.name.clone()), units);
            }
        }
        Ok(())
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        if self.pruned && self.options.until_pruned {
            return Ok(None);
        }
        let mut all: Option<(f64, Tensor<B>)> = None;
        for units in self.units.iter().filter(|((param, _), _)| param == name).map(|(_, units)| units) {
            let (value, gradient) = units.penalty(weight)?;
            all = Some(match all {
                None => (value, gradient),
                Some((sum, before)) => (sum + value, before.add(&gradient)?),
            });
        }
        let lambda = self.options.lambda;
        all.map(|(value, gradient)| Ok((lambda * value, gradient.scale(lambda as f32)?))).transpose()
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.abs()?.into())
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        for ((param, _), units) in &mut self.units {
            for member in cut.group.members.iter().filter(|m| m.param == *param && m.axis == units.axis) {
                units.labels = cut.indices(member).into_iter().map(|i| units.labels[i]).collect();
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.pruned = true;
        Ok(())
    }

    fn save(&self) -> Result<State> {
        let mut state = State::default().with("pruned", [f64::from(u8::from(self.pruned))]);
        for ((param, group), units) in &self.units {
            let numbers = std::iter::once(units.axis as i32).chain(units.labels.iter().copied());
            state = state.with(&format!("{param}/{group}"), numbers);
        }
        Ok(state)
    }

    fn load(&mut self, mut state: State, _device: &B) -> Result<()> {
        self.pruned = state.take("pruned")? != [0.0];
        self.units.clear();
        for (name, numbers) in state.0 {
            let damaged = || Error::Checkpoint(format!("holds `{name}`, which is no state of group-lasso"));
            let (param, group) = name.split_once('/').ok_or_else(damaged)?;
            let (axis, labels) = numbers.split_first().ok_or_else(damaged)?;
            let labels = labels.iter().map(|label| *label as i32).collect();
            let units = Units { axis: *axis as usize, labels };
            self.units.insert((param.to_owned(), group.to_owned()), units);
        }
        Ok(())
    }
}

register!(
    Criterion,
    "group-lasso",
    GroupLasso,
    "Units by their L2 norm, under a penalty that takes whole units to zero.",
    options = GroupLassoOptions
);
