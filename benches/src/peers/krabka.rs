//! krabka-protocol: owned values from any buffer, borrowed ones from a slice.
//!
//! It takes record batches apart while it decodes a message and has no other way to decode one
//! with records; what it encodes may hold them as they are, so it is given them like that.

use std::hint::black_box;

use bytes::BytesMut;
use krabka_protocol::{Decode, Encode};

use super::keep;
use crate::cases::Case;
use crate::timing::{Entry, Operation};

const OWNED: &str = "krabka-protocol";

/// `prepare` makes the value to encode out of the decoded one.
pub fn owned<M>(case: &Case, prepare: impl FnOnce(&mut M)) -> Vec<Entry<'_>>
where
    M: Encode + for<'de> Decode<'de> + 'static,
{
    let (frame, version) = (&case.bytes, case.version);
    let mut value = M::decode(&mut &frame[..], version).expect("the peer decodes");
    prepare(&mut value);
    let value = keep(value);
    let mut out = BytesMut::new();
    value.encode(&mut out, version).expect("the peer encodes");
    assert!(out == frame, "{}: {OWNED} writes other bytes", case.id);
    let from_slice = move || M::decode(&mut &black_box(frame)[..], black_box(version));
    let from_shared = move || M::decode(&mut black_box(frame).clone(), black_box(version));
    vec![
        Entry::new(Operation::Encode, OWNED, move || {
            out.clear();
            let done = black_box(value).encode(&mut out, black_box(version));
            black_box(&out);
            done
        }),
        Entry::new(Operation::EncodeFresh, OWNED, move || {
            let mut out = BytesMut::new();
            black_box(value)
                .encode(&mut out, black_box(version))
                .map(|()| out)
        }),
        Entry::new(Operation::EncodeFresh, OWNED, move || {
            let mut out = BytesMut::with_capacity(black_box(value).encoded_len(black_box(version)));
            black_box(value)
                .encode(&mut out, black_box(version))
                .map(|()| out)
        }),
        Entry::new(Operation::Size, OWNED, move || {
            black_box(value).encoded_len(black_box(version))
        }),
        Entry::new(Operation::Decode, OWNED, from_slice),
        Entry::new(Operation::Decode, OWNED, from_shared),
        Entry::new(Operation::DecodeStatic, OWNED, from_slice),
        Entry::new(Operation::DecodeStatic, OWNED, from_shared),
    ]
}

/// The entries of the borrowed form of a message: its module, its name and the case.
macro_rules! borrowed {
    ($module:ident, $message:ident, $case:expr) => {{
        use krabka_protocol::borrowed::$module::$message;
        use krabka_protocol::{DecodeBorrow as _, Encode as _};

        const NAME: &str = "krabka borrowed";
        let (frame, version) = (&$case.bytes, $case.version);
        let kept: &'static [u8] = $crate::peers::keep(frame.clone());
        let decoded = $crate::peers::keep(
            $message::decode_borrow(&mut &kept[..], version).expect("the peer decodes"),
        );
        let mut out = bytes::BytesMut::new();
        decoded.encode(&mut out, version).expect("the peer encodes");
        assert!(out == frame, "{}: {NAME} writes other bytes", $case.id);
        vec![
            Entry::new(Operation::EncodeDecoded, NAME, move || {
                out.clear();
                let done = black_box(decoded).encode(&mut out, black_box(version));
                black_box(&out);
                done
            }),
            Entry::new(Operation::Decode, NAME, move || {
                $message::decode_borrow(&mut &black_box(frame)[..], black_box(version))
            }),
            Entry::new(Operation::DecodeStatic, NAME, move || {
                $message::decode_borrow(&mut &black_box(frame)[..], black_box(version))
                    .map(|message| message.to_owned())
            }),
        ]
    }};
}

pub(crate) use borrowed;
