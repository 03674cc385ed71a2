//! What leaves the log for others: for those who fetch, and for the application.

use bytes::Bytes;

use super::{Driver, DriverError, ErrorOf, LogRange, LogStore, StateStore};
use crate::message::Response;
use crate::mutation::{Mutation, is_off};
use crate::types::Offset;

impl<L: LogStore, S: StateStore> Driver<L, S> {
    /// Where batches of the log up to the high watermark lie, as far as they lie together. `None`
    /// if there are none. They are not truncated any more: read them when it suits.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn committed_range(
        &self,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Option<L::Range>, ErrorOf<L, S>> {
        let until = self.committed_end();
        if from >= until || from < self.node.log_start() {
            return Ok(None);
        }
        let range = self.log.range(from, until, max_bytes);
        let range = range.map_err(DriverError::Log)?;
        Ok((!range.is_empty()).then_some(range))
    }

    /// Batches of the log up to the high watermark, or nothing if there are none: what
    /// [`committed_range`](Self::committed_range) finds.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read_committed(&self, from: Offset, max_bytes: usize) -> Result<Bytes, ErrorOf<L, S>> {
        match self.committed_range(from, max_bytes)? {
            Some(range) => read(&range),
            None => Ok(Bytes::new()),
        }
    }

    fn committed_end(&self) -> Offset {
        let committed = self.node.high_watermark().unwrap_or(0);
        committed.min(self.node.log_end().offset)
    }

    /// Finds records for the answer to a Fetch. They are offered as a range if they are in memory or
    /// all of them are committed, and read now if not: once this node follows another leader, it may
    /// truncate them and write other batches in their place, which are whole and belong to another
    /// history.
    pub(super) fn read_for_fetch(
        &self,
        response: &mut Response,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Option<L::Range>, ErrorOf<L, S>> {
        let range = self.log.range(from, until, max_bytes);
        let range = range.map_err(DriverError::Log)?;
        if range.is_empty() {
            return Ok(None);
        }
        let end = range.next_offset();
        let is_committed = end.is_some_and(|end| end <= self.committed_end());
        if is_committed || range.is_in_memory() || is_off(Mutation::RangeOfUncommitted) {
            return Ok(Some(range));
        }
        response.set_records(read(&range)?);
        Ok(None)
    }
}

fn read<L, S, R>(range: &R) -> Result<Bytes, DriverError<L, S>>
where
    R: LogRange<Error: Into<L>>,
{
    range.read().map_err(|error| DriverError::Log(error.into()))
}
