//! Channel pruning by LASSO: the channels that the next layer's output can be made of, and least squares for what reads
//! them.

mod path;
mod samples;
mod squares;

use path::Path;
use samples::{Samples, Sampling};
use secateur::prelude::*;
use squares::Squares;
use std::collections::BTreeMap;

options! {
    /// Channel pruning by LASSO regression (He, Zhang and Sun 2017, "Channel Pruning for Accelerating Very Deep Neural
    /// Networks", equations 2 to 4). Of the layer that reads the channels, inputs are sampled: x_c [samples, kernel] of
    /// channel c. Its output is y = Σ_c x_c w_cᵀ without bias, and LASSO chooses channels by
    /// `min_β ½ ‖y - Σ_c β_c x_c w_cᵀ‖² + λ ‖β‖₁`, by coordinate descent, λ raised in 73 steps from a thousandth of the one
    /// at which no channel is left, until at most as many are left as `prune.scope` and the schedule say. The score of a
    /// channel is the number of the last step at which it was there plus |β| / (1 + |β|) then: survivors first, and to make
    /// up their number those that left last. (The paper divides by the number of samples too, which only scales λ.)
    ///
    /// After the choice the weights that read the survivors are fitted anew, by least squares of y over the samples; where
    /// the samples leave them open, they change as little as they can. What several layers read is chosen for all of them
    /// at once. The samples are those of the training batches in `window`, taken of the unpruned network at the same time
    /// for all layers; the paper goes from layer to layer, with 5000 images.
    ///
    /// Scoring costs a pass of its own over the samples: about s f² + f³ / 3 operations for a layer whose output reads
    /// f values (channels times kernel) from s samples. Units that a transposed convolution reads cannot be scored, nor
    /// can those that a grouped one reads as a channel of every group: list them in `prune.exempt`. A depthwise
    /// convolution goes with its channels, and is not fitted anew. Any sharing of the sparsity works; the paper's is
    /// layer by layer.
    pub struct LassoOptions {
        /// Positions of each example that are looked at, drawn at random: pixels of a layer's output, tokens of a
        /// transformer; all where there are fewer.
        #[acts(always)]
        pub positions: usize = 10,
        /// Whether the weights that read the survivors are fitted anew.
        #[acts(always)]
        pub refit: bool = true,
        /// Which training steps count: `last-step` (the batch of the pruning step), `epoch` (those of the epoch that ends
        /// with the pruning step), or `since-prune`. All samples are kept until then.
        #[acts(always)]
        pub window: Window = Window::LastStep,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("positions", self.positions, 1.0..);
    }
}

/// Samples of what the weights read that have units as their inputs.
pub struct LassoChannel {
    options: LassoOptions,
    seed: Seed,
    samples: BTreeMap<String, Samples>,
    /// What follows from the samples of a weight, until they change.
    squares: BTreeMap<String, Squares>,
}

impl From<LassoOptions> for LassoChannel {
    fn from(options: LassoOptions) -> Self {
        Self { options, seed: Seed(0), samples: BTreeMap::new(), squares: BTreeMap::new() }
    }
}

/// Weights that read units, with the groups of these and how they lie.
fn readers(layout: &Layout) -> BTreeMap<&str, Vec<(&UnitGroup, &Member)>> {
    let mut all: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for group in &layout.groups {
        for member in group.by_role(Role::Consumer).filter(|m| m.param.ends_with(".weight")) {
            all.entry(&member.param).or_default().push((group, member));
        }
    }
    all
}

impl LassoChannel {
    fn squares<B: Backend>(
        &mut self,
        params: &secateur::network::params::ParamStore<B>,
        name: &str,
    ) -> Result<&Squares> {
        if !self.squares.contains_key(name) {
            let missing = || Error::Other(format!("no input of `{name}` was sampled: no layer of that name ran"));
            let samples = self.samples.get(name).ok_or_else(missing)?;
            self.squares.insert(name.to_owned(), Squares::of(samples));
        }
        let weight = params.get(name)?.value();
        let columns = weight.count() / weight.shape()[0].max(1);
        let squares = &self.squares[name];
        if squares.columns() == columns {
            return Ok(squares);
        }
        Err(Error::Other(format!("`{name}` {} reads other inputs than those that were sampled", weight.shape())))
    }
}

impl<B: Backend> Criterion<B> for LassoChannel {
    fn needs(&self) -> Needs {
        Needs::INPUTS | Needs::PRODUCTS
    }

    fn window(&self) -> Window {
        self.options.window
    }

    fn normalizer(&self) -> Option<Normalizer> {
        Some(Normalizer::None)
    }

    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        for (name, groups) in readers(seen.params.layout()) {
            let in_groups = seen.params.get(name)?.spec().groups > 1;
            if in_groups || groups.iter().any(|(_, member)| member.axis != 1) {
                continue;
            }
            let rng = self.seed.stream("positions", &[name, &seen.step.0.to_string()]);
            let layer = name.trim_end_matches(".weight");
            let Ok(input) = seen.input(layer) else { continue };
            let bias = seen.params.find(&format!("{layer}.bias")).map(|p| p.value().to_vec());
            let weight = seen.params.get(name)?.value();
            let sampling = Sampling { layer, examples: seen.examples, positions: self.options.positions };
            let rows = sampling.rows(rng, input, seen.product(layer)?, weight, bias.as_deref())?;
            self.samples.entry(name.to_owned()).or_default().add(rows, weight.count() / weight.shape()[0].max(1));
            self.squares.remove(name);
        }
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let group = target
            .group()
            .ok_or_else(|| Error::Config("lasso-channel scores units: set prune.granularity = \"unit\"".into()))?;
        let params = target.params();
        let mut path = Path::new(group.units);
        let mut read = false;
        for member in group.by_role(Role::Consumer).filter(|m| m.param.ends_with(".weight")) {
            let kind = if member.axis != 1 { "transposed" } else { "grouped" };
            if member.axis != 1 || params.get(&member.param)?.spec().groups > 1 {
                return Err(Error::Config(format!(
                    "lasso-channel cannot score the units of `{}`, which the {kind} convolution `{}` reads: list it in \
                     prune.exempt (prune.exempt = [\"{}\"])",
                    group.name,
                    member.layer(),
                    group.name
                )));
            }
            let weight = params.get(&member.param)?.value();
            let squares = self.squares(params, &member.param)?;
            squares.contributions(weight, member, group.units, &mut path)?;
            read = true;
        }
        if !read {
            let text =
                format!("lasso-channel cannot score the units of `{}`: no layer with a weight reads them", group.name);
            return Err(Error::Config(text));
        }
        let keep = target.to_go().map_or(0, |gone| params.units(&group.name).saturating_sub(gone));
        Ok(Scores::Units(path.scores(keep)))
    }

    fn refit(&mut self, plan: &Refit<'_, B>) -> Result<Vec<(String, Tensor<B>)>> {
        let mut fitted = vec![];
        if !self.options.refit {
            return Ok(fitted);
        }
        for (name, groups) in readers(plan.params.layout()) {
            let weight = plan.params.get(name)?.value();
            let mut stays = vec![true; weight.shape()[1]];
            for (group, member) in groups.iter().filter(|(_, member)| member.axis == 1) {
                let gone = plan.units(&group.name).unwrap_or_default().iter().enumerate().filter(|(_, keep)| !**keep);
                gone.for_each(|(unit, _)| member.indices(unit, group.units).for_each(|i| stays[i] = false));
            }
            if stays.iter().all(|stays| *stays) || !self.samples.contains_key(name) {
                continue;
            }
            let values = self.squares(plan.params, name)?.fit(&weight.host(), &stays);
            fitted.push((name.to_owned(), Tensor::from_vec(weight.device(), values, weight.shape())?));
        }
        Ok(fitted)
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        for member in cut.group.by_role(Role::Consumer) {
            if let Some(samples) = self.samples.get_mut(&member.param) {
                samples.keep_inputs(&cut.indices(member));
                self.squares.remove(&member.param);
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.samples.clear();
        self.squares.clear();
        Ok(())
    }

    fn save(&self) -> Result<State> {
        let entry = |(name, samples): (&String, &Samples)| (name.clone(), samples.save());
        Ok(State(self.samples.iter().map(entry).collect()))
    }

    fn load(&mut self, state: State, _device: &B) -> Result<()> {
        self.squares.clear();
        self.samples = state.0.into_iter().map(|(name, numbers)| (name, Samples::load(&numbers))).collect();
        Ok(())
    }
}

register!(
    Criterion,
    "lasso-channel",
    LassoChannel,
    "Channels that the next layer's output can be made of, by LASSO; what reads them is fitted anew.",
    options = LassoOptions
);
