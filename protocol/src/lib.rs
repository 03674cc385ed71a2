//! Every Kafka message, every version, byte for byte.

pub mod api;
#[cfg(feature = "json")]
pub mod codec;
pub mod errors;
pub mod features;
pub mod frame;
#[cfg(feature = "json")]
pub mod json;
#[rustfmt::skip]
pub mod messages;
pub mod negotiate;
#[cfg(feature = "records")]
pub mod records;
pub mod runtime;
pub mod schema;

mod walk;

pub use api::ApiKey;
pub use errors::ErrorCode;
pub use runtime::{
    Array, Blob, DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, ForeignProtocol,
    IntoOwned, Limits, Message, Request, Str, UnknownTag, UnknownTags, Uuid,
};
