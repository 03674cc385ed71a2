//! The disks of the machines. They belong to the world, outlive crashes, and fail when told to.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kwire_raft::driver::{
    Barrier, Chore, LogRange, LogStore, MemoryBarrier, MemoryLog, StateStore,
};
use kwire_raft::mutation::{Mutation, is_off};
use kwire_raft::types::{
    Installed, NodeId, Offset, OffsetAndEpoch, QuorumState, Recovered, SnapshotInfo,
};

use crate::shadow::Shadow;

/// A log that the simulator can run over.
pub trait SimLog: LogStore + Sized + 'static {
    /// A new one, with a snapshot if there is to be one.
    fn format(bootstrap: Option<(OffsetAndEpoch, Bytes)>) -> Self;

    /// What a crash leaves of it, opened anew. What was not durable is there or not, as the seed
    /// says; 0 keeps as little of it as can be, `u64::MAX` as much.
    ///
    /// # Errors
    /// When it cannot be opened any more.
    fn crash(&mut self, seed: u64) -> Result<(), Self::Error>;
}

impl SimLog for MemoryLog {
    fn format(bootstrap: Option<(OffsetAndEpoch, Bytes)>) -> MemoryLog {
        match bootstrap {
            Some((id, bytes)) => {
                MemoryLog::with_snapshot(id, bytes).expect("the simulator writes whole snapshots")
            }
            None => MemoryLog::new(),
        }
    }

    fn crash(&mut self, seed: u64) -> Result<(), Self::Error> {
        MemoryLog::crash(self, seed);
        Ok(())
    }
}

/// What is to fail next on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// Writes to the log.
    pub log: bool,
    /// Barriers.
    pub sync: bool,
    /// Saving the election state.
    pub state: bool,
    /// Something did fail.
    pub has_failed: bool,
}

/// The switch by which the world lets a disk fail.
pub type FailingSwitch = Rc<RefCell<Failing>>;

/// An error of a disk.
#[derive(Debug)]
pub enum DiskError<E> {
    /// The store's own: somebody asked for what cannot be.
    Store(E),
    /// The world let it fail.
    Failed,
}

impl<E: fmt::Display> fmt::Display for DiskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::Store(error) => error.fmt(f),
            DiskError::Failed => f.write_str("the disk fails"),
        }
    }
}

impl<E: Error> Error for DiskError<E> {}

/// A log on a disk that is watched.
#[derive(Debug)]
pub struct Disk<L> {
    log: L,
    shadow: Shadow,
    failing: FailingSwitch,
    issued: u64,
    synced: Arc<AtomicU64>,
}

impl<L: SimLog> Disk<L> {
    /// A disk with a new log.
    #[must_use]
    pub fn format(bootstrap: Option<(OffsetAndEpoch, Bytes)>) -> Disk<L> {
        Disk {
            log: L::format(bootstrap),
            shadow: Shadow::default(),
            failing: FailingSwitch::default(),
            issued: 0,
            synced: Arc::default(),
        }
    }

    /// What was written to the log.
    #[must_use]
    pub fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// The switch by which it fails.
    #[must_use]
    pub fn failing(&self) -> FailingSwitch {
        Rc::clone(&self.failing)
    }

    /// The power went: what was not durable may be gone. Returns how many records are.
    ///
    /// # Errors
    /// When the log cannot be opened any more.
    pub fn crash(&mut self, seed: u64) -> Result<Offset, L::Error> {
        let end = self.shadow.end();
        self.log.crash(seed)?;
        self.synced = Arc::default();
        self.issued = 0;
        *self.failing.borrow_mut() = Failing::default();
        self.look()?;
        Ok(end - self.shadow.end())
    }

    /// Reads anew what there is.
    fn look(&mut self) -> Result<Recovered, L::Error> {
        let found = self.log.recovered()?;
        let batches = self.log.read(found.log_start, found.log_end, usize::MAX)?;
        let snapshots = found.snapshots.iter().map(|info| info.id).collect();
        let (start, end) = (found.log_start, found.log_end);
        self.shadow = Shadow::opened(start, end, &batches, &found.controls, snapshots);
        Ok(found)
    }

    /// The offset before which a crash leaves the log as it is.
    #[must_use]
    pub fn durable(&self) -> Offset {
        self.shadow
            .durable_after(self.synced.load(Ordering::Acquire))
    }

    /// Takes in what barriers made durable.
    fn settle(&mut self) {
        self.shadow.synced(self.synced.load(Ordering::Acquire));
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut L) -> Result<T, L::Error>,
    ) -> Result<T, DiskError<L::Error>> {
        self.settle();
        let mut failing = self.failing.borrow_mut();
        if failing.log {
            failing.has_failed = true;
            return Err(DiskError::Failed);
        }
        self.issued += 1;
        write(&mut self.log).map_err(DiskError::Store)
    }
}

impl<L: SimLog> LogStore for Disk<L> {
    type Error = DiskError<L::Error>;
    type Barrier = DiskBarrier<L::Barrier>;
    type Range = DiskRange<L>;

    fn recovered(&mut self) -> Result<Recovered, Self::Error> {
        self.look().map_err(DiskError::Store)
    }

    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), Self::Error> {
        self.write(|log| log.append(base, batches))?;
        self.shadow.append(self.issued, batches);
        Ok(())
    }

    fn truncate(&mut self, to: Offset) -> Result<(), Self::Error> {
        self.write(|log| log.truncate(to))?;
        self.shadow.truncate(to);
        Ok(())
    }

    fn barrier(&mut self) -> Self::Barrier {
        let mut failing = self.failing.borrow_mut();
        let fails = std::mem::take(&mut failing.sync);
        failing.has_failed |= fails;
        DiskBarrier {
            barrier: self.log.barrier(),
            covers: self.issued,
            synced: Arc::clone(&self.synced),
            fails,
        }
    }

    fn read(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<Bytes, Self::Error> {
        let read = self.log.read(from, until, max_bytes);
        read.map_err(DiskError::Store)
    }

    fn range(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Self::Range, Self::Error> {
        let range = self.log.range(from, until, max_bytes);
        range.map(DiskRange).map_err(DiskError::Store)
    }

    fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), Self::Error> {
        self.write(|log| log.write_snapshot(id, position, bytes))
    }

    fn finish_snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, Self::Error> {
        let info = self.write(|log| log.finish_snapshot(id))?;
        self.shadow.add_snapshot(id);
        Ok(info)
    }

    fn install_snapshot(&mut self, id: OffsetAndEpoch) -> Result<Installed, Self::Error> {
        let installed = self.write(|log| log.install_snapshot(id))?;
        if let Installed::Done { info, controls } = &installed {
            self.shadow.installed(info.id, controls);
        }
        Ok(installed)
    }

    fn drop_unfinished_snapshots(&mut self) -> Result<(), Self::Error> {
        self.write(L::drop_unfinished_snapshots)
    }

    fn read_snapshot(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Bytes, Self::Error> {
        let read = self.log.read_snapshot(id, position, max_bytes);
        read.map_err(DiskError::Store)
    }

    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Self::Range, Self::Error> {
        let range = self.log.snapshot_range(id, position, max_bytes);
        range.map(DiskRange).map_err(DiskError::Store)
    }

    fn delete_before(&mut self, id: OffsetAndEpoch) -> Result<(), Self::Error> {
        self.write(|log| log.delete_before(id))?;
        self.shadow.delete_before(id);
        Ok(())
    }

    fn chore(&mut self) -> Option<Chore<Self::Error>> {
        Some(self.log.chore()?.map_err(DiskError::Store))
    }
}

/// A barrier of a [`Disk`].
#[derive(Debug)]
pub struct DiskBarrier<B = MemoryBarrier> {
    barrier: B,
    covers: u64,
    synced: Arc<AtomicU64>,
    fails: bool,
}

impl<B: Barrier> Barrier for DiskBarrier<B> {
    type Error = DiskError<B::Error>;

    fn sync(self) -> Result<(), Self::Error> {
        if self.fails {
            return Err(DiskError::Failed);
        }
        self.barrier.sync().map_err(DiskError::Store)?;
        self.synced.fetch_max(self.covers, Ordering::AcqRel);
        Ok(())
    }
}

/// Bytes of a [`Disk`].
pub struct DiskRange<L: SimLog>(L::Range);

impl<L: SimLog> fmt::Debug for DiskRange<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<L: SimLog> LogRange for DiskRange<L> {
    type Error = DiskError<L::Error>;

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn next_offset(&self) -> Option<Offset> {
        self.0.next_offset()
    }

    fn is_in_memory(&self) -> bool {
        self.0.is_in_memory()
    }

    fn read(&self) -> Result<Bytes, Self::Error> {
        let read = self.0.read();
        read.map_err(|error| DiskError::Store(error.into()))
    }
}

/// The election state of a machine.
#[derive(Clone, Debug, Default)]
pub struct SimState {
    saved: Option<QuorumState>,
    /// What a save that does not wait for the disk has not written yet: there is none, but with
    /// [`Mutation::AnswerBeforeStateIsDurable`].
    unsaved: Option<QuorumState>,
    failing: FailingSwitch,
}

impl SimState {
    /// A state that was never saved.
    #[must_use]
    pub fn new(failing: FailingSwitch) -> SimState {
        SimState {
            failing,
            ..Default::default()
        }
    }

    /// What a crash leaves.
    #[must_use]
    pub fn saved(&self) -> Option<QuorumState> {
        self.saved
    }

    /// The power went.
    pub fn crash(&mut self) {
        self.unsaved = None;
    }

    /// Somebody removed the file.
    pub fn lose(&mut self) {
        self.saved = None;
    }
}

impl StateStore for SimState {
    type Error = DiskError<std::convert::Infallible>;

    fn load(&mut self) -> Result<Option<QuorumState>, Self::Error> {
        Ok(self.unsaved.or(self.saved))
    }

    fn save(&mut self, state: &QuorumState, _: i16, _: &[NodeId]) -> Result<(), Self::Error> {
        let mut failing = self.failing.borrow_mut();
        if failing.state {
            failing.has_failed = true;
            return Err(DiskError::Failed);
        }
        if is_off(Mutation::AnswerBeforeStateIsDurable) {
            self.saved = self.unsaved.replace(*state).or(self.saved);
        } else {
            self.saved = Some(*state);
        }
        Ok(())
    }
}
