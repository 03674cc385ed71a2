//! Records that stay where they are.

use std::hint::black_box;

use bytes::BytesMut;
use kwire_protocol::Message;
use kwire_protocol::messages::{FetchResponse, ProduceRequest};
use kwire_protocol::segments::DEFAULT_THRESHOLD;

use super::passing::passing;
use super::{Body, Case, KWIRE, WHOLE, body};
use crate::cases;
use crate::peers::keep;
use crate::timing::{Entry, Operation};

const SEGMENTS: Operation = Operation::Segments;

/// Encoding alone, and what a proxy does with a message: decoding and encoding.
macro_rules! segments {
    ($encode:literal, $pass:literal, $message:ident $module:ident, $body:expr) => {{
        let message: Body = $body;
        let (frame, version) = message;
        let value = keep($message::decode(frame, version).expect("decodes"));
        let segments = value.encode_segments(version).expect("encodes");
        assert!(segments.to_vec() == *frame, "the segments differ");
        let mut out = Vec::new();
        let mut buffer = Vec::new();
        let mut encoding = vec![
            Entry::new(SEGMENTS, KWIRE, move || {
                black_box(value).encode_segments(black_box(version))
            }),
            Entry::new(SEGMENTS, KWIRE, move || {
                buffer.clear();
                let segments = black_box(value)
                    .encode_segments_with(
                        black_box(version),
                        DEFAULT_THRESHOLD,
                        std::mem::take(&mut buffer),
                    )
                    .expect("encodes");
                black_box(&segments);
                buffer = segments.into_buffer();
            }),
            Entry::new(SEGMENTS, WHOLE, move || {
                out.clear();
                let done = black_box(value).encode(black_box(version), &mut out);
                black_box(&out);
                done
            }),
        ];
        encoding.extend(peer!($message, message));
        let mut buffer = Vec::new();
        let mut passing = passing!(SEGMENTS, $message $module, message, frame, |value| ());
        passing.insert(0, Entry::new(SEGMENTS, KWIRE, move || {
            buffer.clear();
            let value = $message::decode(black_box(frame), black_box(version)).expect("decodes");
            let segments = value
                .encode_segments_with(
                    black_box(version),
                    DEFAULT_THRESHOLD,
                    std::mem::take(&mut buffer),
                )
                .expect("encodes");
            black_box(&segments);
            buffer = segments.into_buffer();
        }));
        [($encode, encoding), ($pass, passing)]
    }};
}

/// kafka-protocol's encoding alone. krabka-protocol's is of records one by one.
macro_rules! peer {
    ($message:ident, $body:expr) => {{
        use ::kafka_protocol::messages::$message;
        use ::kafka_protocol::protocol::{Decodable as _, Encodable as _};
        let (frame, version): Body = $body;
        let value = keep($message::decode(&mut frame.clone(), version).expect("decodes"));
        let mut out = BytesMut::new();
        [Entry::new(SEGMENTS, super::KAFKA, move || {
            out.clear();
            let done = black_box(value).encode(&mut out, black_box(version));
            black_box(&out);
            done
        })]
    }};
}

pub fn cases() -> Vec<Case> {
    let fetched = body(&cases::fetch_response(), 17);
    let produce = body(&cases::produce(), 11);
    let mut cases = Vec::new();
    cases.extend(segments!(
        "encode FetchResponse, 1 MiB",
        "decode and encode FetchResponse, 1 MiB (c)",
        FetchResponse fetch_response,
        fetched
    ));
    cases.extend(segments!(
        "encode ProduceRequest, 1 MiB",
        "decode and encode ProduceRequest, 1 MiB (f)",
        ProduceRequest produce_request,
        produce
    ));
    cases
}
