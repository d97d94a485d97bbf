//! Contribution rank: neurons that contribute little to the layer they feed go first.

use secateur::backend::Pool;
use secateur::prelude::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

choices! {
    /// The formula for a neuron's share in what the next one receives.
    pub enum Form {
        /// |w||a| / Σ|w||a|, as in the authors' code: contributions to a neuron sum to one.
        Absolute = "absolute",
        /// w a / Σ w a, as in the paper, with the denominator kept away from zero. Its average is dominated by the examples
        /// whose denominator is near zero: two halves of the data share little more of its order than chance.
        Signed = "signed",
    }
}

choices! {
    /// Whose reading of the report decides the details.
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
        #[acts(
            |r| r.lambda2 != 0.0 || r.lambda1 < 0.0,
            "lambda2 other than 0, since a factor of all scores alone changes no order"
        )]
        pub lambda1: f64 = 1.0,
        /// Weight of the largest contribution.
        #[acts(always)]
        pub lambda2: f64 = 0.0,
        /// `absolute` or `signed`.
        #[acts(always)]
        pub form: Form = Form::Absolute,
        /// Smallest denominator of the signed form.
        #[acts(|r| r.form == Form::Signed, "form = \"signed\"")]
        pub eps: f64 = 1e-6,
        /// Which training steps count: `epoch` (those of the epoch that ends with the pruning step), `since-prune`, or
        /// `last-step`.
        #[acts(|r| r.compat == Compat::None, "compat = \"none\"")]
        pub window: Window = Window::Epoch,
        /// `authors` reproduces their code: values before the activation function, the last batch only, the average
        /// alone. Their fresh optimizer after each pruning step is `train.fresh_optimizer = true`.
        #[acts(always)]
        pub compat: Compat = Compat::None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("lambda1", self.lambda1, ..);
        checks.range("lambda2", self.lambda2, ..);
        let scores = self.lambda1 != 0.0 || self.lambda2 != 0.0;
        checks.ensure("lambda1", scores, "must not be 0 together with lambda2: every score would be 0");
        checks.above("eps", self.eps, 0.0);
        let average = self.compat != Compat::Authors || self.lambda2 == 0.0;
        checks.ensure("lambda2", average, "must be 0 with compat = \"authors\": their code uses the average alone");
    }
}

/// Contributions of every neuron to the neurons it feeds, streamed over the training steps (USC report, "Neural
/// importance-based train-time pruning").
///
/// For a layer that feeds weights w [M, N] with activations a [F, N]: `c_kj(f) = w_jk a_k(f) / Σ_i w_ji a_i(f)`,
/// `C_avg(k)` its mean and `C_max(k)` its maximum over f and j, and the score is `lambda1 C_avg + lambda2 C_max`.
/// Biases do not take part. A zero denominator contributes zero. The score of a unit with several inputs in the next
/// layer (a channel's pixels after a flatten) is the sum over them.
///
/// Channels that feed a convolution, plain or transposed: the report ranks fully connected layers alone, and the
/// reading is ours. Every position of every image is a sample, a is the channel's value there, and w_jk is the sum over
/// the kernel from channel k to filter j (of |w| in the absolute form), as if the neighbourhood had the value of its
/// middle. Shares sum to one as before. A depthwise convolution gives each channel to itself alone, which no share says
/// anything of: what counts is the layer behind it.
pub struct ContributionRank<B: Backend> {
    options: RankOptions,
    /// What was seen of every group, by the weight that consumes it.
    seen: BTreeMap<String, BTreeMap<String, Seen<B>>>,
}

/// What one weight's inputs contributed so far, on the device: nothing in a training step waits for it.
struct Seen<B: Backend> {
    sum: Tensor<B>,
    /// The largest shares, where they are wanted.
    max: Option<Tensor<B>>,
    count: u64,
}

impl<B: Backend> Seen<B> {
    fn add(&mut self, batch: &Contribution<B>) -> Result<()> {
        self.sum = self.sum.add(&batch.sum)?;
        if let (Some(max), Some(batch)) = (&mut self.max, &batch.max) {
            *max = max.max(batch)?;
        }
        self.count += batch.count;
        Ok(())
    }
}

impl<B: Backend> From<Contribution<B>> for Seen<B> {
    fn from(Contribution { sum, max, count }: Contribution<B>) -> Self {
        Self { sum, max, count }
    }
}

impl<B: Backend> From<RankOptions> for ContributionRank<B> {
    fn from(mut options: RankOptions) -> Self {
        if options.compat == Compat::Authors {
            options.window = Window::LastStep;
        }
        Self { options, seen: BTreeMap::new() }
    }
}

impl<B: Backend> ContributionRank<B> {
    fn activation<'a>(&self, seen: &'a Observation<'_, B>, group: &UnitGroup, layer: &str) -> Result<&'a Tensor<B>> {
        match self.options.compat {
            Compat::None => seen.input(layer),
            Compat::Authors => {
                let producer = group.by_role(Role::Producer).next();
                seen.preactivation(producer.map_or(group.name.as_str(), Member::layer))
            }
        }
    }
}

/// Images `[batch, channels, rows, columns]` as samples `[batch * rows * columns, channels]`; rows of units stay as
/// they are.
fn by_position<B: Backend>(x: &Tensor<B>) -> Result<Tensor<B>> {
    let &[batch, channels, rows, columns] = &*x.shape() else { return Ok(x.clone()) };
    x.reshape([batch, channels, rows * columns])?.transpose()?.reshape([batch * rows * columns, channels])
}

/// Images as the rows `[batch, features]` that a linear layer reads: pixel by pixel, and the largest of each 2x2 window
/// where pooling lies between (values before an activation that rises are pooled as those after it). Rows stay as they
/// are.
fn as_features<B: Backend>(x: &Tensor<B>, features: usize) -> Result<Tensor<B>> {
    let mut x = x.clone();
    while let [batch, channels, rows, columns] = *x.shape() {
        if channels * rows * columns <= features || rows.min(columns) < 2 {
            return x.reshape([batch, channels * rows * columns]);
        }
        x = B::pool(&x, Pool::HALVING)?.0;
    }
    Ok(x)
}

/// A weight as `[receivers, units]`, whichever axis (`units`) has the units; kernels are summed up, as magnitudes
/// unless `signed`.
fn between_units<B: Backend>(w: &Tensor<B>, units: usize, signed: bool) -> Result<Tensor<B>> {
    let w = match *w.shape() {
        [a, b, rows, columns] => {
            w.reshape([a, b, rows * columns])?.reduce(if signed { Reduce::Sum } else { Reduce::L1 }, 2)?
        }
        _ => w.clone(),
    };
    if w.shape().len() != 2 {
        return Err(Error::shape("contribution-rank", format!("a weight {} feeds no units", w.shape())));
    }
    if units == 1 { Ok(w) } else { w.transpose() }
}

impl<B: Backend> Criterion<B> for ContributionRank<B> {
    fn needs(&self) -> Needs {
        match self.options.compat {
            Compat::None => Needs::INPUTS,
            Compat::Authors => Needs::PREACTIVATIONS,
        }
    }

    fn window(&self) -> Window {
        self.options.window
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        let signed = (self.options.form == Form::Signed).then_some(self.options.eps as f32);
        for group in seen.groups() {
            for member in group.by_role(Role::Consumer).filter(|m| m.axis < 2 && m.param.ends_with(".weight")) {
                // Units that are masked but may return are measured by what they would contribute.
                let p = seen.params.get(&member.param)?;
                if p.spec().groups > 1 {
                    let (units, layer) = (&group.name, member.layer());
                    let why =
                        format!("every group of the convolution `{layer}` reads channels of its own as these units");
                    return Err(Error::Config(format!("contribution-rank cannot score the units of `{units}`: {why}")));
                }
                let dynamic = seen.params.masking() == Masking::Dynamic;
                let weight = if dynamic { p.value().clone() } else { p.effective()? };
                let activation = self.activation(seen, group, member.layer())?;
                let activation = match *weight.shape() {
                    [_, features] => as_features(activation, features)?,
                    _ => by_position(activation)?,
                };
                let weight = between_units(&weight, member.axis, signed.is_some())?;
                let batch = B::contribution(&activation, &weight, signed, self.options.lambda2 != 0.0)?;
                match self.seen.entry(group.name.clone()).or_default().entry(member.param.clone()) {
                    Entry::Occupied(mut seen) => seen.get_mut().add(&batch)?,
                    Entry::Vacant(new) => drop(new.insert(batch.into())),
                }
            }
        }
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let group = target
            .group()
            .ok_or_else(|| Error::Config("contribution-rank scores units: set prune.granularity = \"unit\"".into()))?;
        let seen = self.seen.get(&group.name).ok_or_else(|| {
            Error::Other(format!(
                "no contributions of `{}` were observed: no layer with a weight consumes its units",
                group.name
            ))
        })?;
        let RankOptions { lambda1, lambda2, .. } = self.options;
        let (mut sum, mut max) = (vec![0.0; group.units], vec![f64::NEG_INFINITY; group.units]);
        for member in group.by_role(Role::Consumer) {
            let Some(seen) = seen.get(&member.param) else { continue };
            let (sums, largest) = (seen.sum.host(), seen.max.as_ref().map(Tensor::host));
            for unit in 0..group.units {
                let indices = || member.indices(unit, group.units);
                sum[unit] += indices().map(|i| f64::from(sums[i])).sum::<f64>();
                let of = |largest: &[f32]| indices().map(|i| f64::from(largest[i])).fold(max[unit], f64::max);
                max[unit] = largest.as_deref().map_or(max[unit], of);
            }
        }
        let count = seen.values().map(|s| s.count).sum::<u64>().max(1) as f64;
        let score = |k: usize| {
            let average = lambda1 * sum[k] / count;
            if lambda2 == 0.0 { average } else { average + lambda2 * max[k] }
        };
        Ok(Scores::Units((0..group.units).map(|k| score(k) as f32).collect()))
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        // A weight can read several groups through one axis, as heads and the dimensions of each.
        for (weight, seen) in self.seen.values_mut().flatten() {
            let consumer = cut.group.by_role(Role::Consumer).find(|member| member.param == *weight);
            let Some(kept) = consumer.map(|member| cut.indices(member)) else { continue };
            seen.sum = seen.sum.select(0, &kept)?;
            seen.max = seen.max.as_ref().map(|max| max.select(0, &kept)).transpose()?;
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.seen.clear();
        Ok(())
    }

    fn save(&self) -> Result<State> {
        let mut state = State::default();
        for (group, weights) in &self.seen {
            for (weight, seen) in weights {
                let name = |what| format!("{group}/{weight}/{what}");
                let numbers = Tensor::to_vec;
                state = state.with(&name("sum"), numbers(&seen.sum));
                state = state.with(&name("max"), seen.max.as_ref().map(numbers).unwrap_or_default());
                state = state.with(&name("count"), [seen.count as f64]);
            }
        }
        Ok(state)
    }

    fn load(&mut self, mut state: State, device: &B) -> Result<()> {
        let names: Vec<String> = state.0.keys().filter_map(|k| k.strip_suffix("/sum").map(str::to_string)).collect();
        self.seen.clear();
        for name in names {
            let mut take = |what: &str| state.take(&format!("{name}/{what}"));
            let there = |values: Vec<f64>| {
                let n = values.len();
                Tensor::from_vec(device, values.into_iter().map(|v| v as f32).collect(), [n])
            };
            let (sum, max, count) = (there(take("sum")?)?, take("max")?, take("count")?.iter().sum::<f64>() as u64);
            let max = (!max.is_empty()).then(|| there(max)).transpose()?;
            if let Some((group, weight)) = name.split_once('/') {
                self.seen.entry(group.into()).or_default().insert(weight.into(), Seen { sum, max, count });
            }
        }
        Ok(())
    }
}

register!(
    Criterion,
    "contribution-rank",
    ContributionRank<B>,
    "Neurons by their share in what the next layer receives, measured while training.",
    options = RankOptions
);
