//! What the node knows of its log without having it: where it starts and ends, its epochs, its
//! snapshots.

use std::collections::BTreeMap;

use crate::epochs::Epochs;
use crate::types::{Epoch, Offset, OffsetAndEpoch, Recovered};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Log {
    start: Offset,
    end: Offset,
    epochs: Epochs,
    /// The finished snapshots and their sizes.
    snapshots: BTreeMap<OffsetAndEpoch, u64>,
}

/// Whether a follower's log goes on from an offset and the epoch before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continuity {
    Continues,
    /// The follower's log has something else; the common part ends here at the latest.
    Diverges(OffsetAndEpoch),
    /// What the follower needs is only in this snapshot.
    Snapshot(OffsetAndEpoch),
}

impl Log {
    pub(super) fn new(recovered: &Recovered) -> Log {
        Log {
            start: recovered.log_start,
            end: recovered.log_end,
            epochs: Epochs::new(recovered.epochs.clone()),
            snapshots: recovered
                .snapshots
                .iter()
                .map(|info| (info.id, info.size))
                .collect(),
        }
    }

    pub(super) fn start(&self) -> Offset {
        self.start
    }

    pub(super) fn end(&self) -> Offset {
        self.end
    }

    pub(super) fn snapshots(&self) -> impl Iterator<Item = OffsetAndEpoch> {
        self.snapshots.keys().copied()
    }

    pub(super) fn latest_snapshot(&self) -> Option<OffsetAndEpoch> {
        Some(*self.snapshots.last_key_value()?.0)
    }

    pub(super) fn earliest_snapshot(&self) -> Option<OffsetAndEpoch> {
        Some(*self.snapshots.first_key_value()?.0)
    }

    pub(super) fn snapshot_size(&self, id: OffsetAndEpoch) -> Option<u64> {
        self.snapshots.get(&id).copied()
    }

    /// The epoch of the last record; of the snapshot, if the log has nothing but that.
    pub(super) fn last_epoch(&self) -> Epoch {
        self.epochs.latest().unwrap_or_else(|| {
            let snapshot = self.latest_snapshot();
            snapshot
                .filter(|id| id.offset == self.start)
                .map_or(0, |id| id.epoch)
        })
    }

    /// Batches of an epoch were appended.
    pub(super) fn appended(&mut self, epoch: Epoch, base: Offset, end: Offset) {
        debug_assert_eq!(base, self.end);
        self.epochs.assign(epoch, base);
        self.end = end;
    }

    pub(super) fn truncate_end(&mut self, end: Offset) {
        self.epochs.truncate_end(end);
        self.end = end;
    }

    /// A snapshot took the place of the log.
    pub(super) fn reset(&mut self, id: OffsetAndEpoch, size: u64) {
        self.epochs.clear();
        self.start = id.offset;
        self.end = id.offset;
        self.snapshots.retain(|old, _| *old >= id);
        self.snapshots.insert(id, size);
    }

    pub(super) fn add_snapshot(&mut self, id: OffsetAndEpoch, size: u64) {
        self.snapshots.insert(id, size);
    }

    /// Drops the snapshots before this one, and what is below its end.
    pub(super) fn delete_before(&mut self, id: OffsetAndEpoch) {
        self.snapshots.retain(|old, _| *old >= id);
        self.start = id.offset;
        self.epochs.truncate_start(id.offset);
        if self.start >= self.end {
            self.epochs.clear();
        }
    }

    /// Where an epoch ends: [`Epochs::end_of`], or the log's end for an epoch above all of them.
    pub(super) fn end_of_epoch(&self, epoch: Epoch) -> OffsetAndEpoch {
        let Some(found) = self.epochs.end_of(epoch, self.end) else {
            return OffsetAndEpoch::new(self.end, self.last_epoch());
        };
        match self.earliest_snapshot() {
            Some(earliest) if found.offset == earliest.offset && found.epoch == epoch => earliest,
            _ => found,
        }
    }

    /// Whether a log that ends at `offset`, its last record of `epoch`, is a part of this one.
    pub(super) fn continuity(&self, offset: Offset, epoch: Epoch) -> Continuity {
        let latest = self.latest_snapshot();
        if offset == 0
            && let Some(latest) = latest
            && latest != OffsetAndEpoch::BOOTSTRAP
        {
            return Continuity::Snapshot(latest);
        }
        if self.start == 0 && offset == 0 {
            return Continuity::Continues;
        }
        if let (Some(earliest), Some(latest)) = (self.earliest_snapshot(), latest)
            && (offset < self.start
                || (offset == self.start && epoch != earliest.epoch)
                || epoch < earliest.epoch)
        {
            return Continuity::Snapshot(latest);
        }
        let end = self.end_of_epoch(epoch);
        if end.epoch != epoch || end.offset < offset {
            return Continuity::Diverges(end);
        }
        Continuity::Continues
    }

    /// Where to truncate this log when the leader's is known to share nothing with it beyond `end`.
    pub(super) fn common_end(&self, end: OffsetAndEpoch) -> Offset {
        if end.epoch == 0 {
            return end.offset.min(self.end);
        }
        let local = self.end_of_epoch(end.epoch);
        if local.epoch == end.epoch {
            local.offset.min(end.offset)
        } else {
            local.offset
        }
    }

    /// Whether the record before an offset has this epoch.
    pub(super) fn has(&self, id: OffsetAndEpoch) -> bool {
        self.snapshots.contains_key(&id) || self.epoch_before(id.offset) == Some(id.epoch)
    }

    /// The epoch of the record before an offset; `None` if the log does not have that record.
    pub(super) fn epoch_before(&self, offset: Offset) -> Option<Epoch> {
        if offset <= self.start || offset > self.end {
            return None;
        }
        self.epochs.at(offset - 1)
    }
}
