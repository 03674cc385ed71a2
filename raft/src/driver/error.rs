//! Why a driver stopped.

use std::fmt;

use super::{LogStore, StateStore};
use crate::node::StartError;

/// Why a driver stopped. Nothing that depends on what failed has left it.
#[derive(Debug)]
#[non_exhaustive]
pub enum DriverError<L, S> {
    /// The log could not be read or written.
    Log(L),
    /// The election state could not be read or written.
    State(S),
    /// The node cannot start with what is on disk.
    Start(StartError),
    /// The driver failed before: it has to be made anew.
    Stopped,
}

impl<L: fmt::Display, S: fmt::Display> fmt::Display for DriverError<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriverError::Log(error) => write!(f, "log: {error}"),
            DriverError::State(error) => write!(f, "election state: {error}"),
            DriverError::Start(error) => write!(f, "{error}"),
            DriverError::Stopped => write!(f, "the node stopped after an earlier error"),
        }
    }
}

impl<L, S> std::error::Error for DriverError<L, S>
where
    L: std::error::Error + 'static,
    S: std::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DriverError::Log(error) => Some(error),
            DriverError::State(error) => Some(error),
            DriverError::Start(error) => Some(error),
            DriverError::Stopped => None,
        }
    }
}

/// A driver's error, given its stores.
pub type ErrorOf<L, S> = DriverError<<L as LogStore>::Error, <S as StateStore>::Error>;
