//! What is wrong with a schema, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// A schema that cannot be used. Prints as `file:line: field: what is wrong: what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaError {
    /// The schema file, as it was given.
    pub file: PathBuf,
    /// The line in the file, counted from 1.
    pub line: usize,
    /// The message, or the path of the field inside it, such as `VoteRequest.Topics.Partitions`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}: {}",
            self.file.display(),
            self.line,
            self.field,
            self.problem,
            self.remedy
        )
    }
}

impl std::error::Error for SchemaError {}

/// Why code could not be generated.
///
/// `{:?}` prints the same text as `{}`: that is what a build script shows whose `main` returns this.
#[non_exhaustive]
pub enum Error {
    /// A schema is wrong.
    Schema(SchemaError),
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The generator was asked for something that is not there.
    Request(String),
    /// The file of descriptions is wrong.
    Docs(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Schema(error) => error.fmt(f),
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Error::Request(what) | Error::Docs(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            // A schema's error prints itself in full; a chain would print it twice.
            Error::Schema(_) | Error::Request(_) | Error::Docs(_) => None,
        }
    }
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Error {
        Error::Schema(error)
    }
}
