//! Fetching records, and what becomes of what comes.

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::FetchRequest;

use super::harness::{Harness, calls, config, disk_ops, events, voter};
use super::messages::*;
use crate::control::{Control, NewControl, control_batch};
use crate::message::Request;
use crate::node::{CallError, CallId, DiskOp, Event, Output, RoleName};
use crate::types::{OffsetAndEpoch, Recovered, Uuid};
use crate::voters::VoterSet;

/// Node 0 follows node 1 in epoch 5; its log has epochs 1 (0..10) and 3 (10..20).
fn follower() -> (Harness, CallId) {
    let disk = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let (h, call, _) = following(config(0, &[0, 1, 2]), disk, 1, 5);
    (h, call)
}

fn answer(h: &mut Harness, call: CallId, change: impl FnOnce(&mut Partition)) -> Vec<Output> {
    h.answer(call, fetched(1, 5, change))
}

fn with_records(records: Bytes) -> impl FnOnce(&mut Partition) {
    move |partition| partition.records = Some(records.into())
}

fn misbehaved(outputs: &[Output]) -> bool {
    let events = events(outputs);
    events
        .iter()
        .any(|event| matches!(event, Event::PeerMisbehaved { .. }))
}

fn next_fetch(outputs: &[Output]) -> (CallId, i64, i32) {
    let (call, request) = Harness::call_of(outputs, is_fetch);
    let Request::Fetch(fetch) = request else {
        unreachable!("it is one");
    };
    let partition = &fetch.topics[0].partitions[0];
    (call, partition.fetch_offset, partition.last_fetched_epoch)
}

#[test]
fn a_fetch_says_where_the_log_ends_and_what_is_known() {
    let disk = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let (_, _, request) = following(config(0, &[0, 1, 2]), disk, 1, 5);
    assert_eq!(request.cluster_id.as_deref(), Some("cluster"));
    assert_eq!((request.max_wait_ms, request.max_bytes), (500, 1 << 20));
    let partition = &request.topics[0].partitions[0];
    assert_eq!(partition.current_leader_epoch, 5);
    assert_eq!(partition.fetch_offset, 20);
    assert_eq!(partition.last_fetched_epoch, 3);
    assert_eq!(partition.log_start_offset, -1);
    assert_eq!(partition.partition_max_bytes, 0);
    assert_eq!(partition.high_watermark, -1);
    at_each(12..=18, |version| {
        let Request::Fetch(read) = on_the_wire(version, &request.clone().into()) else {
            unreachable!("it is a fetch");
        };
        let id = if version >= 15 {
            read.replica_state.replica_id
        } else {
            read.replica_id
        };
        assert_eq!(id, 0, "version {version}");
        let partition = &read.topics[0].partitions[0];
        let has_directory = partition.replica_directory_id != Uuid::ZERO;
        assert_eq!(has_directory, version >= 17);
        assert_eq!(partition.high_watermark == -1, version >= 18);
    });
}

#[test]
fn an_observer_without_id_fetches_as_minus_one() {
    let mut config = config(0, &[1, 2]);
    config.id = None;
    let (_, _, request) = following(config, Recovered::default(), 1, 5);
    assert_eq!(request.replica_state.replica_id, -1);
    assert_eq!(request.replica_id, -1);
}

#[test]
fn records_are_appended_and_acknowledged_once_they_are_durable() {
    let (mut h, call) = follower();
    let records = batch(20, 4, &[b"a", b"b"]);
    let response = fetched(1, 5, |partition| {
        partition.records = Some(records.clone().into());
        partition.high_watermark = 22;
    });
    h.node.handle_answer(h.now, call, Ok(response.into()));
    let outputs = h.drain();
    let appended = outputs.iter().find_map(|output| match output {
        Output::Disk { id, op } => Some((*id, op.clone())),
        _ => None,
    });
    let append = DiskOp::Append {
        base: 20,
        batches: records,
    };
    let (id, op) = appended.expect("it writes");
    assert_eq!(op, append);
    let after = outputs.iter().find_map(|output| match output {
        Output::Send { after, .. } => Some(*after),
        _ => None,
    });
    assert_eq!(after, Some(Some(id)), "KAFKA-10533: the next fetch waits");
    assert_eq!(h.node.log_end(), OffsetAndEpoch::new(22, 4));
    assert_eq!(h.node.high_watermark(), Some(22));
}

#[test]
fn the_high_watermark_stays_within_the_log_and_does_not_go_back() {
    let (mut h, call) = follower();
    let outputs = answer(&mut h, call, |partition| partition.high_watermark = 100);
    assert_eq!(h.node.high_watermark(), Some(20));
    let committed = Event::Committed { upto: 20 };
    assert!(events(&outputs).contains(&committed));
    let (call, ..) = next_fetch(&outputs);
    let outputs = answer(&mut h, call, |partition| partition.high_watermark = 10);
    assert_eq!(h.node.high_watermark(), Some(20));
    let (call, ..) = next_fetch(&outputs);
    answer(&mut h, call, |partition| partition.high_watermark = -1);
    assert_eq!(h.node.high_watermark(), Some(20));
}

#[test]
fn a_damaged_batch_ends_what_is_appended() {
    let damage: [fn(&mut Vec<u8>); 5] = [
        |bytes| *bytes.last_mut().expect("a batch") ^= 1,
        |bytes| bytes[16] = 1,
        |bytes| bytes[17] ^= 0x10,
        |bytes| bytes[8] = 0xff,
        |bytes| bytes[7] = 99,
    ];
    for (index, damage) in damage.iter().enumerate() {
        let mut bad = batch(21, 5, &[b"bad"]).to_vec();
        damage(&mut bad);
        let good = batch(20, 5, &[b"good"]);
        let (mut h, call) = follower();
        let both: Vec<u8> = good.iter().copied().chain(bad.clone()).collect();
        let outputs = answer(&mut h, call, with_records(both.into()));
        let expected = DiskOp::Append {
            base: 20,
            batches: good,
        };
        assert_eq!(disk_ops(&outputs), [expected], "damage {index}");
        assert!(misbehaved(&outputs));
        assert_eq!(next_fetch(&outputs).1, 21, "it goes on at once");

        let (mut h, call) = follower();
        bad[7] = 20;
        if index != 4 {
            let outputs = answer(&mut h, call, with_records(bad.into()));
            assert_eq!(disk_ops(&outputs), [], "damage {index}");
            assert!(misbehaved(&outputs));
            assert!(calls(&outputs).is_empty(), "it pauses");
            assert_eq!(next_fetch(&h.time_out()).1, 20);
        }
    }
}

#[test]
fn a_batch_that_is_cut_off_waits_for_the_next_fetch() {
    let (mut h, call) = follower();
    let good = batch(20, 5, &[b"good"]);
    let more = batch(21, 5, &[b"more"]);
    let cut: Vec<u8> = [&good[..], &more[..more.len() - 1]].concat();
    let outputs = answer(&mut h, call, with_records(cut.into()));
    assert_eq!(disk_ops(&outputs).len(), 1);
    assert!(!misbehaved(&outputs));
    let (call, from, _) = next_fetch(&outputs);
    assert_eq!(from, 21);
    // Nothing but a part of a batch would be asked for again and again.
    let outputs = answer(&mut h, call, with_records(more.slice(..40)));
    assert!(misbehaved(&outputs));
    assert!(calls(&outputs).is_empty(), "it pauses");
}

#[test]
fn batches_of_an_epoch_above_the_own_are_left() {
    let (mut h, call) = follower();
    let good = batch(20, 5, &[b"good"]);
    let later = batch(21, 6, &[b"later"]);
    let both = [&good[..], &later[..]].concat();
    let outputs = answer(&mut h, call, with_records(both.into()));
    let expected = DiskOp::Append {
        base: 20,
        batches: good,
    };
    assert_eq!(disk_ops(&outputs), [expected]);
    assert_eq!(h.node.epoch(), 5);
}

#[test]
fn batches_of_older_epochs_than_the_last_are_left() {
    let (mut h, call) = follower();
    let outputs = answer(&mut h, call, with_records(batch(20, 2, &[b"old"])));
    assert_eq!(disk_ops(&outputs), []);
    assert!(misbehaved(&outputs));
}

#[test]
fn batches_that_do_not_follow_on_are_left() {
    for base in [0, 19, 21, 1_000] {
        let (mut h, call) = follower();
        let outputs = answer(&mut h, call, with_records(batch(base, 5, &[b"x"])));
        assert_eq!(disk_ops(&outputs), [], "{base}");
        assert!(misbehaved(&outputs));
    }
}

#[test]
fn several_epochs_in_one_answer_are_all_kept() {
    let (mut h, call) = follower();
    let records = [batch(20, 4, &[b"a", b"b"]), batch(22, 5, &[b"c"])].concat();
    answer(&mut h, call, with_records(records.into()));
    assert_eq!(h.node.log_end(), OffsetAndEpoch::new(23, 5));
    assert_eq!(h.node.log.epoch_before(22), Some(4));
    assert_eq!(h.node.log.epoch_before(23), Some(5));
}

#[test]
fn a_log_that_diverges_is_cut_to_what_both_have() {
    let cut = |epoch, end| {
        let (mut h, call) = follower();
        let outputs = answer(&mut h, call, |partition| {
            partition.diverging_epoch.epoch = epoch;
            partition.diverging_epoch.end_offset = end;
        });
        let to = disk_ops(&outputs).into_iter().find_map(|op| match op {
            DiskOp::Truncate { to } => Some(to),
            _ => None,
        });
        let (_, offset, last) = next_fetch(&outputs);
        assert_eq!(h.node.log_end(), OffsetAndEpoch::new(offset, last));
        (to, offset, last)
    };
    assert_eq!(cut(3, 15), (Some(15), 15, 3), "the leader has less of 3");
    assert_eq!(cut(1, 10), (Some(10), 10, 1));
    assert_eq!(cut(1, 14), (Some(10), 10, 1), "this node has less of 1");
    assert_eq!(cut(2, 14), (Some(10), 10, 1), "nothing of 2 here");
    assert_eq!(cut(0, 4), (Some(4), 4, 1), "epoch 0 is no epoch of a log");
    assert_eq!(cut(3, 20), (None, 20, 3), "nothing to cut");
}

/// KAFKA-12460.
#[test]
fn what_is_committed_is_not_cut() {
    let (mut h, call) = follower();
    let outputs = answer(&mut h, call, |partition| partition.high_watermark = 15);
    let (call, ..) = next_fetch(&outputs);
    let outputs = answer(&mut h, call, |partition| {
        partition.diverging_epoch.epoch = 1;
        partition.diverging_epoch.end_offset = 10;
    });
    assert_eq!(disk_ops(&outputs), []);
    assert!(misbehaved(&outputs));
    assert_eq!(h.node.log_end().offset, 20);
}

#[test]
fn half_a_diverging_epoch_is_no_reason_to_cut() {
    for (epoch, end) in [(3, -1), (-1, 15)] {
        let (mut h, call) = follower();
        let outputs = answer(&mut h, call, |partition| {
            partition.diverging_epoch.epoch = epoch;
            partition.diverging_epoch.end_offset = end;
        });
        assert_eq!(disk_ops(&outputs), []);
        assert!(misbehaved(&outputs));
    }
}

fn voters_batch(base: i64, epoch: i32, ids: &[i32]) -> Bytes {
    let voters: VoterSet = ids.iter().map(|&id| voter(id)).collect();
    let controls = [
        NewControl::Control(Control::KRaftVersion(1)),
        NewControl::Control(Control::Voters(voters)),
    ];
    control_batch(base, epoch, 0, &controls)
}

#[test]
fn voters_count_as_soon_as_they_are_appended_and_no_longer_once_cut() {
    let (mut h, call) = follower();
    let outputs = answer(&mut h, call, with_records(voters_batch(20, 5, &[1, 2, 3])));
    let ids: Vec<i32> = h.node.voters().ids().collect();
    assert_eq!((ids, h.node.voters_offset()), (vec![1, 2, 3], Some(21)));
    assert_eq!(h.node.kraft_version(), 1);
    assert!(!h.node.is_voter());
    let (call, ..) = next_fetch(&outputs);
    answer(&mut h, call, |partition| {
        partition.diverging_epoch.epoch = 3;
        partition.diverging_epoch.end_offset = 20;
    });
    let ids: Vec<i32> = h.node.voters().ids().collect();
    assert_eq!((ids, h.node.voters_offset()), (vec![0, 1, 2], None));
    assert_eq!(h.node.kraft_version(), 0);
    assert!(h.node.is_voter());
}

/// KAFKA-18028, KAFKA-19719: that a directory has no initial voters says nothing of `kraft.version`,
/// whether voters are configured or not. It is 0 until the log names another.
#[test]
fn the_version_is_what_the_log_says() {
    let version_saved = |outputs: &[Output]| {
        disk_ops(outputs).into_iter().find_map(|op| match op {
            DiskOp::SaveQuorumState { kraft_version, .. } => Some(kraft_version),
            _ => None,
        })
    };
    for voters in [&[][..], &[0, 1, 2]] {
        let mut h = Harness::with(config(0, voters), Recovered::default());
        h.settle();
        assert_eq!(h.node.kraft_version(), 0);
        let (_, outputs) = h.request(1, begin(1, 5));
        assert_eq!(version_saved(&outputs), Some(0));
        let (call, ..) = next_fetch(&outputs);
        answer(&mut h, call, with_records(voters_batch(0, 5, &[0, 1, 2])));
        assert_eq!(h.node.kraft_version(), 1);
        let (_, outputs) = h.request(1, begin(2, 6));
        assert_eq!(version_saved(&outputs), Some(1));
    }
}

#[test]
fn a_control_batch_that_cannot_be_read_is_left() {
    let (mut h, call) = follower();
    let mut bad = batch(20, 5, &[b"no control record"]).to_vec();
    // The control bit, and a checksum that fits.
    bad[22] |= 0x20;
    let sum = {
        let mut builder = Vec::new();
        builder.extend_from_slice(&bad[21..]);
        crc(&builder)
    };
    bad[17..21].copy_from_slice(&sum.to_be_bytes());
    let outputs = answer(&mut h, call, with_records(bad.into()));
    assert_eq!(disk_ops(&outputs), []);
    assert!(misbehaved(&outputs));
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[test]
fn the_answer_of_an_epoch_that_is_over_is_ignored() {
    let (mut h, call) = follower();
    h.request(1, begin(2, 6));
    let outputs = answer(&mut h, call, with_records(batch(20, 5, &[b"old"])));
    assert_eq!(outputs, []);
    assert_eq!(h.node.log_end().offset, 20);
}

#[test]
fn an_answer_that_names_an_older_epoch_is_ignored() {
    let (mut h, call) = follower();
    let mut response = fetched(1, 4, with_records(batch(20, 4, &[b"old"])));
    response.responses[0].partitions[0].high_watermark = 20;
    let outputs = h.answer(call, response);
    assert_eq!(disk_ops(&outputs), []);
    assert_eq!(h.node.high_watermark(), None);
}

#[test]
fn an_answer_says_who_leads_by_now() {
    at_each(12..=18, |version| {
        for error in [
            ErrorCode::FENCED_LEADER_EPOCH,
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::NONE,
        ] {
            let (mut h, call) = follower();
            let response = fetched(2, 7, |partition| partition.error_code = error.0);
            let mut bytes = Vec::new();
            let response: crate::message::Response = response.into();
            response.encode(version, &mut bytes).expect("it can");
            let read = crate::message::Response::decode(
                <FetchRequest<'_> as kwire_protocol::Request>::API_KEY,
                version,
                &bytes.into(),
            );
            h.answer(call, read.expect("an API").expect("a response"));
            assert_eq!((h.node.epoch(), h.node.leader()), (7, Some(2)));
            assert_eq!(h.node.role(), RoleName::Follower);
        }
    });
}

#[test]
fn an_unknown_epoch_is_asked_for_again() {
    let (mut h, call) = follower();
    let unknown = ErrorCode::UNKNOWN_LEADER_EPOCH.0;
    let outputs = answer(&mut h, call, |partition| partition.error_code = unknown);
    assert_eq!(h.node.leader(), Some(1));
    assert!(disk_ops(&outputs).is_empty());
}

#[test]
fn only_one_fetch_is_under_way() {
    let (mut h, _) = follower();
    for _ in 0..5 {
        let outputs = h.wait(100);
        assert!(calls(&outputs).iter().all(|(_, _, r)| !is_fetch(r)));
    }
}

#[test]
fn a_fetch_that_fails_is_sent_again_after_a_pause() {
    let (mut h, call) = follower();
    h.node
        .handle_answer(h.now, call, Err(CallError::Disconnected));
    assert!(calls(&h.settle()).is_empty());
    assert!(calls(&h.wait(19)).is_empty());
    assert_eq!(next_fetch(&h.wait(1)).1, 20);
}

#[test]
fn a_voter_without_an_answer_in_time_stands_and_an_observer_asks_others() {
    let (mut h, _) = follower();
    h.wait(1_999);
    assert_eq!(h.node.role(), RoleName::Follower);
    h.wait(1);
    assert_eq!(h.node.role(), RoleName::Prospective);

    let (mut h, _, _) = following(config(0, &[1, 2]), Recovered::default(), 1, 5);
    let outputs = h.wait(2_100);
    assert_eq!(h.node.role(), RoleName::Follower);
    assert!(calls(&outputs).iter().any(|(_, to, _)| *to == 2));
}

#[test]
fn an_unattached_node_asks_its_bootstrap_servers() {
    let mut config = config(0, &[]);
    config.bootstrap_servers = vec![crate::voters::Address::new("boot", 1)];
    let mut h = Harness::with(config, Recovered::default());
    let outputs = h.wait(0);
    let (call, to, request) = calls(&outputs).remove(0);
    assert!(to < 0 && is_fetch(&request));
    let wrong = ErrorCode::NOT_LEADER_OR_FOLLOWER.0;
    let mut response = fetched(2, 3, |partition| partition.error_code = wrong);
    response.node_endpoints = vec![kwire_protocol::messages::fetch_response::NodeEndpoint {
        node_id: 2,
        host: "two".into(),
        port: 2,
        ..Default::default()
    }];
    let outputs = h.answer(call, response);
    assert_eq!((h.node.epoch(), h.node.leader()), (3, Some(2)));
    let (_, to, _) = calls(&outputs).remove(0);
    assert_eq!(to, 2, "it fetches from the leader now");
}

#[test]
fn the_leaders_own_answer_makes_an_unattached_node_follow_and_is_read() {
    let mut h = Harness::new(&[0, 1, 2]);
    let outputs = h.wait(0);
    let (call, _) = Harness::call_of(&outputs, is_fetch);
    let records = batch(0, 0, &[b"a"]);
    let outputs = h.answer(call, fetched(1, 0, with_records(records)));
    assert_eq!(h.node.role(), RoleName::Follower);
    assert!(
        disk_ops(&outputs)
            .iter()
            .any(|op| matches!(op, DiskOp::Append { base: 0, .. }))
    );
}
