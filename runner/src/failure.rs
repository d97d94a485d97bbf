//! How a command ends when it does not succeed.

use clap::error::ErrorKind;

/// The exit code that shells report for a program that Ctrl-C ended.
pub const STOPPED: u8 = 130;

/// An error for a person, and the exit code it stands for.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a config is wrong: exit code 2.
    Usage(String),
    /// Something went wrong on the way: exit code 1.
    Failed(String),
    /// The same, and it would go wrong again in the same run: a loss that is not finite.
    Certain(String),
    /// Ctrl-C, or the system's request to end: exit code [`STOPPED`].
    Stopped(String),
}

impl Failure {
    /// Prints the message to standard error, coloured on a terminal only, and returns the exit code.
    pub fn report(&self) -> u8 {
        let (message, code) = match self {
            Self::Usage(message) => (message, 2),
            Self::Failed(message) | Self::Certain(message) => (message, 1),
            Self::Stopped(message) => {
                eprintln!("{message}");
                return STOPPED;
            }
        };
        // clap writes errors as its own: the same look for a wrong flag and a wrong key.
        _ = clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n")).print();
        code
    }

    /// The message.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::Certain(message) | Self::Stopped(message) => message,
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
            _ if error.is_usage() => Self::Usage(error.to_string()),
            secateur::Error::NotFinite { .. } | secateur::Error::Shape { .. } | secateur::Error::Invariant { .. } => {
                Self::Certain(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
