use kwire_protocol::records::{BatchBuilder, BatchOptions, NewRecord};

use kwire_raft::log::snapshot::SnapshotOptions;

use super::*;
use crate::producers::Settled;
use crate::record::{Random, Serial};

fn batch(base_offset: Offset, epoch: u32, numbers: &[u64]) -> Vec<u8> {
    let options = BatchOptions {
        base_offset,
        partition_leader_epoch: i32::try_from(epoch).expect("small"),
        ..Default::default()
    };
    let mut builder = BatchBuilder::new(options).expect("plain");
    let mut random = Random::new(base_offset.unsigned_abs());
    for &number in numbers {
        let mut value = Vec::new();
        record::write(Serial { epoch, number }, 32, &mut random, &mut value);
        let record = NewRecord {
            value: Some(&value),
            ..Default::default()
        };
        let appended = builder.try_append(&record).expect("small");
        assert_ne!(appended, kwire_protocol::records::Append::Full);
    }
    builder.finish().expect("it has records")
}

fn found(segments: &[(&str, Vec<u8>)]) -> Found {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in segments {
        fs::write(dir.path().join(name), bytes).expect("it can be written");
    }
    look_through(dir.path()).expect("it can be read")
}

const FIRST: &str = "00000000000000000000.log";
const SECOND: &str = "00000000000000000003.log";

#[test]
fn a_log_in_order() {
    let found = found(&[
        (FIRST, batch(0, 1, &[0, 1, 2])),
        (SECOND, [batch(3, 1, &[3]), batch(4, 2, &[0, 1])].concat()),
    ]);
    assert_eq!((found.start, found.end, found.records), (0, 6, 6));
    assert_eq!((found.faults.as_slice(), found.torn_bytes), (&[][..], 0));
}

#[test]
fn what_is_lost_or_twice_is_found() {
    let bytes = [
        batch(0, 1, &[0, 2]),
        batch(2, 1, &[2]),
        batch(5, 2, &[0]),
        batch(6, 2, &[1])[..70].to_vec(),
    ];
    let found = found(&[(FIRST, bytes.concat())]);
    let expected = [
        "before offset 1: 1 record is missing of epoch 1, from number 1 on",
        "offset 2: record 2 of epoch 1 again",
        "offset 5 where 3 was to follow",
    ];
    let faults: Vec<String> = found.faults.iter().map(Fault::to_string).collect();
    assert_eq!(faults, expected);
    assert_eq!(found.torn_bytes, 70);
}

/// A snapshot that a node made which saw these numbers.
fn snapshot(end: Offset, numbers: &[(u32, u64)], breaks: u64) -> (String, Vec<u8>) {
    let mut serials = Serials::new(true);
    serials.next = numbers.iter().copied().collect();
    serials.breaks = breaks;
    let state = State {
        producers: Settled::default(),
        serials,
    };
    let options = SnapshotOptions::new(OffsetAndEpoch::new(end, 2), 0, 0);
    let bytes = state.to_snapshot(options).expect("short records");
    (format!("{end:020}-0000000002.checkpoint"), bytes)
}

fn with_snapshots(
    segments: &[(&str, Vec<u8>)],
    snapshots: &[(String, Vec<u8>)],
) -> (Found, Vec<String>) {
    let snapshots = snapshots
        .iter()
        .map(|(n, bytes)| (n.as_str(), bytes.clone()));
    let files: Vec<_> = segments.iter().cloned().chain(snapshots).collect();
    let found = found(&files);
    let faults = found.faults.iter().map(Fault::to_string).collect();
    (found, faults)
}

#[test]
fn what_was_deleted_is_not_missing() {
    let log = [batch(3, 2, &[7]), batch(4, 2, &[8]), batch(5, 3, &[0])].concat();
    for snapshots in [
        // Where the log starts, within it, and at its end.
        vec![snapshot(3, &[(1, 9), (2, 7)], 0)],
        vec![snapshot(4, &[(1, 9), (2, 8)], 0)],
        vec![
            snapshot(3, &[(1, 9), (2, 7)], 0),
            snapshot(6, &[(1, 9), (2, 9), (3, 1)], 0),
        ],
    ] {
        let (found, faults) = with_snapshots(&[(SECOND, log.clone())], &snapshots);
        assert_eq!(faults, [""; 0]);
        assert_eq!((found.start, found.end, found.records), (3, 6, 3));
        let numbers: Vec<_> = found.next_numbers.into_iter().collect();
        assert_eq!(numbers, [(1, 9), (2, 9), (3, 1)]);
    }
}

#[test]
fn snapshots_that_say_something_else_are_found() {
    let log = [batch(3, 2, &[7]), batch(4, 2, &[8]), batch(5, 3, &[0])].concat();
    for (snapshot, said) in [
        (
            snapshot(3, &[(1, 9), (2, 6)], 0),
            "before offset 3: 1 record is missing of epoch 2, from number 6 on",
        ),
        (
            snapshot(5, &[(2, 10)], 0),
            "the snapshot at offset 5 knows 10 records of epoch 2, and the log has 9",
        ),
        (
            snapshot(5, &[(2, 9)], 4),
            "before offset 5, records were missing 4 times",
        ),
    ] {
        let (_, faults) = with_snapshots(&[(SECOND, log.clone())], &[snapshot]);
        assert_eq!(faults, [said]);
    }
    let mut damaged = snapshot(5, &[(2, 9)], 0);
    let at = damaged.1.len() - 1;
    damaged.1[at] ^= 1;
    let (_, faults) = with_snapshots(&[(SECOND, log)], &[damaged]);
    assert!(faults[0].contains("checkpoint"), "{faults:?}");
}

/// As a crash leaves it between a snapshot's getting its name and the log's going.
#[test]
fn a_log_that_ends_before_its_snapshot_is_to_begin_anew() {
    let snapshots = [snapshot(9, &[(1, 8)], 0)];
    let (found, faults) = with_snapshots(&[(FIRST, batch(0, 1, &[0, 1]))], &snapshots);
    assert_eq!(faults, [""; 0]);
    assert_eq!((found.start, found.end), (9, 9));
    assert_eq!(found.next_numbers.get(&1), Some(&8));
}

#[test]
fn only_the_end_of_the_log_may_be_torn() {
    let torn = batch(3, 1, &[3])[..70].to_vec();
    let whole = batch(0, 1, &[0, 1, 2]);
    let position = whole.len() as u64;
    let first = [whole, torn.clone()].concat();
    let at_the_end = found(&[(FIRST, first.clone())]);
    assert_eq!((at_the_end.torn_bytes, at_the_end.faults.len()), (70, 0));
    let inside = found(&[(FIRST, first), (SECOND, batch(3, 1, &[3]))]);
    let [Fault::Batch { position: at, .. }] = inside.faults[..] else {
        panic!("{:?}", inside.faults);
    };
    assert_eq!((inside.torn_bytes, at), (0, position));
}

#[test]
fn damage_is_found() {
    let mut bytes = batch(0, 1, &[0]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let found = found(&[(FIRST, bytes)]);
    let [Fault::Batch { position: 0, .. }] = &found.faults[..] else {
        panic!("{:?}", found.faults);
    };
}

#[test]
fn logs_are_compared_where_both_have_something() {
    let one = found(&[(FIRST, [batch(0, 1, &[0]), batch(1, 1, &[1])].concat())]);
    let longer = [batch(0, 1, &[0]), batch(1, 1, &[1]), batch(2, 1, &[2])].concat();
    let longer = found(&[(FIRST, longer)]);
    assert_eq!(compare(&one, &longer, Offset::MAX), None);
    let other = found(&[(FIRST, [batch(0, 1, &[0]), batch(1, 2, &[0])].concat())]);
    let differs = compare(&longer, &other, Offset::MAX).expect("offset 1 differs");
    assert!(
        differs.to_string().starts_with("offset 1 is not what"),
        "{differs}"
    );
    assert_eq!(compare(&longer, &other, 1), None, "only below an offset");
}

#[test]
fn a_directory_without_segments_is_no_log_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("node-1.log"), "what a node said").expect("written");
    let error = look_through(dir.path()).expect_err("nothing was looked at");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("no segment"), "{error}");
}

/// The last numbers that there are, as whoever forges a record may name them.
#[test]
fn forged_numbers_are_faults() {
    let found = found(&[(FIRST, batch(Offset::MAX, 1, &[u64::MAX]))]);
    assert_eq!(found.end, Offset::MAX);
    assert_eq!(found.records, 1);
}

/// Whatever is left of what was read at once: it may be as much as the last time.
#[test]
fn a_log_is_read_to_its_end() {
    const BATCH: usize = 4 << 10;
    let sized = |base_offset, size| {
        let mut value = Vec::new();
        let serial = Serial {
            epoch: 1,
            number: u64::try_from(base_offset).expect("small"),
        };
        record::write(serial, size, &mut Random::new(1), &mut value);
        let options = BatchOptions {
            base_offset,
            partition_leader_epoch: 1,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options).expect("plain");
        let record = NewRecord {
            value: Some(&value),
            ..Default::default()
        };
        let _ = builder.try_append(&record).expect("small");
        builder.finish().expect("it has a record")
    };
    let size = BATCH - (sized(0, BATCH).len() - BATCH);
    let count = Offset::try_from(CHUNK / BATCH + 1).expect("small");
    let log: Vec<u8> = (0..count).flat_map(|base| sized(base, size)).collect();
    assert_eq!(log.len(), CHUNK + BATCH);
    let found = found(&[(FIRST, log)]);
    assert_eq!((found.end, found.torn_bytes), (count, 0));
}

/// Where in the file, not in what was read of it at once.
#[test]
fn records_that_cannot_be_read_are_named_by_their_place_in_the_file() {
    let mut log = Vec::new();
    let mut offset = 0;
    while log.len() < CHUNK + 100 {
        let numbers: Vec<u64> = (offset..offset + 1_000).collect();
        log.extend(batch(offset as Offset, 1, &numbers));
        offset += 1_000;
    }
    let place = log.len() as u64;
    let mut damaged = batch(offset as Offset, 1, &[offset]);
    // It says gzip, and is none.
    damaged[22] = 1;
    let crc = crc_fast::crc32_iscsi(&damaged[21..]);
    damaged[17..21].copy_from_slice(&crc.to_be_bytes());
    log.extend(damaged);
    let found = found(&[(FIRST, log)]);
    let [Fault::Batch { position, .. }] = &found.faults[..] else {
        panic!("{:?}", found.faults);
    };
    assert_eq!(*position, place);
}
