//! Network slimming: the scales of batch normalisation say which channels matter, once a penalty has made them choose.

use secateur::prelude::*;
use std::collections::BTreeSet;

options! {
    /// Network slimming (Liu et al. 2017): training adds `s Σ|γ|` over the scales γ of all batch normalisations to the
    /// loss (equation 1; its subgradient is `s sign(γ)`), and channels go by |γ|, ranked over all layers as they are
    /// (unless `prune.normalize` says otherwise).
    ///
    /// Units of a layer that no batch normalisation follows cannot be scored: list them in `prune.exempt`. Of channels
    /// that several normalisations follow the scales are added up. The penalty is on the scales of exempt layers too, as
    /// in the authors' code.
    pub struct SlimmingOptions {
        /// Weight of the penalty; the paper takes 1e-4 to 1e-5.
        #[acts(always)]
        pub s: f64 = 1e-4,
        /// Whether the penalty ends with the first pruning step: the paper prunes once, and tunes without it.
        #[acts(always)]
        pub until_pruned: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("s", self.s, 0.0..);
    }
}

/// The scales by name, and whether anything was pruned yet.
pub struct NetworkSlimming {
    options: SlimmingOptions,
    scales: BTreeSet<String>,
    pruned: bool,
}

impl From<SlimmingOptions> for NetworkSlimming {
    fn from(options: SlimmingOptions) -> Self {
        Self { options, scales: BTreeSet::new(), pruned: false }
    }
}

impl<B: Backend> Criterion<B> for NetworkSlimming {
    fn needs(&self) -> Needs {
        Needs::PENALTY
    }

    fn normalizer(&self) -> Option<Normalizer> {
        Some(Normalizer::None)
    }

    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        let buffers = run.layout.params.iter().filter(|p| p.buffer);
        let layers = buffers.filter_map(|p| p.name.strip_suffix(".running_var"));
        self.scales = layers.map(|layer| format!("{layer}.weight")).collect();
        if self.scales.is_empty() {
            return Err(Error::Config(
                "network-slimming goes by the scales of batch normalisation, and the network has none: take a model with \
                 batch normalisation (model.batch_norm = true of cnn and vgg), or another criterion"
                    .into(),
            ));
        }
        Ok(())
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        if !self.scales.contains(name) || self.pruned && self.options.until_pruned {
            return Ok(None);
        }
        let sum: f64 = weight.host().iter().map(|gamma| f64::from(gamma.abs())).sum();
        Ok(Some((self.options.s * sum, weight.signum()?.scale(self.options.s as f32)?)))
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let group = target
            .group()
            .ok_or_else(|| Error::Config("network-slimming scores units: set prune.granularity = \"unit\"".into()))?;
        let mut scores = vec![0.0; group.units];
        let mut scaled = false;
        for member in group.by_role(Role::Producer).filter(|m| self.scales.contains(&m.param)) {
            let gamma = target.params().get(&member.param)?.value();
            let gamma = gamma.host();
            for (unit, score) in scores.iter_mut().enumerate() {
                *score += member.indices(unit, group.units).map(|i| gamma[i].abs()).sum::<f32>();
            }
            scaled = true;
        }
        if scaled {
            return Ok(Scores::Units(scores));
        }
        let name = &group.name;
        Err(Error::Config(format!(
            "network-slimming goes by the scales of batch normalisation, and none follows the units of `{name}`: list it in \
             prune.exempt (prune.exempt = [\"{name}\"])"
        )))
    }

    fn reset(&mut self) -> Result<()> {
        self.pruned = true;
        Ok(())
    }

    fn save(&self) -> Result<State> {
        Ok(if self.pruned { State::default().with("pruned", [1.0]) } else { State::default() })
    }

    fn load(&mut self, state: State, _device: &B) -> Result<()> {
        self.pruned = state.0.contains_key("pruned");
        Ok(())
    }
}

register!(
    Criterion,
    "network-slimming",
    NetworkSlimming,
    "Channels by the scale of their batch normalisation, under a penalty that makes scales small.",
    options = SlimmingOptions
);
