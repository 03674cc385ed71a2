//! A leader whose address refuses connections.

use kwire_protocol::ErrorCode;

use super::harness::*;
use super::states::*;
use crate::config::Config;
use crate::node::{CallError, Output, RoleName};
use crate::types::NodeId;

const NONE: ErrorCode = ErrorCode::NONE;

/// A node that fetched from node 1, which then refuses the next fetch.
fn refused_with(config: Config) -> (Harness, Vec<Output>) {
    let mut h = Harness::with(config, stored(EPOCH, Some(1), None));
    let outputs = h.settle();
    let (call, _, _) = calls(&outputs).remove(0);
    let outputs = h.answer(call, fetch_response(EPOCH, Some(1), NONE));
    let (call, to, _) = calls(&outputs).remove(0);
    assert_eq!((to, asked(&outputs)[0].1), (1, "fetch"));
    h.node.handle_answer(h.now, call, Err(CallError::Refused));
    let outputs = h.settle();
    (h, outputs)
}

fn refused(id: NodeId) -> (Harness, Vec<Output>) {
    refused_with(config(id, &[0, 1, 2]))
}

#[test]
fn the_first_follower_asks_for_pre_votes_at_once_and_wins_with_one() {
    let (mut h, outputs) = refused(0);
    assert_eq!(h.state(), (RoleName::Prospective, EPOCH, Some(1), None));
    let pre_vote = calls(&outputs)
        .into_iter()
        .find(|(_, to, _)| *to == 2)
        .expect("the other follower is asked");
    let outputs = h.answer(pre_vote.0, vote_response(EPOCH, Some(1), true));
    assert_eq!(h.node.role(), RoleName::Candidate);
    assert!(asked(&outputs).contains(&(2, "vote")));
}

#[test]
fn the_second_follower_gives_the_first_some_time_and_its_pre_vote() {
    let (mut h, _) = refused(2);
    assert_eq!(h.node.role(), RoleName::Follower);
    assert!(voted(&h.ask_at(2, vote(0, EPOCH, true))).3);
    h.pass(49);
    assert_eq!(h.node.role(), RoleName::Follower);
    h.pass(1);
    assert_eq!(h.node.role(), RoleName::Prospective);
}

#[test]
fn a_leader_that_answers_again_is_not_given_up() {
    let (mut h, _) = refused(2);
    let outputs = h.pass(20);
    let (call, _, _) = calls(&outputs).remove(0);
    h.answer(call, fetch_response(EPOCH, Some(1), NONE));
    h.pass(200);
    assert_eq!(h.node.role(), RoleName::Follower);
    assert!(!voted(&h.ask_at(2, vote(0, EPOCH, true))).3);
}

/// The leader is well, and only this node cannot reach it: it loses nothing, and hears of it rarely.
#[test]
fn a_pre_vote_that_others_refuse_ends_soon_and_is_not_repeated_for_a_while() {
    let (mut h, outputs) = refused(0);
    let began = h.now;
    for (call, to, _) in calls(&outputs) {
        if to == 2 {
            h.answer(call, vote_response(EPOCH, Some(1), false));
        }
    }
    for (call, ..) in calls(&h.pass(250)) {
        h.node.handle_answer(h.now, call, Err(CallError::Refused));
    }
    h.settle();
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(1), None));
    let mut asked_again_at = None;
    while asked_again_at.is_none() {
        let outputs = h.time_out();
        let asks = asked(&outputs).iter().any(|(_, what)| *what == "pre-vote");
        asked_again_at = asks.then_some(h.now);
        for (call, ..) in calls(&outputs) {
            h.node.handle_answer(h.now, call, Err(CallError::Refused));
        }
        h.settle();
    }
    assert_eq!(asked_again_at, Some(began.plus(1_000)));
    assert_eq!(h.node.epoch(), EPOCH);
}

/// Who knows no pre-votes cannot say that the leader is well.
#[test]
fn a_peer_without_pre_votes_is_no_reason_for_an_epoch() {
    let (mut h, outputs) = refused(0);
    for (call, to, _) in calls(&outputs) {
        let error = if to == 2 {
            CallError::UnsupportedVersion
        } else {
            CallError::Refused
        };
        h.node.handle_answer(h.now, call, Err(error));
    }
    h.settle();
    assert_ne!(h.node.role(), RoleName::Candidate);
    assert_eq!(h.node.epoch(), EPOCH);
}

#[test]
fn a_connection_that_ends_or_a_setting_leaves_it_to_the_timer() {
    let (mut h, _) = refused_with(Config {
        stands_when_refused: false,
        ..config(0, &[0, 1, 2])
    });
    h.pass(1_000);
    assert_eq!(h.node.role(), RoleName::Follower);
    assert!(!voted(&h.ask_at(2, vote(2, EPOCH, true))).3);
}

#[test]
fn an_observer_does_not_stand() {
    let (mut h, _) = refused(7);
    h.pass(500);
    assert_eq!(h.node.role(), RoleName::Follower);
}

#[test]
fn another_node_that_refuses_means_nothing() {
    let mut h = State::FollowerFetched.reach();
    h.node.refused_by(2);
    h.pass(500);
    assert_eq!(h.node.role(), RoleName::Follower);
}
