//! Damaged bytes are taken or refused alike, apart from a table of chosen differences.

use std::collections::{BTreeMap, BTreeSet};

use kwire_protocol::codec::{Codec, CodecError};
use kwire_protocol::{DecodeErrorKind, Limits};
use serde_json::Value;

use super::common::{CODECS, hex, same};
use super::oracle::Answer;
use super::random::{Rng, Shape, Values};
use super::values::made;
use super::{Failures, Pair, ask_about, encode, from_env, mutate, releases, say, seed, short};

/// Both sides take the same damaged bytes, for the same value, or a row of the table says why not.
#[test]
fn damaged_bytes() {
    let Some(releases) = releases("mutations") else {
        return;
    };
    let wanted = from_env("KWIRE_INTEROP_MUTATIONS", 20_000);
    let mut met = BTreeSet::new();
    let all: usize = releases.iter().map(|(_, pairs)| pairs.len()).sum();
    for (mut oracle, pairs) in releases {
        let mut failures = Failures::default();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut asked = 0;
        for (number, pair) in pairs.iter().enumerate() {
            // Spread evenly, the remainder too.
            let (codec, version) = *pair;
            let count = wanted * (number + 1) / all - wanted * number / all;
            let mutants = mutants(*pair, count);
            let questions: Vec<Value> = mutants
                .iter()
                .map(|(_, bytes, _)| ask_about(&oracle, *pair, "hex", hex(bytes)))
                .collect();
            asked += questions.len();
            for ((case, bytes, done), answer) in mutants.iter().zip(oracle.ask(&questions)) {
                match outcome(oracle.release(), codec, version, bytes, &answer) {
                    Ok(outcome) => *counts.entry(outcome).or_default() += 1,
                    Err(ours) => failures.add(|| {
                        let name = codec.schema.name;
                        let (bytes, theirs) = (hex(bytes), short(&format!("{answer:?}")));
                        format!(
                            "{name} v{version}, case {case}: {done}\nthe bytes: {bytes}\nJava: {theirs}\nRust: {ours}"
                        )
                    }),
                }
            }
        }
        say(&format!(
            "mutations: {}: {} pairs of message and version, {asked} mutations: {counts:?}, {} disagree",
            oracle.release(),
            pairs.len(),
            failures.count,
        ));
        failures.check(&format!("mutations, {}", oracle.release()));
        met.extend(counts.into_keys());
    }
    let mut rows = DIFFERENCES.iter().map(|difference| difference.name);
    let stale = rows.find(|name| !met.contains(name));
    // So many meet every row many times; a difference that is gone is to leave the table too.
    if let (Some(name), 20_000..) = (stale, wanted) {
        panic!("mutations: Java and we no longer differ in this: {name}");
    }
}

/// Damaged messages of the pair.
fn mutants((codec, version): Pair, count: usize) -> Vec<(usize, Vec<u8>, String)> {
    let schema = codec.schema;
    // A base is worth several mutations, and needs several to be hit everywhere.
    const PER_BASE: usize = 8;
    let mut mutants = Vec::new();
    for case in 0..count.div_ceil(PER_BASE) {
        let rng = Rng::new(seed(), schema, version, "mutation", case);
        let mut values = Values::new(rng, schema, version, Shape::Small);
        let value = values.message();
        let base = encode(codec, version, &value)
            .unwrap_or_else(|error| panic!("{} v{version}: {error}: {value}", schema.name));
        let guides = mutate::guides(schema, version, &base);
        for _ in 0..PER_BASE.min(count - mutants.len()) {
            let (bytes, done) = mutate::mutate(&mut values.rng, &base, &guides);
            mutants.push((case, bytes, done));
        }
    }
    mutants
}

/// How we and Java agree, or what we say if we do not.
fn outcome(
    release: &str,
    codec: &Codec,
    version: i16,
    bytes: &[u8],
    answer: &Answer,
) -> Result<&'static str, String> {
    let ours = (codec.recode)(bytes, version, &Limits::DEFAULT);
    match (&ours, answer) {
        (
            Ok(ours),
            Answer::Accepted {
                hex: theirs,
                full,
                remaining: 0,
                ..
            },
        ) if hex(ours) == *theirs => {
            let json = codec.to_json(bytes, version, &Limits::DEFAULT);
            if json.as_ref().is_ok_and(|(json, _)| same(json, full)) {
                return Ok("accepted alike");
            }
            return Err(format!("another value: {json:?}"));
        }
        (Err(_), answer) if answer.is_refusal() => return Ok("refused alike"),
        _ => {}
    }
    let difference = DIFFERENCES.iter().find(|difference| {
        difference.only.is_none_or(|only| only == release)
            && (difference.explains)(codec, version, bytes, &ours, answer)
    });
    match difference {
        Some(difference) => Ok(difference.name),
        None => Err(match ours {
            Ok(ours) => format!("accepted, {}", hex(&ours)),
            Err(error) => format!("refused, {error}"),
        }),
    }
}

/// What became of bytes here: the bytes of the value that they are.
type Ours = Result<Vec<u8>, CodecError>;

/// A way in which we differ from Java on purpose.
struct Difference {
    name: &'static str,
    /// The release that it is confined to; none if it is in both.
    only: Option<&'static str>,
    /// Whether it explains what became of the bytes: our result, and Java's answer.
    explains: fn(&Codec, i16, &[u8], &Ours, &Answer) -> bool,
}

/// All the ways in which we differ from Java on damaged bytes, each of them chosen.
const DIFFERENCES: &[Difference] = &[
    // Java puts U+FFFD for each bad run; the message would not encode to what it came from.
    Difference {
        name: "invalid UTF-8 is refused",
        only: None,
        explains: |_, _, _, ours, theirs| {
            is_decode(ours, |kind| *kind == DecodeErrorKind::InvalidUtf8)
                && matches!(theirs, Answer::Accepted { hex, .. } if hex.contains("efbfbd"))
        },
    },
    // Java ignores the size of a tag that it knows, and reads on behind the value.
    Difference {
        name: "a known tag's size must be that of its value",
        only: None,
        explains: |_, _, bytes, ours, theirs| match ours {
            Err(CodecError::Decode(error)) if matches!(theirs, Answer::Accepted { .. }) => {
                match error.kind() {
                    DecodeErrorKind::TagSize { .. } => true,
                    // A size beyond the end is seen before the tag is looked at.
                    DecodeErrorKind::Truncated { wanted, .. } => {
                        ends_in_varint(&bytes[..error.offset()], *wanted)
                    }
                    _ => false,
                }
            }
            _ => false,
        },
    },
    // A count that is negative as an int means no tagged fields before Kafka 4, where the loop over
    // them just ends. Since there is a limit, it is refused.
    Difference {
        name: "a negative count of tagged fields is refused",
        only: Some("3.9.2"),
        explains: |_, _, _, ours, theirs| {
            is_decode(
                ours,
                |kind| matches!(kind, DecodeErrorKind::TagsOverLimit { count, .. } if *count > i32::MAX as usize),
            ) && matches!(theirs, Answer::Accepted { .. })
        },
    },
    // Java leaves that check to whoever calls it. What comes before them must be the same.
    Difference {
        name: "trailing bytes are refused",
        only: None,
        explains: |codec, version, bytes, ours, theirs| match theirs {
            Answer::Accepted {
                hex: theirs,
                remaining,
                ..
            } if *remaining > 0 => {
                let taken = &bytes[..bytes.len() - *remaining as usize];
                let prefix = (codec.recode)(taken, version, &Limits::DEFAULT);
                is_decode(
                    ours,
                    |kind| matches!(kind, DecodeErrorKind::TrailingBytes { left } if *left as u64 == *remaining),
                ) && prefix.is_ok_and(|prefix| hex(&prefix) == *theirs)
            }
            _ => false,
        },
    },
];

/// Whether the bytes end in that number, which is then the one that was just read.
fn ends_in_varint(bytes: &[u8], wanted: usize) -> bool {
    (1..=bytes.len().min(5)).any(|len| {
        let varint = bytes[bytes.len() - len..].iter().enumerate();
        let value = varint.fold(0, |value, (place, byte)| {
            value | u32::from(byte & 0x7f) << (7 * place)
        });
        value as usize == wanted
    })
}

fn is_decode(ours: &Ours, holds: impl Fn(&DecodeErrorKind) -> bool) -> bool {
    matches!(ours, Err(CodecError::Decode(error)) if holds(error.kind()))
}

#[test]
fn guides_cover_every_message() {
    // Holds without Java: the walk over valid bytes ends where they end.
    for codec in CODECS {
        for version in codec.schema.versions.lowest..=codec.schema.versions.highest {
            for case in 0..3 {
                let bytes = encode(codec, version, &made((codec, version), case));
                let bytes = bytes.unwrap_or_else(|error| panic!("{error}"));
                let guides = mutate::guides(codec.schema, version, &bytes);
                assert!(guides.iter().all(|guide| guide.at.end <= bytes.len()));
            }
        }
    }
}
