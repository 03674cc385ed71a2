//! Whole frames: a header and the message behind it.

use std::fmt;

use kwire_protocol::api::ApiInfo;
use kwire_protocol::codec::{Codec, CodecError};
use kwire_protocol::json::{self, FromJsonError, Mode, ToJsonError};
use kwire_protocol::messages::{RequestHeader, ResponseHeader};
use kwire_protocol::schema::Kind;
use kwire_protocol::{ApiKey, DecodeError, Limits, Message};
use serde_json::Value;

use crate::messages;

/// A frame taken apart.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) info: &'static ApiInfo,
    pub(crate) codec: &'static Codec,
    pub(crate) version: i16,
    pub(crate) header_version: i16,
    pub(crate) header: Value,
    pub(crate) body: Value,
}

/// Why bytes are not a frame.
#[derive(Debug)]
pub(crate) struct FrameError(String);

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! from {
    ($($error:ty),*) => {$(
        impl From<$error> for FrameError {
            fn from(error: $error) -> FrameError {
                FrameError(error.to_string())
            }
        }
    )*};
}

from!(DecodeError, CodecError, ToJsonError, FromJsonError);

/// Which message of which API, with which header.
pub(crate) struct Shape {
    pub(crate) info: &'static ApiInfo,
    pub(crate) codec: &'static Codec,
    pub(crate) version: i16,
    pub(crate) header_version: i16,
}

impl Shape {
    /// The shape of an API's requests or responses.
    pub(crate) fn new(
        info: &'static ApiInfo,
        kind: Kind,
        version: i16,
    ) -> Result<Shape, FrameError> {
        let codec = messages::of_api(info, kind)
            .ok_or_else(|| FrameError(format!("{} has no {kind:?}", info.name)))?;
        let header_version = match kind {
            Kind::Request => info.request_header_version(version),
            _ => info.response_header_version(version),
        };
        let header_version = header_version
            .ok_or_else(|| FrameError(messages::no_version(codec.schema, version)))?;
        Ok(Shape {
            info,
            codec,
            version,
            header_version,
        })
    }

    /// The shape that the first bytes of a request tell.
    fn of_request(bytes: &[u8]) -> Result<Shape, FrameError> {
        let [key_high, key_low, version_high, version_low, ..] = *bytes else {
            let message = format!("a request of {} bytes has no room for its API", bytes.len());
            return Err(FrameError(message));
        };
        let key = i16::from_be_bytes([key_high, key_low]);
        let version = i16::from_be_bytes([version_high, version_low]);
        let info = ApiKey(key)
            .info()
            .ok_or_else(|| FrameError(format!("there is no API with key {key}")))?;
        Shape::new(info, Kind::Request, version)
    }

    fn read(self, bytes: &[u8]) -> Result<Frame, FrameError> {
        let (header, body) = if self.codec.schema.kind == Kind::Request {
            let (header, body) =
                RequestHeader::decode_prefix(bytes, self.header_version, &Limits::DEFAULT)?;
            (json::to_json(&header, self.header_version)?, body)
        } else {
            let (header, body) =
                ResponseHeader::decode_prefix(bytes, self.header_version, &Limits::DEFAULT)?;
            (json::to_json(&header, self.header_version)?, body)
        };
        let (body, _) = self.codec.to_json(body, self.version, &Limits::DEFAULT)?;
        Ok(Frame {
            info: self.info,
            codec: self.codec,
            version: self.version,
            header_version: self.header_version,
            header,
            body,
        })
    }

    /// The bytes of a header and a message.
    pub(crate) fn write(&self, header: &Value, body: &Value) -> Result<Vec<u8>, FrameError> {
        let mut bytes = Vec::new();
        let encoded = if self.codec.schema.kind == Kind::Request {
            json::from_json::<RequestHeader<'static>>(header, self.header_version, Mode::Defaults)?
                .encode(self.header_version, &mut bytes)
        } else {
            json::from_json::<ResponseHeader>(header, self.header_version, Mode::Defaults)?
                .encode(self.header_version, &mut bytes)
        };
        encoded.map_err(|error| FrameError(error.to_string()))?;
        bytes.extend((self.codec.encode_json)(
            body,
            self.version,
            Mode::Defaults,
        )?);
        Ok(bytes)
    }
}

/// A request; its header says what it is.
pub(crate) fn request(bytes: &[u8]) -> Result<Frame, FrameError> {
    Shape::of_request(bytes)?.read(bytes)
}

/// A response, which says nothing of what it is.
pub(crate) fn response(
    bytes: &[u8],
    info: &'static ApiInfo,
    version: i16,
) -> Result<Frame, FrameError> {
    Shape::new(info, Kind::Response, version)?.read(bytes)
}

/// The frame behind a length prefix, if the first four bytes are one.
pub(crate) fn behind_length(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    (length == rest.len()).then_some(rest)
}
