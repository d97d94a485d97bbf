//! A loaded model as a [`Model`]. The program's parameters are the ones that count; they are lent for each pass.

use super::super::abi::{self, Signal, Str, TextSink};
use super::super::codes;
use super::super::export::borrowed_compressor;
use super::super::parameters::{Loan, layout, layout_text};
use super::super::trace::received;
use super::super::view::{Item, Lender, Receiver, copied};
use super::Loaded;
use super::object::{Object, absent};
use crate::autograd::Operation;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::network::forward::{Compressed, Forward, Trace};
use crate::network::layout::{Layout, ParamSpec, Sizes};
use crate::network::model::{Batch, InputSpec, Model, Output};
use crate::options::Table;
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::Arc;

type Functions = abi::ModelTable;

/// A model that lives in a plugin.
pub(super) struct Adapter {
    object: Arc<Object<Functions>>,
    /// The layout that the plugin was told last.
    known: RefCell<Option<Layout>>,
}

impl Adapter {
    pub fn new(loaded: &Loaded, options: &Table) -> Result<Self> {
        Ok(Self { object: Arc::new(Object::new(loaded, options)?), known: RefCell::new(None) })
    }

    fn tell(&self, layout: &Layout) -> Result<()> {
        if self.known.borrow().as_ref() == Some(layout) {
            return Ok(());
        }
        let network = self.object.functions.network.ok_or_else(|| absent("network"))?;
        let json = layout_text(layout)?;
        // SAFETY: the object and its function belong together; the text lives for the call.
        self.object.call(|this, report| unsafe { network(this, Str::of(&json), report) })?;
        self.known.replace(Some(layout.clone()));
        Ok(())
    }
}

/// What a forward pass left in the plugin; freed there if no backward pass comes.
struct Left {
    left: *mut c_void,
    object: Arc<Object<Functions>>,
}

impl Drop for Left {
    fn drop(&mut self) {
        if let (Some(forget), false) = (self.object.functions.forget, self.left.is_null()) {
            // SAFETY: `left` comes from this object's `forward`, and is given back once.
            unsafe { forget(self.left) }
        }
    }
}

/// What a backward pass needs, whichever output it begins at.
struct Backward<B: Backend> {
    left: RefCell<Left>,
    leaves: HashMap<String, Tensor<B>>,
    outputs: HashMap<String, Tensor<B>>,
}

impl<B: Backend> Backward<B> {
    fn run(&self, root: u32, gradient: Tensor<B>, grads: &mut crate::autograd::Grads<B>) -> Result<()> {
        let object = self.left.borrow().object.clone();
        let left = std::mem::replace(&mut self.left.borrow_mut().left, std::ptr::null_mut());
        if left.is_null() {
            return Err(object.error("its outputs can be differentiated once, from one of them"));
        }
        let backward = object.functions.backward.ok_or_else(|| absent("backward"))?;
        let (mut lender, mut receiver) = (Lender::default(), Receiver::new());
        let (lent, sink) = (lender.tensor(&gradient), receiver.sink());
        // SAFETY: `left` comes from this object's `forward`; what is lent, and the receiver, live for the call.
        object.call(|_, report| unsafe { backward(left, root, lent, sink, report) })?;
        for item in receiver.finish()? {
            let of = if item.what == abi::GRADIENT { &self.leaves } else { &self.outputs };
            let Some(tensor) = of.get(&item.name) else {
                return Err(object.error(format!("it gave a gradient of `{}`, which is not there", item.name)));
            };
            grads.add(tensor, item.tensor(tensor.device())?)?;
        }
        Ok(())
    }
}

/// Takes the operations of the pass.
struct Taken<B: Backend> {
    device: B,
    trace: Option<Result<Trace<B>>>,
}

unsafe extern "C" fn put_trace<B: Backend>(user: *mut c_void, trace: *const abi::Trace) {
    // SAFETY: `user` is the `Taken` of the call under way, the trace is the ABI's and given away.
    unsafe {
        let taken = &mut *user.cast::<Taken<B>>();
        taken.trace = Some(received(&*trace, &taken.device, copied::<B>).map(|(trace, _)| trace));
    }
}

unsafe extern "C" fn put_text(user: *mut c_void, text: Str) {
    // SAFETY: `user` is the text of the call under way.
    unsafe { *user.cast::<String>() = text.text() }
}

impl<B: Backend> Model<B> for Adapter {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let ask = self.object.functions.layout.ok_or_else(|| absent("layout"))?;
        let sizes = serde_json::to_string(sizes).map_err(|e| Error::Other(e.to_string()))?;
        let input = abi::InputSpec { shape: input.shape.as_ptr(), rank: input.shape.len(), classes: input.classes };
        let mut json = String::new();
        let out = TextSink { user: (&raw mut json).cast(), put: put_text };
        // SAFETY: the object and its function belong together; what is lent, and `json`, live for the call.
        self.object.call(|this, report| unsafe { ask(this, &input, Str::of(&sizes), out, report) })?;
        let found = layout(&json).map_err(|e| self.object.error(e.to_string()))?;
        sound(&found).map_err(|message| self.object.error(format!("its layout does not fit together: {message}")))?;
        Ok(found)
    }

    fn over_nonzeros(&self) -> bool {
        false
    }

    fn follows_precision(&self) -> bool {
        false
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let forward = self.object.functions.forward.ok_or_else(|| absent("forward"))?;
        self.tell(cx.params.layout())?;
        let device = cx.params.device().clone();
        let (loan, mut lender, mut receiver) = (Loan::new(cx.params)?, Lender::default(), Receiver::new());
        let mut replaced: Vec<_> = cx.replaced.iter().collect();
        replaced.sort_unstable_by_key(|(name, _)| *name);
        let replaced: Vec<Signal> = (replaced.into_iter())
            .map(|(name, t)| Signal { what: 0, name: Str::of(name), value: lender.tensor(t) })
            .collect();
        cx.compressed = Compressed::NotSeen;
        let (mut compressor, table) = borrowed_compressor(cx.compressor, &device);
        let mut taken = Taken { device: device.clone(), trace: None };
        let pass = abi::Pass {
            params: loan.table(),
            replaced: replaced.as_ptr(),
            replaced_count: replaced.len(),
            input: lender.tensor(&batch.input),
            classes: batch.classes.as_ptr(),
            examples: batch.classes.len(),
            needs: cx.taps.needs.bits(),
            training: u32::from(cx.is_training()),
            backward: u32::from(cx.tape.is_recording()),
            kinks: codes::of_kinks(cx.tape.kink_mode()),
            noise: cx.noise.map_or(0, |s| s.0),
            compressor: (&raw mut compressor).cast(),
            compressor_table: &raw const *table,
            trace: abi::TraceSink { user: (&raw mut taken).cast(), put: put_trace::<B> },
        };
        let mut left = Left { left: std::ptr::null_mut(), object: self.object.clone() };
        let (sink, mut cost) = (receiver.sink(), abi::Cost { macs: 0, macs_kept: 0 });
        self.object.call(|this, report| {
            // SAFETY: the object and its function belong together; what is lent, and the receivers, live for the call.
            unsafe { forward(this, &pass, sink, &mut cost, &mut left.left, report) }
        })?;
        cx.cost.macs += cost.macs;
        cx.cost.macs_kept += cost.macs_kept;
        let roots = sort(receiver.finish()?, cx, &device)?;
        let trace = taken.trace.transpose()?;
        if trace.is_none() && cx.taps.needs.has(Needs::TRACE) {
            return Err(self.object.error("it gave no trace of its pass, which the criterion needs"));
        }
        let output = self.output(cx, roots, left)?;
        let (Output::Logits(y) | Output::Loss { prediction: y, .. }) = &output;
        cx.tape.write_down(Operation::Other("a model of a library".into()), &[&batch.input], &[y]);
        if let Some(Trace { calls, output: far, .. }) = trace {
            let became =
                if let (Some(far), Output::Logits(logits)) = (&far, &output) { Some((far, logits)) } else { None };
            cx.tape.take_over(calls, became);
        }
        Ok(output)
    }
}

impl Adapter {
    /// Puts the outputs on the tape: their backward pass is the plugin's.
    fn output<B: Backend>(
        &self,
        cx: &mut Forward<'_, B>,
        roots: Vec<(u32, Tensor<B>)>,
        left: Left,
    ) -> Result<Output<B>> {
        let recorded = cx.tape.is_recording() && !left.left.is_null();
        let names: Vec<String> = cx.params.iter().filter(|p| !p.spec().buffer).map(|p| p.spec().name.clone()).collect();
        let leaves = names.iter().map(|n| cx.leaf(n)).collect::<Result<_>>()?;
        let backward = Rc::new(Backward { left: RefCell::new(left), leaves, outputs: cx.taps.outputs.clone() });
        let mut root = |wanted: u32| {
            let found = roots.iter().find(|(what, _)| *what == wanted).map(|(_, t)| t.clone())?;
            let backward = backward.clone();
            Some(match recorded {
                true => cx.tape.record(found, move |gradient, grads| backward.run(wanted, gradient, grads)),
                false => found,
            })
        };
        match (root(abi::LOGITS), root(abi::LOSS), root(abi::PREDICTION)) {
            (Some(logits), None, None) => Ok(Output::Logits(logits)),
            (None, Some(loss), Some(prediction)) => Ok(Output::Loss { loss, prediction }),
            _ => Err(self.object.error("it must give either LOGITS, or LOSS and PREDICTION")),
        }
    }
}

/// Signals go to the taps; the outputs of the model are returned.
fn sort<B: Backend>(items: Vec<Item>, cx: &mut Forward<'_, B>, device: &B) -> Result<Vec<(u32, Tensor<B>)>> {
    let mut roots = vec![];
    for item in items {
        let (what, name, tensor) = (item.what, item.name.clone(), item.tensor(device)?);
        match what {
            abi::INPUT => drop(cx.taps.inputs.insert(name, tensor)),
            abi::OUTPUT => drop(cx.taps.outputs.insert(name, tensor)),
            abi::PREACTIVATION => drop(cx.taps.preactivations.insert(name, tensor)),
            abi::PRODUCT => drop(cx.taps.products.insert(name, tensor)),
            abi::BUFFER => cx.buffers.push((name, tensor)),
            _ => roots.push((what, tensor)),
        }
    }
    Ok(roots)
}

/// Whether every slice of every group lies within its parameter: the pruning code relies on it.
fn sound(layout: &Layout) -> Result<(), String> {
    let mut seen = HashSet::new();
    if let Some(p) = layout.params.iter().find(|p| !seen.insert(&p.name)) {
        return Err(format!("parameter `{}` is declared twice", p.name));
    }
    let divided =
        |p: &ParamSpec| p.groups == 1 || p.shape.len() == 4 && p.groups > 0 && p.shape[0].is_multiple_of(p.groups);
    if let Some(p) = layout.params.iter().find(|p| !divided(p)) {
        return Err(format!("parameter `{}` {} cannot lie in {} groups", p.name, p.shape, p.groups));
    }
    let mut seen = HashSet::new();
    for g in &layout.groups {
        if !seen.insert(&g.name) || g.units == 0 || g.units > g.dense_units {
            return Err(format!("group `{}` has {} of {} units, or is declared twice", g.name, g.units, g.dense_units));
        }
        for m in &g.members {
            let axis = layout.spec(&m.param).and_then(|s| s.shape.get(m.axis).copied());
            let end = g.units.checked_mul(m.outer).and_then(|n| n.checked_mul(m.inner)?.checked_add(m.offset));
            if axis.is_none_or(|n| end.is_none_or(|end| end > n)) {
                return Err(format!("group `{}` reaches beyond axis {} of `{}`", g.name, m.axis, m.param));
            }
        }
    }
    Ok(())
}
