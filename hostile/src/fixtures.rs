//! What Kafka's Java classes wrote.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::messages::{self, Codec};

/// The lines of a file of fixtures that is compressed.
///
/// # Panics
/// If there is no such file, or it is damaged.
pub fn lines(path: &str) -> impl Iterator<Item = Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../protocol/tests/fixtures")
        .join(path);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    BufReader::new(GzDecoder::new(file))
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("a line of JSON"))
}

/// Bytes from their hex.
///
/// # Panics
/// If it is not hex.
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}

/// A message at a version, with bytes of it that are good.
#[derive(Debug)]
pub struct Seeds {
    /// The message.
    pub codec: &'static Codec,
    /// The version.
    pub version: i16,
    /// Different bytes, the shortest first.
    pub bytes: Vec<Vec<u8>>,
}

/// Good bytes of at most `max_len` of every message at every version: from each of the three
/// corpora those that decode, and what `worst` writes with an element in each array.
pub fn seeds(max_len: usize) -> Vec<Seeds> {
    let mut found: BTreeMap<(&str, i16), Vec<Vec<u8>>> = BTreeMap::new();
    for codec in messages::ALL {
        for version in codec.schema.versions.lowest..=codec.schema.versions.highest {
            let filled = crate::worst::filled(codec.schema, version);
            found.insert((codec.schema.name, version), vec![filled]);
        }
    }
    for release in ["4.4.0", "3.9.2", "2.8.2"] {
        for line in lines(&format!("java/corpus-{release}.jsonl.gz")) {
            let version = line["version"].as_i64().unwrap_or(-1) as i16;
            let name = line["schema"].as_str().unwrap_or_default();
            let Some(codec) = messages::named(name) else {
                continue; // A name that a later release changed; its bytes are there under that.
            };
            let bytes = unhex(line["hex"].as_str().unwrap_or_default());
            let Some(all) = found.get_mut(&(codec.schema.name, version)) else {
                continue;
            };
            if bytes.len() <= max_len && !all.contains(&bytes) {
                all.push(bytes);
            }
        }
    }
    let seeds = found
        .into_iter()
        .filter_map(|((name, version), mut bytes)| {
            let codec = messages::named(name)?;
            let limits = kwire_protocol::Limits::DEFAULT;
            bytes.retain(|bytes| (codec.borrowed)(bytes, version, &limits).is_ok());
            bytes.sort_by_key(Vec::len);
            Some(Seeds {
                codec,
                version,
                bytes,
            })
        });
    seeds.collect()
}
