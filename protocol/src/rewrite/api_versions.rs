//! The APIs and versions that a broker says it has.

use super::put_uvarint;
use crate::messages::ApiVersionsResponse;
use crate::negotiate::SupportedVersions;
use crate::runtime::{DecodeError, DecodeErrorKind, Message};
use crate::schema::VersionRange;
use crate::skip::{Cursor, Found, Plans, What};
use crate::{ApiKey, ErrorCode};

/// The plans of the response, to its end: it is small, and a proxy answers for it.
const PLANS: &Plans = &Plans::new(
    ApiVersionsResponse::SCHEMA,
    &[
        "apiKeys",
        "apiKeys[].apiKey",
        "apiKeys[].minVersion",
        "apiKeys[].maxVersion",
    ],
    true,
);

// The places of the paths.
const API_KEY: u8 = 1;
const MIN_VERSION: u8 = 2;

/// Appends the body of an ApiVersions response to `out`, without the APIs and versions that are
/// not supported by the proxy too, and gives the version at which it is: see [`api_versions`].
///
/// # Errors
/// As [`api_versions`].
pub fn clamp_api_versions(
    asked: i16,
    body: &[u8],
    ours: &SupportedVersions,
    out: &mut Vec<u8>,
) -> Result<i16, DecodeError> {
    api_versions(asked, body, out, |api_key, theirs| {
        let common = ours.get(api_key)?.intersect(theirs);
        (!common.is_empty()).then_some(common)
    })
}

/// Appends the body of the response to an ApiVersions request of version `asked` to `out`, with
/// other ranges of versions, and gives the version at which it is: 0 if the broker lacks `asked`
/// (KIP-511), as in
/// [`decode_api_versions_response`](crate::negotiate::decode_api_versions_response). `out` is left
/// as it was if that fails.
///
/// `change` is given each API with its versions in turn and gives the versions that are to be
/// listed, or `None` to leave the API out.
///
/// # Errors
/// When the body is malformed. Names of features are not checked to be UTF-8.
pub fn api_versions(
    asked: i16,
    body: &[u8],
    out: &mut Vec<u8>,
    mut change: impl FnMut(ApiKey, VersionRange) -> Option<VersionRange>,
) -> Result<i16, DecodeError> {
    let unsupported = body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
    let version = if unsupported && asked != 0 {
        // Brokers that lack a version answer at version 0, those that refuse otherwise do not.
        match check(0, body) {
            Ok(()) => 0,
            Err(error) => check(asked, body).map(|()| asked).map_err(|_| error)?,
        }
    } else {
        check(asked, body)?;
        asked
    };
    write(version, body, out, &mut change)?;
    Ok(version)
}

/// Whether the bytes are the response and nothing else.
fn check(version: i16, body: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(PLANS, version)?;
    loop {
        match cursor.next(body) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return Err(cursor.error(body)),
        }
    }
    match body.len() - cursor.at() {
        0 => Ok(()),
        left => Err(cursor.error_of(body, DecodeErrorKind::TrailingBytes { left })),
    }
}

/// Writes a response that has been checked.
fn write(
    version: i16,
    body: &[u8],
    out: &mut Vec<u8>,
    change: &mut impl FnMut(ApiKey, VersionRange) -> Option<VersionRange>,
) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(PLANS, version)?;
    let flexible = cursor.plan.flexible;
    let mut list = List {
        body,
        out,
        change,
        row: Row::default(),
        listed: 0,
    };
    let (mut len, mut len_at) = (0, 0..0);
    let mut rows_at = 0;
    while let Ok(Some(found)) = cursor.next(body) {
        match found.what {
            What::Count(_, count) => {
                (len, len_at) = (count, found.start..found.end);
                list.copy(0, found.start);
                rows_at = list.out.len();
            }
            What::Value(API_KEY) => {
                list.put(found.start);
                list.row.api_key = Some(ApiKey(int16(body, &found)));
            }
            What::Value(MIN_VERSION) => list.row.range.lowest = int16(body, &found),
            What::Value(_) => {
                list.row.range.highest = int16(body, &found);
                list.row.rest = found.end;
            }
            What::ArrayEnd(_) => {
                list.put(found.end);
                list.copy(found.end, body.len());
            }
            _ => {}
        }
    }
    let listed = list.listed;
    let bytes = if listed == len {
        body.get(len_at).unwrap_or_default().to_vec()
    } else {
        len_bytes(listed, flexible)
    };
    out.splice(rows_at..rows_at, bytes);
    Ok(())
}

/// The list in the making.
struct List<'b, 'o, F> {
    body: &'b [u8],
    out: &'o mut Vec<u8>,
    change: F,
    /// The row that has been read up to its tagged fields.
    row: Row,
    listed: usize,
}

/// A row of the list, an API.
struct Row {
    api_key: Option<ApiKey>,
    range: VersionRange,
    /// Where its tagged fields begin.
    rest: usize,
}

impl Default for Row {
    fn default() -> Row {
        Row {
            api_key: None,
            range: VersionRange::NONE,
            rest: 0,
        }
    }
}

impl<F: FnMut(ApiKey, VersionRange) -> Option<VersionRange>> List<'_, '_, F> {
    fn copy(&mut self, from: usize, to: usize) {
        let bytes = self.body.get(from..to).unwrap_or_default();
        self.out.extend_from_slice(bytes);
    }

    /// Puts the row that ends here, unless it goes.
    fn put(&mut self, end: usize) {
        let row = std::mem::take(&mut self.row);
        let Some(api_key) = row.api_key else { return };
        let Some(range) = (self.change)(api_key, row.range) else {
            return;
        };
        for number in [api_key.0, range.lowest, range.highest] {
            self.out.extend_from_slice(&number.to_be_bytes());
        }
        self.copy(row.rest, end);
        self.listed += 1;
    }
}

fn int16(body: &[u8], found: &Found) -> i16 {
    let bytes = body
        .get(found.start..)
        .and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| i16::from_be_bytes(*bytes))
}

/// The length of an array.
fn len_bytes(len: usize, flexible: bool) -> Vec<u8> {
    if !flexible {
        return (len as i32).to_be_bytes().to_vec();
    }
    let mut bytes = Vec::with_capacity(5);
    put_uvarint(&mut bytes, len + 1);
    bytes
}
