//! A trace for the other side.

use super::super::abi::{self, Report, Sink, Status, Str, View, slice};
use super::super::codes;
use super::super::failure::{contain, guard};
use super::super::view::{Lender, copied};
use crate::autograd::{Call, Mapping, Tape};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::Trace;
use crate::tensor::Tensor;
use std::ffi::c_void;

/// A trace, lent for as long as this lives.
pub(in super::super) struct Lent<'a, B: Backend> {
    trace: &'a Trace<B>,
    calls: Vec<abi::Call>,
    output: abi::Value,
    // What the calls point to.
    _inputs: Vec<Vec<abi::Value>>,
    _lender: Lender,
}

impl<'a, B: Backend> Lent<'a, B> {
    pub fn new(trace: &'a Trace<B>) -> Self {
        let mut lender = Lender::default();
        let mut value = |t: &Tensor<B>| abi::Value {
            id: t.id().number(),
            tracked: u32::from(t.is_tracked()),
            value: lender.tensor(t),
        };
        let (mut calls, mut lists) = (vec![], vec![]);
        for call in &trace.calls {
            let inputs: Vec<_> = call.inputs.iter().map(&mut value).collect();
            calls.push(abi::Call {
                layer: Str::of(&call.layer),
                single: u32::from(call.mapping == Mapping::Single),
                inputs: inputs.as_ptr(),
                input_count: inputs.len(),
                output: value(&call.output),
            });
            lists.push(inputs);
        }
        let none = abi::Value { id: 0, tracked: 0, value: View::NONE };
        let output = trace.output.as_ref().map_or(none, value);
        Self { trace, calls, output, _inputs: lists, _lender: lender }
    }

    /// The table; valid while the loan lives.
    pub fn table(&self) -> abi::Trace {
        abi::Trace {
            user: (&raw const *self.trace).cast_mut().cast(),
            calls: self.calls.as_ptr(),
            call_count: self.calls.len(),
            output: self.output,
            classes: self.trace.classes.as_ptr(),
            class_count: self.trace.classes.len(),
            replay: replay::<B>,
            vjp: vjp::<B>,
            release: None,
        }
    }
}

/// Gives a trace away: the other side frees it.
///
/// # Safety
/// The sink must be the one of the call under way.
pub(in super::super) unsafe fn hand_over<B: Backend>(trace: Trace<B>, out: &abi::TraceSink) {
    // The lists below live for the call; what is computed again lives on.
    let kept = Box::into_raw(Box::new(trace));
    // SAFETY: it was made just now, and lives until `release`.
    let lent = Lent::new(unsafe { &*kept });
    let table = abi::Trace { user: kept.cast(), release: Some(release::<B>), ..lent.table() };
    // SAFETY: promised by the caller.
    unsafe { (out.put)(out.user, &table) }
}

unsafe extern "C" fn release<B: Backend>(user: *mut c_void) {
    // SAFETY: `user` is the trace that `hand_over` gave away, and is given back once.
    contain(|| drop(unsafe { Box::from_raw(user.cast::<Trace<B>>()) }));
}

/// A call of the trace, the part asked for, and the inputs.
///
/// # Safety
/// `user` must be the trace that was lent, the inputs the ABI's.
unsafe fn asked<'a, B: Backend>(
    user: *mut c_void,
    index: usize,
    inputs: &[View],
) -> Result<(&'a Call<B>, Vec<Tensor<B>>)> {
    // SAFETY: promised by the caller.
    let trace = unsafe { &*user.cast::<Trace<B>>() };
    let missing = || Error::Other(format!("there is no call {index} among {}", trace.calls.len()));
    let call = trace.calls.get(index).ok_or_else(missing)?;
    let device = call.output.device();
    // SAFETY: promised by the caller.
    let inputs = inputs.iter().map(|x| unsafe { copied(x, device) }).collect::<Result<_>>()?;
    Ok((call, inputs))
}

unsafe extern "C" fn replay<B: Backend>(
    user: *mut c_void,
    index: usize,
    part: u32,
    inputs: *const View,
    count: usize,
    out: Sink,
    report: Report,
) -> Status {
    // SAFETY: `user` is a trace that was lent; the rest is the ABI's.
    guard(report, || unsafe {
        let (call, inputs) = asked::<B>(user, index, slice(inputs, count))?;
        let y = call.replay(&mut Tape::off(), &inputs, codes::part(part)?)?;
        y.iter().for_each(|y| out.tensor(abi::OUTPUT, "", y));
        Ok(())
    })
}

unsafe extern "C" fn vjp<B: Backend>(
    user: *mut c_void,
    index: usize,
    part: u32,
    inputs: *const View,
    count: usize,
    gradient: View,
    out: Sink,
    report: Report,
) -> Status {
    // SAFETY: `user` is a trace that was lent; the rest is the ABI's.
    guard(report, || unsafe {
        let (call, inputs) = asked::<B>(user, index, slice(inputs, count))?;
        let inputs: Vec<_> = inputs.into_iter().map(|x| x.tracked(true)).collect();
        let mut tape = Tape::recording();
        let Some(y) = call.replay(&mut tape, &inputs, codes::part(part)?)? else { return Ok(()) };
        let grads = tape.backward(&y, copied(&gradient, y.device())?.reshape(y.shape())?)?;
        for (i, x) in inputs.iter().enumerate() {
            grads.get(x).into_iter().for_each(|gradient| out.tensor(abi::GRADIENT, &i.to_string(), gradient));
        }
        Ok(())
    })
}
