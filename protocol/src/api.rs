//! API keys, and what every API's versions and headers are.

use std::fmt;

#[cfg(feature = "dispatch")]
use crate::runtime::{DecodeError, Limits, Message, Read, read_message};
use crate::schema::VersionRange;

pub use crate::messages::apis::APIS;
#[cfg(feature = "dispatch")]
pub use crate::messages::apis::{AnyRequest, AnyResponse};

/// Reads a message as the variant of an enum of all that is its.
#[cfg(feature = "dispatch")]
macro_rules! decode_as {
    ($variant:path, $bytes:expr, $version:expr, $limits:expr) => {
        $crate::api::decode_into($bytes, $version, $limits, $variant, |any| match any {
            $variant(message) => Some(message),
            _ => None,
        })
    };
}

#[cfg(feature = "dispatch")]
pub(crate) use decode_as;

/// Makes the enum of a default message, and reads the message in it, where it is returned: moving
/// it costs small messages a sixth of their time.
///
/// Each message has a function of its own. In one function for all, the frame of the stack is as
/// large as all of them need, and setting it up costs small messages a fifth of their time.
#[cfg(feature = "dispatch")]
#[inline(never)]
pub(crate) fn decode_into<'a, M: Message + Read<'a>, T>(
    bytes: &'a [u8],
    version: i16,
    limits: &Limits,
    variant: impl FnOnce(M) -> T,
    message: impl FnOnce(&mut T) -> Option<&mut M>,
) -> Result<T, DecodeError> {
    let mut result = Ok(variant(M::default()));
    if let Ok(any) = &mut result
        && let Some(message) = message(any)
        && let Err(error) = read_message(message, bytes, version, limits)
    {
        result = Err(error);
    }
    result
}

/// The key of an API. Keys of releases to come are representable; the constants are those known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

impl ApiKey {
    /// The API's row in the table; `None` for a key that no schema has.
    #[inline]
    pub fn info(self) -> Option<&'static ApiInfo> {
        let row = APIS.binary_search_by_key(&self, |info| info.key).ok()?;
        APIS.get(row)
    }

    /// The API's name, such as `Fetch`; `None` for a key that no schema has.
    #[inline]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|info| info.name)
    }

    /// The key of the API with this name, whatever its case.
    #[inline]
    pub fn from_name(name: &str) -> Option<ApiKey> {
        let info = APIS
            .iter()
            .find(|info| info.name.eq_ignore_ascii_case(name))?;
        Some(info.key)
    }
}

impl fmt::Display for ApiKey {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "API {}", self.0),
        }
    }
}

impl fmt::Debug for ApiKey {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "ApiKey({})", self.0),
        }
    }
}

/// One API: its key, names, versions and headers.
#[derive(Debug)]
#[non_exhaustive]
pub struct ApiInfo {
    /// The key.
    pub key: ApiKey,
    /// The name, such as `Fetch`.
    pub name: &'static str,
    /// The versions that can be read and written.
    pub versions: VersionRange,
    /// The versions with compact encodings and tagged fields.
    pub flexible: VersionRange,
    /// The versions that Kafka 4 no longer speaks (KIP-896 and others).
    pub deprecated: VersionRange,
    /// Whether brokers hide the highest version unless unstable versions are enabled.
    pub latest_version_unstable: bool,
    /// The listeners that serve the API: `broker`, `controller`, or `zkBroker` before 4.0.
    pub listeners: &'static [&'static str],
    /// The version of the request header, by ranges of versions.
    pub request_headers: &'static [(VersionRange, i16)],
    /// The version of the response header, by ranges of versions.
    pub response_headers: &'static [(VersionRange, i16)],
}

impl ApiInfo {
    /// The version of the header before a request; `None` if the API lacks the version.
    #[inline]
    pub fn request_header_version(&self, version: i16) -> Option<i16> {
        header_version(self.request_headers, version)
    }

    /// The version of the header before a response; `None` if the API lacks the version.
    #[inline]
    pub fn response_header_version(&self, version: i16) -> Option<i16> {
        header_version(self.response_headers, version)
    }
}

#[inline]
fn header_version(headers: &[(VersionRange, i16)], version: i16) -> Option<i16> {
    let (_, header) = headers.iter().find(|(range, _)| range.contains(version))?;
    Some(*header)
}
