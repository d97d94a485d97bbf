//! A trace that the other side lent or gave away.

use super::super::abi::{self, View, slice};
use super::super::codes;
use super::super::host::call_plain;
use super::super::view::{Lender, Receiver, shape};
use crate::autograd::{Call, Mapping, Part, Tape};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::Trace;
use crate::tensor::Tensor;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// The other side's functions; freed there with the last call that uses them, where it gave them away.
pub(in super::super) struct Far {
    table: abi::Trace,
    gone: Cell<bool>,
}

impl Far {
    /// The loan is over: tapes that were kept beyond it report an error.
    pub fn end(&self) {
        self.gone.set(true);
    }

    fn table(&self) -> Result<&abi::Trace> {
        if self.gone.get() {
            return Err(Error::Other("a trace can be asked while its step is observed, and not later".into()));
        }
        Ok(&self.table)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        if let Some(release) = self.table.release {
            // SAFETY: the other side gave it away; it is given back once.
            unsafe { release(self.table.user) }
        }
    }
}

/// How an array becomes a tensor.
type Read<B> = unsafe fn(&View, &B) -> Result<Tensor<B>>;

/// The trace behind a table, whose functions can be called until [`Far::end`].
///
/// # Safety
/// The table must be the ABI's; `read` one that its arrays may be read with.
pub(in super::super) unsafe fn received<B: Backend>(
    table: &abi::Trace,
    device: &B,
    read: Read<B>,
) -> Result<(Trace<B>, Rc<Far>)> {
    let far = Rc::new(Far { table: *table, gone: Cell::new(false) });
    let mut known: HashMap<u64, Tensor<B>> = HashMap::new();
    let mut value = |v: &abi::Value| -> Result<Tensor<B>> {
        let there = match known.get(&v.id) {
            Some(there) => there.clone(),
            // SAFETY: promised by the caller.
            None => unsafe { read(&v.value, device) }?,
        };
        known.insert(v.id, there.clone());
        // SAFETY: promised by the caller.
        Ok(there.reshape(unsafe { shape(&v.value, abi::F32) }?)?.tracked(v.tracked != 0))
    };
    let mut calls = vec![];
    // SAFETY: promised by the caller.
    let (listed, classes) = unsafe { (slice(table.calls, table.call_count), slice(table.classes, table.class_count)) };
    for (index, call) in listed.iter().enumerate() {
        // SAFETY: promised by the caller.
        let (layer, inputs) = unsafe { (call.layer.text(), slice(call.inputs, call.input_count)) };
        let inputs = inputs.iter().map(&mut value).collect::<Result<Vec<_>>>()?;
        let mapping = if call.single == 0 { Mapping::Linear } else { Mapping::Single };
        let (far, ends) = (far.clone(), (inputs, value(&call.output)?));
        let replay = move |tape: &mut Tape<B>, x: &[Tensor<B>], part: Part| replay(&far, index, tape, x, part);
        calls.push(Call::new(layer, ends, mapping, replay));
    }
    let output = if table.output.value.is_none() { None } else { Some(value(&table.output)?) };
    Ok((Trace { calls, output, classes: classes.to_vec() }, far))
}

fn replay<B: Backend>(
    far: &Rc<Far>,
    index: usize,
    tape: &mut Tape<B>,
    inputs: &[Tensor<B>],
    part: Part,
) -> Result<Option<Tensor<B>>> {
    let (table, part) = (far.table()?, codes::of_part(part));
    let Some(device) = inputs.first().map(|x| x.device().clone()) else { return Ok(None) };
    let (mut lender, mut receiver) = (Lender::default(), Receiver::new());
    let (views, sink) = (lent(&mut lender, inputs), receiver.sink());
    call_plain(|report| {
        // SAFETY: the trace is the other side's, and not gone; what is lent, and the receiver, live for the call.
        unsafe { (table.replay)(table.user, index, part, views.as_ptr(), views.len(), sink, report) }
    })?;
    let Some(y) = receiver.finish()?.pop() else { return Ok(None) };
    let y = y.tensor(&device)?;
    if !tape.wants(&inputs.iter().collect::<Vec<_>>()) {
        return Ok(Some(y));
    }
    let (far, inputs) = (far.clone(), inputs.to_vec());
    Ok(Some(tape.record(y, move |gradient, grads| {
        let table = far.table()?;
        let (mut lender, mut receiver) = (Lender::default(), Receiver::new());
        let (views, lent, sink) = (lent(&mut lender, &inputs), lender.tensor(&gradient), receiver.sink());
        call_plain(|report| {
            // SAFETY: as above.
            unsafe { (table.vjp)(table.user, index, part, views.as_ptr(), views.len(), lent, sink, report) }
        })?;
        for item in receiver.finish()? {
            let input = item.name.parse::<usize>().ok().and_then(|i| inputs.get(i));
            let unknown = || Error::Other(format!("`{}` is no input whose gradient was asked for", item.name));
            let input = input.ok_or_else(unknown)?;
            if input.is_tracked() {
                grads.add(input, item.tensor(&device)?)?;
            }
        }
        Ok(())
    })))
}

fn lent<B: Backend>(lender: &mut Lender, inputs: &[Tensor<B>]) -> Vec<View> {
    inputs.iter().map(|x| lender.tensor(x)).collect()
}
