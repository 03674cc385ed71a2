//! Every message at every version: what has to hold whatever the values are.

use crate::common::{CODECS, lines, unhex};
use kwire_protocol::codec::{CodecError, find};
use kwire_protocol::json::{Mode, bytes_to_json};
use kwire_protocol::{DecodeError, DecodeErrorKind, EncodeErrorKind, Limits};
use serde_json::json;

/// What the generated structs say of a message beyond its bytes.
struct Typed {
    name: &'static str,
    /// The exact size that encoding promises, and whether values are equal that borrow nothing.
    check: fn(&[u8], i16) -> (usize, bool),
    /// What the generated code makes of the bytes, before the table has a say in it.
    read: fn(&[u8], i16, bool) -> Result<(), DecodeError>,
}

macro_rules! typed_table {
    ($($name:ident),* $(,)?) => {
        &[$(Typed {
            name: stringify!($name),
            check: |bytes, version| {
                use kwire_protocol::{IntoOwned, Message};
                let message: kwire_protocol::messages::$name =
                    Message::decode(bytes, version).expect("decodes");
                let len = message.encoded_len(version).expect("has a size");
                let owned = message.clone().into_owned();
                let frame = bytes::Bytes::copy_from_slice(bytes);
                let shared: kwire_protocol::messages::$name =
                    Message::decode_shared(&frame, version, &Limits::DEFAULT).expect("decodes");
                drop(frame);
                let is_same = owned == message && shared == message;
                let both = [owned, shared];
                let mut encoded = both.iter().map(|m| m.encode_to_vec(version).expect("encodes"));
                (len, is_same && encoded.all(|encoded| encoded == bytes))
            },
            read: |bytes, version, flexible| {
                use kwire_protocol::runtime::{Read, Reader};
                let mut reader = Reader::new(bytes, flexible, &Limits::DEFAULT);
                let mut message = kwire_protocol::messages::$name::default();
                message.read(&mut reader, version)?;
                reader.finish()
            },
        }),*]
    };
}

static TYPED: &[Typed] = kwire_protocol::for_each_message!(typed_table);

#[test]
fn every_line_of_the_tables_is_understood() {
    for codec in CODECS {
        let (name, structs) = (codec.schema.name, &codec.schema.structs);
        let fields: usize = structs.iter().map(|structure| structure.fields.len()).sum();
        assert_eq!(structs.len() + fields, structs.lines().len(), "{name}");
        assert_eq!(structs[0].name, name);
    }
}

#[test]
fn defaults_of_every_version() {
    let (mut pairs, mut messages) = (0, 0);
    for codec in CODECS {
        messages += 1;
        let versions = codec.schema.versions;
        for version in versions.lowest..=versions.highest {
            pairs += 1;
            let name = format!("{} v{version}", codec.schema.name);
            let bytes = (codec.encode_json)(&json!({}), version, Mode::Defaults)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let (value, recoded) = codec
                .to_json(&bytes, version, &Limits::DEFAULT)
                .expect(&name);
            assert_eq!(recoded, bytes, "{name}");
            let strictly = (codec.encode_json)(&value, version, Mode::Strict).expect(&name);
            assert_eq!(strictly, bytes, "{name}");
            let typed = TYPED
                .iter()
                .find(|typed| typed.name == codec.schema.name)
                .expect(&name);
            assert_eq!(
                (typed.check)(&bytes, version),
                (bytes.len(), true),
                "{name}"
            );
        }
    }
    println!("{messages} messages, {pairs} pairs of message and version");
    assert!(pairs >= 863, "{pairs}");
}

#[test]
fn exact_size_and_owned_values_of_the_corpora() {
    for release in ["4.4.0", "3.9.2"] {
        for line in lines(&format!("java/corpus-{release}.jsonl.gz")) {
            let version = line["version"].as_i64().unwrap() as i16;
            let Some((codec, version)) = find(CODECS, line["schema"].as_str().unwrap(), version)
            else {
                continue;
            };
            let bytes = unhex(line["hex"].as_str().unwrap());
            if (codec.recode)(&bytes, version, &Limits::DEFAULT).is_err() {
                continue; // Listed in the table of exceptions, which the corpus test checks.
            }
            let typed = TYPED
                .iter()
                .find(|typed| typed.name == codec.schema.name)
                .unwrap();
            assert_eq!(
                (typed.check)(&bytes, version),
                (bytes.len(), true),
                "{line}"
            );
        }
    }
}

#[test]
fn versions_outside_the_range_are_refused() {
    for codec in CODECS {
        let name = codec.schema.name;
        let versions = codec.schema.versions;
        for version in [
            i16::MIN,
            -1,
            versions.lowest - 1,
            versions.highest + 1,
            i16::MAX,
        ] {
            match (codec.recode)(&[0; 64], version, &Limits::DEFAULT) {
                Err(CodecError::Decode(error)) => {
                    assert!(
                        matches!(error.kind(), DecodeErrorKind::UnsupportedVersion { .. }),
                        "{name}: {error}"
                    );
                }
                other => panic!("{name} v{version}: {other:?}"),
            }
            match (codec.encode_json)(&json!({}), version, Mode::Defaults) {
                Err(CodecError::Encode(error)) => {
                    assert!(
                        matches!(error.kind(), EncodeErrorKind::UnsupportedVersion { .. }),
                        "{name}: {error}"
                    );
                }
                other => panic!("{name} v{version}: {other:?}"),
            }
        }
    }
}

/// Two readers of the same bytes, one generated and one driven by the table: for every
/// truncation and many changed bytes they accept and refuse alike, for the same reason. The error
/// that decoding gives in the end is the table's, so the generated code's is looked at before.
#[test]
fn generated_code_and_table_agree_on_damaged_bytes() {
    let mut damaged = 0;
    let mut refused = 0;
    for line in lines("java/corpus-4.4.0.jsonl.gz") {
        let bytes = unhex(line["hex"].as_str().unwrap());
        if line["case"] == 0 || bytes.len() > 400 {
            continue;
        }
        let version = line["version"].as_i64().unwrap() as i16;
        let (codec, version) = find(CODECS, line["schema"].as_str().unwrap(), version).unwrap();
        let mut inputs: Vec<Vec<u8>> = (0..bytes.len()).map(|len| bytes[..len].to_vec()).collect();
        for at in (0..bytes.len()).step_by(3) {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                inputs.push(changed);
            }
        }
        for input in inputs {
            damaged += 1;
            let generated = (codec.recode)(&input, version, &Limits::DEFAULT);
            let walked = bytes_to_json(codec.schema, version, &input, &Limits::DEFAULT);
            let generated = match generated {
                // Encoding refuses unknown tags out of order, which is not decoding's business.
                Ok(_) | Err(CodecError::Encode(_)) => None,
                Err(CodecError::Decode(error)) => Some((error.kind().clone(), error.offset())),
                Err(error) => panic!("{error}"),
            };
            let walked = walked
                .err()
                .map(|error| (error.kind().clone(), error.offset()));
            refused += usize::from(walked.is_some());
            let name = codec.schema.name;
            assert_eq!(generated, walked, "{name} v{version}");
            let typed = TYPED.iter().find(|typed| typed.name == name).unwrap();
            let flexible = codec.schema.flexible.contains(version);
            let raw = (typed.read)(&input, version, flexible).err();
            match (raw, walked) {
                (None, None) => {}
                (Some(raw), Some((kind, offset))) => {
                    assert!(
                        same_reason(&raw, &kind, offset),
                        "{name} v{version}: {raw}, {kind}"
                    );
                }
                (raw, walked) => panic!("{name} v{version}: {raw:?}, {walked:?}"),
            }
        }
    }
    println!("{damaged} damaged messages, {refused} refused");
    assert!(
        refused > 100_000 && damaged > refused,
        "{damaged} {refused}"
    );
}

/// Whether the generated code gave up for the reason that the table gives. It looks further ahead:
/// at all of a run, and at the least that all elements of an array take.
fn same_reason(raw: &DecodeError, kind: &DecodeErrorKind, offset: usize) -> bool {
    match raw.kind() {
        DecodeErrorKind::Truncated { .. } => {
            matches!(kind, DecodeErrorKind::Truncated { .. }) && raw.offset() <= offset
        }
        DecodeErrorKind::ArrayTooLong { .. } => raw.offset() <= offset,
        other => (other, raw.offset()) == (kind, offset),
    }
}
