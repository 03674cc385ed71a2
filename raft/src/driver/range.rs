//! Bytes of a log that stay where they are until somebody wants them.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use bytes::Bytes;
use kwire_protocol::records::Batches;

use crate::message::Response;
use crate::types::Offset;

/// Where bytes of a log or of a snapshot lie.
///
/// It stands for these bytes as long as the log is not truncated below
/// [`next_offset`](Self::next_offset); one [in memory](Self::is_in_memory) whatever becomes of the
/// log. A driver therefore hands out only ranges in memory, of what is committed, and of snapshots:
/// they can be read at any time and from any thread, also after the log's beginning was deleted,
/// the snapshot removed, or the whole log replaced by a snapshot.
pub trait LogRange: fmt::Debug + Send + 'static {
    /// What can go wrong. It says which file.
    type Error: Error + Send + Sync + 'static;

    /// How many bytes.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset after the last record in them; `None` for a part of a snapshot.
    fn next_offset(&self) -> Option<Offset>;

    /// Whether they are in memory, where they stay as they are, and reading them keeps nobody
    /// waiting.
    fn is_in_memory(&self) -> bool;

    /// Reads them, all in one go.
    ///
    /// # Errors
    /// When the disk fails, or the file is shorter than it was.
    fn read(&self) -> Result<Bytes, Self::Error>;

    /// Reads them, in the pieces in which they are: each has whole batches.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn parts(&self) -> Result<Vec<Bytes>, Self::Error> {
        self.read().map(|bytes| vec![bytes])
    }

    /// The answer to a Fetch or a FetchSnapshot with what it lacks, if it lacks something: both as
    /// an [`Effect::Reply`](super::Effect::Reply) has them.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    fn complete(mut response: Response, records: Option<Self>) -> Result<Response, Self::Error>
    where
        Self: Sized,
    {
        if let Some(records) = records {
            response.set_records(records.read()?);
        }
        Ok(response)
    }
}

/// Bytes of a log in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryRange {
    bytes: Bytes,
    next_offset: Option<Offset>,
}

impl MemoryRange {
    /// Whole batches, which start at an offset if there are any.
    #[must_use]
    pub fn of_batches(from: Offset, bytes: Bytes) -> MemoryRange {
        let last = Batches::new(&bytes).filter_map(Result::ok).last();
        MemoryRange {
            next_offset: Some(last.map_or(from, |last| last.last_offset() + 1)),
            bytes,
        }
    }

    /// A part of a snapshot.
    #[must_use]
    pub fn of_snapshot(bytes: Bytes) -> MemoryRange {
        MemoryRange {
            bytes,
            next_offset: None,
        }
    }
}

impl LogRange for MemoryRange {
    type Error = Infallible;

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn next_offset(&self) -> Option<Offset> {
        self.next_offset
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn read(&self) -> Result<Bytes, Infallible> {
        Ok(self.bytes.clone())
    }
}
