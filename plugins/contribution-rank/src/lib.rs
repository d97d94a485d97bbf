//! Contribution rank: neurons that contribute little to the layer they feed go first.

use secateur::backend::Contribution;
use secateur::prelude::*;
use std::collections::BTreeMap;

choices! {
    /// Which form of the contribution.
    pub enum Form {
        /// |w||a| / Σ|w||a|, as in the authors' code: contributions to a neuron sum to one.
        Absolute = "absolute",
        /// w a / Σ w a, as in the paper, with the denominator kept away from zero.
        Signed = "signed",
    }
}

choices! {
    /// Whose details.
    pub enum Compat {
        /// Ours: activations after the activation function, every batch of the epoch.
        None = "none",
        /// The authors' code: values before the activation function, last batch only, average alone.
        Authors = "authors",
    }
}

options! {
    /// How contributions are measured and combined.
    pub struct RankOptions {
        /// Weight of the average contribution.
        pub lambda1: f64 = 1.0,
        /// Weight of the largest contribution.
        pub lambda2: f64 = 0.0,
        /// `absolute` or `signed`.
        pub form: Form = Form::Absolute,
        /// Smallest denominator of the signed form.
        pub eps: f64 = 1e-6,
        /// Which training steps count: `epoch` (those of the epoch that ends with the pruning step), `since-prune`, or `last-step`.
        pub window: Window = Window::Epoch,
        /// `authors` reproduces their code: values before the activation function, the last batch only, the average alone. Their fresh optimizer after each pruning step is `train.fresh_optimizer = true`.
        pub compat: Compat = Compat::None,
    }
}

/// Contributions of every neuron to the neurons it feeds, streamed over the training steps (USC report, "Neural
/// importance-based train-time pruning").
///
/// For a layer that feeds weights w [M, N] with activations a [F, N]:
/// `c_kj(f) = w_jk a_k(f) / Σ_i w_ji a_i(f)`, `C_avg(k)` its mean and `C_max(k)` its maximum over f and j, and the score is
/// `lambda1 C_avg + lambda2 C_max`. Biases do not take part. A zero denominator contributes zero. The score of a unit with
/// several inputs in the next layer (a channel's pixels after a flatten) is the sum over them.
///
/// Channels that feed a convolution, plain or transposed: the report ranks fully connected layers alone, and the reading is ours. Every
/// position of every image is a sample, a is the channel's value there, and w_jk is the sum over the kernel from channel k to filter j
/// (of |w| in the absolute form), as if the neighbourhood had the value of its middle. Shares sum to one as before.
pub struct ContributionRank {
    options: RankOptions,
    seen: BTreeMap<String, Sums>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Sums {
    sum: Vec<f64>,
    max: Vec<f64>,
    count: f64,
}

impl Sums {
    fn add(&mut self, batch: &Contribution, member: &Member, units: usize) {
        self.sum.resize(units, 0.0);
        self.max.resize(units, f64::NEG_INFINITY);
        for unit in 0..units {
            self.sum[unit] += member.indices(unit, units).map(|i| batch.sum[i]).sum::<f64>();
            let largest =
                member.indices(unit, units).map(|i| f64::from(batch.max[i])).fold(f64::NEG_INFINITY, f64::max);
            self.max[unit] = self.max[unit].max(largest);
        }
        self.count += batch.count as f64;
    }
}

impl TryFrom<RankOptions> for ContributionRank {
    type Error = Error;
    fn try_from(mut options: RankOptions) -> Result<Self> {
        let allowed = "must be a finite number";
        for (key, value) in [("lambda1", options.lambda1), ("lambda2", options.lambda2)] {
            if !value.is_finite() {
                return Err(OptionError::new(key, value, allowed).into());
            }
        }
        if options.lambda1 == 0.0 && options.lambda2 == 0.0 {
            return Err(
                OptionError::new("lambda1", 0, "must not be 0 together with lambda2: every score would be 0").into()
            );
        }
        if !(options.eps > 0.0 && options.eps.is_finite()) {
            return Err(OptionError::new("eps", options.eps, "must be a number above 0").into());
        }
        if options.compat == Compat::Authors {
            if options.lambda2 != 0.0 {
                return Err(OptionError::new(
                    "lambda2",
                    options.lambda2,
                    "must be 0 with compat = \"authors\": their code uses the average alone",
                )
                .into());
            }
            options.window = Window::LastStep;
        }
        Ok(Self { options, seen: BTreeMap::new() })
    }
}

impl ContributionRank {
    fn activation<'a, B: Backend>(
        &self,
        seen: &'a Observation<'_, B>,
        group: &UnitGroup,
        layer: &str,
    ) -> Result<&'a Tensor<B>> {
        match self.options.compat {
            Compat::None => seen.input(layer),
            Compat::Authors => {
                let producer = group.by_role(Role::Producer).next();
                seen.preactivation(producer.map_or(group.name.as_str(), Member::layer))
            }
        }
    }
}

/// Images `[batch, channels, rows, columns]` as samples `[batch * rows * columns, channels]`; rows of units stay as they are.
fn by_position<B: Backend>(x: &Tensor<B>) -> Result<Tensor<B>> {
    let &[batch, channels, rows, columns] = &*x.shape() else { return Ok(x.clone()) };
    let (pixels, values) = (rows * columns, x.host());
    let image = |b: usize| &values[b * channels * pixels..][..channels * pixels];
    let at = |b: usize| (0..pixels).flat_map(move |p| (0..channels).map(move |c| image(b)[c * pixels + p]));
    Tensor::from_vec(x.device(), (0..batch).flat_map(at).collect(), [batch * pixels, channels])
}

/// A weight as `[receivers, units]`, whichever axis (`units`) has the units; kernels are summed up, as magnitudes unless `signed`.
fn between_units<B: Backend>(w: &Tensor<B>, units: usize, signed: bool) -> Result<Tensor<B>> {
    let w = match *w.shape() {
        [a, b, rows, columns] => {
            w.reshape([a, b, rows * columns])?.reduce(if signed { Reduce::Sum } else { Reduce::L1 }, 2)?
        }
        _ => w.clone(),
    };
    let &[a, b] = &*w.shape() else {
        return Err(Error::shape("contribution-rank", format!("a weight {} feeds no units", w.shape())));
    };
    if units == 1 {
        return Ok(w);
    }
    let values = w.host();
    let transposed = (0..b).flat_map(|j| (0..a).map(move |i| i * b + j)).map(|i| values[i]).collect();
    Tensor::from_vec(w.device(), transposed, [b, a])
}

impl<B: Backend> Criterion<B> for ContributionRank {
    fn needs(&self) -> Needs {
        match self.options.compat {
            Compat::None => Needs::INPUTS,
            Compat::Authors => Needs::PREACTIVATIONS,
        }
    }

    fn window(&self) -> Window {
        self.options.window
    }

    /// keep = floor((1 - x) n): the report's counts.
    fn rounding(&self) -> Rounding {
        Rounding::FloorKept
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        let signed = (self.options.form == Form::Signed).then_some(self.options.eps as f32);
        for group in seen.groups() {
            for member in group.by_role(Role::Consumer).filter(|m| m.axis < 2 && m.param.ends_with(".weight")) {
                let activation = by_position(self.activation(seen, group, member.layer())?)?;
                let weight =
                    between_units(&seen.params.get(&member.param)?.effective()?, member.axis, signed.is_some())?;
                let batch = B::contribution(&activation, &weight, signed, self.options.lambda2 != 0.0)?;
                self.seen.entry(group.name.clone()).or_default().add(&batch, member, group.units);
            }
        }
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let group = target
            .group()
            .ok_or_else(|| Error::Config("contribution-rank scores units: set prune.granularity = \"unit\"".into()))?;
        let sums = self.seen.get(&group.name).ok_or_else(|| {
            Error::Other(format!(
                "no contributions of `{}` were observed: no layer with a weight consumes its units",
                group.name
            ))
        })?;
        let RankOptions { lambda1, lambda2, .. } = self.options;
        let score = |k: usize| {
            let average = lambda1 * sums.sum[k] / sums.count.max(1.0);
            if lambda2 == 0.0 { average } else { average + lambda2 * sums.max[k] }
        };
        Ok(Scores::Units((0..group.units).map(|k| score(k) as f32).collect()))
    }

    fn reset(&mut self) {
        self.seen.clear();
    }

    fn save(&self) -> State {
        self.seen.iter().fold(State::default(), |state, (name, s)| {
            state
                .with(&format!("{name}/sum"), s.sum.clone())
                .with(&format!("{name}/max"), s.max.clone())
                .with(&format!("{name}/count"), [s.count])
        })
    }

    fn load(&mut self, mut state: State) -> Result<()> {
        let names: Vec<String> = state.0.keys().filter_map(|k| k.strip_suffix("/sum").map(str::to_string)).collect();
        self.seen.clear();
        for name in names {
            let mut take = |what: &str| state.take(&format!("{name}/{what}"));
            let (sum, max, count) = (take("sum")?, take("max")?, take("count")?);
            self.seen.insert(name, Sums { sum, max, count: count.iter().sum() });
        }
        Ok(())
    }
}

secateur::register!(
    Criterion,
    "contribution-rank",
    ContributionRank,
    "Neurons by their share in what the next layer receives, measured while training.",
    options = RankOptions
);
