//! `kwire batch`: many messages, one JSON line each.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write, stdin};

use kwire_protocol::codec::{self, CodecError};
use kwire_protocol::json::Mode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::input::{self, MAX_LINE};
use crate::messages::{self, CODECS};
use crate::output;
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  echo '{\"schema\":\"VoteRequest\",\"version\":2,\"hex\":\"00ffffffff0100\"}' | kwire batch
  echo '{\"id\":7,\"schema\":\"VoteRequest\",\"version\":2,\"json\":{}}' | kwire batch
  kwire batch < messages.jsonl > answers.jsonl

Each line of standard input has one message, as \"hex\" or as \"json\" (a missing field takes its
default), and maybe an \"id\" of any kind; \"schema\" is a message's name, in its very case. Each line gets
one in answer, in order:
  {\"id\",\"schema\",\"version\",\"hex\",\"json\"}  the message, decoded and encoded again
  {\"id\",\"schema\",\"version\",\"error\":{\"kind\",\"message\"}}

Kinds of errors: bad-line (no JSON object with schema, version and one of hex and json),
unknown-schema, unsupported-version, hex (not hex), decode (the bytes are not the message),
json (the JSON is not the message), encode (the version cannot carry the value).

Errors in lines leave the exit code at 0.";

/// Decode and encode many messages: JSON lines in, one line out for each
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let progress = Progress::counter("lines");
    let mut lines = Lines {
        reader: BufReader::with_capacity(256 << 10, stdin().lock()),
        line: Vec::new(),
    };
    let mut done = 0;
    while let Some(line) = lines.next(out)? {
        let answer = match &line {
            Some(line) => answer(line),
            None => {
                let message = format!("a line of more than {MAX_LINE} bytes");
                Answer::default().refused("bad-line", message)
            }
        };
        tell(&answer, out)?;
        done += 1;
        if done % 1000 == 0 {
            progress.at(done);
        }
    }
    Ok(())
}

/// One line, and the answer to it.
pub(crate) fn run_line(line: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
    tell(&answer(line), out)
}

fn tell(answer: &Answer<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, answer)?;
    Ok(out.write_all(b"\n")?)
}

/// Reads lines into one buffer.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// The next line; `Some(None)` for one that is too long. Flushes `out` whenever it has to
    /// read, and so may have to wait: who waits for an answer before writing on must get it.
    fn next(&mut self, out: &mut dyn Write) -> Result<Option<Option<&[u8]>>, Failure> {
        self.line.clear();
        // One long line is not to hold its memory while many short ones follow.
        self.line.shrink_to(1 << 20);
        let mut begun = false;
        let mut too_long = false;
        loop {
            if self.reader.buffer().is_empty() {
                out.flush()?;
            }
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::failed(format!("standard input: {error}"))),
            };
            if buffer.is_empty() {
                if !begun {
                    return Ok(None);
                }
                break;
            }
            begun = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            too_long |= self.line.len() + part.len() > MAX_LINE;
            if !too_long {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                break;
            }
        }
        // White space in JSON, but the end of a line to some who read the echo of it.
        for byte in self.line.iter_mut().filter(|byte| **byte == b'\r') {
            *byte = b' ';
        }
        Ok(Some((!too_long).then_some(&self.line)))
    }
}

/// One line in. Values stay as they are written: the answer repeats them so.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    schema: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    hex: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    json: Option<&'a RawValue>,
}

/// A value that is there, be it null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// One line out.
#[derive(Default, Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

#[derive(Serialize)]
struct Problem {
    kind: &'static str,
    message: String,
}

impl Answer<'_> {
    fn refused(mut self, kind: &'static str, message: String) -> Self {
        self.error = Some(Problem { kind, message });
        self
    }
}

fn answer(line: &[u8]) -> Answer<'_> {
    let question = match question(line) {
        Ok(question) => question,
        Err(message) => return Answer::default().refused("bad-line", message),
    };
    let mut answer = Answer {
        id: question.id,
        schema: question.schema,
        version: question.version,
        ..Answer::default()
    };
    match recode(&question) {
        Ok((json, bytes)) => {
            answer.hex = Some(output::hex(&bytes));
            answer.json = Some(json);
            answer
        }
        Err((kind, message)) => answer.refused(kind, message),
    }
}

fn question(line: &[u8]) -> Result<Question<'_>, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
    match text.trim_ascii_start().bytes().next() {
        None => Err("an empty line".to_owned()),
        // Serde would take an array for a struct without names.
        Some(b'{') => {
            serde_json::from_str(text).map_err(|error| format!("not the JSON wanted: {error}"))
        }
        Some(_) => Err("not a JSON object".to_owned()),
    }
}

/// A kind of error, and what is wrong.
type Refusal = (&'static str, String);

fn recode(question: &Question<'_>) -> Result<(Value, Vec<u8>), Refusal> {
    let name: String = part(question.schema, "schema", "a string")?;
    let version: i16 = part(question.version, "version", "a number of 16 bits")?;
    let Some((codec, version)) = codec::find(CODECS, &name, version) else {
        return Err(("unknown-schema", format!("there is no message {name:?}")));
    };
    if !codec.schema.versions.contains(version) {
        let message = messages::no_version(codec.schema, version);
        return Err(("unsupported-version", message));
    }
    let bytes = match (question.hex, question.json) {
        (Some(_), None) => {
            let digits: String = part(question.hex, "hex", "a string")?;
            input::unhex(digits.as_bytes()).map_err(|message| ("hex", message))?
        }
        (None, Some(_)) => {
            let json: Value = part(question.json, "json", "a value")?;
            (codec.encode_json)(&json, version, Mode::Defaults).map_err(refusal)?
        }
        (Some(_), Some(_)) => return Err(bad_line("both hex and json are there")),
        (None, None) => return Err(bad_line("neither hex nor json is there")),
    };
    codec
        .to_json(&bytes, version, &messages::LIMITS)
        .map_err(refusal)
}

fn bad_line(message: &str) -> Refusal {
    ("bad-line", message.to_owned())
}

/// A part of the line that has to be there and of its type.
fn part<T: DeserializeOwned>(
    value: Option<&RawValue>,
    name: &str,
    wanted: &str,
) -> Result<T, Refusal> {
    let Some(value) = value else {
        return Err(bad_line(&format!("{name} is missing")));
    };
    serde_json::from_str(value.get()).map_err(|_| bad_line(&format!("{name}: {wanted} is wanted")))
}

fn refusal(error: CodecError) -> Refusal {
    let kind = match &error {
        CodecError::Decode(_) => "decode",
        CodecError::Encode(_) => "encode",
        CodecError::Json(_) => "json",
        _ => "other",
    };
    (kind, error.to_string())
}
