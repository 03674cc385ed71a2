//! Whole requests and responses, as they follow each other on a connection: an int32 length, a
//! header, and the message.
//!
//! Which version of the header goes with which version of a message is looked up here, with its
//! exceptions: ApiVersions responses and requests of ControlledShutdown version 0 always have
//! headers of version 0.
//!
//! ```
//! use kwire_protocol::frame::{self, RequestHead};
//! use kwire_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
//! use kwire_protocol::{ApiKey, Message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = ApiVersionsRequest {
//!     client_software_name: "example".into(),
//!     client_software_version: "1.0".into(),
//!     ..Default::default()
//! };
//! let head = RequestHead { version: 3, correlation_id: 7, client_id: Some("me") };
//! let mut sent = Vec::new();
//! frame::encode_request(&head, &request, &mut sent)?;
//!
//! // At the other end, as soon as there are enough bytes:
//! let (bytes, rest) = frame::split_frame(&sent, frame::DEFAULT_MAX_LEN)?.ok_or("more is to come")?;
//! let parts = frame::decode_request_header(bytes)?;
//! assert!(rest.is_empty());
//! assert_eq!(parts.api_key(), ApiKey::API_VERSIONS);
//! assert_eq!(parts.header.client_id.as_deref(), Some("me"));
//! assert_eq!(ApiVersionsRequest::decode(parts.body, parts.version())?, request);
//!
//! let mut answer = Vec::new();
//! let response = ApiVersionsResponse::default();
//! frame::encode_response(parts.version(), parts.header.correlation_id, &response, &mut answer)?;
//! # Ok(())
//! # }
//! ```

mod decode;
mod encode;
mod split;
#[cfg(test)]
mod tests;

pub use decode::{
    RequestError, RequestParts, RequestPeek, RequestPrefix, ResponseParts, decode_request_header,
    decode_request_header_with, decode_response_header, decode_response_header_with, peek_request,
};
#[cfg(feature = "dispatch")]
pub use decode::{ResponseFrame, decode_request, decode_response};
pub use encode::{
    RequestHead, encode_request, encode_request_header, encode_request_segments, encode_response,
    encode_response_header, encode_response_segments, write_frame,
};
pub use split::{Split, split_frame};

/// The longest request in bytes that Kafka's brokers take unless told otherwise: the default of
/// `socket.request.max.bytes`, 100 MiB.
pub const DEFAULT_MAX_LEN: usize = 104_857_600;

/// Bytes of the length before a frame.
const PREFIX: usize = 4;
