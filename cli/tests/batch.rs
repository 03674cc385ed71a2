//! `kwire batch`, on what Kafka's own Java classes wrote.

mod common;

use std::io::{BufRead, BufReader, Write};

use common::{command, kwire_with, lines};
use kwire_protocol::schema::{FieldType, Schema, StructSchema};
use serde_json::{Value, json};

macro_rules! schemas {
    ($($name:ident),* $(,)?) => {
        &[$(<kwire_protocol::messages::$name as kwire_protocol::Message>::SCHEMA),*]
    };
}

/// Of every message; the table of codecs would compile the code of all of them once more.
static SCHEMAS: &[&Schema] = kwire_protocol::for_each_message!(schemas);

/// Asks all questions in one run; gives the answers.
fn ask(questions: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut input = Vec::new();
    for question in questions {
        serde_json::to_writer(&mut input, &question).unwrap();
        input.push(b'\n');
    }
    answers(&input)
}

fn answers(input: &[u8]) -> Vec<Value> {
    let out = kwire_with(&["batch"], input).ok();
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The value that a corpus line stands for.
fn value(line: &Value) -> &Value {
    line.get("full").unwrap_or(&line["json"])
}

/// Removes fields that the version lacks: ignorable ones that an encoder drops.
fn without_absent(schema: &Schema, structure: &StructSchema, version: i16, json: &mut Value) {
    let Value::Object(fields) = json else { return };
    for field in structure.fields {
        if !field.versions.contains(version) {
            fields.remove(field.name);
        }
        let index = match field.ty {
            FieldType::Struct(index) => index,
            FieldType::Array(FieldType::Struct(index)) => *index,
            _ => continue,
        };
        match fields.get_mut(field.name) {
            Some(Value::Array(elements)) => {
                for element in elements {
                    without_absent(schema, &schema.structs[index], version, element);
                }
            }
            Some(value) => without_absent(schema, &schema.structs[index], version, value),
            None => {}
        }
    }
}

fn expected(line: &Value) -> Value {
    let version = line["version"].as_i64().unwrap() as i16;
    let schema = SCHEMAS.iter().find(|s| line["schema"] == s.name).unwrap();
    let mut value = value(line).clone();
    without_absent(schema, &schema.structs[0], version, &mut value);
    value
}

fn check(question: impl Fn(&Value) -> Value) {
    let corpus = lines("java/corpus-4.4.0.jsonl.gz");
    assert_eq!(corpus.len(), 4705);
    let answers = ask(corpus.iter().map(question));
    assert_eq!(answers.len(), corpus.len());
    for (line, answer) in corpus.iter().zip(&answers) {
        assert_eq!(answer["hex"], line["hex"], "{line}\n{answer}");
        assert_eq!(answer["json"], expected(line), "{line}\n{answer}");
        assert_eq!(answer["schema"], line["schema"]);
        assert_eq!(answer["version"], line["version"]);
    }
}

#[test]
fn bytes_of_all_messages() {
    check(|line| json!({"schema": line["schema"], "version": line["version"], "hex": line["hex"]}));
}

#[test]
fn values_of_all_messages() {
    check(
        |line| json!({"schema": line["schema"], "version": line["version"], "json": value(line)}),
    );
}

#[test]
fn what_java_refuses_is_refused() {
    let negative = lines("java/negative-4.4.0.jsonl.gz");
    let answers = ask(negative.iter().map(|line| {
        let (schema, version) = (&line["schema"], &line["version"]);
        match line["kind"] == "truncated" {
            true => json!({"schema": schema, "version": version, "hex": line["hex"]}),
            false => json!({"schema": schema, "version": version, "json": line["full"]}),
        }
    }));
    assert_eq!(answers.len(), negative.len());
    for (line, answer) in negative.iter().zip(&answers) {
        let kind = answer["error"]["kind"].as_str();
        match line["kind"] == "truncated" {
            true => assert_eq!(kind, Some("decode"), "{line}\n{answer}"),
            false => assert!(matches!(kind, Some("encode" | "json")), "{line}\n{answer}"),
        }
    }
}

#[test]
fn every_line_has_an_answer() {
    let good = r#"{"schema":"VoteRequest","version":2,"hex":"00ffffffff0100"}"#;
    let mut input = Vec::new();
    let bad: &[(&[u8], &str)] = &[
        (b"", "an empty line"),
        (b" \t", "an empty line"),
        (b"hello", "not a JSON object"),
        (
            b"\xff\xfe{}",
            "not UTF-8: invalid utf-8 sequence of 1 bytes from index 0",
        ),
        (b"[\"VoteRequest\",2]", "not a JSON object"),
        (b"{}", "schema is missing"),
        (b"{\"schema\":7}", "schema: a string is wanted"),
        (b"{\"schema\":null}", "schema: a string is wanted"),
        (b"{\"schema\":\"VoteRequest\"}", "version is missing"),
        (
            b"{\"schema\":\"VoteRequest\",\"version\":\"2\"}",
            "version: a number of 16 bits is wanted",
        ),
        (
            b"{\"schema\":\"VoteRequest\",\"version\":99999}",
            "version: a number of 16 bits is wanted",
        ),
        (
            b"{\"schema\":\"VoteRequest\",\"version\":2}",
            "neither hex nor json is there",
        ),
        (
            b"{\"schema\":\"VoteRequest\",\"version\":2,\"hex\":\"\",\"json\":{}}",
            "both hex and json are there",
        ),
        (
            b"{\"schema\":\"VoteRequest\",\"version\":2,\"hex\":null}",
            "hex: a string is wanted",
        ),
    ];
    for (line, _) in bad {
        input.extend_from_slice(line);
        input.push(b'\n');
        input.extend_from_slice(good.as_bytes());
        input.push(b'\n');
    }
    let answers = answers(&input);
    assert_eq!(answers.len(), 2 * bad.len());
    for ((line, message), pair) in bad.iter().zip(answers.chunks(2)) {
        let line = String::from_utf8_lossy(line);
        let error = json!({"kind": "bad-line", "message": message});
        assert_eq!(pair[0]["error"], error, "{line}");
        assert_eq!(pair[1]["hex"], "00ffffffff0100", "after {line}");
    }
}

#[test]
fn kinds_of_errors() {
    for (line, kind, message) in [
        (
            r#"{"schema":"#,
            "bad-line",
            "not the JSON wanted: EOF while parsing",
        ),
        (
            r#"{"schema":"A","schema":"B"}"#,
            "bad-line",
            "duplicate field `schema`",
        ),
        (
            r#"{"schema":"voteRequest","version":2,"hex":""}"#,
            "unknown-schema",
            "there is no message \"voteRequest\"",
        ),
        (
            r#"{"schema":"VoteRequest","version":-1,"hex":""}"#,
            "unsupported-version",
            "VoteRequest has no version -1, only versions 0-2",
        ),
        (
            r#"{"schema":"VoteRequest","version":2,"hex":"0g"}"#,
            "hex",
            "not hex: 'g' is no digit",
        ),
        (
            r#"{"schema":"VoteRequest","version":2,"hex":"00"}"#,
            "decode",
            "VoteRequest v2: voterId: the bytes end",
        ),
        (
            r#"{"schema":"VoteRequest","version":2,"json":{"voterId":"x"}}"#,
            "json",
            "VoteRequest v2: voterId: a whole number that fits 32 bits is wanted",
        ),
        (
            r#"{"schema":"VoteRequest","version":2,"json":{"voter":1}}"#,
            "json",
            "VoteRequest v2: voter: VoteRequest has no such field",
        ),
        (
            r#"{"schema":"FetchRequest","version":4,"json":{"sessionId":1,"rackId":"r","replicaState":{"replicaId":3,"replicaEpoch":9}}}"#,
            "encode",
            "FetchRequest v4: ",
        ),
    ] {
        let answers = answers(line.as_bytes());
        let [answer] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        assert_eq!(answer["error"]["kind"], kind, "{line}: {answer}");
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains(message), "{line}: {said}");
    }
}

/// What identifies a question comes back as it was written.
#[test]
fn ids_are_repeated() {
    for id in [
        "null",
        "0",
        "1.50",
        "1e400",
        "123456789012345678901234567890",
        "\"\\u00e4\"",
        "[1, {\"a\":null}]",
        "false",
    ] {
        let line = format!(r#"{{"id":{id},"schema":"NoSuch","version":1.0,"hex":""}}"#);
        let out = kwire_with(&["batch"], line.as_bytes()).ok();
        let echo = format!(r#"{{"id":{id},"schema":"NoSuch","version":1.0,"error""#);
        assert!(out.starts_with(&echo), "{out}");
    }
    // A carriage return would be the end of a line to some.
    let out = kwire_with(&["batch"], b"{\"id\":[1,\r2]}\r\n").ok();
    assert_eq!(
        (out.lines().count(), out.contains('\r')),
        (1, false),
        "{out}"
    );
}

/// Names of older releases are found, and tags that no schema knows are kept.
#[test]
fn older_names_and_unknown_tags() {
    let answers = answers(
        br#"{"schema":"AlterIsrRequest","version":0,"json":{}}
{"schema":"GroupMetadataKey","version":2,"json":{"group":"g"}}
{"schema":"VoteRequest","version":2,"json":{"_unknownTaggedFields":[[30,"0aff"]]}}"#,
    );
    assert_eq!(answers[0]["schema"], "AlterIsrRequest");
    assert!(answers[0]["hex"].is_string(), "{}", answers[0]);
    assert_eq!(answers[1]["hex"], "000167");
    assert_eq!(answers[2]["hex"], "00ffffffff01011e020aff");
    assert_eq!(
        answers[2]["json"]["_unknownTaggedFields"],
        json!([[30, "0aff"]])
    );
}

/// A program may write a line and wait for the answer before the next.
#[test]
fn answers_come_before_more_is_asked() {
    let mut child = command(&["batch"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for id in 0..3 {
        writeln!(
            input,
            r#"{{"id":{id},"schema":"VoteRequest","version":2,"json":{{}}}}"#
        )
        .unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_last_line_needs_no_end() {
    assert_eq!(answers(b""), [Value::Null; 0]);
    assert_eq!(answers(b"\n").len(), 1);
    assert_eq!(answers(b"{}\n{}").len(), 2);
    assert_eq!(answers(b"{}\n{}\n").len(), 2);
}
