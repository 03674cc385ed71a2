//! What the leader appends, when, and how far each replica is.

use kwire_protocol::records::control::ControlMessage;
use kwire_protocol::records::{Batches, Limits, NewRecord};

use super::harness::{Harness, config, disk_ops, events, reply_to, voter};
use super::messages::*;
use crate::config::Config;
use crate::node::{AppendError, DiskOp, Event, IoId, Output, RoleName};
use crate::types::{Instant, Recovered};

fn record(value: &[u8]) -> NewRecord<'_> {
    NewRecord {
        value: Some(value),
        ..Default::default()
    }
}

fn append(h: &mut Harness, value: &[u8]) -> Result<i64, AppendError> {
    let (now, epoch) = (h.now, h.node.epoch());
    h.node.append(now, epoch, &[record(value)])
}

/// Lets no time pass; what it writes, and the id of the last operation.
fn pumped(h: &mut Harness) -> (Vec<DiskOp>, Option<IoId>) {
    h.node.handle_timeout(h.now);
    let outputs = h.drain();
    let last = outputs.iter().rev().find_map(|output| match output {
        Output::Disk { id, .. } => Some(*id),
        _ => None,
    });
    (disk_ops(&outputs), last)
}

fn values(op: &DiskOp) -> (i64, Vec<Vec<u8>>) {
    let DiskOp::Append { base, batches } = op else {
        panic!("{op:?}");
    };
    let mut values = Vec::new();
    for batch in Batches::validated(batches) {
        let batch = batch.expect("a batch");
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &Limits::default());
        for record in records.expect("plain") {
            values.push(record.expect("a record").value.unwrap_or_default().to_vec());
        }
    }
    (*base, values)
}

#[test]
fn only_the_leader_of_the_epoch_appends() {
    let mut h = static_leader(&[0, 1, 2]);
    let (now, epoch) = (h.now, h.node.epoch());
    let wrong = Err(AppendError::WrongEpoch { epoch });
    assert_eq!(h.node.append(now, epoch - 1, &[record(b"x")]), wrong);
    assert_eq!(h.node.append(now, epoch + 1, &[record(b"x")]), wrong);
    assert_eq!(h.node.append(now, epoch, &[]), Err(AppendError::Empty));
    assert_eq!(h.drain(), []);

    let (mut h, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
    let now = h.now;
    let refused = AppendError::NotLeader {
        epoch: 5,
        leader: Some(1),
    };
    assert_eq!(h.node.append(now, 5, &[record(b"x")]), Err(refused.clone()));
    let batches = batch(0, 0, &[b"x"]).to_vec();
    assert_eq!(h.node.append_batches(now, 5, batches), Err(refused));
}

#[test]
fn records_that_find_the_disk_idle_do_not_wait() {
    let mut h = static_leader(&[0, 1, 2]);
    assert_eq!(append(&mut h, b"a"), Ok(1));
    assert_eq!(append(&mut h, b"b"), Ok(2));
    assert_eq!(h.node.poll_timeout(), h.now);
    let (ops, _) = pumped(&mut h);
    assert_eq!(ops.len(), 1, "in one batch");
    assert_eq!(values(&ops[0]), (1, vec![b"a".to_vec(), b"b".to_vec()]));
}

#[test]
fn records_wait_for_a_flush_or_for_the_linger() {
    let mut h = static_leader(&[0, 1, 2]);
    append(&mut h, b"a").expect("it leads");
    let (_, flushing) = pumped(&mut h);
    append(&mut h, b"b").expect("it leads");
    assert_eq!(pumped(&mut h).0, []);
    assert_eq!(h.node.poll_timeout(), h.now.plus(25));
    append(&mut h, b"c").expect("it leads");
    // The flush is over.
    h.node.handle_disk(h.now, flushing.expect("it writes"));
    let (ops, _) = pumped(&mut h);
    assert_eq!(values(&ops[0]), (2, vec![b"b".to_vec(), b"c".to_vec()]));

    append(&mut h, b"d").expect("it leads");
    assert_eq!(pumped(&mut h).0, []);
    h.now = h.now.plus(25);
    let (ops, _) = pumped(&mut h);
    assert_eq!(values(&ops[0]), (4, vec![b"d".to_vec()]));
}

#[test]
fn a_full_batch_does_not_wait() {
    let mut config = config(0, &[0, 1, 2]);
    config.max_batch_bytes = 4_000;
    let mut h = elected(config, Recovered::default());
    append(&mut h, b"a").expect("it leads");
    pumped(&mut h);
    append(&mut h, &[1; 1_000]).expect("it fits");
    assert_eq!(pumped(&mut h).0, []);
    append(&mut h, &[2; 1_500]).expect("it fits");
    assert_eq!(pumped(&mut h).0.len(), 1);
}

#[test]
fn one_append_is_one_batch_or_refused() {
    let mut config = config(0, &[0, 1, 2]);
    config.max_batch_bytes = 1_000;
    let mut h = elected(config, Recovered::default());
    let (now, epoch) = (h.now, h.node.epoch());
    assert_eq!(append(&mut h, &[0; 500]), Ok(1));
    let two = [[1_u8; 300], [2; 300]];
    let records = two.each_ref().map(|value| record(value));
    assert_eq!(h.node.append(now, epoch, &records), Ok(3));
    let (ops, _) = pumped(&mut h);
    let counts: Vec<usize> = ops.iter().map(|op| values(op).1.len()).collect();
    assert_eq!(counts, [1, 2], "what does not fit begins a batch");
    assert!(matches!(
        append(&mut h, &[0; 1_000]),
        Err(AppendError::TooLarge { limit: 939, .. })
    ));
    let old = NewRecord {
        timestamp: -2,
        ..Default::default()
    };
    let refused = h.node.append(now, epoch, &[old]);
    assert_eq!(refused, Err(AppendError::NegativeTimestamp(-2)));
    let far = NewRecord {
        timestamp: i64::MAX,
        ..Default::default()
    };
    assert_eq!(h.node.append(now, epoch, &[record(b""), far]), Ok(5));
}

#[test]
fn what_waits_for_the_disk_is_limited() {
    let mut config = config(0, &[0, 1, 2]);
    config.max_pending_bytes = 1_000;
    let mut h = elected(config, Recovered::default());
    append(&mut h, &[0; 1_000]).expect("there was room");
    let full = append(&mut h, b"x");
    assert!(matches!(full, Err(AppendError::Full { .. })), "it waits");
    let (_, flushing) = pumped(&mut h);
    let full = append(&mut h, b"x");
    assert!(matches!(full, Err(AppendError::Full { .. })), "unflushed");
    h.node.handle_disk(h.now, flushing.expect("it writes"));
    assert_eq!(append(&mut h, b"x"), Ok(2));
}

#[test]
fn what_waits_is_forgotten_with_the_leadership() {
    let mut h = static_leader(&[0, 1, 2]);
    append(&mut h, b"a").expect("it leads");
    let (_, outputs) = h.request(1, begin(1, 9));
    let appends = disk_ops(&outputs);
    assert!(!appends.iter().any(|op| matches!(op, DiskOp::Append { .. })));
    assert_eq!(h.node.log_end().offset, 1);
}

#[test]
fn batches_of_clients_get_their_place_and_nothing_else() {
    let mut h = static_leader(&[0, 1, 2]);
    append(&mut h, b"before").expect("it leads");
    let (now, epoch) = (h.now, h.node.epoch());
    let theirs = [batch(0, -1, &[b"a", b"b"]), batch(0, 7, &[b"c"])].concat();
    assert_eq!(h.node.append_batches(now, epoch, theirs), Ok(2));
    let ops = disk_ops(&h.drain());
    assert_eq!(values(&ops[0]), (1, vec![b"before".to_vec()]));
    let (base, found) = values(&ops[1]);
    assert_eq!((base, found.len()), (2, 3));
    let DiskOp::Append { batches, .. } = &ops[1] else {
        panic!("it writes");
    };
    let expected = [batch(2, epoch, &[b"a", b"b"]), batch(4, epoch, &[b"c"])].concat();
    assert_eq!(batches[..], expected[..]);
}

#[test]
fn batches_that_are_none_are_refused() {
    let mut h = static_leader(&[0, 1, 2]);
    let (now, epoch) = (h.now, h.node.epoch());
    let good = batch(0, 0, &[b"a"]).to_vec();
    let mut damaged = good.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    let mut old = good.clone();
    old[16] = 1;
    let cut = good[..good.len() - 1].to_vec();
    let mut control = good.clone();
    control[22] |= 0x20;
    for bytes in [damaged, old, cut, control] {
        let refused = h.node.append_batches(now, epoch, bytes);
        assert!(matches!(refused, Err(AppendError::Batch(_))), "{refused:?}");
    }
    let refused = h.node.append_batches(now, epoch, Vec::new());
    assert_eq!(refused, Err(AppendError::Empty));
    assert_eq!(h.drain(), []);
}

fn controls_of(op: &DiskOp) -> Vec<String> {
    let DiskOp::Append { batches, .. } = op else {
        panic!("{op:?}");
    };
    let batch = Batches::validated(batches)
        .next()
        .expect("one")
        .expect("a batch");
    let header = batch.header().expect("magic 2");
    assert!(header.attributes.is_control());
    assert_eq!((header.producer_id, header.producer_epoch), (-1, -1));
    let mut scratch = Vec::new();
    let records = batch.records(&mut scratch, &Limits::default());
    let name = |record| match ControlMessage::read(&record).expect("a control record") {
        ControlMessage::LeaderChange(m) => format!(
            "leader {} of {:?} by {:?}",
            m.leader_id,
            m.voters.iter().map(|v| v.voter_id).collect::<Vec<_>>(),
            m.granting_voters
                .iter()
                .map(|v| v.voter_id)
                .collect::<Vec<_>>(),
        ),
        ControlMessage::KRaftVersion(m) => format!("version {}", m.kraft_version),
        ControlMessage::KRaftVoters(m) => {
            let ids: Vec<i32> = m.voters.iter().map(|v| v.voter_id).collect();
            format!("voters {ids:?}")
        }
        other => format!("{other:?}"),
    };
    records
        .expect("plain")
        .map(|record| name(record.expect("a record")))
        .collect()
}

/// What a node writes from its start to its election.
fn first_records(config: Config, disk: Recovered) -> Vec<String> {
    let mut h = Harness::with(config, disk);
    let outputs = h.settle();
    assert_eq!(h.node.role(), RoleName::Leader, "alone");
    let ops = disk_ops(&outputs);
    let appends = ops.iter().filter(|op| matches!(op, DiskOp::Append { .. }));
    appends.flat_map(controls_of).collect()
}

#[test]
fn the_first_record_says_who_leads() {
    let found = first_records(config(0, &[0]), Recovered::default());
    assert_eq!(found, ["leader 0 of [0] by [0]"]);
}

#[test]
fn the_first_leader_writes_the_checkpoints_voters_into_the_log() {
    let found = first_records(config(0, &[]), formatted(&[0]));
    assert_eq!(found, ["leader 0 of [0] by [0]", "version 1", "voters [0]"]);
}

#[test]
fn later_leaders_write_voters_only_if_they_listen_elsewhere() {
    let mut disk = with_log(formatted(&[0]), &[(1, 0)], 3);
    let in_log: Vec<_> = disk.controls.iter().map(|(_, c)| (2, c.clone())).collect();
    disk.controls.extend(in_log);
    let found = first_records(config(0, &[]), disk.clone());
    assert_eq!(found, ["leader 0 of [0] by [0]"]);
    let mut elsewhere = config(0, &[]);
    elsewhere.endpoints = super::harness::endpoints(77);
    let found = first_records(elsewhere, disk);
    assert_eq!(found, ["leader 0 of [0] by [0]", "version 1", "voters [0]"]);
}

/// KAFKA-12619.
#[test]
fn nothing_is_committed_before_the_leaders_first_record() {
    let disk = with_log(Recovered::default(), &[(1, 0)], 10);
    let mut h = elected(config(0, &[0, 1, 2]), disk);
    assert_eq!(h.node.high_watermark(), None);
    let outputs = h.caught_up(&[2]);
    assert_eq!(h.node.high_watermark(), Some(11));
    assert_eq!(events(&outputs), [Event::Committed { upto: 11 }]);
}

fn state_of(h: &mut Harness, id: i32) -> (i64, i64, i64) {
    let (token, outputs) = h.request(2, describe(TOPIC, 0).into());
    let Some(crate::message::Response::DescribeQuorum(answer)) = reply_to(token, &outputs) else {
        panic!("it answers");
    };
    let partition = &answer.topics[0].partitions[0];
    let all = partition.current_voters.iter().chain(&partition.observers);
    let mut found = all.filter(|state| state.replica_id == id);
    let state = found.next().expect("it is there");
    assert!(found.next().is_none(), "once");
    (
        state.log_end_offset,
        state.last_fetch_timestamp,
        state.last_caught_up_timestamp,
    )
}

#[test]
fn a_replica_is_caught_up_when_it_has_what_there_was_at_its_last_fetch() {
    let mut h = static_leader(&[0, 1, 2]);
    let epoch = h.node.epoch();
    let at = |now: Instant| i64::try_from(now.0).expect("a small number");
    assert_eq!(state_of(&mut h, 1), (-1, -1, -1));
    h.request(18, fetch(1, epoch, 0, 0).into());
    let first = at(h.now);
    assert_eq!(state_of(&mut h, 1), (0, first, -1), "behind");
    h.wait(100);
    append(&mut h, b"a").expect("it leads");
    pumped(&mut h);
    h.settle();
    let second = at(h.now);
    h.request(18, fetch(1, epoch, 1, epoch).into());
    assert_eq!(state_of(&mut h, 1), (1, second, first), "as of then");
    h.wait(100);
    let third = at(h.now);
    h.request(18, fetch(1, epoch, 2, epoch).into());
    assert_eq!(state_of(&mut h, 1), (2, third, third), "now");
}

#[test]
fn observers_are_forgotten_after_five_minutes() {
    let mut h = static_leader(&[0]);
    let epoch = h.node.epoch();
    h.request(18, fetch(7, epoch, 0, 0).into());
    h.wait(299_000);
    state_of(&mut h, 7);
    h.now = h.now.plus(1_001);
    h.node.handle_timeout(h.now);
    let (token, outputs) = h.request(2, describe(TOPIC, 0).into());
    let Some(crate::message::Response::DescribeQuorum(answer)) = reply_to(token, &outputs) else {
        panic!("it answers");
    };
    assert_eq!(answer.topics[0].partitions[0].observers, []);
}

#[test]
fn a_lone_voter_commits_what_is_durable() {
    let mut h = dynamic_leader(&[0]);
    append(&mut h, b"a").expect("it leads");
    let (_, flushing) = pumped(&mut h);
    assert_eq!(h.node.high_watermark(), Some(3));
    h.node.handle_disk(h.now, flushing.expect("it writes"));
    assert_eq!(h.node.high_watermark(), Some(4));
    assert_eq!(h.node.voters().get(0), Some(&voter(0)));
}
