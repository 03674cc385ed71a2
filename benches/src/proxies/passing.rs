//! The libraries' decoding and encoding, with a change in between.

/// The entries of everybody who decodes, changes and encodes: the operation, the message in the
/// libraries, its body, the bytes that come out, and the change.
macro_rules! passing {
    ($operation:expr, $message:ident $module:ident, $body:expr, $expected:expr, |$value:ident| $change:expr) => {{
        let (frame, version): $crate::proxies::Body = $body;
        let expected: &[u8] = $expected;
        let mut entries = Vec::new();
        {
            use kwire_protocol::Message as _;
            use kwire_protocol::messages::$message;
            let mut out = Vec::new();
            let mut pass = move || {
                out.clear();
                #[allow(unused_mut)]
                let mut $value = $message::decode(black_box(frame), black_box(version))?;
                let () = $change;
                $value.encode(black_box(version), &mut out)?;
                black_box(&out);
                Ok::<_, Box<dyn std::error::Error>>(out.len())
            };
            assert_eq!(pass().expect("passes"), expected.len());
            entries.push(Entry::new($operation, $crate::proxies::WHOLE, pass));
        }
        {
            use ::kafka_protocol::messages::$message;
            use ::kafka_protocol::protocol::{Decodable as _, Encodable as _};
            let pass = move |out: &mut BytesMut| {
                out.clear();
                #[allow(unused_mut)]
                let mut $value =
                    $message::decode(&mut black_box(frame).clone(), black_box(version))
                        .expect("the peer decodes");
                let () = $change;
                $value
                    .encode(out, black_box(version))
                    .expect("the peer encodes");
                black_box(out);
            };
            let decode =
                move || $message::decode(&mut black_box(frame).clone(), black_box(version));
            let name = $crate::proxies::KAFKA;
            $crate::proxies::passing::enter(&mut entries, $operation, name, expected, pass, decode);
        }
        {
            use krabka_protocol::owned::$module::$message;
            use krabka_protocol::{Decode as _, Encode as _};
            let pass = move |out: &mut BytesMut| {
                out.clear();
                #[allow(unused_mut)]
                let mut $value = $message::decode(&mut &black_box(frame)[..], black_box(version))
                    .expect("the peer decodes");
                let () = $change;
                $value
                    .encode(out, black_box(version))
                    .expect("the peer encodes");
                black_box(out);
            };
            let decode = move || $message::decode(&mut &black_box(frame)[..], black_box(version));
            let name = $crate::proxies::KRABKA;
            $crate::proxies::passing::enter(&mut entries, $operation, name, expected, pass, decode);
        }
        {
            use krabka_protocol::borrowed::$module::$message;
            use krabka_protocol::{DecodeBorrow as _, Encode as _};
            let pass = move |out: &mut BytesMut| {
                out.clear();
                #[allow(unused_mut)]
                let mut $value =
                    $message::decode_borrow(&mut &black_box(frame)[..], black_box(version))
                        .expect("the peer decodes");
                let () = $change;
                $value
                    .encode(out, black_box(version))
                    .expect("the peer encodes");
                black_box(out);
            };
            let decode =
                move || $message::decode_borrow(&mut &black_box(frame)[..], black_box(version));
            let name = $crate::proxies::KRABKA;
            $crate::proxies::passing::enter(&mut entries, $operation, name, expected, pass, decode);
        }
        entries
    }};
}

use bytes::BytesMut;
pub(super) use passing;

use crate::timing::{Entry, Operation};

/// Enters a peer's way to pass a message on, once its bytes have been compared.
///
/// Who only looks into a message may pass on the bytes that came, and enters for decoding alone
/// too.
pub fn enter<R>(
    entries: &mut Vec<Entry<'static>>,
    operation: Operation,
    name: &'static str,
    expected: &[u8],
    pass: impl Fn(&mut BytesMut) + 'static,
    decode: impl FnMut() -> R + 'static,
) {
    let mut out = BytesMut::new();
    pass(&mut out);
    assert!(out == expected, "{name} passes on other bytes");
    entries.push(Entry::new(operation, name, move || pass(&mut out)));
    if operation == Operation::Peek {
        entries.push(Entry::new(Operation::PeekDecode, name, decode));
    }
}
