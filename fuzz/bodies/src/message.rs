//! One message: everything that reads its bytes agrees, and what is written is read as the same.

use bytes::Bytes;
use kwire_protocol::codec::{Codec, find};
use kwire_protocol::json::{Mode, bytes_to_json};
use kwire_protocol::schema::Schema;
use kwire_protocol::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Limits};
use serde_json::Value;

use crate::fixtures::{bytes, int, lines};
use crate::input::Input;

/// Every message, by name.
pub(crate) static CODECS: &[Codec] = kwire_protocol::for_each_message!(kwire_protocol::codec_table);

/// What a message comes to through its struct.
struct Typed {
    /// What the struct's own reader says, before the table is asked where an error lies.
    raw: fn(&[u8], i16, bool) -> Option<DecodeError>,
    decode: fn(&Bytes, i16) -> Result<Decoded, DecodeError>,
    /// The error of decoding what shares its frame.
    shared: fn(&Bytes, i16) -> Option<DecodeError>,
    /// The bytes of what is at the beginning, and how many bytes follow.
    prefix: fn(&[u8], i16) -> Result<Prefix, DecodeError>,
}

type Encoded = Result<Vec<u8>, EncodeError>;
type Prefix = (Encoded, usize);

/// The same message thrice: borrowing from its bytes, sharing them, and cut loose.
struct Decoded {
    /// Whether the value equals itself: not if there is a NaN in it.
    reflexive: bool,
    equal: bool,
    encoded: [Encoded; 3],
    len: Result<usize, EncodeError>,
    json: Option<Value>,
    /// Whether the bytes decode to an equal value.
    again: Option<bool>,
}

macro_rules! typed_table {
    ($($name:ident),* $(,)?) => {
        &[$(Typed {
            raw: |bytes, version, flexible| {
                use kwire_protocol::runtime::{Read, Reader};
                let mut reader = Reader::new(bytes, flexible, &Limits::DEFAULT);
                let mut message = kwire_protocol::messages::$name::default();
                message.read(&mut reader, version).and_then(|()| reader.finish()).err()
            },
            decode: |frame, version| {
                use kwire_protocol::{IntoOwned, Message};
                let message: kwire_protocol::messages::$name =
                    Message::decode_with(frame, version, &Limits::DEFAULT)?;
                let shared: kwire_protocol::messages::$name =
                    Message::decode_shared(frame, version, &Limits::DEFAULT)?;
                let owned = message.clone().into_owned();
                let encoded = message.encode_to_vec(version);
                let again = encoded.as_ref().ok().map(|bytes| {
                    let again: kwire_protocol::messages::$name =
                        Message::decode(bytes, version).expect("what was written is read");
                    again == message
                });
                Ok(Decoded {
                    reflexive: message.clone() == message,
                    equal: shared == message && owned == message,
                    len: message.encoded_len(version),
                    json: kwire_protocol::json::to_json(&message, version).ok(),
                    again,
                    encoded: [
                        encoded,
                        shared.into_owned().encode_to_vec(version),
                        owned.encode_to_vec(version),
                    ],
                })
            },
            shared: |frame, version| {
                let shared: Result<kwire_protocol::messages::$name, _> =
                    kwire_protocol::Message::decode_shared(frame, version, &Limits::DEFAULT);
                shared.err()
            },
            prefix: |bytes, version| {
                use kwire_protocol::Message;
                let (message, rest): (kwire_protocol::messages::$name, _) =
                    Message::decode_prefix(bytes, version, &Limits::DEFAULT)?;
                let mut out = b"before".to_vec();
                let encoded = message.encode(version, &mut out);
                assert!(out.starts_with(b"before"));
                Ok((encoded.map(|()| out.split_off(6)), rest.len()))
            },
        }),*]
    };
}

static TYPED: &[Typed] = kwire_protocol::for_each_message!(typed_table);

/// Chooses a message and a version by the first three bytes, any of which mean something.
pub(crate) fn choose(input: &mut Input<'_>) -> (usize, i16) {
    let index = usize::from(input.u16()) % CODECS.len();
    let versions = CODECS[index].schema.versions;
    let count = versions.highest - versions.lowest + 1;
    (index, versions.lowest + i16::from(input.u8()) % count)
}

/// The three bytes with which [`choose`] chooses the message; `None` if there is no such version.
pub(crate) fn chosen(name: &str, version: i16) -> Option<[u8; 3]> {
    let (codec, version) = find(CODECS, name, version)?;
    let schema: &Schema = codec.schema;
    if !schema.versions.contains(version) {
        return None;
    }
    let index = CODECS
        .iter()
        .position(|other| other.schema.name == schema.name)?;
    let [high, low] = u16::try_from(index).ok()?.to_be_bytes();
    let version = u8::try_from(version - schema.versions.lowest).ok()?;
    Some([high, low, version])
}

/// The input of [`message`] for these bytes of a message.
///
/// # Panics
/// When there is no such message or version.
#[must_use]
pub fn message_input(name: &str, version: i16, bytes: &[u8]) -> Vec<u8> {
    let choice = chosen(name, version);
    let choice = choice.unwrap_or_else(|| panic!("there is no {name} v{version}"));
    [&choice[..], bytes].concat()
}

/// The message that the first three bytes choose, in the others.
pub fn message(data: &[u8]) {
    let mut input = Input::new(data);
    let (index, version) = choose(&mut input);
    let (typed, codec) = (&TYPED[index], &CODECS[index]);
    let schema = codec.schema;
    let frame = Bytes::copy_from_slice(input.rest());
    let name = format_args!("{} v{version}", schema.name).to_string();

    let walked = bytes_to_json(schema, version, &frame, &Limits::DEFAULT);
    let raw = (typed.raw)(&frame, version, schema.flexible.contains(version));
    match (typed.decode)(&frame, version) {
        Ok(decoded) => {
            assert_eq!(raw, None, "{name}: the reader and decoding disagree");
            let json = match walked {
                Ok(json) => Some(json),
                // JSON takes more than the message, and has its own budget.
                Err(error) if is_over_budget(&error) => None,
                Err(error) => panic!("{name}: the table refuses: {error}"),
            };
            accepted(codec, version, &name, &frame, &decoded, json);
            let longer = [&frame[..], b"more"].concat();
            let (prefix, left) = (typed.prefix)(&longer, version).expect("a prefix");
            assert_eq!((prefix, left), (decoded.encoded[0].clone(), 4), "{name}");
        }
        Err(error) => {
            assert_eq!(
                (typed.shared)(&frame, version).as_ref(),
                Some(&error),
                "{name}"
            );
            let raw = raw.unwrap_or_else(|| panic!("{name}: the reader accepts: {error}"));
            assert!(same_reason(&raw, &error), "{name}: {raw}, but {error}");
            match walked {
                Err(walked) if is_over_budget(&walked) => {}
                Err(walked) => assert_eq!(
                    (walked.kind(), walked.offset(), walked.path()),
                    (error.kind(), error.offset(), error.path()),
                    "{name}"
                ),
                Ok(_) => panic!("{name}: the table accepts, but: {error}"),
            }
        }
    }
}

fn accepted(
    codec: &Codec,
    version: i16,
    name: &str,
    frame: &Bytes,
    decoded: &Decoded,
    walked: Option<Value>,
) {
    let Decoded {
        reflexive,
        equal,
        encoded: [borrowed, shared, owned],
        len,
        json,
        again,
    } = decoded;
    assert!(*equal || !reflexive, "{name}: sharing or owning changes it");
    assert_eq!(borrowed, shared, "{name}: sharing changes the bytes");
    assert_eq!(borrowed, owned, "{name}: owning changes the bytes");
    let bytes = match borrowed {
        Ok(bytes) => bytes,
        Err(error) => {
            // Unknown tags come in any order, and are written in one only.
            assert!(
                matches!(
                    error.kind(),
                    EncodeErrorKind::TagOrder { .. } | EncodeErrorKind::TagTooHigh { .. }
                ),
                "{name}: {error}"
            );
            assert_eq!(
                len.as_ref(),
                Err(error),
                "{name}: the size has another error"
            );
            assert!(json.is_none(), "{name}");
            return;
        }
    };
    assert_eq!(len.as_ref(), Ok(&bytes.len()), "{name}: the size is wrong");
    assert_eq!(
        *again,
        Some(*reflexive),
        "{name}: written and read it is another"
    );

    let json = json
        .as_ref()
        .unwrap_or_else(|| panic!("{name}: it has no JSON"));
    let text = json.to_string();
    if let Some(walked) = walked
        && bytes[..] == frame[..]
    {
        assert_eq!(walked, *json, "{name}: the JSON is another");
    }
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let written = (codec.encode_json)(&json, version, Mode::Strict)
        .unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    // JSON has one NaN only.
    if *reflexive {
        assert_eq!(written, *bytes, "{name}: JSON changes it: {text}");
    }
    let lenient = (codec.encode_json)(&json, version, Mode::Defaults);
    assert_eq!(lenient.as_ref(), Ok(&written), "{name}: {text}");
}

pub(crate) fn is_over_budget(error: &DecodeError) -> bool {
    matches!(error.kind(), DecodeErrorKind::OverBudget { .. })
}

/// Whether the struct's reader gave up for the reason that the table gives. It looks further ahead:
/// at all of a run, and at the least that all elements of an array take.
fn same_reason(raw: &DecodeError, located: &DecodeError) -> bool {
    match raw.kind() {
        DecodeErrorKind::Truncated { .. } => {
            matches!(located.kind(), DecodeErrorKind::Truncated { .. })
                && raw.offset() <= located.offset()
        }
        DecodeErrorKind::ArrayTooLong { .. } => raw.offset() <= located.offset(),
        other => (other, raw.offset()) == (located.kind(), located.offset()),
    }
}

/// Java's corpora: what it wrote, and what it wrote cut short.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for release in ["4.4.0", "3.9.2"] {
        for kind in ["corpus", "negative"] {
            for line in lines(&format!("java/{kind}-{release}.jsonl.gz")) {
                let name = line["schema"].as_str().expect("a name");
                let choice = chosen(name, int(&line, "version"));
                if let (Some(choice), Some(bytes)) = (choice, bytes(&line)) {
                    seeds.push([&choice[..], &bytes].concat());
                }
            }
        }
    }
    seeds
}
