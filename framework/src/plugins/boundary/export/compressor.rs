//! A compressor for the other side: for programs that loaded this library, and for loaded models that call the
//! program's compressor.

use super::super::abi::{self, Report, Sink, Status, Str, TokensSink, View, slice};
use super::super::failure::{contain, guard};
use super::super::view::{Lender, copied, shared};
use super::{destroy, wrong_kind};
use crate::autograd::Tape;
use crate::backend::{Backend, Cpu};
use crate::error::Result;
use crate::network::compressor::{Compressor, Tokens};
use crate::plugins::registry::{DeviceMaker, Kind};
use crate::tensor::Tensor;
use std::ffi::c_void;
use std::marker::PhantomData;

pub(super) static TABLE: abi::CompressorTable =
    abi::CompressorTable { create: Some(create), destroy: Some(destroy::<Object<'static, Cpu>>), ..*Of::<Cpu>::TABLE };

/// The functions for objects on one device.
struct Of<B>(PhantomData<B>);

impl<B: Backend> Of<B> {
    const TABLE: &'static abi::CompressorTable = &abi::CompressorTable {
        size: size_of::<abi::CompressorTable>(),
        create: None,
        destroy: None,
        compress: Some(compress::<B>),
        backward: Some(backward::<B>),
        forget: Some(forget::<B>),
        is_active: Some(is_active::<B>),
        needs_metric: Some(needs_metric::<B>),
    };
}

/// How an array becomes a tensor.
type Read<B> = unsafe fn(&View, &B) -> Result<Tensor<B>>;

/// A compressor, and where it works.
pub(in super::super) struct Object<'a, B: Backend> {
    inner: Inner<'a, B>,
    device: B,
    read: Read<B>,
}

enum Inner<'a, B: Backend> {
    Owned(Box<dyn Compressor<B>>),
    Borrowed(&'a dyn Compressor<B>),
}

impl<B: Backend> Inner<'_, B> {
    fn get(&self) -> &dyn Compressor<B> {
        match self {
            Self::Owned(own) => own.as_ref(),
            Self::Borrowed(lent) => *lent,
        }
    }
}

/// The program's compressor, for a loaded model; valid as long as it is borrowed.
pub(in super::super) fn borrowed<'a, B: Backend>(
    inner: &'a dyn Compressor<B>,
    device: &B,
) -> (Object<'a, B>, &'static abi::CompressorTable) {
    (Object { inner: Inner::Borrowed(inner), device: device.clone(), read: copied::<B> }, Of::<B>::TABLE)
}

/// What a forward pass leaves for its backward pass.
struct Left<B: Backend> {
    tape: Tape<B>,
    inputs: Vec<(&'static str, Tensor<B>)>,
    output: Tensor<B>,
    read: Read<B>,
}

unsafe extern "C" fn create(
    context: *const c_void,
    options: Str,
    threads: usize,
    out: *mut *mut c_void,
    report: Report,
) -> Status {
    let make = |maker: &DeviceMaker<Cpu>, options: &_| match maker {
        DeviceMaker::Compressor(make) => {
            let read: Read<Cpu> = shared;
            Ok(Object { inner: Inner::Owned(make(options)?), device: Cpu::default(), read })
        }
        _ => Err(wrong_kind(Kind::Compressor)),
    };
    // SAFETY: the ABI's arguments.
    unsafe { super::create(context, options, threads, out, report, make) }
}

unsafe extern "C" fn compress<B: Backend>(
    this: *mut c_void,
    tokens: *const abi::Tokens,
    stage: abi::Stage,
    out: TokensSink,
    left: *mut *mut c_void,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments; `this` is an `Object<B>`, as this table goes with no other.
    guard(report, || unsafe {
        let (Object { inner, device, read }, given) = (&*this.cast::<Object<'_, B>>(), &*tokens);
        let inner = inner.get();
        let tracked = |bit: u32, t: Tensor<B>| t.tracked(given.wanted & bit != 0);
        let optional =
            |bit, v: &View| if v.is_none() { Ok(None) } else { read(v, device).map(|t| Some(tracked(bit, t))) };
        let tokens = Tokens {
            x: tracked(1, read(&given.x, device)?),
            metric: optional(2, &given.metric)?,
            sizes: optional(4, &given.sizes)?,
            source: (given.has_source != 0).then(|| slice(given.source, given.source_count).to_vec()),
            protected: given.protected_tokens,
        };
        let mut inputs = vec![("x", tokens.x.clone())];
        inputs.extend(tokens.metric.clone().map(|t| ("metric", t)));
        inputs.extend(tokens.sizes.clone().map(|t| ("sizes", t)));
        inputs.retain(|(_, t)| t.is_tracked());
        let mut tape = if given.wanted == 0 { Tape::off() } else { Tape::recording() };
        let found = inner.compress(&mut tape, tokens, stage.value()?)?;
        let mut lender = Lender::default();
        let source = found.source.as_deref().unwrap_or_default();
        let given_back = abi::Tokens {
            x: lender.tensor(&found.x),
            metric: lender.optional(found.metric.as_ref()),
            sizes: lender.optional(found.sizes.as_ref()),
            source: source.as_ptr(),
            source_count: source.len(),
            has_source: u32::from(found.source.is_some()),
            protected_tokens: found.protected,
            wanted: 0,
        };
        (out.put)(out.user, &given_back);
        if found.x.is_tracked() && given.wanted != 0 {
            *left = Box::into_raw(Box::new(Left { tape, inputs, output: found.x, read: *read })).cast();
        }
        Ok(())
    })
}

unsafe extern "C" fn is_active<B: Backend>(
    this: *mut c_void,
    stage: abi::Stage,
    out: *mut u32,
    report: Report,
) -> Status {
    // SAFETY: as in `compress`.
    guard(report, || unsafe {
        *out = u32::from((*this.cast::<Object<'_, B>>()).inner.get().is_active(stage.value()?));
        Ok(())
    })
}

unsafe extern "C" fn needs_metric<B: Backend>(
    this: *mut c_void,
    stage: abi::Stage,
    out: *mut u32,
    report: Report,
) -> Status {
    // SAFETY: as in `compress`.
    guard(report, || unsafe {
        *out = u32::from((*this.cast::<Object<'_, B>>()).inner.get().needs_metric(stage.value()?));
        Ok(())
    })
}

unsafe extern "C" fn backward<B: Backend>(left: *mut c_void, gradient: View, out: Sink, report: Report) -> Status {
    // SAFETY: the ABI's arguments; `left` comes from `compress::<B>` and is given back once.
    guard(report, || unsafe {
        let Left { tape, inputs, output, read } = *Box::from_raw(left.cast::<Left<B>>());
        let gradient = read(&gradient, output.device())?.reshape(output.shape())?;
        let grads = tape.backward(&output, gradient)?;
        for (name, input) in inputs {
            if let Some(gradient) = grads.get(&input) {
                out.tensor(abi::TOKENS, name, gradient);
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn forget<B: Backend>(left: *mut c_void) {
    // SAFETY: `left` comes from `compress::<B>` and is given back once.
    contain(|| drop(unsafe { Box::from_raw(left.cast::<Left<B>>()) }));
}
