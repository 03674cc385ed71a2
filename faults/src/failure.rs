//! Why a run ended before its last round.

use std::fmt;
use std::io;
use std::path::Path;

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The quorum did what it must not do: each thing that was seen.
    Broken(Vec<String>),
    /// Something that the harness itself needs went wrong.
    Harness(String),
    /// Somebody asked for it.
    Interrupted,
}

impl Failure {
    /// One thing that the quorum must not do.
    pub(crate) fn broken(what: impl Into<String>) -> Failure {
        Failure::Broken(vec![what.into()])
    }

    /// What the system said of a file.
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Failure {
        move |error| Failure::Harness(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Broken(all) => {
                // A log that went wrong early goes on being wrong.
                const MOST: usize = 20;
                writeln!(f, "{} things went wrong:", all.len())?;
                for what in all.iter().take(MOST) {
                    writeln!(f, "  {what}")?;
                }
                Ok(())
            }
            Failure::Harness(what) => writeln!(f, "{what}"),
            Failure::Interrupted => writeln!(f, "interrupted"),
        }
    }
}
