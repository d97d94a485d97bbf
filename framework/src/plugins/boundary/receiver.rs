//! What a plugin hands over through a callback, copied as it comes.

use super::abi::{self, Str, View};
use super::view::{Lender, elements};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::state::State;
use crate::tensor::{Shape, Tensor};
use std::ffi::c_void;

/// Takes what the other side puts into an [`abi::Sink`], as [`Item`]s.
pub(super) struct Receiver {
    items: Vec<Result<Item>>,
}

/// What was put: its meaning, its name, and a copy of it.
pub(super) struct Item {
    pub what: u32,
    pub name: String,
    pub data: Data,
    pub shape: Shape,
}

/// Elements of one of the ABI's types.
pub(super) enum Data {
    F32(Vec<f32>),
    U8(Vec<u8>),
    F64(Vec<f64>),
}

impl Item {
    /// As a tensor.
    pub fn tensor<B: Backend>(self, device: &B) -> Result<Tensor<B>> {
        match self.data {
            Data::F32(data) => Tensor::from_vec(device, data, self.shape),
            _ => Err(Error::Other(format!("`{}` must hold 32-bit floats", self.name))),
        }
    }
}

unsafe extern "C" fn put(user: *mut c_void, what: u32, name: Str, view: View) {
    // SAFETY: `user` is the receiver that made the sink, which waits for this call; the rest is promised by the ABI.
    unsafe {
        let item = match view.dtype {
            abi::U8 => elements(&view, abi::U8).map(|(data, shape)| (Data::U8(data), shape)),
            abi::F64 => elements(&view, abi::F64).map(|(data, shape)| (Data::F64(data), shape)),
            _ => elements(&view, abi::F32).map(|(data, shape)| (Data::F32(data), shape)),
        };
        let item = item.map(|(data, shape)| Item { what, name: name.text(), data, shape });
        (*user.cast::<Receiver>()).items.push(item);
    }
}

impl Receiver {
    pub fn new() -> Self {
        Self { items: vec![] }
    }

    /// Where the other side puts; valid while `self` is borrowed.
    pub fn sink(&mut self) -> abi::Sink {
        abi::Sink { user: (&raw mut *self).cast(), put }
    }

    /// What was put, in order.
    pub fn finish(self) -> Result<Vec<Item>> {
        self.items.into_iter().collect()
    }
}

impl abi::Sink {
    /// Puts an array.
    ///
    /// # Safety
    /// The sink must be one that the caller was given for the call under way.
    pub(super) unsafe fn tensor<B: Backend>(&self, what: u32, name: &str, tensor: &Tensor<B>) {
        let mut lender = Lender::default();
        // SAFETY: promised by the caller; the view lives until the lender is dropped.
        unsafe { (self.put)(self.user, what, Str::of(name), lender.tensor(tensor)) }
    }

    /// Puts plain numbers.
    ///
    /// # Safety
    /// As for [`abi::Sink::tensor`]; `dtype` is the type of `T`.
    pub(super) unsafe fn plain<T>(&self, what: u32, name: &str, data: &[T], dtype: u32) {
        let mut lender = Lender::default();
        // SAFETY: promised by the caller; the view lives until the lender is dropped.
        unsafe { (self.put)(self.user, what, Str::of(name), lender.plain(data, dtype)) }
    }

    /// Puts a state.
    ///
    /// # Safety
    /// As for [`abi::Sink::tensor`].
    pub(super) unsafe fn state(&self, state: &State) {
        for (name, values) in &state.0 {
            // SAFETY: promised by the caller.
            unsafe { self.plain(abi::STATE, name, values, abi::F64) }
        }
    }
}
