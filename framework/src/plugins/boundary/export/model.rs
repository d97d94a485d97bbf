//! A model for programs that loaded this library.

use super::super::abi::{self, Report, Sink, Status, Str, TextSink, View, slice};
use super::super::codes;
use super::super::failure::{contain, guard};
use super::super::host::far_compressor;
use super::super::parameters::{Mirror, layout_text};
use super::super::trace::hand_over;
use super::super::view::{copied, shared};
use super::{destroy, object, wrong_kind};
use crate::autograd::{KinkMode, Kinks, Tape};
use crate::backend::Cpu;
use crate::error::{Error, Result};
use crate::network::compressor::{Compressor, NoCompression};
use crate::network::forward::Needs;
use crate::network::forward::{Forward, Taps, Trace};
use crate::network::layout::Sizes;
use crate::network::model::{Batch, InputSpec, Model, Output};
use crate::plugins::registry::{DeviceMaker, Kind};
use crate::seed::Seed;
use crate::tensor::Tensor;
use std::ffi::c_void;

pub(super) static TABLE: abi::ModelTable = abi::ModelTable {
    size: size_of::<abi::ModelTable>(),
    create: Some(create),
    destroy: Some(destroy::<Object>),
    layout: Some(layout),
    network: Some(network),
    forward: Some(forward),
    backward: Some(backward),
    forget: Some(forget),
};

struct Object {
    inner: Box<dyn Model<Cpu>>,
    mirror: Mirror,
    /// Those of the last pass that was to remember them.
    kinks: Option<Kinks<Cpu>>,
}

fn not_noted() -> Error {
    Error::Other("a pass is to keep its kinks where an earlier one had them, but none was to remember them".into())
}

/// What a forward pass leaves for its backward pass.
struct Left {
    tape: Tape<Cpu>,
    leaves: Vec<(String, Tensor<Cpu>)>,
    outputs: Vec<(String, Tensor<Cpu>)>,
    /// LOGITS, LOSS or PREDICTION: what a backward pass may begin at.
    roots: Vec<(u32, Tensor<Cpu>)>,
}

unsafe extern "C" fn create(
    context: *const c_void,
    options: Str,
    threads: usize,
    out: *mut *mut c_void,
    report: Report,
) -> Status {
    let make = |maker: &DeviceMaker<Cpu>, options: &_| match maker {
        DeviceMaker::Model(make) => Ok(Object { inner: make(options)?, mirror: Mirror::new(), kinks: None }),
        _ => Err(wrong_kind(Kind::Model)),
    };
    // SAFETY: the ABI's arguments.
    unsafe { super::create(context, options, threads, out, report, make) }
}

unsafe extern "C" fn layout(
    this: *mut c_void,
    input: *const abi::InputSpec,
    sizes: Str,
    out: TextSink,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let input = InputSpec { shape: slice((*input).shape, (*input).rank).to_vec(), classes: (*input).classes };
        let wrong = |e| Error::Other(format!("the sizes of the groups cannot be read: {e}"));
        let sizes: Sizes = serde_json::from_str(&sizes.text()).map_err(wrong)?;
        let text = layout_text(&object::<Object>(this).inner.layout(&input, &sizes)?)?;
        (out.put)(out.user, Str::of(&text));
        Ok(())
    })
}

unsafe extern "C" fn network(this: *mut c_void, json: Str, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe { object::<Object>(this).mirror.set_layout(&json.text()) })
}

unsafe extern "C" fn forward(
    this: *mut c_void,
    pass: *const abi::Pass,
    out: Sink,
    cost: *mut abi::Cost,
    left: *mut *mut c_void,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let (Object { inner, mirror, kinks }, pass) = (object::<Object>(this), &*pass);
        let device = mirror.device.clone();
        let batch = Batch {
            input: shared(&pass.input, &device)?,
            classes: slice(pass.classes, pass.examples).to_vec(),
            responses: vec![],
        };
        let replaced = slice(pass.replaced, pass.replaced_count).iter();
        let replaced = replaced.map(|s| Ok((s.name.text(), shared(&s.value, &device)?))).collect::<Result<Vec<_>>>()?;
        let compressor = far_compressor(pass.compressor, pass.compressor_table);
        let compressor = compressor.as_ref().map_or(&NoCompression {} as &dyn Compressor<Cpu>, |c| c);
        mirror.with(&pass.params, |params| {
            let cx = match (pass.training != 0, pass.backward != 0) {
                (true, _) => Forward::training(params, Needs::from_bits(pass.needs), Seed(pass.noise)),
                (false, true) => Forward::evaluation(params).with_gradients(),
                (false, false) => Forward::evaluation(params),
            };
            let mode = codes::kinks(pass.kinks)?;
            let kept = if mode == KinkMode::Kept { Some(kinks.clone().ok_or_else(not_noted)?) } else { None };
            let cx = cx.with_compressor(compressor).with_replaced(&replaced);
            let mut cx = cx.with_tape(|tape| match (mode, kept) {
                (KinkMode::Noted, _) => tape.noting_kinks(),
                (_, Some(kept)) => tape.keeping_kinks(kept),
                _ => tape,
            });
            let leaves = params.iter().filter(|p| !p.spec().buffer).map(|p| cx.leaf(&p.spec().name));
            let leaves = leaves.collect::<Result<Vec<_>>>()?;
            let output = inner.forward(&mut cx, &batch)?;
            if mode == KinkMode::Noted {
                *kinks = Some(cx.tape().take_kinks()?);
            }
            let buffers = cx.take_buffers();
            let (tape, mut taps, found) = cx.finish();
            taps.conclude(&output, &batch.classes, params.layout());
            if taps.needs.has(Needs::TRACE) {
                hand_over(std::mem::replace(&mut taps.trace, Trace::of(vec![])), &pass.trace);
            }
            *cost = abi::Cost { macs: found.macs, macs_kept: found.macs_kept };
            put_taps(&out, &taps);
            buffers.iter().for_each(|(name, t)| out.tensor(abi::BUFFER, name, t));
            let roots = match output {
                Output::Logits(logits) => vec![(abi::LOGITS, logits)],
                Output::Loss { loss, prediction } => vec![(abi::LOSS, loss), (abi::PREDICTION, prediction)],
            };
            roots.iter().for_each(|(what, t)| out.tensor(*what, "", t));
            if tape.is_recording() {
                let outputs = taps.outputs.into_iter().collect();
                *left = Box::into_raw(Box::new(Left { tape, leaves, outputs, roots })).cast();
            }
            Ok(())
        })
    })
}

/// # Safety
/// The sink must be the one of the call under way.
unsafe fn put_taps(out: &Sink, taps: &Taps<Cpu>) {
    let all = [
        (abi::INPUT, &taps.inputs),
        (abi::PRODUCT, &taps.products),
        (abi::PREACTIVATION, &taps.preactivations),
        (abi::OUTPUT, &taps.outputs),
    ];
    for (what, taps) in all {
        // SAFETY: promised by the caller.
        taps.iter().for_each(|(layer, t)| unsafe { out.tensor(what, layer, t) });
    }
}

unsafe extern "C" fn backward(left: *mut c_void, root: u32, gradient: View, out: Sink, report: Report) -> Status {
    // SAFETY: the ABI's arguments; `left` comes from `forward` and is given back once.
    guard(report, || unsafe {
        let Left { tape, leaves, outputs, roots } = *Box::from_raw(left.cast::<Left>());
        let root = roots.iter().find(|(what, _)| *what == root).map(|(_, t)| t);
        let root = root.ok_or_else(|| Error::Other("the model gave no such output".into()))?;
        let gradient = copied(&gradient, root.device())?.reshape(root.shape())?;
        let grads = tape.backward(root, gradient)?;
        for (what, named) in [(abi::GRADIENT, leaves), (abi::OUTPUT_GRADIENT, outputs)] {
            for (name, tensor) in named {
                if let Some(gradient) = grads.get(&tensor) {
                    out.tensor(what, &name, gradient);
                }
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn forget(left: *mut c_void) {
    // SAFETY: `left` comes from `forward` and is given back once.
    contain(|| drop(unsafe { Box::from_raw(left.cast::<Left>()) }));
}
