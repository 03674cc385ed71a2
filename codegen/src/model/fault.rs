//! Problems of a parsed schema, put where they are in its file.

use crate::error::SchemaError;
use crate::parse::MessageSchema;

/// What is wrong, and what to do about it.
pub(super) type Problem = (String, String);

/// A problem.
pub(super) fn wrong(what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    (what.into(), remedy.into())
}

/// A problem as the error of a check.
pub(super) fn problem<T>(what: impl Into<String>, remedy: impl Into<String>) -> Result<T, Problem> {
    Err(wrong(what, remedy))
}

/// A problem of the message as a whole.
pub(super) fn at_message(schema: &MessageSchema, problem: Problem) -> SchemaError {
    at(schema, schema.line, &schema.name, problem)
}

/// A problem of a struct or field.
pub(super) fn at(
    schema: &MessageSchema,
    line: usize,
    path: &str,
    (problem, remedy): Problem,
) -> SchemaError {
    SchemaError {
        file: schema.file.clone(),
        line,
        field: path.to_owned(),
        problem,
        remedy,
    }
}
