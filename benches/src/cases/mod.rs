//! The messages that are timed, as values of kwire's.

mod cluster;
mod data;
mod groups;
mod quorum;

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;

use bytes::Bytes;
use kwire_protocol::records::Compression;
use kwire_protocol::{Str, Uuid};

pub use cluster::{
    api_versions, create_topics, describe_cluster, find_coordinator, metadata, metadata_request,
};
pub use data::{
    FIRST_TIMESTAMP, elsewhere, fetch, fetch_one, fetch_response, fetch_response_of_many, produce,
    record_batch, record_values,
};
pub use groups::{join_group, list_offsets, offset_commit};
pub use quorum::{describe_quorum, vote, voters};

/// A message of some version, and its bytes.
pub struct Case {
    /// The letter that stands for it on the command line and between programs.
    pub id: &'static str,
    /// The message's name in Kafka's schemas.
    pub message: &'static str,
    /// Not a constant to the compiler: a program learns it from whom it talks to.
    pub version: i16,
    /// What is in it.
    pub what: &'static str,
    pub bytes: Bytes,
}

macro_rules! cases {
    ($($id:literal $message:literal $version:literal $value:expr, $what:literal;)*) => {
        /// All cases.
        pub fn all() -> Vec<Case> {
            use kwire_protocol::Message as _;
            vec![$(Case {
                id: $id,
                message: $message,
                version: black_box($version),
                what: $what,
                bytes: $value.encode_to_vec($version).expect("encodes").into(),
            }),*]
        }
    };
}

cases! {
    "a" "FetchRequest" 17 fetch_one(), "1 topic, 1 partition";
    "b" "FetchRequest" 17 fetch(), "100 topics of 20 partitions";
    "c" "FetchResponse" 17 fetch_response(), "1 MiB of records in 1 partition";
    "d" "MetadataResponse" 12 metadata(), "1,000 topics of 6 partitions with 3 replicas";
    "e" "VoteRequest" 2 vote(), "1 partition";
    "f" "ProduceRequest" 11 produce(), "1 MiB of records in 1 partition";
    "g" "ApiVersionsResponse" 4 api_versions(), "70 APIs";
    "h" "ListOffsetsRequest" 8 list_offsets(), "10 topics of 10 partitions";
    "i" "OffsetCommitRequest" 9 offset_commit(), "50 topics of 4 partitions";
    "j" "CreateTopicsRequest" 7 create_topics(), "100 topics with 3 settings each";
    "k" "JoinGroupResponse" 9 join_group(), "50 members";
    "l" "DescribeQuorumResponse" 2 describe_quorum(), "3 voters, 2 observers";
    "m" "VotersRecord" 0 voters(), "3 voters";
}

/// Writes the cases for programs in other languages: a file of bytes each, and `cases.tsv` with
/// a line of letter, message, version, size and contents for each; and a record batch of each
/// compression.
pub fn export(cases: &[Case], dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut table = String::new();
    for Case {
        id,
        message,
        version,
        what,
        bytes,
    } in cases
    {
        fs::write(dir.join(format!("{id}.bin")), bytes)?;
        table += &format!("{id}\t{message}\t{version}\t{}\t{what}\n", bytes.len());
    }
    for compression in Compression::ALL {
        let file = dir.join(format!("batch-{compression}.bin"));
        fs::write(file, record_batch(compression))?;
    }
    fs::write(dir.join("cases.tsv"), table)
}

/// Spreads an index over all bits.
fn mix(index: u64) -> u64 {
    index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A name as a hash would give it: names in order favour some hash tables and hurt others.
fn name(index: u64) -> Str<'static> {
    format!("{:016x}-topic", mix(index)).into()
}

fn id(index: u64) -> Uuid {
    Uuid::from_parts(mix(index), mix(index).rotate_left(29) | 1)
}

fn host(node: i32) -> Str<'static> {
    format!("broker-{node}.example.com").into()
}

const CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";
