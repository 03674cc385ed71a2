//! Stopping gracefully.

use kwire_protocol::ErrorCode;

use super::harness::*;
use super::messages::at_each;
use super::states::*;
use crate::control::Control;
use crate::node::{Event, Output, RoleName};
use crate::types::Instant;

/// Whether a shutdown is over with these outputs, and whether it was in time.
fn over(outputs: &[Output]) -> Option<bool> {
    events(outputs).into_iter().find_map(|event| match event {
        Event::ShutdownComplete { in_time } => Some(in_time),
        _ => None,
    })
}

fn shut_down(h: &mut Harness) -> Vec<Output> {
    h.node.shut_down(h.now, 5_000);
    h.settle()
}

#[test]
fn who_has_nothing_to_hand_over_is_done_at_once() {
    for state in State::ALL {
        let mut h = state.reach();
        let outputs = shut_down(&mut h);
        let waits = matches!(
            state,
            State::Leader
                | State::Resigned
                | State::Candidate
                | State::Prospective
                | State::ProspectiveVoted
                | State::ProspectiveLeader
        );
        let expected = (!waits).then_some(true);
        assert_eq!(over(&outputs), expected, "{state:?}");
        assert!(h.node.is_shutting_down());
    }
}

#[test]
fn a_lone_voter_is_done_at_once() {
    let mut h = Harness::with(config(0, &[0]), stored(EPOCH, None, None));
    h.settle();
    assert_eq!(over(&shut_down(&mut h)), Some(true));
    assert_eq!(h.node.role(), RoleName::Resigned);
    assert_eq!(over(&h.pass(10_000)), None, "said once");
    assert_eq!(h.node.role(), RoleName::Resigned, "and no new election");
}

#[test]
fn a_leader_resigns_and_waits_for_the_next_election() {
    let mut h = State::Leader.reach();
    let outputs = shut_down(&mut h);
    assert_eq!(h.state(), (RoleName::Resigned, EPOCH, Some(0), None));
    assert_eq!(asked(&outputs), [(1, "end"), (2, "end")]);
    assert_eq!(over(&outputs), None);
    assert_eq!(
        over(&h.pass(3_000)),
        None,
        "its own timer is none of the others'"
    );
    assert_eq!((h.node.role(), h.node.epoch()), (RoleName::Resigned, EPOCH));
    let end = h.node.log_end();
    let request = vote_with(1, EPOCH + 1, false, |_, ask| {
        (ask.last_offset, ask.last_offset_epoch) = (end.offset, end.epoch);
    });
    let (token, outputs) = h.request(2, request.into());
    let answer = reply_to(token, &outputs).expect("an answer");
    assert!(voted(&answer).3, "it votes while it shuts down");
    assert_eq!(over(&outputs), Some(true));
}

#[test]
fn a_leader_keeps_telling_until_it_is_known() {
    let mut h = State::Leader.reach();
    let outputs = shut_down(&mut h);
    let calls = calls(&outputs);
    h.answer(calls[0].0, ended(EPOCH, Some(0), ErrorCode::NONE));
    let error = crate::node::CallError::Disconnected;
    h.node.handle_answer(h.now, calls[1].0, Err(error));
    h.settle();
    assert_eq!(asked(&h.pass(20)), [(2, "end")]);
    let (_, outputs) = h.request(1, begin(2, EPOCH + 1).into());
    assert_eq!(over(&outputs), Some(true));
    assert_eq!(h.node.role(), RoleName::Follower);
}

#[test]
fn a_leader_gives_up_when_its_time_is_over() {
    let mut h = State::Leader.reach();
    shut_down(&mut h);
    assert_eq!(over(&h.pass(4_999)), None);
    assert_eq!(over(&h.pass(1)), Some(false));
    assert_eq!(over(&h.pass(60_000)), None, "once");
    assert_eq!(h.node.epoch(), EPOCH);
}

#[test]
fn who_stands_waits_for_the_outcome() {
    let (mut h, calls) = State::Candidate.reach_asking(&[0, 1, 2]);
    assert_eq!(over(&shut_down(&mut h)), None);
    let outputs = h.answer(calls[0].0, vote_response(EPOCH, Some(2), false));
    assert_eq!(over(&outputs), Some(true), "there is a leader");

    let mut h = State::Candidate.reach();
    shut_down(&mut h);
    let outputs = h.pass_election_timer();
    assert_eq!(
        h.state(),
        (RoleName::Unattached, EPOCH, None, Some(0)),
        "not again"
    );
    assert_eq!(over(&outputs), Some(true));

    let mut h = State::ProspectiveLeader.reach();
    shut_down(&mut h);
    let outputs = h.pass_election_timer();
    assert_eq!(h.node.role(), RoleName::Follower);
    assert_eq!(over(&outputs), Some(true));
}

#[test]
fn nobody_stands_who_shuts_down() {
    for state in [State::Unattached, State::FollowerFetched] {
        let mut h = state.reach();
        shut_down(&mut h);
        for _ in 0..50 {
            let before = h.node.poll_timeout();
            if before == Instant::NEVER {
                break;
            }
            h.time_out();
        }
        assert_eq!((h.node.role(), h.node.epoch()), (state.role(), EPOCH));
    }
}

#[test]
fn who_wins_while_it_shuts_down_resigns() {
    let (mut h, calls) = State::Candidate.reach_asking(&[0, 1, 2]);
    shut_down(&mut h);
    let outputs = h.answer(calls[0].0, vote_response(EPOCH, None, true));
    assert_eq!(h.state(), (RoleName::Resigned, EPOCH, Some(0), None));
    assert_eq!(asked(&outputs), [(1, "end"), (2, "end")]);
    assert_eq!(over(&outputs), None);
    let (_, outputs) = h.request(1, begin(2, EPOCH + 1).into());
    assert_eq!(over(&outputs), Some(true));
}

#[test]
fn requests_to_the_leader_are_refused_and_votes_are_not() {
    let mut h = State::Leader.reach();
    shut_down(&mut h);
    let (token, outputs) = h.request(17, fetch(key(1), EPOCH, END, LAST_EPOCH, 500));
    let answer = reply_to(token, &outputs).expect("an answer");
    // It resigned: that is checked before its shutdown.
    assert_eq!(fetch_error(&answer), ErrorCode::NOT_LEADER_OR_FOLLOWER);

    let mut h = State::Unattached.reach();
    shut_down(&mut h);
    at_each(0..=2, |version| {
        let mut h = State::Unattached.reach();
        shut_down(&mut h);
        assert!(voted(&h.ask_at(version, vote(1, EPOCH, false))).3);
    });
    assert!(voted(&h.ask_at(2, vote(1, EPOCH, true))).3);
}

#[test]
fn who_was_removed_from_the_voters_keeps_nobody_waiting() {
    let mut h = State::Leader.reach();
    let others = [voter(1), voter(2)].into_iter().collect();
    let change = crate::control::NewControl::Control(Control::Voters(others));
    h.node.append_controls(&[change]);
    h.settle();
    let outputs = shut_down(&mut h);
    assert_eq!(over(&outputs), Some(true));
    assert_eq!(
        asked(&outputs),
        [(1, "end"), (2, "end")],
        "it says so all the same"
    );
}

#[test]
fn a_second_shutdown_changes_nothing() {
    let mut h = State::Leader.reach();
    shut_down(&mut h);
    h.pass(3_000);
    h.node.shut_down(h.now, 60_000);
    h.settle();
    assert_eq!(
        over(&h.pass(2_000)),
        Some(false),
        "the first one's time counts"
    );
}

#[test]
fn a_leader_does_not_wait_for_voters_that_are_all_gone() {
    let mut h = State::Leader.reach();
    let outputs = shut_down(&mut h);
    let calls = calls(&outputs);
    let refused = crate::node::CallError::Refused;
    h.node.handle_answer(h.now, calls[0].0, Err(refused));
    assert_eq!(over(&h.settle()), None, "the other one may take over");
    h.node.handle_answer(h.now, calls[1].0, Err(refused));
    assert_eq!(over(&h.settle()), Some(true));
}
