//! Record batches.

mod batch;
mod compress;
mod error;
mod header;
mod legacy;
mod record;
mod varint;

pub use batch::{Batch, Batches};
pub use compress::Compression;
pub use error::{Error, ErrorKind, Place};
pub use header::{
    Attributes, BatchHeader, HEADER_LEN, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, TimestampType, set_base_offset,
    set_partition_leader_epoch,
};
pub use record::{Header, Headers, HeadersIter, Record, Records};

/// How much a reader will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one batch's records when decompressed. Default 128 MiB.
    ///
    /// The scratch buffer grows as bytes appear and not far beyond this. A zstd stream may need its
    /// window as well: up to the next power of two above this, but 8 MiB are always granted and
    /// more than 128 MiB never.
    pub max_decompressed_len: usize,
    /// The most bytes of one record, compressed or not. Default 100 MiB, which is what Kafka takes
    /// in one request.
    pub max_record_len: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_decompressed_len: 128 << 20,
            max_record_len: 100 << 20,
        }
    }
}
