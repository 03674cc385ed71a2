//! Answering Fetch.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::FetchRequest;

use super::harness::{Harness, config, directory, disk_ops, reply_to};
use super::messages::*;
use crate::message::Response;
use crate::node::{Incoming, Output, RoleName, Token};
use crate::types::{OffsetAndEpoch, Recovered};

const OLDEST: i16 = 12;
const NEWEST: i16 = 18;
const ALL: std::ops::RangeInclusive<i16> = OLDEST..=NEWEST;

/// A leader of three static voters in epoch 6 whose log has epochs 1 (0..10), 3 (10..20), and its
/// own record.
fn leader() -> Harness {
    let disk = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let h = elected(config(0, &[0, 1, 2]), disk);
    assert_eq!(h.node.log_end(), OffsetAndEpoch::new(21, h.node.epoch()));
    h
}

fn log_read(token: Token, outputs: &[Output]) -> Option<(i64, i64, usize)> {
    outputs.iter().find_map(|output| match output {
        Output::ReplyWithLog {
            token: of,
            from,
            until,
            max_bytes,
            ..
        } if *of == token => Some((*from, *until, *max_bytes)),
        _ => None,
    })
}

fn error(partition: &Partition) -> ErrorCode {
    ErrorCode(partition.error_code)
}

fn top_level(h: &mut Harness, version: i16, fetch: FetchRequest<'static>) -> ErrorCode {
    match h.ask_at(version, fetch) {
        Response::Fetch(response) => {
            assert!(response.responses.is_empty());
            ErrorCode(response.error_code)
        }
        other => panic!("{other:?}"),
    }
}

fn append(h: &mut Harness, value: &[u8]) -> Vec<Output> {
    let (now, epoch) = (h.now, h.node.epoch());
    h.node.append(now, epoch, &[value]).expect("it leads");
    h.node.handle_timeout(now);
    h.settle()
}

#[test]
fn another_cluster_or_topic_is_refused_as_a_whole() {
    at_each(ALL, |version| {
        let mut h = leader();
        let good = || fetch(1, 1, 0, 0);
        let mut other = good();
        other.cluster_id = Some("other".into());
        let refused = top_level(&mut h, version, other);
        assert_eq!(refused, ErrorCode::INCONSISTENT_CLUSTER_ID);

        let mut topic = good();
        topic.topics[0].topic = "other".into();
        topic.topics[0].topic_id = crate::types::Uuid::from_parts(0, 2);
        let mut partition = good();
        partition.topics[0].partitions[0].partition = 1;
        let mut none = good();
        none.topics.clear();
        let mut two = good();
        two.topics.push(two.topics[0].clone());
        for request in [topic, partition, none, two] {
            let refused = top_level(&mut h, version, request);
            assert_eq!(refused, ErrorCode::INVALID_REQUEST, "version {version}");
        }
        let mut unnamed = good();
        unnamed.cluster_id = None;
        let answer = h.fetch_at(version, unnamed);
        assert_ne!(error(&answer), ErrorCode::INCONSISTENT_CLUSTER_ID);
    });
}

#[test]
fn the_topic_has_a_name_up_to_version_12_and_an_id_from_13_on() {
    let mut h = leader();
    let mut by_name = fetch(1, 1, 0, 0);
    by_name.topics[0].topic_id = crate::types::Uuid::ZERO;
    h.fetch_at(12, by_name.clone());
    let mut by_id = fetch(1, 1, 0, 0);
    by_id.topics[0].topic = "".into();
    h.fetch_at(13, by_id);
    // Not even the right name helps.
    assert_eq!(top_level(&mut h, 13, by_name), ErrorCode::INVALID_REQUEST);
}

#[test]
fn numbers_below_zero_and_epochs_that_cannot_be_are_invalid() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let mut wait = fetch(1, epoch, 0, 0);
        wait.max_wait_ms = -1;
        let later = fetch(1, epoch, 0, epoch + 1);
        let own = fetch(0, epoch, 0, 0);
        let negative_epoch = fetch(1, -1, 0, 0);
        for request in [
            wait,
            fetch(1, epoch, -1, 0),
            fetch(1, epoch, 0, -1),
            later,
            own,
            negative_epoch,
        ] {
            let answer = h.fetch_at(version, request);
            assert_eq!(error(&answer), ErrorCode::INVALID_REQUEST, "{version}");
        }
        // Before the epoch is looked at.
        let answer = h.fetch_at(version, fetch(1, epoch - 1, -1, 0));
        assert_eq!(error(&answer), ErrorCode::INVALID_REQUEST);
    });
}

#[test]
fn the_epoch_is_the_leaders_or_refused_and_the_leader_does_not_move() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let older = h.fetch_at(version, fetch(1, epoch - 1, 0, 0));
        assert_eq!(error(&older), ErrorCode::FENCED_LEADER_EPOCH);
        let newer = h.fetch_at(version, fetch(1, epoch + 1, 0, 0));
        assert_eq!(error(&newer), ErrorCode::UNKNOWN_LEADER_EPOCH);
        assert_eq!(h.node.role(), RoleName::Leader);
        assert_eq!(h.node.epoch(), epoch);
        for answer in [older, newer] {
            let leader = answer.current_leader;
            assert_eq!((leader.leader_id, leader.leader_epoch), (0, epoch));
        }
    });
}

#[test]
fn only_the_leader_answers_with_records() {
    at_each(ALL, |version| {
        let (mut h, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
        let answer = h.fetch_at(version, fetch(2, 5, 0, 0));
        assert_eq!(error(&answer), ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!(answer.current_leader.leader_id, 1);
        assert_eq!(answer.current_leader.leader_epoch, 5);
        let older = h.fetch_at(version, fetch(2, 4, 0, 0));
        assert_eq!(error(&older), ErrorCode::FENCED_LEADER_EPOCH);
    });
}

#[test]
fn endpoints_are_named_from_version_17_on() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        match h.ask_at(version, fetch(1, epoch + 1, 0, 0)) {
            Response::Fetch(response) if version >= 17 => {
                let [node] = &response.node_endpoints[..] else {
                    panic!("version {version}: {response:?}");
                };
                let found = (node.node_id, node.host.as_ref(), node.port);
                assert_eq!(found, (0, "localhost", 9_000));
            }
            Response::Fetch(response) => assert!(response.node_endpoints.is_empty()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn records_are_read_up_to_the_end_of_the_log_committed_or_not() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let (token, outputs) = h.send_at(version, fetch(1, epoch, 20, 3));
        assert_eq!(log_read(token, &outputs), Some((20, 21, 1 << 20)));
        let mut small = fetch(1, epoch, 20, 3);
        small.max_bytes = -7;
        let (token, outputs) = h.send_at(version, small);
        assert_eq!(log_read(token, &outputs), Some((20, 21, 0)), "one batch");
    });
}

#[test]
fn a_log_that_diverges_is_told_where_at_once() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let mut diverging = |offset, last| {
            let answer = h.fetch_at(version, fetch(1, epoch, offset, last));
            assert_eq!(error(&answer), ErrorCode::NONE);
            let found = answer.diverging_epoch;
            (found.epoch, found.end_offset)
        };
        assert_eq!(diverging(15, 1), (1, 10), "longer in epoch 1");
        assert_eq!(diverging(15, 2), (1, 10), "an epoch that the leader lacks");
        assert_eq!(diverging(25, 3), (3, 20));
        assert_eq!(diverging(22, epoch), (epoch, 21), "longer than the log");
        assert_eq!(diverging(5, 0), (0, 0), "before the first epoch");
        assert_eq!(h.node.high_watermark(), None, "that is no progress");
        assert_eq!(h.node.log_end().offset, 21, "and changes no log");
    });
}

#[test]
fn what_only_a_snapshot_has_is_answered_with_its_id() {
    at_each(ALL, |version| {
        let early = OffsetAndEpoch::new(10, 1);
        let latest = OffsetAndEpoch::new(15, 3);
        let disk = with_log(Recovered::default(), &[(3, 10)], 20);
        let disk = with_snapshot(disk, early, 70, 10);
        let disk = with_snapshot(disk, latest, 80, 10);
        let mut h = elected(config(0, &[0, 1, 2]), disk);
        let epoch = h.node.epoch();
        let mut snapshot = |offset, last| {
            let answer = h.fetch_at(version, fetch(1, epoch, offset, last));
            let id = answer.snapshot_id;
            let none = (id.end_offset, id.epoch) == (-1, -1);
            (!none).then(|| OffsetAndEpoch::new(id.end_offset, id.epoch))
        };
        assert_eq!(snapshot(0, 0), Some(latest), "nothing at all");
        assert_eq!(snapshot(9, 1), Some(latest), "below the log's start");
        assert_eq!(snapshot(10, 1), None, "where the log starts");
        assert_eq!(snapshot(10, 2), Some(latest), "there, of another epoch");
        assert_eq!(snapshot(10, 0), Some(latest));
        assert_eq!(snapshot(17, 0), Some(latest), "of an older epoch");
        assert_eq!(snapshot(15, 3), None);
    });
}

#[test]
fn an_empty_log_gets_the_snapshot_even_if_the_leader_has_all_records() {
    let latest = OffsetAndEpoch::new(15, 3);
    let disk = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let mut h = elected(config(0, &[0, 1, 2]), with_snapshot(disk, latest, 80, 0));
    let epoch = h.node.epoch();
    let answer = h.fetch_at(NEWEST, fetch(1, epoch, 0, 0));
    assert_eq!(answer.snapshot_id.end_offset, 15);
    // The bootstrap checkpoint is for nobody else.
    let mut h = elected(config(0, &[]), formatted(&[0, 1, 2]));
    let epoch = h.node.epoch();
    let answer = h.fetch_at(NEWEST, fetch(1, epoch, 0, 0));
    assert_eq!(answer.snapshot_id.end_offset, -1);
}

#[test]
fn the_end_of_an_epoch_at_the_first_snapshot_is_that_snapshot() {
    // Epoch 1 ends where the log starts; the records of epoch 1 are in the snapshot alone.
    let id = OffsetAndEpoch::new(10, 1);
    let disk = with_log(Recovered::default(), &[(3, 10)], 20);
    let mut h = elected(config(0, &[0, 1, 2]), with_snapshot(disk, id, 80, 10));
    let epoch = h.node.epoch();
    let answer = h.fetch_at(NEWEST, fetch(1, epoch, 12, 1));
    let found = answer.diverging_epoch;
    assert_eq!((found.end_offset, found.epoch), (10, 1));
}

#[test]
fn a_fetch_at_the_end_waits_for_records() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let (token, outputs) = h.send_at(version, fetch(-1, epoch, 21, epoch));
        assert_eq!(reply_to(token, &outputs), None);
        let outputs = append(&mut h, b"news");
        assert_eq!(log_read(token, &outputs), Some((21, 22, 1 << 20)));
    });
}

#[test]
fn a_fetch_waits_no_longer_than_it_said() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let (token, outputs) = h.send_at(version, fetch(-1, epoch, 21, epoch));
        assert_eq!(reply_to(token, &outputs), None);
        let outputs = h.wait(499);
        assert_eq!(reply_to(token, &outputs), None);
        let outputs = h.wait(1);
        assert_eq!(
            log_read(token, &outputs),
            Some((21, 21, 1 << 20)),
            "nothing"
        );

        let mut hurried = fetch(-1, epoch, 21, epoch);
        hurried.max_wait_ms = 0;
        let (token, outputs) = h.send_at(version, hurried);
        assert_eq!(log_read(token, &outputs), Some((21, 21, 1 << 20)));
    });
}

#[test]
fn waiting_fetches_hear_of_the_high_watermark() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let (token, outputs) = h.send_at(version, fetch(-1, epoch, 21, epoch));
        assert_eq!(reply_to(token, &outputs), None);
        let outputs = h.caught_up(&[1]);
        assert_eq!(h.node.high_watermark(), Some(21));
        let Some(Response::Fetch(answer)) = reply_to(token, &outputs) else {
            panic!("it hears of the high watermark");
        };
        assert_eq!(answer.responses[0].partitions[0].high_watermark, 21);
    });
}

/// KIP-1166.
#[test]
fn a_fetcher_that_knows_a_lower_high_watermark_does_not_wait() {
    let is_answered = |version, known| {
        let mut h = leader();
        h.caught_up(&[1, 2]);
        let epoch = h.node.epoch();
        let mut request = fetch(-1, epoch, 21, epoch);
        request.topics[0].partitions[0].high_watermark = known;
        if version < 18 {
            request.topics[0].partitions[0].high_watermark = i64::MAX;
        }
        let (token, outputs) = h.send_at(version, request);
        log_read(token, &outputs).is_some()
    };
    assert!(is_answered(18, -1), "it knows of none");
    assert!(is_answered(18, 20), "it knows an older one");
    assert!(!is_answered(18, 21), "it knows");
    assert!(!is_answered(18, 22));
    assert!(!is_answered(18, i64::MAX), "it does not care");
    at_each(12..=17, |version| assert!(!is_answered(version, -1)));
}

#[test]
fn a_fetcher_that_knows_no_high_watermark_waits_while_there_is_none() {
    let mut h = leader();
    let epoch = h.node.epoch();
    let mut request = fetch(-1, epoch, 21, epoch);
    request.topics[0].partitions[0].high_watermark = -1;
    let (token, outputs) = h.send_at(NEWEST, request);
    assert_eq!(reply_to(token, &outputs), None);
}

#[test]
fn who_waits_hears_that_the_leader_leads_no_longer() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        let (token, _) = h.send_at(version, fetch(-1, epoch, 21, epoch));
        let (_, outputs) = h.request(1, begin(1, epoch + 1));
        let Some(Response::Fetch(answer)) = reply_to(token, &outputs) else {
            panic!("it is answered");
        };
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(error(partition), ErrorCode::NOT_LEADER_OR_FOLLOWER);

        let mut h = leader();
        let epoch = h.node.epoch();
        let (token, _) = h.send_at(version, fetch(-1, epoch, 21, epoch));
        h.node.resign(h.now, epoch);
        let outputs = h.settle();
        let Some(Response::Fetch(answer)) = reply_to(token, &outputs) else {
            panic!("it is answered");
        };
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(error(partition), ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!(partition.high_watermark, -1, "who resigned knows of none");
    });
}

#[test]
fn consumers_change_nothing_of_the_leader() {
    at_each(ALL, |version| {
        let mut h = leader();
        let before = h.node.clone();
        let epoch = h.node.epoch();
        let mut request = fetch(-1, epoch, 20, 3);
        request.max_wait_ms = 0;
        h.send_at(version, request);
        assert!(h.node == before);
    });
}

#[test]
fn a_directory_counts_from_version_17_on() {
    at_each(ALL, |version| {
        let mut h = elected(config(0, &[]), formatted(&[0, 1, 2]));
        let end = h.node.log_end();
        h.send_at(version, fetch(1, end.epoch, end.offset, end.epoch));
        // A voter of the log that does not say its directory may be another replica.
        assert_eq!(h.node.high_watermark().is_some(), version >= 17);

        let mut other = elected(config(0, &[]), formatted(&[0, 1, 2]));
        let mut request = fetch(1, end.epoch, end.offset, end.epoch);
        request.topics[0].partitions[0].replica_directory_id = directory(9);
        other.send_at(version, request);
        assert_eq!(other.node.high_watermark(), None, "KAFKA-16530");
    });
}

/// Static voters have no directory, so that any is theirs.
#[test]
fn any_directory_is_that_of_a_static_voter() {
    at_each(ALL, |version| {
        let mut h = leader();
        let epoch = h.node.epoch();
        h.send_at(version, fetch(1, epoch, 21, epoch));
        assert_eq!(h.node.high_watermark(), Some(21));
    });
}

#[test]
fn the_high_watermark_passes_the_first_record_of_the_epoch_before_it_counts() {
    let mut h = leader();
    let epoch = h.node.epoch();
    h.send_at(NEWEST, fetch(1, epoch, 20, 3));
    h.send_at(NEWEST, fetch(2, epoch, 20, 3));
    assert_eq!(
        h.node.high_watermark(),
        None,
        "all have 20, of older epochs"
    );
    h.send_at(NEWEST, fetch(1, epoch, 21, epoch));
    assert_eq!(h.node.high_watermark(), Some(21));
}

/// KAFKA-15312, KAFKA-14273: a voter that lost its disk fetches from below where it was.
#[test]
fn a_fetch_offset_may_go_back_and_the_high_watermark_does_not() {
    let mut h = leader();
    let epoch = h.node.epoch();
    h.caught_up(&[1, 2]);
    assert_eq!(h.node.high_watermark(), Some(21));
    h.send_at(NEWEST, fetch(1, epoch, 3, 1));
    h.send_at(NEWEST, fetch(2, epoch, 3, 1));
    assert_eq!(h.node.high_watermark(), Some(21));
    append(&mut h, b"more");
    assert_eq!(h.node.high_watermark(), Some(21));
    h.send_at(NEWEST, fetch(1, epoch, 22, epoch));
    assert_eq!(h.node.high_watermark(), Some(22));
}

/// KAFKA-10533: what is not durable here does not count.
#[test]
fn the_leader_counts_its_own_records_once_they_are_durable() {
    let mut h = static_leader(&[0, 1]);
    h.caught_up(&[1]);
    let (now, epoch) = (h.now, h.node.epoch());
    h.node.append(now, epoch, &[b"v"]).expect("it leads");
    h.node.handle_timeout(now);
    let outputs = h.drain();
    assert_eq!(disk_ops(&outputs).len(), 1);
    let incoming = Incoming {
        token: Token(99),
        version: NEWEST,
        request: fetch(1, epoch, 2, epoch).into(),
    };
    h.node.handle_request(now, incoming);
    assert_eq!(h.node.high_watermark(), Some(1));
    let Some(Output::Disk { id, .. }) = outputs.iter().find(|o| matches!(o, Output::Disk { .. }))
    else {
        panic!("it writes");
    };
    h.node.handle_disk(now, *id);
    assert_eq!(h.node.high_watermark(), Some(2));
}

#[test]
fn a_fetch_that_ends_the_leadership_is_answered() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let (removal, _) = h.request(0, remove(0).into());
    let end = h.node.log_end();
    h.request(18, fetch(1, end.epoch, end.offset, end.epoch).into());
    assert_eq!(h.node.role(), RoleName::Leader, "one of two");
    let (token, outputs) = h.send_at(NEWEST, fetch(2, end.epoch, end.offset, end.epoch));
    assert_eq!(h.node.role(), RoleName::Resigned);
    assert!(reply_to(removal, &outputs).is_some());
    let Some(Response::Fetch(answer)) = reply_to(token, &outputs) else {
        panic!("it is answered");
    };
    let found = error(&answer.responses[0].partitions[0]);
    assert_eq!(found, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn a_leader_knows_how_far_the_voters_are() {
    let mut h = static_leader(&[0, 1, 2]);
    let ends = |h: &Harness| h.node.voter_ends().collect::<Vec<_>>();
    assert!(ends(&h).is_empty(), "nobody fetched");
    h.caught_up(&[1, 2]);
    append(&mut h, b"v");
    h.caught_up(&[2]);
    let epoch = h.node.epoch();
    // Neither an observer nor the leader counts.
    h.request(NEWEST, fetch(7, epoch, 0, 0).into());
    assert_eq!(ends(&h), [1, 2]);
    let (follower, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
    assert!(ends(&follower).is_empty());
}
