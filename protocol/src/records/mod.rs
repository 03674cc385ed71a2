//! Record batches.

mod compress;
mod error;
mod varint;

pub use compress::Compression;
pub use error::{Error, ErrorKind, Place};

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
