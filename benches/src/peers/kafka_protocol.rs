//! kafka-protocol: decodes from `Bytes`, which its strings and records share.

use std::hint::black_box;

use bytes::BytesMut;
use kafka_protocol::protocol::{Decodable, Encodable};

use super::keep;
use crate::cases::Case;
use crate::timing::{Entry, Operation};

const NAME: &str = "kafka-protocol";

pub fn entries<M: Encodable + Decodable + 'static>(case: &Case) -> Vec<Entry<'_>> {
    let (frame, version) = (&case.bytes, case.version);
    let value = keep(M::decode(&mut frame.clone(), version).expect("the peer decodes"));
    let mut out = BytesMut::new();
    value.encode(&mut out, version).expect("the peer encodes");
    assert!(out == frame, "{}: {NAME} writes other bytes", case.id);
    let decode = move || M::decode(&mut black_box(frame).clone(), black_box(version));
    let size = move || black_box(value).compute_size(black_box(version));
    vec![
        Entry::new(Operation::Encode, NAME, move || {
            out.clear();
            let done = black_box(value).encode(&mut out, black_box(version));
            black_box(&out);
            done
        }),
        Entry::new(Operation::EncodeFresh, NAME, move || {
            let mut out = BytesMut::new();
            black_box(value)
                .encode(&mut out, black_box(version))
                .map(|()| out)
        }),
        Entry::new(Operation::EncodeFresh, NAME, move || {
            let mut out = BytesMut::with_capacity(size().unwrap_or_default());
            black_box(value)
                .encode(&mut out, black_box(version))
                .map(|()| out)
        }),
        Entry::new(Operation::Size, NAME, size),
        Entry::new(Operation::Decode, NAME, decode),
        Entry::new(Operation::DecodeStatic, NAME, decode),
    ]
}
