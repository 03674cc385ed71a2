//! The bytes that Kafka's own Java classes wrote, and what they refused.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{CODECS, hex, lines, same, unhex};
use kwire_protocol::Limits;
use kwire_protocol::codec::{Codec, find};
use kwire_protocol::json::Mode;
use kwire_protocol::schema::{FieldType, Schema, StructSchema};
use serde_json::Value;

/// A check of one line: the message, the version that it has today, and the line.
type Check = fn(&Codec, i16, &Value) -> Result<(), String>;

/// Lines that do not hold, by schema and version.
type Failures = BTreeMap<(String, i64), (usize, String)>;

/// Runs a check over a corpus and holds the failures against the table of known ones.
fn hold(corpus: &str, release: &str, name: &str, check: Check) {
    let mut failures = Failures::new();
    let mut pairs = BTreeSet::new();
    let mut count = 0;
    for line in lines(&format!("java/{corpus}-{release}.jsonl.gz")) {
        let schema = line["schema"].as_str().unwrap().to_owned();
        let version = line["version"].as_i64().unwrap();
        count += 1;
        pairs.insert((schema.clone(), version));
        let result = match find(CODECS, &schema, version as i16) {
            Some((codec, version)) => check(codec, version, &line),
            None => Err("no such schema".to_owned()),
        };
        if let Err(problem) = result {
            failures.entry((schema, version)).or_insert((0, problem)).0 += 1;
        }
    }
    let failed: usize = failures.values().map(|(count, _)| count).sum();
    println!(
        "{release} {name}: {} of {count} lines hold, {} pairs of message and version, {failed} known exceptions",
        count - failed,
        pairs.len(),
    );
    compare(release, name, failures);
}

/// Every failure is in the table, and every row of the table fails.
fn compare(release: &str, name: &str, mut failures: Failures) {
    let mut wrong = Vec::new();
    for row in lines("exceptions.jsonl") {
        if row["release"] != release || row["check"] != name {
            continue;
        }
        assert!(
            row["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{row}"
        );
        let schema = row["schema"].as_str().unwrap().to_owned();
        for (version, count) in row["lines"].as_object().unwrap() {
            let key = (schema.clone(), version.parse().unwrap());
            let found = failures.remove(&key).map_or(0, |(count, _)| count);
            if *count != found {
                wrong.push(format!(
                    "{key:?}: the table says {count} lines, but {found} fail"
                ));
            }
        }
    }
    for (key, (count, problem)) in failures {
        wrong.push(format!(
            "{key:?}: {count} lines fail and are not in the table: {problem}"
        ));
    }
    assert!(wrong.is_empty(), "{release} {name}:\n{}", wrong.join("\n"));
}

fn same_bytes(codec: &Codec, version: i16, line: &Value) -> Result<(), String> {
    let bytes = unhex(line["hex"].as_str().unwrap());
    let recoded = (codec.recode)(&bytes, version, &Limits::DEFAULT).map_err(|e| e.to_string())?;
    if recoded != bytes {
        return Err(format!("{} became {}", hex(&bytes), hex(&recoded)));
    }
    Ok(())
}

fn same_value(codec: &Codec, version: i16, line: &Value) -> Result<(), String> {
    same_bytes(codec, version, line)?;
    let bytes = unhex(line["hex"].as_str().unwrap());
    let value = line.get("full").unwrap_or(&line["json"]);
    let (json, _) = codec
        .to_json(&bytes, version, &Limits::DEFAULT)
        .map_err(|e| e.to_string())?;
    let mut expected = value.clone();
    without_absent(
        codec.schema,
        &codec.schema.structs[0],
        version,
        &mut expected,
    );
    if json != expected {
        return Err(format!("expected {expected}, got {json}"));
    }
    // Older releases have some fields in another order.
    if line["kafka"] == "4.4.0" && !same(&json, &expected) {
        return Err(format!("expected the order of {expected}, got {json}"));
    }
    for mode in [Mode::Strict, Mode::Defaults] {
        let encoded = (codec.encode_json)(value, version, mode).map_err(|e| e.to_string())?;
        if encoded != bytes {
            return Err(format!(
                "expected {}, encoded {}",
                hex(&bytes),
                hex(&encoded)
            ));
        }
    }
    Ok(())
}

/// Removes fields that the version lacks: ignorable ones that an encoder drops.
fn without_absent(schema: &Schema, structure: &StructSchema, version: i16, json: &mut Value) {
    let Value::Object(fields) = json else { return };
    for field in structure.fields {
        if !field.versions.contains(version) {
            // The order of the others is compared.
            fields.shift_remove(field.name);
        }
        let Some(value) = fields.get_mut(field.name) else {
            continue;
        };
        match field.ty {
            FieldType::Struct(index) => {
                without_absent(schema, &schema.structs[index], version, value)
            }
            FieldType::Array(FieldType::Struct(index)) => {
                for element in value.as_array_mut().into_iter().flatten() {
                    without_absent(schema, &schema.structs[*index], version, element);
                }
            }
            _ => {}
        }
    }
}

fn refused(codec: &Codec, version: i16, line: &Value) -> Result<(), String> {
    let accepted = if line["kind"] == "truncated" {
        let bytes = unhex(line["hex"].as_str().unwrap());
        (codec.recode)(&bytes, version, &Limits::DEFAULT).is_ok()
    } else {
        (codec.encode_json)(&line["full"], version, Mode::Defaults).is_ok()
    };
    if accepted {
        Err(format!("accepted: {line}"))
    } else {
        Ok(())
    }
}

#[test]
fn bytes_of_4_4_0() {
    hold("corpus", "4.4.0", "bytes", same_bytes);
}

#[test]
fn values_of_4_4_0() {
    hold("corpus", "4.4.0", "values", same_value);
}

#[test]
fn refusals_of_4_4_0() {
    hold("negative", "4.4.0", "refusals", refused);
}

#[test]
fn bytes_of_3_9_2() {
    hold("corpus", "3.9.2", "bytes", same_bytes);
}

#[test]
fn values_of_3_9_2() {
    hold("corpus", "3.9.2", "values", same_value);
}

#[test]
fn refusals_of_3_9_2() {
    hold("negative", "3.9.2", "refusals", refused);
}

#[test]
fn bytes_of_2_8_2() {
    hold("corpus", "2.8.2", "bytes", same_bytes);
}

#[test]
fn values_of_2_8_2() {
    hold("corpus", "2.8.2", "values", same_value);
}

#[test]
fn refusals_of_2_8_2() {
    hold("negative", "2.8.2", "refusals", refused);
}
