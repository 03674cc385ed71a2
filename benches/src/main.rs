//! Times encoding and decoding beside kafka-protocol, in one process, in turns.
//!
//! Prints a table of the least time of many rounds, and the ratios. Run it with
//! `cargo xtask bench codec`; `cargo xtask bench shapes` times what leaves could be made of, and
//! `cargo xtask bench corpus` counts what the peer reads and writes as Java does.

mod cases;
#[cfg(feature = "corpus")]
mod corpus;
mod shapes;
mod timing;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};
use kwire_protocol::{IntoOwned, Limits, Message};

use timing::{Contest, row};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("shapes") => shapes::run(),
        #[cfg(feature = "corpus")]
        Some("corpus") => corpus::run().expect("the corpus is there"),
        _ => codec(),
    }
}

fn codec() {
    println!("nanoseconds, least of many rounds taken in turns; ratio = kafka-protocol / kwire\n");
    row(&[
        "case",
        "bytes",
        "operation",
        "kwire",
        "kafka-protocol",
        "ratio",
    ]);
    row(&["---"; 6]);
    let vote = cases::vote();
    case!(
        "VoteRequest v2",
        vote,
        2,
        kwire_protocol::messages::VoteRequest,
        kafka_protocol::messages::VoteRequest
    );
    let fetch = cases::fetch();
    case!(
        "FetchRequest v17, 100 topics x 20 partitions",
        fetch,
        17,
        kwire_protocol::messages::FetchRequest,
        kafka_protocol::messages::FetchRequest
    );
    let metadata = cases::metadata();
    case!(
        "MetadataResponse v12, 1000 topics x 6 partitions",
        metadata,
        12,
        kwire_protocol::messages::MetadataResponse,
        kafka_protocol::messages::MetadataResponse
    );
    let produce = cases::produce();
    case!(
        "ProduceRequest v11, 1 MiB of records",
        produce,
        11,
        kwire_protocol::messages::ProduceRequest,
        kafka_protocol::messages::ProduceRequest
    );
}

/// Times one message in both libraries, which must agree on its bytes.
#[macro_export]
macro_rules! case {
    ($name:expr, $value:expr, $version:expr, $ours:ty, $theirs:ty) => {{
        let bytes = Bytes::from($value.encode_to_vec($version).expect("encodes"));
        let peer = <$theirs>::decode(&mut bytes.clone(), $version).expect("the peer decodes");
        let mut out = BytesMut::new();
        peer.encode(&mut out, $version).expect("the peer encodes");
        assert_eq!(out, bytes, "the libraries disagree");

        let mut ours_out = Vec::new();
        let mut theirs_out = BytesMut::new();
        Contest::new($name, bytes.len(), "encode, buffer reused").run(
            || {
                ours_out.clear();
                black_box(&$value)
                    .encode($version, &mut ours_out)
                    .expect("encodes");
                black_box(&ours_out);
            },
            || {
                theirs_out.clear();
                black_box(&peer)
                    .encode(&mut theirs_out, $version)
                    .expect("encodes");
                black_box(&theirs_out);
            },
        );
        Contest::new($name, bytes.len(), "exact size").run(
            || {
                black_box(
                    black_box(&$value)
                        .encoded_len($version)
                        .expect("has a size"),
                );
            },
            || {
                black_box(black_box(&peer).compute_size($version).expect("has a size"));
            },
        );
        Contest::new(
            $name,
            bytes.len(),
            "decode (kwire borrows, the peer shares)",
        )
        .run(
            || {
                black_box(<$ours>::decode(black_box(&bytes), $version).expect("decodes"));
            },
            || {
                let mut bytes = black_box(&bytes).clone();
                black_box(<$theirs>::decode(&mut bytes, $version).expect("decodes"));
            },
        );
        Contest::new($name, bytes.len(), "decode to a value without a borrow").run(
            || {
                let message = <$ours>::decode_shared(black_box(&bytes), $version, &Limits::DEFAULT);
                black_box(message.expect("decodes").into_owned());
            },
            || {
                let mut bytes = black_box(&bytes).clone();
                black_box(<$theirs>::decode(&mut bytes, $version).expect("decodes"));
            },
        );
    }};
}
