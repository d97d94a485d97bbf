//! How a command ends when it does not succeed.

use clap::error::ErrorKind;

use crate::config::ConfigErrors;
use crate::interrupt;
use crate::run_dir::RunDirError;

/// An error for a person, and the exit code it stands for.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a config is wrong: exit code 2.
    Usage(String),
    /// Something went wrong on the way: exit code 1.
    Failed(String),
    /// Ctrl-C, or the system's request to end: exit code 130.
    Stopped(String),
}

impl Failure {
    /// Prints the message to standard error, coloured on a terminal only, and returns the exit code.
    pub fn report(&self) -> u8 {
        let (message, code) = match self {
            Self::Usage(message) => (message, 2),
            Self::Failed(message) => (message, 1),
            Self::Stopped(message) => {
                eprintln!("{message}");
                return interrupt::EXIT_CODE;
            }
        };
        // clap writes errors as its own: the same look for a wrong flag and a wrong key.
        _ = clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n")).print();
        code
    }

    /// The message.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::Stopped(message) => message,
        }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

impl From<RunDirError> for Failure {
    fn from(error: RunDirError) -> Self {
        Self::Failed(error.to_string())
    }
}
