//! That it does not matter whether a log's beginning is there, or a snapshot in its place.

use kwire_protocol::records::Attributes;
use kwire_raft::log::snapshot::{SnapshotOptions, SnapshotReader};
use kwire_raft::types::OffsetAndEpoch;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::producers::Sequenced;

/// What a leader may have appended.
#[derive(Clone, Debug)]
enum Batch {
    /// Of a producer: its epoch, and how many records, from its next sequence number on or from
    /// another.
    Produced(i64, i16, i32, Option<i32>),
    /// Of a client that is not idempotent.
    Plain(i32),
    /// Of a workload, which may have lost some numbers.
    Made(u64, u64),
    /// Of a new leader.
    Epoch,
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let produced = (
        0..9_i64,
        0..3_i16,
        1..4_i32,
        proptest::option::weighted(0.1, 0..9_i32),
    );
    let batch = prop_oneof![
        6 => produced.prop_map(|(id, epoch, n, first)| Batch::Produced(id, epoch, n, first)),
        1 => (1..5_i32).prop_map(Batch::Plain),
        3 => (1..5_u64, prop_oneof![9 => Just(0_u64), 1 => 1..3_u64])
            .prop_map(|(n, lost)| Batch::Made(n, lost)),
        1 => Just(Batch::Epoch),
    ];
    vec(batch, 0..60)
}

/// The batches as a log has them.
fn log(batches: &[Batch]) -> Vec<Told> {
    let (mut offset, mut epoch, mut number) = (0, 1_u32, 0);
    let mut sequences = std::collections::BTreeMap::new();
    let mut log = Vec::new();
    for (time, batch) in (1_000..).zip(batches) {
        let mut header = BatchHeader {
            base_offset: offset,
            batch_length: 0,
            partition_leader_epoch: epoch.cast_signed(),
            crc: 0,
            attributes: Attributes(0),
            last_offset_delta: 0,
            base_timestamp: time,
            max_timestamp: time,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 1,
        };
        let mut serial = None;
        match *batch {
            Batch::Produced(id, producer_epoch, records, first) => {
                let next = sequences.entry((id, producer_epoch)).or_insert(0);
                header.producer_id = id;
                header.producer_epoch = producer_epoch;
                header.base_sequence = first.unwrap_or(*next);
                header.record_count = records;
                *next = header.base_sequence + records;
            }
            Batch::Plain(records) => header.record_count = records,
            Batch::Made(records, lost) => {
                number += lost;
                serial = Some(Serial { epoch, number });
                number += records;
                header.record_count = i32::try_from(records).expect("few");
            }
            Batch::Epoch => (epoch, number) = (epoch + 1, 0),
        }
        header.last_offset_delta = header.record_count - 1;
        offset += i64::from(header.record_count);
        log.push(Told {
            header,
            serial,
            bytes: 100,
        });
    }
    log
}

/// As many producers as there are room for would take long to fill.
fn machine() -> Machine {
    Machine {
        producers: Producers::with_most(5),
        ..Machine::new()
    }
}

fn end(told: &Told) -> Offset {
    told.header.last_offset() + 1
}

fn add_all(machine: &mut Machine, log: &[Told]) {
    for told in log {
        machine.add(told);
    }
}

/// The state, by way of the bytes of a snapshot.
fn through_a_snapshot(state: &State, end: Offset) -> State {
    let options = SnapshotOptions {
        // Several batches.
        max_batch_size: 300,
        ..SnapshotOptions::new(OffsetAndEpoch::new(end, 1), 5, 6)
    };
    let bytes = state.to_snapshot(options).expect("short records");
    let bytes = bytes::Bytes::from(bytes);
    let read = |position: u64, max: usize| {
        let start = usize::try_from(position).expect("small");
        Ok::<_, String>(bytes.slice(start..bytes.len().min(start + max)))
    };
    let reader = SnapshotReader::new(bytes.len() as u64, read);
    let read = State::from_snapshot(reader).expect("whole");
    read.expect("a state")
}

/// What a machine says of any batch that a producer may send next.
fn verdicts(machine: &Machine) -> Vec<crate::producers::Verdict> {
    let mut verdicts = Vec::new();
    for producer_id in 0..10 {
        for (epoch, first) in (0..4).flat_map(|epoch| (0..30).map(move |first| (epoch, first))) {
            for last in first..first + 3 {
                let batch = Sequenced {
                    producer_id,
                    epoch,
                    first,
                    last,
                    base: 0,
                    end: 0,
                };
                verdicts.push(machine.producers.check(&batch));
            }
        }
    }
    verdicts
}

/// All but the bytes, which count from where a machine began.
fn known(mut machine: Machine) -> Machine {
    (machine.told_bytes, machine.snapshot_bytes) = (0, 0);
    machine.settled.bytes = 0;
    machine.marks.iter_mut().for_each(|mark| mark.bytes = 0);
    machine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_snapshot_and_the_log_behind_it_are_the_whole_log(
        batches in batches(),
        at in 0..60_usize,
        settled in 0..60_usize,
    ) {
        let log = log(&batches);
        let (before, behind) = log.split_at(at.min(log.len()));
        let mut whole = machine();
        add_all(&mut whole, before);
        let at = before.last().map_or(0, end);
        // What is told beyond does not matter.
        let mut further = whole.clone();
        add_all(&mut further, behind);
        for machine in [&mut whole, &mut further] {
            machine.settle(at);
        }
        let state = whole.snapshot();
        prop_assert_eq!(&state, &further.snapshot());
        prop_assert_eq!(whole.settled(), further.settled());

        let mut restored = machine();
        restored.restore(at, &through_a_snapshot(&state, at));
        add_all(&mut whole, behind);
        add_all(&mut restored, behind);
        let settled = behind.get(..settled.min(behind.len())).and_then(|b| b.last());
        let settled = settled.map_or(at, end);
        for machine in [&mut whole, &mut restored] {
            machine.settle(settled);
        }
        prop_assert_eq!(verdicts(&whole), verdicts(&restored));
        if settled > at {
            prop_assert_eq!(known(whole), known(restored));
        }
    }

    /// Cutting is as if what was cut off had never been told.
    #[test]
    fn what_was_cut_off_was_never_there(
        batches in batches(),
        settled in 0..60_usize,
        left in 0..60_usize,
    ) {
        let log = log(&batches);
        let left = &log[..left.min(log.len())];
        let settled = left.get(..settled.min(left.len())).and_then(|b| b.last()).map_or(0, end);
        let to = left.last().map_or(0, end);
        let mut cut = machine();
        add_all(&mut cut, &log);
        cut.settle(settled);
        prop_assert!(cut.cut(to));
        let mut expected = machine();
        add_all(&mut expected, left);
        expected.settle(settled);
        prop_assert_eq!(verdicts(&cut), verdicts(&expected));
        cut.settle(to);
        expected.settle(to);
        prop_assert_eq!(cut, expected);
    }
}

#[test]
fn many_marks_are_set_less_often() {
    let batches: Vec<Batch> = (0..5_000).map(|_| Batch::Plain(1)).collect();
    let mut machine = machine();
    add_all(&mut machine, &log(&batches));
    assert!(
        machine.marks.len() <= FINE_MARKS + 2,
        "{}",
        machine.marks.len()
    );
    machine.settle(7);
    assert_eq!(machine.settled().end, 7);
    machine.settle(4_999);
    assert!(machine.settled().end < 4_999);
    machine.settle(5_000);
    assert_eq!(machine.settled().end, 5_000);
    assert_eq!(machine.bytes_since_snapshot(), 500_000);
    let _ = machine.snapshot();
    assert_eq!(machine.bytes_since_snapshot(), 0);
}

#[test]
fn what_is_settled_is_not_cut() {
    let mut machine = machine();
    add_all(&mut machine, &log(&[Batch::Made(4, 0), Batch::Made(4, 0)]));
    machine.settle(6);
    assert_eq!(machine.settled().end, 4, "a batch is settled as a whole");
    assert!(machine.cut(4));
    assert!(!machine.clone().cut(0));
    machine.settle(4);
    assert_eq!(machine.snapshot().serials.next.get(&1), Some(&4));
}

#[test]
fn records_that_lie_together_are_cut_apart() {
    let mut machine = machine();
    add_all(&mut machine, &log(&[Batch::Made(4, 0), Batch::Made(4, 0)]));
    assert_eq!(machine.runs.len(), 1);
    assert!(machine.cut(4));
    // Another leader's, in their place.
    let other = [Batch::Epoch, Batch::Made(2, 0)];
    for mut told in log(&other).into_iter().skip(1) {
        told.header.base_offset = 4;
        machine.add(&told);
    }
    machine.settle(6);
    let serials = machine.snapshot().serials;
    assert_eq!(
        serials.next.into_iter().collect::<Vec<_>>(),
        [(1, 4), (2, 2)]
    );
    assert_eq!(serials.breaks, 0);
}

/// A client reads what the workload wrote, and writes it again.
#[test]
fn a_copy_is_not_what_comes_next() {
    let mut machine = machine();
    let mut log = log(&[Batch::Made(4, 0), Batch::Made(4, 0), Batch::Made(4, 0)]);
    for (told, number) in log.iter_mut().zip([0, 0, 4]) {
        told.serial = Some(Serial { epoch: 1, number });
    }
    add_all(&mut machine, &log);
    machine.settle(12);
    let serials = machine.snapshot().serials;
    assert_eq!((serials.next.get(&1), serials.breaks), (Some(&8), 0));
}
