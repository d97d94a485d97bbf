//! What an optimizer keeps of a parameter: of all its elements, or of its nonzeros alone.

use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// Momentum, or first and second moment.
#[derive(Debug)]
pub(super) struct Moments<B: Backend> {
    tensors: Vec<Tensor<B>>,
    /// The nonzeros that the tensors have a number for each; the parameter's shape else.
    packed: Option<Arc<B::Pattern>>,
}

impl<B: Backend> Clone for Moments<B> {
    fn clone(&self) -> Self {
        Self { tensors: self.tensors.clone(), packed: self.packed.clone() }
    }
}

impl<B: Backend> Moments<B> {
    /// In the parameter's shape.
    pub fn whole(tensors: Vec<Tensor<B>>) -> Self {
        Self { tensors, packed: None }
    }

    /// As they are kept: in the parameter's shape, or a number for each nonzero.
    pub fn tensors(&self) -> &[Tensor<B>] {
        &self.tensors
    }

    /// The nonzeros that they are kept for, if not for all elements.
    pub fn packed(&self) -> Option<&Arc<B::Pattern>> {
        self.packed.as_ref()
    }

    /// In the parameter's shape, zero where nothing is kept.
    pub fn unpacked(&self, shape: Shape) -> Result<Vec<Tensor<B>>> {
        let Some(pattern) = &self.packed else { return Ok(self.tensors.clone()) };
        Ok(self.tensors.iter().map(|values| B::spread(values, pattern, shape)).collect())
    }

    /// Brings them into the parameter's shape.
    pub fn unpack(&mut self, shape: Shape) -> Result<&mut [Tensor<B>]> {
        if self.packed.is_some() {
            *self = Self::whole(self.unpacked(shape)?);
        }
        Ok(&mut self.tensors)
    }

    /// Keeps them for these nonzeros of a parameter of that shape alone; says whether that is new.
    pub fn pack(&mut self, pattern: &Arc<B::Pattern>, shape: Shape) -> Result<bool> {
        if self.packed.as_ref().is_some_and(|packed| Arc::ptr_eq(packed, pattern)) {
            return Ok(false);
        }
        self.unpack(shape)?;
        self.tensors = self.tensors.iter().map(|whole| B::gather(whole, pattern)).collect::<Result<_>>()?;
        self.packed = Some(Arc::clone(pattern));
        Ok(true)
    }

    /// So many of them, of that shape each where they are whole; what is new is zero.
    pub fn at_least(&mut self, slots: usize, shape: Shape, kept: usize, device: &B) -> Result<&mut [Tensor<B>]> {
        let shape = if self.packed.is_some() { Shape::from([kept]) } else { shape };
        while self.tensors.len() < slots {
            self.tensors.push(Tensor::zeros(device, shape)?);
        }
        Ok(&mut self.tensors)
    }

    /// Nothing.
    pub fn clear(&mut self) {
        *self = Self::whole(vec![]);
    }
}
