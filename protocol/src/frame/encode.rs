//! Requests and responses to frames.

use std::borrow::Cow;

use super::PREFIX;
use crate::ApiKey;
use crate::api::ApiInfo;
use crate::messages::{RequestHeader, ResponseHeader};
use crate::runtime::{EncodeError, EncodeErrorKind, Message, Request, unsupported_encode};
use crate::schema::{Kind, Schema, VersionRange};
use crate::segments::Segments;

/// What a caller says about a request; the rest of its header follows from its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The version of the request.
    pub version: i16,
    /// A number that comes back in the response.
    pub correlation_id: i32,
    /// The client's name for logs, metrics and quotas.
    pub client_id: Option<&'a str>,
}

/// Appends a request: length, header and body. `out` is left as it was if that fails.
///
/// # Errors
/// When the version does not exist or cannot carry the value, or the frame gets too long.
pub fn encode_request<R: Request>(
    head: &RequestHead<'_>,
    body: &R,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_frame(out, |out| {
        encode_head::<R>(head, out)?;
        body.encode(head.version, out)
    })
}

/// Appends the header of a request.
fn encode_head<R: Request>(head: &RequestHead<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let version = head.version;
    let info = R::API_KEY.info();
    let header_version = info
        .and_then(|info| info.request_header_version(version))
        .or_else(|| header_of_schema(R::SCHEMA, version, [1, 2]))
        .ok_or_else(|| unsupported_encode(R::SCHEMA, version))?;
    let header = RequestHeader {
        request_api_key: R::API_KEY.0,
        request_api_version: version,
        correlation_id: head.correlation_id,
        client_id: head.client_id.map(Cow::Borrowed),
        ..RequestHeader::default()
    };
    header.encode(header_version, out)
}

/// Appends a response: length, header and body. `out` is left as it was if that fails.
///
/// # Errors
/// When the message is not a response, the version does not exist or cannot carry the value, or
/// the frame gets too long.
pub fn encode_response<M: Message>(
    version: i16,
    correlation_id: i32,
    body: &M,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_frame(out, |out| {
        encode_answer_head::<M>(version, correlation_id, out)?;
        body.encode(version, out)
    })
}

/// Appends the header of a response.
fn encode_answer_head<M: Message>(
    version: i16,
    correlation_id: i32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let schema = M::SCHEMA;
    let api_key = match (schema.kind, schema.api_key) {
        (Kind::Response, Some(key)) => ApiKey(key),
        _ => {
            let error = EncodeError::new(EncodeErrorKind::NotAResponse);
            return Err(error.located(schema.name, version, String::new()));
        }
    };
    let header_version = api_key
        .info()
        .and_then(|info| info.response_header_version(version))
        .or_else(|| header_of_schema(schema, version, [0, 1]))
        .ok_or_else(|| unsupported_encode(schema, version))?;
    let header = ResponseHeader {
        correlation_id,
        ..ResponseHeader::default()
    };
    header.encode(header_version, out)
}

/// A request as [`encode_request`] writes it, but for the bytes and records of `threshold` bytes
/// or more, which are not copied: see [`segments`](crate::segments).
///
/// # Errors
/// As [`encode_request`].
pub fn encode_request_segments<'m, R: Request>(
    head: &RequestHead<'_>,
    body: &'m R,
    threshold: usize,
) -> Result<Segments<'m>, EncodeError> {
    let mut buffer = vec![0; PREFIX];
    encode_head::<R>(head, &mut buffer)?;
    with_length(body.encode_segments_with(head.version, threshold, buffer)?)
}

/// A response as [`encode_response`] writes it, but for the bytes and records of `threshold`
/// bytes or more, which are not copied: see [`segments`](crate::segments).
///
/// # Errors
/// As [`encode_response`].
pub fn encode_response_segments<M: Message>(
    version: i16,
    correlation_id: i32,
    body: &M,
    threshold: usize,
) -> Result<Segments<'_>, EncodeError> {
    let mut buffer = vec![0; PREFIX];
    encode_answer_head::<M>(version, correlation_id, &mut buffer)?;
    with_length(body.encode_segments_with(version, threshold, buffer)?)
}

/// Sets the length of a frame.
fn with_length(mut frame: Segments<'_>) -> Result<Segments<'_>, EncodeError> {
    let len = frame_len(frame.len().saturating_sub(PREFIX))?;
    if let Some(prefix) = frame.buffer_mut().get_mut(..PREFIX) {
        prefix.copy_from_slice(&len.to_be_bytes());
    }
    Ok(frame)
}

/// The header of a message that is not in the table, such as one generated elsewhere.
fn header_of_schema(schema: &Schema, version: i16, [fixed, flexible]: [i16; 2]) -> Option<i16> {
    if !schema.versions.contains(version) {
        return None;
    }
    let is_flexible = schema.flexible.contains(version);
    Some(if is_flexible { flexible } else { fixed })
}

/// Appends a request's header, at the version that goes with the API and version that it names.
/// Unlike [`encode_request`] this writes a header's unknown tagged fields; put it into a frame
/// with [`write_frame`].
///
/// # Errors
/// When the API or its version does not exist, or the header cannot be written.
pub fn encode_request_header(
    header: &RequestHeader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let version = header.request_api_version;
    let info = encode_info(ApiKey(header.request_api_key))?;
    let header_version = info
        .request_header_version(version)
        .ok_or_else(|| unsupported_by_api(info, version))?;
    header.encode(header_version, out)
}

/// Appends a response's header, at the version that goes with an API and version. Unlike
/// [`encode_response`] this writes a header's unknown tagged fields; put it into a frame with
/// [`write_frame`].
///
/// # Errors
/// When the API or its version does not exist, or the header cannot be written.
pub fn encode_response_header(
    api_key: ApiKey,
    version: i16,
    header: &ResponseHeader,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let info = encode_info(api_key)?;
    let header_version = info
        .response_header_version(version)
        .ok_or_else(|| unsupported_by_api(info, version))?;
    header.encode(header_version, out)
}

fn encode_info(api_key: ApiKey) -> Result<&'static ApiInfo, EncodeError> {
    let kind = EncodeErrorKind::UnknownApi { api_key: api_key.0 };
    api_key.info().ok_or_else(|| EncodeError::new(kind))
}

fn unsupported_by_api(info: &'static ApiInfo, version: i16) -> EncodeError {
    let VersionRange { lowest, highest } = info.versions;
    EncodeError::new(EncodeErrorKind::UnsupportedVersion { lowest, highest }).located(
        info.name,
        version,
        String::new(),
    )
}

/// Appends what `write` appends, behind its length. `out` is left as it was if that fails.
///
/// # Errors
/// Those of `write`, and when it appends more than `i32::MAX` bytes.
pub fn write_frame(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    let written = write(out);
    let end = out.len();
    match written.and_then(|()| frame_len(end.saturating_sub(start + PREFIX))) {
        Ok(len) => {
            if let Some(prefix) = out.get_mut(start..start + PREFIX) {
                prefix.copy_from_slice(&len.to_be_bytes());
            }
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

pub(super) fn frame_len(len: usize) -> Result<i32, EncodeError> {
    i32::try_from(len).map_err(|_| EncodeError::new(EncodeErrorKind::FrameTooLong { len }))
}
