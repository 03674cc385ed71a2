//! Bytes and text from the command line, a file or standard input.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stdin};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::failure::Failure;

/// The longest line that is read. Twice the bytes of the largest request that Kafka takes, and
/// room for more: what is longer is no message, and must not fill the memory.
pub(crate) const MAX_LINE: usize = 256 << 20;

/// In which form bytes are given.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Form {
    /// The input is base64 (standard or URL-safe), not hex
    #[arg(long, conflicts_with = "raw")]
    pub(crate) base64: bool,
    /// The input is a file of plain bytes; `-` or nothing is standard input
    #[arg(long)]
    pub(crate) raw: bool,
}

/// The bytes that the argument stands for: digits, `@FILE` with digits in it, or `-` or nothing
/// for standard input.
pub(crate) fn bytes(argument: Option<&str>, form: Form) -> Result<Vec<u8>, Failure> {
    if form.raw {
        return match argument {
            None | Some("-") => read_stdin("bytes"),
            Some(path) => read_file(path.strip_prefix('@').unwrap_or(path)),
        };
    }
    let what = if form.base64 { "base64" } else { "hex" };
    let text = text(argument, what)?;
    let bytes = if form.base64 {
        unbase64(&text)
    } else {
        unhex(text.as_bytes())
    };
    bytes.map_err(Failure::failed)
}

/// The text that the argument stands for: itself, the content of `@FILE`, or of standard input
/// for `-` or nothing.
pub(crate) fn text(argument: Option<&str>, what: &str) -> Result<String, Failure> {
    let bytes = match argument {
        None | Some("-") => read_stdin(what)?,
        Some(text) => match text.strip_prefix('@') {
            Some(path) => read_file(path)?,
            None => return Ok(text.to_owned()),
        },
    };
    String::from_utf8(bytes)
        .map_err(|error| Failure::failed(format!("the input is no {what}, nor any text: {error}")))
}

/// Milliseconds since 1970.
pub(crate) fn time_of_day_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// All of a file.
pub(crate) fn read_file(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    Ok(bytes)
}

/// All of standard input. At a terminal, says first what is waited for.
pub(crate) fn read_stdin(what: &str) -> Result<Vec<u8>, Failure> {
    let mut stdin = stdin().lock();
    if stdin.is_terminal() {
        let hint = format!("Reading {what} from standard input; Ctrl-D ends it.");
        let _ = writeln!(anstream::stderr(), "{hint}");
    }
    let mut bytes = Vec::new();
    stdin
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    Ok(bytes)
}

/// The bytes of hex digits, with or without `0x` before them and white space anywhere.
pub(crate) fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = text.trim_ascii();
    let digits = text
        .strip_prefix(b"0x")
        .or_else(|| text.strip_prefix(b"0X"));
    let digits = digits.unwrap_or(text);
    let start = text.len() - digits.len();
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for (at, &c) in digits.iter().enumerate() {
        let digit = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            b'A'..=b'F' => c - b'A' + 10,
            _ if c.is_ascii_whitespace() => continue,
            _ => {
                let what = String::from_utf8_lossy(&digits[at..]);
                let what = what.chars().next().unwrap_or_default();
                let place = start + at + 1;
                return Err(format!(
                    "not hex: {what:?} is no digit (character {place} of the input)"
                ));
            }
        };
        high = match high {
            None => Some(digit),
            Some(high) => {
                bytes.push(high << 4 | digit);
                None
            }
        };
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err("not hex: an odd number of digits".to_owned()),
    }
}

fn unbase64(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let url_safe = text.contains(['-', '_']);
    let engine = match (url_safe, text.ends_with('=')) {
        (false, true) => &STANDARD,
        (false, false) => &STANDARD_NO_PAD,
        (true, true) => &URL_SAFE,
        (true, false) => &URL_SAFE_NO_PAD,
    };
    engine
        .decode(text)
        .map_err(|error| format!("not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_in_its_forms() {
        for text in ["00ff10", "0x00FF10", " 00 ff\n10\r\n", "0X00 f f10"] {
            assert_eq!(unhex(text.as_bytes()), Ok(vec![0, 0xff, 0x10]), "{text}");
        }
        assert_eq!(unhex(b""), Ok(vec![]));
        let bad = unhex("0x0ä".as_bytes()).unwrap_err();
        assert_eq!(bad, "not hex: 'ä' is no digit (character 4 of the input)");
        assert!(unhex(b"123").is_err());
    }

    #[test]
    fn base64_in_its_forms() {
        for text in ["+/8=", "+/8", "-_8=", "-_8", " +/\n8= "] {
            assert_eq!(unbase64(text), Ok(vec![0xfb, 0xff]), "{text}");
        }
        assert!(unbase64("+_8").is_err());
    }
}
