//! EndQuorumEpoch: a leader gives up, at versions 0 and 1.

use kwire_protocol::{ErrorCode, Uuid};

use super::harness::*;
use super::messages::{at_each, on_the_wire};
use super::states::*;
use crate::message::Request;
use crate::node::{CallError, RoleName};

const NONE: ErrorCode = ErrorCode::NONE;

#[test]
fn a_foreign_cluster_or_partition_is_refused_as_a_whole() {
    at_each(0..=1, |version| {
        let mut h = State::Follower.reach();
        let good = end(version, 1, EPOCH, &[0]);
        let mut foreign = good.clone();
        foreign.cluster_id = Some("other".into());
        let answer = refusal(&h.ask_at(version, foreign));
        assert_eq!(answer, (ErrorCode::INCONSISTENT_CLUSTER_ID, false));
        let mut other_topic = good.clone();
        other_topic.topics[0].topic_name = "other".into();
        let mut other_partition = good.clone();
        other_partition.topics[0].partitions[0].partition_index = 3;
        let mut none = good.clone();
        none.topics.clear();
        for bad in [other_topic, other_partition, none] {
            let answer = refusal(&h.ask_at(version, bad));
            assert_eq!(answer, (ErrorCode::INVALID_REQUEST, false));
        }
        assert_eq!(h.node.role(), RoleName::Follower);
    });
}

#[test]
fn an_older_epoch_is_fenced_and_nobody_cannot_end_one() {
    at_each(0..=1, |version| {
        for state in State::ALL {
            let leader = state.leader().unwrap_or(-1);
            let mut h = state.reach();
            let answer = heard(&h.ask_at(version, end(version, 1, EPOCH - 1, &[0])));
            assert_eq!(answer, (ErrorCode::FENCED_LEADER_EPOCH, leader, EPOCH));
            let answer = heard(&h.ask_at(version, end(version, -1, EPOCH + 1, &[0])));
            assert_eq!(answer, (ErrorCode::INVALID_REQUEST, leader, EPOCH));
            assert_eq!(h.node.role(), state.role());
        }
    });
}

#[test]
fn the_first_successor_stands_at_once() {
    at_each(0..=1, |version| {
        for state in [State::Follower, State::FollowerFetched] {
            let mut h = state.reach();
            let request = on_the_wire(version, &end(version, 1, EPOCH, &[0, 2]).into());
            let (token, outputs) = h.request(version, request);
            let answer = reply_to(token, &outputs).expect("an answer");
            assert_eq!(heard(&answer), (NONE, 1, EPOCH));
            assert_eq!(h.state(), (RoleName::Prospective, EPOCH, Some(1), None));
            assert_eq!(asked(&outputs), [(1, "pre-vote"), (2, "pre-vote")]);
        }
    });
}

#[test]
fn the_others_wait_by_their_place() {
    // Half of the greatest pause, a quarter, and so on.
    let cases: [(&[i32], u64); 5] = [
        (&[2, 0], 500),
        (&[2, 0, 3], 250),
        (&[2, 3, 0], 500),
        (&[1, 2], 1_000),
        (&[], 1_000),
    ];
    at_each(0..=1, |version| {
        for (successors, pause) in cases {
            let mut h = State::FollowerFetched.reach();
            let answer = h.ask_at(version, end(version, 1, EPOCH, successors));
            assert_eq!(heard(&answer), (NONE, 1, EPOCH));
            assert_eq!(h.node.role(), RoleName::Follower);
            let until = h.now.plus(pause);
            assert_eq!(h.node.election_timer(), until, "{successors:?}");
            assert_eq!(h.node.poll_timeout(), until.min(h.node.poll_timeout()));
            h.pass(pause);
            assert_eq!(h.node.role(), RoleName::Prospective);
        }
    });
}

#[test]
fn a_successor_with_another_directory_is_another() {
    let mut h = State::FollowerFetched.reach();
    let mut request = end(1, 1, EPOCH, &[0]);
    let named = &mut request.topics[0].partitions[0].preferred_candidates[0];
    named.candidate_directory_id = directory(8);
    h.ask_at(1, request.clone());
    assert_eq!(h.node.election_timer(), h.now.plus(1_000));
    request.topics[0].partitions[0].preferred_candidates[0].candidate_directory_id = Uuid::ZERO;
    h.ask_at(1, request);
    assert_eq!(
        h.node.role(),
        RoleName::Prospective,
        "any directory is its own"
    );
}

#[test]
fn the_end_of_an_epoch_tells_that_there_is_one() {
    at_each(0..=1, |version| {
        let mut h = State::Leader.reach();
        let answer = h.ask_at(version, end(version, 1, EPOCH + 1, &[2, 0]));
        assert_eq!(heard(&answer), (NONE, 1, EPOCH + 1));
        assert_eq!(h.state(), (RoleName::Follower, EPOCH + 1, Some(1), None));
        assert_eq!(h.node.election_timer(), h.now.plus(500));
    });
}

#[test]
fn an_observer_does_not_stand_for_it() {
    let mut h = State::ObserverFollower.reach();
    let answer = h.ask_at(0, end(0, 1, EPOCH, &[7]));
    assert_eq!(heard(&answer), (NONE, 1, EPOCH));
    h.pass(10_000);
    assert_eq!(h.node.role(), RoleName::Follower);
}

#[test]
fn who_has_another_leader_does_not_believe_it() {
    for state in [State::Follower, State::Leader, State::Resigned] {
        let mut h = state.reach();
        let timer = h.node.election_timer();
        let (_, outputs) = h.request(1, end(1, 2, EPOCH, &[0]).into());
        assert!(is_blamed(&outputs), "{state:?}");
        assert_eq!(
            (h.node.role(), h.node.election_timer()),
            (state.role(), timer)
        );
    }
}

/// The best successors come first: by what they have, then by their keys.
#[test]
fn who_resigns_tells_all_voters_until_they_know() {
    let mut h = State::Leader.reach_with(&[0, 1, 2, 3]);
    let epoch = h.node.epoch();
    for (id, offset) in [(2, END), (3, END + 1), (1, END)] {
        let last_epoch = if offset > END { epoch } else { LAST_EPOCH };
        h.request(17, fetch(key(id), epoch, offset, last_epoch, 0));
    }
    h.node.resign(h.now, epoch);
    let outputs = h.settle();
    assert_eq!(asked(&outputs), [(1, "end"), (2, "end"), (3, "end")]);
    let requests = calls(&outputs);
    at_each(0..=1, |version| {
        let Request::EndQuorumEpoch(request) = on_the_wire(version, &requests[0].2) else {
            panic!("not an end");
        };
        let news = &request.topics[0].partitions[0];
        assert_eq!((news.leader_id, news.leader_epoch), (0, epoch));
        let ids: Vec<i32> = if version == 0 {
            news.preferred_successors.iter().collect()
        } else {
            news.preferred_candidates
                .iter()
                .map(|c| c.candidate_id)
                .collect()
        };
        assert_eq!(ids, [3, 1, 2]);
    });
    h.answer(requests[0].0, ended(epoch, Some(0), NONE));
    h.node
        .handle_answer(h.now, requests[1].0, Err(CallError::Disconnected));
    h.settle();
    let busy = ended(epoch, Some(0), ErrorCode::BROKER_NOT_AVAILABLE);
    h.answer(requests[2].0, busy);
    assert_eq!(
        asked(&h.pass(20)),
        [(2, "end"), (3, "end")],
        "not node 1 again"
    );
}

#[test]
fn a_leader_that_starts_resigned_names_no_successors() {
    let mut h = Harness::with(config(0, &[0, 1, 2]), stored(EPOCH, Some(0), None));
    let outputs = h.settle();
    assert_eq!(asked(&outputs), [(1, "end"), (2, "end")]);
    let (_, _, Request::EndQuorumEpoch(request)) = calls(&outputs).remove(0) else {
        panic!("not an end");
    };
    let news = &request.topics[0].partitions[0];
    assert!(news.preferred_candidates.is_empty() && news.preferred_successors.is_empty());
}

#[test]
fn a_resigned_leader_learns_of_the_next_from_an_answer() {
    let mut h = Harness::with(config(0, &[0, 1, 2]), stored(EPOCH, Some(0), None));
    let outputs = h.settle();
    let (call, _, _) = calls(&outputs).remove(0);
    h.answer(
        call,
        ended(EPOCH + 1, Some(2), ErrorCode::FENCED_LEADER_EPOCH),
    );
    assert_eq!(h.state(), (RoleName::Follower, EPOCH + 1, Some(2), None));
}
