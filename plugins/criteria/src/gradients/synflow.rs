//! SynFlow: weights that little flows through go first, before any training and without data.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::network::params::Param;
use secateur::prelude::*;

options! {
    /// |w| dR/d|w|, where R is the sum of the outputs for an input of ones in the network with |w| in place of w (Tanaka et
    /// al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow", algorithm 1).
    /// Meant for a network at initialisation, in rounds: `prune.rounds = 100` in the paper, and `schedule.name =
    /// "one-shot"` with `at = 0`.
    ///
    /// What flows into a unit flows out of it, so the scores of every layer have the same sum, and no layer is emptied:
    /// that holds for linear layers, convolutions, ReLU, pooling, and batch normalisation, which counts as it is before
    /// any data (mean 0, variance 1). Layer normalisation and attention conserve nothing, and there the score is no
    /// more than its formula. Through an activation that is bounded above, as ReLU6 is, nothing flows beyond the bound:
    /// where that empties a layer of the dense network, the criterion refuses it; where it stops some units of a layer,
    /// all that leads to them scores 0 and goes first, unlike in the paper, whose networks have ReLUs. The score of a unit
    /// is the sum over its weights.
    pub struct SynFlow {
        /// Whether biases and shifts take part with their size, as in the authors' code. The paper's R has none: with them
        /// flow begins in every layer, and the sums of the scores fall from the output to the input; where all are zero, as
        /// after batch normalisation before any training, both are the same.
        #[acts(always)]
        pub biases: bool = false,
    }
}

impl SynFlow {
    /// A parameter's value in the network of the flow; running statistics as before any data.
    fn value<B: Backend>(&self, p: &Param<B>) -> Result<(String, Tensor<B>)> {
        let (name, value) = (p.spec().name.clone(), p.effective()?);
        let (device, shape) = (value.device(), value.shape());
        let value = match name.rsplit('.').next() {
            Some("running_var") => Tensor::from_vec(device, vec![1.0; shape.count()], shape)?,
            Some("running_mean") => Tensor::zeros(device, shape)?,
            Some("bias") if !self.biases => Tensor::zeros(device, shape)?,
            _ => value.abs()?,
        };
        Ok((name, value))
    }
}

impl<B: Backend> Gather<B> for SynFlow {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }

    fn round(&self, probe: &mut dyn Probe<B>, sums: &mut Sums<B>) -> Result<()> {
        let values = probe.params().iter().map(|p| self.value(p)).collect::<Result<Vec<_>>>()?;
        let question = Question::new(ProbeInput::Ones, Objective::OutputSum);
        let gradients = probe.gradients(&question.replacing(&values))?;
        // Masks may cut all paths through a layer; nothing else should.
        let dense = probe.params().iter().all(|p| p.mask().is_none_or(|mask| mask.kept() == p.value().count()));
        for (name, value) in values {
            let Some(gradient) = gradients.get(&name) else { continue };
            let flow = value.mul(gradient)?.abs()?;
            if !B::norm_squared(&flow)?.is_finite() {
                return Err(Error::Other(format!(
                    "the flow through `{name}` is too large for single precision: the network is too deep for synflow with \
                     weights of this size; take a shallower one, or another criterion"
                )));
            }
            let prunable = probe.params().find(&name).is_some_and(|p| p.spec().prunable);
            if dense && prunable && B::norm_squared(&flow)? == 0.0 {
                return Err(Error::Config(format!(
                    "nothing flows through `{name}` in the network with |w| in place of w, so that synflow cannot score it: an \
                     activation that is bounded above (relu6, sigmoid, tanh) lets nothing by beyond its bound; take a network \
                     of ReLUs, or another criterion"
                )));
            }
            sums.add(&name, flow, 1)?;
        }
        Ok(())
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(sums.mean(target.name())?.into())
    }
}

type SynFlowCriterion<B> = Gathered<B, SynFlow>;
register!(
    Criterion,
    "synflow",
    SynFlowCriterion<B>,
    "Weights that little flows through first: |w| dR/d|w|, at initialisation, without data.",
    options = SynFlow
);
