//! A log that lives in memory and dies as one on a disk does: what was not synced may be gone.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kwire_protocol::records::{Batches, Error};

use super::range::MemoryRange;
use super::store::{Barrier, Installed, LogStore};
use crate::control::{Control, ControlError, read_controls};
use crate::log::files::Seed;
use crate::log::snapshot::{self, SnapshotError};
use crate::types::{Epoch, EpochStart, Offset, OffsetAndEpoch, Recovered, SnapshotInfo};

/// A log in memory.
///
/// A clone shares nothing with the log that it was made from: barriers of the one mean nothing to
/// the other.
#[derive(Debug, Default)]
pub struct MemoryLog {
    /// What readers see.
    issued: Batched,
    /// What a crash leaves at the least.
    durable: Batched,
    /// What makes the one the other, each with its number.
    pending: VecDeque<(u64, Op)>,
    /// The number of the last operation.
    issued_number: u64,
    /// The number of the last operation that a barrier made durable.
    synced_number: Arc<AtomicU64>,
    snapshots: BTreeMap<OffsetAndEpoch, Bytes>,
    unfinished: BTreeMap<OffsetAndEpoch, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Op {
    Append(StoredBatch),
    Truncate(Offset),
}

#[derive(Clone, Debug)]
struct StoredBatch {
    base: Offset,
    last: Offset,
    epoch: Epoch,
    bytes: Bytes,
}

impl Clone for MemoryLog {
    fn clone(&self) -> MemoryLog {
        MemoryLog {
            issued: self.issued.clone(),
            durable: self.durable.clone(),
            pending: self.pending.clone(),
            issued_number: self.issued_number,
            synced_number: Arc::new(AtomicU64::new(self.synced_number.load(Ordering::Acquire))),
            snapshots: self.snapshots.clone(),
            unfinished: self.unfinished.clone(),
        }
    }
}

impl MemoryLog {
    /// An empty log without snapshots.
    #[must_use]
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    /// An empty log that has a snapshot, such as the bootstrap checkpoint of a formatted directory,
    /// and starts where it ends.
    ///
    /// # Errors
    /// When it is no whole snapshot.
    pub fn with_snapshot(id: OffsetAndEpoch, bytes: Bytes) -> Result<MemoryLog, MemoryError> {
        controls_of(id, &bytes)?;
        let mut log = MemoryLog::new();
        log.issued = Batched::starting_at(id.offset);
        log.durable = log.issued.clone();
        log.snapshots.insert(id, bytes);
        Ok(log)
    }

    /// What a crash leaves, as one opens it anew: what was durable, and any prefix of what was not,
    /// as the seed says; 0 keeps nothing of it and `u64::MAX` all. Snapshots that are not finished
    /// are gone, and barriers that were not synced mean nothing any more.
    pub fn crash(&mut self, seed: u64) {
        self.settle();
        let kept = match seed {
            0 => 0,
            u64::MAX => self.pending.len(),
            _ => Seed::new(seed).up_to(self.pending.len()),
        };
        for (_, op) in self.pending.drain(..).take(kept) {
            self.durable.apply(op);
        }
        self.unfinished.clear();
        self.synced_number = Arc::new(AtomicU64::new(self.issued_number));
        // A snapshot beyond the end of the log stands for what the log lost.
        if let Some(&id) = self.snapshots.keys().next_back()
            && (id.offset > self.durable.end || id > self.durable.end_id())
        {
            self.durable = Batched::starting_at(id.offset);
            self.snapshots = self.snapshots.split_off(&id);
        }
        let start = self.durable.start;
        self.snapshots.retain(|id, _| id.offset >= start);
        self.issued = self.durable.clone();
    }

    /// Where the log ends for readers.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.issued.end
    }

    /// Where the log ends for certain, whatever happens.
    #[must_use]
    pub fn durable_end(&mut self) -> Offset {
        self.settle();
        self.durable.end
    }

    /// The first offset of the log.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.issued.start
    }

    /// The snapshots that are finished, in ascending order.
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = SnapshotInfo> {
        self.snapshots.iter().map(|(&id, bytes)| info(id, bytes))
    }

    fn issue(&mut self, op: Op) {
        self.issued_number += 1;
        self.issued.apply(op.clone());
        self.pending.push_back((self.issued_number, op));
    }

    /// Does to the durable log what barriers have made durable.
    fn settle(&mut self) {
        let synced = self.synced_number.load(Ordering::Acquire);
        while self
            .pending
            .front()
            .is_some_and(|(number, _)| *number <= synced)
        {
            if let Some((_, op)) = self.pending.pop_front() {
                self.durable.apply(op);
            }
        }
    }

    fn take_unfinished(&mut self, id: OffsetAndEpoch) -> Result<Bytes, MemoryError> {
        let bytes = self.unfinished.remove(&id);
        Ok(bytes.ok_or(MemoryError::UnknownSnapshot(id))?.into())
    }
}

impl LogStore for MemoryLog {
    type Error = MemoryError;
    type Barrier = MemoryBarrier;
    type Range = MemoryRange;

    fn recovered(&mut self) -> Result<Recovered, MemoryError> {
        let mut controls = Vec::new();
        let mut from = self.issued.start;
        if let Some((&id, bytes)) = self.snapshots.iter().next_back() {
            let found = controls_of(id, bytes)?;
            controls.extend(found.into_iter().map(|control| (id.offset - 1, control)));
            from = id.offset;
        }
        for stored in self.issued.batches.iter().filter(|b| b.base >= from) {
            for batch in Batches::new(&stored.bytes) {
                controls.extend(read_controls(&batch?)?);
            }
        }
        Ok(Recovered {
            quorum_state: None,
            log_start: self.issued.start,
            log_end: self.issued.end,
            epochs: self.issued.epochs(),
            snapshots: self.snapshots().collect(),
            controls,
        })
    }

    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), MemoryError> {
        self.settle();
        let mut next = self.issued.end;
        let mut epoch = self.issued.batches.back().map_or(0, |last| last.epoch);
        let mut stored = Vec::new();
        let mut iter = Batches::new(batches);
        let unexpected = |found, expected| MemoryError::Unexpected { found, expected };
        if base != next {
            return Err(unexpected(base, next));
        }
        while let Some(batch) = iter.next().transpose()? {
            let header = batch.header().ok_or(MemoryError::OldFormat)?;
            if header.base_offset != next
                || header.last_offset_delta < 0
                || header.partition_leader_epoch < epoch
            {
                return Err(unexpected(header.base_offset, next));
            }
            epoch = header.partition_leader_epoch;
            next = header.last_offset() + 1;
            stored.push(StoredBatch {
                base: header.base_offset,
                last: header.last_offset(),
                epoch,
                bytes: batches.slice_ref(batch.bytes()),
            });
        }
        if iter.remainder() > 0 {
            return Err(MemoryError::Partial { offset: next });
        }
        for batch in stored {
            self.issue(Op::Append(batch));
        }
        Ok(())
    }

    fn truncate(&mut self, to: Offset) -> Result<(), MemoryError> {
        self.settle();
        let boundary = to <= self.issued.start
            || to == self.issued.end
            || self
                .issued
                .at(to)
                .is_some_and(|(_, batch)| batch.base == to);
        if !boundary {
            return Err(MemoryError::NoBoundary(to));
        }
        self.issue(Op::Truncate(to));
        Ok(())
    }

    fn barrier(&mut self) -> MemoryBarrier {
        MemoryBarrier {
            number: self.issued_number,
            synced_number: Arc::clone(&self.synced_number),
        }
    }

    fn read(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<Bytes, MemoryError> {
        if from >= until {
            return Ok(Bytes::new());
        }
        let (start, end) = (self.issued.start, self.issued.end);
        let outside = MemoryError::Outside { from, start, end };
        let Some((index, _)) = self.issued.at(from).filter(|_| from >= start) else {
            return Err(outside);
        };
        let mut len = 0;
        let fits = |batch: &&StoredBatch| {
            let first = len == 0;
            len += batch.bytes.len();
            batch.last < until && (first || len <= max_bytes)
        };
        let chosen: Vec<_> = self
            .issued
            .batches
            .range(index..)
            .take_while(fits)
            .collect();
        if let [only] = chosen.as_slice() {
            return Ok(only.bytes.clone());
        }
        let mut bytes = Vec::with_capacity(chosen.iter().map(|batch| batch.bytes.len()).sum());
        for batch in chosen {
            bytes.extend_from_slice(&batch.bytes);
        }
        Ok(bytes.into())
    }

    fn range(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<MemoryRange, MemoryError> {
        let bytes = self.read(from, until, max_bytes)?;
        Ok(MemoryRange::of_batches(from, bytes))
    }

    fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), MemoryError> {
        let part = self.unfinished.entry(id).or_default();
        if position == 0 {
            part.clear();
        }
        if position != part.len() as u64 {
            return Err(MemoryError::Gap { id, position });
        }
        part.extend_from_slice(bytes);
        Ok(())
    }

    fn finish_snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, MemoryError> {
        let bytes = self.take_unfinished(id)?;
        let info = info(id, &bytes);
        self.snapshots.insert(id, bytes);
        Ok(info)
    }

    fn install_snapshot(&mut self, id: OffsetAndEpoch) -> Result<Installed, MemoryError> {
        let bytes = self.take_unfinished(id)?;
        let controls = match controls_of(id, &bytes) {
            Ok(controls) => controls,
            Err(error) => {
                let reason = error.to_string();
                return Ok(Installed::Refused { reason });
            }
        };
        let info = info(id, &bytes);
        self.pending.clear();
        self.issued = Batched::starting_at(id.offset);
        self.durable = self.issued.clone();
        // What the log starts after is the only snapshot there may be.
        self.snapshots.clear();
        self.snapshots.insert(id, bytes);
        Ok(Installed::Done { info, controls })
    }

    fn drop_unfinished_snapshots(&mut self) -> Result<(), MemoryError> {
        self.unfinished.clear();
        Ok(())
    }

    fn read_snapshot(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Bytes, MemoryError> {
        let bytes = self.snapshots.get(&id);
        let bytes = bytes.ok_or(MemoryError::UnknownSnapshot(id))?;
        let start = usize::try_from(position).map_or(bytes.len(), |start| start.min(bytes.len()));
        let end = start.saturating_add(max_bytes).min(bytes.len());
        Ok(bytes.slice(start..end))
    }

    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<MemoryRange, MemoryError> {
        let bytes = self.read_snapshot(id, position, max_bytes)?;
        Ok(MemoryRange::of_snapshot(bytes))
    }

    fn delete_before(&mut self, id: OffsetAndEpoch) -> Result<(), MemoryError> {
        self.settle();
        if !self.snapshots.contains_key(&id) {
            return Err(MemoryError::UnknownSnapshot(id));
        }
        let (start, end) = (self.issued.start, self.issued.end);
        if id.offset > end {
            let from = id.offset;
            return Err(MemoryError::Outside { from, start, end });
        }
        self.snapshots = self.snapshots.split_off(&id);
        self.issued.start_at(id.offset);
        self.durable.start_at(id.offset);
        Ok(())
    }
}

/// Makes durable what a [`MemoryLog`] had done when it was taken.
#[derive(Debug)]
pub struct MemoryBarrier {
    number: u64,
    synced_number: Arc<AtomicU64>,
}

impl Barrier for MemoryBarrier {
    type Error = MemoryError;

    fn sync(self) -> Result<(), MemoryError> {
        self.synced_number.fetch_max(self.number, Ordering::AcqRel);
        Ok(())
    }
}

/// Batches one after the other.
#[derive(Clone, Debug, Default)]
struct Batched {
    start: Offset,
    end: Offset,
    batches: VecDeque<StoredBatch>,
}

impl Batched {
    fn starting_at(offset: Offset) -> Batched {
        Batched {
            start: offset,
            end: offset,
            batches: VecDeque::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            // What is below the start was deleted before it became durable.
            Op::Append(batch) if batch.last < self.start => {}
            Op::Append(batch) => {
                self.end = batch.last + 1;
                self.batches.push_back(batch);
            }
            Op::Truncate(to) => {
                while self.batches.back().is_some_and(|batch| batch.base >= to) {
                    self.batches.pop_back();
                }
                self.end = self.end.min(to.max(self.start));
            }
        }
    }

    /// The batch that has an offset, and which one it is.
    fn at(&self, offset: Offset) -> Option<(usize, &StoredBatch)> {
        let index = self.batches.partition_point(|batch| batch.last < offset);
        let batch = self.batches.get(index);
        batch
            .filter(|batch| batch.base <= offset)
            .map(|batch| (index, batch))
    }

    fn start_at(&mut self, offset: Offset) {
        self.start = self.start.max(offset);
        self.end = self.end.max(self.start);
        while self.batches.front().is_some_and(|b| b.last < self.start) {
            self.batches.pop_front();
        }
    }

    fn end_id(&self) -> OffsetAndEpoch {
        let epoch = self.batches.back().map_or(0, |batch| batch.epoch);
        OffsetAndEpoch::new(self.end, epoch)
    }

    fn epochs(&self) -> Vec<EpochStart> {
        let mut epochs: Vec<EpochStart> = Vec::new();
        for batch in &self.batches {
            if epochs.last().is_none_or(|last| last.epoch < batch.epoch) {
                epochs.push(EpochStart {
                    epoch: batch.epoch,
                    offset: batch.base.max(self.start),
                });
            }
        }
        epochs
    }
}

fn info(id: OffsetAndEpoch, bytes: &Bytes) -> SnapshotInfo {
    let size = bytes.len() as u64;
    SnapshotInfo { id, size }
}

fn controls_of(id: OffsetAndEpoch, bytes: &Bytes) -> Result<Vec<Control>, MemoryError> {
    let read = |position: u64, max: usize| {
        let start = usize::try_from(position).map_or(bytes.len(), |at| at.min(bytes.len()));
        Ok::<_, Infallible>(bytes.slice(start..start.saturating_add(max).min(bytes.len())))
    };
    snapshot::verify(bytes.len() as u64, read).map_err(|error| MemoryError::Damaged { id, error })
}

/// What a [`MemoryLog`] refuses. All of it is the caller's doing.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemoryError {
    /// A batch that does not follow on the end of the log, or has an epoch below that of the last.
    Unexpected {
        /// Where it starts.
        found: Offset,
        /// Where the log ends.
        expected: Offset,
    },
    /// The bytes end within a batch.
    Partial {
        /// The offset that the batch would have.
        offset: Offset,
    },
    /// A batch that cannot be read.
    Batch(Error),
    /// A batch of magic 0 or 1.
    OldFormat,
    /// A control record that cannot be read.
    Control(ControlError),
    /// No batch starts at the offset.
    NoBoundary(Offset),
    /// The log does not have the offset.
    Outside {
        /// The offset.
        from: Offset,
        /// Where the log starts.
        start: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// There is no such snapshot, or none that was begun.
    UnknownSnapshot(OffsetAndEpoch),
    /// A part of a snapshot does not follow on the one before.
    Gap {
        /// The snapshot.
        id: OffsetAndEpoch,
        /// Where the part starts.
        position: u64,
    },
    /// A snapshot that is not what a writer of snapshots writes.
    Damaged {
        /// The snapshot.
        id: OffsetAndEpoch,
        /// What is wrong with it.
        error: SnapshotError<Infallible>,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::Unexpected { found, expected } => {
                write!(
                    f,
                    "a batch at {found} cannot follow on a log that ends at {expected}"
                )
            }
            MemoryError::Partial { offset } => {
                write!(f, "the bytes end within the batch at {offset}")
            }
            MemoryError::Batch(error) => error.fmt(f),
            MemoryError::OldFormat => f.write_str("a batch of magic 0 or 1, which KRaft has not"),
            MemoryError::Control(error) => error.fmt(f),
            MemoryError::NoBoundary(offset) => write!(f, "no batch starts at {offset}"),
            MemoryError::Outside { from, start, end } => {
                write!(f, "{from} is not in a log of {start} to {end}")
            }
            MemoryError::UnknownSnapshot(id) => write!(f, "there is no snapshot at {id}"),
            MemoryError::Gap { id, position } => {
                write!(f, "byte {position} does not follow in the snapshot at {id}")
            }
            MemoryError::Damaged { id, error } => write!(f, "snapshot at {id}: {error}"),
        }
    }
}

impl std::error::Error for MemoryError {}

impl From<Infallible> for MemoryError {
    fn from(never: Infallible) -> MemoryError {
        match never {}
    }
}

impl From<Error> for MemoryError {
    fn from(error: Error) -> MemoryError {
        MemoryError::Batch(error)
    }
}

impl From<ControlError> for MemoryError {
    fn from(error: ControlError) -> MemoryError {
        MemoryError::Control(error)
    }
}
