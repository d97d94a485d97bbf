//! What a held mask keeps from one training step to the next.

use crate::backend::cpu::common::sparse::Pattern;
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;
use std::sync::{Mutex, PoisonError};

/// The pattern of a weight's nonzeros, and the last gradient that was found for them alone.
#[derive(Debug)]
pub struct Held {
    pattern: Pattern,
    /// It is zero where the weight is, so that the next one need write the nonzeros alone. It shares its memory with
    /// the step that it belongs to; whoever writes to it while another holds it gets a copy.
    gradient: Mutex<Option<Tensor<Cpu>>>,
}

impl Held {
    /// Of this pattern.
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, gradient: Mutex::new(None) }
    }

    /// Where the nonzeros are.
    pub(in crate::backend::cpu) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The last gradient.
    pub(super) fn take_gradient(&self) -> Option<Tensor<Cpu>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Remembers the gradient of this step.
    pub(super) fn keep_gradient(&self, gradient: &Tensor<Cpu>) {
        *self.gradient.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient.clone());
    }
}
