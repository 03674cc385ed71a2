//! JSON text to a message and back.

use kwire_protocol::Limits;
use kwire_protocol::codec::CodecError;
use kwire_protocol::json::Mode;
use serde_json::Value;

use crate::fixtures::{int, lines};
use crate::input::Input;
use crate::message::{CODECS, choose, chosen, is_over_budget};

/// The input of [`json`] for this text of a message.
///
/// # Panics
/// When there is no such message or version.
#[must_use]
pub fn json_input(name: &str, version: i16, text: &str) -> Vec<u8> {
    let choice = chosen(name, version);
    let choice = choice.unwrap_or_else(|| panic!("there is no {name} v{version}"));
    [&choice[..], text.as_bytes()].concat()
}

/// The message that the first three bytes choose, in the text behind them.
pub fn json(data: &[u8]) {
    let mut input = Input::new(data);
    let (index, version) = choose(&mut input);
    let codec = &CODECS[index];
    let Ok(value) = serde_json::from_slice::<Value>(input.rest()) else {
        return;
    };
    let name = codec.schema.name;
    let strict = (codec.encode_json)(&value, version, Mode::Strict);
    let lenient = (codec.encode_json)(&value, version, Mode::Defaults);
    let bytes = match (strict, lenient) {
        (Ok(strict), Ok(lenient)) => {
            assert_eq!(strict, lenient, "{name} v{version}");
            strict
        }
        (Err(CodecError::Json(_)), Ok(lenient)) => lenient,
        (Err(_), Err(error)) => {
            assert!(!error.to_string().is_empty());
            return;
        }
        (strict, lenient) => panic!("{name} v{version}: {strict:?}, {lenient:?}"),
    };
    let (read, recoded) = match codec.to_json(&bytes, version, &Limits::DEFAULT) {
        Ok(read) => read,
        Err(CodecError::Decode(error)) if is_over_budget(&error) => return,
        Err(error) => panic!("{name} v{version}: what was written is refused: {error}"),
    };
    assert_eq!(recoded, bytes, "{name} v{version}");
    let text = read.to_string();
    let again: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(again, read, "{name} v{version}");
    let written = (codec.encode_json)(&again, version, Mode::Strict);
    assert_eq!(written, Ok(bytes), "{name} v{version}: {text}");
}

/// Values of Java's corpora, and those that it refuses.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in ["corpus", "negative"] {
        for line in lines(&format!("java/{kind}-4.4.0.jsonl.gz")) {
            let name = line["schema"].as_str().expect("a name");
            let choice = chosen(name, int(&line, "version"));
            let value = line.get("full").or_else(|| line.get("json"));
            if let (Some(choice), Some(value)) = (choice, value) {
                seeds.push([&choice[..], value.to_string().as_bytes()].concat());
            }
        }
    }
    seeds
}
