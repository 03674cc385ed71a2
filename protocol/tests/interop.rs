//! Values made here go to Kafka's own classes in a live Java process, and back.
//!
//! `KWIRE_ORACLE_4_4_0` and `KWIRE_ORACLE_3_9_2` hold the command line of that process as a JSON
//! array, as `cargo xtask oracle --release 4.4.0 --print-command` prints it. Without them the tests
//! are skipped; `KWIRE_REQUIRE_JAVA=1` makes that a failure.
//!
//! `KWIRE_INTEROP_SEED` gives other values, `KWIRE_INTEROP_CASES` more for each message and version,
//! `KWIRE_INTEROP_MUTATIONS` more damaged messages.

#[allow(unreachable_pub)]
mod common;
#[allow(unreachable_pub)]
#[path = "interop/mutate.rs"]
mod mutate;
#[allow(unreachable_pub)]
#[path = "interop/oracle.rs"]
mod oracle;
#[allow(unreachable_pub)]
#[path = "interop/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::io::Write;
use std::str::FromStr;

use common::{CODECS, hex};
use kwire_protocol::codec::{Codec, CodecError};
use kwire_protocol::json::Mode;
use kwire_protocol::schema::{FieldType, Kind, Schema, StructSchema};
use kwire_protocol::{DecodeErrorKind, Limits};
use oracle::{Answer, Oracle, question};
use random::{Rng, Shape, UNKNOWN_TAGS, Values, known_tags, not_default};
use serde_json::{Value, json};

/// A message, and a version of it.
type Pair = (&'static Codec, i16);

/// A question about a pair, in the words of the oracle's release.
fn ask_about(
    oracle: &Oracle,
    (codec, version): Pair,
    form: &str,
    message: impl Into<Value>,
) -> Value {
    let schema = codec.schema;
    // The version of a coordinator's key was its record type in 3.x, and has been 0 since.
    let theirs = match (schema.kind, schema.api_key) {
        (Kind::CoordinatorKey, Some(record_type)) if oracle.release() == "3.9.2" => record_type,
        _ => version,
    };
    question(schema.name, theirs, form, message)
}

/// How many failures are told in full.
const TOLD: usize = 8;

/// How many questions may be spent on making one failing value smaller.
const SHRINKING: usize = 400;

/// Prints past the capture of the test harness: what was checked, or that nothing was, is worth
/// knowing of a test that passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "interop: {text}");
}

fn from_env<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => match text.parse() {
            Ok(value) => value,
            Err(_) => panic!("{name}={text} is not a number that fits"),
        },
        Err(_) => default,
    }
}

fn seed() -> u64 {
    from_env("KWIRE_INTEROP_SEED", 1)
}

/// The processes of both releases, each with what it is asked about: 4.4.0 with every version that
/// it has, 3.9.2 with those that only older releases have. None if the test is to be skipped.
fn releases(test: &str) -> Option<Vec<(Oracle, Vec<Pair>)>> {
    let mut left: Vec<Pair> = Vec::new();
    for codec in CODECS {
        let versions = codec.schema.versions;
        left.extend((versions.lowest..=versions.highest).map(|version| (codec, version)));
    }
    let mut releases = Vec::new();
    for release in ["4.4.0", "3.9.2"] {
        let mut oracle = match Oracle::start(release) {
            Ok(oracle) => oracle,
            Err(why) => {
                let required = std::env::var("KWIRE_REQUIRE_JAVA").is_ok_and(|value| value == "1");
                assert!(!required, "KWIRE_REQUIRE_JAVA is set, but {why}");
                say(&format!("{test}: skipped: {why}"));
                return None;
            }
        };
        // Whether a release has a version is best known to itself.
        let questions: Vec<Value> = left
            .iter()
            .map(|pair| ask_about(&oracle, *pair, "hex", ""))
            .collect();
        let answers = oracle.ask(&questions);
        let lacks = |answer: &Answer| matches!(answer, Answer::Refused { at, .. } if at == "line");
        let (has, lacks): (Vec<_>, Vec<_>) = left
            .into_iter()
            .zip(answers)
            .partition(|(_, answer)| !lacks(answer));
        left = lacks.into_iter().map(|(pair, _)| pair).collect();
        releases.push((oracle, has.into_iter().map(|(pair, _)| pair).collect()));
    }
    let left: Vec<String> = left
        .iter()
        .map(|(codec, version)| format!("{} v{version}", codec.schema.name))
        .collect();
    assert!(left.is_empty(), "neither release has {}", left.join(", "));
    Some(releases)
}

/// Collects what does not hold: all of it is counted, the first few are told.
#[derive(Default)]
struct Failures {
    count: usize,
    told: Vec<String>,
}

impl Failures {
    fn add(&mut self, tell: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(tell());
        }
    }

    fn check(self, test: &str) {
        let Failures { count, told } = self;
        assert!(
            count == 0,
            "{test}, KWIRE_INTEROP_SEED={}: {count} failures, of which {}:\n\n{}",
            seed(),
            told.len(),
            told.join("\n\n")
        );
    }
}

fn encode(codec: &Codec, version: i16, json: &Value) -> Result<Vec<u8>, CodecError> {
    (codec.encode_json)(json, version, Mode::Defaults)
}

#[test]
fn values() {
    let Some(releases) = releases("values") else {
        return;
    };
    let cases = from_env("KWIRE_INTEROP_CASES", 5);
    for (mut oracle, pairs) in releases {
        let mut failures = Failures::default();
        let mut checked = 0;
        for pairs in pairs.chunks(32) {
            let values: Vec<(Pair, usize, Value)> = pairs
                .iter()
                .flat_map(|pair| (0..cases).map(|case| (*pair, case, made(*pair, case))))
                .collect();
            checked += values.len();
            let found = check_values(&mut oracle, &values);
            for (((codec, version), case, value), problem) in values.iter().zip(found) {
                let Some(problem) = problem else { continue };
                failures.add(|| {
                    let at = format!("{} v{version}, case {case}", codec.schema.name);
                    let small = shrunk(&mut oracle, (codec, *version), value, &problem);
                    let (problem, value) = (short(&problem), short(&value.to_string()));
                    format!("{at}: {problem}\nthe value: {value}\nmade smaller: {small}")
                });
            }
        }
        failures.check(&format!("values, {}", oracle.release()));
        say(&format!(
            "values: {}: {} pairs of message and version, {checked} values, both directions: all agree",
            oracle.release(),
            pairs.len(),
        ));
    }
}

/// The value of a case. The first ones are those that chance would miss.
fn made((codec, version): Pair, case: usize) -> Value {
    let rng = Rng::new(seed(), codec.schema, version, "value", case);
    let shape = match case {
        0 => Shape::Full,
        1 => Shape::Minimal,
        _ => Shape::Any,
    };
    Values::new(rng, codec.schema, version, shape).message()
}

/// Asks about values: what is wrong with each.
fn check_values(oracle: &mut Oracle, values: &[(Pair, usize, Value)]) -> Vec<Option<String>> {
    let mut questions = Vec::new();
    let mut prepared = Vec::new();
    for ((codec, version), _, value) in values {
        let schema = codec.schema;
        let bytes = match encode(codec, *version, value) {
            Ok(bytes) => bytes,
            Err(error) => {
                prepared.push(Err(format!("cannot be encoded here: {error}")));
                continue;
            }
        };
        let start = questions.len();
        questions.push(ask_about(oracle, (codec, *version), "hex", hex(&bytes)));
        questions.push(ask_about(oracle, (codec, *version), "full", value.clone()));
        // Java's own reader knows no unknown tags, and no words for a float64.
        let mut plain = value.clone();
        let is_plain = make_plain(schema, &schema.structs[0], &mut plain);
        if is_plain && !value_lacks_fields(schema, *version, value) {
            questions.push(ask_about(oracle, (codec, *version), "json", plain));
        }
        prepared.push(Ok((bytes, start..questions.len())));
    }
    let answers = oracle.ask(&questions);
    let checks = prepared.into_iter().zip(values);
    checks
        .map(|(prepared, ((codec, version), _, value))| {
            let (bytes, range) = match prepared {
                Ok(prepared) => prepared,
                Err(problem) => return Some(problem),
            };
            check_value(codec, *version, value, &bytes, &answers[range]).err()
        })
        .collect()
}

fn check_value(
    codec: &Codec,
    version: i16,
    value: &Value,
    bytes: &[u8],
    answers: &[Answer],
) -> Result<(), String> {
    let schema = codec.schema;
    let ours = hex(bytes);
    let strictly = (codec.encode_json)(value, version, Mode::Strict);
    if strictly.as_deref() != Ok(bytes) && !value_lacks_fields(schema, version, value) {
        return Err(format!("read strictly: {strictly:?}"));
    }
    let (json, recoded) = codec
        .to_json(bytes, version, &Limits::DEFAULT)
        .map_err(|error| format!("{ours} cannot be decoded here: {error}"))?;
    if recoded != bytes {
        return Err(format!("{ours} is encoded again as {}", hex(&recoded)));
    }
    let mut lossy = json.clone();
    make_lossy(schema, &schema.structs[0], &mut lossy);
    for (answer, form) in answers.iter().zip(["hex", "full", "json"]) {
        let problem = |what: &str, theirs: &dyn std::fmt::Display, ours: &dyn std::fmt::Display| {
            Err(format!(
                "given as {form}, {what}\nJava: {theirs}\nRust: {ours}"
            ))
        };
        match answer {
            Answer::Refused { at, error } => {
                return problem("the value is refused", &format!("at {at}: {error}"), &ours);
            }
            Answer::Accepted { hex, .. } if *hex != ours => {
                return problem("the bytes differ", hex, &ours);
            }
            Answer::Accepted { remaining, .. } if *remaining > 0 => {
                return problem("bytes are left", remaining, &ours);
            }
            Answer::Accepted { full, .. } if !same(full, &json) => {
                return problem("the values differ", full, &json);
            }
            Answer::Accepted {
                json: Some(theirs), ..
            } if !same(theirs, &lossy) => {
                return problem("what Kafka's converter prints differs", theirs, &lossy);
            }
            Answer::Accepted { .. } => {}
        }
    }
    Ok(())
}

/// Whether two values are the same, the order of fields included.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut fields = a.iter().zip(b);
            a.len() == b.len() && fields.all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

/// Makes of our JSON what Kafka's converter prints. It differs in two things: it prints all records
/// as an empty string, and no unknown tags.
fn make_lossy(schema: &'static Schema, structure: &'static StructSchema, json: &mut Value) {
    each_struct(schema, structure, json, &mut |structure, fields| {
        fields.remove(UNKNOWN_TAGS);
        for field in structure.fields {
            if let (FieldType::Records, Some(value)) = (field.ty, fields.get_mut(field.name))
                && !value.is_null()
            {
                *value = "".into();
            }
        }
    });
}

/// Whether Kafka's converter reads all of the value. It reads records, though it does not print them.
fn make_plain(schema: &'static Schema, structure: &'static StructSchema, json: &mut Value) -> bool {
    let mut plain = true;
    each_struct(schema, structure, json, &mut |structure, fields| {
        plain &= !fields.contains_key(UNKNOWN_TAGS);
        for field in structure.fields {
            let value = fields.get(field.name);
            plain &= field.ty != FieldType::Float64 || value.is_none_or(Value::is_number);
        }
    });
    plain
}

/// Whether untagged fields of the version are missing, as they are in values made smaller.
fn value_lacks_fields(schema: &'static Schema, version: i16, value: &Value) -> bool {
    let mut lacks = false;
    each_struct(
        schema,
        &schema.structs[0],
        &mut value.clone(),
        &mut |structure, fields| {
            lacks |= structure.fields.iter().any(|field| {
                field.versions.contains(version)
                    && !field.tagged.contains(version)
                    && !fields.contains_key(field.name)
            });
        },
    );
    lacks
}

type Fields = serde_json::Map<String, Value>;

/// Visits every struct in a value.
fn each_struct(
    schema: &'static Schema,
    structure: &'static StructSchema,
    json: &mut Value,
    visit: &mut dyn FnMut(&'static StructSchema, &mut Fields),
) {
    let Value::Object(fields) = json else { return };
    visit(structure, fields);
    for field in structure.fields {
        let Some(value) = fields.get_mut(field.name) else {
            continue;
        };
        match field.ty {
            FieldType::Struct(index) => each_struct(schema, &schema.structs[index], value, visit),
            FieldType::Array(FieldType::Struct(index)) => {
                for element in value.as_array_mut().into_iter().flatten() {
                    each_struct(schema, &schema.structs[*index], element, visit);
                }
            }
            _ => {}
        }
    }
}

/// The beginning of a long text: the seed and the case give the whole of it again.
fn short(text: &str) -> String {
    match text.char_indices().nth(4000) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// A smaller value that fails too: fields and elements are left out one by one.
fn shrunk(oracle: &mut Oracle, (codec, version): Pair, value: &Value, problem: &str) -> String {
    let mut smallest = value.clone();
    let mut problem = problem.to_owned();
    let kind = problem.lines().next().unwrap_or_default().to_owned();
    let mut skip = 0;
    for _ in 0..SHRINKING {
        let mut smaller = smallest.clone();
        if !remove_nth(&mut smaller, &mut skip.clone()) {
            break;
        }
        let values = [((codec, version), 0, smaller)];
        match check_values(oracle, &values).remove(0) {
            Some(found) if found.starts_with(&kind) => {
                let [(_, _, smaller)] = values;
                smallest = smaller;
                problem = found;
            }
            _ => skip += 1,
        }
    }
    format!("{smallest}\nwhere {problem}")
}

/// Leaves out the field or element that comes behind `skip` others.
fn remove_nth(value: &mut Value, skip: &mut usize) -> bool {
    match value {
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                if *skip == 0 {
                    fields.shift_remove(&name);
                    return true;
                }
                *skip -= 1;
                if remove_nth(&mut fields[&name], skip) {
                    return true;
                }
            }
        }
        Value::Array(elements) => {
            for (place, inner) in elements.iter_mut().enumerate() {
                if *skip == 0 {
                    elements.remove(place);
                    return true;
                }
                *skip -= 1;
                if remove_nth(inner, skip) {
                    return true;
                }
            }
        }
        _ => {}
    }
    false
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
    /// We refuse it. Java looks for an unknown tag that is a known one only where the known tags of
    /// a version have gaps, and otherwise writes the tag twice or out of order.
    RefusedHere,
}

#[test]
fn refusals() {
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
                    _ if no_field || change.wanted == Wanted::RefusedHere => change.wanted,
                    Answer::Accepted { hex, .. } if *hex == common::hex(base) => Wanted::Dropped,
                    _ if answer.is_refusal() => Wanted::Refused,
                    _ => Wanted::RefusedHere,
                };
                let holds = match change.wanted {
                    Wanted::Dropped => ours.as_ref() == Ok(base),
                    Wanted::Refused | Wanted::RefusedHere => ours.is_err(),
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
                        let ours = ours.map(|bytes| hex(&bytes));
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
            tags("known tag", Wanted::RefusedHere, &[first - 1]);
        }
    }
    changes
}

/// A way in which we differ from Java on purpose.
struct Difference {
    name: &'static str,
    /// The release that it is confined to; none if it is in both.
    only: Option<&'static str>,
    /// Whether it explains what became of the bytes: our result, and Java's answer.
    explains: fn(&Codec, i16, &[u8], &Result<Vec<u8>, CodecError>, &Answer) -> bool,
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

fn is_decode(ours: &Result<Vec<u8>, CodecError>, holds: impl Fn(&DecodeErrorKind) -> bool) -> bool {
    matches!(ours, Err(CodecError::Decode(error)) if holds(error.kind()))
}

#[test]
fn mutations() {
    let Some(releases) = releases("mutations") else {
        return;
    };
    let wanted = from_env("KWIRE_INTEROP_MUTATIONS", 20_000);
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
