//! Which header goes before which version of a request or response.

use super::Kind;
use super::fault::{Problem, problem};
use crate::parse::MessageSchema;
use crate::versions::Versions;

/// The API whose response header is always version 0, so that any client can read it (KIP-511).
const API_VERSIONS: i16 = 18;
/// The API whose first request version has a header without a client id.
const CONTROLLED_SHUTDOWN: i16 = 7;

/// Header versions: as the schema maps them (KIP-1313), or as Kafka derives them.
pub(super) fn headers(
    schema: &MessageSchema,
    kind: Kind,
    flexible: Versions,
) -> Result<Vec<(Versions, i16)>, Problem> {
    let base = match kind {
        Kind::Request => 1,
        Kind::Response => 0,
        _ if schema.header_versions.is_some() => {
            return problem(
                "`headerVersions` on a message that is no request or response",
                "remove it",
            );
        }
        _ => return Ok(Vec::new()),
    };
    let Some(map) = &schema.header_versions else {
        return Ok(derived(schema, kind, flexible, base));
    };
    let headers = parsed(schema, map)?;
    check_ranges(&headers, schema.valid_versions)?;
    check_header_versions(schema, kind, flexible, base, &headers)?;
    let used = headers
        .into_iter()
        .map(|(range, version)| (range.intersect(schema.valid_versions), version));
    Ok(used.filter(|(range, _)| !range.is_empty()).collect())
}

fn derived(
    schema: &MessageSchema,
    kind: Kind,
    flexible: Versions,
    base: i16,
) -> Vec<(Versions, i16)> {
    let valid = schema.valid_versions;
    let always_first = kind == Kind::Response && schema.api_key == Some(API_VERSIONS);
    let (plain, flexible) = if always_first || flexible.is_empty() {
        (valid, Versions::NONE)
    } else {
        valid.split_at(flexible.lowest())
    };
    let without_client = kind == Kind::Request && schema.api_key == Some(CONTROLLED_SHUTDOWN);
    let (first, plain) = plain.split_at(i16::from(without_client));
    [(first, 0), (plain, base), (flexible, base + 1)]
        .into_iter()
        .filter(|(range, _)| !range.is_empty())
        .collect()
}

/// The schema's map, in the order of its versions.
fn parsed(
    schema: &MessageSchema,
    map: &[(String, String)],
) -> Result<Vec<(Versions, i16)>, Problem> {
    if schema.valid_versions.is_empty() {
        return problem(
            "`headerVersions` on a message without versions",
            "remove it",
        );
    }
    if map.is_empty() {
        return problem("`headerVersions` is empty", "fill it, or remove it");
    }
    let mut headers = Vec::new();
    for (range, version) in map {
        let (Ok(range), Ok(version @ 0..)) = (range.parse::<Versions>(), version.parse::<i16>())
        else {
            return problem(
                format!("`headerVersions` maps \"{range}\" to \"{version}\""),
                "write ranges and numbers, such as {\"0-1\": \"1\", \"2+\": \"2\"}",
            );
        };
        headers.push((range, version));
    }
    headers.sort_by_key(|(range, _)| range.lowest());
    Ok(headers)
}

/// The ranges cover all versions from 0 on, each once, and no more than there are.
fn check_ranges(headers: &[(Versions, i16)], valid: Versions) -> Result<(), Problem> {
    let mut next = Some(0);
    for (range, _) in headers {
        if range.is_empty() || Some(range.lowest()) != next {
            let place = match next {
                Some(next) => format!("at version {next}"),
                None => format!("in {range}, behind an open-ended range"),
            };
            return problem(
                format!("`headerVersions` has a gap or an overlap {place}"),
                "cover every version from 0 on, once",
            );
        }
        if range.lowest() > valid.highest() {
            return problem(
                format!("`headerVersions` has {range}, above `validVersions` {valid}"),
                "remove the range, or add the version",
            );
        }
        next = (!range.is_open_ended()).then(|| range.highest() + 1);
    }
    match next {
        None => Ok(()),
        Some(_) => problem(
            "`headerVersions` is not open-ended",
            "end the last range with a plus sign",
        ),
    }
}

/// Header versions never go down, and flexible versions have flexible headers.
fn check_header_versions(
    schema: &MessageSchema,
    kind: Kind,
    flexible: Versions,
    base: i16,
    headers: &[(Versions, i16)],
) -> Result<(), Problem> {
    let mut last = 0;
    for (range, version) in headers {
        if *version < last {
            return problem(
                format!("header version {version} follows header version {last}"),
                "header versions never go down",
            );
        }
        last = *version;
        let flexible = range.intersect(flexible).intersect(schema.valid_versions);
        if kind == Kind::Response && schema.api_key == Some(API_VERSIONS) {
            if *version != 0 {
                return problem(
                    "the ApiVersions response has another header than version 0",
                    "map every version to \"0\": clients read it before they know the version (KIP-511)",
                );
            }
        } else if !flexible.is_empty() && *version <= base {
            return problem(
                format!(
                    "flexible versions in {range} have header version {version}, which is not flexible"
                ),
                format!("map flexible versions to \"{}\" or higher", base + 1),
            );
        }
    }
    Ok(())
}
