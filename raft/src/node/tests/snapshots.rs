//! Snapshots: making, serving, fetching and removing them.

use kwire_protocol::ErrorCode;

use super::harness::{Harness, calls, config, disk_ops, events, reply_to, voter};
use super::messages::*;
use crate::control::Control;
use crate::message::{Request, Response};
use crate::node::{CallId, DiskOp, Event, Output, RoleName, SnapshotError, Token};
use crate::types::{Installed, Instant, OffsetAndEpoch, Recovered, SnapshotInfo};

const ID: OffsetAndEpoch = OffsetAndEpoch {
    offset: 15,
    epoch: 3,
};
const SIZE: u64 = 80;

fn disk() -> Recovered {
    let log = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    with_snapshot(log, ID, SIZE, 0)
}

/// Leads three static voters, with a snapshot of 80 bytes.
fn leader() -> Harness {
    elected(config(0, &[0, 1, 2]), disk())
}

fn snapshot_read(token: Token, outputs: &[Output]) -> Option<(OffsetAndEpoch, u64, usize)> {
    outputs.iter().find_map(|output| match output {
        Output::ReplyWithSnapshot {
            token: of,
            id,
            position,
            max_bytes,
            ..
        } if *of == token => Some((*id, *position, *max_bytes)),
        _ => None,
    })
}

fn asked(h: &mut Harness, version: i16, request: impl Into<Request>) -> SnapshotPart {
    match h.ask_at(version, request) {
        Response::FetchSnapshot(mut response) => {
            assert_eq!(response.error_code, 0);
            response.topics.remove(0).partitions.remove(0)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_part_is_served_from_its_position() {
    at_each(0..=1, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let mut request = fetch_snapshot(1, epoch, ID, 30);
        request.max_bytes = 10;
        let (token, outputs) = h.send_at(version, request.clone());
        assert_eq!(snapshot_read(token, &outputs), Some((ID, 30, 10)));
        let answer = asked(&mut h, version, request);
        assert_eq!(answer.error_code, 0);
        assert_eq!((answer.size, answer.position), (80, 30));
        assert_eq!(answer.snapshot_id.end_offset, 15);
        assert_eq!(answer.snapshot_id.epoch, 3);
    });
}

#[test]
fn requests_for_snapshots_are_refused_for_these_reasons() {
    at_each(0..=1, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let mut error = |request| ErrorCode(asked(&mut h, version, request).error_code);
        let other = OffsetAndEpoch::new(14, 3);
        for (id, position, expected) in [
            (other, 0, ErrorCode::SNAPSHOT_NOT_FOUND),
            (OffsetAndEpoch::new(15, 2), 0, ErrorCode::SNAPSHOT_NOT_FOUND),
            (OffsetAndEpoch::BOOTSTRAP, 0, ErrorCode::SNAPSHOT_NOT_FOUND),
            (ID, -1, ErrorCode::POSITION_OUT_OF_RANGE),
            (ID, 80, ErrorCode::POSITION_OUT_OF_RANGE),
            (ID, i64::MAX, ErrorCode::POSITION_OUT_OF_RANGE),
            (ID, 79, ErrorCode::NONE),
        ] {
            let found = error(fetch_snapshot(1, epoch, id, position));
            assert_eq!(found, expected, "{id} {position}");
        }
        let older = error(fetch_snapshot(1, epoch - 1, ID, 0));
        assert_eq!(older, ErrorCode::FENCED_LEADER_EPOCH);
        let newer = error(fetch_snapshot(1, epoch + 1, ID, 0));
        assert_eq!(newer, ErrorCode::UNKNOWN_LEADER_EPOCH);
        let mut topic = fetch_snapshot(1, epoch, ID, 0);
        topic.topics[0].name = "other".into();
        assert_eq!(error(topic), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let mut partition = fetch_snapshot(1, epoch, ID, 0);
        partition.topics[0].partitions[0].partition = 1;
        assert_eq!(error(partition), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);

        let mut cluster = fetch_snapshot(1, epoch, ID, 0);
        cluster.cluster_id = Some("other".into());
        let Response::FetchSnapshot(refused) = h.ask_at(version, cluster) else {
            panic!("it is refused");
        };
        let inconsistent = ErrorCode::INCONSISTENT_CLUSTER_ID.0;
        assert_eq!(
            (refused.error_code, refused.topics.len()),
            (inconsistent, 0)
        );
    });
}

#[test]
fn the_bootstrap_checkpoint_is_nobody_elses() {
    let mut h = elected(config(0, &[]), formatted(&[0, 1, 2]));
    let epoch = h.node.epoch();
    let request = fetch_snapshot(1, epoch, OffsetAndEpoch::BOOTSTRAP, 0);
    let found = asked(&mut h, 1, request).error_code;
    assert_eq!(ErrorCode(found), ErrorCode::SNAPSHOT_NOT_FOUND);
}

#[test]
fn a_follower_says_who_leads_instead() {
    at_each(0..=1, |version| {
        let (mut h, ..) = following(config(0, &[0, 1, 2]), disk(), 1, 5);
        let request = fetch_snapshot(2, 5, ID, 0);
        let Response::FetchSnapshot(answer) = h.ask_at(version, request) else {
            panic!("it answers");
        };
        let part = &answer.topics[0].partitions[0];
        assert_eq!(
            ErrorCode(part.error_code),
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        );
        let leader = &part.current_leader;
        assert_eq!((leader.leader_id, leader.leader_epoch), (1, 5));
        assert_eq!(answer.node_endpoints.len(), usize::from(version >= 1));
    });
}

/// KAFKA-15489's check, for voters that are busy with a snapshot.
#[test]
fn who_fetches_a_snapshot_follows() {
    let mut h = leader();
    let epoch = h.node.epoch();
    for _ in 0..10 {
        h.wait(1_000);
        h.send_at(1, fetch_snapshot(1, epoch, ID, 0));
        assert_eq!(h.node.role(), RoleName::Leader);
    }
    for _ in 0..4 {
        h.wait(1_000);
        h.send_at(1, fetch_snapshot(7, epoch, ID, 0));
    }
    assert_eq!(h.node.role(), RoleName::Resigned, "7 is no voter");
}

#[test]
fn a_snapshot_in_use_is_kept_for_a_while() {
    let later = OffsetAndEpoch::new(18, 3);
    let mut h = elected(config(0, &[0, 1, 2]), with_snapshot(disk(), later, 90, 0));
    let epoch = h.node.epoch();
    h.send_at(1, fetch_snapshot(1, epoch, ID, 0));
    let refused = h.node.delete_before(h.now, later);
    assert_eq!(refused, Err(SnapshotError::InUse(ID)));
    h.send_at(18, fetch(1, epoch, 15, 3));
    let now = h.now;
    h.node.delete_before(now, later).expect("it is done with");
    assert_eq!(disk_ops(&h.settle()), [DiskOp::DeleteBefore { id: later }]);
    assert_eq!(h.node.log_start(), 18);
    assert_eq!(h.node.snapshots().collect::<Vec<_>>(), [later]);
    let unknown = h.node.delete_before(now, ID);
    assert_eq!(unknown, Err(SnapshotError::Unknown(ID)), "KAFKA-15100");
}

/// KAFKA-14238: what starts at the end of a snapshot can still be read.
#[test]
fn the_log_starts_where_the_first_snapshot_ends() {
    let mut h = leader();
    let now = h.now;
    h.node.delete_before(now, ID).expect("there is one");
    h.settle();
    let epoch = h.node.epoch();
    let answer = h.fetch_at(18, fetch(1, epoch, 15, 3));
    assert_eq!(answer.snapshot_id.end_offset, -1);
    assert_eq!(answer.log_start_offset, 15);
    let answer = h.fetch_at(18, fetch(1, epoch, 14, 3));
    assert_eq!(answer.snapshot_id.end_offset, 15);
}

/// KAFKA-15076, KAFKA-14618: what a snapshot may hold.
#[test]
fn a_snapshot_is_made_of_what_is_committed() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let end = h.node.log_end();
    assert_eq!((end.offset, h.node.high_watermark()), (3, Some(3)));
    let context = h.node.prepare_snapshot(3).expect("it is committed");
    assert_eq!(context.id, end);
    assert_eq!(context.kraft_version, 1);
    assert_eq!(context.voters.as_ref(), Some(h.node.voters()));
    let beyond = h.node.prepare_snapshot(4);
    assert!(matches!(
        beyond,
        Err(SnapshotError::BeyondHighWatermark { end: 4, .. })
    ));
    let nothing = h.node.prepare_snapshot(0);
    assert!(matches!(nothing, Err(SnapshotError::BelowLogStart { .. })));

    let info = SnapshotInfo { id: end, size: 7 };
    let now = h.now;
    h.node.snapshot_taken(now, info).expect("the log has it");
    assert_eq!(
        h.node.prepare_snapshot(3),
        Err(SnapshotError::Exists(end)),
        "once is enough"
    );
    let below = h.node.prepare_snapshot(2);
    assert!(matches!(below, Err(SnapshotError::BelowLatest { .. })));
    let unknown = SnapshotInfo {
        id: OffsetAndEpoch::new(3, 9),
        size: 7,
    };
    let refused = h.node.snapshot_taken(now, unknown);
    assert_eq!(refused, Err(SnapshotError::NotInLog(unknown.id)));
}

#[test]
fn no_snapshot_is_made_while_nothing_is_known_to_be_committed() {
    let h = leader();
    let refused = h.node.prepare_snapshot(10);
    assert!(matches!(
        refused,
        Err(SnapshotError::BeyondHighWatermark {
            high_watermark: None,
            ..
        })
    ));
}

#[test]
fn a_snapshot_has_the_voters_of_its_end() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let before = h.node.voters().clone();
    h.request(0, remove(2).into());
    h.caught_up(&[1]);
    assert_eq!(h.node.high_watermark(), Some(4));
    let early = h.node.prepare_snapshot(3).expect("it is committed");
    assert_eq!(early.voters, Some(before));
    let late = h.node.prepare_snapshot(4).expect("it is committed");
    assert_eq!(late.voters.as_ref(), Some(h.node.voters()));
}

/// Node 0 follows node 1 in epoch 5 with an empty log, and is told to fetch the snapshot.
fn downloading() -> (Harness, CallId, Request) {
    let (mut h, call, _) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
    let outputs = h.answer(call, named(ID));
    let (call, request) = Harness::call_of(&outputs, is_fetch_snapshot);
    (h, call, request)
}

fn named(id: OffsetAndEpoch) -> kwire_protocol::messages::FetchResponse<'static> {
    fetched(1, 5, |partition| {
        partition.snapshot_id.end_offset = id.offset;
        partition.snapshot_id.epoch = id.epoch;
    })
}

fn is_fetch_snapshot(request: &Request) -> bool {
    matches!(request, Request::FetchSnapshot(_))
}

fn part(position: i64, bytes: &'static [u8]) -> SnapshotPart {
    snapshot_part(1, 5, (ID, 6), position, bytes)
}

fn misbehaved(outputs: &[Output]) -> bool {
    let events = events(outputs);
    events
        .iter()
        .any(|event| matches!(event, Event::PeerMisbehaved { .. }))
}

/// The quorum lost the disks that held epoch 3, and went on without it.
#[test]
fn a_snapshot_without_records_that_are_committed_here_is_refused() {
    let recovered = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let disk = with_snapshot(recovered, OffsetAndEpoch::new(15, 3), 6, 0);
    for (epoch, is_refused) in [(2, true), (3, false)] {
        let (mut h, call, _) = following(config(0, &[0, 1, 2]), disk.clone(), 1, 5);
        let outputs = h.answer(call, named(OffsetAndEpoch::new(30, epoch)));
        assert_eq!(misbehaved(&outputs), is_refused);
        let asks = calls(&outputs).iter().any(|(_, _, r)| is_fetch_snapshot(r));
        assert_eq!(asks, !is_refused);
    }
}

#[test]
fn a_snapshot_is_fetched_part_by_part_and_takes_the_place_of_the_log() {
    let (mut h, call, request) = downloading();
    at_each(0..=1, |version| {
        let Request::FetchSnapshot(read) = on_the_wire(version, &request) else {
            panic!("it is one");
        };
        assert_eq!((read.replica_id, read.max_bytes), (0, 1 << 20));
        let asked = &read.topics[0].partitions[0];
        assert_eq!((asked.position, asked.current_leader_epoch), (0, 5));
        let id = (asked.snapshot_id.end_offset, asked.snapshot_id.epoch);
        assert_eq!(id, (15, 3));
        let has_directory = !asked.replica_directory_id.is_zero();
        assert_eq!(has_directory, version >= 1);
    });
    let outputs = h.answer(call, snapshot_fetched(part(0, b"abcd")));
    let write = |position, bytes: &'static [u8]| DiskOp::WriteSnapshot {
        id: ID,
        position,
        bytes: bytes.into(),
    };
    assert_eq!(disk_ops(&outputs), [write(0, b"abcd")]);
    let (call, request) = Harness::call_of(&outputs, is_fetch_snapshot);
    let Request::FetchSnapshot(request) = request else {
        panic!("it is one");
    };
    assert_eq!(request.topics[0].partitions[0].position, 4);
    let outputs = h.answer(call, snapshot_fetched(part(4, b"ef")));
    let install = DiskOp::InstallSnapshot { id: ID };
    assert_eq!(disk_ops(&outputs), [write(4, b"ef"), install]);

    let done = Installed::Done {
        info: SnapshotInfo { id: ID, size: 6 },
        controls: vec![
            Control::KRaftVersion(1),
            Control::Voters([voter(1), voter(2)].into_iter().collect()),
        ],
    };
    h.node.handle_installed(h.now, ID, done);
    let outputs = h.settle();
    assert_eq!(h.node.log_end(), ID);
    assert_eq!(h.node.log_start(), 15);
    assert_eq!(h.node.high_watermark(), Some(15));
    assert_eq!(h.node.voters_offset(), Some(14));
    assert_eq!(h.node.voters().len(), 2);
    let installed = Event::SnapshotInstalled { id: ID };
    assert!(events(&outputs).contains(&installed));
    let (_, request) = Harness::call_of(&outputs, is_fetch);
    let Request::Fetch(fetch) = request else {
        panic!("it is one");
    };
    let partition = &fetch.topics[0].partitions[0];
    let from = (partition.fetch_offset, partition.last_fetched_epoch);
    assert_eq!(from, (15, 3));
}

#[test]
fn a_snapshot_that_the_disk_refuses_leaves_the_log_as_it_was() {
    let (mut h, call, _) = downloading();
    h.answer(call, snapshot_fetched(part(0, b"abcdef")));
    let refused = Installed::Refused {
        reason: "checksum".to_owned(),
    };
    h.node.handle_installed(h.now, ID, refused);
    let outputs = h.settle();
    assert!(misbehaved(&outputs));
    assert_eq!(h.node.log_end().offset, 0);
    let (_, request) = Harness::call_of(&h.wait(20), is_fetch);
    assert!(is_fetch(&request), "it asks anew after a pause");
}

#[test]
fn parts_that_were_not_asked_for_end_the_download() {
    let other = OffsetAndEpoch::new(16, 3);
    for (name, wrong) in [
        ("id", snapshot_part(1, 5, (other, 6), 0, b"abc")),
        ("position", part(1, b"abc")),
        ("negative position", part(-1, b"abc")),
        ("too long", part(0, b"abcdefg")),
        ("empty", part(0, b"")),
        ("size", snapshot_part(1, 5, (ID, -1), 0, b"abc")),
        (
            "negative id",
            snapshot_part(1, 5, (OffsetAndEpoch::new(-1, -1), 6), 0, b""),
        ),
    ] {
        let (mut h, call, _) = downloading();
        let outputs = h.answer(call, snapshot_fetched(wrong));
        assert_eq!(
            disk_ops(&outputs),
            [DiskOp::DropUnfinishedSnapshots],
            "{name}"
        );
        assert!(misbehaved(&outputs), "{name}");
        let outputs = h.wait(20);
        Harness::call_of(&outputs, is_fetch);
    }
}

#[test]
fn a_snapshot_that_is_gone_is_dropped_and_the_leader_asked_anew() {
    for error in [
        ErrorCode::SNAPSHOT_NOT_FOUND,
        ErrorCode::POSITION_OUT_OF_RANGE,
    ] {
        let (mut h, call, _) = downloading();
        let mut gone = part(0, b"");
        gone.error_code = error.0;
        let outputs = h.answer(call, snapshot_fetched(gone));
        assert_eq!(disk_ops(&outputs), [DiskOp::DropUnfinishedSnapshots]);
        Harness::call_of(&outputs, is_fetch);
        assert!(!misbehaved(&outputs));
        assert_eq!(h.node.leader(), Some(1));
    }
}

#[test]
fn an_answer_without_its_partition_ends_the_download() {
    let (mut h, call, _) = downloading();
    let mut none = snapshot_fetched(part(0, b""));
    none.topics.clear();
    let outputs = h.answer(call, none);
    assert_eq!(disk_ops(&outputs), [DiskOp::DropUnfinishedSnapshots]);
}

#[test]
fn a_newer_epoch_ends_the_download() {
    for (leader, role) in [(2, RoleName::Follower), (-1, RoleName::Unattached)] {
        let (mut h, call, _) = downloading();
        let mut news = snapshot_part(leader, 6, (ID, 6), 0, b"abc");
        news.error_code = ErrorCode::FENCED_LEADER_EPOCH.0;
        let outputs = h.answer(call, snapshot_fetched(news));
        assert_eq!((h.node.epoch(), h.node.role()), (6, role));
        assert!(disk_ops(&outputs).contains(&DiskOp::DropUnfinishedSnapshots));
    }
}

#[test]
fn answers_of_an_older_epoch_or_to_an_older_state_are_ignored() {
    let (mut h, call, _) = downloading();
    let outputs = h.answer(
        call,
        snapshot_fetched(snapshot_part(1, 4, (ID, 6), 0, b"a")),
    );
    assert_eq!(disk_ops(&outputs), []);
    let (mut h, call, _) = downloading();
    h.request(1, begin(2, 6));
    let outputs = h.answer(call, snapshot_fetched(part(0, b"abcdef")));
    assert_eq!(outputs, []);
}

#[test]
fn half_a_snapshot_id_begins_no_download() {
    for id in [OffsetAndEpoch::new(15, -1), OffsetAndEpoch::new(-1, 3)] {
        let (mut h, call, _) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
        let outputs = h.answer(call, named(id));
        assert!(misbehaved(&outputs));
        let outputs = h.wait(20);
        Harness::call_of(&outputs, is_fetch);
    }
}

#[test]
fn a_snapshot_below_what_is_committed_is_not_fetched() {
    let disk = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let (mut h, call, _) = following(config(0, &[0, 1, 2]), disk, 1, 5);
    let outputs = h.answer(call, fetched(1, 5, |p| p.high_watermark = 20));
    let (call, _) = Harness::call_of(&outputs, is_fetch);
    let outputs = h.answer(call, named(ID));
    assert!(misbehaved(&outputs));
    let outputs = h.wait(20);
    Harness::call_of(&outputs, is_fetch);
}

#[test]
fn a_snapshot_that_nobody_can_have_made_is_not_fetched() {
    for id in [OffsetAndEpoch::new(15, 6), OffsetAndEpoch::new(i64::MAX, 3)] {
        let (mut h, call, _) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
        let outputs = h.answer(call, named(id));
        assert!(misbehaved(&outputs));
        Harness::call_of(&h.wait(20), is_fetch);
    }
}

/// KAFKA-14240, KAFKA-15078: the latest one counts, and the voters in it.
#[test]
fn a_node_starts_with_the_voters_of_its_snapshot() {
    let mut disk = disk();
    disk.log_start = 15;
    disk.controls = vec![
        (14, Control::KRaftVersion(1)),
        (
            14,
            Control::Voters([voter(0), voter(1)].into_iter().collect()),
        ),
    ];
    let h = Harness::with(config(0, &[5, 6]), disk);
    assert_eq!(h.node.voters_offset(), Some(14));
    assert_eq!(h.node.voters().ids().collect::<Vec<_>>(), [0, 1]);
    assert!(h.node.is_voter());
    assert!(h.node.poll_timeout() < Instant::NEVER);
}

#[test]
fn waiting_for_a_part_is_no_progress() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let info = SnapshotInfo {
        id: h.node.log_end(),
        size: 9,
    };
    let now = h.now;
    h.node.snapshot_taken(now, info).expect("the log has it");
    let epoch = h.node.epoch();
    let (token, outputs) = h.send_at(1, fetch_snapshot(4, epoch, info.id, 0));
    assert!(reply_to(token, &outputs).is_some());
    h.send_at(18, fetch(4, epoch, 1, epoch));
    let (_, outputs) = h.request(1, add(4).into());
    let is_versions = |request: &Request| matches!(request, Request::ApiVersions(_));
    let (call, _) = Harness::call_of(&outputs, is_versions);
    h.answer(call, versions(0, 1));
    assert_eq!(h.node.voters().len(), 3, "4 never caught up");
}
