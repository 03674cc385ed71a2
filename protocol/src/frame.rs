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

use std::borrow::Cow;
use std::fmt;

use crate::ApiKey;
use crate::api::ApiInfo;
#[cfg(feature = "dispatch")]
use crate::api::{AnyRequest, AnyResponse};
use crate::messages::{RequestHeader, ResponseHeader};
use crate::runtime::{
    DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, ForeignProtocol, Limits, Message,
    Request, unsupported_encode,
};
use crate::schema::{Kind, Schema, VersionRange};

/// The longest request in bytes that Kafka's brokers take unless told otherwise: the default of
/// `socket.request.max.bytes`, 100 MiB.
pub const DEFAULT_MAX_LEN: usize = 104_857_600;

/// Bytes of the length before a frame.
const PREFIX: usize = 4;

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
    write_frame(out, |out| {
        header.encode(header_version, out)?;
        body.encode(version, out)
    })
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
    write_frame(out, |out| {
        header.encode(header_version, out)?;
        body.encode(version, out)
    })
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

fn frame_len(len: usize) -> Result<i32, EncodeError> {
    i32::try_from(len).map_err(|_| EncodeError::new(EncodeErrorKind::FrameTooLong { len }))
}

/// A frame without its length, and the bytes that follow it.
pub type Split<'a> = (&'a [u8], &'a [u8]);

/// Takes the first frame off the bytes that have come so far: the frame without its length, and
/// what follows it. `None` means that more bytes are needed.
///
/// Four bytes within `max_len` are always taken for a length, so a limit far above
/// [`DEFAULT_MAX_LEN`] lets other protocols wait for bytes that never come.
///
/// # Errors
/// When the length is negative or over `max_len`; the error says so if the bytes are those of TLS
/// or HTTP (KIP-498). The connection has to be closed then, as no next frame can be found.
pub fn split_frame(buffer: &[u8], max_len: usize) -> Result<Option<Split<'_>>, DecodeError> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let len = i32::from_be_bytes(*prefix);
    match usize::try_from(len) {
        Ok(len) if len <= max_len => Ok(rest.split_at_checked(len)),
        _ => Err(frame_length(*prefix, max_len)),
    }
}

#[cold]
fn frame_length(prefix: [u8; PREFIX], limit: usize) -> DecodeError {
    let looks_like = match &prefix {
        // Alert, handshake and so on, of SSL 3.0 to TLS 1.3.
        [0x14..=0x17, 3, 0..=4, _] => Some(ForeignProtocol::Tls),
        b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"CONN" | b"OPTI" | b"TRAC" | b"PATC"
        | b"PRI " | b"HTTP" => Some(ForeignProtocol::Http),
        _ => None,
    };
    let len = i32::from_be_bytes(prefix);
    DecodeError::new(
        DecodeErrorKind::FrameLength {
            len,
            limit,
            looks_like,
        },
        0,
    )
}

/// What all request headers begin with, whatever their version: enough to answer with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    /// The API.
    pub api_key: ApiKey,
    /// The version of the request.
    pub version: i16,
    /// The number that the response has to bring back.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Reads the first eight bytes of a request; what follows does not matter.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn decode(bytes: &[u8]) -> Result<RequestPrefix, DecodeError> {
        let (header, _) = RequestHeader::decode_prefix(bytes, 0, &Limits::DEFAULT)?;
        Ok(RequestPrefix {
            api_key: ApiKey(header.request_api_key),
            version: header.request_api_version,
            correlation_id: header.correlation_id,
        })
    }
}

/// A request that could not be read, and whom to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    prefix: Option<RequestPrefix>,
    error: DecodeError,
}

impl RequestError {
    /// The API, version and correlation id; `None` if not even those could be read.
    pub fn prefix(&self) -> Option<RequestPrefix> {
        self.prefix
    }

    /// What is wrong. Its offset counts from the beginning of the header or of the body,
    /// whichever [`DecodeError::message`] names.
    pub fn error(&self) -> &DecodeError {
        &self.error
    }

    /// What kind of thing is wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        self.error.kind()
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prefix) = &self.prefix {
            let RequestPrefix {
                api_key,
                version,
                correlation_id,
            } = prefix;
            write!(
                f,
                "{api_key} v{version} (correlation id {correlation_id}): "
            )?;
        }
        self.error.fmt(f)
    }
}

impl std::error::Error for RequestError {}

impl From<RequestError> for DecodeError {
    fn from(error: RequestError) -> DecodeError {
        error.error
    }
}

/// A request whose header has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestParts<'a> {
    /// The header.
    pub header: RequestHeader<'a>,
    /// The version at which the header was read.
    pub header_version: i16,
    /// The bytes behind the header: the request itself.
    pub body: &'a [u8],
}

impl RequestParts<'_> {
    /// The API.
    pub fn api_key(&self) -> ApiKey {
        ApiKey(self.header.request_api_key)
    }

    /// The version of the request.
    pub fn version(&self) -> i16 {
        self.header.request_api_version
    }

    /// Whether the API has the version, so that the body can be read. If it has not, the version
    /// is above those known, and the header was read like that of the highest of them.
    pub fn is_supported(&self) -> bool {
        let info = self.api_key().info();
        info.is_some_and(|info| info.versions.contains(self.version()))
    }
}

/// Reads the header of a request that comes without its length.
///
/// A version above those known is no error here, because such a request may have to be answered
/// (an ApiVersions request always, KIP-511) or passed on: its header is read like that of the
/// highest version known, since new header versions only add tagged fields. Decoding the body is
/// what fails; [`RequestParts::is_supported`] tells beforehand.
///
/// # Errors
/// When the API is unknown, the version is below those known, or the header is malformed. The
/// error has the API, version and correlation id if there are eight bytes.
pub fn decode_request_header(bytes: &[u8]) -> Result<RequestParts<'_>, RequestError> {
    decode_request_header_with(bytes, &Limits::DEFAULT)
}

/// As [`decode_request_header`], with other limits: headers come before authentication.
///
/// # Errors
/// As [`decode_request_header`], and when the limits are passed.
pub fn decode_request_header_with<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<RequestParts<'a>, RequestError> {
    let prefix = RequestPrefix::decode(bytes).map_err(|error| RequestError {
        prefix: None,
        error,
    })?;
    let failed = |error| RequestError {
        prefix: Some(prefix),
        error,
    };
    let RequestPrefix {
        api_key, version, ..
    } = prefix;
    let info = decode_info(api_key).map_err(failed)?;
    let header_version = lenient(info, info.request_headers, version).map_err(failed)?;
    let (header, body) =
        RequestHeader::decode_prefix(bytes, header_version, limits).map_err(failed)?;
    Ok(RequestParts {
        header,
        header_version,
        body,
    })
}

/// A response whose header has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseParts<'a> {
    /// The header.
    pub header: ResponseHeader,
    /// The version at which the header was read.
    pub header_version: i16,
    /// The bytes behind the header: the response itself.
    pub body: &'a [u8],
}

/// Reads the header of a response that comes without its length, to a request of the API and
/// version.
///
/// A version above those known is taken for the highest known, as in [`decode_request_header`].
/// The header of an ApiVersions response has version 0 whatever was asked, because a broker that
/// lacks the version asked for answers at version 0 (KIP-511); see
/// [`decode_api_versions_response`](crate::negotiate::decode_api_versions_response) for its body.
///
/// # Errors
/// When the API is unknown, the version is below those known, or the header is malformed.
pub fn decode_response_header(
    api_key: ApiKey,
    version: i16,
    bytes: &[u8],
) -> Result<ResponseParts<'_>, DecodeError> {
    decode_response_header_with(api_key, version, bytes, &Limits::DEFAULT)
}

/// As [`decode_response_header`], with other limits.
///
/// # Errors
/// As [`decode_response_header`], and when the limits are passed.
pub fn decode_response_header_with<'a>(
    api_key: ApiKey,
    version: i16,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<ResponseParts<'a>, DecodeError> {
    let info = decode_info(api_key)?;
    let header_version = lenient(info, info.response_headers, version)?;
    let (header, body) = ResponseHeader::decode_prefix(bytes, header_version, limits)?;
    Ok(ResponseParts {
        header,
        header_version,
        body,
    })
}

fn decode_info(api_key: ApiKey) -> Result<&'static ApiInfo, DecodeError> {
    api_key
        .info()
        .ok_or_else(|| DecodeError::unknown_api(api_key))
}

/// The header's version for an API's version, or for the highest version if that is too high.
fn lenient(
    info: &'static ApiInfo,
    headers: &[(VersionRange, i16)],
    version: i16,
) -> Result<i16, DecodeError> {
    let VersionRange { lowest, highest } = info.versions;
    let known = version.min(highest);
    let found = headers.iter().find(|(range, _)| range.contains(known));
    found.map(|(_, header)| *header).ok_or_else(|| {
        let kind = DecodeErrorKind::UnsupportedVersion { lowest, highest };
        DecodeError::new(kind, 2).located(info.name, version, String::new())
    })
}

/// Reads a whole request that comes without its length.
///
/// # Errors
/// When the API is unknown or left out by the crate's features, the version is not supported,
/// the header or body is malformed or passes the limits, or bytes are left over. The error has
/// the API, version and correlation id if there are eight bytes.
#[cfg(feature = "dispatch")]
pub fn decode_request<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(RequestHeader<'a>, AnyRequest<'a>), RequestError> {
    let parts = decode_request_header_with(bytes, limits)?;
    let (api_key, version) = (parts.api_key(), parts.version());
    match AnyRequest::decode(api_key, version, parts.body, limits) {
        Ok(body) => Ok((parts.header, body)),
        Err(error) => Err(RequestError {
            prefix: Some(RequestPrefix {
                api_key,
                version,
                correlation_id: parts.header.correlation_id,
            }),
            error,
        }),
    }
}

/// A whole response.
#[cfg(feature = "dispatch")]
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseFrame<'a> {
    /// The header.
    pub header: ResponseHeader,
    /// The version at which the body was read. It is the one asked for, except that a broker
    /// which lacks it answers an ApiVersions request at version 0 (KIP-511).
    pub version: i16,
    /// The response itself.
    pub body: AnyResponse<'a>,
}

/// Reads a whole response that comes without its length, to a request of the API and version.
///
/// # Errors
/// When the API is unknown or left out by the crate's features, the version is not supported,
/// the header or body is malformed or passes the limits, or bytes are left over.
#[cfg(feature = "dispatch")]
pub fn decode_response<'a>(
    api_key: ApiKey,
    version: i16,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<ResponseFrame<'a>, DecodeError> {
    let ResponseParts { header, body, .. } =
        decode_response_header_with(api_key, version, bytes, limits)?;
    let (version, body) = if api_key == ApiKey::API_VERSIONS {
        let (version, body) =
            crate::negotiate::decode_api_versions_response(version, body, limits)?;
        (version, AnyResponse::ApiVersions(body))
    } else {
        (
            version,
            AnyResponse::decode(api_key, version, body, limits)?,
        )
    };
    Ok(ResponseFrame {
        header,
        version,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{ApiVersionsRequest, ApiVersionsResponse};

    fn prefixed(len: i32, bytes: &[u8]) -> Vec<u8> {
        let mut out = len.to_be_bytes().to_vec();
        out.extend_from_slice(bytes);
        out
    }

    fn refusal(prefix: &[u8]) -> (DecodeErrorKind, String) {
        let error = split_frame(prefix, DEFAULT_MAX_LEN).unwrap_err();
        (error.kind().clone(), error.to_string())
    }

    #[test]
    fn frames_are_split_when_complete() {
        let buffer = prefixed(3, &[1, 2, 3, 0, 0, 0, 0, 9]);
        for len in 0..7 {
            assert_eq!(split_frame(&buffer[..len], 10), Ok(None), "{len}");
        }
        let (frame, rest) = split_frame(&buffer, 10).unwrap().unwrap();
        assert_eq!((frame, rest.len()), ([1, 2, 3].as_slice(), 5));
        let (frame, rest) = split_frame(rest, 10).unwrap().unwrap();
        assert_eq!((frame, rest), ([].as_slice(), [9].as_slice()));
        assert_eq!(split_frame(rest, 10), Ok(None));
    }

    #[test]
    fn lengths_have_a_limit() {
        assert!(split_frame(&prefixed(10, &[0; 10]), 10).unwrap().is_some());
        assert!(split_frame(&prefixed(11, &[]), 10).is_err());
        assert_eq!(split_frame(&prefixed(i32::MAX, &[]), usize::MAX), Ok(None));
        assert_eq!(
            refusal(&prefixed(-1, &[])),
            (
                DecodeErrorKind::FrameLength {
                    len: -1,
                    limit: DEFAULT_MAX_LEN,
                    looks_like: None
                },
                "a frame of -1 bytes (at byte 0)".to_owned()
            )
        );
        assert_eq!(
            refusal(&prefixed(104_857_601, &[])).1,
            "a frame of 104857601 bytes, more than the limit of 104857600 (at byte 0)"
        );
    }

    #[test]
    fn other_protocols_are_named() {
        let tls = [
            [0x16, 3, 1, 2],
            [0x15, 3, 3, 0],
            [0x16, 3, 0, 0],
            [0x17, 3, 3, 4],
        ];
        for prefix in tls {
            let (kind, text) = refusal(&prefix);
            assert!(
                matches!(
                    kind,
                    DecodeErrorKind::FrameLength {
                        looks_like: Some(ForeignProtocol::Tls),
                        ..
                    }
                ),
                "{text}"
            );
            assert!(
                text.contains("one end of the connection uses TLS"),
                "{text}"
            );
        }
        assert!(
            refusal(&[0x15, 3, 3, 0])
                .1
                .starts_with("a frame of 352518912 bytes")
        );
        for prefix in [b"GET ", b"POST", b"PRI ", b"HTTP"] {
            let (kind, text) = refusal(prefix);
            assert!(
                matches!(
                    kind,
                    DecodeErrorKind::FrameLength {
                        looks_like: Some(ForeignProtocol::Http),
                        ..
                    }
                ),
                "{text}"
            );
            assert!(text.contains("HTTP"), "{text}");
        }
        for prefix in [[0x16, 4, 1, 0], [0x18, 3, 3, 0], [0x80, 0x2e, 1, 3]] {
            let (kind, text) = refusal(&prefix);
            let DecodeErrorKind::FrameLength { looks_like, .. } = kind else {
                panic!("{text}");
            };
            assert_eq!(looks_like, None);
        }
    }

    #[test]
    fn requests_come_back() {
        let head = RequestHead {
            version: 3,
            correlation_id: -2,
            client_id: Some("me"),
        };
        let mut out = vec![0xff];
        encode_request(&head, &ApiVersionsRequest::default(), &mut out).unwrap();
        // The client id has an int16 length in spite of the compact strings behind it.
        let expected = [
            0xff, 0, 0, 0, 16, 0, 18, 0, 3, 0xff, 0xff, 0xff, 0xfe, 0, 2, b'm', b'e', 0, 1, 1, 0,
        ];
        assert_eq!(out, expected);
        let parts = decode_request_header(&out[5..]).unwrap();
        assert_eq!(parts.header_version, 2);
        assert_eq!(parts.header.client_id.as_deref(), Some("me"));
        assert_eq!(parts.body, [1, 1, 0]);
        assert!(parts.is_supported());

        let mut again = vec![0xff];
        write_frame(&mut again, |out| {
            encode_request_header(&parts.header, out)?;
            out.extend_from_slice(parts.body);
            Ok(())
        })
        .unwrap();
        assert_eq!(again, expected);
    }

    #[test]
    fn errors_leave_the_buffer_alone() {
        let mut out = vec![1, 2, 3];
        let head = RequestHead {
            version: 99,
            ..RequestHead::default()
        };
        let error = encode_request(&head, &ApiVersionsRequest::default(), &mut out).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ApiVersionsRequest v99: no such version: there are 0 to 5"
        );
        let long = "x".repeat(40_000);
        let head = RequestHead {
            version: 3,
            client_id: Some(&long),
            ..RequestHead::default()
        };
        let error = encode_request(&head, &ApiVersionsRequest::default(), &mut out).unwrap_err();
        assert_eq!(error.message(), "RequestHeader");
        let head = RequestHead {
            version: 3,
            ..RequestHead::default()
        };
        let body = ApiVersionsRequest {
            client_software_name: long.into(),
            ..Default::default()
        };
        let error = encode_request(&head, &body, &mut out).unwrap_err();
        assert_eq!(error.path(), "clientSoftwareName");
        let error = encode_response(9, 0, &ApiVersionsResponse::default(), &mut out).unwrap_err();
        assert_eq!(error.message(), "ApiVersionsResponse");
        let error = encode_response(3, 0, &body, &mut out).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ApiVersionsRequest v3: the message is not a response"
        );
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn frames_have_int32_lengths() {
        assert_eq!(frame_len(0x7fff_ffff), Ok(i32::MAX));
        let error = frame_len(0x8000_0000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a frame of 2147483648 bytes, more than 2147483647"
        );
    }

    #[test]
    fn headers_of_unknown_apis_cannot_be_written() {
        let header = RequestHeader {
            request_api_key: 999,
            ..Default::default()
        };
        let error = encode_request_header(&header, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "unknown API key 999");
        let header = ResponseHeader::default();
        let key = ApiKey::API_VERSIONS;
        let error = encode_response_header(key, 6, &header, &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ApiVersions v6: no such version: there are 0 to 5"
        );
    }

    #[test]
    fn requests_of_unknown_apis_can_be_answered() {
        let bytes = [3, 0xe7, 0, 4, 0, 0, 0, 7, 1, 2, 3];
        let error = decode_request_header(&bytes).unwrap_err();
        let prefix = RequestPrefix {
            api_key: ApiKey(999),
            version: 4,
            correlation_id: 7,
        };
        assert_eq!(error.prefix(), Some(prefix));
        assert_eq!(error.kind(), &DecodeErrorKind::UnknownApi { api_key: 999 });
        assert_eq!(
            error.to_string(),
            "API 999 v4 (correlation id 7): unknown API key 999 (at byte 0)"
        );
        let error = decode_request_header(&bytes[..7]).unwrap_err();
        assert_eq!(error.prefix(), None);
        assert_eq!(
            error.to_string(),
            "RequestHeader v0: correlationId: the bytes end: 4 wanted, 3 left (at byte 4)"
        );
    }

    #[test]
    fn versions_out_of_range() {
        // ApiVersions of a version to come, with a tag in its header that nobody knows yet.
        let bytes = [0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 1, 5, 1, 42, 77];
        let parts = decode_request_header(&bytes).unwrap();
        assert!(!parts.is_supported());
        assert_eq!((parts.version(), parts.header_version), (99, 2));
        assert_eq!(parts.header.correlation_id, 7);
        assert_eq!(parts.header.client_id.as_deref(), Some("x"));
        assert_eq!(parts.header.unknown_tags.as_slice().len(), 1);
        assert_eq!(parts.body, [77]);
        // If even that header is malformed there is its beginning.
        let error = decode_request_header(&bytes[..9]).unwrap_err();
        assert_eq!(error.prefix().unwrap().correlation_id, 7);
        let error = decode_request_header(&[0, 18, 0xff, 0xff, 0, 0, 0, 7]).unwrap_err();
        assert_eq!(error.prefix().unwrap().version, -1);
        assert_eq!(
            error.to_string(),
            "ApiVersions v-1 (correlation id 7): ApiVersions v-1: no such version: there are 0 to 5 (at byte 2)"
        );
    }

    #[test]
    fn tagged_fields_of_headers_have_a_limit() {
        let bytes = [0, 18, 0, 3, 0, 0, 0, 7, 0xff, 0xff, 2, 5, 0, 6, 0];
        assert!(decode_request_header(&bytes).is_ok());
        let limits = Limits {
            max_tagged_fields: 1,
            ..Limits::DEFAULT
        };
        let error = decode_request_header_with(&bytes, &limits).unwrap_err();
        assert!(matches!(
            error.kind(),
            DecodeErrorKind::TagsOverLimit { .. }
        ));
    }

    #[test]
    fn api_versions_responses_have_header_0() {
        for version in [0, 3, 5, 99] {
            let bytes = [0, 0, 0, 7, 0, 35];
            let parts = decode_response_header(ApiKey::API_VERSIONS, version, &bytes).unwrap();
            assert_eq!((parts.header_version, parts.body), (0, [0, 35].as_slice()));
        }
        for version in 0..=5 {
            let mut out = Vec::new();
            encode_response(version, 7, &ApiVersionsResponse::default(), &mut out).unwrap();
            let body = ApiVersionsResponse::default()
                .encode_to_vec(version)
                .unwrap();
            assert_eq!(out[4..8], [0, 0, 0, 7]);
            assert_eq!(out[8..], body);
        }
        let error = decode_response_header(ApiKey(999), 0, &[0; 8]).unwrap_err();
        assert_eq!(error.kind(), &DecodeErrorKind::UnknownApi { api_key: 999 });
        assert!(decode_response_header(ApiKey::API_VERSIONS, -1, &[0; 8]).is_err());
    }

    #[cfg(feature = "brokers")]
    #[test]
    fn controlled_shutdown_0_has_header_0() {
        use crate::messages::ControlledShutdownRequest;

        let body = ControlledShutdownRequest {
            broker_id: 3,
            ..Default::default()
        };
        let mut head = RequestHead {
            version: 0,
            correlation_id: 7,
            client_id: Some("dropped"),
        };
        let mut out = Vec::new();
        encode_request(&head, &body, &mut out).unwrap();
        assert_eq!(out, [0, 0, 0, 12, 0, 7, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3]);
        let parts = decode_request_header(&out[4..]).unwrap();
        assert_eq!(
            (parts.header_version, parts.body),
            (0, [0, 0, 0, 3].as_slice())
        );

        (head.version, head.client_id) = (1, Some("b"));
        out.clear();
        encode_request(&head, &body, &mut out).unwrap();
        assert_eq!(
            out,
            [0, 0, 0, 15, 0, 7, 0, 1, 0, 0, 0, 7, 0, 1, b'b', 0, 0, 0, 3]
        );
    }
}
