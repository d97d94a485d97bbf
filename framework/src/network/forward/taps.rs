//! Signals recorded for a criterion during a forward pass.

use crate::autograd::Tape;
use crate::backend::Backend;
use crate::error::Error;
use crate::network::forward::{Needs, Trace};
use crate::tensor::Tensor;
use std::collections::HashMap;

/// What a forward pass recorded.
#[derive(Debug)]
pub struct Taps<B: Backend> {
    pub(crate) needs: Needs,
    pub(crate) inputs: HashMap<String, Tensor<B>>,
    pub(crate) outputs: HashMap<String, Tensor<B>>,
    pub(crate) products: HashMap<String, Tensor<B>>,
    pub(crate) preactivations: HashMap<String, Tensor<B>>,
    pub(crate) trace: Trace<B>,
}

impl<B: Backend> Taps<B> {
    pub(crate) fn new(needs: Needs) -> Self {
        Self {
            needs,
            inputs: HashMap::new(),
            outputs: HashMap::new(),
            products: HashMap::new(),
            preactivations: HashMap::new(),
            trace: Trace::of(vec![]),
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
        [Needs::PRODUCTS, Needs::PREACTIVATIONS, Needs::TRACE].into_iter().any(|need| self.needs.has(need))
    }

    /// Whether a value from before what follows the activation is wanted: pooling, a residual.
    pub(super) fn before_end(&self) -> bool {
        self.before_activation() || self.needs.has(Needs::OUTPUTS)
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
