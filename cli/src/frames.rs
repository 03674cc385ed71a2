//! Whole frames as JSON: a header and the message behind it.

use std::fmt;

use kwire_protocol::api::ApiInfo;
use kwire_protocol::codec::{Codec, CodecError};
use kwire_protocol::frame::{self, RequestError};
use kwire_protocol::json::{self, FromJsonError, Mode, ToJsonError};
use kwire_protocol::messages::{RequestHeader, ResponseHeader};
use kwire_protocol::negotiate::decode_api_versions_response;
use kwire_protocol::schema::Kind;
use kwire_protocol::{ApiKey, DecodeError, EncodeError};
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

impl FrameError {
    /// What is no frame turned out to be one behind four bytes that are not its length.
    pub(crate) fn behind_wrong_length(self, bytes: &[u8]) -> FrameError {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return self;
        };
        let (length, left) = (i32::from_be_bytes(*length), rest.len());
        FrameError(format!(
            "{self}; if the first four bytes are a length, they say {length}, and {left} bytes follow"
        ))
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

from!(
    DecodeError,
    EncodeError,
    RequestError,
    CodecError,
    ToJsonError,
    FromJsonError
);

/// A request; its header says what it is.
pub(crate) fn request(bytes: &[u8]) -> Result<Frame, FrameError> {
    let parts = frame::decode_request_header(bytes)?;
    let (info, codec) = message_of(parts.api_key(), Kind::Request)?;
    let version = parts.version();
    let (body, _) = codec.to_json(parts.body, version, &messages::LIMITS)?;
    Ok(Frame {
        info,
        codec,
        version,
        header_version: parts.header_version,
        header: json::to_json(&parts.header, parts.header_version)?,
        body,
    })
}

/// A response, which does not say what it is.
pub(crate) fn response(bytes: &[u8], api: ApiKey, version: i16) -> Result<Frame, FrameError> {
    let parts = frame::decode_response_header(api, version, bytes)?;
    let (info, codec) = message_of(api, Kind::Response)?;
    // Who does not know the version of this very request answers at version 0.
    let version = match api {
        ApiKey::API_VERSIONS => {
            decode_api_versions_response(version, parts.body, &messages::LIMITS)?.0
        }
        _ => version,
    };
    let (body, _) = codec.to_json(parts.body, version, &messages::LIMITS)?;
    Ok(Frame {
        info,
        codec,
        version,
        header_version: parts.header_version,
        header: json::to_json(&parts.header, parts.header_version)?,
        body,
    })
}

fn message_of(api: ApiKey, kind: Kind) -> Result<(&'static ApiInfo, &'static Codec), FrameError> {
    let info = api.info();
    let codec = info.and_then(|info| messages::of_api(info, kind));
    info.zip(codec)
        .ok_or_else(|| FrameError(format!("there is no API with key {}", api.0)))
}

/// The version of the header before a message, which the version of the message determines.
pub(crate) fn header_version(
    info: &'static ApiInfo,
    kind: Kind,
    version: i16,
) -> Result<i16, FrameError> {
    let (_, codec) = message_of(info.key, kind)?;
    let header_version = match kind {
        Kind::Request => info.request_header_version(version),
        _ => info.response_header_version(version),
    };
    header_version.ok_or_else(|| FrameError(messages::no_version(codec.schema, version)))
}

/// The bytes of a frame: a request whose header names its API and version, or a response.
pub(crate) fn encode(
    info: &'static ApiInfo,
    kind: Kind,
    version: i16,
    header: &Value,
    body: &Value,
) -> Result<Vec<u8>, FrameError> {
    let (_, codec) = message_of(info.key, kind)?;
    let header_version = header_version(info, kind, version)?;
    let mut bytes = Vec::new();
    if kind == Kind::Request {
        let header: RequestHeader<'static> =
            json::from_json(header, header_version, Mode::Defaults)?;
        frame::encode_request_header(&header, &mut bytes)?;
    } else {
        let header: ResponseHeader = json::from_json(header, header_version, Mode::Defaults)?;
        frame::encode_response_header(info.key, version, &header, &mut bytes)?;
    }
    bytes.extend((codec.encode_json)(body, version, Mode::Defaults)?);
    Ok(bytes)
}

/// The frame with its length before it.
pub(crate) fn with_length(frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(frame.len() + 4);
    frame::write_frame(&mut bytes, |bytes| {
        bytes.extend_from_slice(frame);
        Ok(())
    })?;
    Ok(bytes)
}

/// The frame behind a length prefix, if the first four bytes are one.
pub(crate) fn behind_length(bytes: &[u8]) -> Option<&[u8]> {
    match frame::split_frame(bytes, bytes.len()) {
        Ok(Some((frame, []))) => Some(frame),
        _ => None,
    }
}
