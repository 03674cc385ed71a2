//! Messages in segments are the bytes that encoding writes, of every message and line.

use std::io::IoSlice;

use bytes::Buf;
use kwire_protocol::Message;
use kwire_protocol::segments::{DEFAULT_THRESHOLD, Segments};

use crate::common::{hex, lines, unhex};

/// What a message's segments have to be, whatever its type.
struct Case {
    name: &'static str,
    check: fn(&[u8], i16) -> Option<usize>,
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$(Case {
            name: stringify!($name),
            check: |bytes, version| {
                let message: kwire_protocol::messages::$name =
                    Message::decode(bytes, version).ok()?;
                let whole = message.encode_to_vec(version).expect("encodes");
                let segments = |threshold| {
                    message.encode_segments_with(version, threshold, Vec::new()).expect("encodes")
                };
                let bulk = [0, 1, 20, DEFAULT_THRESHOLD, usize::MAX]
                    .map(|threshold| check(segments(threshold), &whole, bytes));
                Some(bulk[0])
            },
        }),*]
    };
}

static CASES: &[Case] = kwire_protocol::for_each_message!(cases);

/// Holds segments against the bytes of an encoding, and counts those that are parts of `bytes`.
fn check(mut segments: Segments<'_>, whole: &[u8], bytes: &[u8]) -> usize {
    assert_eq!(segments.len(), whole.len());
    assert_eq!(segments.is_empty(), whole.is_empty());
    assert_eq!(hex(&segments.to_vec()), hex(whole));
    let slices = segments.io_slices();
    assert_eq!(
        slices.iter().map(|slice| slice.len()).sum::<usize>(),
        whole.len()
    );
    let inside = segments
        .parts()
        .filter(|part| bytes.as_ptr_range().contains(&part.as_ptr()));
    let inside = inside.count();
    let chunks = segments.clone().into_chunks();
    assert_eq!(chunks.concat(), whole);

    // As a buffer of which a write takes what it likes.
    let mut taken = Vec::new();
    for step in (1..).step_by(2) {
        if !segments.has_remaining() {
            break;
        }
        let mut slices = [IoSlice::new(&[]); 3];
        let filled = segments.chunks_vectored(&mut slices);
        assert!(filled > 0 && !segments.chunk().is_empty());
        assert_eq!(&slices[0][..], segments.chunk());
        let flat: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter())
            .copied()
            .collect();
        let count = flat.len().min(step);
        taken.extend_from_slice(&flat[..count]);
        segments.advance(count);
        assert_eq!(segments.remaining(), whole.len() - taken.len());
    }
    assert_eq!(taken, whole);
    assert!(segments.chunk().is_empty() && segments.io_slices().is_empty());
    inside
}

fn corpus(release: &str) {
    let (mut held, mut bulk) = (0, 0);
    for line in lines(&format!("java/corpus-{release}.jsonl.gz")) {
        let bytes = unhex(line["hex"].as_str().unwrap());
        let version = line["version"].as_i64().unwrap() as i16;
        let case = CASES.iter().find(|case| line["schema"] == case.name);
        if let Some(inside) = case.and_then(|case| (case.check)(&bytes, version)) {
            held += 1;
            bulk += inside;
        }
    }
    println!("{release}: {held} lines in segments, {bulk} segments not copied");
    assert!(held > 3000 && bulk > 100);
}

#[test]
fn corpus_of_4_4_0() {
    corpus("4.4.0");
}

#[test]
fn corpus_of_3_9_2() {
    corpus("3.9.2");
}

#[test]
fn corpus_of_2_8_2() {
    corpus("2.8.2");
}
