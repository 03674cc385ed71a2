//! Records on their way into the leader's log, as batches.

use std::collections::VecDeque;

use bytes::Bytes;
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, HEADER_LEN, NewRecord};

use super::append::AppendError;
use crate::types::{Epoch, Instant, Offset};

/// What a record takes beside its value, at most.
const RECORD_OVERHEAD: usize = 40;

/// Batches that wait for the log. Records of one append are in one batch, so that they are in the
/// log together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Accumulator {
    open: Option<BatchBuilder>,
    ready: VecDeque<(Offset, Bytes)>,
    ready_bytes: usize,
    /// Records in all batches.
    count: i64,
    /// When the first of the records came.
    since: Instant,
    /// The timestamp of the open batch. Java's nodes read only batches whose records all have the
    /// same, no key and no headers: at any other they end their process.
    timestamp_ms: i64,
}

impl Accumulator {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.ready_bytes + self.open.as_ref().map_or(0, BatchBuilder::size)
    }

    /// Records that wait.
    pub(super) fn count(&self) -> i64 {
        self.count
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    #[cfg(feature = "model")]
    pub(super) fn set_since(&mut self, since: Instant) {
        self.since = since;
    }

    /// Adds a record for each value; returns the offset of the last, which follow one another
    /// from `next` on.
    pub(super) fn append(
        &mut self,
        now: Instant,
        epoch: Epoch,
        next: Offset,
        timestamp_ms: i64,
        values: &[&[u8]],
        max_batch_bytes: usize,
    ) -> Result<Offset, AppendError> {
        let needed = values
            .iter()
            .map(|value| value.len() + RECORD_OVERHEAD)
            .sum::<usize>();
        let limit = max_batch_bytes.saturating_sub(HEADER_LEN);
        if needed > limit {
            return Err(AppendError::TooLarge { needed, limit });
        }
        let room = |open: &BatchBuilder| open.size() + needed <= max_batch_bytes;
        if !self.open.as_ref().is_some_and(room) {
            self.close();
            let options = BatchOptions {
                base_offset: next,
                partition_leader_epoch: epoch,
                max_size: max_batch_bytes,
                ..Default::default()
            };
            let builder = BatchBuilder::new(options);
            self.open = Some(builder.expect("plain options"));
            self.timestamp_ms = timestamp_ms;
        }
        if self.count == 0 {
            self.since = now;
        }
        let open = self.open.as_mut().expect("just opened");
        let mut last = next;
        for value in values {
            let record = NewRecord {
                timestamp: self.timestamp_ms,
                value: Some(value),
                ..Default::default()
            };
            match open.try_append(&record) {
                Ok(Append::Done { offset }) => last = offset,
                refused => unreachable!("its size was checked: {refused:?}"),
            }
        }
        self.count += i64::try_from(values.len()).expect("records in memory");
        Ok(last)
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.record_count() == 0 {
            return;
        }
        let base = open.next_offset().unwrap_or(Offset::MAX) - Offset::from(open.record_count());
        let batch = Bytes::from(open.finish().expect("a batch with records, uncompressed"));
        self.ready_bytes += batch.len();
        self.ready.push_back((base, batch));
    }

    /// All batches, in order, with their base offsets.
    pub(super) fn drain(&mut self) -> VecDeque<(Offset, Bytes)> {
        self.close();
        self.count = 0;
        self.ready_bytes = 0;
        std::mem::take(&mut self.ready)
    }
}
