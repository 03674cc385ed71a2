//! What a driver needs of a disk. The node never sees these traits.

use std::error::Error;
use std::fmt;

use bytes::Bytes;

use super::LogRange;
pub use crate::types::Installed;
use crate::types::{NodeId, Offset, OffsetAndEpoch, QuorumState, Recovered, SnapshotInfo};

/// The log of one partition, with its snapshots.
///
/// Operations take effect in the order of the calls. What [`append`](Self::append) and
/// [`truncate`](Self::truncate) did is durable once a [`barrier`](Self::barrier) taken afterwards
/// has been [synced](Barrier::sync); after a crash before that, any prefix of what was appended may
/// be there. Everything about snapshots is durable when the call returns, but for deleting.
///
/// After an error the store must not be written to again: what the disk holds is not known until
/// it is opened and recovered anew.
pub trait LogStore {
    /// What can go wrong. It says which file and which offset.
    type Error: Error + Send + Sync + 'static;
    /// What makes earlier writes durable; it may run on another thread.
    type Barrier: Barrier<Error = Self::Error>;
    /// Where bytes of it lie, to be read later.
    type Range: LogRange<Error: Into<Self::Error>>;

    /// Everything but the election state, as it was found when the store was opened.
    fn recovered(&mut self) -> Result<Recovered, Self::Error>;

    /// Writes whole batches at the end of the log. `base` is the log end offset, and the first
    /// batch's base offset.
    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), Self::Error>;

    /// Removes the batches at and after an offset, which is a batch's base offset, the log end
    /// offset, or below the log start (then nothing is left).
    fn truncate(&mut self, to: Offset) -> Result<(), Self::Error>;

    /// A barrier after everything written so far.
    fn barrier(&mut self) -> Self::Barrier;

    /// Whole batches of `from..until`: from the batch that has `from` on, none that reaches beyond
    /// `until`, at least one, and as many as `max_bytes` hold. Empty if `from` is `until`.
    fn read(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<Bytes, Self::Error>;

    /// Where the batches lie that [`read`](Self::read) gives, as far as they lie together; whether
    /// they will be truncated is for the caller to know. At least one batch, unless `from` is
    /// `until`.
    fn range(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Self::Range, Self::Error>;

    /// Writes a part of a snapshot that is not finished. At position 0 it starts anew.
    fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), Self::Error>;

    /// Makes the snapshot whole and durable. The log stays as it is. A snapshot that was made whole
    /// beside the log, where the store has a way to do that, is taken in.
    fn finish_snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, Self::Error>;

    /// Makes the snapshot whole and durable and starts the log anew, empty, at its end. Refuses,
    /// and drops it, if it is not a whole snapshot with the checksums it ought to have.
    fn install_snapshot(&mut self, id: OffsetAndEpoch) -> Result<Installed, Self::Error>;

    /// Forgets the parts of snapshots that are not finished.
    fn drop_unfinished_snapshots(&mut self) -> Result<(), Self::Error>;

    /// Bytes of a finished snapshot, at most `max_bytes`; fewer only at its end.
    fn read_snapshot(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Bytes, Self::Error>;

    /// Where the bytes lie that [`read_snapshot`](Self::read_snapshot) gives.
    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Self::Range, Self::Error>;

    /// Removes the snapshots before this one, and the log below its end as far as whole files can
    /// go. The log starts at its end from now on; after a crash before the [chore](Self::chore)
    /// that this may leave behind is done, it may start where it did before.
    fn delete_before(&mut self, id: OffsetAndEpoch) -> Result<(), Self::Error>;

    /// What is left to do of earlier calls, each once and in their order.
    fn chore(&mut self) -> Option<Chore<Self::Error>> {
        None
    }
}

/// Work on the disk that nothing waits for, such as removing files, which takes long where they are
/// large. It may be done on another thread, one after the other.
pub struct Chore<E>(Box<dyn FnOnce() -> Result<(), E> + Send>);

impl<E> fmt::Debug for Chore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chore").finish_non_exhaustive()
    }
}

impl<E: 'static> Chore<E> {
    /// This work.
    pub fn new(work: impl FnOnce() -> Result<(), E> + Send + 'static) -> Chore<E> {
        Chore(Box::new(work))
    }

    /// Does it.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn run(self) -> Result<(), E> {
        (self.0)()
    }

    /// The same with another error.
    pub fn map_err<T>(self, map: impl FnOnce(E) -> T + Send + 'static) -> Chore<T> {
        Chore(Box::new(move || self.run().map_err(map)))
    }
}

/// Makes what was written before it was taken durable.
pub trait Barrier: Send + 'static {
    /// What can go wrong.
    type Error;

    /// Returns once it is durable.
    fn sync(self) -> Result<(), Self::Error>;
}

/// The election state of one partition: `quorum-state`.
pub trait StateStore {
    /// What can go wrong. It says which file.
    type Error: Error + Send + Sync + 'static;

    /// What was saved last, if anything ever was.
    fn load(&mut self) -> Result<Option<QuorumState>, Self::Error>;

    /// Replaces it. Durable when the call returns. `kraft_version` decides the form of the file,
    /// and `voters` stands in form 0 for information.
    fn save(
        &mut self,
        state: &QuorumState,
        kraft_version: i16,
        voters: &[NodeId],
    ) -> Result<(), Self::Error>;
}
