//! Odd bytes: what Java's decoder makes of each, and what this one does.
//!
//! Where the two differ it is by choice, and the reason stands in the table of differences.

use std::collections::BTreeMap;

use crate::common::{CODECS, hex, lines, unhex};
use crate::interop::differences::{INVALID_UTF8, SURROGATE, TAG_SIZE, TRAILING, named};
use kwire_protocol::Limits;
use kwire_protocol::codec::find;
use kwire_protocol::json::Mode;
use serde_json::Value;

/// What we make of a probe.
#[derive(Debug)]
enum Choice {
    /// The same as Java: the same bytes again, or a refusal by both.
    AsJava,
    /// Refused, although Java takes it, by this row of the table of differences.
    Refused(&'static str),
}

use Choice::{AsJava, Refused};

const CHOICES: &[(&str, Choice)] = &[
    ("baseline", AsJava),
    ("trailing byte", Refused(TRAILING)),
    ("unknown tags out of order 21,20", AsJava),
    ("unknown tag twice", AsJava),
    ("overlong varint length 8100 = 1 -> empty", AsJava),
    ("6-byte varint", AsJava),
    ("5-byte varint all ones", AsJava),
    ("invalid utf-8", Refused(INVALID_UTF8)),
    ("utf-8 surrogate", Refused(INVALID_UTF8)),
    ("null non-nullable array", AsJava),
    ("bool 2", AsJava),
    ("inflexible array length -5 nullable", AsJava),
    ("inflexible nullable string length -7", AsJava),
    ("header v2 client id is int16 string", AsJava),
    // Read as present, like Java; its one byte too many is refused.
    ("nullable struct marker 0", Refused(TRAILING)),
    ("nullable struct marker 0 b", AsJava),
    ("nullable struct marker fe", AsJava),
    ("tagged struct marker -1", AsJava),
    ("tagged struct marker the least int", AsJava),
    ("tagged struct marker 2", AsJava),
    (
        "known tag 0 with a wrong size (9 for null ClusterId)",
        AsJava,
    ),
    ("known tag written with its default", AsJava),
    ("known tag wrong size", Refused(TAG_SIZE)),
    ("known tag twice", AsJava),
    ("tag that another version has", AsJava),
    ("string of 32768 bytes", AsJava),
    ("lone surrogate in value", Refused(SURROGATE)),
    ("uint16 65536", AsJava),
];

#[test]
fn every_probe_is_decided() {
    let answers: BTreeMap<String, Value> = lines("java/probes-4.4.0.answers.jsonl")
        .map(|answer| (answer["id"].as_str().unwrap().to_owned(), answer))
        .collect();
    let mut decided: BTreeMap<&str, &Choice> = CHOICES.iter().map(|(id, c)| (*id, c)).collect();
    assert_eq!(decided.len(), CHOICES.len(), "a probe is listed twice");
    // One probe holds a lone surrogate, which no JSON reader of ours takes.
    for probe in probes() {
        let Some(probe) = probe else {
            assert!(decided.remove("lone surrogate in value").is_some());
            continue;
        };
        let id = probe["id"].as_str().unwrap();
        let choice = decided
            .remove(id)
            .unwrap_or_else(|| panic!("{id}: not decided"));
        check(id, &probe, choice, &answers[id]);
    }
    assert!(decided.is_empty(), "no such probes: {decided:?}");
}

/// The probes; `None` for one that is not JSON to us.
fn probes() -> Vec<Option<Value>> {
    let text = include_str!("../fixtures/java/probes.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn check(id: &str, probe: &Value, choice: &Choice, java: &Value) {
    let version = probe["version"].as_i64().unwrap() as i16;
    let (codec, version) = find(CODECS, probe["schema"].as_str().unwrap(), version).unwrap();
    let ours = match probe["hex"].as_str() {
        Some(hex) => (codec.recode)(&unhex(hex), version, &Limits::DEFAULT),
        None => (codec.encode_json)(&probe["full"], version, Mode::Defaults),
    };
    match (choice, ours) {
        (AsJava, Ok(bytes)) => {
            assert_eq!(java["ok"], true, "{id}: Java refuses it: {java}");
            assert_eq!(hex(&bytes), java["hex"], "{id}");
            assert!(java.get("remaining").is_none_or(|left| *left == 0), "{id}");
        }
        (AsJava, Err(error)) => assert_eq!(java["ok"], false, "{id}: {error}"),
        (Refused(row), Ok(bytes)) => {
            let reason = named(row).reason;
            panic!("{id}: accepted as {}, though {reason}", hex(&bytes))
        }
        (Refused(row), Err(_)) => {
            assert_eq!(named(row).name, *row);
            assert_eq!(java["ok"], true, "{id}: Java refuses it too");
        }
    }
}
