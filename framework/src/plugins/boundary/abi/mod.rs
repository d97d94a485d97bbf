//! Version 3 of the plugin ABI: plain C data. `include/secateur_plugin.h` declares the same; a test compares every
//! offset.
//!
//! Rules: the caller allocates inputs, and they are valid for the call; outputs of a size that only the callee knows go
//! through a callback from which the receiver copies; nothing is freed by the side that did not allocate it. Functions
//! return 0, or another number after they have reported at least one error. A null function is one that the plugin does
//! not have.

/// What this program speaks. Any change of a struct's existing fields raises it; new fields go to the end of a table
/// with a `size`.
pub const VERSION: u32 = 3;
/// Symbol of the stamp in a plugin's file.
pub const STAMP: &str = "secateur_plugin_stamp";
/// Symbol of the only function that a plugin exports.
pub const ENTRY: &str = "secateur_plugin_v3";

/// Declares C structs, and lists their layout for the test of the header.
macro_rules! c_structs {
    ($($(#[$meta:meta])* $name:ident = $c:literal { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {
        $($(#[$meta])* #[repr(C)] #[derive(Clone, Copy, Debug)] pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* })*
        /// Every struct declared here.
        pub fn layouts() -> Vec<super::Layout> {
            vec![$(($c, size_of::<$name>(), vec![$((stringify!($field), std::mem::offset_of!($name, $field)),)*]),)*]
        }
    };
}

/// Declares numbers, and lists them for the test of the header.
macro_rules! c_numbers {
    ($($(#[$meta:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$meta])* pub const $name: u32 = $value;)*
        /// Every number, by its name in C without the prefix `SECATEUR_`.
        pub fn numbers() -> Vec<(&'static str, u32)> {
            vec![$((stringify!($name), $name),)*]
        }
    };
}

mod measured;
mod numbers;
mod tables;
mod trace;
mod values;

pub use measured::{Indicators, Measured};
pub use numbers::*;
pub use tables::{CompressorTable, CriterionTable, Entry, ModelTable, OptionDoc, ScheduleTable, Table};
pub use trace::{Call, Trace, TraceSink, Value};
pub use values::{
    Alive, Amount, Cost, Info, InputSpec, Observation, Owner, Param, Params, Pass, Probe, Question, Report, RunLength,
    Signal, Sink, Stage, Str, Target, TextSink, Tokens, TokensSink, View,
};

/// Returned by every function that can fail.
pub type Status = i32;

/// A struct: its name in C, its size, and the offset of each field.
pub type Layout = (&'static str, usize, Vec<(&'static str, usize)>);

/// Every struct.
pub fn layouts() -> Vec<Layout> {
    [values::layouts(), trace::layouts(), measured::layouts(), tables::layouts()].concat()
}

/// The exported function.
pub type EntryPoint = unsafe extern "C" fn() -> *const Table;

impl Str {
    /// No text.
    pub const EMPTY: Self = Self { data: std::ptr::null(), len: 0 };

    /// Lends text.
    pub fn of(text: &str) -> Self {
        Self { data: text.as_ptr(), len: text.len() }
    }

    /// The text, with what is not UTF-8 replaced.
    ///
    /// # Safety
    /// `data` must point to `len` bytes, or be null.
    pub unsafe fn text(&self) -> String {
        // SAFETY: promised by the caller.
        String::from_utf8_lossy(unsafe { slice(self.data, self.len) }).into_owned()
    }
}

impl View {
    /// No array.
    pub const NONE: Self = Self {
        data: std::ptr::null(),
        shape: std::ptr::null(),
        rank: 0,
        dtype: F32,
        device: HOST,
        owner: std::ptr::null(),
    };

    /// Whether there is no array.
    pub fn is_none(&self) -> bool {
        self.data.is_null()
    }
}

/// A slice of C's; empty where the pointer is null.
///
/// # Safety
/// `data` must be null or point to `len` elements that live and do not change for `'a`.
pub unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    // SAFETY: promised by the caller; null is treated apart.
    if data.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(data, len) } }
}
