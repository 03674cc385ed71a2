//! What generated code is written against: readers, sinks, leaf types, traits and the field table.
//!
//! Code from `kwire-codegen` names these paths, here and in other crates. Everything is concrete
//! and inlined where it is used, so that a message costs compile time only where it is called.

mod array;
mod blob;
mod error;
mod leaves;
mod limits;
mod message;
mod reader;
mod run;
mod sink;
mod tags;
mod uuid;

pub use array::{Array, ArrayIter, Fixed};
pub use blob::Blob;
pub use error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, ForeignProtocol};
pub use leaves::{Borrowing, Leaves, Sharing};
pub use limits::Limits;
#[cfg(feature = "dispatch")]
pub(crate) use message::read_message;
pub use message::{IntoOwned, Message, Read, Request, Str, Write};
pub(crate) use message::{unsupported_decode, unsupported_encode};
pub(crate) use reader::MAX_STRING_LEN;
pub use reader::Reader;
pub use run::{ReadRun, WriteRun};
pub(crate) use sink::segments;
pub use sink::{Counter, Sink, TagMark, Writer};
pub use tags::{UnknownTag, UnknownTags};
pub use uuid::{ParseUuidError, Uuid};

pub use crate::ApiKey;
#[cfg(feature = "json")]
pub use crate::json::{Reflect, Slot, SlotOf};
pub use crate::schema::{
    DefaultValue, FieldSchema, FieldType, Kind, Schema, StructSchema, Structs, VersionRange, docs,
};
