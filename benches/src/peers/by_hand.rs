//! The functions by hand.

/// The entries for a message: its module, the case, and how a program would make the value out of
/// the decoded one.
macro_rules! by_hand {
    ($module:ident, $case:expr, |$message:ident| $make:expr) => {{
        use $crate::handwritten::$module;

        const NAME: &str = "by hand";
        let frame = &$case.bytes;
        let kept = $crate::peers::keep(frame.clone());
        let decode = || $module::decode(kept).expect("decodes");
        let decoded = $crate::peers::keep(decode());
        let $message = decode();
        let made = $crate::peers::keep($make);
        for (len, bytes) in [
            (made.len(), encoded(|out| made.encode(out))),
            (made.len(), {
                let mut out = vec![0; frame.len()];
                let mut rest = &mut out[..];
                made.encode(&mut rest);
                assert!(rest.is_empty());
                out
            }),
            (decoded.len(), encoded(|out| decoded.encode(out))),
        ] {
            assert!(bytes == *frame, "{}: the bytes by hand differ", $case.id);
            assert_eq!(len, frame.len(), "{}: the size by hand differs", $case.id);
        }
        assert!($module::decode(&frame[..frame.len() - 1]).is_err());
        let mut out = Vec::new();
        let mut decoded_out = Vec::new();
        // A caller may know that its buffer is large enough.
        let mut slice = vec![0; frame.len()];
        let mut decoded_slice = slice.clone();
        vec![
            Entry::new(Operation::Encode, NAME, move || {
                out.clear();
                black_box(made).encode(&mut out);
                black_box(&out);
            }),
            Entry::new(Operation::Encode, NAME, move || {
                black_box(made).encode(&mut &mut slice[..]);
                black_box(&slice);
            }),
            Entry::new(Operation::EncodeDecoded, NAME, move || {
                black_box(decoded).encode(&mut &mut decoded_slice[..]);
                black_box(&decoded_slice);
            }),
            Entry::new(Operation::EncodeDecoded, NAME, move || {
                decoded_out.clear();
                black_box(decoded).encode(&mut decoded_out);
                black_box(&decoded_out);
            }),
            Entry::new(Operation::EncodeFresh, NAME, move || {
                let made = black_box(made);
                let mut out = Vec::with_capacity(made.len());
                made.encode(&mut out);
                out
            }),
            Entry::new(Operation::Size, NAME, move || black_box(made).len()),
            Entry::new(Operation::Decode, NAME, move || {
                $module::decode(black_box(frame))
            }),
        ]
    }};
}

pub(crate) use by_hand;

/// What an encoder writes.
pub fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}
