//! What is passed to functions.

use super::{CompressorTable, Status, Trace, TraceSink};
use std::ffi::c_void;

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
        /// 0 where pruned weights are zero and stay so, 1 where they keep learning, 2 where they are zero until they
        /// return.
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
        /// The operations of the forward pass; null where they were not asked for.
        trace: *const Trace,
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
        /// How many of it are to go, or `SIZE_MAX` where one ranking over all layers decides that.
        to_go: usize,
        /// All parameters.
        params: Params,
    }
    /// What a criterion asks for.
    Info = "secateur_info" {
        /// Bits: 1 gradients, 2 inputs, 4 outputs, 8 output gradients, 16 preactivations, 32 trace, 64 probe,
        /// 128 penalty, 256 products.
        needs: u32,
        /// 0 the pruning step alone, 1 its epoch, 2 everything since the last pruning step.
        window: u32,
        /// How weight scores become unit scores: 0 sum, 1 l1, 2 l2, 3 mean, 4 max.
        reduce: u32,
        /// How scores of several layers become comparable: 0 not said, 1 none, 2 mean, 3 size, 4 l2, 5 z-score.
        normalize: u32,
    }
    /// What a probe is asked.
    Question = "secateur_question" {
        /// 0 a batch, 1 an example of ones, 2 as many examples of each class, 3 one training example.
        input: u32,
        /// 0 training, 1 evaluation; ones are refused in training mode.
        mode: u32,
        /// Which batch, which choice of each class, or which example.
        number: u64,
        /// Examples of each class.
        per_class: usize,
        /// 0 loss, 1 sum of the outputs.
        objective: u32,
        /// What the logits are divided by before the loss; 1 for the loss as it is.
        temperature: f64,
        /// Parameters with other values.
        replaced: *const Signal,
        /// Number of those.
        replaced_count: usize,
    }
    /// Answers a criterion's questions about the network.
    Probe = "secateur_probe" {
        /// Handed to the functions.
        user: *mut c_void,
        /// Puts the GRADIENT of each parameter.
        gradients: unsafe extern "C" fn(*mut c_void, *const Question, Sink, Report) -> Status,
        /// Puts the Hessian times a vector, given by parameter, as GRADIENT of each parameter.
        hessian_vector: unsafe extern "C" fn(*mut c_void, *const Question, *const Signal, usize, Sink, Report) -> Status,
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
        /// Whether dropout and the like are on, and batch normalisation goes by the batch.
        training: u32,
        /// Whether a backward pass may follow.
        backward: u32,
        /// Kinks of activations, maxima and merges: 0 where they lie now, 1 the same, to be remembered, 2 where they
        /// were remembered last. A model that cannot do so reports an error.
        kinks: u32,
        /// Seeds dropout and the like.
        noise: u64,
        /// The run's compressor; null where it has none.
        compressor: *mut c_void,
        /// How to call it.
        compressor_table: *const CompressorTable,
        /// Takes the operations of the pass, where `needs` has the trace.
        trace: TraceSink,
    }
    /// What a model's forward pass cost.
    Cost = "secateur_cost" {
        /// Multiply-accumulate operations with every stored weight.
        macs: u64,
        /// Without the masked ones.
        macs_kept: u64,
    }
}
