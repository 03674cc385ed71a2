//! BeginQuorumEpoch: a leader says that it leads, at versions 0 and 1.

use kwire_protocol::{ErrorCode, Uuid};

use super::harness::*;
use super::messages::{at_each, on_the_wire};
use super::states::*;
use crate::message::{Request, Response};
use crate::node::RoleName;
use crate::voters::{Address, Endpoints};

const NONE: ErrorCode = ErrorCode::NONE;

#[test]
fn a_foreign_cluster_or_partition_is_refused_as_a_whole() {
    at_each(0..=1, |version| {
        for state in State::ALL {
            let mut h = state.reach();
            let mut request = begin(1, EPOCH + 1);
            request.cluster_id = Some("other".into());
            let answer = refusal(&h.ask_at(version, request));
            assert_eq!(answer, (ErrorCode::INCONSISTENT_CLUSTER_ID, false));
            let good = begin(1, EPOCH + 1);
            let mut other_topic = good.clone();
            other_topic.topics[0].topic_name = "other".into();
            let mut other_partition = good.clone();
            other_partition.topics[0].partitions[0].partition_index = 3;
            let mut none = good.clone();
            none.topics.clear();
            let mut two = good.clone();
            two.topics.extend(good.topics);
            for bad in [other_topic, other_partition, none, two] {
                let answer = refusal(&h.ask_at(version, bad));
                assert_eq!(answer, (ErrorCode::INVALID_REQUEST, false));
            }
            assert_eq!((h.node.role(), h.node.epoch()), (state.role(), EPOCH));
        }
    });
}

#[test]
fn an_older_epoch_is_fenced() {
    at_each(0..=1, |version| {
        for state in State::ALL {
            let mut h = state.reach();
            let answer = heard(&h.ask_at(version, begin(2, EPOCH - 1)));
            let leader = state.leader().unwrap_or(-1);
            assert_eq!(answer, (ErrorCode::FENCED_LEADER_EPOCH, leader, EPOCH));
            assert_eq!(h.node.role(), state.role());
        }
    });
}

#[test]
fn a_negative_leader_is_invalid() {
    at_each(0..=1, |version| {
        let mut h = State::Unattached.reach();
        let answer = heard(&h.ask_at(version, begin(-1, EPOCH + 1)));
        assert_eq!(answer, (ErrorCode::INVALID_REQUEST, -1, EPOCH));
    });
}

/// Kafka's node dies of this. Ours says so and stays what it is.
#[test]
fn two_leaders_of_one_epoch_are_noticed() {
    at_each(0..=1, |version| {
        for state in [
            State::Follower,
            State::Leader,
            State::Resigned,
            State::ProspectiveLeader,
        ] {
            let mut h = state.reach();
            let (_, outputs) = h.request(version, begin(2, EPOCH).into());
            assert!(is_blamed(&outputs), "{state:?}");
            assert_eq!(h.node.role(), state.role());
            assert_eq!(h.node.leader(), state.leader());
        }
        // A node knows whether it leads itself.
        for epoch in [EPOCH, EPOCH + 1] {
            let mut h = State::Unattached.reach();
            let (_, outputs) = h.request(version, begin(0, epoch).into());
            assert!(is_blamed(&outputs));
            assert_eq!(h.state(), (RoleName::Unattached, EPOCH, None, None));
        }
    });
}

#[test]
fn a_leader_that_is_known_already_is_acknowledged() {
    at_each(0..=1, |version| {
        for state in [
            State::Follower,
            State::FollowerFetched,
            State::ObserverFollower,
        ] {
            let mut h = state.reach();
            let until = h.node.election_timer();
            h.now = h.now.plus(100);
            let answer = heard(&h.ask_at(version, begin(1, EPOCH)));
            assert_eq!(answer, (NONE, 1, EPOCH));
            assert_eq!(h.node.election_timer(), until, "it says nothing new");
        }
    });
}

#[test]
fn more_endpoints_are_news_and_fewer_are_not() {
    let mut h = State::FollowerFetched.reach();
    let (_, outputs) = h.request(1, begin_at(1, EPOCH, &two_endpoints(1)).into());
    assert_eq!(h.node.leader_endpoints, two_endpoints(1));
    assert_eq!(
        asked(&outputs),
        [(1, "fetch")],
        "its old requests are forgotten"
    );
    assert_eq!(saves(&outputs), []);
    assert!(
        !voted(&h.ask_at(2, vote(2, EPOCH, true))).3,
        "it had fetched from it"
    );
    let (_, outputs) = h.request(1, begin_at(1, EPOCH, &endpoints(1)).into());
    assert_eq!(asked(&outputs), []);
    assert_eq!(h.node.leader_endpoints, two_endpoints(1));
}

#[test]
fn the_requests_endpoints_come_before_the_voter_sets() {
    let moved = Endpoints::one(LISTENER, Address::new("elsewhere", 7));
    for (version, expected) in [(0, endpoints(1)), (1, moved.clone())] {
        let mut h = State::Unattached.reach();
        h.ask_at(version, begin_at(1, EPOCH + 1, &moved));
        assert_eq!(h.node.leader_endpoints, expected);
    }
    // Without the quorum's listener they are of no use.
    let other = Endpoints::one("EXTERNAL", Address::new("elsewhere", 7));
    let mut h = State::Unattached.reach();
    h.ask_at(1, begin_at(1, EPOCH + 1, &other));
    assert_eq!(h.node.leader_endpoints, endpoints(1));
}

#[test]
fn the_leader_counts_even_if_the_message_was_for_another_voter() {
    let cases = [
        (-1, Uuid::ZERO, NONE),
        (0, Uuid::ZERO, NONE),
        (0, directory(0), NONE),
        (0, directory(4), ErrorCode::INVALID_VOTER_KEY),
        (2, Uuid::ZERO, ErrorCode::INVALID_VOTER_KEY),
    ];
    at_each(0..=1, |version| {
        for (id, directory_id, expected) in cases {
            let mut h = State::Unattached.reach();
            let mut request = begin(1, EPOCH + 1);
            request.voter_id = id;
            request.topics[0].partitions[0].voter_directory_id = directory_id;
            let expected = if version == 0 { NONE } else { expected };
            let answer = heard(&h.ask_at(version, request));
            assert_eq!(answer, (expected, 1, EPOCH + 1));
            assert_eq!(h.node.role(), RoleName::Follower);
        }
    });
}

#[test]
fn from_version_1_on_the_answer_says_where_the_leader_listens() {
    at_each(0..=1, |version| {
        let mut h = State::Follower.reach();
        let Response::BeginQuorumEpoch(response) = h.ask_at(version, begin(2, EPOCH - 1)) else {
            panic!("not an answer to it");
        };
        let named: Vec<_> = response
            .node_endpoints
            .iter()
            .map(|e| (e.node_id, e.port))
            .collect();
        assert_eq!(
            named,
            if version >= 1 {
                vec![(1, 9_001)]
            } else {
                vec![]
            }
        );
    });
}

/// KAFKA-16536: it is the leader's heartbeat for those who do not fetch.
#[test]
fn the_leader_reminds_who_does_not_fetch() {
    let (mut h, first) = State::Leader.reach_asking(&[0, 1, 2]);
    let epoch = h.node.epoch();
    for (call, _, _) in first {
        h.answer(call, begun(epoch, Some(0), NONE));
    }
    h.pass(100);
    let mut reminded = Vec::new();
    for _ in 0..8 {
        let (_, _) = h.request(17, fetch(key(1), epoch, 0, 0, 0));
        let outputs = h.pass(500);
        for (call, to, request) in calls(&outputs) {
            assert!(matches!(request, Request::BeginQuorumEpoch(_)));
            reminded.push(to);
            h.answer(call, begun(epoch, Some(0), NONE));
        }
    }
    assert_eq!(h.node.role(), RoleName::Leader, "one of two suffices");
    assert_eq!(reminded, [2; 4], "once in half a fetch timeout");
}

#[test]
fn what_the_leader_says() {
    at_each(0..=1, |version| {
        let (_, mut calls) = State::Leader.reach_asking(&[0, 1, 2]);
        let (_, to, request) = calls.remove(1);
        let Request::BeginQuorumEpoch(request) = on_the_wire(version, &request) else {
            panic!("not a begin");
        };
        assert_eq!(to, 2);
        let news = &request.topics[0].partitions[0];
        assert_eq!((news.leader_id, news.leader_epoch), (0, EPOCH));
        assert_eq!(request.voter_id, if version == 0 { -1 } else { 2 });
        let named: Vec<_> = request.leader_endpoints.iter().map(|e| e.port).collect();
        assert_eq!(named, if version == 0 { vec![] } else { vec![9_000] });
    });
}

#[test]
fn an_answer_with_a_higher_epoch_ends_the_leader() {
    let (mut h, calls) = State::Leader.reach_asking(&[0, 1, 2]);
    let (call, _, _) = calls[0];
    let answer = begun(EPOCH + 3, None, ErrorCode::FENCED_LEADER_EPOCH);
    h.answer(call, answer);
    assert_eq!(h.state(), (RoleName::Unattached, EPOCH + 3, None, None));
}

#[test]
fn an_answer_that_the_voter_has_another_key_changes_nothing() {
    let (mut h, calls) = State::Leader.reach_asking(&[0, 1, 2]);
    let (call, _, _) = calls[0];
    let outputs = h.answer(call, begun(EPOCH, Some(0), ErrorCode::INVALID_VOTER_KEY));
    assert_eq!(outputs, []);
    assert_eq!(h.node.role(), RoleName::Leader);
}
