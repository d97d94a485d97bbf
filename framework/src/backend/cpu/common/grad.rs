//! Where a backward kernel puts a gradient.

use super::elementwise;

/// Whether a kernel replaces what is in its destination or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    /// Replace; the old contents are not read.
    Overwrite,
    /// Add to what is there.
    Add,
}

/// A gradient to produce: its destination and what happens to the contents.
#[derive(Debug)]
pub struct Grad<'a> {
    /// The slice that the gradient goes to.
    pub out: &'a mut [f32],
    /// Whether it replaces or adds.
    pub mode: Accumulate,
}

impl<'a> Grad<'a> {
    /// Replaces the contents of `out`.
    pub fn overwrite(out: &'a mut [f32]) -> Self {
        Self { out, mode: Accumulate::Overwrite }
    }

    /// Adds to the contents of `out`.
    #[cfg(test)]
    pub fn add(out: &'a mut [f32]) -> Self {
        Self { out, mode: Accumulate::Add }
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

/// Gradient = f(x, y), replaced or added.
pub fn put_map<F: Fn(f32, f32) -> f32 + Copy + Send + Sync>(grad: Grad<'_>, x: &[f32], y: &[f32], f: F) {
    match grad.mode {
        Accumulate::Overwrite => elementwise::zip_map(grad.out, x, y, f),
        Accumulate::Add => elementwise::update_zip(grad.out, x, y, move |g, x, y| g + f(x, y)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_replaced_or_added() {
        let mut out = [1.0, 2.0];
        Grad::overwrite(&mut out).put(&[5.0, 6.0]);
        assert_eq!(out, [5.0, 6.0]);
        Grad::add(&mut out).put_scaled(2.0, &[1.0, 1.0]);
        assert_eq!(out, [7.0, 8.0]);
        Grad::add(&mut out).put_product(&[1.0, 2.0], &[0.0, 1.0]);
        assert_eq!(out, [7.0, 10.0]);
        put_map(Grad::overwrite(&mut out), &[1.0, 2.0], &[3.0, 4.0], |a, b| a + b);
        assert_eq!(out, [4.0, 6.0]);
    }
}
