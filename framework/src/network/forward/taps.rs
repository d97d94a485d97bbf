//! Signals recorded for a criterion during a forward pass.

use crate::autograd::Tape;
use crate::backend::{Backend, Weight};
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

type Replay<B> = Rc<dyn Fn(&mut Tape<B>, &Tensor<B>, Weight<B>) -> Result<Tensor<B>>>;

/// One layer call: enough to run the layer again with other weights and send something else than gradients backwards.
pub struct LayerCall<B: Backend> {
    /// Name of the layer.
    pub layer: String,
    /// What went in.
    pub input: Tensor<B>,
    /// What the layer's call gave in the end, after batch normalisation, activation, pooling and residual.
    pub output: Tensor<B>,
    /// The layer's weight; `None` for pooling and the like.
    pub weight: Option<Weight<B>>,
    replay: Replay<B>,
}

impl<B: Backend> LayerCall<B> {
    /// Runs the layer without its activation and residual on another input and weight, on a tape of the caller's: a z+
    /// rule of layer-wise relevance propagation is `a * vjp(relevance / z)` with positive weights. Batch normalisation
    /// takes part with the statistics of the recorded pass.
    ///
    /// # Errors
    /// If the shapes do not fit the layer.
    pub fn replay(&self, tape: &mut Tape<B>, input: &Tensor<B>, weight: Weight<B>) -> Result<Tensor<B>> {
        (self.replay)(tape, input, weight)
    }
}

impl<B: Backend> fmt::Debug for LayerCall<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.layer, self.input.shape(), self.output.shape())
    }
}

/// What a forward pass recorded.
#[derive(Debug)]
pub struct Taps<B: Backend> {
    pub(crate) needs: Needs,
    pub(crate) inputs: HashMap<String, Tensor<B>>,
    pub(crate) outputs: HashMap<String, Tensor<B>>,
    pub(crate) products: HashMap<String, Tensor<B>>,
    pub(crate) preactivations: HashMap<String, Tensor<B>>,
    pub(crate) calls: Vec<LayerCall<B>>,
}

impl<B: Backend> Taps<B> {
    pub(crate) fn new(needs: Needs) -> Self {
        Self {
            needs,
            inputs: HashMap::new(),
            outputs: HashMap::new(),
            products: HashMap::new(),
            preactivations: HashMap::new(),
            calls: vec![],
        }
    }

    pub(super) fn input(&mut self, layer: &str, x: &Tensor<B>) {
        if self.needs.has(Needs::INPUTS) {
            self.inputs.insert(layer.into(), x.clone());
        }
    }

    pub(super) fn product(&mut self, layer: &str, z: &Tensor<B>) {
        if self.needs.has(Needs::PRODUCTS) {
            self.products.insert(layer.into(), z.clone());
        }
    }

    pub(super) fn preactivation(&mut self, layer: &str, z: &Tensor<B>) {
        if self.needs.has(Needs::PREACTIVATIONS) {
            self.preactivations.insert(layer.into(), z.clone());
        }
    }

    pub(super) fn output(&mut self, layer: &str, y: &Tensor<B>, tape: &mut Tape<B>) {
        if self.needs.has(Needs::OUTPUTS) {
            self.outputs.insert(layer.into(), y.clone());
        }
        if self.needs.has(Needs::OUTPUT_GRADIENTS) {
            tape.keep(y);
        }
    }

    /// Whether a value from before the activation is wanted.
    pub(super) fn before_activation(&self) -> bool {
        self.needs.has(Needs::PRODUCTS) || self.needs.has(Needs::PREACTIVATIONS)
    }

    /// Whether a value from before what follows the activation is wanted: pooling, a residual.
    pub(super) fn before_end(&self) -> bool {
        self.before_activation() || self.needs.has(Needs::OUTPUTS)
    }

    pub(super) fn call(
        &mut self,
        layer: &str,
        x: &Tensor<B>,
        y: &Tensor<B>,
        weight: Option<Weight<B>>,
        replay: Replay<B>,
    ) {
        if self.needs.has(Needs::TRACE) {
            self.calls.push(LayerCall { layer: layer.into(), input: x.clone(), output: y.clone(), weight, replay });
        }
    }

    pub(crate) fn missing(&self, need: Needs, layer: &str) -> Error {
        if self.needs.has(need) {
            let all = [&self.inputs, &self.outputs, &self.products, &self.preactivations];
            let mut known: Vec<&str> = all.iter().flat_map(|taps| taps.keys()).map(String::as_str).collect();
            known.sort_unstable();
            known.dedup();
            Error::Other(format!(
                "`{layer}` did not run in this forward pass: {}",
                crate::options::unknown("layer", layer, &known)
            ))
        } else {
            Error::Other(format!("the criterion asked for {need} of `{layer}` but declared Needs::{}", self.needs))
        }
    }
}
