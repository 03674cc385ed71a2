//! `kwire explain` on recordings that nobody means well with: an answer, and no panic.

mod common;

use std::io::Write;

use common::{kwire_raw, unzipped};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Runs `kwire explain`, which may fail, but says so in one line.
fn answers(input: &[u8], what: &str) {
    let (code, _, err) = kwire_raw(&["explain", "-", "--limit", "5"], input);
    assert!((0..=2).contains(&code), "{what}: {code}");
    assert!(
        err.lines().count() <= 1 && !err.contains("panicked"),
        "{what}: {err}"
    );
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn some_lines() -> Vec<u8> {
    let text = unzipped("captures/captures-4.3.1.jsonl.gz");
    text.split_inclusive(|byte| *byte == b'\n')
        .take(20)
        .flatten()
        .copied()
        .collect()
}

#[test]
fn damaged_recordings() {
    let text = some_lines();
    let gzipped = packed(&text);
    for part in 1..12 {
        answers(&text[..text.len() * part / 12], "cut short");
        answers(&gzipped[..gzipped.len() * part / 12], "gzip cut short");
    }
    // A fixed sequence, so that what fails can be found again.
    let mut random = 1_u32;
    for round in 0..60 {
        let mut text = text.clone();
        let mut gzipped = gzipped.clone();
        for _ in 0..20 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (random >> 8) as usize;
            let len = text.len();
            text[at % len] ^= 1 << (random >> 5 & 7);
            let len = gzipped.len();
            gzipped[at % len] = (random >> 3) as u8;
        }
        answers(&text, &format!("changed {round}"));
        answers(&gzipped, &format!("gzip changed {round}"));
    }
}

#[test]
fn odd_lines() {
    let frame = |more: &str| {
        format!(r#"{{"conn":1,"dir":"req","corr":1,"apiKey":18,"apiVersion":3,{more}}}"#)
    };
    for line in [
        "[".repeat(200_000),
        r#"{"a":"#.repeat(200_000),
        frame(r#""hex":"001200030000000700"#),
        frame(r#""hex":"0""#),
        frame(r#""hex":"","len":18446744073709551615"#),
        frame(r#""hex":"","len":-1"#),
        frame(&format!(r#""hex":"{}""#, "ff".repeat(100_000))),
        frame(&format!(r#""hex":"0012000300000007ffff904e{}""#, "7f00".repeat(10_000))),
        frame(r#""hex":"","phase":"\u0000\u001b[31m""#),
        r#"{"conn":-9223372036854775808,"dir":"resp","corr":-2147483648,"apiKey":-32768,"apiVersion":-32768,"hex":""}"#.to_owned(),
        "\0".repeat(1000),
        "\n".repeat(100_000),
        "x\n".repeat(100_000),
    ] {
        answers(line.as_bytes(), &line[..line.len().min(60)]);
    }
}

/// A GiB in a MiB, as one line and as many.
#[test]
fn gzip_bombs() {
    for line in [&b"0"[..], b"x\n", b"{\"conn\":1}\n"] {
        let chunk = line.repeat((4 << 20) / line.len());
        answers(&packed(&chunk).repeat(256), "a bomb");
    }
}
