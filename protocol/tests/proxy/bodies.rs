//! Bodies of messages out of the corpora and captures, and what becomes of them on a bad line.

use kwire_protocol::ApiKey;
use kwire_protocol::frame::{decode_request_header, decode_response_header};
use serde_json::Value;

use crate::fixtures::{lines, unhex};

/// A body, as Java or a node wrote it.
pub struct Body {
    pub message: String,
    pub version: i16,
    pub bytes: Vec<u8>,
}

/// The lines of all corpora, and the whole frames of all captures.
pub fn bodies() -> Vec<Body> {
    let corpora = ["2.8.2", "3.9.2", "4.4.0"];
    let corpora = corpora
        .iter()
        .flat_map(|release| lines(&format!("java/corpus-{release}.jsonl.gz")));
    let captures = ["3.9.2", "4.3.1"];
    let captures = captures
        .iter()
        .flat_map(|release| frames(release))
        .filter_map(|line| frame(&line));
    corpora.map(|line| corpus(&line)).chain(captures).collect()
}

/// The lines of a capture.
pub fn frames(release: &str) -> impl Iterator<Item = Value> + use<> {
    lines(&format!("captures/captures-{release}.jsonl.gz"))
}

fn int(line: &Value, name: &str) -> i16 {
    line[name].as_i64().unwrap() as i16
}

fn corpus(line: &Value) -> Body {
    Body {
        message: line["schema"].as_str().unwrap().to_owned(),
        version: int(line, "version"),
        bytes: unhex(line["hex"].as_str().unwrap()),
    }
}

fn frame(line: &Value) -> Option<Body> {
    if line.get("truncated").is_some() {
        return None;
    }
    let bytes = unhex(line["hex"].as_str().unwrap());
    let (key, version) = (ApiKey(int(line, "apiKey")), int(line, "apiVersion"));
    let (kind, body) = match line["dir"].as_str() {
        Some("req") => ("Request", decode_request_header(&bytes).unwrap().body),
        _ => (
            "Response",
            decode_response_header(key, version, &bytes).unwrap().body,
        ),
    };
    Some(Body {
        message: format!("{}{kind}", key.name().unwrap()),
        version,
        bytes: body.to_vec(),
    })
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Damaged forms of the bytes: cut short, with bits flipped, with bytes replaced by telling ones.
pub fn damaged(bytes: &[u8], numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..8.min(bytes.len()) {
        all.push(bytes[..numbers.below(bytes.len())].to_vec());
    }
    for _ in 0..40.min(8 * bytes.len()) {
        let mut one = bytes.to_vec();
        let at = numbers.below(one.len());
        match numbers.below(3) {
            0 => one[at] ^= 1 << numbers.below(8),
            1 => one[at] = [0, 1, 2, 0x7f, 0x80, 0xff][numbers.below(6)],
            _ => one.insert(at, [0, 1, 0x80, 0xff][numbers.below(4)]),
        }
        all.push(one);
    }
    all
}
