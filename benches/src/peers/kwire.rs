//! kwire itself.

/// The entries for a message: its name, the case, and the value as a program makes it.
macro_rules! kwire {
    ($message:ident, $case:expr, $value:expr) => {{
        use kwire_protocol::messages::$message;
        use kwire_protocol::{Limits, Message as _};

        const NAME: &str = "kwire";
        let (frame, version) = (&$case.bytes, $case.version);
        let made = $crate::peers::keep($value);
        let decoded = $crate::peers::keep(
            $message::decode($crate::peers::keep(frame.clone()), version).expect("decodes"),
        );
        assert!(made == decoded, "{} does not come back", $case.id);
        let mut out = Vec::new();
        let mut decoded_out = Vec::new();
        vec![
            Entry::new(Operation::Encode, NAME, move || {
                out.clear();
                let done = black_box(made).encode(black_box(version), &mut out);
                black_box(&out);
                done
            }),
            Entry::new(Operation::EncodeDecoded, NAME, move || {
                decoded_out.clear();
                let done = black_box(decoded).encode(black_box(version), &mut decoded_out);
                black_box(&decoded_out);
                done
            }),
            Entry::new(Operation::EncodeFresh, NAME, move || {
                black_box(made).encode_to_vec(black_box(version))
            }),
            Entry::new(Operation::Size, NAME, move || {
                black_box(made).encoded_len(black_box(version))
            }),
            Entry::new(Operation::Decode, NAME, move || {
                $message::decode(black_box(frame), black_box(version))
            }),
            Entry::new(Operation::DecodeStatic, NAME, move || {
                $message::decode_shared(black_box(frame), black_box(version), &Limits::DEFAULT)
            }),
        ]
    }};
}

pub(crate) use kwire;
