//! What a log holds, as the simulator saw it being written: the invariants do not ask the node.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use kwire_protocol::records::Batches;
use kwire_raft::control::{Control, read_controls};
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch};
use kwire_raft::voters::VoterSet;

/// A batch of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The epoch of the leader that made it.
    pub epoch: Epoch,
    /// The epoch of the batch before it; that of the snapshot before the log.
    pub previous: Epoch,
    /// A hash of its bytes.
    pub hash: u64,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A log as it was written.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    start: Offset,
    end: Offset,
    /// The epoch before the first batch.
    before: Epoch,
    entries: VecDeque<Entry>,
    /// Voter sets and versions, each with its offset; those of the snapshot first.
    voters: Vec<(Offset, VoterSet)>,
    versions: Vec<(Offset, i16)>,
    /// What of the log as it is now will be there after a crash.
    durable: Offset,
    pending: VecDeque<(u64, Offset)>,
    /// Counts what made the log shorter.
    truncations: u64,
    /// Counts changes of any kind.
    changes: u64,
    /// The snapshots.
    snapshots: Vec<OffsetAndEpoch>,
}

impl Shadow {
    /// The log that a store was opened with; all of it is durable.
    #[must_use]
    pub fn opened(
        start: Offset,
        end: Offset,
        batches: &Bytes,
        controls: &[(Offset, Control)],
        snapshots: Vec<OffsetAndEpoch>,
    ) -> Shadow {
        let before = snapshots.iter().rev().find(|id| id.offset <= start);
        let mut shadow = Shadow {
            start,
            end: start,
            before: before.map_or(0, |id| id.epoch),
            snapshots,
            ..Default::default()
        };
        for batch in Batches::new(batches).filter_map(Result::ok) {
            shadow.push(entry_of(batches, &batch));
        }
        shadow.end = end;
        shadow.durable = end;
        shadow.voters.clear();
        shadow.versions.clear();
        for (offset, control) in controls {
            shadow.control(*offset, control.clone());
        }
        shadow
    }

    /// The first offset.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last record.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The offset before which a crash leaves the log as it is, once an operation is durable.
    #[must_use]
    pub fn durable_after(&self, op: u64) -> Offset {
        let done = self
            .pending
            .iter()
            .take_while(|(pending, _)| *pending <= op);
        done.last().map_or(self.durable, |(_, end)| *end)
    }

    /// The epoch of the last record.
    #[must_use]
    pub fn last_epoch(&self) -> Epoch {
        self.entries.back().map_or(self.before, |entry| entry.epoch)
    }

    /// How often it became shorter.
    #[must_use]
    pub fn truncations(&self) -> u64 {
        self.truncations
    }

    /// How often it changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The snapshots, in ascending order.
    #[must_use]
    pub fn snapshots(&self) -> &[OffsetAndEpoch] {
        &self.snapshots
    }

    /// The batch that has an offset.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<&Entry> {
        let index = self.entries.partition_point(|entry| entry.last < offset);
        let entry = self.entries.get(index)?;
        (entry.base <= offset).then_some(entry)
    }

    /// The batches from the one that has an offset on.
    pub fn from(&self, offset: Offset) -> impl Iterator<Item = &Entry> {
        let index = self.entries.partition_point(|entry| entry.last < offset);
        self.entries.range(index..)
    }

    /// Whether the record before an offset is of this epoch, as far as the log reaches back.
    #[must_use]
    pub fn has(&self, id: OffsetAndEpoch) -> bool {
        if id.offset <= self.start {
            // Whatever is below the start is in a snapshot, and committed.
            return true;
        }
        id.offset <= self.end
            && self
                .at(id.offset - 1)
                .is_some_and(|entry| entry.epoch == id.epoch)
    }

    /// The voters that the log and its snapshot say, with the offset of their record.
    #[must_use]
    pub fn voters(&self) -> Option<&(Offset, VoterSet)> {
        self.voters.last()
    }

    /// All voter sets that are known of, in the order of their offsets.
    #[must_use]
    pub fn all_voters(&self) -> &[(Offset, VoterSet)] {
        &self.voters
    }

    /// The `kraft.version` that the log and its snapshot say.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.versions.last().map_or(0, |(_, version)| *version)
    }

    // What the disk does.

    pub(crate) fn append(&mut self, op: u64, batches: &Bytes) {
        for batch in Batches::new(batches).filter_map(Result::ok) {
            self.push(entry_of(batches, &batch));
        }
        self.pending.push_back((op, self.end));
        self.changes += 1;
    }

    fn push(&mut self, mut entry: Entry) {
        entry.previous = self.last_epoch();
        self.end = entry.last + 1;
        let batch = Batches::new(&entry.bytes).next();
        if let Some(Ok(batch)) = batch
            && let Ok(controls) = read_controls(&batch)
        {
            for (offset, control) in controls {
                self.control(offset, control);
            }
        }
        self.entries.push_back(entry);
    }

    fn control(&mut self, offset: Offset, control: Control) {
        match control {
            Control::Voters(voters) => self.voters.push((offset, voters)),
            Control::KRaftVersion(version) => self.versions.push((offset, version)),
        }
    }

    pub(crate) fn truncate(&mut self, to: Offset) {
        let to = to.max(self.start);
        while self.entries.back().is_some_and(|entry| entry.base >= to) {
            self.entries.pop_back();
        }
        self.end = self.end.min(to);
        self.durable = self.durable.min(to);
        for (_, end) in &mut self.pending {
            *end = (*end).min(to);
        }
        self.voters.retain(|(offset, _)| *offset < to);
        self.versions.retain(|(offset, _)| *offset < to);
        self.truncations += 1;
        self.changes += 1;
    }

    /// Everything up to an operation is durable.
    pub(crate) fn synced(&mut self, op: u64) {
        while let Some(&(pending, end)) = self.pending.front()
            && pending <= op
        {
            self.durable = end;
            self.pending.pop_front();
        }
    }

    pub(crate) fn delete_before(&mut self, id: OffsetAndEpoch) {
        self.start = self.start.max(id.offset);
        self.end = self.end.max(self.start);
        self.durable = self.durable.max(self.start);
        while self.entries.front().is_some_and(|e| e.last < self.start) {
            self.before = self.entries.pop_front().map_or(0, |entry| entry.epoch);
        }
        self.snapshots.retain(|snapshot| *snapshot >= id);
        self.changes += 1;
    }

    pub(crate) fn installed(&mut self, id: OffsetAndEpoch, controls: &[Control]) {
        *self = Shadow {
            start: id.offset,
            end: id.offset,
            durable: id.offset,
            before: id.epoch,
            snapshots: vec![id],
            changes: self.changes + 1,
            truncations: self.truncations,
            ..Default::default()
        };
        for control in controls {
            self.control(id.offset - 1, control.clone());
        }
    }

    pub(crate) fn add_snapshot(&mut self, id: OffsetAndEpoch) {
        self.snapshots.push(id);
        self.snapshots.sort_unstable();
        self.snapshots.dedup();
        self.changes += 1;
    }
}

fn entry_of(bytes: &Bytes, batch: &kwire_protocol::records::Batch<'_>) -> Entry {
    let header = batch.header();
    let bytes = bytes.slice_ref(batch.bytes());
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Entry {
        base: header.map_or(0, |header| header.base_offset),
        last: header.map_or(0, |header| header.last_offset()),
        epoch: header.map_or(0, |header| header.partition_leader_epoch),
        previous: 0,
        hash: hasher.finish(),
        bytes,
    }
}
