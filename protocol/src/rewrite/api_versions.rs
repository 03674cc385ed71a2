//! The APIs and versions that a broker says it has.

use std::ops::Range;
use std::sync::OnceLock;

use super::put_uvarint;
use crate::messages::ApiVersionsResponse;
use crate::negotiate::SupportedVersions;
use crate::runtime::{DecodeError, DecodeErrorKind, Message};
use crate::schema::VersionRange;
use crate::skip::{Cursor, Plans, What, behind_tags};
use crate::{ApiKey, ErrorCode};

/// The plans of the response, to its end: it is small, and a proxy answers for it.
#[inline]
fn plans() -> &'static Plans {
    static PLANS: OnceLock<Plans> = OnceLock::new();
    PLANS.get_or_init(|| Plans::new(ApiVersionsResponse::SCHEMA, &["apiKeys"], true))
}

/// Bytes of a row of the list, without tagged fields: key, lowest and highest version.
const ROW: usize = 6;

/// Appends the body of an ApiVersions response to `out`, without the APIs and versions that are
/// not supported by the proxy too, and gives the version at which it is: see [`api_versions`].
///
/// # Errors
/// As [`api_versions`].
#[inline]
pub fn clamp_api_versions(
    asked: i16,
    body: &[u8],
    ours: &SupportedVersions,
    out: &mut Vec<u8>,
) -> Result<i16, DecodeError> {
    let mut next = 0;
    api_versions(asked, body, out, |api_key, theirs| {
        let common = ours.get_next(&mut next, api_key)?.intersect(theirs);
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
#[inline]
pub fn api_versions(
    asked: i16,
    body: &[u8],
    out: &mut Vec<u8>,
    change: impl FnMut(ApiKey, VersionRange) -> Option<VersionRange>,
) -> Result<i16, DecodeError> {
    let unsupported = body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
    let (version, list) = if unsupported && asked != 0 {
        // Brokers that lack a version answer at version 0, those that refuse otherwise do not.
        match find(0, body) {
            Ok(list) => (0, list),
            Err(error) => (asked, find(asked, body).map_err(|_| error)?),
        }
    } else {
        match find(asked, body) {
            Ok(list) => (asked, list),
            // As decode_api_versions_response has it: some answer so without saying why.
            Err(error) if asked != 0 && plans().get(asked).is_ok() => {
                (0, find(0, body).map_err(|_| error)?)
            }
            Err(error) => return Err(error),
        }
    };
    write(&list, body, out, change);
    Ok(version)
}

/// Where the list of APIs is in a body.
struct List {
    flexible: bool,
    /// How many it has.
    len: usize,
    len_at: Range<usize>,
    rows_at: Range<usize>,
}

/// Finds the list, if the bytes are the response and nothing else.
#[inline]
fn find(version: i16, body: &[u8]) -> Result<List, DecodeError> {
    let mut cursor = Cursor::new(plans().get(version)?);
    let mut list = List {
        flexible: cursor.plan.flexible,
        len: 0,
        len_at: 0..0,
        rows_at: 0..0,
    };
    loop {
        let found = match cursor.next(body) {
            Ok(What::End) => break,
            Ok(What::Count) => {
                list.len = cursor.count();
                list.len_at = cursor.found().start..cursor.found().end;
                list.rows_at.start = list.len_at.end;
                continue;
            }
            Ok(_) => cursor.found(),
            Err(_) => return Err(cursor.error(body)),
        };
        list.rows_at.end = found.end;
    }
    match body.len() - cursor.at() {
        0 => Ok(list),
        left => Err(cursor.error_of(body, DecodeErrorKind::TrailingBytes { left })),
    }
}

/// Writes a response in which the list has been found.
#[inline]
fn write(
    list: &List,
    body: &[u8],
    out: &mut Vec<u8>,
    mut change: impl FnMut(ApiKey, VersionRange) -> Option<VersionRange>,
) {
    let part = |range: Range<usize>| body.get(range).unwrap_or_default();
    out.reserve(body.len());
    out.extend_from_slice(part(0..list.len_at.start));
    let len_at = out.len();
    out.extend_from_slice(part(list.len_at.clone()));
    let rows_at = out.len();
    let all = part(list.rows_at.clone());
    let (mut rows, mut listed) = (all, 0);
    // Neighbouring rows that stay as they are, are copied together: from here on.
    let mut kept = 0;
    while let Some((row, rest)) = rows.split_first_chunk::<ROW>() {
        let at = all.len() - rows.len();
        rows = if list.flexible {
            behind_tags(rest)
        } else {
            rest
        };
        let [a, b, c, d, e, f] = *row;
        let theirs = VersionRange::new(i16::from_be_bytes([c, d]), i16::from_be_bytes([e, f]));
        let range = change(ApiKey(i16::from_be_bytes([a, b])), theirs);
        listed += usize::from(range.is_some());
        if range == Some(theirs) {
            continue;
        }
        out.extend_from_slice(all.get(kept..at).unwrap_or_default());
        kept = all.len() - rows.len();
        if let Some(range) = range {
            let ([c, d], [e, f]) = (range.lowest.to_be_bytes(), range.highest.to_be_bytes());
            out.extend_from_slice(&[a, b, c, d, e, f]);
            out.extend_from_slice(all.get(at + ROW..kept).unwrap_or_default());
        }
    }
    out.extend_from_slice(all.get(kept..).unwrap_or_default());
    if listed != list.len {
        set_len(listed, list.flexible, out, len_at..rows_at);
    }
    out.extend_from_slice(part(list.rows_at.end..body.len()));
}

/// Sets the length of the list, which may take fewer bytes than before.
#[inline]
fn set_len(len: usize, flexible: bool, out: &mut Vec<u8>, at: Range<usize>) {
    let mut bytes = Vec::with_capacity(5);
    if flexible {
        put_uvarint(&mut bytes, len + 1);
    } else {
        bytes.extend_from_slice(&(len as i32).to_be_bytes());
    }
    match out.get_mut(at.clone()) {
        Some(old) if old.len() == bytes.len() => old.copy_from_slice(&bytes),
        _ => drop(out.splice(at, bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is changed has to be what the schema says, also when it gets a new version.
    #[test]
    fn rows_are_as_wide_as_the_schema_says() {
        assert!(plans().all_rows_are(ROW));
    }
}
