//! Schema files to [`MessageSchema`], lenient where real files need it, strict about unknown keys.

mod schema;
mod source;

pub use schema::{CommonStruct, FieldSchema, MessageSchema, parse_message};
