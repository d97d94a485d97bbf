//! Where a backward kernel puts a gradient.

use super::elementwise;

/// Whether a kernel replaces what is in its destination or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    /// Replace; the old contents are not read.
    Overwrite,
    /// Add.
    Add,
}

/// A gradient to produce: its destination and what happens to the contents.
#[derive(Debug)]
pub struct Grad<'a> {
    /// The destination.
    pub out: &'a mut [f32],
    /// Replace or add.
    pub mode: Accumulate,
}

impl<'a> Grad<'a> {
    /// Replaces the contents of `out`.
    pub fn overwrite(out: &'a mut [f32]) -> Self {
        Self { out, mode: Accumulate::Overwrite }
    }

    /// Adds to the contents of `out`.
    pub fn add(out: &'a mut [f32]) -> Self {
        Self { out, mode: Accumulate::Add }
    }

    /// The same destination for a shorter time.
    pub fn reborrow(&mut self) -> Grad<'_> {
        Grad { out: self.out, mode: self.mode }
    }

    /// out = x or out += x.
    pub fn put(&mut self, x: &[f32]) {
        match self.mode {
            Accumulate::Overwrite => self.out.copy_from_slice(x),
            Accumulate::Add => elementwise::add_assign(self.out, x),
        }
    }

    /// out = x * y or out += x * y.
    pub fn put_product(&mut self, x: &[f32], y: &[f32]) {
        match self.mode {
            Accumulate::Overwrite => elementwise::mul(self.out, x, y),
            Accumulate::Add => elementwise::mul_add_assign(self.out, x, y),
        }
    }

    /// out = s * x or out += s * x.
    pub fn put_scaled(&mut self, s: f32, x: &[f32]) {
        match self.mode {
            Accumulate::Overwrite => elementwise::scale(self.out, x, s),
            Accumulate::Add => elementwise::axpy(self.out, s, x),
        }
    }

    /// Pieces of `len` elements.
    pub fn chunks(self, len: usize) -> impl Iterator<Item = Grad<'a>> {
        let mode = self.mode;
        self.out.chunks_mut(len.max(1)).map(move |out| Grad { out, mode })
    }
}

/// Pieces of a gradient that may not be wanted, `count` of them either way.
pub fn chunks_or_none<'a>(grad: Option<Grad<'a>>, len: usize, count: usize) -> impl Iterator<Item = Option<Grad<'a>>> {
    let mut chunks = grad.map(|g| g.chunks(len));
    (0..count).map(move |_| chunks.as_mut().and_then(Iterator::next))
}
