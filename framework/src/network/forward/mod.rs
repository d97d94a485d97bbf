//! The forward pass as a model author sees it: layers by name.
//!
//! Applies masks, records what a criterion needs, counts multiplications, and works the same in training and evaluation.

mod cost;
mod images;
mod needs;
mod taps;
mod trail;
mod vision;

pub use cost::Cost;
pub use needs::Needs;
pub use taps::{LayerCall, Taps};
pub use trail::Trail;
pub use vision::Windows;

use crate::autograd::Tape;
use crate::backend::{Act, Backend, Weight};
use crate::error::Result;
use crate::network::compressor::Compressor;
use crate::network::params::ParamStore;
use crate::seed::Seed;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::rc::Rc;
use trail::Following;

/// One forward pass over one batch.
pub struct Forward<'a, B: Backend> {
    pub(crate) params: &'a ParamStore<B>,
    pub(crate) compressor: Option<&'a dyn Compressor<B>>,
    pub(crate) replaced: HashMap<String, Tensor<B>>,
    pub(crate) tape: Tape<B>,
    pub(crate) taps: Taps<B>,
    pub(crate) cost: Cost,
    pub(crate) noise: Option<Seed>,
    pub(crate) buffers: Vec<(String, Tensor<B>)>,
    following: Following,
}

impl<'a, B: Backend> Forward<'a, B> {
    /// A pass that records gradients and the signals in `needs`; `noise` seeds dropout and the like for this step.
    pub fn training(params: &'a ParamStore<B>, needs: Needs, noise: Seed) -> Self {
        Self { tape: Tape::recording(), noise: Some(noise), ..Self::evaluation(params) }.with_needs(needs)
    }

    /// A pass without gradients.
    pub fn evaluation(params: &'a ParamStore<B>) -> Self {
        Self {
            params,
            compressor: None,
            replaced: HashMap::new(),
            tape: Tape::off(),
            taps: Taps::new(Needs::WEIGHTS),
            cost: Cost::default(),
            noise: None,
            buffers: vec![],
            following: Following::Off,
        }
    }

    /// Tokens pass through this compressor at the stages the model offers.
    #[must_use]
    pub fn with_compressor(self, compressor: Option<&'a dyn Compressor<B>>) -> Self {
        Self { compressor, ..self }
    }

    /// Keeps track of which tokens are merged, see [`Forward::trail`].
    #[must_use]
    pub fn following_tokens(self) -> Self {
        Self { following: Following::Start, ..self }
    }

    /// Uses other values for some parameters.
    #[must_use]
    pub fn with_replaced(self, replaced: &[(String, Tensor<B>)]) -> Self {
        Self { replaced: replaced.iter().map(|(n, t)| (n.clone(), t.clone().tracked(true))).collect(), ..self }
    }

    fn with_needs(self, needs: Needs) -> Self {
        Self { taps: Taps::new(needs), ..self }
    }

    /// Whether this pass trains (dropout on, batch statistics) or evaluates.
    pub fn is_training(&self) -> bool {
        self.noise.is_some()
    }

    /// A parameter by its full name, masked.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn param(&mut self, name: &str) -> Result<Tensor<B>> {
        let Weight { value, mask } = self.weight(name)?;
        let Some(mask) = mask else { return Ok(value) };
        // The product's gradient flows to the dense value unmasked: see `Weight`.
        let masked = value.mul(&mask)?;
        if !self.tape.wants(&[&value]) {
            return Ok(masked);
        }
        Ok(self.tape.record(masked, move |dy, grads| grads.add(&value, dy)))
    }

    /// The tensor under which a parameter's gradient will be found.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub(crate) fn leaf(&self, name: &str) -> Result<(String, Tensor<B>)> {
        Ok((name.to_string(), self.weight(name)?.value))
    }

    fn weight(&self, name: &str) -> Result<Weight<B>> {
        match self.replaced.get(name) {
            Some(value) => Ok(Weight { value: value.clone(), mask: None }),
            None => self.params.weight(name),
        }
    }

    fn bias(&mut self, layer: &str) -> Result<Option<Tensor<B>>> {
        let name = format!("{layer}.bias");
        self.params.find(&name).is_some().then(|| self.param(&name)).transpose()
    }

    /// Linear layer `name` with a fused activation: `x [rows, in]` -> `[rows, out]`.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn linear(&mut self, name: &str, x: &Tensor<B>, act: Act) -> Result<Tensor<B>> {
        self.linear_residual(name, x, act, None)
    }

    /// [`Forward::linear`] plus `residual [rows, out]`, added after the activation.
    ///
    /// # Errors
    /// If the layer does not exist, or the shapes do not fit it.
    pub fn linear_residual(
        &mut self,
        name: &str,
        x: &Tensor<B>,
        act: Act,
        residual: Option<&Tensor<B>>,
    ) -> Result<Tensor<B>> {
        let weight_name = format!("{name}.weight");
        let weight = self.weight(&weight_name)?;
        let kept = self.params.get(&weight_name)?.kept();
        self.cost.add(x.shape().first().copied().unwrap_or(0), kept, weight.value.count());
        let bias = self.bias(name)?;
        self.taps.input(name, x);
        let replay = {
            let bias = bias.clone();
            move |tape: &mut Tape<B>, x: &Tensor<B>, w: Weight<B>| tape.linear(x, w, bias.clone(), Act::None, None)
        };
        let split = self.taps.needs.has(Needs::PREACTIVATIONS) && (act != Act::None || residual.is_some());
        let y = if split {
            let z = self.tape.linear(x, weight.clone(), bias, Act::None, None)?;
            self.taps.preactivation(name, &z);
            let y = self.tape.act(&z, act)?;
            residual.map_or(Ok(y.clone()), |r| self.tape.add(&y, r))?
        } else {
            self.tape.linear(x, weight.clone(), bias, act, residual)?
        };
        if !split {
            self.taps.preactivation(name, &y);
        }
        self.taps.output(name, &y, &mut self.tape);
        self.taps.call(name, x, &y, Some(weight), Rc::new(replay));
        Ok(y)
    }

    /// Units in a group, the masked ones included: what the layers' shapes go by.
    pub fn units(&self, group: &str) -> usize {
        self.params.layout().group(group).map_or(0, |g| g.units)
    }

    /// The tape, for operations that have no layer of their own.
    pub fn tape(&mut self) -> &mut Tape<B> {
        &mut self.tape
    }

    /// Counts multiplications that no layer counts (attention, merging).
    pub fn count_macs(&mut self, macs: usize) {
        self.cost.extra(macs);
    }

    /// The compressor, if the run has one.
    pub fn compressor(&self) -> Option<&'a dyn Compressor<B>> {
        self.compressor
    }

    /// Where the tokens went, after the forward pass; nothing where they were not followed, there are none, or their sources got lost.
    pub fn trail(&self) -> Option<&Trail> {
        if let Following::At(trail) = &self.following { Some(trail) } else { None }
    }

    /// Ends the pass: the tape, what was recorded, and the cost.
    pub fn finish(self) -> (Tape<B>, Taps<B>, Cost) {
        (self.tape, self.taps, self.cost)
    }
}
