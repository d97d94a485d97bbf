//! Taylor expansion: what the loss would change least without, to first order, goes first.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

choices! {
    /// What is set to zero in thought.
    pub enum Of {
        /// Weights (Molchanov et al. 2019).
        Weights = "weights",
        /// What a unit computes (Molchanov et al. 2017).
        FeatureMaps = "feature-maps",
    }
}

choices! {
    /// What becomes of the change w g, whose sign does not matter.
    pub enum Form {
        /// |w g|
        Absolute = "absolute",
        /// (w g)²
        Square = "square",
    }
}

choices! {
    /// How the changes of a unit's weights become one.
    pub enum Together {
        /// Each for itself: Σ |w g|, Σ (w g)².
        Sum = "sum",
        /// All at once, where they may cancel: |Σ w g|, (Σ w g)².
        Joint = "joint",
    }
}

options! {
    /// The first-order change of the loss when something is set to zero, averaged over training steps.
    ///
    /// Weights (`of = "weights"`; Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", section 3.1): the
    /// paper's form is `square`; `absolute` has the same order for single weights of one step. For a unit it is either the
    /// sum of what its weights change (the default) or the square of their sum, the paper's group contribution (`together =
    /// "joint"`). The weights are those that compute the unit, without biases.
    ///
    /// Feature maps (`of = "feature-maps"`; Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource
    /// Efficient Inference", equation 8): |mean of z dC/dz| over the positions of a unit's map (pixels of a channel, tokens of
    /// a feature) for each example with its own loss C, averaged over examples; z is what the layer gives after batch
    /// normalisation and activation, before pooling. The paper divides the scores of each layer by their L2 norm, which is
    /// `prune.normalize = "l2"`. Of a unit with several values in a layer (a head) the mean runs over all of them, and over
    /// several layers it is summed up.
    ///
    /// The paper's regularisation by FLOPs is `flops` (its lambda): lambda times the floating-point operations of a unit is
    /// taken off its score, in millions and for one example, as the paper's appendix counts them: 2 (inputs + 1) for each
    /// value of a convolution's map, whose inputs are those of its window, and 2 inputs - 1 for each value of a linear layer.
    /// The scores of each layer are divided by their L2 norm before that, here, so that `prune.normalize` is best left
    /// alone.
    pub struct Taylor {
        /// `weights` or `feature-maps`.
        #[acts(always)]
        pub of: Of = Of::Weights,
        /// `absolute` or `square`.
        #[acts(|t| t.of == Of::Weights, "of = \"weights\"")]
        pub form: Form = Form::Absolute,
        /// What a unit's weights change each for itself (`sum`) or all at once (`joint`).
        #[acts(|t| t.of == Of::Weights, "of = \"weights\"")]
        pub together: Together = Together::Sum,
        /// What a million floating-point operations of a unit cost it, 0 for nothing; 0.001 in the paper.
        #[acts(|t| t.of == Of::FeatureMaps, "of = \"feature-maps\"")]
        #[acts("prune.scope", |scope| scope == "global", "prune.scope = \"global\", since the units of a layer cost the same")]
        pub flops: f64 = 0.0,
        /// Training steps that count: `epoch` (those of the epoch up to the pruning step), `since-prune`, or `last-step`.
        #[acts(always)]
        pub window: Window = Window::Epoch,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("flops", self.flops, 0.0..);
    }
}

impl Taylor {
    /// The key that makes it score units, where there is one.
    fn of_units(&self) -> Option<&'static str> {
        match (self.of, self.together) {
            (Of::FeatureMaps, _) => Some("of = \"feature-maps\""),
            (Of::Weights, Together::Joint) => Some("together = \"joint\""),
            (Of::Weights, Together::Sum) => None,
        }
    }

    fn by_cost(&self) -> bool {
        self.of == Of::FeatureMaps && self.flops > 0.0
    }

    fn magnitude<B: Backend>(&self, change: &Tensor<B>) -> Result<Tensor<B>> {
        match self.form {
            Form::Absolute => change.abs(),
            Form::Square => change.square(),
        }
    }
}

/// Under what the operations of a group's units are remembered.
fn cost_of(group: &UnitGroup) -> String {
    format!("{}/flops", group.name)
}

/// w g of a weight, summed up over all but the axis of the units: `[1, axis]`; nothing where no gradient reached it.
fn of_weight<B: Backend>(seen: &Observation<'_, B>, member: &Member) -> Result<Option<Tensor<B>>> {
    let weight = seen.params.get(&member.param)?.value();
    let Some(gradient) = seen.grads.get(weight) else { return Ok(None) };
    let (outer, n, inner) = weight.shape().around(member.axis);
    let change = weight.mul(gradient)?.reshape([outer, n, inner])?;
    Ok(Some(change.reduce(Reduce::Sum, 2)?.reduce(Reduce::Sum, 0)?.reshape([1, n])?))
}

/// z dC/dz of a layer's outputs, C the loss of one example, averaged over the values of a unit's map: `[examples, axis]`.
fn of_map<B: Backend>(seen: &Observation<'_, B>, member: &Member) -> Result<Tensor<B>> {
    let (layer, n) = (member.layer(), seen.examples.max(1));
    let change = seen.output(layer)?.mul(seen.output_grad(layer)?)?;
    let (change, positions) = match *change.shape() {
        [batch, channels, rows, columns] => (change.reshape([batch, channels, rows * columns])?, 2),
        [rows, features] if rows % n == 0 => (change.reshape([n, rows / n, features])?, 1),
        _ => {
            let what = format!("`{layer}` gives {} for {n} examples: neither images nor rows of each", change.shape());
            return Err(Error::shape("taylor", what));
        }
    };
    let values = change.shape()[positions] * member.outer * member.inner;
    // The loss is a mean over the batch: that of one example counts so many times as much.
    change.reduce(Reduce::Sum, positions)?.scale(n as f32 / values as f32)
}

/// Floating-point operations that compute one unit of a group for one example, in millions, as Molchanov et al. 2017 count
/// them in their appendix; a transposed convolution counts as one that slides over its output.
fn megaflops<B: Backend>(seen: &Observation<'_, B>, group: &UnitGroup) -> Result<f32> {
    let mut total = 0.0;
    for member in group.producer_weights(seen.params.layout()) {
        let weight = seen.params.get(&member.param)?.value().shape();
        let inputs = (weight.count() / weight[member.axis].max(1)) as f64;
        let each = match *seen.output(member.layer())?.shape() {
            [_, _, rows, columns] => 2.0 * (inputs + 1.0) * (rows * columns) as f64,
            ref shape => (2.0 * inputs - 1.0) * (shape[0] / seen.examples.max(1)) as f64,
        };
        total += each * (member.outer * member.inner) as f64;
    }
    Ok((total / 1e6) as f32)
}

/// Sums up what belongs to each unit: `[rows, axis]` to `[rows, units]`.
fn by_unit<B: Backend>(x: &Tensor<B>, member: &Member, units: usize) -> Result<Tensor<B>> {
    let (rows, end) = (x.shape()[0], member.offset + member.outer * units * member.inner);
    let whole = member.offset == 0 && end == x.shape()[1];
    let x = if whole { x.clone() } else { x.select(1, &(member.offset..end).collect::<Vec<_>>())? };
    x.reshape([rows, member.outer, units, member.inner])?.reduce(Reduce::Sum, 3)?.reduce(Reduce::Sum, 1)
}

/// Adds up what each of the layers that compute a group's units says: `[rows, units]`.
fn over_layers<B: Backend>(
    seen: &Observation<'_, B>,
    group: &UnitGroup,
    of: impl Fn(&Member) -> Result<Option<Tensor<B>>>,
) -> Result<Option<Tensor<B>>> {
    let mut all: Option<Tensor<B>> = None;
    for member in group.producer_weights(seen.params.layout()) {
        let Some(change) = of(member)? else { continue };
        let change = by_unit(&change, member, group.units)?;
        all = Some(all.map_or(Ok(change.clone()), |all| all.add(&change))?);
    }
    Ok(all)
}

impl<B: Backend> Gather<B> for Taylor {
    fn needs(&self) -> Needs {
        match self.of {
            Of::Weights => Needs::GRADIENTS,
            Of::FeatureMaps => Needs::OUTPUT_GRADIENTS,
        }
    }

    fn window(&self) -> Window {
        self.window
    }

    fn normalizer(&self) -> Option<Normalizer> {
        self.by_cost().then_some(Normalizer::None)
    }

    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        if self.of_units().is_none() {
            return sums.add_each(seen, |w, g| self.magnitude(&w.mul(g)?));
        }
        for group in seen.groups() {
            let (change, count) = match self.of {
                Of::Weights => {
                    let change = over_layers(seen, group, |member| of_weight(seen, member))?;
                    (change.map(|change| self.magnitude(&change)), 1)
                }
                Of::FeatureMaps => {
                    let change = over_layers(seen, group, |member| of_map(seen, member).map(Some))?;
                    (change.map(|change| change.abs()), seen.examples as u64)
                }
            };
            if self.by_cost() {
                let cost = Tensor::from_vec(seen.params.device(), vec![megaflops(seen, group)?], [1])?;
                sums.add(&cost_of(group), cost, 1)?;
            }
            if let Some(change) = change {
                sums.add(&group.name, change?.reduce(Reduce::Sum, 0)?, count)?;
            }
        }
        Ok(())
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        match (self.of_units(), target.group()) {
            (None, _) => Ok(sums.mean(target.name())?.into()),
            (Some(_), Some(group)) if self.by_cost() => {
                let scores = sums.mean(&group.name)?.to_vec();
                let norm = scores.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
                let cost = self.flops * f64::from(sums.mean(&cost_of(group))?.host()[0]);
                Ok(Scores::Units(scores.into_iter().map(|s| (f64::from(s) / norm - cost) as f32).collect()))
            }
            (Some(_), Some(group)) => Ok(Scores::Units(sums.mean(&group.name)?.to_vec())),
            (Some(key), None) => Err(Error::Config(format!(
                "taylor with criterion.{key} scores units: set prune.granularity = \"unit\""
            ))),
        }
    }
}

type TaylorCriterion<B> = Gathered<B, Taylor>;
register!(
    Criterion,
    "taylor",
    TaylorCriterion<B>,
    "What the loss changes least without, to first order: |w g|, or feature maps.",
    options = Taylor
);
