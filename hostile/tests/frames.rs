//! Whole requests and responses: their lengths, headers and bodies, as they come before anybody has
//! been authenticated.

use std::collections::BTreeMap;

use kwire_hostile::cost::{self, Bound, Worst};
use kwire_hostile::damage::{Random, replaced, replacements, varint};
use kwire_hostile::fixtures::{lines, unhex};
use kwire_hostile::layout;
use kwire_protocol::messages::{RequestHeader, ResponseHeader};
use kwire_protocol::negotiate::decode_api_versions_response;
use kwire_protocol::{ApiKey, DecodeErrorKind, Limits, Message, frame};

/// As for messages, for a header and for what is behind it.
const BOUND: Bound = Bound {
    total: 144,
    peak: 128,
    constant: 4096,
};

const LIMITS: Limits = Limits::DEFAULT;

/// A frame without its length, and how it is to be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    api_key: i16,
    version: i16,
    is_request: bool,
    bytes: Vec<u8>,
}

impl Frame {
    /// The bytes of the header, with its table and version.
    fn header(&self) -> Option<(&[u8], &'static kwire_protocol::schema::Schema, i16)> {
        let (body, schema, version) = if self.is_request {
            let parts = frame::decode_request_header(&self.bytes).ok()?;
            (parts.body, RequestHeader::SCHEMA, parts.header_version)
        } else {
            let api = ApiKey(self.api_key);
            let parts = frame::decode_response_header(api, self.version, &self.bytes).ok()?;
            (parts.body, ResponseHeader::SCHEMA, parts.header_version)
        };
        let len = self.bytes.len() - body.len();
        Some((&self.bytes[..len], schema, version))
    }

    fn decode(&self, bytes: &[u8], worst: &mut Worst) {
        let api = ApiKey(self.api_key);
        let cost = match self.is_request {
            true => cost::of(|| frame::decode_request(bytes, &LIMITS).map(drop)),
            false => {
                cost::of(|| frame::decode_response(api, self.version, bytes, &LIMITS).map(drop))
            }
        };
        worst.see(cost, bytes.len(), &BOUND, || {
            format!("{api} v{}", self.version)
        });
        if api == ApiKey::API_VERSIONS && !self.is_request {
            let cost =
                cost::of(|| decode_api_versions_response(self.version, bytes, &LIMITS).map(drop));
            worst.see(cost, bytes.len(), &BOUND, || {
                "ApiVersions response".to_owned()
            });
        }
    }
}

/// A recorded frame of each API, version and direction: the shortest.
fn frames() -> Vec<Frame> {
    let mut found: BTreeMap<(i16, i16, bool), Frame> = BTreeMap::new();
    for release in ["4.3.1", "3.9.2"] {
        for line in lines(&format!("captures/captures-{release}.jsonl.gz")) {
            let frame = Frame {
                api_key: line["apiKey"].as_i64().unwrap() as i16,
                version: line["apiVersion"].as_i64().unwrap() as i16,
                is_request: line["dir"] == "req",
                bytes: unhex(line["hex"].as_str().unwrap()),
            };
            if line["truncated"] == true {
                continue;
            }
            let key = (frame.api_key, frame.version, frame.is_request);
            match found.get(&key) {
                Some(other) if other.bytes.len() <= frame.bytes.len() => {}
                _ => drop(found.insert(key, frame)),
            }
        }
    }
    found.into_values().collect()
}

#[test]
fn recorded_frames_damaged() {
    let mut worst = Worst::default();
    let mut random = Random::new(20_260_102);
    let frames = frames();
    for frame in &frames {
        for len in 0..frame.bytes.len().min(1500) {
            frame.decode(&frame.bytes[..len], &mut worst);
        }
        for _ in 0..200 {
            frame.decode(&random.flipped(&frame.bytes), &mut worst);
        }
        let (header, schema, version) = frame.header().unwrap();
        for site in layout::sites(schema, version, header).unwrap() {
            for with in replacements(&site, frame.bytes.len() - site.end) {
                frame.decode(&replaced(&frame.bytes, &site, &with), &mut worst);
            }
        }
    }
    println!("{} frames: {worst}", frames.len());
    assert!(
        frames.len() > 40 && worst.inputs > 20_000,
        "{}",
        frames.len()
    );
}

/// All keys and versions, known or not, in front of bytes that may be anything.
#[test]
fn any_api_and_version() {
    let mut worst = Worst::default();
    let mut random = Random::new(20_260_103);
    let versions = [i16::MIN, -1, 0, 1, 2, 3, 4, 9, 12, 18, 99, i16::MAX];
    for api_key in (-2..130).chain([i16::MIN, i16::MAX]) {
        for version in versions {
            let mut bytes = [api_key.to_be_bytes(), version.to_be_bytes()].concat();
            bytes.extend((0..40).map(|_| random.below(4) as u8));
            for is_request in [true, false] {
                let frame = Frame {
                    api_key,
                    version,
                    is_request,
                    bytes: Vec::new(),
                };
                frame.decode(&bytes, &mut worst);
                frame.decode(&bytes[4..], &mut worst);
            }
        }
    }
    println!("any API and version: {worst}");
}

/// The header's tagged fields come before authentication, and cost what other tags do.
#[test]
fn tags_of_the_header() {
    let mut worst = Worst::default();
    let header = [
        &ApiKey::API_VERSIONS.0.to_be_bytes()[..],
        b"\0\x03\0\0\0\x07\xff\xff",
    ]
    .concat();
    for (count, sent) in [
        (0, 0),
        (1, 1),
        (10_000, 10_000),
        (10_001, 10_001),
        (u32::MAX, 9),
        (1 << 31, 9),
    ] {
        for tag in [
            &b"\x7f\0"[..],
            b"\0\0",
            b"\x7f\x01x",
            b"\x7f\xff\xff\xff\xff\x0f",
        ] {
            let bytes = [
                &header[..],
                &varint(count),
                &tag.repeat(sent),
                b"\x02e\x021\0",
            ]
            .concat();
            let frame = Frame {
                api_key: 18,
                version: 3,
                is_request: true,
                bytes,
            };
            frame.decode(&frame.bytes, &mut worst);
            let refused = frame::decode_request(&frame.bytes, &LIMITS).err();
            let is_over = refused.is_some_and(|error| {
                matches!(
                    error.kind(),
                    DecodeErrorKind::TagsOverLimit { limit: 10_000, .. }
                )
            });
            assert_eq!(is_over, count > 10_000, "{count} tags of {tag:x?}");
        }
    }
    println!("header tags: {worst}");
}

/// No length before a frame makes anything be allocated but the error.
#[test]
fn lengths_of_frames() {
    let mut tried = 0;
    for len in [
        0,
        1,
        8,
        104_857_600,
        104_857_601,
        i32::MAX,
        -1,
        -2,
        i32::MIN,
        0x1603_0100,
        0x4745_5420,
    ] {
        for behind in [0, 4, 7, 8, 9] {
            let bytes = [&len.to_be_bytes()[..], &vec![0; behind]].concat();
            for end in 0..=bytes.len() {
                tried += 1;
                let cost = cost::of(|| {
                    frame::split_frame(&bytes[..end], frame::DEFAULT_MAX_LEN).map(drop)
                });
                assert!(cost.total < 200, "{len}: {cost:?}");
            }
        }
    }
    println!("{tried} frame lengths");
}
