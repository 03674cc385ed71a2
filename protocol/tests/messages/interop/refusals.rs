//! What a version cannot carry is refused on both sides, and what it may drop is dropped on both.

use std::collections::BTreeMap;

use kwire_protocol::schema::FieldType;
use serde_json::{Value, json};

use super::differences::{KNOWN_TAG, named};
use super::oracle::Answer;
use super::random::{Rng, Shape, UNKNOWN_TAGS, Values, known_tags, not_default};
use super::{Failures, Pair, ask_about, each_struct, encode, releases, say, seed, short};
use crate::common;

/// Every field and struct is changed to what its version does not have, one at a time.
#[test]
fn both_sides() {
    let Some(releases) = releases("refusals") else {
        return;
    };
    for (mut oracle, pairs) in releases {
        let mut failures = Failures::default();
        let mut counts = BTreeMap::new();
        for pairs in pairs.chunks(8) {
            let changes: Vec<(Pair, Vec<u8>, Change)> =
                pairs.iter().flat_map(|pair| changes(*pair)).collect();
            let questions: Vec<Value> = changes
                .iter()
                .map(|(pair, _, change)| ask_about(&oracle, *pair, "full", change.value.clone()))
                .collect();
            let answers = oracle.ask(&questions);
            for (((codec, version), base, change), answer) in changes.iter().zip(answers) {
                let ours = encode(codec, *version, &change.value);
                // The table has fields of both releases, and each lacks some of them altogether.
                let no_field = matches!(&answer, Answer::Refused { at, error }
                    if at == "build" && error.contains(" has no field "));
                let theirs = match &answer {
                    _ if no_field => change.wanted,
                    Answer::Accepted { hex, .. } if *hex == common::hex(base) => Wanted::Dropped,
                    _ if answer.is_refusal() => Wanted::Refused,
                    _ => Wanted::RefusedHere(named(KNOWN_TAG).name),
                };
                let holds = match change.wanted {
                    Wanted::Dropped => ours.as_ref() == Ok(base),
                    Wanted::Refused | Wanted::RefusedHere(_) => ours.is_err(),
                };
                let what = if no_field {
                    "field of another release"
                } else {
                    change.what
                };
                *counts.entry(what).or_insert(0) += 1;
                if !holds || theirs != change.wanted {
                    failures.add(|| {
                        let name = codec.schema.name;
                        let Change { what, place, value, wanted } = change;
                        let (value, theirs) = (short(&value.to_string()), short(&format!("{answer:?}")));
                        let ours = ours.map(|bytes| common::hex(&bytes));
                        format!(
                            "{name} v{version}: {what}, {place}: should be {wanted:?}\nthe value: {value}\nJava: {theirs}\nRust: {ours:?}"
                        )
                    });
                }
            }
        }
        failures.check(&format!("refusals, {}", oracle.release()));
        say(&format!(
            "refusals: {}: {} pairs of message and version, by kind {counts:?}: all agree",
            oracle.release(),
            pairs.len(),
        ));
    }
}

/// A change to a valid value, and what is to come of it.
struct Change {
    what: &'static str,
    place: String,
    value: Value,
    wanted: Wanted,
}

/// What is to come of a changed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Both refuse it.
    Refused,
    /// Both encode it as if there were no change.
    Dropped,
    /// We refuse it, and Java encodes it, by this row of the table of differences.
    RefusedHere(&'static str),
}

/// All the changes to a value of the pair in which every struct occurs, with the bytes of that value.
fn changes((codec, version): Pair) -> Vec<(Pair, Vec<u8>, Change)> {
    let schema = codec.schema;
    let rng = Rng::new(seed(), schema, version, "refusal", 0);
    let base = Values::new(rng, schema, version, Shape::Full).message();
    let bytes = encode(codec, version, &base)
        .unwrap_or_else(|error| panic!("{} v{version}: {error}: {base}", schema.name));
    let mut count = 0;
    each_struct(
        schema,
        &schema.structs[0],
        &mut base.clone(),
        &mut |_, _| count += 1,
    );
    let mut changes = Vec::new();
    let mut has_long = false;
    for place in 0..count {
        let mut structure = &schema.structs[0];
        let mut at = 0;
        each_struct(schema, structure, &mut base.clone(), &mut |here, _| {
            if at == place {
                structure = here;
            }
            at += 1;
        });
        let mut change = |what, wanted, key: &str, value: Value| {
            let mut changed = base.clone();
            let mut at = 0;
            each_struct(
                schema,
                &schema.structs[0],
                &mut changed,
                &mut |_, fields| {
                    if at == place {
                        fields.insert(key.to_owned(), value.clone());
                    }
                    at += 1;
                },
            );
            let change = Change {
                what,
                place: format!("{key} of {}", structure.name),
                value: changed,
                wanted,
            };
            changes.push(((codec, version), bytes.clone(), change));
        };
        for field in structure.fields {
            let name = field.name;
            if !field.versions.contains(version) {
                let value = not_default(schema, field);
                if field.ignorable {
                    change("ignorable field", Wanted::Dropped, name, value);
                } else {
                    change("unsupported field", Wanted::Refused, name, value);
                }
                continue;
            }
            let has_null = matches!(
                field.ty,
                FieldType::String
                    | FieldType::Bytes
                    | FieldType::Records
                    | FieldType::Struct(_)
                    | FieldType::Array(_)
            );
            if has_null && !field.nullable.contains(version) {
                change("null", Wanted::Refused, name, Value::Null);
            }
            if field.ty == FieldType::String && !has_long {
                has_long = true;
                let long = "x".repeat(32768);
                change("long string", Wanted::Refused, name, long.into());
            }
        }
        let mut tags = |what, wanted, tags: &[u32]| {
            let tags = tags.iter().map(|tag| json!([tag, "00"])).collect();
            change(what, wanted, UNKNOWN_TAGS, tags);
        };
        if !schema.flexible.contains(version) {
            tags("tag at an inflexible version", Wanted::Refused, &[100]);
            continue;
        }
        let first = known_tags(structure);
        tags("tags out of order", Wanted::Refused, &[first + 1, first]);
        tags("tag twice", Wanted::Refused, &[first, first]);
        tags("tag too high", Wanted::Refused, &[i32::MAX as u32]);
        tags("tag too high", Wanted::Refused, &[u32::MAX]);
        if first > 0 {
            tags("known tag", Wanted::RefusedHere(KNOWN_TAG), &[first - 1]);
        }
    }
    changes
}
