//! The log on a file system.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::mpsc;
use std::thread;

use kwire_raft::driver::{Barrier, Installed, LogRange, LogStore};
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::{FileLog, LogOptions};
use kwire_raft::types::{OffsetAndEpoch, Topic};

use crate::common::{batch, contents, snapshot};

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 20_000,
        tail_bytes: 0,
        ..LogOptions::new(Topic::cluster_metadata())
    }
}

fn is_send<T: Send + 'static>(value: T) -> T {
    value
}

#[test]
fn a_thread_syncs_what_another_writes() {
    let dir = tempfile::tempdir().unwrap();
    let files = StdFiles::partition(dir.path(), &Topic::cluster_metadata()).unwrap();
    assert!(files.path().ends_with("__cluster_metadata-0"));
    let mut log = is_send(FileLog::open(files.clone(), options()).unwrap());
    let (sender, barriers) = mpsc::channel();
    let syncing = thread::spawn(move || {
        for barrier in barriers {
            Barrier::sync(is_send::<<FileLog as LogStore>::Barrier>(barrier)).unwrap();
        }
    });
    let mut all = Vec::new();
    for round in 0..300 {
        let bytes = batch(log.end(), 1 + round / 50, 3, 100);
        log.append(log.end(), &bytes).unwrap();
        sender.send(log.barrier()).unwrap();
        if round % 40 == 39 {
            log.truncate(log.end() - 3).unwrap();
        } else {
            all.extend_from_slice(&bytes);
        }
    }
    drop(sender);
    syncing.join().unwrap();
    let end = log.end();
    drop(log);
    let log = FileLog::open(files, options()).unwrap();
    assert_eq!(log.recovery().recovery_point, end);
    assert_eq!(contents(&log, 0, end), all);
}

#[test]
fn ranges_say_where_the_bytes_lie() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(StdFiles::new(dir.path()).unwrap(), options()).unwrap();
    while log.size() < 50_000 {
        log.append(log.end(), &batch(log.end(), 1, 2, 50)).unwrap();
    }
    let (mut from, end) = (0, log.end());
    while from < end {
        let range = log.range(from, end, 7000).unwrap();
        let mut bytes = vec![0; range.len() as usize];
        let (file, position) = range.file().expect("it is not in memory");
        let file: &fs::File = file.as_ref();
        file.read_exact_at(&mut bytes, position).unwrap();
        assert!(range.len() <= 7000);
        assert!(log.read(from, end, 7000).unwrap().starts_with(&bytes));
        from = range.next_offset().unwrap();
    }
    let open = log.range(0, end, 7000).unwrap();
    log.truncate(2).unwrap();
    assert!(log.range(2, end, 7000).unwrap().is_empty());
    // Who has a range open keeps the file.
    let (file, _) = open.file().expect("it is not in memory");
    assert!(file.as_ref().metadata().is_ok());
}

/// KAFKA-12205: at each of the three moments at which Kafka once forgot to remove them.
#[test]
fn snapshots_below_the_start_of_the_log_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let files = || StdFiles::new(dir.path()).unwrap();
    let checkpoints = || {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| {
            let name = entry.unwrap().file_name();
            name.into_string().unwrap()
        });
        let mut found: Vec<String> = names.filter(|name| name.contains("checkpoint")).collect();
        found.retain(|name| name != "leader-epoch-checkpoint");
        found.sort_unstable();
        found
    };
    let name = |offset: i64| format!("{offset:020}-0000000001.checkpoint");
    let mut log = FileLog::open(files(), options()).unwrap();
    while log.end() < 10 {
        log.append(log.end(), &batch(log.end(), 1, 2, 50)).unwrap();
    }
    let take = |log: &mut FileLog, offset| {
        let id = OffsetAndEpoch::new(offset, 1);
        log.write_snapshot(id, 0, &snapshot(id)).unwrap();
        id
    };
    for offset in [2, 4, 6] {
        let id = take(&mut log, offset);
        log.finish_snapshot(id).unwrap();
    }
    log.delete_before(OffsetAndEpoch::new(4, 1)).unwrap();
    assert_eq!(log.snapshots().count(), 2);
    let chore = log.chore().expect("there are files to be removed");
    chore.run().unwrap();
    assert_eq!(checkpoints(), [name(4), name(6)], "when the start moves");

    log.close().unwrap();
    fs::write(
        dir.path().join(name(2)),
        snapshot(OffsetAndEpoch::new(2, 1)),
    )
    .unwrap();
    let mut log = FileLog::open(files(), options()).unwrap();
    assert_eq!(checkpoints(), [name(4), name(6)], "when it is opened");
    assert_eq!(log.snapshots().count(), 2);

    let id = take(&mut log, 100);
    assert!(matches!(
        log.install_snapshot(id).unwrap(),
        Installed::Done { .. }
    ));
    assert_eq!(
        checkpoints(),
        [name(100)],
        "when the leader's takes its place"
    );
    assert_eq!(log.snapshots().count(), 1);
}

#[test]
fn snapshots_are_closed_to_writers() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(StdFiles::new(dir.path()).unwrap(), options()).unwrap();
    let id = OffsetAndEpoch::new(100, 3);
    let bytes = snapshot(id);
    log.write_snapshot(id, 0, b"nonsense").unwrap();
    assert!(log.write_snapshot(id, 9, b"gap").is_err());
    log.write_snapshot(id, 0, &bytes).unwrap();
    let part = dir
        .path()
        .join("00000000000000000100-0000000003.checkpoint.part");
    assert!(part.is_file());
    let Installed::Done { info, controls } = log.install_snapshot(id).unwrap() else {
        panic!("refused");
    };
    assert_eq!((info.size, controls.len()), (bytes.len() as u64, 2));
    assert!(!part.exists());
    let path = dir
        .path()
        .join("00000000000000000100-0000000003.checkpoint");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    assert_eq!(log.read_snapshot(id, 0, 1 << 20).unwrap(), bytes);
    assert_eq!(log.read_snapshot(id, 100, 10).unwrap(), bytes[100..110]);
    assert!(log.read_snapshot(id, 1 << 40, 10).unwrap().is_empty());
    let range = log.snapshot_range(id, 10, 1 << 20).unwrap();
    let (_, position) = range.file().expect("snapshots are not in memory");
    assert_eq!((position, range.len()), (10, bytes.len() as u64 - 10));
    assert_eq!((log.start(), log.end()), (100, 100));
    log.append(100, &batch(100, 3, 1, 10)).unwrap();
}

/// Timestamps are the clients', and each segment is an open file.
#[test]
fn time_ends_no_segment_of_a_few_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let files = StdFiles::partition(dir.path(), &Topic::cluster_metadata()).unwrap();
    let options = LogOptions {
        segment_bytes: 64_000,
        segment_ms: 1,
        ..options()
    };
    let mut log = FileLog::open(files.clone(), options).unwrap();
    for _ in 0..30 {
        let bytes = batch(log.end(), 1, 1, 80);
        log.append(log.end(), &bytes).unwrap();
    }
    drop(log);
    let all = fs::read_dir(files.path())
        .unwrap()
        .map(|file| file.unwrap());
    let segments = all.filter(|file| file.file_name().to_str().unwrap().ends_with(".log"));
    let mut sizes: Vec<(_, u64)> = segments
        .map(|file| (file.file_name(), file.metadata().unwrap().len()))
        .collect();
    sizes.sort();
    sizes.pop();
    assert!(sizes.len() > 1, "{sizes:?}");
    assert!(
        sizes.iter().all(|(_, size)| (1_000..2_000).contains(size)),
        "{sizes:?}"
    );
}
