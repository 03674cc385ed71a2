//! The log in Kafka's format, over files in memory.

use bytes::Bytes;
use kwire_raft::driver::{Chore, LogStore};
use kwire_raft::log::files::memory::MemoryFiles;
use kwire_raft::log::{FileBarrier, FileLog, LogError, LogOptions};
use kwire_raft::types::{Installed, Offset, OffsetAndEpoch, Recovered, SnapshotInfo, Topic};

use crate::disk::SimLog;

/// A [`FileLog`] whose directory is in memory.
#[derive(Debug)]
pub struct MemoryFileLog {
    files: MemoryFiles,
    log: FileLog<MemoryFiles>,
}

/// Segments so short that there are many, and as much of the log in memory as the seed says.
fn options(seed: u64) -> LogOptions {
    LogOptions {
        segment_bytes: 4_000,
        index_interval_bytes: 500,
        tail_bytes: [0, 1_500, 1 << 20][(seed % 3) as usize],
        ..LogOptions::new(Topic::cluster_metadata())
    }
}

impl SimLog for MemoryFileLog {
    fn format(bootstrap: Option<(OffsetAndEpoch, Bytes)>) -> MemoryFileLog {
        let files = MemoryFiles::new();
        let log = FileLog::open(files.clone(), options(1));
        let mut log = log.expect("an empty directory in memory");
        if let Some((id, bytes)) = bootstrap {
            let written = log.write_snapshot(id, 0, &bytes);
            written.expect("memory takes what is written");
            log.finish_snapshot(id)
                .expect("the simulator writes whole snapshots");
            log = FileLog::open(files.clone(), options(1)).expect("it was just written");
        }
        MemoryFileLog { files, log }
    }

    fn crash(&mut self, seed: u64) -> Result<(), LogError> {
        self.files = self.files.crash(seed);
        self.log = FileLog::open(self.files.clone(), options(seed))?;
        Ok(())
    }
}

impl LogStore for MemoryFileLog {
    type Error = LogError;
    type Barrier = FileBarrier<<MemoryFiles as kwire_raft::log::files::Files>::File>;
    type Range = <FileLog<MemoryFiles> as LogStore>::Range;

    fn recovered(&mut self) -> Result<Recovered, LogError> {
        self.log.recovered()
    }

    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), LogError> {
        self.log.append(base, batches)
    }

    fn truncate(&mut self, to: Offset) -> Result<(), LogError> {
        self.log.truncate(to)
    }

    fn barrier(&mut self) -> Self::Barrier {
        self.log.barrier()
    }

    fn read(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<Bytes, LogError> {
        self.log.read(from, until, max_bytes)
    }

    fn range(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Self::Range, LogError> {
        self.log.range(from, until, max_bytes)
    }

    fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        self.log.write_snapshot(id, position, bytes)
    }

    fn finish_snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, LogError> {
        self.log.finish_snapshot(id)
    }

    fn install_snapshot(&mut self, id: OffsetAndEpoch) -> Result<Installed, LogError> {
        self.log.install_snapshot(id)
    }

    fn drop_unfinished_snapshots(&mut self) -> Result<(), LogError> {
        self.log.drop_unfinished_snapshots()
    }

    fn read_snapshot(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Bytes, LogError> {
        self.log.read_snapshot(id, position, max_bytes)
    }

    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Self::Range, LogError> {
        self.log.snapshot_range(id, position, max_bytes)
    }

    fn delete_before(&mut self, id: OffsetAndEpoch) -> Result<(), LogError> {
        self.log.delete_before(id)
    }

    fn chore(&mut self) -> Option<Chore<LogError>> {
        self.log.chore()
    }
}
