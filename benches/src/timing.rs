//! Contestants in turns, the least time of each.

use std::collections::BTreeSet;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::alloc;

/// How long one timing takes at least, in nanoseconds: long enough for the clock, and for what the
/// one before has left in the caches.
const LEAST_NS: u128 = 500_000;

/// What is timed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Encode a value that the program has made, into a buffer that is used again.
    Encode,
    /// The same into a new buffer.
    EncodeFresh,
    /// Encode a value that was decoded, into a buffer that is used again.
    EncodeDecoded,
    /// The exact number of bytes.
    Size,
    /// The cheapest decoding that gives a usable value.
    Decode,
    /// Decode into a value that borrows nothing.
    DecodeStatic,
    /// Decode by API key and version.
    Dispatch,
    /// Write a record batch.
    BatchEncode,
    /// Read a record batch into records that borrow nothing.
    BatchDecode,
    /// Look at each record of a batch, allocating as little as the library can.
    BatchIterate,
    /// Look into a message that is passed on; without a way to, decode and encode it.
    Peek,
    /// The same, but without a way to, decode it only.
    PeekDecode,
    /// Change a little in a message that is passed on; without a way to, decode and encode it.
    Rewrite,
    /// Encode a message without copying its records; without a way to, copy them.
    Segments,
    /// A checksum.
    Crc,
}

impl Operation {
    pub const ALL: [Operation; 15] = [
        Operation::Encode,
        Operation::EncodeFresh,
        Operation::EncodeDecoded,
        Operation::Size,
        Operation::Decode,
        Operation::DecodeStatic,
        Operation::Dispatch,
        Operation::BatchEncode,
        Operation::BatchDecode,
        Operation::BatchIterate,
        Operation::Peek,
        Operation::PeekDecode,
        Operation::Rewrite,
        Operation::Segments,
        Operation::Crc,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Operation::Encode => "encode",
            Operation::EncodeFresh => "encode-fresh",
            Operation::EncodeDecoded => "encode-decoded",
            Operation::Size => "size",
            Operation::Decode => "decode",
            Operation::DecodeStatic => "decode-static",
            Operation::Dispatch => "dispatch",
            Operation::BatchEncode => "batch-encode",
            Operation::BatchDecode => "batch-decode",
            Operation::BatchIterate => "batch-iterate",
            Operation::Peek => "peek",
            Operation::PeekDecode => "peek-decode",
            Operation::Rewrite => "rewrite",
            Operation::Segments => "segments",
            Operation::Crc => "crc",
        }
    }

    fn decodes(self) -> bool {
        matches!(self, Operation::Decode | Operation::DecodeStatic)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes so many calls and says how long they took.
pub type Timed<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// The loop stands around the call itself, so that only the loop is called through a pointer.
///
/// The result is looked at where it lies: handing it to `black_box` would copy it, which costs
/// large structs more than small ones.
pub fn timed<'a, R>(mut call: impl FnMut() -> R + 'a) -> Timed<'a> {
    Box::new(move |turns| {
        let start = Instant::now();
        for _ in 0..turns {
            let result = call();
            black_box(&result);
        }
        start.elapsed()
    })
}

/// One contestant at one operation.
pub struct Entry<'a> {
    pub operation: Operation,
    pub contestant: &'static str,
    pub timed: Timed<'a>,
}

impl<'a> Entry<'a> {
    pub fn new<R>(
        operation: Operation,
        contestant: &'static str,
        call: impl FnMut() -> R + 'a,
    ) -> Self {
        Entry {
            operation,
            contestant,
            timed: timed(call),
        }
    }
}

/// What is measured, and how carefully.
pub struct Plan {
    /// How often each contestant is timed. Noise only ever adds, so the least is what counts.
    pub rounds: u32,
    /// The most time that one contestant is given for one operation on one case.
    pub most: Duration,
    /// The cases, by their letters or names; all if there are none.
    pub cases: Vec<String>,
    /// The operations, by their names; all if there are none.
    pub operations: Vec<String>,
}

impl Plan {
    pub fn wants_case(&self, id: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|case| case == id)
    }

    fn wants(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|name| name == operation.name())
    }

    /// Times the entries of one case, those of one operation in turns, and prints a line for each:
    /// `time`, case, operation, contestant, nanoseconds.
    ///
    /// Where a contestant has two ways to do the same, its better one counts.
    pub fn run(&self, case: &str, mut entries: Vec<Entry<'_>>) {
        for operation in Operation::ALL {
            if !self.wants(operation) {
                continue;
            }
            let mut group: Vec<_> = entries
                .iter_mut()
                .filter(|entry| entry.operation == operation)
                .collect();
            let turns: Vec<_> = group
                .iter_mut()
                .map(|entry| turns(&mut entry.timed))
                .collect();
            let mut least = vec![f64::MAX; group.len()];
            let start = Instant::now();
            let names: Vec<_> = group.iter().map(|entry| entry.contestant).collect();
            // Whoever enters twice has no more time than others.
            let contestants = names.iter().collect::<BTreeSet<_>>().len();
            let most = self.most * contestants as u32;
            for round in 0..self.rounds {
                // A tenth of the rounds are run whatever they take.
                if round > self.rounds / 10 && start.elapsed() > most {
                    break;
                }
                for ((entry, turns), least) in group.iter_mut().zip(&turns).zip(&mut least) {
                    let nanos = (entry.timed)(*turns).as_nanos() as f64 / f64::from(*turns);
                    *least = least.min(nanos);
                }
            }
            for (at, entry) in group.iter_mut().enumerate() {
                let better = |other: usize| {
                    least[other] < least[at] || (least[other] == least[at] && other < at)
                };
                let name = entry.contestant;
                if (0..least.len()).any(|other| names[other] == name && better(other)) {
                    continue;
                }
                println!("time\t{case}\t{operation}\t{name}\t{:.1}", least[at]);
                if operation.decodes() {
                    let (blocks, bytes) = alloc::count(|| {
                        (entry.timed)(1);
                    });
                    println!("allocations\t{case}\t{operation}\t{name}\t{blocks}\t{bytes}");
                }
            }
        }
    }
}

/// How many calls make one timing.
fn turns(timed: &mut Timed<'_>) -> u32 {
    let mut turns = 1;
    while timed(turns).as_nanos() < LEAST_NS {
        turns *= 2;
    }
    turns
}
