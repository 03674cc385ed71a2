//! Where we differ from Java on purpose: all of it, each with its reason.
//!
//! The tests of damaged bytes, the probes and `cargo xtask fuzz java` take a difference for granted
//! only if it is in this table.

use kwire_protocol::codec::{Codec, CodecError};
use kwire_protocol::{DecodeErrorKind, Limits};

use super::oracle::Answer;
use crate::common::{hex, same};

/// What became of bytes here: the bytes of the value that they are.
pub type Ours = Result<Vec<u8>, CodecError>;

/// A way in which we differ from Java on purpose.
pub struct Difference {
    /// What we do.
    pub name: &'static str,
    /// Why we do not do as Java does.
    pub reason: &'static str,
    /// The release that it is confined to; none if it is in both.
    only: Option<&'static str>,
    /// Whether it explains what became of bytes: our result, and Java's answer. None if it is no
    /// matter of bytes but of values to be written.
    explains: Option<Explains>,
}

type Explains = fn(&Codec, i16, &[u8], &Ours, &Answer) -> bool;

pub const INVALID_UTF8: &str = "invalid UTF-8 is refused";
pub const TAG_SIZE: &str = "a known tag's size must be that of its value";
pub const TRAILING: &str = "trailing bytes are refused";
pub const SURROGATE: &str = "lone surrogates are refused";
pub const KNOWN_TAG: &str = "an unknown tag that the schema knows is not written";

/// All the ways.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: INVALID_UTF8,
        reason: "a Rust string cannot hold it; Java puts U+FFFD for each bad run, and the message would not encode to what it came from",
        only: None,
        explains: Some(|codec, version, bytes, ours, theirs| match theirs {
            Answer::Accepted { hex, .. } => {
                is_decode(ours, |kind| *kind == DecodeErrorKind::InvalidUtf8)
                    // What came in a tag that comes again is not in the value.
                    && (hex.contains("efbfbd") || was_utf8_alone(codec, version, bytes))
            }
            Answer::Refused { .. } => false,
        }),
    },
    Difference {
        name: TAG_SIZE,
        reason: "the size says where the next field begins: bytes that contradict it are damaged; Java ignores the size of a tag that it knows, and reads on behind the value",
        only: None,
        explains: Some(|_, _, bytes, ours, theirs| {
            contradicts_size(bytes, ours) && matches!(theirs, Answer::Accepted { .. })
        }),
    },
    Difference {
        name: "a negative count of tagged fields is refused",
        reason: "4.4.0 refuses it since there is a limit; before Kafka 4 the loop over no fields just ends",
        only: Some("3.9.2"),
        explains: Some(|_, _, _, ours, theirs| {
            is_decode(
                ours,
                |kind| matches!(kind, DecodeErrorKind::TagsOverLimit { count, .. } if *count > i32::MAX as usize),
            ) && matches!(theirs, Answer::Accepted { .. })
        }),
    },
    Difference {
        name: TRAILING,
        reason: "a whole message has to fill its bytes, and decode_prefix is for those that do not; Java leaves that check to whoever calls it. What comes before them must be the same",
        only: None,
        explains: Some(|codec, version, bytes, ours, theirs| match theirs {
            Answer::Accepted {
                hex: theirs,
                remaining,
                ..
            } if *remaining > 0 => {
                let taken = &bytes[..bytes.len() - *remaining as usize];
                let prefix = (codec.recode)(taken, version, &Limits::DEFAULT);
                is_decode(
                    ours,
                    |kind| matches!(kind, DecodeErrorKind::TrailingBytes { left } if *left as u64 == *remaining),
                ) && prefix.is_ok_and(|prefix| hex(&prefix) == *theirs)
            }
            _ => false,
        }),
    },
    Difference {
        name: SURROGATE,
        reason: "a Rust string cannot hold one; Java writes a question mark",
        only: None,
        explains: None,
    },
    Difference {
        name: KNOWN_TAG,
        reason: "whoever reads it would take it for the known field; Java does not look, and writes the tag twice or out of order",
        only: None,
        explains: None,
    },
];

/// The row of that name.
pub fn named(name: &str) -> &'static Difference {
    let row = DIFFERENCES.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no such difference: {name}"))
}

/// The names of the rows that bytes can meet.
pub fn of_bytes() -> impl Iterator<Item = &'static str> {
    let rows = DIFFERENCES.iter().filter(|row| row.explains.is_some());
    rows.map(|row| row.name)
}

/// How we and Java agree on bytes, or what we say if we do not.
pub fn outcome(
    release: &str,
    codec: &Codec,
    version: i16,
    bytes: &[u8],
    answer: &Answer,
) -> Result<&'static str, String> {
    let ours = (codec.recode)(bytes, version, &Limits::DEFAULT);
    match (&ours, answer) {
        (
            Ok(ours),
            Answer::Accepted {
                hex: theirs,
                full,
                remaining: 0,
                ..
            },
        ) if hex(ours) == *theirs => {
            let json = codec.to_json(bytes, version, &Limits::DEFAULT);
            if json.as_ref().is_ok_and(|(json, _)| same(json, full)) {
                return Ok("accepted alike");
            }
            return Err(format!("another value: {json:?}"));
        }
        (Err(_), answer) if answer.is_refusal() => return Ok("refused alike"),
        _ => {}
    }
    let row = DIFFERENCES.iter().find(|row| {
        row.only.is_none_or(|only| only == release)
            && row
                .explains
                .is_some_and(|explains| explains(codec, version, bytes, &ours, answer))
    });
    match row {
        Some(row) => Ok(row.name),
        None => Err(match ours {
            Ok(ours) => format!("accepted, {}", hex(&ours)),
            Err(error) => format!("refused, {error}"),
        }),
    }
}

/// Whether nothing but strings is wrong with the bytes: with letters in the place of what is not
/// UTF-8, we take them, or refuse them for another difference.
fn was_utf8_alone(codec: &Codec, version: i16, bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    loop {
        let ours = (codec.recode)(&bytes, version, &Limits::DEFAULT);
        let end = match &ours {
            Err(CodecError::Decode(error)) if *error.kind() == DecodeErrorKind::InvalidUtf8 => {
                error.offset()
            }
            _ => {
                let left = |kind: &_| matches!(kind, DecodeErrorKind::TrailingBytes { .. });
                return ours.is_ok() || is_decode(&ours, left) || contradicts_size(&bytes, &ours);
            }
        };
        // The error is where the string ends; a byte of it that is no letter is before that.
        match bytes[..end].iter().rposition(|byte| !byte.is_ascii()) {
            Some(at) => bytes[at] = b'x',
            None => return false,
        }
    }
}

/// Whether bytes are refused because the size of a tagged field is wrong.
fn contradicts_size(bytes: &[u8], ours: &Ours) -> bool {
    let Err(CodecError::Decode(error)) = ours else {
        return false;
    };
    match error.kind() {
        DecodeErrorKind::TagSize { .. } => true,
        // A size beyond the end is seen before the tag is looked at.
        DecodeErrorKind::Truncated { wanted, .. } => {
            ends_in_varint(&bytes[..error.offset()], *wanted)
        }
        _ => false,
    }
}

/// Whether the bytes end in that number, which is then the one that was just read.
fn ends_in_varint(bytes: &[u8], wanted: usize) -> bool {
    (1..=bytes.len().min(5)).any(|len| {
        let varint = bytes[bytes.len() - len..].iter().enumerate();
        let value = varint.fold(0, |value, (place, byte)| {
            value | u32::from(byte & 0x7f) << (7 * place)
        });
        value as usize == wanted
    })
}

fn is_decode(ours: &Ours, holds: impl Fn(&DecodeErrorKind) -> bool) -> bool {
    matches!(ours, Err(CodecError::Decode(error)) if holds(error.kind()))
}
