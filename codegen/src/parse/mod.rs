//! Schema files to [`MessageSchema`], lenient where real files need it, strict about unknown keys.

mod files;
mod schema;
mod source;

pub use files::{parse_dir, schema_files};
pub use schema::{CommonStruct, FieldSchema, MessageSchema, parse_message};
pub(crate) use schema::{MAX_DEPTH, TOO_DEEP};
