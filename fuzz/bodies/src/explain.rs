//! What the command reads: recordings, frames and lines, and logs.

use kwire_protocol::ApiKey;

use crate::fixtures::{bytes, hex, int, lines};
use crate::input::Input;
use crate::records::mend_checksums;

/// The command that the first byte chooses, on the others.
pub fn explain(data: &[u8]) {
    let mut input = Input::new(data);
    let mut out = Vec::new();
    let form = input.u8() % 8;
    // What is written to a vector is written, so that an error is one of the input.
    let result = match form {
        0 => kwire::explain(input.rest(), false, &mut out),
        1 => kwire::explain(input.rest(), true, &mut out),
        2 => kwire::frame(&String::from_utf8_lossy(input.rest()), None, &mut out),
        3 => kwire::frame(&hex(input.rest()), None, &mut out),
        4 => {
            let answers = (ApiKey(input.i16()), input.i16());
            kwire::frame(&hex(input.rest()), Some(answers), &mut out)
        }
        5 => kwire::batch(input.rest(), &mut out),
        json => {
            let mut bytes = input.rest().to_vec();
            mend_checksums(&mut bytes);
            kwire::records(&bytes, json == 7, true, &mut out)
        }
    };
    assert_ne!(result, Err(String::new()));
    let text = std::str::from_utf8(&out).expect("what is printed is text");
    // JSON is for programs, which escape what they have to.
    let is_prose = matches!(form, 0 | 1 | 6);
    assert!(
        !is_prose || !text.contains(|c: char| c.is_control() && c != '\n'),
        "control characters reach the terminal: {text:?}"
    );
}

/// Recordings of a few frames, the frames alone, questions of one line, and logs.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for release in ["4.3.1", "3.9.2"] {
        let frames: Vec<_> = lines(&format!("captures/captures-{release}.jsonl.gz")).collect();
        for some in frames.chunks(3) {
            let lines: Vec<String> = some.iter().map(ToString::to_string).collect();
            for full in [0, 1] {
                seeds.push([&[full], lines.join("\n").as_bytes()].concat());
            }
        }
        for frame in &frames {
            let Some(bytes) = bytes(frame) else { continue };
            if frame["dir"] == "req" {
                seeds.push([&[2], hex(&bytes).as_bytes()].concat());
                seeds.push([&[3], &bytes[..]].concat());
            } else {
                let api = int(frame, "apiKey").to_be_bytes();
                let version = int(frame, "apiVersion").to_be_bytes();
                seeds.push([&[4], &api[..], &version, &bytes].concat());
            }
        }
    }
    for line in lines("java/corpus-4.4.0.jsonl.gz").step_by(7) {
        let form = if seeds.len() % 2 == 0 { "hex" } else { "json" };
        let question = serde_json::json!({
            "schema": line["schema"],
            "version": line["version"],
            form: line[form],
        });
        seeds.push([&[5], question.to_string().as_bytes()].concat());
    }
    for line in lines("java/records-4.4.0.jsonl.gz") {
        let bytes = bytes(&line).expect("records");
        for form in [6, 7] {
            seeds.push([&[form], &bytes[..]].concat());
        }
    }
    seeds
}
