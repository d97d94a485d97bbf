//! The operations of a pass, so that something else than gradients can be sent backwards.

use super::Status;
use super::values::{Report, Sink, Str, View};
use std::ffi::c_void;

c_structs! {
    /// A value of a pass.
    Value = "secateur_value" {
        /// The same number for the same value, whatever its shape.
        id: u64,
        /// 0 where the pass did not compute it, like its examples.
        tracked: u32,
        /// The array.
        value: View,
    }
    /// An operation of a pass.
    Call = "secateur_call" {
        /// The layer, where this is its product with its weight (and batch normalisation); empty elsewhere.
        layer: Str,
        /// 1 where each value comes from one value of the input alone, 0 for a linear map of all inputs.
        single: u32,
        /// What went in.
        inputs: *const Value,
        /// Number of inputs.
        input_count: usize,
        /// What came out.
        output: Value,
    }
    /// The operations of a pass, in order.
    Trace = "secateur_trace" {
        /// Handed to the functions.
        user: *mut c_void,
        /// The operations.
        calls: *const Call,
        /// Number of operations.
        call_count: usize,
        /// The logits, or the result of the output layer; without an array where there is none.
        output: Value,
        /// Class of each example.
        classes: *const u32,
        /// Number of classes listed.
        class_count: usize,
        /// Computes a call (by its index) again for other inputs: its map (part 0), the map with its positive (1) or
        /// its negative (2) coefficients alone, by their size, or what does not depend on the inputs (3). Puts OUTPUT,
        /// or nothing where there is nothing of the part.
        replay: unsafe extern "C" fn(*mut c_void, usize, u32, *const View, usize, Sink, Report) -> Status,
        /// The same backwards, from a gradient of that output: puts GRADIENT of each input, named by its index.
        vjp: unsafe extern "C" fn(*mut c_void, usize, u32, *const View, usize, View, Sink, Report) -> Status,
        /// Frees a trace that was given away; null where it is lent for the call.
        release: Option<unsafe extern "C" fn(*mut c_void)>,
    }
    /// Takes a trace that is given away.
    TraceSink = "secateur_trace_sink" {
        /// Handed to `put`.
        user: *mut c_void,
        /// The trace.
        put: unsafe extern "C" fn(*mut c_void, *const Trace),
    }
}
