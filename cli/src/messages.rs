//! Messages and APIs by the names that users give them.

use std::str::FromStr;

use kwire_protocol::ApiKey;
use kwire_protocol::Limits;
use kwire_protocol::api::{APIS, ApiInfo};
use kwire_protocol::codec::{self, Codec};
use kwire_protocol::schema::{Kind, Schema};

use crate::failure::Failure;

/// Every message, by name.
pub(crate) static CODECS: &[Codec] = kwire_protocol::for_each_message!(kwire_protocol::codec_table);

/// What a message and its JSON may cost. JSON takes many times as much memory as the message, and
/// who asks for it on their own machine shall get that of large ones too.
pub(crate) const LIMITS: Limits = Limits {
    max_allocated_bytes: 2 << 30,
    ..Limits::DEFAULT
};

/// A version on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The newest that is stable.
    Latest,
    /// A certain one.
    Number(i16),
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Version, String> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Version::Latest);
        }
        let number = text.strip_prefix(['v', 'V']).unwrap_or(text);
        number.parse().map(Version::Number).map_err(|_| {
            format!("'{text}' is no version: a number is wanted, such as 3, or 'latest'")
        })
    }
}

/// The message with this name, whatever its case, and the version of it that is meant.
pub(crate) fn message(name: &str, version: Version) -> Result<(&'static Codec, i16), Failure> {
    let known = CODECS
        .iter()
        .find(|codec| codec.schema.name.eq_ignore_ascii_case(name));
    let name = known.map_or(name, |codec| codec.schema.name);
    let number = match version {
        Version::Number(number) => number,
        Version::Latest => 0,
    };
    let Some((codec, number)) = codec::find(CODECS, name, number) else {
        return Err(unknown(name, api(name).is_some()));
    };
    let number = match version {
        Version::Number(_) => number,
        Version::Latest => latest(codec.schema),
    };
    let schema = codec.schema;
    if !schema.versions.contains(number) {
        return Err(Failure::usage(no_version(schema, number)));
    }
    Ok((codec, number))
}

/// Says which versions there are instead.
pub(crate) fn no_version(schema: &Schema, version: i16) -> String {
    let versions = schema.versions;
    let plural = if versions.lowest == versions.highest {
        ""
    } else {
        "s"
    };
    format!(
        "{} has no version {version}, only version{plural} {versions}",
        schema.name
    )
}

/// The API with this name, whatever its case, or this key.
pub(crate) fn api(name: &str) -> Option<&'static ApiInfo> {
    match name.parse() {
        Ok(key) => ApiKey(key).info(),
        Err(_) => ApiKey::from_name(name)?.info(),
    }
}

/// The request or the response of an API.
pub(crate) fn of_api(info: &ApiInfo, kind: Kind) -> Option<&'static Codec> {
    CODECS
        .iter()
        .find(|codec| codec.schema.kind == kind && codec.schema.api_key == Some(info.key.0))
}

/// The message of a record of the KRaft metadata log.
pub(crate) fn metadata_record(record_type: i16) -> Option<&'static Codec> {
    // The records of the topic __remote_log_metadata are of the same kind, with numbers of their own.
    let is_remote =
        |name: &str| name.starts_with("RemoteLog") || name.starts_with("RemotePartition");
    CODECS.iter().find(|codec| {
        codec.schema.kind == Kind::Metadata
            && codec.schema.api_key == Some(record_type)
            && !is_remote(codec.schema.name)
    })
}

/// The newest version that is stable.
fn latest(schema: &Schema) -> i16 {
    let highest = schema.versions.highest;
    let is_message_of_api = matches!(schema.kind, Kind::Request | Kind::Response);
    let info = schema.api_key.and_then(|key| ApiKey(key).info());
    let unstable = is_message_of_api && info.is_some_and(|info| info.latest_version_unstable);
    if unstable && schema.versions.lowest < highest {
        highest - 1
    } else {
        highest
    }
}

/// Says that there is no such name, and which are near to it.
pub(crate) fn unknown(name: &str, is_api: bool) -> Failure {
    if is_api {
        return Failure::usage(format!(
            "'{name}' is an API, not a message: say {0}Request or {0}Response",
            api(name).map_or(name, |info| info.name)
        ));
    }
    let names = CODECS.iter().map(|codec| codec.schema.name);
    unknown_among("message", name, names)
}

/// Says that there is no such name, and which of `names` are near to it.
pub(crate) fn unknown_among(
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'static str>,
) -> Failure {
    let near = near(name, names);
    let hint = match near.as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    };
    Failure::usage(format!("there is no {what} '{name}'{hint}"))
}

/// Says that there is no such API, and which are near to it.
pub(crate) fn unknown_api(name: &str) -> Failure {
    unknown_among("API", name, api_names())
}

/// The names of all APIs.
pub(crate) fn api_names() -> impl Iterator<Item = &'static str> {
    APIS.iter().map(|info| info.name)
}

/// The few names that a mistyped one is likely to mean, best first.
fn near(name: &str, names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase();
    let mut scored: Vec<(f64, &'static str)> = names
        .filter_map(|candidate| {
            let lower = candidate.to_ascii_lowercase();
            let likeness = strsim::normalized_damerau_levenshtein(&name, &lower);
            // Part of a long name is near to it, however much is missing.
            let part = name.len() >= 4 && lower.contains(&name);
            let score = if part { likeness + 0.5 } else { likeness };
            (score > 0.6).then_some((score, candidate))
        })
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_of_older_releases() {
        let found = |name, version| message(name, version).map(|(c, v)| (c.schema.name, v)).ok();
        let fetch = Some(("FetchRequest", 12));
        assert_eq!(found("fetchrequest", Version::Number(12)), fetch);
        let old = Some(("AlterPartitionRequest", 2));
        assert_eq!(found("AlterIsrRequest", Version::Number(2)), old);
        // What is its record type today was this key's version.
        let key = Some(("GroupMetadataKey", 0));
        assert_eq!(found("GroupMetadataKey", Version::Number(2)), key);
        assert_eq!(found("FetchRequest", Version::Number(99)), None);
    }

    #[test]
    fn latest_is_stable() {
        let unstable = APIS.iter().filter(|info| info.latest_version_unstable);
        for info in unstable {
            let name = format!("{}Request", info.name);
            let (codec, version) = message(&name, Version::Latest).unwrap();
            let versions = codec.schema.versions;
            assert!(version < versions.highest || versions.lowest == versions.highest);
        }
        let (codec, version) = message("FetchRequest", Version::Latest).unwrap();
        assert_eq!(version, codec.schema.versions.highest);
    }

    #[test]
    fn near_misses() {
        assert_eq!(
            near("FechRequest", CODECS.iter().map(|c| c.schema.name))[0],
            "FetchRequest"
        );
        assert_eq!(near("fetc", api_names())[0], "Fetch");
        assert_eq!(near("xyzzy", api_names()), [""; 0]);
    }
}
