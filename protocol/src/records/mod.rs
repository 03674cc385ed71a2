//! Record batches: what produce requests, fetch responses and log segments are full of.
//!
//! [`Batches`] reads batches of magic 2, 1 and 0 from a buffer, [`BatchBuilder`] writes magic 2 and
//! [`MessageSetBuilder`] the older two. A batch is read where it lies; its records borrow from it,
//! or, if it is compressed, from a buffer that the caller gives and can use again.
//!
//! ```
//! use kwire_protocol::records::{
//!     Append, BatchBuilder, BatchOptions, Batches, Error, Header, Limits, NewRecord,
//! };
//!
//! # fn main() -> Result<(), Error> {
//! let mut builder = BatchBuilder::new(BatchOptions { base_offset: 7, ..Default::default() })?;
//! let headers = [Header { key: b"trace", value: Some(b"1") }];
//! let appended = builder.try_append(&NewRecord {
//!     timestamp: 1_700_000_000_000,
//!     key: Some(b"key"),
//!     value: Some(b"value"),
//!     headers: &headers,
//! })?;
//! assert_eq!(appended, Append::Done { offset: 7 });
//! let bytes = builder.finish()?;
//!
//! let mut scratch = Vec::new();
//! for batch in Batches::validated(&bytes) {
//!     for record in batch?.records(&mut scratch, &Limits::default())? {
//!         let record = record?;
//!         assert_eq!((record.offset, record.value), (7, Some(&b"value"[..])));
//!         assert_eq!(record.headers.iter().collect::<Vec<_>>(), headers);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Corrupt and hostile bytes
//!
//! No input makes these readers panic, and none makes them allocate more than [`Limits`] say.
//! Counts and lengths are compared with the bytes that are there before they are used.
//!
//! Checksums are compared where it says so: [`Batches::validated`], [`Batch::validated_records`]
//! and [`Batch::verify_crc`]. The others leave it to the caller, who may have done so before or
//! wants to pass the batch on as it is.

mod batch;
mod builder;
mod compress;
pub mod control;
mod error;
pub mod framing;
mod header;
mod legacy;
mod legacy_builder;
mod record;
mod varint;

pub use batch::{Batch, Batches};
pub use builder::{Append, BatchBuilder, BatchOptions, NewRecord};
pub use compress::Compression;
pub use error::{Error, ErrorKind, Place};
pub(crate) use header::length_and_count;
pub use header::{
    Attributes, BatchHeader, HEADER_LEN, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, TimestampType, set_base_offset,
    set_partition_leader_epoch,
};
pub use legacy_builder::{MessageSetBuilder, MessageSetOptions};
pub use record::{Header, Headers, HeadersIter, Record, Records};

/// How much a reader will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one batch's records when decompressed. Default 128 MiB.
    ///
    /// The scratch buffer doubles as bytes appear, up to this, so that twice as much is held at most
    /// while it is moved; the codec takes 64 KiB. A zstd stream may need its window as well: up to the
    /// next power of two above this, but 8 MiB are always granted and more than 128 MiB never, and
    /// less than 1 MiB besides.
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
