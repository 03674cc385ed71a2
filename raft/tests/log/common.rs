//! Batches, snapshots and logs to try things with.

use bytes::Bytes;
use kwire_protocol::records::{BatchBuilder, BatchOptions, NewRecord};
use kwire_raft::driver::{Barrier, LogStore};
use kwire_raft::log::files::memory::MemoryFiles;
use kwire_raft::log::snapshot::{SnapshotOptions, SnapshotWriter};
use kwire_raft::log::{FileLog, LogOptions};
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch, ReplicaKey, Topic};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};

/// A batch of some records, whose values say where they stand.
pub(crate) fn batch(base: Offset, epoch: Epoch, records: i64, len: usize) -> Bytes {
    let options = BatchOptions {
        base_offset: base,
        partition_leader_epoch: epoch,
        ..Default::default()
    };
    let mut builder = BatchBuilder::new(options).unwrap();
    for offset in base..base + records {
        let mut value = format!("{offset}/{epoch}/").into_bytes();
        value.resize(len.max(value.len()), b'.');
        let record = NewRecord {
            timestamp: 1000 + offset,
            value: Some(&value),
            ..Default::default()
        };
        let _ = builder.try_append(&record).unwrap();
    }
    builder.finish().unwrap().into()
}

/// Segments of a few batches, with an entry in the index for every batch but the first, and nothing
/// but files.
pub(crate) fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 400,
        index_interval_bytes: 1,
        tail_bytes: 0,
        ..LogOptions::new(Topic::cluster_metadata())
    }
}

pub(crate) fn open(files: &MemoryFiles) -> FileLog<MemoryFiles> {
    FileLog::open(files.clone(), small()).unwrap()
}

pub(crate) fn sync(log: &mut impl LogStore) {
    assert!(log.barrier().sync().is_ok());
}

pub(crate) fn voters() -> VoterSet {
    let voter = |id| Voter {
        key: ReplicaKey::new(id, "J8aAPcfLQt2bqs1JT_rMgQ".parse().unwrap()),
        endpoints: Endpoints::one("CONTROLLER", Address::new("localhost", 9093)),
        kraft_versions: KRaftVersions::SUPPORTED,
    };
    [voter(1), voter(2)].into_iter().collect()
}

/// The bytes of a snapshot.
pub(crate) fn snapshot(id: OffsetAndEpoch) -> Vec<u8> {
    let options = SnapshotOptions::new(id, 1000, 2000).with_voters(voters());
    let mut writer = SnapshotWriter::new(options);
    let mut bytes = writer.take();
    for _ in 0..3 {
        let record = NewRecord {
            timestamp: 1000,
            value: Some(b"state"),
            ..Default::default()
        };
        writer.append(&record).unwrap();
    }
    bytes.extend(writer.finish().unwrap());
    bytes
}

/// Everything from one offset to another.
pub(crate) fn contents<L: LogStore>(log: &L, start: Offset, end: Offset) -> Bytes {
    log.read(start, end, usize::MAX / 2).unwrap()
}
