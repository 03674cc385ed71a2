//! Pre-votes, and what a prospective node does with them (KIP-996). The votes that others get are
//! with [`super::votes`].

use kwire_protocol::ErrorCode;

use super::harness::*;
use super::messages::{at_each, on_the_wire};
use super::states::*;
use crate::message::Request;
use crate::node::{CallError, CallId, Output, Role, RoleName};

const NONE: ErrorCode = ErrorCode::NONE;

/// A node that just became prospective, and its calls to nodes 1 and 2.
fn prospective(state: State) -> (Harness, CallId, CallId) {
    let mut h = state.reach();
    let outputs = h.pass_election_timer();
    assert_eq!(h.node.role(), RoleName::Prospective);
    let pre_votes: Vec<_> = asked(&outputs)
        .into_iter()
        .filter(|(_, what)| *what == "pre-vote")
        .collect();
    assert_eq!(pre_votes, [(1, "pre-vote"), (2, "pre-vote")]);
    let calls = calls(&outputs);
    (h, calls[calls.len() - 2].0, calls[calls.len() - 1].0)
}

#[test]
fn it_asks_in_the_present_epoch() {
    let mut h = State::Unattached.reach();
    let outputs = h.pass_election_timer();
    for (_, to, request) in calls(&outputs) {
        let Request::Vote(request) = on_the_wire(2, &request) else {
            panic!("not a vote");
        };
        assert_eq!(request.cluster_id.as_deref(), Some("cluster"));
        assert_eq!(request.voter_id, to, "never -1: Kafka refuses that");
        let ask = &request.topics[0].partitions[0];
        assert!(ask.pre_vote);
        assert_eq!((ask.replica_id, ask.replica_epoch), (0, EPOCH));
        assert_eq!(ask.replica_directory_id, directory(0));
        assert_eq!((ask.last_offset, ask.last_offset_epoch), (END, LAST_EPOCH));
    }
}

/// KAFKA-17641, KAFKA-17642.
#[test]
fn a_majority_makes_a_candidate_of_the_next_epoch() {
    let (mut h, one, _) = prospective(State::Unattached);
    let outputs = h.answer(one, vote_response(EPOCH, None, true));
    let expected = (RoleName::Candidate, EPOCH + 1, None, Some(0));
    assert_eq!(h.state(), expected);
    assert_eq!(saves(&outputs), [(EPOCH + 1, None, Some(0))]);
    assert_eq!(asked(&outputs), [(1, "vote"), (2, "vote")]);
    let (_, to, request) = calls(&outputs).remove(0);
    at_each(0..=2, |version| {
        let Request::Vote(request) = on_the_wire(version, &request) else {
            panic!("not a vote");
        };
        let ask = &request.topics[0].partitions[0];
        assert_eq!((ask.replica_id, ask.replica_epoch), (0, EPOCH + 1));
        assert_eq!(request.voter_id, if version == 0 { -1 } else { to });
        assert!(!ask.pre_vote);
    });
}

#[test]
fn a_candidates_requests_wait_for_its_save() {
    let (mut h, one, _) = prospective(State::Unattached);
    let response = vote_response(EPOCH, None, true);
    h.node.handle_answer(h.now, one, Ok(response.into()));
    let outputs = h.drain();
    let saved = outputs.iter().find_map(|output| match output {
        Output::Disk { id, .. } => Some(*id),
        _ => None,
    });
    let gates = outputs.iter().filter_map(|output| match output {
        Output::Send { after, .. } => Some(*after),
        _ => None,
    });
    assert!(saved.is_some());
    assert_eq!(gates.collect::<Vec<_>>(), [saved, saved]);
}

#[test]
fn one_of_three_is_no_majority() {
    let (mut h, one, _) = prospective(State::Unattached);
    h.answer(one, vote_response(EPOCH, None, false));
    assert_eq!(
        h.node.role(),
        RoleName::Prospective,
        "node 2 may still agree"
    );
}

#[test]
fn a_lost_pre_vote_ends_at_once_without_a_known_leader() {
    for state in [State::Unattached, State::UnattachedLeader] {
        let (mut h, one, two) = prospective(state);
        h.answer(one, vote_response(EPOCH, None, false));
        h.answer(two, vote_response(EPOCH, None, false));
        assert_eq!(
            h.state(),
            (RoleName::Unattached, EPOCH, state.leader(), None)
        );
        assert!(
            h.node.election_timer() >= h.now.plus(1_000),
            "and waits anew"
        );
    }
}

/// KAFKA-16164 and its ping-pong: back to the leader that it had.
#[test]
fn a_lost_pre_vote_ends_at_once_with_the_leader_it_had() {
    let (mut h, one, two) = prospective(State::FollowerFetched);
    h.answer(one, vote_response(EPOCH, Some(1), false));
    let outputs = h.answer(two, vote_response(EPOCH, Some(1), false));
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(1), None));
    assert_eq!(saves(&outputs), []);
    assert_eq!(asked(&outputs), [(1, "fetch")]);
    // It did not fetch since, so it would vote for others.
    assert!(voted(&h.ask_at(2, vote(2, EPOCH, true))).3);
}

#[test]
fn a_pre_vote_without_answers_ends_with_its_timer() {
    let (mut h, _, _) = prospective(State::Unattached);
    h.pass_election_timer();
    assert_eq!(h.state(), (RoleName::Unattached, EPOCH, None, None));
    let (mut h, _, _) = prospective(State::Follower);
    h.pass_election_timer();
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(1), None));
}

#[test]
fn a_later_answer_of_the_same_node_replaces_the_earlier() {
    let (mut h, one, _) = prospective(State::Unattached);
    h.answer(one, vote_response(EPOCH, None, false));
    let Role::Prospective(election) = &mut h.node.role else {
        panic!("it asks");
    };
    election.record(1, true);
    assert!(election.is_won(h.node.membership.voters()));
}

#[test]
fn a_peer_without_pre_votes_leads_to_an_election_at_once() {
    let (mut h, one, _) = prospective(State::Unattached);
    h.node
        .handle_answer(h.now, one, Err(CallError::UnsupportedVersion));
    let outputs = h.settle();
    assert_eq!(h.state(), (RoleName::Candidate, EPOCH + 1, None, Some(0)));
    assert_eq!(asked(&outputs), [(1, "vote"), (2, "vote")]);

    let (mut h, one, _) = prospective(State::Unattached);
    let mut response = vote_response(EPOCH, None, false);
    response.topics.clear();
    response.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
    let outputs = h.answer(one, response);
    assert_eq!(h.node.role(), RoleName::Candidate);
    assert!(!is_blamed(&outputs));

    let (mut h, one, _) = prospective(State::Unattached);
    h.node
        .handle_answer(h.now, one, Err(CallError::Disconnected));
    assert_eq!(
        h.node.role(),
        RoleName::Prospective,
        "not for other reasons"
    );
}

#[test]
fn a_pre_vote_request_cannot_be_said_before_version_2() {
    let request = Request::Vote(vote(1, EPOCH, true));
    for version in 0..=1 {
        assert!(request.encode(version, &mut Vec::new()).is_err());
    }
}

#[test]
fn a_silent_peer_is_asked_again_while_the_outcome_is_open() {
    let (mut h, one, _) = prospective(State::Unattached);
    h.node
        .handle_answer(h.now, one, Err(CallError::Disconnected));
    assert_eq!(asked(&h.settle()), []);
    assert_eq!(asked(&h.pass(19)), [], "not during the pause");
    assert_eq!(asked(&h.pass(1)), [(1, "pre-vote")]);
}

/// KAFKA-20895: two that ask each other, of which none loses its time.
#[test]
fn two_prospectives_grant_each_other() {
    let (mut h, one, _) = prospective(State::Unattached);
    assert!(voted(&h.ask_at(2, vote(1, EPOCH, true))).3);
    assert_eq!(h.node.role(), RoleName::Prospective);
    h.answer(one, vote_response(EPOCH, None, true));
    assert_eq!(h.node.role(), RoleName::Candidate);
    // The other one asks for its epoch, in which the node itself stands.
    assert!(!voted(&h.ask_at(2, vote(1, EPOCH + 1, false))).3);
    assert!(voted(&h.ask_at(2, vote(2, EPOCH + 1, true))).3);
}

#[test]
fn answers_do_not_count_after_it_became_a_follower() {
    let (mut h, one, two) = prospective(State::Unattached);
    h.request(1, begin(2, EPOCH).into());
    let state = h.state();
    assert_eq!(state, (RoleName::Follower, EPOCH, Some(2), None));
    for call in [one, two] {
        let outputs = h.answer(call, vote_response(EPOCH, None, true));
        assert_eq!((outputs, h.state()), (vec![], state));
    }
}

#[test]
fn a_begin_of_another_epoch_ends_it() {
    let (mut h, _, _) = prospective(State::Follower);
    let answer = h.ask_at(1, begin(2, EPOCH + 1));
    assert_eq!(heard(&answer), (NONE, 2, EPOCH + 1));
    assert_eq!(h.node.role(), RoleName::Follower);
    // That of the leader that it is not sure of does not.
    let (mut h, _, _) = prospective(State::Follower);
    let answer = h.ask_at(1, begin(1, EPOCH));
    assert_eq!(heard(&answer), (NONE, 1, EPOCH));
    assert_eq!(h.node.role(), RoleName::Prospective);
}

#[test]
fn an_answer_with_a_higher_epoch_ends_it() {
    let (mut h, one, _) = prospective(State::Unattached);
    h.answer(one, vote_response(EPOCH + 2, None, false));
    assert_eq!(h.state(), (RoleName::Unattached, EPOCH + 2, None, None));
    let (mut h, one, _) = prospective(State::Unattached);
    h.answer(one, vote_response(EPOCH + 2, Some(2), false));
    assert_eq!(h.state(), (RoleName::Follower, EPOCH + 2, Some(2), None));
}

#[test]
fn an_answer_that_names_the_leader_of_the_epoch_ends_it() {
    let (mut h, one, _) = prospective(State::Unattached);
    h.answer(one, vote_response(EPOCH, Some(2), false));
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(2), None));
}
