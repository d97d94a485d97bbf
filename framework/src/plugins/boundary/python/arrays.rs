//! What is written into the shared memory for one message, and how the worker is told of it.

use super::memory::{Layout, Memory};
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Arrays on their way to the worker, and where each is to lie.
#[derive(Default)]
pub(super) struct Arrays<'a> {
    layout: Layout,
    all: Vec<(u64, Values<'a>)>,
}

enum Values<'a> {
    Floats(Cow<'a, [f32]>),
    Flags(&'a [bool]),
}

impl<'a> Arrays<'a> {
    /// Adds a tensor; what the worker is told of it.
    pub fn tensor<B: Backend>(&mut self, tensor: &'a Tensor<B>) -> Value {
        let at = self.layout.take(size_of::<f32>() * tensor.count());
        self.all.push((at, Values::Floats(tensor.host())));
        json!([at, &tensor.shape()[..], "f4"])
    }

    /// Adds flags in a shape.
    pub fn flags(&mut self, flags: &'a [bool], shape: &[usize]) -> Value {
        let at = self.layout.take(flags.len());
        self.all.push((at, Values::Flags(flags)));
        json!([at, shape, "u1"])
    }

    /// Where as many scores as a tensor has elements are to lie.
    pub fn room<B: Backend>(&mut self, tensor: &Tensor<B>) -> u64 {
        self.layout.take(size_of::<f32>() * tensor.count())
    }

    /// Bytes that all of them need.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// Puts them where the worker sees them.
    ///
    /// # Errors
    /// They do not fit.
    pub fn write(&self, memory: &mut Memory) -> Result<()> {
        self.all.iter().try_for_each(|(at, values)| match values {
            Values::Floats(values) => memory.write(*at, values),
            Values::Flags(flags) => memory.write_flags(*at, flags),
        })
    }
}
