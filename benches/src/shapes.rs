//! What the arrays of a Metadata response's partitions could be made of, timed side by side.
//!
//! One hand-written decoder, generic over the leaf: bytes borrowed from the frame, bytes that
//! share the frame, or a vector. It is why kwire's arrays borrow (docs/decisions/0002).

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::Message;

use crate::cases;
use crate::timing::{Entry, Operation, Plan};

/// What an array of integers is kept as.
trait Leaf<'a>: Sized {
    fn new(frame: &'a Bytes, at: usize, len: usize) -> Self;
}

impl<'a> Leaf<'a> for &'a [u8] {
    fn new(frame: &'a Bytes, at: usize, len: usize) -> Self {
        &frame[at..at + 4 * len]
    }
}

impl Leaf<'_> for Bytes {
    fn new(frame: &Bytes, at: usize, len: usize) -> Self {
        frame.slice(at..at + 4 * len)
    }
}

impl Leaf<'_> for Vec<i32> {
    fn new(frame: &Bytes, at: usize, len: usize) -> Self {
        let chunks = frame[at..at + 4 * len].chunks_exact(4);
        chunks
            .map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }
}

/// A partition of a Metadata response.
#[allow(dead_code)]
struct Partition<L> {
    error_code: i16,
    index: i32,
    leader: i32,
    epoch: i32,
    arrays: [L; 3],
}

/// Decodes the partitions that stand at these places of the frame.
fn decode<'a, L: Leaf<'a>>(frame: &'a Bytes, places: &[usize]) -> Vec<Partition<L>> {
    let mut partitions = Vec::with_capacity(places.len());
    for place in places {
        let mut at = *place;
        let head = &frame[at..at + 14];
        let int = |from: usize| {
            i32::from_be_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
        };
        at += 14;
        let mut array = || {
            let len = usize::from(frame[at]) - 1;
            let leaf = L::new(frame, at + 1, len);
            at += 1 + 4 * len;
            leaf
        };
        partitions.push(Partition {
            error_code: i16::from_be_bytes([head[0], head[1]]),
            index: int(2),
            leader: int(6),
            epoch: int(10),
            arrays: [array(), array(), array()],
        });
    }
    partitions
}

/// Times the three.
pub fn run() {
    let message = cases::metadata();
    let frame = Bytes::from(message.encode_to_vec(12).expect("encodes"));
    // A partition is 14 bytes, two arrays of three, an empty one, and the end of the struct.
    let pattern = [&[4u8][..], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]].concat();
    let places: Vec<usize> = (14..frame.len() - 28)
        .filter(|at| frame[*at..].starts_with(&pattern) && frame[at + 13..].starts_with(&pattern))
        .map(|at| at - 14)
        .collect();
    assert_eq!(places.len(), 6000, "the partitions of the message");
    let frame = &frame;
    let places = &places;
    let plan = Plan {
        rounds: 400,
        most: Duration::from_secs(2),
        cases: Vec::new(),
        operations: Vec::new(),
    };
    println!("6,000 partitions with three arrays each");
    plan.run(
        "partitions",
        vec![
            Entry::new(Operation::Decode, "borrowed bytes", || {
                decode::<&[u8]>(black_box(frame), places)
            }),
            Entry::new(Operation::Decode, "shared bytes", || {
                decode::<Bytes>(black_box(frame), places)
            }),
            Entry::new(Operation::Decode, "a vector each", || {
                decode::<Vec<i32>>(black_box(frame), places)
            }),
        ],
    );
}
