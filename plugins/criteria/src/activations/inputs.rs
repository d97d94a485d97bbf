//! How large the inputs of every weight were, and rankings among the weights that share an output.

use crate::axes::{input_axis, spread, sums};
use secateur::prelude::*;
use std::collections::BTreeMap;

choices! {
    /// Which weights are compared with each other.
    pub enum Within {
        /// Those of one output: a neuron, a filter.
        Output = "output",
        /// Those of one layer.
        Layer = "layer",
    }
}

/// Sums over what every weight's inputs were since the last pruning step, by weight: `[inputs]`. A convolution's input
/// is a channel, at every position of every image, as if borders were no different.
pub(super) struct Inputs<B: Backend> {
    seen: BTreeMap<String, Tensor<B>>,
    /// Which inputs are left of a cut under way: the cuts of one pruning step all count by the network before it.
    stay: BTreeMap<String, Vec<bool>>,
}

impl<B: Backend> Default for Inputs<B> {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), stay: BTreeMap::new() }
    }
}

impl<B: Backend> Inputs<B> {
    /// Adds what `of` makes of the inputs of this step, summed over examples and positions.
    pub fn add(&mut self, seen: &Observation<'_, B>, of: impl Fn(&Tensor<B>) -> Result<Tensor<B>>) -> Result<()> {
        for p in seen.params.iter().filter(|p| p.spec().prunable && matches!(p.spec().shape.len(), 2 | 4)) {
            let name = &p.spec().name;
            // A layer that this pass left out adds nothing.
            let Some(Ok(input)) = name.strip_suffix(".weight").map(|layer| seen.input(layer)) else { continue };
            let sum = sums(&of(input)?, Reduce::Sum, 1)?;
            let sum = self.seen.get(name).map_or(Ok(sum.clone()), |before| before.add(&sum))?;
            self.seen.insert(name.clone(), sum);
        }
        Ok(())
    }

    /// |w| times a function of the sum of its input, `[out, in, ...]` as the weight, and the axis of the inputs.
    pub fn weighted(&mut self, target: &Target<'_, B>, of: impl Fn(f32) -> f32) -> Result<(Tensor<B>, usize)> {
        self.settle()?;
        let (name, weight) = (target.name(), target.weight()?);
        let missing = || Error::Other(format!("no input of `{name}` was seen: no layer of that name ran"));
        let sums = self.seen.get(name).ok_or_else(missing)?;
        let axis = input_axis(target.params().layout(), name);
        let values: Vec<f32> = sums.host().iter().map(|sum| of(*sum)).collect();
        if values.len() != weight.shape()[axis] {
            let text = format!("`{name}` {} has other inputs than the {} that were seen", weight.shape(), values.len());
            return Err(Error::Other(text));
        }
        Ok((weight.abs()?.mul(&spread(weight.device(), &values, axis, weight.shape())?)?, axis))
    }

    pub fn cut(&mut self, cut: &Cut<'_>) {
        for member in cut.group.by_role(Role::Consumer) {
            let Some(sum) = self.seen.get(&member.param) else { continue };
            let stay = self.stay.entry(member.param.clone()).or_insert_with(|| vec![true; sum.count()]);
            for unit in (0..cut.group.units).filter(|unit| !cut.kept.contains(unit)) {
                member.indices(unit, cut.group.units).for_each(|i| stay[i] = false);
            }
        }
    }

    fn settle(&mut self) -> Result<()> {
        for (name, stay) in std::mem::take(&mut self.stay) {
            if let Some(sum) = self.seen.get_mut(&name) {
                let kept: Vec<usize> = (0..stay.len()).filter(|&i| stay[i]).collect();
                *sum = sum.select(0, &kept)?;
            }
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.seen.clear();
        self.stay.clear();
    }

    pub fn save(&self) -> State {
        let numbers = |t: &Tensor<B>| t.host().iter().map(|v| f64::from(*v)).collect();
        State(self.seen.iter().map(|(name, sum)| (name.clone(), numbers(sum))).collect())
    }

    pub fn load(&mut self, state: State, device: &B) -> Result<()> {
        self.clear();
        for (name, sum) in state.0 {
            let n = sum.len();
            let sum = Tensor::from_vec(device, sum.into_iter().map(|v| v as f32).collect(), [n])?;
            self.seen.insert(name, sum);
        }
        Ok(())
    }
}

/// For every weight the number of its output.
fn outputs(shape: Shape, input_axis: usize) -> impl Fn(usize) -> usize {
    let (_, n, inner) = shape.around(1 - input_axis);
    move |i| i / inner % n
}

/// Ranks in place of scores, as parts of 1, among the weights of each output; those that are held at zero rank
/// lowest. A ranking over layers then takes the same fraction of every output.
pub(super) fn ranks<B: Backend>(scores: &Tensor<B>, input_axis: usize, target: &Target<'_, B>) -> Result<Tensor<B>> {
    let (values, output) = (scores.host(), outputs(scores.shape(), input_axis));
    let held = target.params().masking() == Masking::Held;
    let there = target.param().mask().filter(|_| held).map(|mask| mask.keep());
    let there = |i: usize| there.is_none_or(|there| there[i]);
    let mut rows = vec![vec![]; scores.shape()[1 - input_axis]];
    (0..values.len()).for_each(|i| rows[output(i)].push(i));
    let mut found = vec![0.0; values.len()];
    for row in &mut rows {
        row.sort_by(|&a, &b| there(a).cmp(&there(b)).then(values[a].total_cmp(&values[b])).then(a.cmp(&b)));
        row.iter().enumerate().for_each(|(rank, &i)| found[i] = (rank + 1) as f32 / row.len() as f32);
    }
    Tensor::from_vec(scores.device(), found, scores.shape())
}

/// Scores over the sum of those of their output; zero where that is zero.
pub(super) fn shares<B: Backend>(scores: &Tensor<B>, input_axis: usize) -> Result<Tensor<B>> {
    let totals = sums(scores, Reduce::Sum, 1 - input_axis)?;
    let inverse: Vec<f32> = totals.host().iter().map(|t| if *t > 0.0 { 1.0 / t } else { 0.0 }).collect();
    scores.mul(&spread(scores.device(), &inverse, 1 - input_axis, scores.shape())?)
}
