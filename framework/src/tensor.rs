//! Tensors, and the numeric vocabulary that criteria are written in.

pub use crate::backend::tensor::{Shape, Tensor, TensorId};

use crate::backend::{Backend, Binary, Reduce, Unary};
use crate::error::Result;

impl<B: Backend> Tensor<B> {
    /// |x|, element by element.
    ///
    /// # Errors
    /// If the device is out of memory; so for every operation here.
    pub fn abs(&self) -> Result<Self> {
        B::unary(Unary::Abs, self)
    }

    /// x², element by element.
    pub fn square(&self) -> Result<Self> {
        B::unary(Unary::Square, self)
    }

    /// -1, 0 or 1, element by element.
    pub fn signum(&self) -> Result<Self> {
        B::unary(Unary::Sign, self)
    }

    /// Every element times a number.
    pub fn scale(&self, factor: f32) -> Result<Self> {
        B::unary(Unary::Scale(factor), self)
    }

    /// Element by element sum.
    ///
    /// # Errors
    /// If the shapes differ; so for every operation of two tensors here.
    pub fn add(&self, other: &Self) -> Result<Self> {
        B::binary(Binary::Add, self, other)
    }

    /// Element by element difference.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        B::binary(Binary::Sub, self, other)
    }

    /// Element by element product.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        B::binary(Binary::Mul, self, other)
    }

    /// The larger one, element by element.
    pub fn max(&self, other: &Self) -> Result<Self> {
        B::binary(Binary::Max, self, other)
    }

    /// The last two axes exchanged: `[..., a, b] -> [..., b, a]`.
    ///
    /// # Errors
    /// If there are fewer than two.
    pub fn transpose(&self) -> Result<Self> {
        B::transpose(self)
    }

    /// Reduces one axis away.
    pub fn reduce(&self, how: Reduce, axis: usize) -> Result<Self> {
        B::reduce(how, self, axis)
    }

    /// Keeps the listed indices of one axis, in order.
    pub fn select(&self, axis: usize, keep: &[usize]) -> Result<Self> {
        B::select(self, axis, keep)
    }

    /// Matrix product of two rank-2 tensors, each transposed first where asked: `[m, k] x [k, n] -> [m, n]`.
    pub fn matmul(&self, transposed: bool, other: &Self, other_transposed: bool) -> Result<Self> {
        B::matmul(self, transposed, other, other_transposed)
    }
}
