//! Version 1 of the plugin ABI: plain C data. `include/secateur_plugin.h` declares the same; a test compares every offset.
//!
//! Rules: the caller allocates inputs, and they are valid for the call; outputs of a size that only the callee knows go through a
//! callback from which the receiver copies; nothing is freed by the side that did not allocate it. Functions return 0, or another
//! number after they have reported at least one error. A null function is one that the plugin does not have.

use std::ffi::c_void;

/// What this program speaks. Any change of a struct's existing fields raises it; new fields go to the end of a table with a `size`.
pub const VERSION: u32 = 1;
/// Symbol of the stamp in a plugin's file.
pub const STAMP: &str = "secateur_plugin_stamp";
/// Symbol of the only function that a plugin exports.
pub const ENTRY: &str = "secateur_plugin_v1";

/// Declares C structs, and lists their layout for the test of the header.
macro_rules! c_structs {
    ($($(#[$meta:meta])* $name:ident = $c:literal { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {
        $($(#[$meta])* #[repr(C)] #[derive(Clone, Copy, Debug)] pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* })*
        /// Every struct: its name in C, its size, and the offset of each field.
        pub fn layouts() -> Vec<(&'static str, usize, Vec<(&'static str, usize)>)> {
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

c_numbers! {
    /// Element type: 32-bit float.
    F32 = 0;
    /// Element type: byte; 0 or 1 for decisions.
    U8 = 1;
    /// Element type: 64-bit float; saved state.
    F64 = 2;
    /// The data is in the host's memory.
    HOST = 0;
    /// An error in words.
    FAILED = 0;
    /// An option with a value that is not allowed.
    BAD_OPTION = 1;
    /// Parts of the configuration that do not fit each other.
    BAD_CONFIG = 2;
    /// A panic.
    PANICKED = 3;
    /// A gradient of a parameter.
    GRADIENT = 1;
    /// The input of a layer.
    INPUT = 2;
    /// The output of a layer.
    OUTPUT = 3;
    /// The gradient of a layer's output.
    OUTPUT_GRADIENT = 4;
    /// The output of a layer before its activation.
    PREACTIVATION = 5;
    /// Scores of single weights.
    WEIGHT_SCORES = 6;
    /// Scores of units.
    UNIT_SCORES = 7;
    /// Decisions, one byte a weight.
    KEEP = 8;
    /// An entry of saved state.
    STATE = 9;
    /// The logits of a model.
    LOGITS = 10;
    /// The loss of a model.
    LOSS = 11;
    /// The prediction of a model that has its own loss.
    PREDICTION = 12;
    /// Compressed tokens, their metric, sizes or source; or a gradient of one of them.
    TOKENS = 13;
    /// A buffer of the network (a running statistic) that a forward pass in training moved, by its full name.
    BUFFER = 14;
    /// Nothing is pruned at this step.
    NO_AMOUNT = 0;
    /// A fraction of the dense network.
    SPARSITY = 1;
    /// A fraction of what is left.
    OF_REMAINING = 2;
    /// Kind of plugin: criterion.
    CRITERION = 1;
    /// Kind of plugin: schedule.
    SCHEDULE = 2;
    /// Kind of plugin: compressor.
    COMPRESSOR = 3;
    /// Kind of plugin: model.
    MODEL = 4;
}

/// Returned by every function that can fail.
pub type Status = i32;

c_structs! {
    /// UTF-8 text, not terminated.
    Str = "secateur_str" {
        /// First byte.
        data: *const u8,
        /// Bytes.
        len: usize,
    }
    /// Shares memory across the boundary: whoever retains a view's owner may use its data until releasing it.
    Owner = "secateur_owner" {
        /// One more user.
        retain: unsafe extern "C" fn(*const Owner),
        /// One user less.
        release: unsafe extern "C" fn(*const Owner),
    }
    /// A row-major, contiguous array; `data` is null where there is none.
    View = "secateur_view" {
        /// First element.
        data: *const c_void,
        /// Extents of the axes.
        shape: *const usize,
        /// Number of axes.
        rank: usize,
        /// Element type.
        dtype: u32,
        /// Where the data is.
        device: u32,
        /// Null where the data is valid for the call only.
        owner: *const Owner,
    }
    /// Takes errors; one call an error.
    Report = "secateur_report" {
        /// Handed to `put`.
        user: *mut c_void,
        /// Code, option key, value found, message.
        put: unsafe extern "C" fn(*mut c_void, u32, Str, Str, Str),
    }
    /// Takes text.
    TextSink = "secateur_text_sink" {
        /// Handed to `put`.
        user: *mut c_void,
        /// The text.
        put: unsafe extern "C" fn(*mut c_void, Str),
    }
    /// Takes arrays; the receiver copies.
    Sink = "secateur_sink" {
        /// Handed to `put`.
        user: *mut c_void,
        /// What it is, whose it is, and the array.
        put: unsafe extern "C" fn(*mut c_void, u32, Str, View),
    }
    /// An array with a meaning and a name.
    Signal = "secateur_signal" {
        /// GRADIENT, INPUT, ...
        what: u32,
        /// Parameter, layer or entry.
        name: Str,
        /// The array.
        value: View,
    }
    /// One parameter, in the order of the layout.
    Param = "secateur_param" {
        /// Dotted name.
        name: Str,
        /// Values.
        value: View,
        /// 0 or 1 for each value, where it has a mask.
        mask: View,
        /// Elements that are not masked out.
        kept: usize,
        /// Optimizer state.
        state: *const View,
        /// Number of state arrays.
        states: usize,
        /// Optimizer updates so far.
        updates: u64,
        /// Elements before anything was removed.
        dense_count: usize,
    }
    /// Units of a group that are in use.
    Alive = "secateur_alive" {
        /// The group.
        group: Str,
        /// 0 or 1 for each unit.
        alive: *const u8,
        /// Number of units.
        units: usize,
    }
    /// All parameters.
    Params = "secateur_params" {
        /// The parameters.
        list: *const Param,
        /// Number of parameters.
        count: usize,
        /// 1 where pruned weights keep learning.
        dynamic: u32,
        /// Groups with units that are gone.
        alive: *const Alive,
        /// Number of such groups.
        alive_count: usize,
    }
    /// A training step, between the backward pass and the optimizer's update.
    Observation = "secateur_observation" {
        /// The step.
        step: u64,
        /// Its epoch, from 0.
        epoch: u64,
        /// Examples in the batch.
        examples: usize,
        /// All parameters.
        params: Params,
        /// What the criterion declared that it needs.
        signals: *const Signal,
        /// Number of signals.
        signal_count: usize,
    }
    /// What is to be scored.
    Target = "secateur_target" {
        /// The parameter.
        name: Str,
        /// Its values.
        weight: View,
        /// Its mask, if it has one.
        mask: View,
        /// Its gradient, if it was asked for.
        grad: View,
        /// The group whose units are pruned; empty where single weights are.
        group: Str,
        /// Units of the group.
        units: usize,
        /// Axis of the parameter that holds the units.
        axis: usize,
        /// The pruning step.
        step: u64,
        /// The run's seed for this criterion.
        seed: u64,
        /// How weight scores become unit scores: 0 sum, 1 l1, 2 l2, 3 mean, 4 max.
        reduce: u32,
        /// All parameters.
        params: Params,
    }
    /// What a criterion asks for.
    Info = "secateur_info" {
        /// Bits: 1 gradients, 2 inputs, 4 outputs, 8 output gradients, 16 preactivations, 64 probe, 128 penalty.
        needs: u32,
        /// 0 the pruning step alone, 1 its epoch, 2 everything since the last pruning step.
        window: u32,
        /// 0 keep = n - floor(s n), 1 floor((1 - s) n), 2 round((1 - s) n).
        rounding: u32,
    }
    /// Answers a criterion's questions about the network.
    Probe = "secateur_probe" {
        /// Handed to `gradients`.
        user: *mut c_void,
        /// Input (0 batch, 1 ones), batch number, objective (0 loss, 1 sum of the outputs), replaced parameters, gradients out.
        gradients: unsafe extern "C" fn(*mut c_void, u32, u64, u32, *const Signal, usize, Sink, Report) -> Status,
        /// All parameters.
        params: Params,
    }
    /// How much is to be gone.
    Amount = "secateur_amount" {
        /// NO_AMOUNT, SPARSITY or OF_REMAINING.
        kind: u32,
        /// The fraction.
        fraction: f64,
    }
    /// How long a run is.
    RunLength = "secateur_run_length" {
        /// Optimizer updates in the whole run.
        steps: u64,
        /// Optimizer updates in one epoch.
        steps_per_epoch: u64,
    }
    /// Tokens of a batch.
    Tokens = "secateur_tokens" {
        /// `[batch, tokens, dim]`
        x: View,
        /// What similarity is measured on, if not the tokens themselves.
        metric: View,
        /// Original tokens that each one stands for, if not one each.
        sizes: View,
        /// For every original token the one that holds it, where `has_source`.
        source: *const u32,
        /// Length of `source`.
        source_count: usize,
        /// Whether `source` is kept up.
        has_source: u32,
        /// Leading tokens that are never merged.
        protected_tokens: usize,
        /// Bits of those whose gradient is wanted: 1 tokens, 2 metric, 4 sizes.
        wanted: u32,
    }
    /// Takes compressed tokens; `tokens.x` and the others as in [`Tokens`].
    TokensSink = "secateur_tokens_sink" {
        /// Handed to `put`.
        user: *mut c_void,
        /// The tokens.
        put: unsafe extern "C" fn(*mut c_void, *const Tokens),
    }
    /// Where tokens are compressed.
    Stage = "secateur_stage" {
        /// 0 before the encoder, 1 in a block.
        kind: u32,
        /// The block, from 0.
        index: usize,
        /// Number of blocks.
        of: usize,
    }
    /// What the data looks like.
    InputSpec = "secateur_input_spec" {
        /// Axes of one example.
        shape: *const usize,
        /// Number of axes.
        rank: usize,
        /// Number of outputs.
        classes: usize,
    }
    /// What a model's forward pass is given.
    Pass = "secateur_pass" {
        /// All parameters.
        params: Params,
        /// Parameters with other values for this pass.
        replaced: *const Signal,
        /// Number of those.
        replaced_count: usize,
        /// `[batch, ...example]`
        input: View,
        /// Class of each example.
        classes: *const u32,
        /// Number of examples.
        examples: usize,
        /// Signals that the criterion needs, as in [`Info`].
        needs: u32,
        /// Whether dropout and the like are on, and a backward pass may follow.
        training: u32,
        /// Seeds dropout and the like.
        noise: u64,
        /// The run's compressor; null where it has none.
        compressor: *mut c_void,
        /// How to call it.
        compressor_table: *const CompressorTable,
    }
    /// What a model's forward pass cost.
    Cost = "secateur_cost" {
        /// Multiply-accumulate operations with every stored weight.
        macs: u64,
        /// Without the masked ones.
        macs_kept: u64,
    }
    /// A criterion's functions. `create`, `destroy` and `score` must be there.
    CriterionTable = "secateur_criterion" {
        /// `sizeof` this table.
        size: usize,
        /// The entry's context, options as TOML, threads to use, the new object.
        create: Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status>,
        /// Frees an object.
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Asked after `create`, `setup` and `load`.
        info: Option<unsafe extern "C" fn(*mut c_void, *mut Info, Report) -> Status>,
        /// Layout as JSON, seed, the program's plugins.
        setup: Option<unsafe extern "C" fn(*mut c_void, Str, u64, *const Table, Report) -> Status>,
        /// The network's layout as JSON, whenever it is another than before.
        layout: Option<unsafe extern "C" fn(*mut c_void, Str, Report) -> Status>,
        /// Sees a training step.
        observe: Option<unsafe extern "C" fn(*mut c_void, *const Observation, Report) -> Status>,
        /// Asks questions before the scores.
        prepare: Option<unsafe extern "C" fn(*mut c_void, *const Probe, Report) -> Status>,
        /// Puts WEIGHT_SCORES, UNIT_SCORES or KEEP, once.
        score: Option<unsafe extern "C" fn(*mut c_void, *const Target, Sink, Report) -> Status>,
        /// Parameter, values, the penalty's value, its GRADIENT; nothing is put where there is no penalty.
        penalty: Option<unsafe extern "C" fn(*mut c_void, Str, View, *mut f64, Sink, Report) -> Status>,
        /// Forgets what it collected.
        reset: Option<unsafe extern "C" fn(*mut c_void, Report) -> Status>,
        /// Puts STATE entries of F64.
        save: Option<unsafe extern "C" fn(*mut c_void, Sink, Report) -> Status>,
        /// Takes them back.
        load: Option<unsafe extern "C" fn(*mut c_void, *const Signal, usize, Report) -> Status>,
    }
    /// A schedule's functions. `create`, `destroy` and `target` must be there.
    ScheduleTable = "secateur_schedule" {
        /// `sizeof` this table.
        size: usize,
        /// As in [`CriterionTable`].
        create: Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status>,
        /// Frees an object.
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// What holds after a step.
        target: Option<unsafe extern "C" fn(*mut c_void, u64, RunLength, *mut Amount, Report) -> Status>,
        /// The step to rewind to, or `u64::MAX`.
        rewind: Option<unsafe extern "C" fn(*mut c_void, u64, RunLength, *mut u64, Report) -> Status>,
        /// As in [`CriterionTable`].
        save: Option<unsafe extern "C" fn(*mut c_void, Sink, Report) -> Status>,
        /// As in [`CriterionTable`].
        load: Option<unsafe extern "C" fn(*mut c_void, *const Signal, usize, Report) -> Status>,
    }
    /// A compressor's functions. `create`, `destroy` and `compress` must be there; `backward` and `forget` where it can be trained.
    CompressorTable = "secateur_compressor" {
        /// `sizeof` this table.
        size: usize,
        /// As in [`CriterionTable`].
        create: Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status>,
        /// Frees an object.
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Tokens in, tokens out; where gradients are wanted, leaves what `backward` needs.
        compress:
            Option<unsafe extern "C" fn(*mut c_void, *const Tokens, Stage, TokensSink, *mut *mut c_void, Report) -> Status>,
        /// Consumes what `compress` left: the gradient of the compressed tokens in, TOKENS gradients `x`, `metric`, `sizes` out.
        backward: Option<unsafe extern "C" fn(*mut c_void, View, Sink, Report) -> Status>,
        /// Frees what `compress` left, where no backward pass comes.
        forget: Option<unsafe extern "C" fn(*mut c_void)>,
    }
    /// A model's functions; all must be there.
    ModelTable = "secateur_model" {
        /// `sizeof` this table.
        size: usize,
        /// As in [`CriterionTable`].
        create: Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status>,
        /// Frees an object.
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Input, sizes of the groups as a JSON object, the layout as JSON.
        layout: Option<unsafe extern "C" fn(*mut c_void, *const InputSpec, Str, TextSink, Report) -> Status>,
        /// The layout (as JSON) of the parameters that are passed from now on.
        network: Option<unsafe extern "C" fn(*mut c_void, Str, Report) -> Status>,
        /// Puts LOGITS, or LOSS and PREDICTION, and the signals that are needed; leaves what `backward` needs.
        forward: Option<unsafe extern "C" fn(*mut c_void, *const Pass, Sink, *mut Cost, *mut *mut c_void, Report) -> Status>,
        /// Consumes what `forward` left: the gradient of the LOGITS or LOSS, and the gradient of the PREDICTION where that is the
        /// root instead; puts GRADIENT of each parameter and OUTPUT_GRADIENT of each layer.
        backward: Option<unsafe extern "C" fn(*mut c_void, u32, View, Sink, Report) -> Status>,
        /// Frees what `forward` left, where no backward pass comes.
        forget: Option<unsafe extern "C" fn(*mut c_void)>,
    }
    /// One option, for `plugins show`. All text lives as long as the library.
    OptionDoc = "secateur_option" {
        /// Key.
        name: Str,
        /// What it means.
        doc: Str,
        /// Type, as in Rust.
        ty: Str,
        /// Default as TOML; empty where it is off by default.
        default_value: Str,
    }
    /// One plugin. All text lives as long as the library.
    Entry = "secateur_entry" {
        /// CRITERION, SCHEDULE, COMPRESSOR or MODEL.
        kind: u32,
        /// The name configs use.
        name: Str,
        /// One sentence.
        summary: Str,
        /// Crate or project.
        origin: Str,
        /// Its version.
        version: Str,
        /// Its options.
        options: *const OptionDoc,
        /// Number of options.
        option_count: usize,
        /// Handed to `check` and `create`.
        context: *const c_void,
        /// Checks options (TOML); `create` is asked where it is null.
        check: Option<unsafe extern "C" fn(*const c_void, Str, Report) -> Status>,
        /// The table of its kind.
        table: *const c_void,
    }
    /// What a library offers.
    Table = "secateur_table" {
        /// [`VERSION`].
        abi: u32,
        /// Its plugins.
        entries: *const Entry,
        /// Number of plugins.
        count: usize,
    }
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
