//! How a command ends when it does not succeed.

use std::sync::atomic::{AtomicI32, Ordering};

use clap::error::ErrorKind;

use crate::printable::printable;

/// The signal that asked this process to end: the first one that came, 0 until then.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// The signal of Ctrl-C.
const INTERRUPT: i32 = 2;

/// Notes the signal that asks this process to end; only the first one counts.
pub fn asked_by(signal: i32) {
    _ = SIGNAL.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
}

/// The signal that asked this process to end, where one did.
pub fn asked_to_end() -> Option<i32> {
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// The exit code that shells report for a program that this signal ended.
pub fn code_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// An error for a person, and the exit code it stands for.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a config is wrong: exit code 2.
    Usage(String),
    /// Something went wrong on the way: exit code 1.
    Failed(String),
    /// The same, and it would go wrong again in the same run: a loss that is not finite.
    Certain(String),
    /// A checkpoint that no run like this one can go on from: damaged, or of another run. Exit code 1.
    Checkpoint(String),
    /// Ctrl-C, or another request to end: the exit code of its signal, see [`code_of`].
    Stopped(String),
}

impl Failure {
    /// Prints the message to standard error, coloured on a terminal only, and returns the exit code.
    pub fn report(&self) -> u8 {
        let code = match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Certain(_) | Self::Checkpoint(_) => 1,
            Self::Stopped(message) => {
                eprintln!("{}", printable(message));
                return match SIGNAL.load(Ordering::Relaxed) {
                    0 => code_of(INTERRUPT),
                    signal => code_of(signal),
                };
            }
        };
        // clap writes errors as its own: the same look for a wrong flag and a wrong key.
        _ = clap::Error::raw(ErrorKind::InvalidValue, format!("{}\n", printable(self.message()))).print();
        code
    }

    /// The message.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message)
            | Self::Failed(message)
            | Self::Certain(message)
            | Self::Checkpoint(message)
            | Self::Stopped(message) => message,
        }
    }

    /// The same failure with a message of its own.
    pub fn saying(self, say: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Usage(message) => Self::Usage(say(message)),
            Self::Failed(message) => Self::Failed(say(message)),
            Self::Certain(message) => Self::Certain(say(message)),
            Self::Checkpoint(message) => Self::Checkpoint(say(message)),
            Self::Stopped(message) => Self::Stopped(say(message)),
        }
    }
}

impl From<secateur::Error> for Failure {
    fn from(error: secateur::Error) -> Self {
        Self::from(&error)
    }
}

/// Runs of a sweep share a data set, and with it the error that it cannot be read.
impl From<&secateur::Error> for Failure {
    fn from(error: &secateur::Error) -> Self {
        match error {
            secateur::Error::Stopped { .. } => Self::Stopped(error.to_string()),
            secateur::Error::Checkpoint(_) => Self::Checkpoint(error.to_string()),
            _ if error.is_usage() => Self::Usage(error.to_string()),
            secateur::Error::NotFinite { .. } | secateur::Error::Shape { .. } | secateur::Error::Invariant { .. } => {
                Self::Certain(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
