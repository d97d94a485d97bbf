//! A dfdx tensor with a run-time shape.
//!
//! dfdx's rank is a type; a parameter store, a pruned layer and a plugin boundary need it to be a value. So the data is one
//! contiguous dfdx tensor of rank 1 on the backend's device, and the shape stands beside it. [`Tensor::dfdx`] hands out the dfdx
//! tensor, with every operation dfdx has; [`Tensor::from_dfdx`] takes one back.

use super::Backend;
use crate::error::{Error, Result};
use dfdx::prelude::{HasShape, Shape as DfdxShape, Tensor as DfdxTensor};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Extent of every axis; up to five axes, row-major.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Shape {
    dims: [usize; Shape::MAX],
    rank: u8,
}

impl Shape {
    /// Most axes a tensor can have.
    pub const MAX: usize = 5;

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.iter().product()
    }

    /// The same shape with one axis of another extent.
    pub fn with(mut self, axis: usize, extent: usize) -> Self {
        self.dims[..self.rank as usize][axis] = extent;
        self
    }

    /// Elements before, along and after `axis`: the shape seen as `[outer, n, inner]`.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        (self[..axis].iter().product(), self[axis], self[axis + 1..].iter().product())
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }
}

impl From<&[usize]> for Shape {
    /// # Panics
    /// With more than [`Shape::MAX`] axes.
    fn from(axes: &[usize]) -> Self {
        let mut dims = [0; Self::MAX];
        dims[..axes.len()].copy_from_slice(axes);
        Self { dims, rank: axes.len() as u8 }
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = String;
    fn try_from(axes: Vec<usize>) -> Result<Self, String> {
        if axes.len() > Self::MAX {
            return Err(format!("{axes:?} has {} axes; a tensor has at most {}", axes.len(), Self::MAX));
        }
        Ok(Self::from(&axes[..]))
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        shape.to_vec()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        Self::from(&axes[..])
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self[..])
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self[..])
    }
}

/// Identifies a value on the tape; clones and reshapes share it, and with it their gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(u64);

impl TensorId {
    fn next() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        Self(COUNTER.fetch_add(1, Ordering::Relaxed))
    }
}

/// Device memory behind a [`Tensor`].
pub struct Buffer<B: Backend> {
    memory: Memory<B>,
    /// Taken from the `Vec` (or device allocation) before dfdx took it over, so that it covers the whole allocation; a
    /// reference to dfdx's first element would only cover that element under Stacked Borrows.
    addr: *mut f32,
    /// Set once a clone of `flat` has left this module: writing in place is then no longer allowed.
    lent: AtomicBool,
}

/// Who owns a buffer's memory.
enum Memory<B: Backend> {
    /// This dfdx tensor; taken out only when the buffer is dropped.
    Own(Option<DfdxTensor<(usize,), f32, B>>),
    /// Someone on the other side of a plugin boundary; read only.
    Foreign {
        device: B,
        count: usize,
        copy: OnceLock<DfdxTensor<(usize,), f32, B>>,
        /// Dropped with the buffer, which lets go of the memory.
        _owner: Box<dyn Any + Send + Sync>,
    },
}

// SAFETY: `addr` points into the allocation that `memory` owns or keeps alive; it is read through `&Buffer` and written only through `&mut Buffer`.
unsafe impl<B: Backend> Send for Buffer<B> {}
// SAFETY: as above; shared access only reads.
unsafe impl<B: Backend> Sync for Buffer<B> {}

impl<B: Backend> Buffer<B> {
    /// Pairs a contiguous dfdx tensor with the address of its data.
    ///
    /// # Safety
    /// `addr` must point to the `flat.shape().0` elements of `flat`, with provenance over all of them, and `flat` must share its
    /// storage with no other tensor.
    pub(crate) unsafe fn new(flat: DfdxTensor<(usize,), f32, B>, addr: *mut f32) -> Self {
        Self { memory: Memory::Own(Some(flat)), addr, lent: AtomicBool::new(false) }
    }

    /// Memory that something else owns; it is never written to.
    ///
    /// # Safety
    /// `addr` must point to `count` elements on `device` that are not written to while `owner` lives.
    pub(crate) unsafe fn foreign(device: B, addr: *const f32, count: usize, owner: Box<dyn Any + Send + Sync>) -> Self {
        let memory = Memory::Foreign { device, count, copy: OnceLock::new(), _owner: owner };
        Self { memory, addr: addr.cast_mut(), lent: AtomicBool::new(false) }
    }

    fn count(&self) -> usize {
        match &self.memory {
            Memory::Own(flat) => owned(flat).shape().0,
            Memory::Foreign { count, .. } => *count,
        }
    }

    /// Address of the first element, on the device that holds it.
    pub(crate) fn addr(&self) -> *mut f32 {
        self.addr
    }

    fn is_read_only(&self) -> bool {
        matches!(self.memory, Memory::Foreign { .. }) || self.lent.load(Ordering::Relaxed)
    }
}

impl<B: Backend> Drop for Buffer<B> {
    fn drop(&mut self) {
        if let Memory::Own(flat) = &mut self.memory
            && let Some(flat) = flat.take()
        {
            if *self.lent.get_mut() { B::let_go(flat.shape().0) } else { B::recycle(flat, self.addr) }
        }
    }
}

fn owned<T>(flat: &Option<T>) -> &T {
    flat.as_ref().expect("only dropping the buffer takes its memory")
}

/// A contiguous, row-major `f32` tensor on a backend's device. Cloning is cheap and shares the data.
pub struct Tensor<B: Backend> {
    id: TensorId,
    shape: Shape,
    tracked: bool,
    buffer: Arc<Buffer<B>>,
}

impl<B: Backend> Clone for Tensor<B> {
    fn clone(&self) -> Self {
        Self { id: self.id, shape: self.shape, tracked: self.tracked, buffer: self.buffer.clone() }
    }
}

impl<B: Backend> fmt::Debug for Tensor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{} on {}", self.shape, B::NAME)
    }
}

impl<B: Backend> Tensor<B> {
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
        match &self.buffer.memory {
            Memory::Own(flat) => DfdxTensor::device(owned(flat)),
            Memory::Foreign { device, .. } => device,
        }
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
        match &self.buffer.memory {
            Memory::Own(flat) => {
                self.buffer.lent.store(true, Ordering::Relaxed);
                owned(flat).clone()
            }
            Memory::Foreign { device, copy, .. } => {
                copy.get_or_init(|| device.tensor_from_vec(self.to_vec(), (self.count(),))).clone()
            }
        }
    }

    /// Copies a dfdx tensor of any shape and layout.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn from_dfdx<S: DfdxShape, T>(device: &B, tensor: &DfdxTensor<S, f32, B, T>) -> Result<Self>
    where
        B: dfdx::prelude::CopySlice<f32>,
    {
        let shape = Shape::from(tensor.shape().concrete().into_iter().collect::<Vec<_>>().as_slice());
        Self::from_vec(device, tensor.as_vec(), shape)
    }

    pub(crate) fn buffer(&self) -> &Buffer<B> {
        &self.buffer
    }

    /// The buffer for writing in place, made this tensor's own first where it is shared.
    pub(crate) fn buffer_mut(&mut self) -> Result<&mut Buffer<B>> {
        if Arc::get_mut(&mut self.buffer).is_none_or(|b| b.is_read_only()) {
            self.buffer = Arc::new(B::duplicate(self)?);
        }
        Ok(Arc::get_mut(&mut self.buffer).expect("the buffer was just made unique"))
    }
}
