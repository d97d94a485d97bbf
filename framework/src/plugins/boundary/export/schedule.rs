//! A schedule for programs that loaded this library.

use super::super::abi::{self, Report, Signal, Sink, Status, Str, slice};
use super::super::failure::guard;
use super::super::view;
use super::{destroy, object, wrong_kind};
use crate::backend::Cpu;
use crate::error::Error;
use crate::plugins::registry::{DeviceMaker, Kind};
use crate::pruning::measure::Indicators;
use crate::pruning::schedule::{Measured, RunLength, Schedule, Step};
use std::ffi::c_void;

pub(super) static TABLE: abi::ScheduleTable = abi::ScheduleTable {
    size: size_of::<abi::ScheduleTable>(),
    create: Some(create),
    destroy: Some(destroy::<Object>),
    setup: Some(setup),
    at_start: Some(at_start),
    may_be_idle: Some(may_be_idle),
    target: Some(target),
    rewind: Some(rewind),
    save: Some(save),
    load: Some(load),
    watches: Some(watches),
    adjust: Some(adjust),
    next: Some(next),
};

type Object = Box<dyn Schedule>;

impl abi::RunLength {
    fn value(self) -> RunLength {
        RunLength { steps: self.steps, steps_per_epoch: self.steps_per_epoch }
    }
}

unsafe extern "C" fn create(
    context: *const c_void,
    options: Str,
    threads: usize,
    out: *mut *mut c_void,
    report: Report,
) -> Status {
    let make = |maker: &DeviceMaker<Cpu>, options: &_| match maker {
        DeviceMaker::Schedule(make) => make(options),
        _ => Err(wrong_kind(Kind::Schedule)),
    };
    // SAFETY: the ABI's arguments.
    unsafe { super::create(context, options, threads, out, report, make) }
}

unsafe extern "C" fn setup(this: *mut c_void, run: abi::RunLength, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe { object::<Object>(this).setup(&run.value()) })
}

unsafe extern "C" fn at_start(this: *mut c_void, run: abi::RunLength, out: *mut abi::Amount, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        *out = abi::Amount::of(object::<Object>(this).at_start(&run.value())?);
        Ok(())
    })
}

unsafe extern "C" fn may_be_idle(this: *mut c_void, out: *mut u32, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        *out = u32::from(object::<Object>(this).may_be_idle());
        Ok(())
    })
}

unsafe extern "C" fn target(
    this: *mut c_void,
    step: u64,
    run: abi::RunLength,
    out: *mut abi::Amount,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        *out = abi::Amount::of(object::<Object>(this).target(Step(step), &run.value())?);
        Ok(())
    })
}

unsafe extern "C" fn rewind(
    this: *mut c_void,
    step: u64,
    run: abi::RunLength,
    out: *mut u64,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        *out = object::<Object>(this).rewind(Step(step), &run.value())?.map_or(u64::MAX, |s| s.0);
        Ok(())
    })
}

unsafe extern "C" fn next(this: *mut c_void, from: u64, run: abi::RunLength, out: *mut u64, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        *out = object::<Object>(this).next(Step(from), &run.value())?.map_or(u64::MAX, |s| s.0);
        Ok(())
    })
}

unsafe extern "C" fn save(this: *mut c_void, out: Sink, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        out.state(&object::<Object>(this).save()?);
        Ok(())
    })
}

unsafe extern "C" fn load(this: *mut c_void, entries: *const Signal, count: usize, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe { object::<Object>(this).load(view::state(slice(entries, count))?) })
}

unsafe extern "C" fn watches(this: *mut c_void, out: *mut u32, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        *out = u32::from(object::<Object>(this).watches());
        Ok(())
    })
}

unsafe extern "C" fn adjust(
    this: *mut c_void,
    planned: abi::Amount,
    seen: *const abi::Measured,
    out: *mut abi::Amount,
    report: Report,
) -> Status {
    // SAFETY: the ABI's arguments; the list lives for the call.
    guard(report, || unsafe {
        let planned =
            planned.value()?.ok_or_else(|| Error::Other("nothing is planned that could be adjusted".into()))?;
        let seen = &*seen;
        let burden: Vec<Indicators> = slice(seen.burden, seen.burden_count).iter().map(|one| indicators(one)).collect();
        let seen = Measured {
            step: Step(seen.step),
            run: seen.run.value(),
            sparsity: seen.sparsity,
            burden: &burden,
            validation_loss: (!seen.validation_loss.is_nan()).then_some(seen.validation_loss),
        };
        *out = abi::Amount::of(Some(object::<Object>(this).adjust(planned, &seen)?));
        Ok(())
    })
}

/// # Safety
/// The name must be the ABI's, and live for the call.
unsafe fn indicators(one: &abi::Indicators) -> Indicators {
    let abi::Indicators { name, gradient, gradient_mean, weight, kept } = *one;
    // SAFETY: promised by the caller.
    Indicators { name: unsafe { name.text() }, gradient, gradient_mean, weight, kept }
}
