//! Layer-wise relevance propagation: units that the network's outputs owe little to go first.

use super::flow::flow;
use super::rule::{Rule, Sharing};
use secateur::prelude::*;
use std::collections::BTreeMap;

choices! {
    /// In what proportion the inputs of an operation get its relevance.
    pub enum RuleName {
        /// By their positive contributions.
        ZPlus = "z-plus",
        /// By their contributions.
        Epsilon = "epsilon",
        /// By their positive and their negative contributions, each with a weight.
        AlphaBeta = "alpha-beta",
    }
}

choices! {
    /// The relevance that is sent back.
    pub enum Start {
        /// Every output above zero, by its value.
        PositiveOutputs = "positive-outputs",
        /// The output of each example's class.
        TrueClass = "true-class",
        /// The largest output of each example.
        PredictedClass = "predicted-class",
    }
}

choices! {
    /// What becomes of the share of what does not depend on the inputs.
    pub enum Bias {
        /// It leaves the network.
        Absorb = "absorb",
        /// It goes to the inputs, in the proportion of their own shares.
        Redistribute = "redistribute",
    }
}

options! {
    /// How relevance is shared out, and where it begins.
    pub struct LrpOptions {
        /// `z-plus`, `epsilon` or `alpha-beta` (Bach et al. 2015).
        #[acts(always)]
        pub rule: RuleName = RuleName::ZPlus,
        /// Weight of positive contributions; `alpha - beta` is 1, so that relevance is conserved.
        #[acts(|l| l.rule == RuleName::AlphaBeta, "rule = \"alpha-beta\"")]
        pub alpha: f64 = 2.0,
        /// Weight of negative contributions.
        #[acts(|l| l.rule == RuleName::AlphaBeta, "rule = \"alpha-beta\"")]
        pub beta: f64 = 1.0,
        /// Added to the size of what is divided by; its part of the relevance leaves the network.
        #[acts(always)]
        pub epsilon: f64 = 1e-9,
        /// `positive-outputs`, `true-class` or `predicted-class`.
        #[acts(always)]
        pub start: Start = Start::PositiveOutputs,
        /// What becomes of the share of biases, class tokens and positions: `absorb` or `redistribute`.
        #[acts(always)]
        pub bias: Bias = Bias::Redistribute,
        /// Which training steps count: `last-step` (the pruning step), `epoch` (those of the epoch that ends with it),
        /// or `since-prune`.
        #[acts(always)]
        pub window: Window = Window::LastStep,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("alpha", self.alpha, 0.0..=2e3);
        checks.range("beta", self.beta, 0.0..=1e3);
        let one = (self.alpha - self.beta - 1.0).abs() < 1e-6;
        let allowed = format!("must be beta + 1 = {}, so that relevance is conserved", self.beta + 1.0);
        checks.ensure("alpha", self.rule != RuleName::AlphaBeta || one, allowed);
        checks.above("epsilon", self.epsilon, 0.0);
    }
}

/// Layer-wise relevance propagation as a criterion (Yeom et al. 2021, "Pruning by explaining"): the score of a unit is
/// the sum of the size of its relevance over examples and positions.
///
/// The relevance of each output is shared out among the inputs of the operation that made it, and so on back to the
/// first layer. Linear layers, convolutions (with the batch normalisation behind them), sums, means of windows or of
/// tokens, and merged tokens share it by the rule; activations and maxima pass it on as it is. Attention and layer
/// normalisation are linear maps of their values, with the probabilities and the deviation held as they are (Ali et al.
/// 2022). The relevance of an attention head is that of its values.
///
/// The sum of the relevance is the same at every layer, but for what biases and epsilon absorb.
pub struct Lrp<B: Backend> {
    options: LrpOptions,
    /// The sizes of the relevance of each layer's outputs, summed up.
    seen: BTreeMap<String, Tensor<B>>,
}

impl<B: Backend> From<LrpOptions> for Lrp<B> {
    fn from(options: LrpOptions) -> Self {
        Self { options, seen: BTreeMap::new() }
    }
}

impl LrpOptions {
    fn rule(&self) -> Rule {
        let sharing = match self.rule {
            RuleName::ZPlus => Sharing::AlphaBeta { beta: 0.0 },
            RuleName::Epsilon => Sharing::Epsilon,
            RuleName::AlphaBeta => Sharing::AlphaBeta { beta: self.beta as f32 },
        };
        Rule { sharing, epsilon: self.epsilon as f32, redistribute: self.bias == Bias::Redistribute }
    }

    /// The relevance of the network's outputs.
    fn start<B: Backend>(&self, output: &Tensor<B>, classes: &[u32]) -> Result<Tensor<B>> {
        if self.start == Start::PositiveOutputs {
            return B::activation(Act::Relu, &output.detach());
        }
        let &[examples, outputs] = &*output.shape() else { return Err(self.no_classes()) };
        let mut chosen = vec![0.0; examples * outputs];
        for (i, row) in output.host().chunks(outputs.max(1)).enumerate() {
            let class = match self.start {
                Start::TrueClass => classes.get(i).map(|class| *class as usize),
                _ => (0..outputs).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a))),
            };
            let class = class.filter(|class| *class < outputs).ok_or_else(|| self.no_classes())?;
            chosen[i * outputs + class] = 1.0;
        }
        output.detach().mul(&Tensor::from_vec(output.device(), chosen, output.shape())?)
    }

    fn no_classes(&self) -> Error {
        let allowed = "the network has no output for each class: set it to `positive-outputs`";
        OptionError::new("criterion.start", self.start, allowed).into()
    }
}

/// Sums over examples and positions of the size of relevance `[examples, units, ...]`, or `[rows, units]`.
fn sizes<B: Backend>(relevance: &Tensor<B>) -> Result<Tensor<B>> {
    let (examples, units, positions) = relevance.shape().around(1);
    relevance.reshape([examples, units, positions])?.reduce(Reduce::L1, 2)?.reduce(Reduce::Sum, 0)
}

impl<B: Backend> Criterion<B> for Lrp<B> {
    fn needs(&self) -> Needs {
        Needs::TRACE
    }

    fn window(&self) -> Window {
        self.options.window
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        let trace = seen.trace()?;
        let missing = || Error::Config("lrp found no output of the network that relevance could begin at".into());
        let output = trace.output.as_ref().ok_or_else(missing)?;
        let start = self.options.start(output, &trace.classes)?;
        flow(trace, &self.options.rule(), (output, start), |call, relevance, _| {
            if !call.layer.is_empty() {
                let found = sizes(relevance)?;
                let found = self.seen.get(&call.layer).map_or(Ok(found.clone()), |there| there.add(&found))?;
                self.seen.insert(call.layer.clone(), found);
            }
            Ok(())
        })
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let none = || Error::Config("lrp scores units: set prune.granularity = \"unit\"".into());
        let group = target.group().ok_or_else(none)?;
        let mut scores = vec![0.0; group.units];
        let mut found = false;
        for member in group.producer_weights(target.params().layout()) {
            let Some(sizes) = self.seen.get(member.layer()) else { continue };
            let sizes = sizes.host();
            found = true;
            for (unit, score) in scores.iter_mut().enumerate() {
                *score += member.indices(unit, group.units).map(|i| f64::from(sizes[i])).sum::<f64>();
            }
        }
        if !found {
            let name = &group.name;
            return Err(Error::Other(format!(
                "no relevance came by `{name}`: the output does not depend on its units"
            )));
        }
        Ok(Scores::Units(scores.into_iter().map(|s| s as f32).collect()))
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        for member in cut.group.by_role(Role::Producer).filter(|m| m.param.ends_with(".weight")) {
            if let Some(sizes) = self.seen.get_mut(member.layer()) {
                *sizes = sizes.select(0, &cut.indices(member))?;
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.seen.clear();
        Ok(())
    }

    fn save(&self) -> Result<State> {
        let add = |state: State, (layer, sizes): (&String, &Tensor<B>)| state.with(layer, sizes.to_vec());
        Ok(self.seen.iter().fold(State::default(), add))
    }

    fn load(&mut self, mut state: State, device: &B) -> Result<()> {
        let layers: Vec<String> = state.0.keys().cloned().collect();
        self.seen.clear();
        for layer in layers {
            let sizes: Vec<f32> = state.take(&layer)?.into_iter().map(|v| v as f32).collect();
            let n = sizes.len();
            self.seen.insert(layer, Tensor::from_vec(device, sizes, [n])?);
        }
        Ok(())
    }
}

register!(
    Criterion,
    "lrp",
    Lrp<B>,
    "Units by the relevance that layer-wise relevance propagation sends back to them.",
    options = LrpOptions
);
