//! From which state to which, by what, and when.

use kwire_protocol::ErrorCode;

use super::harness::*;
use super::states::*;
use crate::config::Config;
use crate::control::Control;
use crate::node::{Event, RoleName};
use crate::types::{Instant, Recovered};
use crate::voters::{Endpoints, VoterSet};

const NONE: ErrorCode = ErrorCode::NONE;

/// The timers: what each state becomes when its own runs out and nobody answers.
#[test]
fn what_becomes_of_each_state_in_silence() {
    use RoleName::*;
    let table = [
        (State::Unattached, (Prospective, EPOCH, None, None)),
        (State::UnattachedVoted, (Prospective, EPOCH, None, Some(1))),
        (
            State::UnattachedLeader,
            (Prospective, EPOCH, Some(STRANGER), None),
        ),
        (State::Prospective, (Unattached, EPOCH, None, None)),
        (State::ProspectiveVoted, (Unattached, EPOCH, None, Some(1))),
        (State::ProspectiveLeader, (Follower, EPOCH, Some(1), None)),
        (State::Candidate, (Prospective, EPOCH, None, Some(0))),
        (State::Leader, (Resigned, EPOCH, Some(0), None)),
        (State::Follower, (Prospective, EPOCH, Some(1), None)),
        (State::FollowerFetched, (Prospective, EPOCH, Some(1), None)),
        // It waited for others: it asks at once.
        (State::Resigned, (Prospective, EPOCH + 1, None, None)),
    ];
    for (state, expected) in table {
        let mut h = state.reach();
        h.pass_election_timer();
        assert_eq!(h.state(), expected, "{state:?}");
    }
}

/// KAFKA-16526, KAFKA-17067: only voters stand.
#[test]
fn observers_never_stand() {
    for state in [State::ObserverUnattached, State::ObserverFollower] {
        let mut h = state.reach();
        let before = h.state();
        let outputs = h.pass(60_000);
        assert_eq!(h.state(), before);
        assert!(asked(&outputs).iter().all(|(_, what)| *what == "fetch"));
        assert!(asked(&outputs).len() > 10, "it keeps looking for a leader");
    }
}

/// KAFKA-17333, KAFKA-20514: it waits between its questions.
#[test]
fn nobody_is_asked_without_a_pause() {
    for state in State::ALL {
        let mut h = state.reach();
        for _ in 0..200 {
            let before = h.now;
            let outputs = h.time_out();
            for (call, _, _) in calls(&outputs) {
                h.node
                    .handle_answer(h.now, call, Err(crate::node::CallError::Disconnected));
                h.settle();
            }
            assert!(h.node.poll_timeout() > before, "{state:?}");
        }
        assert!(h.now > Instant(5_000), "{state:?}: {:?}", h.now);
    }
}

#[test]
fn a_higher_epoch_with_a_leader_makes_a_follower_of_every_state() {
    for state in State::ALL {
        let mut h = state.reach();
        let (_, outputs) = h.request(1, begin(1, EPOCH + 1).into());
        assert_eq!(h.state(), (RoleName::Follower, EPOCH + 1, Some(1), None));
        assert_eq!(saves(&outputs), [(EPOCH + 1, Some(1), None)], "{state:?}");
        let news = Event::Leader {
            epoch: EPOCH + 1,
            leader: Some(1),
        };
        assert_eq!(events(&outputs), [news], "{state:?}");
        assert_eq!(asked(&outputs), [(1, "fetch")], "{state:?}");
    }
}

#[test]
fn a_higher_epoch_without_a_leader_makes_every_state_unattached() {
    for state in State::ALL {
        let mut h = state.reach();
        let (_, outputs) = h.request(2, vote(1, EPOCH + 1, true).into());
        assert_eq!(h.state(), (RoleName::Unattached, EPOCH + 1, None, None));
        assert_eq!(saves(&outputs), [(EPOCH + 1, None, None)], "{state:?}");
    }
}

/// The leader of a higher epoch listens nobody knows where.
#[test]
fn a_leader_without_an_address_is_remembered_in_every_state() {
    for state in State::ALL {
        let mut h = state.reach();
        h.request(1, begin(STRANGER, EPOCH + 1).into());
        let expected = (RoleName::Unattached, EPOCH + 1, Some(STRANGER), None);
        assert_eq!(h.state(), expected, "{state:?}");
    }
}

#[test]
fn the_leader_of_the_same_epoch_is_followed_by_who_knows_none() {
    for state in State::ALL {
        let mut h = state.reach();
        let before = h.node.voted();
        let answer = h.ask_at(1, begin(2, EPOCH));
        match state.leader() {
            None => {
                assert_eq!(heard(&answer), (NONE, 2, EPOCH), "{state:?}");
                assert_eq!(h.node.role(), RoleName::Follower, "{state:?}");
                assert_eq!(h.node.voted(), before, "{state:?}: the vote stays");
            }
            Some(leader) => {
                let expected = (ErrorCode::INVALID_REQUEST, leader, EPOCH);
                assert_eq!(heard(&answer), expected, "{state:?}: two leaders");
                assert_eq!(h.node.role(), state.role(), "{state:?}");
            }
        }
    }
}

#[test]
fn a_new_epoch_keeps_the_election_timer() {
    let keeping = [
        State::Unattached,
        State::UnattachedVoted,
        State::UnattachedLeader,
        State::Prospective,
        State::ProspectiveLeader,
        State::Candidate,
        State::Resigned,
    ];
    for state in State::ALL {
        let mut h = state.reach();
        let until = h.node.election_timer();
        h.now = h.now.plus(300);
        h.request(2, vote(1, EPOCH + 1, true).into());
        let now_until = h.node.election_timer();
        if keeping.contains(&state) || state == State::ProspectiveVoted {
            assert_eq!(now_until, until, "{state:?}");
        } else if matches!(state, State::ObserverUnattached | State::ObserverFollower) {
            assert_eq!(now_until, Instant::NEVER, "{state:?}");
        } else {
            let (least, most) = (h.now.plus(1_000), h.now.plus(2_000));
            assert!((least..most).contains(&now_until), "{state:?}: drawn anew");
        }
    }
}

#[test]
fn the_election_timer_is_the_timeout_and_up_to_as_much_again() {
    let mut drawn = Vec::new();
    for seed in 0..100 {
        let h = Harness::with(
            Config {
                seed,
                ..config(0, &[0, 1, 2])
            },
            Recovered::default(),
        );
        drawn.push(h.node.election_timer().since(h.now));
    }
    assert!(
        drawn.iter().all(|ms| (1_000..2_000).contains(ms)),
        "{drawn:?}"
    );
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 50, "they differ: {drawn:?}");
}

#[test]
fn the_high_watermark_outlives_all_but_becoming_leader() {
    let (mut h, calls) = State::Follower.reach_asking(&[0, 1, 2]);
    let (call, _, _) = calls[0];
    let mut response = fetch_response(EPOCH, Some(1), NONE);
    response.responses[0].partitions[0].high_watermark = 7;
    h.answer(call, response);
    assert_eq!(h.node.high_watermark(), Some(7));
    h.request(2, vote(1, EPOCH + 1, true).into());
    assert_eq!(
        (h.node.role(), h.node.high_watermark()),
        (RoleName::Unattached, Some(7))
    );
    h.pass_election_timer();
    assert_eq!(
        (h.node.role(), h.node.high_watermark()),
        (RoleName::Prospective, Some(7))
    );
    h.request(1, begin(2, EPOCH + 1).into());
    assert_eq!(
        (h.node.role(), h.node.high_watermark()),
        (RoleName::Follower, Some(7))
    );
    // apache/kafka#21238: unknown at first.
    h.elect();
    assert_eq!(
        (h.node.role(), h.node.high_watermark()),
        (RoleName::Leader, None)
    );
    let (end, epoch) = (h.node.log_end().offset, h.node.epoch());
    h.request(17, fetch(key(1), epoch, end, epoch, 500));
    assert_eq!(h.node.high_watermark(), Some(END + 1));
    h.node.resign(h.now, epoch);
    h.settle();
    assert_eq!(
        (h.node.role(), h.node.high_watermark()),
        (RoleName::Resigned, None)
    );
}

/// A leader that commits nothing in its epoch leaves with what it knew before.
#[test]
fn a_leader_without_a_high_watermark_has_the_former_one_afterwards() {
    let (mut h, calls) = State::Follower.reach_asking(&[0, 1, 2]);
    let mut response = fetch_response(EPOCH, Some(1), NONE);
    response.responses[0].partitions[0].high_watermark = 7;
    h.answer(calls[0].0, response);
    h.elect_asking();
    assert_eq!(h.node.high_watermark(), None);
    h.request(1, begin(2, EPOCH + 2).into());
    assert_eq!(
        (h.node.role(), h.node.high_watermark()),
        (RoleName::Follower, Some(7))
    );
}

#[test]
fn a_candidate_with_a_majority_leads() {
    let (mut h, calls) = State::Candidate.reach_asking(&[0, 1, 2]);
    let (call, to, _) = calls[0];
    let outputs = h.answer(call, vote_response(EPOCH, None, true));
    assert_eq!(h.state(), (RoleName::Leader, EPOCH, Some(0), None));
    assert_eq!(saves(&outputs), [(EPOCH, Some(0), None)]);
    assert_eq!(h.node.epoch_start(), Some(END), "its first record");
    assert_eq!(h.node.log_end().offset, END + 1);
    assert_eq!(
        asked(&outputs),
        [(1, "begin"), (2, "begin")],
        "also {to}, which voted"
    );
}

#[test]
fn a_candidate_that_lost_waits_for_the_end_of_its_timer() {
    let (mut h, calls) = State::Candidate.reach_asking(&[0, 1, 2]);
    let until = h.node.election_timer();
    for (call, _, _) in calls {
        h.answer(call, vote_response(EPOCH, None, false));
    }
    assert_eq!(h.node.role(), RoleName::Candidate);
    assert_eq!(h.node.poll_timeout(), until, "and asks nobody");
    h.time_out();
    assert_eq!(h.node.role(), RoleName::Prospective);
}

#[test]
fn the_first_answer_of_a_voter_is_what_counts_for_a_candidate() {
    let mut h = Harness::with(config(0, &[0, 1, 2]), stored(EPOCH, None, Some(key(0))));
    let outputs = h.settle();
    let calls = calls(&outputs);
    h.answer(calls[0].0, vote_response(EPOCH, None, false));
    h.answer(calls[0].0, vote_response(EPOCH, None, true));
    assert_eq!(h.node.role(), RoleName::Candidate);
    h.answer(calls[1].0, vote_response(EPOCH, None, true));
    assert_eq!(h.node.role(), RoleName::Leader);
}

#[test]
fn majorities_of_each_size() {
    for (size, needed) in [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
        let ids: Vec<i32> = (0..size).collect();
        let mut h = Harness::with(config(0, &ids), stored(EPOCH, None, Some(key(0))));
        let outputs = h.settle();
        for (granted, (call, _, _)) in (1..).zip(calls(&outputs)) {
            assert_eq!(h.node.role(), RoleName::Candidate, "{granted} of {size}");
            h.answer(call, vote_response(EPOCH, None, true));
            if granted == needed {
                break;
            }
        }
        assert_eq!(h.node.role(), RoleName::Leader, "{needed} of {size}");
    }
}

#[test]
fn a_candidate_that_is_no_voter_any_more_gives_up() {
    let mut recovered = stored(EPOCH, None, Some(key(0)));
    let voters: VoterSet = [voter(1), voter(2)].into_iter().collect();
    recovered.controls = vec![(1, Control::KRaftVersion(1)), (2, Control::Voters(voters))];
    let mut h = Harness::with(config(0, &[0, 1, 2]), recovered);
    h.settle();
    assert_eq!(h.node.role(), RoleName::Candidate);
    h.pass_election_timer();
    assert_eq!(h.state(), (RoleName::Unattached, EPOCH, None, Some(0)));
    h.pass(10_000);
    assert_eq!(h.node.role(), RoleName::Unattached);
}

#[test]
fn who_becomes_a_voter_starts_its_election_timer() {
    let mut h = State::ObserverUnattached.reach();
    assert_eq!(h.node.election_timer(), Instant::NEVER);
    h.node.membership.add(4, Control::KRaftVersion(1));
    let voters = [voter(1), voter(7)].into_iter().collect();
    h.node.membership.add(5, Control::Voters(voters));
    h.node.handle_timeout(h.now);
    h.settle();
    assert!(h.node.election_timer() < h.now.plus(2_000));
}

/// The fetch timer: an answer of the leader puts it off, and nothing else does.
#[test]
fn only_answers_of_the_leader_keep_a_follower() {
    let (mut h, mut calls) = State::Follower.reach_asking(&[0, 1, 2]);
    h.node.config.endpoints = Endpoints::EMPTY; // It has nothing to tell its leader.
    for _ in 0..5 {
        h.now = h.now.plus(1_500);
        let (call, _, _) = calls.remove(0);
        let outputs = h.answer(call, fetch_response(EPOCH, Some(1), NONE));
        assert_eq!(h.node.election_timer(), h.now.plus(2_000));
        calls = super::harness::calls(&outputs);
    }
    let until = h.node.election_timer();
    for error in [
        ErrorCode::BROKER_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
    ] {
        let (call, _, _) = calls.remove(0);
        h.answer(call, fetch_response(EPOCH, Some(1), error));
        calls = super::harness::calls(&h.pass(20));
        assert_eq!(h.node.election_timer(), until, "{error:?}");
    }
    h.ask_at(1, begin(1, EPOCH));
    h.ask_at(2, vote(2, EPOCH, false));
    assert_eq!(h.node.election_timer(), until);
}

/// A fetch in the epoch of an election that has no outcome yet, as from who looks for its leader.
#[test]
fn who_does_not_lead_names_the_leader_if_it_knows_one() {
    for state in State::ALL
        .into_iter()
        .filter(|state| *state != State::Leader)
    {
        for (epoch, expected) in [
            (EPOCH - 1, ErrorCode::FENCED_LEADER_EPOCH),
            (EPOCH, ErrorCode::NOT_LEADER_OR_FOLLOWER),
            (EPOCH + 1, ErrorCode::UNKNOWN_LEADER_EPOCH),
        ] {
            let mut h = state.reach();
            let answer = h.ask(17, fetch(key(2), epoch, 0, 0, 500));
            assert_eq!(fetch_error(&answer), expected, "{state:?}");
            let crate::message::Response::Fetch(answer) = answer else {
                panic!("not a fetch");
            };
            let named = &answer.responses[0].partitions[0].current_leader;
            let leader = state.leader().unwrap_or(-1);
            assert_eq!((named.leader_id, named.leader_epoch), (leader, EPOCH));
            assert_eq!((h.node.role(), h.node.epoch()), (state.role(), EPOCH));
        }
    }
}
