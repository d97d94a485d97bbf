//! Arrays across the boundary: shared where possible, copied where not.

use super::abi::{self, Owner, Signal, Str, View};
use crate::backend::{Backend, Cpu};
use crate::error::{Error, Result};
use crate::state::State;
use crate::tensor::{Buffer, Shape, Tensor};
use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Arc;

pub(super) use super::receiver::{Data, Item, Receiver};

/// Memory with a count of its users on both sides. A tensor kept here cannot be written in place by its own library:
/// that is what makes lending safe beyond the call, with the same copy-on-write as between clones.
#[repr(C)]
struct Kept<T> {
    owner: Owner,
    shape: [usize; Shape::MAX],
    memory: T,
}

unsafe extern "C" fn retain<T>(owner: *const Owner) {
    // SAFETY: `owner` is the first field of a `Kept<T>` in an `Arc`, which the caller keeps alive.
    unsafe { Arc::increment_strong_count(owner.cast::<Kept<T>>()) }
}

unsafe extern "C" fn release<T>(owner: *const Owner) {
    // SAFETY: as in `retain`; the caller gives back one count that it holds.
    unsafe { Arc::decrement_strong_count(owner.cast::<Kept<T>>()) }
}

/// Lends arrays until it is dropped, and to those who retain them for longer.
#[derive(Default)]
pub(super) struct Lender {
    owners: Vec<*const Owner>,
    shapes: Vec<Box<[usize]>>,
}

impl Lender {
    /// A tensor; copied to the host where it lies elsewhere.
    pub fn tensor<B: Backend>(&mut self, tensor: &Tensor<B>) -> View {
        let shape = tensor.shape();
        match B::host(tensor) {
            Cow::Borrowed(data) => self.keep(data.as_ptr(), shape, tensor.clone()),
            Cow::Owned(data) => self.keep(data.as_ptr(), shape, data),
        }
    }

    /// A tensor, or no array.
    pub fn optional<B: Backend>(&mut self, tensor: Option<&Tensor<B>>) -> View {
        tensor.map_or(View::NONE, |t| self.tensor(t))
    }

    fn keep<T: Send + Sync + 'static>(&mut self, data: *const f32, shape: Shape, memory: T) -> View {
        let mut axes = [0; Shape::MAX];
        axes[..shape.len()].copy_from_slice(&shape);
        let kept = Arc::new(Kept { owner: Owner { retain: retain::<T>, release: release::<T> }, shape: axes, memory });
        // The pointer to the whole: one to the `owner` field alone must not be used to reach the rest.
        let kept: *const Kept<T> = Arc::into_raw(kept);
        self.owners.push(kept.cast());
        // SAFETY: `kept` came from an `Arc` that lives until `self` is dropped.
        let shape_data = unsafe { (&raw const (*kept).shape).cast::<usize>() };
        View {
            data: data.cast(),
            shape: shape_data,
            rank: shape.len(),
            dtype: abi::F32,
            device: abi::HOST,
            owner: kept.cast(),
        }
    }

    /// Numbers that are valid as long as `data` is.
    pub fn plain<T>(&mut self, data: &[T], dtype: u32) -> View {
        let shape: Box<[usize]> = Box::new([data.len()]);
        let view = View {
            data: data.as_ptr().cast::<c_void>(),
            shape: shape.as_ptr(),
            rank: 1,
            dtype,
            device: abi::HOST,
            owner: std::ptr::null(),
        };
        self.shapes.push(shape);
        view
    }

    /// The entries of a state, valid as long as `state` is.
    pub fn state(&mut self, state: &State) -> Vec<Signal> {
        let entry = |(name, values): (&String, &Vec<f64>)| Signal {
            what: abi::STATE,
            name: Str::of(name),
            value: self.plain(values, abi::F64),
        };
        state.0.iter().map(entry).collect()
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        for owner in self.owners.drain(..) {
            // SAFETY: every owner here was made by `keep`, which left one count to this lender.
            unsafe { ((*owner).release)(owner) }
        }
    }
}

/// One count of another library's memory.
struct Hold(*const Owner);

// SAFETY: the count is atomic, and the memory is read only for as long as the count is held.
unsafe impl Send for Hold {}
// SAFETY: as above; `Hold` itself offers no access.
unsafe impl Sync for Hold {}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: the count was taken when this was made, and is given back once.
        unsafe { ((*self.0).release)(self.0) }
    }
}

/// The shape of an array.
///
/// # Safety
/// The view must be one of the ABI's: `shape` points to `rank` numbers.
pub(super) unsafe fn shape(view: &View, dtype: u32) -> Result<Shape> {
    if view.is_none() && view.rank == 0 {
        return Err(Error::Other("an array is missing".into()));
    }
    if (view.dtype, view.device) != (dtype, abi::HOST) {
        return Err(Error::Other(format!(
            "an array has element type {} on device {}; only type {dtype} in the host's memory is taken here",
            view.dtype, view.device
        )));
    }
    // SAFETY: promised by the caller.
    let axes = unsafe { abi::slice(view.shape, view.rank) };
    Shape::try_from(axes.to_vec()).map_err(Error::Other)
}

/// A copy of the elements of an array.
///
/// # Safety
/// The view must be one of the ABI's: `data` points to as many elements of type `dtype` as `shape` says; `T` is that
/// type.
pub(super) unsafe fn elements<T: Copy>(view: &View, dtype: u32) -> Result<(Vec<T>, Shape)> {
    // SAFETY: promised by the caller.
    let shape = unsafe { shape(view, dtype) }?;
    // SAFETY: promised by the caller.
    Ok((unsafe { abi::slice(view.data.cast::<T>(), shape.count()) }.to_vec(), shape))
}

/// A copy as a tensor.
///
/// # Safety
/// As for [`elements`].
pub(super) unsafe fn copied<B: Backend>(view: &View, device: &B) -> Result<Tensor<B>> {
    // SAFETY: promised by the caller.
    let (data, shape) = unsafe { elements::<f32>(view, abi::F32) }?;
    Tensor::from_vec(device, data, shape)
}

/// A tensor that shares the array's memory where the array has an owner, and a copy where it has none.
///
/// # Safety
/// As for [`elements`]; data with an owner is not written to while the owner is retained.
pub(super) unsafe fn shared(view: &View, device: &Cpu) -> Result<Tensor<Cpu>> {
    if view.owner.is_null() {
        // SAFETY: promised by the caller.
        return unsafe { copied(view, device) };
    }
    // SAFETY: promised by the caller.
    let shape = unsafe { shape(view, abi::F32) }?;
    // SAFETY: the owner lives for the call, and from here on for as long as `Hold` has its count.
    let hold: Box<dyn Any + Send + Sync> = unsafe {
        ((*view.owner).retain)(view.owner);
        Box::new(Hold(view.owner))
    };
    // SAFETY: promised by the caller; `hold` keeps the memory alive.
    let buffer = unsafe { Buffer::foreign(device.clone(), view.data.cast(), shape.count(), hold) };
    Ok(Tensor::from_buffer(buffer, shape))
}

/// [`shared`], or nothing where there is no array.
///
/// # Safety
/// As for [`shared`].
pub(super) unsafe fn shared_optional(view: &View, device: &Cpu) -> Result<Option<Tensor<Cpu>>> {
    // SAFETY: promised by the caller.
    if view.is_none() { Ok(None) } else { unsafe { shared(view, device) }.map(Some) }
}

/// The state that these entries hold.
///
/// # Safety
/// Every entry's view must be one of the ABI's.
pub(super) unsafe fn state(entries: &[Signal]) -> Result<State> {
    // SAFETY: promised by the caller.
    let entry = |s: &Signal| unsafe { Ok((s.name.text(), elements::<f64>(&s.value, abi::F64)?.0)) };
    entries.iter().map(entry).collect::<Result<BTreeMap<_, _>>>().map(State)
}

/// The state that was put.
pub(super) fn state_of(items: Vec<Item>) -> Result<State> {
    let entry = |item: Item| match item.data {
        Data::F64(values) => Ok((item.name, values)),
        _ => Err(Error::Other(format!("the saved state `{}` must hold 64-bit floats", item.name))),
    };
    items.into_iter().map(entry).collect::<Result<_>>().map(State)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Device as _;

    #[test]
    fn a_retained_tensor_outlives_the_loan_and_keeps_its_values() {
        let device = Cpu::default();
        let mut weight = Tensor::from_vec(&device, vec![1.0, 2.0, 3.0, 4.0], [2, 2]).unwrap();
        let mut lender = Lender::default();
        // SAFETY: the view was made by a lender.
        let mut far = unsafe { shared(&lender.tensor(&weight), &device) }.unwrap();
        drop(lender);
        assert_eq!(far.host().as_ptr(), weight.host().as_ptr(), "shared, not copied");
        Cpu::write(&mut weight, &[0.0; 4]).unwrap();
        assert_eq!(far.to_vec(), [1.0, 2.0, 3.0, 4.0], "the writer took a copy of its own");
        Cpu::write(&mut far, &[5.0; 4]).unwrap();
        assert_eq!((far.to_vec(), weight.to_vec()), (vec![5.0; 4], vec![0.0; 4]));
    }

    #[test]
    fn an_unshared_tensor_is_written_in_place_after_the_loan() {
        let device = Cpu::default();
        let mut weight = Tensor::from_vec(&device, vec![1.0; 4], [4]).unwrap();
        let before = weight.host().as_ptr();
        let mut lender = Lender::default();
        // SAFETY: the view was made by a lender.
        drop(unsafe { shared(&lender.tensor(&weight), &device) }.unwrap());
        drop(lender);
        Cpu::write(&mut weight, &[2.0; 4]).unwrap();
        assert_eq!(weight.host().as_ptr(), before);
    }

    #[test]
    fn shared_data_reaches_dfdx() {
        let device = Cpu::default();
        let weight = Tensor::from_vec(&device, vec![1.0, 4.0], [2]).unwrap();
        let mut lender = Lender::default();
        // SAFETY: the view was made by a lender.
        let far = unsafe { shared(&lender.tensor(&weight), &device) }.unwrap();
        assert_eq!(far.dfdx().as_vec(), [1.0, 4.0]);
        assert_eq!(far.abs().unwrap().to_vec(), [1.0, 4.0]);
    }

    #[test]
    fn states_cross_exactly() {
        let state = State::default().with("a", [0.1, -1e300]).with("empty", [0.0; 0]);
        let mut lender = Lender::default();
        // SAFETY: the entries were made by a lender, and `state` lives.
        assert_eq!(unsafe { super::state(&lender.state(&state)) }.unwrap(), state);
    }
}
