//! What relevance goes back over: the operations of a pass, where it began and what it was to find.

use super::{Needs, Taps};
use crate::autograd::Call;
use crate::backend::Backend;
use crate::network::layout::Layout;
use crate::network::model::Output;
use crate::tensor::Tensor;

/// The operations of one forward pass.
#[derive(Debug)]
pub struct Trace<B: Backend> {
    /// In the order of the pass. What is computed past the tape's own operations is missing: its result is then an
    /// input that is tracked, though no call gave it.
    pub calls: Vec<Call<B>>,
    /// The logits; of a model with a loss of its own the result of its output layer.
    pub output: Option<Tensor<B>>,
    /// Class of each example.
    pub classes: Vec<u32>,
}

impl<B: Backend> Trace<B> {
    /// The operations of a pass that ended with the last one.
    pub(crate) fn of(calls: Vec<Call<B>>) -> Self {
        let output = calls.last().map(|call| call.output.clone());
        Self { calls, output, classes: vec![] }
    }
}

impl<B: Backend> Taps<B> {
    /// Adds to a trace what is known when the pass is over.
    pub fn conclude(&mut self, output: &Output<B>, classes: &[u32], layout: &Layout) {
        if !self.needs.has(Needs::TRACE) {
            return;
        }
        let is_output = |layer: &str| layout.spec(&format!("{layer}.weight")).is_some_and(|spec| spec.output);
        let last = self.trace.calls.iter().rev().find(|call| is_output(&call.layer));
        self.trace.output = match output {
            Output::Logits(logits) => Some(logits.clone()),
            Output::Loss { .. } => last.map(|call| call.output.clone()),
        };
        self.trace.classes = classes.to_vec();
    }
}
