//! `kwire records`, on batches that Java wrote.

mod common;

use common::{kwire, kwire_raw, kwire_with, lines, unhex};
use insta::assert_snapshot;
use serde_json::Value;

fn case(name: &str) -> String {
    let cases = lines("java/records-4.4.0.jsonl.gz");
    let case = cases.iter().find(|case| case["name"] == name);
    case.expect(name)["hex"].as_str().unwrap().to_owned()
}

#[test]
fn kinds_of_batches() {
    let mut text = String::new();
    for name in [
        "v2/none/headers",
        "v2/gzip/transactional",
        "v2/none/deletehorizon",
        "v2/zstd/logappend",
        "v1/snappy/one/logappend",
        "v0/none/nulls",
        "v0/lz4/one",
        "control/COMMIT",
        "control/ABORT",
        "control/LEADER_CHANGE",
        "control/SNAPSHOT_HEADER",
        "control/SNAPSHOT_FOOTER",
        "control/KRAFT_VERSION",
        "control/KRAFT_VOTERS",
        "multi/two",
    ] {
        text.push_str(&format!(
            "# {name}\n{}",
            kwire(&["records", &case(name)]).ok()
        ));
    }
    assert_snapshot!("records", text);
}

/// Records, checksums and offsets are those that Java read.
#[test]
fn json_of_all_cases() {
    let mut count = 0;
    for case in lines("java/records-4.4.0.jsonl.gz") {
        let name = case["name"].as_str().unwrap();
        let (code, out, _) = kwire_raw(
            &["records", "--json"],
            &unhex(case["hex"].as_str().unwrap()),
        );
        assert_eq!(code == 1, name.starts_with("corrupt"), "{name}");
        if code == 1 {
            continue;
        }
        let out = String::from_utf8(out).unwrap();
        let ours: Vec<Value> = out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let theirs = case["batches"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours["magic"], theirs["magic"], "{name}");
            assert_eq!(ours["compression"], theirs["compression"], "{name}");
            assert_eq!(ours["lastOffset"], theirs["lastOffset"], "{name}");
            if ours["magic"] == 2 {
                assert_eq!(ours["crc"], theirs["crc"], "{name}");
            }
            let offsets = |batch: &Value| -> Vec<i64> {
                let records = batch["records"].as_array().unwrap().iter();
                records
                    .map(|record| record["offset"].as_i64().unwrap())
                    .collect()
            };
            assert_eq!(offsets(ours), offsets(theirs), "{name}");
            count += 1;
        }
    }
    assert!(count > 160, "{count}");
}

#[test]
fn corrupt_batches_are_passed_over() {
    let good = case("v2/none/one");
    let mut flipped = unhex(&good);
    flipped[65] ^= 1;
    let mut magic = unhex(&good);
    magic[16] = 9;
    let input = [unhex(&good), flipped, magic, unhex(&good)].concat();
    let (code, out, error) = kwire_raw(&["records"], &input);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(code, 1);
    assert_eq!(error, "error: 2 batches are corrupt\n");
    assert_snapshot!("records_corrupt", out);

    // A length that leads nowhere ends it.
    let mut short = unhex(&good);
    short[8..12].copy_from_slice(&[0, 0, 0, 1]);
    let (code, out, error) = kwire_raw(&["records"], &[short, unhex(&good)].concat());
    let out = String::from_utf8(out).unwrap();
    assert_eq!(code, 1);
    assert_eq!(
        out,
        "batch at byte 0: batch length 1 is less than the minimum 14\n"
    );
    assert_eq!(
        error,
        "note: the last 152 bytes are not read\nerror: 1 batch is corrupt\n"
    );
}

#[test]
fn ends_that_are_no_batches() {
    let good = unhex(&case("v2/none/one"));
    for (end, note) in [
        (&good[..30], "note: the last 30 bytes are part of a batch\n"),
        (&[0; 40][..], "note: 40 zero bytes at the end\n"),
    ] {
        let (code, out, error) = kwire_raw(&["records", "-"], &[&good, end].concat());
        assert_eq!((code, error.as_str()), (0, note));
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
    }
}

#[test]
fn forms_of_input() {
    let hex = case("v2/none/one");
    let expected = kwire(&["records", &hex]).ok();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), unhex(&hex)).unwrap();
    assert_eq!(
        kwire(&["records", file.path().to_str().unwrap()]).ok(),
        expected
    );
    std::fs::write(file.path(), format!("0x{hex}\n")).unwrap();
    assert_eq!(
        kwire(&["records", file.path().to_str().unwrap()]).ok(),
        expected
    );
    assert_eq!(kwire_with(&["records"], hex.as_bytes()).ok(), expected);
    assert_eq!(kwire_with(&["records", "-"], b"").ok(), "");
    let error = kwire(&["records", "no-such.log"]).fails(1);
    assert_eq!(
        error,
        "no such file, and not hex: 'n' is no digit (character 1 of the input)"
    );
    let only = kwire(&["records", "--batches", &hex]).ok();
    assert_eq!(only.lines().count(), 1);
    // Too long for a line, unless asked for.
    let big = case("v2/none/big");
    assert!(kwire_with(&["records"], big.as_bytes()).ok().len() < 1000);
    assert!(
        kwire_with(&["records", "--full"], big.as_bytes())
            .ok()
            .len()
            > 140_000
    );
}

#[test]
fn metadata_records() {
    use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};
    let mut builder = BatchBuilder::new(BatchOptions::default()).unwrap();
    for value in [
        // FeatureLevelRecord; one that is cut; a type to come; another frame version.
        &b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00"[..],
        b"\x01\x0c\x00\x11meta",
        b"\x01\x7f\x00\x00",
        b"\x02\x0c\x00",
    ] {
        let record = NewRecord {
            timestamp: 0,
            key: None,
            value: Some(value),
            headers: &[],
        };
        let appended = builder.try_append(&record).unwrap();
        assert!(matches!(appended, Append::Done { .. }));
    }
    let bytes = builder.finish().unwrap();
    let (code, out, _) = kwire_raw(&["records", "--metadata"], &bytes);
    assert_eq!(code, 0);
    assert_snapshot!("records_metadata", String::from_utf8(out).unwrap());
}
