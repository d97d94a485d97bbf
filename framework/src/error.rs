//! One error type for the whole framework. Every message says what was found, what is allowed, and the fix.

use std::path::PathBuf;

/// Result of everything that can fail in the framework.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. [`Error::is_usage`] tells a mistake in the input from a failure while running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option or config key with a value that is not allowed.
    #[error("{0}")]
    Option(#[from] OptionError),
    /// Several option errors, reported together.
    #[error("{}", join(.0))]
    Options(Vec<OptionError>),
    /// Two parts of the configuration that do not fit each other.
    #[error("{0}")]
    Config(String),
    /// A plugin failed; the message is the plugin's own.
    #[error("{kind} `{name}`: {message}")]
    Plugin {
        /// `criterion`, `schedule`, `compressor`, `model` or `data`.
        kind: &'static str,
        /// The name it is registered under.
        name: String,
        /// What it said.
        message: String,
    },
    /// Tensors whose shapes do not fit an operation.
    #[error("{op}: {message}")]
    Shape {
        /// The operation or layer.
        op: String,
        /// Expected and found shapes.
        message: String,
    },
    /// A property that holds in every correct run was violated.
    #[error("invariant violated at step {step}, {layer}: {message}; this run is not trustworthy and was stopped")]
    Invariant {
        /// Optimizer step, from 0.
        step: u64,
        /// Parameter or group.
        layer: String,
        /// What should hold, and what was found.
        message: String,
    },
    /// A loss or gradient became NaN or infinite.
    #[error("{what} is {value} at step {step}; lower train.lr, clip gradients (train.clip_norm), or check the data")]
    NotFinite {
        /// Which quantity.
        what: String,
        /// Its value.
        value: f64,
        /// Optimizer step, from 0.
        step: u64,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The files of a data set are in none of the folders where they are looked for; the text lists these, and how to
    /// get the files.
    #[error("{0}")]
    Missing(String),
    /// The run was asked to stop.
    #[error("stopped at step {step} on request")]
    Stopped {
        /// The next step that would have run.
        step: u64,
    },
    /// A checkpoint from which this run cannot go on.
    #[error("the checkpoint {0}")]
    Checkpoint(String),
    /// A device that cannot be used at all.
    #[error("{device}: {message}")]
    NoDevice {
        /// As configs name it: `cuda:0`.
        device: String,
        /// What is missing, and the fix.
        message: String,
    },
    /// A device's memory does not suffice.
    #[error(
        "{device} is out of memory: {} more were asked for, {} of {} are free; lower train.batch_size or the model's size, or \
         end what else runs on this GPU (nvidia-smi lists it)",
        mib(*.asked), mib(*.free), mib(*.total)
    )]
    OutOfMemory {
        /// As configs name it: `cuda:0`.
        device: String,
        /// Bytes.
        asked: u64,
        /// Bytes.
        free: u64,
        /// Bytes.
        total: u64,
    },
    /// A device failed while it was at work.
    #[error("{device} failed in {what}: {message}")]
    Device {
        /// As configs name it: `cuda:0`.
        device: String,
        /// The operation.
        what: String,
        /// The driver's name for what went wrong.
        message: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// One option or config key with a value that is not allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{key}` = {found}: {allowed}")]
pub struct OptionError {
    /// Dotted key, relative to the plugin or section that owns it.
    pub key: String,
    /// The value found, as it was written; empty for a missing or unknown key.
    pub found: String,
    /// What is allowed, and the fix.
    pub allowed: String,
}

impl OptionError {
    /// `key` holds `found`, which is not `allowed`.
    pub fn new(key: impl Into<String>, found: impl ToString, allowed: impl Into<String>) -> Self {
        Self { key: key.into(), found: found.to_string(), allowed: allowed.into() }
    }

    /// The same key within the table at `path`.
    pub fn under(self, path: &str) -> Self {
        Self { key: format!("{path}.{}", self.key), ..self }
    }
}

impl Error {
    /// Whether the input was at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Option(_) | Self::Options(_) | Self::Config(_) | Self::NoDevice { .. })
    }

    /// A [`Error::Shape`] for `op`.
    pub fn shape(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Shape { op: op.into(), message: message.into() }
    }

    /// An [`Error::File`]: what is wrong with the file at `path`, and the fix.
    pub fn file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into() }
    }

    /// Wraps an I/O error with the file it happened on; for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Puts a path in front of the keys of options that were refused: `threshold` under `criterion.of` is
    /// `criterion.of.threshold`. Any other error stays as it is.
    pub fn under(self, path: &str) -> Self {
        match self {
            Self::Option(error) => Self::Option(error.under(path)),
            Self::Options(errors) => Self::Options(errors.into_iter().map(|error| error.under(path)).collect()),
            other => other,
        }
    }

    /// Fails with all of these options that were refused, where there are any.
    pub fn if_any(errors: Vec<OptionError>) -> Result<()> {
        if errors.is_empty() { Ok(()) } else { Err(Self::Options(errors)) }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn join(errors: &[OptionError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
