//! Reads Kafka message schemas and writes versioned Rust structs.

pub mod emit;
pub mod model;
pub mod parse;

mod error;
mod versions;

pub use error::{Error, SchemaError};
pub use versions::{ParseVersionsError, Versions};
