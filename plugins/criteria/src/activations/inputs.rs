//! How large the inputs of every weight were, and rankings among the weights that share an output.

use crate::ascending::ascending;
use crate::axes::{input_axis, spread, sums};
use crate::gathered::Sums;
use secateur::prelude::*;

choices! {
    /// Which weights are compared with each other.
    pub enum Within {
        /// Those of one output: a neuron, a filter.
        Output = "output",
        /// Those of one layer.
        Layer = "layer",
    }
}

/// Adds what `of` makes of the inputs of every weight in this step, summed over examples and positions. A convolution's
/// input is a channel, at every position of every image, as if borders were no different; that of a grouped one stands at
/// every weight between it and a filter of its group, since each filter has inputs of its own.
pub(super) fn add<B: Backend>(
    seen: &Observation<'_, B>,
    all: &mut Sums<B>,
    of: impl Fn(&Tensor<B>) -> Result<Tensor<B>>,
) -> Result<()> {
    for p in seen.params.iter().filter(|p| p.spec().prunable && matches!(p.spec().shape.len(), 2 | 4)) {
        let name = &p.spec().name;
        // A layer that this pass left out adds nothing.
        let Some(Ok(input)) = name.strip_suffix(".weight").map(|layer| seen.input(layer)) else { continue };
        let sum = sums(&of(input)?, Reduce::Sum, 1)?;
        let (axis, groups) = (input_axis(seen.params.layout(), name), p.spec().groups);
        if groups > 1 {
            let (filters, each) = (p.spec().shape[0], p.spec().shape[1]);
            let input = |i: usize| i / each / (filters / groups) * each + i % each;
            let sum = sum.select(0, &(0..filters * each).map(input).collect::<Vec<_>>())?;
            all.add(name, sum.reshape([filters, each, 1, 1])?, seen.examples as u64)?;
            continue;
        }
        let shape: Vec<usize> = (0..p.spec().shape.len()).map(|i| if i == axis { sum.count() } else { 1 }).collect();
        all.add(name, sum.reshape(&shape[..])?, seen.examples as u64)?;
    }
    Ok(())
}

/// |w| times a function of the sum of its input, in the weight's shape, and the axis of the inputs.
pub(super) fn weighted<B: Backend>(
    all: &Sums<B>,
    target: &Target<'_, B>,
    of: impl Fn(f32) -> f32,
) -> Result<(Tensor<B>, usize)> {
    let weight = target.weight()?;
    Ok((weight.abs()?.mul(&over_weights(all, target, of)?)?, input_axis(target.params().layout(), target.name())))
}

/// A function of the sum of its input for every weight, in their shape.
pub(super) fn over_weights<B: Backend>(
    all: &Sums<B>,
    target: &Target<'_, B>,
    of: impl Fn(f32) -> f32,
) -> Result<Tensor<B>> {
    let (name, weight) = (target.name(), target.weight()?);
    let values: Vec<f32> = all.total(name)?.host().iter().map(|sum| of(*sum)).collect();
    if target.param().spec().groups > 1 {
        // One for each pair of a filter and an input.
        let (pairs, kernel) = (values.len(), weight.count() / values.len().max(1));
        return spread(weight.device(), &values, 0, [pairs, kernel].into())?.reshape(weight.shape());
    }
    spread(weight.device(), &values, input_axis(target.params().layout(), name), weight.shape())
}

/// For every weight the number of its output.
fn outputs(shape: Shape, input_axis: usize) -> impl Fn(usize) -> usize {
    let (_, n, inner) = shape.around(1 - input_axis);
    move |i| i / inner % n
}

/// Ranks in place of scores, as parts of 1, among the weights of each output; those that are held at zero rank lowest. A
/// ranking over layers then takes the same fraction of every output.
pub(super) fn ranks<B: Backend>(scores: &Tensor<B>, input_axis: usize, target: &Target<'_, B>) -> Result<Tensor<B>> {
    let (values, output) = (scores.host(), outputs(scores.shape(), input_axis));
    let held = target.params().masking() == Masking::Held;
    let there = target.param().mask().filter(|_| held).map(|mask| mask.keep());
    let there = |i: usize| there.is_none_or(|there| there[i]);
    let mut rows = vec![vec![]; scores.shape()[1 - input_axis]];
    (0..values.len()).for_each(|i| rows[output(i)].push(i));
    let mut found = vec![0.0; values.len()];
    for row in &rows {
        let order = ascending(row.iter().map(|&i| if there(i) { values[i] } else { f32::NEG_INFINITY }));
        order.enumerate().for_each(|(rank, place)| found[row[place]] = (rank + 1) as f32 / row.len() as f32);
    }
    Tensor::from_vec(scores.device(), found, scores.shape())
}

/// Scores over the sum of those of their output; zero where that is zero.
pub(super) fn shares<B: Backend>(scores: &Tensor<B>, input_axis: usize) -> Result<Tensor<B>> {
    let totals = sums(scores, Reduce::Sum, 1 - input_axis)?;
    let inverse: Vec<f32> = totals.host().iter().map(|t| if *t > 0.0 { 1.0 / t } else { 0.0 }).collect();
    scores.mul(&spread(scores.device(), &inverse, 1 - input_axis, scores.shape())?)
}

/// Scores over the sum of those of their input; zero where that is zero. Filters of other groups do not see it.
pub(super) fn shares_of_inputs<B: Backend>(
    scores: &Tensor<B>,
    input_axis: usize,
    target: &Target<'_, B>,
) -> Result<Tensor<B>> {
    let groups = target.param().spec().groups;
    if groups < 2 {
        return shares(scores, 1 - input_axis);
    }
    let (filters, inputs, kernel) = scores.shape().around(1);
    let input = |i: usize| i / (kernel * inputs) / (filters / groups) * inputs + i / kernel % inputs;
    let (values, mut totals) = (scores.host(), vec![0.0; groups * inputs]);
    values.iter().enumerate().for_each(|(i, v)| totals[input(i)] += v);
    let share = |(i, v): (usize, &f32)| if totals[input(i)] > 0.0 { v / totals[input(i)] } else { 0.0 };
    Tensor::from_vec(scores.device(), values.iter().enumerate().map(share).collect(), scores.shape())
}
