//! Gradients of one backward pass.

use crate::backend::{Backend, Slot};
use crate::error::Result;
use crate::tensor::{Tensor, TensorId};
use std::collections::{HashMap, HashSet};

/// Gradients by tensor. After a backward pass it holds those of leaves (parameters) and of tensors marked to be kept.
#[derive(Debug)]
pub struct Grads<B: Backend> {
    values: HashMap<TensorId, Tensor<B>>,
    keep: HashSet<TensorId>,
}

impl<B: Backend> Grads<B> {
    pub(super) fn new(keep: HashSet<TensorId>) -> Self {
        Self { values: HashMap::new(), keep }
    }

    /// No gradients at all.
    pub(crate) fn empty() -> Self {
        Self::new(HashSet::new())
    }

    /// The gradient of `tensor`, in its shape; `None` where no gradient reached it.
    pub fn get(&self, tensor: &Tensor<B>) -> Option<&Tensor<B>> {
        self.values.get(&tensor.id())
    }

    /// Takes the gradient of an operation's output; it is gone afterwards unless marked to be kept.
    pub(super) fn consume(&mut self, output: TensorId) -> Option<Tensor<B>> {
        let gradient = self.values.remove(&output)?;
        if self.keep.contains(&output) {
            self.values.insert(output, gradient.clone());
        }
        Some(gradient)
    }

    /// Takes the slot of an operation's input, to be filled by a kernel and given back; `None` if it wants no gradient.
    pub(super) fn slot(&mut self, input: &Tensor<B>) -> Option<Slot<B>> {
        input.is_tracked().then(|| Slot(self.values.remove(&input.id())))
    }

    pub(super) fn fill(&mut self, input: &Tensor<B>, slot: Option<Slot<B>>) {
        if let Some(Slot(Some(gradient))) = slot {
            self.values.insert(input.id(), gradient);
        }
    }

    /// Adds to the gradient of `tensor`.
    ///
    /// # Errors
    /// If the shapes differ in element count, or memory runs out.
    pub fn add(&mut self, tensor: &Tensor<B>, gradient: Tensor<B>) -> Result<()> {
        let gradient = gradient.reshape(tensor.shape())?;
        match self.values.get_mut(&tensor.id()) {
            Some(there) => B::accumulate(there, &gradient),
            None => {
                self.values.insert(tensor.id(), gradient);
                Ok(())
            }
        }
    }
}
