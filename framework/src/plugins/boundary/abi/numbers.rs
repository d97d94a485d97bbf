//! Numbers with a meaning.

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
    /// The output of a layer, after batch normalisation and activation.
    OUTPUT = 3;
    /// The gradient of a layer's output.
    OUTPUT_GRADIENT = 4;
    /// What enters a layer's activation.
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
    /// A layer's product with its input, plus its bias, before batch normalisation.
    PRODUCT = 15;
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
    /// Kind of plugin: data set. A host refuses it: data sets are linked into the program.
    DATA = 5;
}
