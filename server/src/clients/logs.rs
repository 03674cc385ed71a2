//! Logs in files, as tests need them.

use std::path::Path;

use bytes::Bytes;
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};
use kwire_raft::driver::{Installed, LogStore};
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::snapshot::SnapshotOptions;
use kwire_raft::log::{FileLog, LogOptions};
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch, Topic};

use crate::state::State;

pub(super) fn open(dir: &Path) -> FileLog {
    let topic = Topic::performance_test();
    let files = StdFiles::partition(dir, &topic).expect("a directory");
    FileLog::open(files, LogOptions::new(topic)).expect("a log")
}

/// Appends a batch of so many records: the first of a producer, or of nobody if its id is -1.
pub(super) fn append(log: &mut FileLog, epoch: Epoch, producer_id: i64, records: usize) {
    let base_offset = log.end();
    let sequence = if producer_id < 0 { -1 } else { 0 };
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset,
        partition_leader_epoch: epoch,
        producer_id,
        producer_epoch: sequence,
        base_sequence: sequence.into(),
        ..BatchOptions::default()
    })
    .expect("options");
    for _ in 0..records {
        let record = NewRecord {
            value: Some(b"value"),
            ..NewRecord::default()
        };
        let appended = builder.try_append(&record).expect("a record");
        assert_ne!(appended, Append::Full);
    }
    let batch = Bytes::from(builder.finish().expect("a batch"));
    log.append(base_offset, &batch).expect("it is written");
}

/// A snapshot takes the place of the log.
pub(super) fn install(log: &mut FileLog, end: Offset, epoch: Epoch, state: &State) {
    let id = OffsetAndEpoch::new(end, epoch);
    let bytes = state.to_snapshot(SnapshotOptions::new(id, 0, 0));
    let bytes = bytes.expect("short records");
    log.write_snapshot(id, 0, &bytes).expect("it is written");
    let installed = log.install_snapshot(id).expect("it is read");
    assert!(matches!(installed, Installed::Done { .. }));
}
