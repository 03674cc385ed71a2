//! Damage that a crash does, and damage that it does not.

use kwire_raft::driver::LogStore;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::files::memory::MemoryFiles;
use kwire_raft::log::{FileLog, Flaw, LogError, LogOptions};
use kwire_raft::types::{EpochStart, OffsetAndEpoch, Topic};

use crate::common::{batch, contents, open, small, snapshot, sync};

const FIRST: &str = "00000000000000000000.log";

/// Ten batches of two records in several segments; the names of their files.
fn filled() -> (MemoryFiles, Vec<String>) {
    let files = MemoryFiles::new();
    let mut log = open(&files);
    for base in (0..20).step_by(2) {
        log.append(base, &batch(base, 1 + (base / 6) as i32, 2, 30))
            .unwrap();
    }
    sync(&mut log);
    log.close().unwrap();
    let names = names(&files, ".log");
    assert!(names.len() > 2);
    (files, names)
}

fn names(files: &MemoryFiles, suffix: &str) -> Vec<String> {
    use kwire_raft::log::files::Files;
    let mut names = files.list().unwrap();
    names.retain(|name| name.ends_with(suffix));
    names
}

fn change(files: &MemoryFiles, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = files.bytes(name).unwrap();
    change(&mut bytes);
    files.put(name, bytes);
}

fn remove(files: &MemoryFiles, name: &str) {
    use kwire_raft::log::files::Files;
    files.remove(name).unwrap();
}

/// As if Java had written the directory.
fn forget(files: &MemoryFiles) {
    remove(files, "kwire-recovery-point");
}

#[test]
fn a_torn_end_is_dropped_and_reported() {
    let (files, names) = filled();
    forget(&files);
    let last = names.last().unwrap();
    let whole = files.bytes(last).unwrap();
    let first_batch = 12 + i32::from_be_bytes(whole[8..12].try_into().unwrap()) as usize;
    for end in 1..whole.len() {
        let files = files.fork();
        files.put(last, &whole[..end]);
        let log = open(&files);
        let kept = end / first_batch * first_batch;
        let size = files.bytes(last).unwrap().len();
        assert_eq!(size, kept, "{end}");
        let dropped = log.recovery().dropped.clone();
        let bytes = dropped.map_or(0, |dropped| dropped.bytes as usize);
        assert_eq!(bytes, end - kept);
    }
}

#[test]
fn flipped_bits_at_the_end_are_dropped_and_zeros_too() {
    let (files, names) = filled();
    forget(&files);
    let last = names.last().unwrap();
    let zeros = files.fork();
    change(&zeros, last, |bytes| bytes.extend([0; 5000]));
    let log = open(&zeros);
    assert_eq!(log.end(), 20);
    assert_eq!(log.recovery().dropped.as_ref().unwrap().bytes, 5000);
    change(&files, last, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let log = open(&files);
    assert_eq!(log.end(), 18);
    let dropped = log.recovery().dropped.clone().unwrap();
    assert_eq!((dropped.file.as_str(), dropped.offset), (last.as_str(), 18));
    assert!(log.recovery().to_string().contains("offset 18"));
}

#[test]
fn damage_to_what_was_durable_is_an_error() {
    let (files, names) = filled();
    let last = names.last().unwrap();
    change(&files, last, |bytes| *bytes.last_mut().unwrap() ^= 1);
    match FileLog::open(files.clone(), small()) {
        Err(LogError::Corrupt { file, offset, .. }) => {
            assert_eq!((&file, offset), (last, 18));
        }
        other => panic!("{other:?}"),
    }
    // The file is as it was.
    forget(&files);
    assert_eq!(open(&files).end(), 18);
}

#[test]
fn a_log_that_lost_its_end_is_an_error() {
    let (files, names) = filled();
    let last = names.last().unwrap();
    change(&files, last, |bytes| bytes.clear());
    match FileLog::open(files, small()) {
        Err(LogError::Lost {
            file,
            recovery_point,
            ..
        }) => {
            assert_eq!((&file, recovery_point), (last, 20));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damage_that_others_follow_on_is_an_error_whoever_wrote_it() {
    let (files, names) = filled();
    forget(&files);
    for name in &names[..names.len() - 1] {
        let files = files.fork();
        change(&files, name, |bytes| bytes[100] ^= 1);
        let error = FileLog::open(files, small()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("{name} is damaged at byte 0, offset ")),
            "{text}"
        );
    }
    let files = files.fork();
    remove(&files, &names[1]);
    match FileLog::open(files, small()) {
        Err(LogError::Corrupt {
            file,
            flaw: Flaw::Missing { .. },
            ..
        }) => assert_eq!(file, FIRST),
        other => panic!("{other:?}"),
    }
}

#[test]
fn indexes_are_made_anew() {
    let (files, _) = filled();
    let good = files.fork();
    let indexes = [names(&files, ".index"), names(&files, ".timeindex")].concat();
    for index in &indexes {
        for damage in 0..4 {
            let files = files.fork();
            match damage {
                0 => remove(&files, index),
                1 => change(&files, index, |bytes| bytes.push(1)),
                2 => change(&files, index, |bytes| bytes.fill(0xff)),
                // Preallocated by Java.
                _ => change(&files, index, |bytes| bytes.resize(10 << 10, 0)),
            }
            let log = open(&files);
            assert_eq!(contents(&log, 0, 20), contents(&open(&good.fork()), 0, 20));
            let preallocated = damage == 3;
            let made = files.bytes(index);
            if !preallocated {
                assert_eq!(made, good.bytes(index), "{index} {damage}");
            }
        }
    }
    remove(&files, indexes.first().unwrap());
    // An index without a segment.
    files.put("00000000000000000777.index", []);
    let log = open(&files);
    assert!(!log.recovery().indexed.is_empty());
    assert_eq!(log.recovery().removed, ["00000000000000000777.index"]);
}

#[test]
fn old_segments_are_read_by_their_indexes() {
    let (files, names) = filled();
    let mut log = open(&files);
    let id = OffsetAndEpoch::new(18, 3);
    log.write_snapshot(id, 0, &snapshot(id)).unwrap();
    log.finish_snapshot(id).unwrap();
    drop(log);
    let log = open(&files);
    assert!(log.recovery().verified_from > 0);
    assert!(log.recovery().indexed.is_empty());
    assert_eq!(
        contents(&log, 0, 20).len(),
        contents(&open(&filled().0), 0, 20).len()
    );
    // Damage in an old segment is found when it is looked for.
    change(&files, &names[0], |bytes| bytes[70] ^= 1);
    open(&files.fork());
    let options = LogOptions {
        verify_all: true,
        ..small()
    };
    assert!(FileLog::open(files.fork(), options).is_err());
    // A file of epochs that is wrong about them is found out.
    change(&files, &names[0], |bytes| bytes[70] ^= 1);
    for text in [
        "0\n1\n1 0\n",
        "",
        "0\n2\n1 0\n2 7\n",
        "0\n3\n1 0\n2 6\n9 30\n",
    ] {
        let files = files.fork();
        files.put("leader-epoch-checkpoint", text);
        let mut log = open(&files);
        let start = |(epoch, offset)| EpochStart { epoch, offset };
        let expected = [(1, 0), (2, 6), (3, 12), (4, 18)].map(start);
        assert_eq!(log.recovered().unwrap().epochs, expected, "{text:?}");
        let wrong = files.bytes("leader-epoch-checkpoint").unwrap();
        assert_eq!(wrong, b"0\n4\n1 0\n2 6\n3 12\n4 18\n");
    }
}

#[test]
fn leftovers_are_removed() {
    let (files, _) = filled();
    let leftovers = [
        "00000000000000000000-0000000001.checkpoint.deleted",
        "00000000000000000004-0000000001-8321.checkpoint.part",
        "00000000000000000004.log.deleted",
        "leader-epoch-checkpoint.tmp",
    ];
    for name in leftovers {
        files.put(name, "whatever");
    }
    files.put("notes.txt", "mine");
    let log = open(&files);
    assert_eq!(log.recovery().removed, leftovers);
    assert!(leftovers.iter().all(|name| files.bytes(name).is_none()));
    assert!(files.bytes("notes.txt").is_some());
}

#[test]
fn other_peoples_directories_are_refused() {
    let (files, _) = filled();
    let options = LogOptions {
        topic: Topic::performance_test(),
        ..small()
    };
    let error = FileLog::open(files.fork(), options).unwrap_err();
    assert!(matches!(error, LogError::OtherTopic { .. }), "{error}");
    files.put("partition.metadata", "version: 1\n");
    let error = FileLog::open(files.fork(), small())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "partition.metadata:1: the version is not 0");
    let (files, _) = filled();
    files.put("kwire-log-state", "0 1 2\n");
    assert!(FileLog::open(files, small()).is_err());
}

#[test]
fn a_log_that_starts_above_0_needs_its_snapshot() {
    let (files, names) = filled();
    remove(&files, &names[0]);
    let error = FileLog::open(files.fork(), small()).unwrap_err();
    assert!(matches!(error, LogError::NoSnapshot { .. }), "{error}");
    let id = OffsetAndEpoch::new(10, 2);
    files.put("00000000000000000010-0000000002.checkpoint", snapshot(id));
    let mut log = open(&files);
    let found = log.recovered().unwrap();
    assert_eq!((found.log_start, found.log_end), (10, 20));
    assert_eq!(
        found.epochs[0],
        EpochStart {
            epoch: 2,
            offset: 10
        }
    );
    // The snapshot is looked at.
    let name = "00000000000000000010-0000000002.checkpoint";
    change(&files, name, |bytes| bytes[90] ^= 1);
    let error = FileLog::open(files, small()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{name} is damaged at byte 0")),
        "{error}"
    );
}

#[test]
fn no_bytes_make_opening_panic() {
    let (files, names) = filled();
    forget(&files);
    let whole = files.bytes(&names[0]).unwrap();
    for at in 0..61 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let files = files.fork();
            for name in &names[1..] {
                remove(&files, name);
            }
            let mut bytes = whole.clone();
            bytes[at] = value;
            files.put(FIRST, bytes);
            let _ = FileLog::open(files, small());
        }
    }
}

/// A batch is not named after its segment, but for the first in it.
#[test]
fn an_error_of_a_read_names_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = StdFiles::new(directory.path()).expect("a directory");
    let mut log = FileLog::open(files, small()).expect("it is empty");
    for base in [0, 1] {
        log.append(base, &batch(base, 1, 1, 30)).expect("appended");
    }
    sync(&mut log);
    let segment = std::fs::File::options()
        .write(true)
        .open(directory.path().join(FIRST))
        .expect("the segment");
    let len = segment.metadata().expect("a length").len();
    segment.set_len(len - 1).expect("somebody else cuts it");
    let error = log.read(1, 2, 1 << 20).expect_err("it is cut off");
    assert!(error.to_string().contains(FIRST), "{error}");
}
