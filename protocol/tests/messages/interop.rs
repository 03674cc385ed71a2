//! Values made here go to Kafka's own classes in a live Java process, and back.
//!
//! `KWIRE_ORACLE_4_4_0` and `KWIRE_ORACLE_3_9_2` hold the command line of that process as a JSON
//! array, as `cargo xtask oracle --release 4.4.0 --print-command` prints it. Without them the tests
//! are skipped; `KWIRE_REQUIRE_JAVA=1` makes that a failure.
//!
//! `KWIRE_INTEROP_SEED` gives other values, `KWIRE_INTEROP_CASES` more for each message and version,
//! `KWIRE_INTEROP_MUTATIONS` more damaged messages.

pub mod differences;
mod fuzz;
mod mutate;
mod mutations;
mod oracle;
mod random;
mod refusals;
mod tree;
mod values;

use std::io::Write;
use std::str::FromStr;

use self::oracle::{Answer, Oracle, question};
use crate::common::CODECS;
use kwire_protocol::codec::{Codec, CodecError};
use kwire_protocol::json::Mode;
use kwire_protocol::schema::{FieldType, Kind, Schema, StructSchema};
use serde_json::Value;

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
