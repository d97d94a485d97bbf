//! A schedule for programs that loaded this library.

use super::super::abi::{self, Report, Signal, Sink, Status, Str, slice};
use super::super::failure::{contain, guard};
use super::super::view;
use super::wrong_kind;
use crate::backend::Cpu;
use crate::registry::{DeviceMaker, Kind};
use crate::schedule::{RunLength, Schedule, Step};
use std::ffi::c_void;

pub(super) static TABLE: abi::ScheduleTable = abi::ScheduleTable {
    size: size_of::<abi::ScheduleTable>(),
    create: Some(create),
    destroy: Some(destroy),
    target: Some(target),
    rewind: Some(rewind),
    save: Some(save),
    load: Some(load),
};

type Object = Box<dyn Schedule>;

/// # Safety
/// `this` must come from [`create`], and be used by one thread at a time.
unsafe fn object<'a>(this: *mut c_void) -> &'a mut Object {
    // SAFETY: promised by the caller.
    unsafe { &mut *this.cast() }
}

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

unsafe extern "C" fn destroy(this: *mut c_void) {
    // SAFETY: `this` comes from `create` and is given back once.
    contain(|| drop(unsafe { Box::from_raw(this.cast::<Object>()) }));
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
        *out = abi::Amount::of(object(this).target(Step(step), &run.value()));
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
        *out = object(this).rewind(Step(step), &run.value()).map_or(u64::MAX, |s| s.0);
        Ok(())
    })
}

unsafe extern "C" fn save(this: *mut c_void, out: Sink, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe {
        out.state(&object(this).save());
        Ok(())
    })
}

unsafe extern "C" fn load(this: *mut c_void, entries: *const Signal, count: usize, report: Report) -> Status {
    // SAFETY: the ABI's arguments.
    guard(report, || unsafe { object(this).load(view::state(slice(entries, count))?) })
}
