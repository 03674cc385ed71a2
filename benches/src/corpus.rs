//! How many of the bytes that Kafka's Java classes wrote kafka-protocol reads and writes again.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use kafka_protocol::messages::{self, ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable};
use serde_json::Value;

const CORPUS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../protocol/tests/fixtures/java/corpus-4.4.0.jsonl.gz"
);

pub fn run() -> Result<(), Box<dyn Error>> {
    let (mut lines, mut same) = (0, 0);
    for line in BufReader::new(GzDecoder::new(File::open(CORPUS)?)).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        lines += 1;
        same += usize::from(holds(&line) == Some(true));
    }
    println!("corpus of Kafka 4.4.0: kafka-protocol writes {same} of {lines} lines as Java does");
    Ok(())
}

/// Whether the bytes come out as they went in; `None` if the message or the line is not known.
fn holds(line: &Value) -> Option<bool> {
    let version = line["version"].as_i64()?.try_into().ok()?;
    let bytes = unhex(line["hex"].as_str()?)?;
    let key = || ApiKey::try_from(i16::try_from(line["apiKey"].as_i64()?).ok()?).ok();
    let mut rest = bytes.clone();
    let mut out = BytesMut::new();
    match (line["type"].as_str()?, line["schema"].as_str()?) {
        ("request", _) => {
            let message = RequestKind::decode(key()?, &mut rest, version).ok()?;
            message.encode(&mut out, version).ok()?;
        }
        ("response", _) => {
            let message = ResponseKind::decode(key()?, &mut rest, version).ok()?;
            message.encode(&mut out, version).ok()?;
        }
        (_, schema) => again(schema, &mut rest, version, &mut out)?,
    }
    Some(rest.is_empty() && out == bytes)
}

/// Decodes and encodes what is neither a request nor a response.
fn again(schema: &str, bytes: &mut Bytes, version: i16, out: &mut BytesMut) -> Option<()> {
    macro_rules! again {
        ($($name:ident)*) => {
            match schema {
                $(stringify!($name) => {
                    let message = messages::$name::decode(bytes, version).ok()?;
                    message.encode(out, version).ok()
                })*
                _ => None,
            }
        };
    }
    again!(
        RequestHeader ResponseHeader ConsumerProtocolAssignment ConsumerProtocolSubscription
        DefaultPrincipalData EndTxnMarker KRaftVersionRecord LeaderChangeMessage
        SnapshotFooterRecord SnapshotHeaderRecord VotersRecord
    )
}

fn unhex(text: &str) -> Option<Bytes> {
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}
