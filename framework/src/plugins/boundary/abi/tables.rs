//! The functions of each kind of plugin, and the list of plugins that a library exports.

use super::Status;
use super::measured::Measured;
use super::values::*;
use std::ffi::c_void;

c_structs! {
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
        /// A group lost units: its name, and which of its units stay, by their index before.
        cut: Option<unsafe extern "C" fn(*mut c_void, Str, *const usize, usize, Report) -> Status>,
        /// Forgets what it collected.
        reset: Option<unsafe extern "C" fn(*mut c_void, Report) -> Status>,
        /// Puts STATE entries of F64.
        save: Option<unsafe extern "C" fn(*mut c_void, Sink, Report) -> Status>,
        /// Takes them back.
        load: Option<unsafe extern "C" fn(*mut c_void, *const Signal, usize, Report) -> Status>,
        /// Parameters, and what stays of them: KEEP of U8 by group for units, of F32 by parameter for weights. Puts new
        /// values of parameters, by name.
        refit: Option<unsafe extern "C" fn(*mut c_void, *const Params, *const Signal, usize, Sink, Report) -> Status>,
    }
    /// A schedule's functions. `create`, `destroy` and `target` must be there.
    ScheduleTable = "secateur_schedule" {
        /// `sizeof` this table.
        size: usize,
        /// As in [`CriterionTable`].
        create: Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status>,
        /// Frees an object.
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        /// Whether the options fit a run of this length.
        setup: Option<unsafe extern "C" fn(*mut c_void, RunLength, Report) -> Status>,
        /// What holds before the first update.
        at_start: Option<unsafe extern "C" fn(*mut c_void, RunLength, *mut Amount, Report) -> Status>,
        /// 1 where a run in which nothing is pruned is what was asked for.
        may_be_idle: Option<unsafe extern "C" fn(*mut c_void, *mut u32, Report) -> Status>,
        /// What holds after a step.
        target: Option<unsafe extern "C" fn(*mut c_void, u64, RunLength, *mut Amount, Report) -> Status>,
        /// The step to rewind to, or `u64::MAX`.
        rewind: Option<unsafe extern "C" fn(*mut c_void, u64, RunLength, *mut u64, Report) -> Status>,
        /// As in [`CriterionTable`].
        save: Option<unsafe extern "C" fn(*mut c_void, Sink, Report) -> Status>,
        /// As in [`CriterionTable`].
        load: Option<unsafe extern "C" fn(*mut c_void, *const Signal, usize, Report) -> Status>,
        /// 1 where it goes by what is measured.
        watches: Option<unsafe extern "C" fn(*mut c_void, *mut u32, Report) -> Status>,
        /// What is asked at a pruning step: the plan, what was measured, and the plan or less of the same kind.
        adjust: Option<unsafe extern "C" fn(*mut c_void, Amount, *const Measured, *mut Amount, Report) -> Status>,
        /// The first step from one on after which something may be pruned, or `u64::MAX`; where null, every step is
        /// asked about.
        next: Option<unsafe extern "C" fn(*mut c_void, u64, RunLength, *mut u64, Report) -> Status>,
    }
    /// A compressor's functions. `create`, `destroy` and `compress` must be there; `backward` and `forget` where it can
    /// be trained.
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
        /// Consumes what `compress` left: the gradient of the compressed tokens in, TOKENS gradients `x`, `metric`,
        /// `sizes` out.
        backward: Option<unsafe extern "C" fn(*mut c_void, View, Sink, Report) -> Status>,
        /// Frees what `compress` left, where no backward pass comes.
        forget: Option<unsafe extern "C" fn(*mut c_void)>,
        /// 1 where it may change anything at this stage; asked before `compress`, which it is always where null.
        is_active: Option<unsafe extern "C" fn(*mut c_void, Stage, *mut u32, Report) -> Status>,
        /// 1 where it looks at the metric of this stage; it gets what there is where null.
        needs_metric: Option<unsafe extern "C" fn(*mut c_void, Stage, *mut u32, Report) -> Status>,
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
        /// Consumes what `forward` left: the gradient of the LOGITS or LOSS, and the gradient of the PREDICTION where
        /// that is the root instead; puts GRADIENT of each parameter and OUTPUT_GRADIENT of each layer.
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
        /// [`VERSION`](super::VERSION).
        abi: u32,
        /// Its plugins.
        entries: *const Entry,
        /// Number of plugins.
        count: usize,
    }
}
