//! Random values go both ways, and come out the same on both sides.

use kwire_protocol::Limits;
use kwire_protocol::codec::Codec;
use kwire_protocol::json::Mode;
use kwire_protocol::schema::{FieldType, Schema, StructSchema};
use serde_json::Value;

use super::common::{hex, same};
use super::oracle::{Answer, Oracle};
use super::random::{Rng, Shape, UNKNOWN_TAGS, Values};
use super::{Failures, Pair, ask_about, each_struct, encode, from_env, releases, say, seed, short};

/// How many questions may be spent on making one failing value smaller.
const SHRINKING: usize = 400;

/// Java decodes our bytes, and encodes our values, to what they are here.
#[test]
fn both_directions() {
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
pub(super) fn made((codec, version): Pair, case: usize) -> Value {
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
