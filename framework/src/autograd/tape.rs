//! The tape: backward operations in the order of the forward pass.

use super::Grads;
use super::kinks::Freezing;
use super::trace::{Call, Written};
use crate::backend::{Backend, Precision, Slot};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorId};
use std::collections::HashSet;

type Backward<B> = Box<dyn FnOnce(&mut Grads<B>) -> Result<()>>;

/// Records operations while training; the same operations run unrecorded in evaluation.
pub struct Tape<B: Backend> {
    ops: Vec<Backward<B>>,
    keep: HashSet<TensorId>,
    recording: bool,
    /// What layers are computed in.
    pub(super) precision: Precision,
    pub(super) freezing: Freezing<B>,
    /// The operations so far, where they are noted.
    pub(super) trace: Option<Vec<Call<B>>>,
    /// The operations as what they are, where they are written down.
    pub(super) written: Option<Vec<Written<B>>>,
}

impl<B: Backend> Tape<B> {
    /// A tape that records.
    pub fn recording() -> Self {
        Self {
            ops: vec![],
            keep: HashSet::new(),
            recording: true,
            precision: Precision::F32,
            freezing: Freezing::Off,
            trace: None,
            written: None,
        }
    }

    /// A tape that lets operations run without gradients.
    pub fn off() -> Self {
        Self { recording: false, ..Self::recording() }
    }

    /// The same tape; products of layers and of attention are computed in `precision`, here and in the backward pass.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Whether operations are recorded.
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// Keeps the gradient of an intermediate tensor beyond the backward pass.
    pub fn keep(&mut self, tensor: &Tensor<B>) {
        self.keep.insert(tensor.id());
    }

    /// Whether an operation on these inputs must be recorded.
    pub fn wants(&self, inputs: &[&Tensor<B>]) -> bool {
        self.recording && inputs.iter().any(|t| t.is_tracked())
    }

    /// Records how the gradient of `output` flows to the operation's inputs.
    ///
    /// `backward` gets the output's gradient and adds to the inputs' with [`Grads::add`]; it is not called where no
    /// gradient arrives. Returns `output`, marked as wanting a gradient.
    pub fn record(
        &mut self,
        output: Tensor<B>,
        backward: impl FnOnce(Tensor<B>, &mut Grads<B>) -> Result<()> + 'static,
    ) -> Tensor<B> {
        let id = output.id();
        self.ops.push(Box::new(move |grads| match grads.consume(id) {
            Some(gradient) => backward(gradient, grads),
            None => Ok(()),
        }));
        output.tracked(true)
    }

    /// Records an operation of one input whose backward kernel fills that input's slot.
    pub(super) fn through(
        &mut self,
        x: &Tensor<B>,
        y: Tensor<B>,
        backward: impl FnOnce(&Tensor<B>, &Tensor<B>, &mut Slot<B>) -> Result<()> + 'static,
    ) -> Result<Tensor<B>> {
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| {
            let mut slot = grads.slot(&x);
            if let Some(slot) = &mut slot {
                backward(&x, &dy, slot)?;
            }
            grads.fill(&x, slot);
            Ok(())
        }))
    }

    /// Runs the tape backwards from `root`, whose own gradient is `seed` (ones of its shape for a scalar loss).
    ///
    /// # Errors
    /// What the operations report; a root that does not depend on anything tracked.
    pub fn backward(self, root: &Tensor<B>, seed: Tensor<B>) -> Result<Grads<B>> {
        if !root.is_tracked() {
            return Err(Error::Other("the loss does not depend on any parameter: nothing to differentiate".into()));
        }
        let mut grads = Grads::new(self.keep);
        grads.add(root, seed)?;
        for op in self.ops.into_iter().rev() {
            op(&mut grads)?;
        }
        Ok(grads)
    }
}
