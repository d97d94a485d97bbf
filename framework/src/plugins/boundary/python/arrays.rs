//! What is written into the shared memory for one message, and how the worker is told of it.

use super::memory::{Layout, Memory};
use crate::backend::Backend;
use crate::error::Result;
use crate::network::params::Mask;
use crate::tensor::{Shape, Tensor};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Arrays on their way to the worker, and where each is to lie.
#[derive(Default)]
pub(super) struct Arrays<'a> {
    layout: Layout,
    all: Vec<(u64, Values<'a>)>,
    /// Behind which of them each target has all of its own.
    ends: Vec<usize>,
}

enum Values<'a> {
    Floats(Cow<'a, [f32]>),
    /// How many, and what writes them.
    Flags(usize, WriteFlags<'a>),
}

type WriteFlags<'a> = Box<dyn Fn(&mut [u8]) + 'a>;

impl<'a> Arrays<'a> {
    /// Adds a tensor; what the worker is told of it.
    pub fn tensor<B: Backend>(&mut self, tensor: &'a Tensor<B>) -> Value {
        let at = self.layout.take(size_of::<f32>() * tensor.count());
        self.all.push((at, Values::Floats(tensor.host())));
        json!([at, &tensor.shape()[..], "f4"])
    }

    /// Adds a mask in a shape.
    pub fn mask<B: Backend>(&mut self, mask: &'a Mask<B>, shape: Shape) -> Value {
        let at = self.layout.take(shape.count());
        self.all.push((at, Values::Flags(shape.count(), Box::new(move |to: &mut [u8]| mask.write_flags(to)))));
        json!([at, &shape[..], "u1"])
    }

    /// Ends a target: what is added from now on is another's.
    pub fn end(&mut self) {
        self.ends.push(self.all.len());
    }

    /// Bytes that all of them need.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// Puts them where the worker sees them, and says so of each target that has all of its own.
    ///
    /// # Errors
    /// They do not fit.
    pub fn write(&self, memory: &mut Memory) -> Result<()> {
        let mut all = self.all.iter();
        for (nth, &end) in self.ends.iter().enumerate() {
            while self.all.len() - all.len() < end {
                match all.next() {
                    Some((at, Values::Floats(values))) => memory.write(*at, values)?,
                    Some((at, Values::Flags(count, flags))) => memory.write_flags(*at, *count, flags)?,
                    None => break,
                }
            }
            memory.publish(nth + 1);
        }
        Ok(())
    }
}
