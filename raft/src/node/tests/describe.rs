//! Answering DescribeQuorum.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{DescribeQuorumResponse, describe_quorum_response};

use super::harness::{Harness, config, directory};
use super::messages::*;
use crate::message::Response;
use crate::types::{Recovered, Uuid};

const ALL: std::ops::RangeInclusive<i16> = 0..=2;

fn asked(
    h: &mut Harness,
    version: i16,
    topic: &'static str,
    partition: i32,
) -> DescribeQuorumResponse<'static> {
    match h.ask_at(version, describe(topic, partition)) {
        Response::DescribeQuorum(response) => response,
        other => panic!("{other:?}"),
    }
}

fn partition(
    response: &DescribeQuorumResponse<'static>,
) -> describe_quorum_response::PartitionData<'static> {
    response.topics[0].partitions[0].clone()
}

#[test]
fn another_topic_or_partition_is_unknown() {
    at_each(ALL, |version| {
        let mut h = dynamic_leader(&[0, 1, 2]);
        for (topic, index) in [("other", 0), (TOPIC, 1)] {
            let answer = asked(&mut h, version, topic, index);
            let found = partition(&answer);
            let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            assert_eq!(ErrorCode(found.error_code), error);
            assert_eq!(
                found.error_message.is_some_and(|m| !m.is_empty()),
                version >= 2
            );
            assert_eq!(found.partition_index, index);
            assert_eq!(answer.nodes, []);
        }
    });
}

#[test]
fn only_the_leader_describes() {
    at_each(ALL, |version| {
        let (mut h, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
        let found = partition(&asked(&mut h, version, TOPIC, 0));
        let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        assert_eq!(ErrorCode(found.error_code), error);
        assert_eq!(
            found.error_message.is_some_and(|m| !m.is_empty()),
            version >= 2
        );
        assert_eq!((found.leader_id, found.leader_epoch), (1, 5));
        assert_eq!(found.current_voters, []);
    });
}

#[test]
fn voters_and_observers_are_described() {
    at_each(ALL, |version| {
        let mut h = dynamic_leader(&[0, 1, 2]);
        let end = h.node.log_end();
        h.request(18, fetch(7, end.epoch, 1, end.epoch).into());
        // Voter 2 with another disk is another replica.
        let mut other = fetch(2, end.epoch, 2, end.epoch);
        other.topics[0].partitions[0].replica_directory_id = directory(99);
        h.request(18, other.into());
        h.request(18, fetch(-1, end.epoch, 2, end.epoch).into());
        h.wait(50);
        let answer = asked(&mut h, version, TOPIC, 0);
        let found = partition(&answer);
        assert_eq!((found.leader_id, found.leader_epoch), (0, end.epoch));
        assert_eq!(found.high_watermark, 3);
        let now = i64::try_from(h.now.0).expect("a small number");
        let then = now - 50;
        let times = |at| if version >= 1 { at } else { -1 };
        let named = |id| {
            if version >= 2 {
                directory(id)
            } else {
                Uuid::ZERO
            }
        };
        let shown = |state: &describe_quorum_response::ReplicaState| {
            (
                state.replica_id,
                state.replica_directory_id,
                state.log_end_offset,
                state.last_fetch_timestamp,
                state.last_caught_up_timestamp,
            )
        };
        let voters: Vec<_> = found.current_voters.iter().map(shown).collect();
        let expected = [
            (0, named(0), 3, times(now), times(now)),
            (1, named(1), 3, times(then), times(then)),
            (2, named(2), 3, times(then), times(then)),
        ];
        assert_eq!(voters, expected, "version {version}");
        let observers: Vec<_> = found.observers.iter().map(shown).collect();
        let expected = [
            (2, named(99), 2, times(then), -1),
            (7, named(7), 1, times(then), -1),
        ];
        assert_eq!(observers, expected, "version {version}");
        let nodes: Vec<i32> = answer.nodes.iter().map(|node| node.node_id).collect();
        if version >= 2 {
            assert_eq!(nodes, [0, 1, 2]);
            let listener = &answer.nodes[1].listeners[0];
            let shown = (&*listener.name, &*listener.host, listener.port);
            assert_eq!(shown, ("CONTROLLER", "localhost", 9_001));
        } else {
            assert!(nodes.is_empty());
        }
    });
}

#[test]
fn static_voters_have_no_directory() {
    at_each(ALL, |version| {
        let mut h = static_leader(&[0, 1]);
        let found = partition(&asked(&mut h, version, TOPIC, 0));
        assert_eq!(found.high_watermark, -1, "nothing is committed yet");
        let directories = found.current_voters.iter().map(|v| v.replica_directory_id);
        assert!(directories.into_iter().all(|id| id == Uuid::ZERO));
        assert_eq!(found.current_voters[1].log_end_offset, -1);
    });
}

#[test]
fn a_fetch_offset_that_goes_back_is_shown() {
    let mut h = dynamic_leader(&[0, 1]);
    let end = h.node.log_end();
    h.request(18, fetch(1, end.epoch, 1, end.epoch).into());
    let found = partition(&asked(&mut h, 2, TOPIC, 0));
    assert_eq!(found.current_voters[1].log_end_offset, 1);
    assert_eq!(found.high_watermark, 3);
}

#[test]
fn a_removed_leader_is_an_observer() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    h.request(0, remove(0).into());
    let found = partition(&asked(&mut h, 2, TOPIC, 0));
    let ids: Vec<i32> = found.current_voters.iter().map(|v| v.replica_id).collect();
    assert_eq!(ids, [1, 2]);
    let observers: Vec<i32> = found.observers.iter().map(|v| v.replica_id).collect();
    assert_eq!(observers, [0]);
}

#[test]
fn progress_stands_under_the_directory_once_it_is_known() {
    let mut h = static_leader(&[0, 1]);
    h.caught_up(&[1]);
    let epoch = h.node.epoch();
    h.request(0, update(1, epoch, (0, 1)).into());
    let now = h.now;
    h.node
        .upgrade_kraft_version(now, 1)
        .expect("all understand");
    h.settle();
    let found = partition(&asked(&mut h, 2, TOPIC, 0));
    assert_eq!(found.observers, []);
    let voter = &found.current_voters[1];
    assert_eq!(voter.replica_directory_id, directory(1));
    assert_eq!(voter.log_end_offset, 1);
}
