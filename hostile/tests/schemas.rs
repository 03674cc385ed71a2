//! Schemas that nobody means well with, given to the generator.

use std::path::Path;

use kwire_codegen::emit::{Options, emit};
use kwire_codegen::model::{Docs, resolve};
use kwire_codegen::parse::parse_message;
use kwire_hostile::damage::Random;

/// What the generator says of a schema, if it refuses it.
fn refusal(text: &str) -> Option<String> {
    let generated = || -> Result<(), kwire_codegen::Error> {
        let schema = parse_message(Path::new("Hostile.json"), text)?;
        let messages = resolve(&[schema], &Docs::default())?;
        emit(&messages, &Options::default())?;
        Ok(())
    };
    generated().err().map(|error| error.to_string())
}

fn refused(text: &str, why: &str) {
    let error = refusal(text).unwrap_or_else(|| panic!("taken: {text:.300}"));
    assert!(error.contains(why), "{error:.500}");
}

const HEAD: &str =
    r#""type": "data", "name": "Hostile", "validVersions": "0-1", "flexibleVersions": "1+""#;

fn schema(fields: &str, common: &str) -> String {
    format!(r#"{{ {HEAD}, "fields": [{fields}], "commonStructs": [{common}] }}"#)
}

fn field(name: &str, ty: &str, more: &str) -> String {
    format!(r#"{{ "name": "{name}", "type": "{ty}", "versions": "0+"{more} }}"#)
}

fn structure(name: &str, fields: &str) -> String {
    format!(r#"{{ "name": "{name}", "versions": "0+", "fields": [{fields}] }}"#)
}

#[test]
fn deep_nesting() {
    for depth in [65, 1000, 100_000] {
        let mut inner = field("End", "int8", "");
        // Nested text of this depth is made from both ends, or it would be quadratic to make.
        let (mut open, mut close) = (String::new(), String::new());
        for level in 0..depth {
            open += &format!(
                r#"{{ "name": "F{level}", "type": "[]S{level}", "versions": "0+", "fields": ["#
            );
            close += "] }";
        }
        inner = format!("{open}{inner}{close}");
        refused(&schema(&inner, ""), "nested more than 64 deep");
    }
    let brackets = "[".repeat(100_000);
    refused(&brackets, "not JSON");
    refused(&schema(&brackets, ""), "not JSON");
    refused(
        &format!(
            r#"{{ {HEAD}, "fields": {brackets}{} }}"#,
            "]".repeat(100_000)
        ),
        "",
    );
    let braces = r#"{"a":"#.repeat(100_000);
    refused(&braces, "not JSON");
    refused(&format!("{braces}1{}", "}".repeat(100_000)), "");
}

#[test]
fn chains_of_common_structs() {
    for depth in [66, 1000, 20_000] {
        let mut all: Vec<String> = (0..depth)
            .map(|level| {
                structure(
                    &format!("S{level}"),
                    &field("Next", &format!("[]S{}", level + 1), ""),
                )
            })
            .collect();
        all.push(structure(&format!("S{depth}"), &field("End", "int8", "")));
        refused(
            &schema(&field("First", "S0", ""), &all.join(",")),
            "nested more than 64 deep",
        );
        // From the other end, so that each is met before what holds it.
        let fields: Vec<String> = (0..=depth.min(1000))
            .rev()
            .map(|level| field(&format!("F{level}"), &format!("S{level}"), ""))
            .collect();
        refused(
            &schema(&fields.join(","), &all.join(",")),
            "nested more than 64 deep",
        );
    }
}

/// Each struct has two of the next: thirty of them would be a thousand million fields.
#[test]
fn structs_that_double() {
    for array in ["", "[]"] {
        let mut all: Vec<String> = (0..30)
            .map(|level| {
                let next = format!("{array}S{}", level + 1);
                structure(
                    &format!("S{level}"),
                    &[field("Left", &next, ""), field("Right", &next, "")].join(","),
                )
            })
            .collect();
        all.push(structure("S30", &field("End", "string", "")));
        let text = schema(&field("First", "S0", ""), &all.join(","));
        match array {
            "" => refused(&text, "more than 10000 fields"),
            // As arrays they are a few pointers each.
            _ => assert_eq!(refusal(&text), None),
        }
    }
}

#[test]
fn circles() {
    let own = structure("Own", &field("Again", "Own", ""));
    refused(&schema(&field("First", "Own", ""), &own), "holds itself");
    let own = structure("Own", &field("Again", "[]Own", ""));
    refused(&schema(&field("First", "[]Own", ""), &own), "holds itself");
    for len in [2, 50] {
        let all: Vec<String> = (0..len)
            .map(|at| {
                structure(
                    &format!("S{at}"),
                    &field("Next", &format!("[]S{}", (at + 1) % len), ""),
                )
            })
            .collect();
        refused(
            &schema(&field("First", "S0", ""), &all.join(",")),
            "holds itself",
        );
    }
    refused(
        &schema(&field("First", "Hostile", ""), ""),
        "there is no struct Hostile",
    );
}

#[test]
fn ranges() {
    for versions in [
        "0-32768",
        "-1",
        "0-99999999999999999999",
        "1-0",
        "0--1",
        "+",
        "0-1-2",
        "0+1",
        "ā",
    ] {
        let text = field("A", "int8", "").replace("0+", versions);
        refused(&schema(&text, ""), "which");
    }
    let all = schema(&field("A", "string", ""), "").replace("0-1", "0-32766");
    assert_eq!(refusal(&all), None);
    refused(&all.replace("32766", "32767"), "validVersions");
    for tag in [
        "-1",
        "1",
        "2147483647",
        "4294967296",
        "9223372036854775808",
        "1e3",
        "\"x\"",
    ] {
        let more = format!(r#", "taggedVersions": "1+", "tag": {tag}"#);
        assert!(
            refusal(&schema(&field("A", "int8", &more), "")).is_some(),
            "{tag}"
        );
    }
}

/// As in Jackson the last of two keys counts; Kafka's own schemas have such a field.
#[test]
fn keys_and_names_that_come_twice() {
    let twice =
        r#"{ "name": "A", "name": "B", "type": "nothing", "type": "int8", "versions": "0+" }"#;
    assert_eq!(refusal(&schema(twice, "")), None);
    let names = [field("A", "int8", ""), field("A", "int8", "")].join(",");
    refused(&schema(&names, ""), "has this name");
    let many = format!(r#"{{ {HEAD}, {} "b": 2 }}"#, r#""a": 1, "#.repeat(20_000));
    refused(&many, "unknown key");
}

/// The work is in proportion to the file: a line is found without counting all before it.
#[test]
fn long_files() {
    let fields: Vec<String> = (0..8_000)
        .map(|at| field(&format!("F{at}"), "int8", "") + "\n")
        .collect();
    let text = schema(&fields.join(","), "");
    let schema = parse_message(Path::new("Hostile.json"), &text).unwrap();
    assert_eq!(schema.fields.len(), 8_000);
    assert_eq!(schema.fields[7_999].line, 8_000);
}

/// Kafka's own schemas with some bytes changed: refused or taken, but answered.
#[test]
fn damaged_schemas() {
    let mut random = Random::new(20_260_106);
    let (mut tried, mut taken) = (0, 0);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    for name in [
        "FetchResponse",
        "ProduceRequest",
        "StreamsGroupDescribeResponse",
        "RequestHeader",
        "VoteRequest",
    ] {
        let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
        for len in (0..text.len()).step_by(37) {
            if let Some(part) = text.get(..len) {
                tried += 1;
                taken += usize::from(refusal(part).is_none());
            }
        }
        for _ in 0..150 {
            let flipped = random.flipped(text.as_bytes());
            let text = String::from_utf8_lossy(&flipped);
            tried += 1;
            taken += usize::from(refusal(&text).is_none());
        }
    }
    println!("{tried} damaged schemas, {taken} taken");
    assert!(tried > 1000 && taken < tried);
}
