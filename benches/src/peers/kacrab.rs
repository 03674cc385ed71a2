//! kacrab-protocol: decodes from `Bytes`.

/// The entries for a message: its type and the case.
macro_rules! kacrab {
    ($message:ident, $case:expr) => {{
        use kacrab_protocol::generated::$message;

        const NAME: &str = "kacrab-protocol";
        let (frame, version) = (&$case.bytes, $case.version);
        let value = $crate::peers::keep(
            $message::read(&mut frame.clone(), version).expect("the peer decodes"),
        );
        let mut out = bytes::BytesMut::new();
        value.write(&mut out, version).expect("the peer encodes");
        assert!(out == frame, "{}: {NAME} writes other bytes", $case.id);
        let decode = move || $message::read(&mut black_box(frame).clone(), black_box(version));
        let size = move || black_box(value).encoded_len(black_box(version));
        vec![
            Entry::new(Operation::Encode, NAME, move || {
                out.clear();
                let done = black_box(value).write(&mut out, black_box(version));
                black_box(&out);
                done
            }),
            Entry::new(Operation::EncodeFresh, NAME, move || {
                let mut out = bytes::BytesMut::new();
                black_box(value)
                    .write(&mut out, black_box(version))
                    .map(|()| out)
            }),
            Entry::new(Operation::EncodeFresh, NAME, move || {
                let mut out = bytes::BytesMut::with_capacity(size().unwrap_or_default());
                black_box(value)
                    .write(&mut out, black_box(version))
                    .map(|()| out)
            }),
            Entry::new(Operation::Size, NAME, size),
            Entry::new(Operation::Decode, NAME, decode),
            Entry::new(Operation::DecodeStatic, NAME, decode),
        ]
    }};
}

pub(crate) use kacrab;
