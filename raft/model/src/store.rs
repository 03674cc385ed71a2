//! A log and an election state that a model check can compare, and crash at any moment.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use kwire_protocol::records::Batches;
use kwire_raft::control::{Control, read_controls};
use kwire_raft::driver::{Barrier, Installed, LogStore, MemoryRange, StateStore};
use kwire_raft::types::{
    Epoch, EpochStart, NodeId, Offset, OffsetAndEpoch, QuorumState, Recovered, SnapshotInfo,
};

/// A log without snapshots, but for the checkpoint that a directory is formatted with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelLog {
    issued: Vec<Stored>,
    durable: Vec<Stored>,
    /// What makes the one the other.
    pending: VecDeque<Op>,
    /// How many of these the barrier covers that is being run.
    covered: usize,
    /// The control records of the checkpoint.
    bootstrap: Option<Vec<Control>>,
}

/// A batch in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset after its last.
    pub end: Offset,
    /// The epoch of the leader that wrote it.
    pub epoch: Epoch,
    /// All of it.
    pub bytes: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Op {
    Append(Stored),
    Truncate(Offset),
}

impl ModelLog {
    /// An empty log of a directory that was formatted with these control records.
    #[must_use]
    pub fn formatted(controls: Vec<Control>) -> ModelLog {
        ModelLog {
            bootstrap: Some(controls),
            ..ModelLog::default()
        }
    }

    /// The control records of the checkpoint that the directory was formatted with.
    #[must_use]
    pub fn bootstrap(&self) -> Option<Vec<Control>> {
        self.bootstrap.clone()
    }

    /// The batches that readers see.
    #[must_use]
    pub fn issued(&self) -> &[Stored] {
        &self.issued
    }

    /// The batches that no crash takes away.
    #[must_use]
    pub fn durable(&self) -> &[Stored] {
        &self.durable
    }

    /// How many operations are not durable yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The barrier is over: what it covers is durable.
    pub fn settle(&mut self) {
        for op in self.pending.drain(..self.covered) {
            apply(&mut self.durable, op);
        }
        self.covered = 0;
    }

    /// What a crash leaves: what was durable, and so many of the operations that were not.
    pub fn crash(&mut self, kept: usize) {
        for op in self.pending.drain(..).take(kept) {
            apply(&mut self.durable, op);
        }
        self.covered = 0;
        self.issued = self.durable.clone();
    }

    fn issue(&mut self, op: Op) {
        apply(&mut self.issued, op.clone());
        self.pending.push_back(op);
    }
}

fn apply(batches: &mut Vec<Stored>, op: Op) {
    match op {
        Op::Append(batch) => batches.push(batch),
        Op::Truncate(to) => batches.retain(|batch| batch.base < to),
    }
}

fn end_of(batches: &[Stored]) -> Offset {
    batches.last().map_or(0, |last| last.end)
}

/// The log was asked for what a correct node does not ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl From<Infallible> for Refused {
    fn from(never: Infallible) -> Refused {
        match never {}
    }
}

/// Nothing to run: whoever holds the driver calls [`ModelLog::settle`].
#[derive(Debug)]
pub struct ModelBarrier;

impl Barrier for ModelBarrier {
    type Error = Refused;

    fn sync(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl LogStore for ModelLog {
    type Error = Refused;
    type Barrier = ModelBarrier;
    type Range = MemoryRange;

    fn recovered(&mut self) -> Result<Recovered, Refused> {
        let bootstrap = self.bootstrap.iter().flatten();
        let mut controls: Vec<_> = bootstrap.map(|control| (-1, control.clone())).collect();
        let mut epochs: Vec<EpochStart> = Vec::new();
        for stored in &self.issued {
            if epochs.last().is_none_or(|last| last.epoch < stored.epoch) {
                epochs.push(EpochStart {
                    epoch: stored.epoch,
                    offset: stored.base,
                });
            }
            for batch in Batches::new(&stored.bytes) {
                let batch = batch.map_err(|error| Refused(error.to_string()))?;
                let found = read_controls(&batch).map_err(|error| Refused(error.to_string()))?;
                controls.extend(found);
            }
        }
        let id = OffsetAndEpoch::BOOTSTRAP;
        Ok(Recovered {
            quorum_state: None,
            log_start: 0,
            log_end: end_of(&self.issued),
            epochs,
            snapshots: self.bootstrap.iter().map(|_| info(id)).collect(),
            controls,
        })
    }

    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), Refused> {
        let end = end_of(&self.issued);
        if base != end {
            return Err(Refused(format!("append at {base} to a log up to {end}")));
        }
        let mut next = end;
        for batch in Batches::validated(batches) {
            let batch = batch.map_err(|error| Refused(error.to_string()))?;
            let header = batch.header().ok_or(Refused("an old batch".to_owned()))?;
            let newest = self.issued.last().map_or(0, |last| last.epoch);
            if header.base_offset != next || header.partition_leader_epoch < newest {
                let (found, epoch) = (header.base_offset, header.partition_leader_epoch);
                return Err(Refused(format!(
                    "append of a batch at {found} of epoch {epoch}, where {next} follows on epoch {newest}"
                )));
            }
            next = batch.last_offset() + 1;
            self.issue(Op::Append(Stored {
                base: header.base_offset,
                end: next,
                epoch: header.partition_leader_epoch,
                bytes: Bytes::copy_from_slice(batch.bytes()),
            }));
        }
        Ok(())
    }

    fn truncate(&mut self, to: Offset) -> Result<(), Refused> {
        let is_boundary =
            to == end_of(&self.issued) || self.issued.iter().any(|batch| batch.base == to);
        if !is_boundary {
            return Err(Refused(format!("truncate to {to}, within a batch")));
        }
        self.issue(Op::Truncate(to));
        Ok(())
    }

    fn barrier(&mut self) -> ModelBarrier {
        self.covered = self.pending.len();
        ModelBarrier
    }

    fn read(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<Bytes, Refused> {
        let mut bytes = Vec::new();
        let chosen = self.issued.iter().filter(|batch| batch.base >= from);
        for batch in chosen.take_while(|batch| batch.end <= until) {
            if !bytes.is_empty() && bytes.len() + batch.bytes.len() > max_bytes {
                break;
            }
            bytes.extend_from_slice(&batch.bytes);
        }
        if from > end_of(&self.issued) {
            return Err(Refused(format!("read at {from}, beyond the end")));
        }
        Ok(bytes.into())
    }

    fn range(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<MemoryRange, Refused> {
        let bytes = self.read(from, until, max_bytes)?;
        Ok(MemoryRange::of_batches(from, bytes))
    }

    fn write_snapshot(&mut self, _: OffsetAndEpoch, _: u64, _: &[u8]) -> Result<(), Refused> {
        Err(no_snapshots())
    }

    fn finish_snapshot(&mut self, _: OffsetAndEpoch) -> Result<SnapshotInfo, Refused> {
        Err(no_snapshots())
    }

    fn install_snapshot(&mut self, _: OffsetAndEpoch) -> Result<Installed, Refused> {
        Err(no_snapshots())
    }

    fn drop_unfinished_snapshots(&mut self) -> Result<(), Refused> {
        Ok(())
    }

    fn read_snapshot(&self, _: OffsetAndEpoch, _: u64, _: usize) -> Result<Bytes, Refused> {
        Err(no_snapshots())
    }

    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<MemoryRange, Refused> {
        let bytes = self.read_snapshot(id, position, max_bytes)?;
        Ok(MemoryRange::of_snapshot(bytes))
    }

    fn delete_before(&mut self, _: OffsetAndEpoch) -> Result<(), Refused> {
        Err(no_snapshots())
    }
}

fn info(id: OffsetAndEpoch) -> SnapshotInfo {
    SnapshotInfo { id, size: 1 }
}

fn no_snapshots() -> Refused {
    Refused("the model has no snapshots".to_owned())
}

/// An election state: durable when it is saved, unless saving fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelState {
    state: Option<QuorumState>,
    /// Whether saving fails.
    pub is_broken: bool,
}

impl ModelState {
    /// What was saved last.
    #[must_use]
    pub fn saved(&self) -> Option<QuorumState> {
        self.state
    }
}

/// The election state could not be saved, as the check wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("saving failed")
    }
}

impl std::error::Error for Broken {}

impl StateStore for ModelState {
    type Error = Broken;

    fn load(&mut self) -> Result<Option<QuorumState>, Broken> {
        Ok(self.state)
    }

    fn save(&mut self, state: &QuorumState, _: i16, _: &[NodeId]) -> Result<(), Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        self.state = Some(*state);
        Ok(())
    }
}
