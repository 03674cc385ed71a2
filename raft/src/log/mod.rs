//! The log and its snapshots on a disk, in Kafka's own format.
//!
//! # The directory
//! A partition's directory is one that a Java node can open, and the other way round:
//!
//! - `%020d.log`, `.index`, `.timeindex`: the segments, named after their first offset.
//! - `leader-epoch-checkpoint`: where each epoch starts.
//! - `partition.metadata`: the topic's id.
//! - `%020d-%010d.checkpoint`: the snapshots, by end offset and epoch; `.part` until they are whole.
//! - `quorum-state`: the election state ([`FileStateStore`]).
//! - `kwire-log-state` and `kwire-recovery-point`: this library's own, which Java passes over. Java
//!   keeps the like in the directory above, for all partitions at once. A directory without them
//!   opens.
//!
//! # What is durable when
//! A [barrier](crate::driver::LogStore::barrier) syncs the segment that is appended to. All others
//! are synced before the next one begins, so that only the last can be torn. A cut is durable before
//! [`truncate`](crate::driver::LogStore::truncate) returns: otherwise, batches of two histories
//! could lie side by side after a crash. Snapshots are durable when the call returns. Indexes are
//! never synced, as the segments say it all. Where the log starts is durable, and what lies before
//! is removed, when the [chore](crate::driver::LogStore::chore) of a deletion is done.
//!
//! After each sync `kwire-recovery-point` is overwritten with the offset up to which the log is
//! durable. That file is not synced, so it may lag behind after a crash of the machine (not of the
//! process), but never says too much: cutting the log first begins a new generation in
//! `kwire-log-state`, in which older recovery points mean nothing.
//!
//! # Opening
//! The last segment, and those with records after the latest snapshot, are read from end to end and
//! every batch is held against its checksum; so is the latest snapshot. Of older segments the last
//! stretch is, unless [`LogOptions::verify_all`] asks for more. Then
//!
//! - a damaged batch at or after the recovery point, without whole batches in later segments, is
//!   what a crash leaves: the log ends before it. [`Recovery`] says what was dropped;
//! - any other damaged batch is [`LogError::Corrupt`], and a log that ends before the recovery point
//!   is [`LogError::Lost`]: nothing that was durable goes silently;
//! - indexes and `leader-epoch-checkpoint` are written anew if they are not what the log says;
//! - a log that ends before its latest snapshot is removed, and starts anew where that ends: it is
//!   what a crash leaves after a snapshot was fetched;
//! - a log whose first segment starts above 0 starts where its earliest snapshot ends;
//! - parts of snapshots, files that were being deleted, and segments and snapshots below the start
//!   are removed.

mod barrier;
mod beside;
pub mod bootstrap;
mod epochs;
mod error;
mod file_log;
pub mod files;
mod index;
pub mod inspect;
mod marks;
pub mod meta;
mod metadata;
mod names;
pub mod properties;
mod range;
mod recover;
mod removal;
mod retention;
mod scan;
mod segment;
mod shelf;
mod small;
pub mod snapshot;
mod state;
mod tail;

pub use barrier::FileBarrier;
pub use beside::Beside;
pub use error::{Flaw, LogError};
pub use file_log::FileLog;
pub use range::Range;
pub use recover::{Dropped, Recovery};
pub use retention::RetentionPolicy;
pub use state::{FileStateStore, StateError, StateErrorKind};

use self::segment::Segment;
use crate::types::{Offset, Topic};

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The topic, whose id stands in `partition.metadata`.
    pub topic: Topic,
    /// The most bytes of a segment, unless it has a single batch: `metadata.log.segment.bytes`.
    pub segment_bytes: u32,
    /// The most milliseconds between the timestamps of a segment's first batch and its last:
    /// `metadata.log.segment.ms`. Counted by the batches alone, as Kafka does when they have
    /// timestamps, so that the same batches make the same segments everywhere. Unlike in Kafka, a
    /// segment ends by it only once it has a 64th of `segment_bytes`: timestamps are the clients',
    /// and a segment of a few bytes costs an open file as well.
    pub segment_ms: u64,
    /// Bytes between two entries of an index: `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// Whether opening the log holds every batch of every segment against its checksum.
    pub verify_all: bool,
    /// The most bytes of what was appended last that stay in memory, from where those that follow
    /// closely are served: some of their fetches. Memory that is not used again soon is slower to
    /// write to than the disk's cache is to read.
    pub tail_bytes: usize,
}

/// What was taken back of a log since it was opened, for whoever follows it: where it starts and
/// ends does not say so any more once it has grown again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// How often a snapshot took the place of the log.
    pub installs: u64,
    /// How often its end was cut off.
    pub cuts: u64,
    /// Where that was the last time.
    pub cut_to: Offset,
}

/// What part of the bytes of a segment one has to have to end by time.
const TIMED_PART: u64 = 64;

impl LogOptions {
    /// Kafka's defaults for the log of a quorum.
    #[must_use]
    pub fn new(topic: Topic) -> LogOptions {
        LogOptions {
            topic,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            verify_all: false,
            tail_bytes: 4 << 20,
        }
    }

    /// Whether a batch has no room in a segment.
    fn is_full<F>(&self, segment: &Segment<F>, last: Offset, max_timestamp: i64, len: u64) -> bool {
        // Positions in an index are signed in Kafka, and so are offsets.
        let bytes = u64::from(self.segment_bytes.min(i32::MAX as u32));
        let age = segment
            .first_timestamp
            .map_or(0, |first| max_timestamp.saturating_sub(first));
        let is_old = u64::try_from(age).is_ok_and(|age| age > self.segment_ms);
        segment.size > 0
            && (segment.size + len > bytes
                || last - segment.base > i32::MAX.into()
                || (is_old && segment.size >= bytes / TIMED_PART))
    }
}
