//! A criterion for programs that loaded this library.

use super::super::abi::{self, Report, Signal, Sink, Status, Str, View, slice};
use super::super::failure::guard;
use super::super::host;
use super::super::parameters::{Mirror, layout};
use super::super::trace::received;
use super::super::view::{self, Lender, Receiver, elements, shared, shared_optional};
use super::{destroy, object, wrong_kind};
use crate::autograd::Grads;
use crate::backend::Cpu;
use crate::error::{Error, Result};
use crate::network::forward::Taps;
use crate::network::params::ParamStore;
use crate::plugins::registry::{DeviceMaker, Kind, Registry};
use crate::pruning::KeepMask;
use crate::pruning::criterion::{Criterion, Cut, Observation, Probe, Question, Refit, Scores, Setup, Target};
use crate::pruning::schedule::Step;
use crate::seed::Seed;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::ffi::c_void;

pub(super) static TABLE: abi::CriterionTable = abi::CriterionTable {
    size: size_of::<abi::CriterionTable>(),
    create: Some(create),
    destroy: Some(destroy::<Object>),
    info: Some(info),
    setup: Some(setup),
    layout: Some(set_layout),
    observe: Some(observe),
    prepare: Some(prepare),
    score: Some(score),
    penalty: Some(penalty),
    cut: Some(cut),
    reset: Some(reset),
    save: Some(save),
    load: Some(load),
    refit: Some(refit),
};

struct Object {
    inner: Box<dyn Criterion<Cpu>>,
    mirror: Mirror,
}

unsafe extern "C" fn create(
    context: *const c_void,
    options: Str,
    threads: usize,
    out: *mut *mut c_void,
    report: Report,
) -> Status {
    let make = |maker: &DeviceMaker<Cpu>, options: &_| match maker {
        DeviceMaker::Criterion(make) => Ok(Object { inner: make(options)?, mirror: Mirror::new() }),
        _ => Err(wrong_kind(Kind::Criterion)),
    };
    // SAFETY: the ABI's arguments.
    unsafe { super::create(context, options, threads, out, report, make) }
}

unsafe extern "C" fn info(this: *mut c_void, out: *mut abi::Info, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let inner = &object::<Object>(this).inner;
        *out = abi::Info::of(inner.needs(), inner.window(), inner.reduce(), Criterion::normalizer(inner.as_ref()));
        Ok(())
    })
}

unsafe extern "C" fn setup(
    this: *mut c_void,
    json: Str,
    seed: u64,
    plugins: *const abi::Table,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let (object, json) = (object::<Object>(this), json.text());
        object.mirror.set_layout(&json)?;
        let registry = if plugins.is_null() { Registry::linked()? } else { host::registry_of(&*plugins)? };
        let make_criterion = |name: &str, options: &_| registry.criterion(name, options);
        object.inner.setup(&Setup { layout: &layout(&json)?, seed: Seed(seed), make_criterion: &make_criterion })
    })
}

unsafe extern "C" fn set_layout(this: *mut c_void, json: Str, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe { object::<Object>(this).mirror.set_layout(&json.text()) })
}

unsafe extern "C" fn observe(this: *mut c_void, seen: *const abi::Observation, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let (Object { inner, mirror }, seen) = (object::<Object>(this), &*seen);
        let (device, needs) = (mirror.device.clone(), inner.needs());
        mirror.with(&seen.params, |params| {
            let (mut taps, mut grads) = (Taps::new(needs), Grads::empty());
            let mut output_grads = vec![];
            for signal in slice(seen.signals, seen.signal_count) {
                let (name, value) = (signal.name.text(), shared(&signal.value, &device)?);
                match signal.what {
                    abi::GRADIENT => grads.add(params.get(&name)?.value(), value)?,
                    abi::INPUT => drop(taps.inputs.insert(name, value)),
                    abi::OUTPUT => drop(taps.outputs.insert(name, value)),
                    abi::OUTPUT_GRADIENT => output_grads.push((name, value)),
                    abi::PREACTIVATION => drop(taps.preactivations.insert(name, value)),
                    abi::PRODUCT => drop(taps.products.insert(name, value)),
                    _ => {}
                }
            }
            for (layer, value) in output_grads {
                if let Some(output) = taps.outputs.get(&layer) {
                    grads.add(output, value)?;
                }
            }
            let far = seen.trace.as_ref().map(|table| received(table, &device, shared)).transpose()?;
            let far = far.map(|(trace, far)| {
                taps.trace = trace;
                far
            });
            let (step, epoch, examples) = (Step(seen.step), seen.epoch, seen.examples);
            let observed = inner.observe(&Observation { step, epoch, examples, params, grads: &grads, taps: &taps });
            far.iter().for_each(|far| far.end());
            observed
        })
    })
}

unsafe extern "C" fn prepare(this: *mut c_void, probe: *const abi::Probe, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let (Object { inner, mirror }, probe) = (object::<Object>(this), &*probe);
        mirror.with(&probe.params, |params| inner.prepare(&mut Far { probe, params }))
    })
}

/// The program's probe.
struct Far<'a> {
    probe: &'a abi::Probe,
    params: &'a ParamStore<Cpu>,
}

impl Probe<Cpu> for Far<'_> {
    fn params(&self) -> &ParamStore<Cpu> {
        self.params
    }

    fn gradients(&mut self, question: &Question<'_, Cpu>) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        self.ask(question, |probe, question, sink, report| {
            // SAFETY: the probe is the program's, for the call under way; what is passed lives until this returns.
            unsafe { (probe.gradients)(probe.user, question, sink, report) }
        })
    }

    fn hessian_vector(
        &mut self,
        question: &Question<'_, Cpu>,
        vector: &BTreeMap<String, Tensor<Cpu>>,
    ) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        let mut lender = Lender::default();
        let vector = named(vector.iter(), &mut lender);
        self.ask(question, |probe, question, sink, report| {
            let (list, count) = (vector.as_ptr(), vector.len());
            // SAFETY: as in `gradients`.
            unsafe { (probe.hessian_vector)(probe.user, question, list, count, sink, report) }
        })
    }
}

impl Far<'_> {
    fn ask(
        &self,
        question: &Question<'_, Cpu>,
        call: impl FnOnce(&abi::Probe, &abi::Question, Sink, Report) -> Status,
    ) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        let (mut lender, mut receiver) = (Lender::default(), Receiver::new());
        let replaced = named(question.replaced.iter().map(|(name, t)| (name, t)), &mut lender);
        let (question, sink) = (abi::Question::of(question, &replaced), receiver.sink());
        host::call_plain(|report| call(self.probe, &question, sink, report))?;
        let device = self.params.device();
        receiver.finish()?.into_iter().map(|item| Ok((item.name.clone(), item.tensor(device)?))).collect()
    }
}

/// Tensors by name, valid as long as they and the lender are.
fn named<'a>(all: impl Iterator<Item = (&'a String, &'a Tensor<Cpu>)>, lender: &mut Lender) -> Vec<Signal> {
    all.map(|(name, t)| Signal { what: 0, name: Str::of(name), value: lender.tensor(t) }).collect()
}

unsafe extern "C" fn score(this: *mut c_void, target: *const abi::Target, out: Sink, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let (Object { inner, mirror }, t) = (object::<Object>(this), &*target);
        let device = mirror.device.clone();
        mirror.with(&t.params, |params| {
            let param = params.get(&t.name.text())?;
            let (weight, grad) = (Some(shared(&t.weight, &device)?), shared_optional(&t.grad, &device)?);
            let group = Some(t.group.text()).filter(|g| !g.is_empty());
            let missing = |g: &String| Error::Other(format!("there is no unit group `{g}`"));
            let group = group.map(|g| params.layout().group(&g).ok_or_else(|| missing(&g))).transpose()?;
            let (step, seed, to_go) = (Step(t.step), Seed(t.seed), Some(t.to_go).filter(|n| *n != usize::MAX));
            let target = Target { param, params, group, weight, grad, step, seed, to_go, candidates: None };
            match inner.score(&target)? {
                Scores::Weights(scores) => out.tensor(abi::WEIGHT_SCORES, "", &scores),
                Scores::Units(scores) => out.plain(abi::UNIT_SCORES, "", &scores, abi::F32),
                Scores::Keep(keep) => {
                    let keep: Vec<u8> = keep.into_iter().map(u8::from).collect();
                    out.plain(abi::KEEP, "", &keep, abi::U8);
                }
            }
            Ok(())
        })
    })
}

unsafe extern "C" fn penalty(
    this: *mut c_void,
    name: Str,
    weight: View,
    value: *mut f64,
    out: Sink,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let Object { inner, mirror } = object::<Object>(this);
        if let Some((penalty, gradient)) = inner.penalty(&name.text(), &shared(&weight, &mirror.device)?)? {
            *value = penalty;
            out.tensor(abi::GRADIENT, "", &gradient);
        }
        Ok(())
    })
}

unsafe extern "C" fn cut(this: *mut c_void, name: Str, kept: *const usize, count: usize, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let (Object { inner, mirror }, name) = (object::<Object>(this), name.text());
        let found = mirror.layout().and_then(|layout| Some((layout, layout.group(&name)?)));
        let (layout, group) = found.ok_or_else(|| Error::Other(format!("there is no unit group `{name}`")))?;
        inner.cut(&Cut { layout, group, kept: slice(kept, count) })
    })
}

unsafe extern "C" fn reset(this: *mut c_void, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        object::<Object>(this).inner.reset()?;
        Ok(())
    })
}

unsafe extern "C" fn save(this: *mut c_void, out: Sink, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        out.state(&object::<Object>(this).inner.save()?);
        Ok(())
    })
}

unsafe extern "C" fn refit(
    this: *mut c_void,
    params: *const abi::Params,
    keep: *const Signal,
    count: usize,
    out: Sink,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let Object { inner, mirror } = object::<Object>(this);
        let device = mirror.device.clone();
        let stays = |s: &Signal| {
            let keep = match s.value.dtype {
                abi::U8 => KeepMask::Units(elements::<u8>(&s.value, abi::U8)?.0.iter().map(|&k| k != 0).collect()),
                _ => KeepMask::Weights(shared(&s.value, &device)?),
            };
            Ok((s.name.text(), keep))
        };
        let keep = slice(keep, count).iter().map(stays).collect::<Result<Vec<_>>>()?;
        let found = mirror.with(&*params, |params| inner.refit(&Refit { params, keep: &keep }))?;
        found.iter().for_each(|(name, value)| out.tensor(0, name, value));
        Ok(())
    })
}

unsafe extern "C" fn load(this: *mut c_void, entries: *const Signal, count: usize, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        let Object { inner, mirror } = object::<Object>(this);
        inner.load(view::state(slice(entries, count))?, &mirror.device)
    })
}
