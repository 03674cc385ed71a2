//! Frames to headers, requests and responses.

use std::borrow::Cow;
use std::fmt;

use crate::ApiKey;
use crate::api::ApiInfo;
#[cfg(feature = "dispatch")]
use crate::api::{AnyRequest, AnyResponse};
use crate::messages::{RequestHeader, ResponseHeader};
use crate::runtime::{DecodeError, DecodeErrorKind, Limits, Message, Reader};
use crate::schema::VersionRange;

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

/// What the header of a request says, but for tagged fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestPeek<'a> {
    /// The API.
    pub api_key: ApiKey,
    /// The version of the request.
    pub version: i16,
    /// The number that the response has to bring back.
    pub correlation_id: i32,
    /// The client's name; `None` where it is null, and where the header's version has none: there
    /// decoding gives the schema's default, an empty one.
    pub client_id: Option<&'a str>,
    /// The version at which the header was read.
    pub header_version: i16,
    /// The bytes behind the header: the request itself.
    pub body: &'a [u8],
}

/// Reads the header of a request as [`decode_request_header`] does, but allocates nothing and
/// keeps no tagged fields.
///
/// # Errors
/// As [`decode_request_header`].
pub fn peek_request(bytes: &[u8]) -> Result<RequestPeek<'_>, RequestError> {
    peek_known(bytes).map_err(|error| match decode_request_header(bytes) {
        // It knows the field, and whom to answer.
        Err(error) => error,
        Ok(parts) => RequestError {
            prefix: Some(RequestPrefix {
                api_key: parts.api_key(),
                version: parts.version(),
                correlation_id: parts.header.correlation_id,
            }),
            error,
        },
    })
}

fn peek_known(bytes: &[u8]) -> Result<RequestPeek<'_>, DecodeError> {
    let mut reader = Reader::new(bytes, false, &Limits::DEFAULT);
    let mut run = reader.run::<8>()?;
    let (api_key, version, correlation_id) = (ApiKey(run.i16()), run.i16(), run.i32());
    let info = decode_info(api_key)?;
    let header_version = lenient(info, info.request_headers, version)?;
    let client_id = match header_version {
        0 => None,
        _ => reader.nullable_string(true)?,
    };
    if header_version >= 2 {
        for _ in 0..reader.tag_count()? {
            let (_, size) = reader.tag()?;
            reader.skip_tag(size)?;
        }
    }
    Ok(RequestPeek {
        api_key,
        version,
        correlation_id,
        // What a reader gives out of a frame is borrowed.
        client_id: client_id.and_then(|id| match id {
            Cow::Borrowed(id) => Some(id),
            Cow::Owned(_) => None,
        }),
        header_version,
        body: reader.rest(),
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
#[inline]
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
#[inline]
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
