//! Tensors, the devices that hold them, and the numeric vocabulary that criteria are written in.
//!
//! A tensor is a dfdx tensor with a run-time shape. dfdx's rank is a type; a parameter store, a pruned layer and a
//! plugin boundary need it to be a value. So the data is one contiguous dfdx tensor of rank 1 on its device, and the
//! shape stands beside it. [`Tensor::dfdx`] hands out the dfdx tensor, with every operation dfdx has;
//! [`Tensor::from_dfdx`] takes one back.

mod bits;
mod buffer;
mod device;
mod device_name;
mod operands;
mod operations;
mod precision;
mod shape;

pub use bits::Bits;
pub use buffer::Buffer;
pub use device::Device;
pub use device_name::DeviceName;
pub(crate) use operands::check_same;
pub use operands::{LayerGrads, Nonzeros, Slot, Weight};
pub use operations::{Binary, Reduce, TensorOps, Unary};
pub use precision::Precision;
pub use shape::Shape;

use crate::error::{Error, Result};
use dfdx::prelude::{HasShape as _, Shape as DfdxShape, Tensor as DfdxTensor};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a value on the tape; clones and reshapes share it, and with it their gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(u64);

impl TensorId {
    fn next() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        Self(COUNTER.fetch_add(1, Ordering::Relaxed))
    }

    /// As a number, for a plugin boundary.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// A contiguous, row-major `f32` tensor on a device. Cloning is cheap and shares the data.
pub struct Tensor<B: Device> {
    id: TensorId,
    shape: Shape,
    tracked: bool,
    buffer: Arc<Buffer<B>>,
}

impl<B: Device> Clone for Tensor<B> {
    fn clone(&self) -> Self {
        Self { id: self.id, shape: self.shape, tracked: self.tracked, buffer: self.buffer.clone() }
    }
}

impl<B: Device> fmt::Debug for Tensor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{} on {}", self.shape, B::NAME)
    }
}

impl<B: Device> Tensor<B> {
    /// Moves host values to the device.
    ///
    /// # Errors
    /// If `data.len()` is not the shape's element count, or the device is out of memory.
    pub fn from_vec(device: &B, data: Vec<f32>, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if data.len() != shape.count() {
            return Err(Error::shape("tensor", format!("{} values for shape {shape}", data.len())));
        }
        Ok(Self::from_buffer(device.upload(data)?, shape))
    }

    /// Copies host values to the device.
    ///
    /// # Errors
    /// As [`from_vec`](Self::from_vec).
    pub fn from_slice(device: &B, data: &[f32], shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if data.len() != shape.count() {
            return Err(Error::shape("tensor", format!("{} values for shape {shape}", data.len())));
        }
        Ok(Self::from_buffer(device.copied(data)?, shape))
    }

    /// Values that somebody holds, which are not copied where the device is the host.
    ///
    /// # Errors
    /// As [`from_vec`](Self::from_vec).
    pub(crate) fn lasting(
        device: &B,
        values: Arc<dyn AsRef<[f32]> + Send + Sync>,
        shape: impl Into<Shape>,
    ) -> Result<Self> {
        let (shape, count) = (shape.into(), (*values).as_ref().len());
        if count != shape.count() {
            return Err(Error::shape("tensor", format!("{count} values for shape {shape}")));
        }
        Ok(Self::from_buffer(device.lasting(values)?, shape))
    }

    /// All elements zero.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn zeros(device: &B, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        Ok(Self::from_buffer(device.zeroed(shape.count())?, shape))
    }

    pub(crate) fn from_buffer(buffer: Buffer<B>, shape: Shape) -> Self {
        debug_assert_eq!(buffer.count(), shape.count());
        Self { id: TensorId::next(), shape, tracked: false, buffer: Arc::new(buffer) }
    }

    /// Shape, identity and device alone, of a tensor whose numbers nobody is to read.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub(crate) fn outline(&self) -> Result<Self> {
        Ok(Self { buffer: Arc::new(self.device().upload(vec![])?), ..self.clone() })
    }

    /// Whether it has no numbers, being an [`outline`](Self::outline).
    pub(crate) fn is_outline(&self) -> bool {
        self.buffer.count() != self.count()
    }

    /// These numbers under the identity of another tensor, with gradients wanted as there.
    pub(crate) fn in_place_of(self, other: &Self) -> Self {
        Self { id: other.id, tracked: other.tracked, ..self }
    }

    /// Extent of every axis.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.count()
    }

    /// The device that holds the data.
    pub fn device(&self) -> &B {
        self.buffer.device()
    }

    /// Its identity on the tape.
    pub fn id(&self) -> TensorId {
        self.id
    }

    /// Whether a gradient is wanted for it.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// The same data, with gradients wanted or not.
    pub fn tracked(mut self, tracked: bool) -> Self {
        self.tracked = tracked;
        self
    }

    /// The same data as a new value: gradients do not flow through.
    pub fn detach(&self) -> Self {
        Self { id: TensorId::next(), tracked: false, ..self.clone() }
    }

    /// The same elements under another shape; shares data, identity and gradient.
    ///
    /// # Errors
    /// If the element counts differ.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.count() != self.count() {
            return Err(Error::shape(
                "reshape",
                format!("{} has {} elements, {shape} has {}", self.shape, self.count(), shape.count()),
            ));
        }
        Ok(Self { shape, ..self.clone() })
    }

    /// Values on the host: borrowed where the device is the host, copied elsewhere.
    pub fn host(&self) -> Cow<'_, [f32]> {
        B::host(self)
    }

    /// Values as a new `Vec`.
    pub fn to_vec(&self) -> Vec<f32> {
        self.host().into_owned()
    }

    /// The data as a dfdx tensor of rank 1, sharing storage where it can; use dfdx's `reshape_like` for other ranks.
    pub fn dfdx(&self) -> DfdxTensor<(usize,), f32, B> {
        self.buffer.dfdx(|| self.to_vec())
    }

    /// Copies a dfdx tensor of any shape and layout.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn from_dfdx<S: DfdxShape, T>(device: &B, tensor: &DfdxTensor<S, f32, B, T>) -> Result<Self> {
        let shape = Shape::from(tensor.shape().concrete().into_iter().collect::<Vec<_>>().as_slice());
        Self::from_vec(device, tensor.as_vec(), shape)
    }

    /// The memory of all elements.
    pub(crate) fn buffer(&self) -> &Buffer<B> {
        assert!(!self.is_outline(), "the numbers of an outline {} are not there", self.shape);
        &self.buffer
    }

    /// The buffer for writing in place, made this tensor's own first where it is shared.
    pub(crate) fn buffer_mut(&mut self) -> Result<&mut Buffer<B>> {
        assert!(!self.is_outline(), "the numbers of an outline {} are not there", self.shape);
        if Arc::get_mut(&mut self.buffer).is_none_or(|b| b.is_read_only()) {
            self.buffer = Arc::new(B::duplicate(self)?);
        }
        Ok(Arc::get_mut(&mut self.buffer).expect("the buffer was just made unique"))
    }
}
