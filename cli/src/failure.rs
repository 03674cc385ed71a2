//! How a command ends when it does not end well.

use std::fmt::Display;
use std::io;

/// Why a command stopped, and with which exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that does not exist: exit code 2.
    Usage(String),
    /// The input is not what it should be, or could not be read: exit code 1.
    Failed(String),
    /// The reader of the output is gone. It wants no more, so this is no error.
    BrokenPipe,
}

impl Failure {
    /// A failure of the input.
    pub(crate) fn failed(message: impl Display) -> Failure {
        Failure::Failed(message.to_string())
    }

    /// A mistake on the command line.
    pub(crate) fn usage(message: impl Display) -> Failure {
        Failure::Usage(message.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::failed(error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    /// Of writing JSON, which fails only where the output does.
    fn from(error: serde_json::Error) -> Failure {
        match error.io_error_kind() {
            Some(io::ErrorKind::BrokenPipe) => Failure::BrokenPipe,
            _ => Failure::failed(error),
        }
    }
}
