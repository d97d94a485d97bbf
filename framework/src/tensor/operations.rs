//! Operations that a tensor has by itself: element-wise, along an axis, products of matrices.

use super::{Device, Tensor};
use crate::error::Result;

/// Element-wise function of one tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// |x|
    Abs,
    /// x²
    Square,
    /// -1, 0 or 1
    Sign,
    /// factor * x
    Scale(f32),
}

/// Element-wise function of two tensors of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// The larger one of a and b.
    Max,
    /// a / b
    Div,
}

/// How an axis is reduced to one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// Σ x
    Sum,
    /// Σ |x|
    L1,
    /// √Σ x²
    L2,
    /// Σ x / n
    Mean,
    /// max |x|
    Max,
}

/// What every device does with tensors, whatever network they belong to.
pub trait TensorOps: Device {
    /// Element-wise function.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn unary(op: Unary, x: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Element-wise function of two tensors.
    fn binary(op: Binary, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Reduces one axis to one value.
    fn reduce(how: Reduce, x: &Tensor<Self>, axis: usize) -> Result<Tensor<Self>>;
    /// `op(a) op(b)`, each transposed where asked.
    fn matmul(a: &Tensor<Self>, ta: bool, b: &Tensor<Self>, tb: bool) -> Result<Tensor<Self>>;
    /// The last two axes exchanged: `[..., a, b] -> [..., b, a]`.
    fn transpose(x: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// `x` times the one value of `factor`; `x` itself where the host knows that to be one.
    fn scale_by(x: Tensor<Self>, factor: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// `to += from`.
    fn accumulate(to: &mut Tensor<Self>, from: &Tensor<Self>) -> Result<()>;
    /// Σ x², in f64.
    fn norm_squared(x: &Tensor<Self>) -> Result<f64>;

    /// Keeps the listed indices of one axis, in order.
    fn select(x: &Tensor<Self>, axis: usize, keep: &[usize]) -> Result<Tensor<Self>>;
}

impl<B: TensorOps> Tensor<B> {
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

    /// Element by element quotient.
    pub fn div(&self, other: &Self) -> Result<Self> {
        B::binary(Binary::Div, self, other)
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
