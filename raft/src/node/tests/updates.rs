//! UpdateRaftVoter on both sides, and voters that join by themselves.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::UpdateRaftVoterResponse;

use super::harness::{Harness, calls, config, directory, disk_ops, voter};
use super::messages::*;
use crate::config::Config;
use crate::control::Control;
use crate::message::{Request, Response};
use crate::node::{CallId, Event, Output, RoleName};
use crate::types::{Recovered, Uuid};

fn asked(
    h: &mut Harness,
    request: kwire_protocol::messages::UpdateRaftVoterRequest<'static>,
) -> UpdateRaftVoterResponse<'static> {
    match h.ask_at(0, request) {
        Response::UpdateRaftVoter(response) => response,
        other => panic!("{other:?}"),
    }
}

fn error(
    h: &mut Harness,
    request: kwire_protocol::messages::UpdateRaftVoterRequest<'static>,
) -> ErrorCode {
    ErrorCode(asked(h, request).error_code)
}

#[test]
fn a_voter_that_moved_is_written_and_answered_at_once() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let epoch = h.node.epoch();
    let mut moved = update(1, epoch, (0, 1));
    moved.listeners[0].port = 7;
    let answer = asked(&mut h, moved.clone());
    assert_eq!(ErrorCode(answer.error_code), ErrorCode::NONE);
    let leader = &answer.current_leader;
    assert_eq!((leader.leader_id, leader.leader_epoch), (0, epoch));
    assert_eq!((&*leader.host, leader.port), ("localhost", 9_000));
    let address = h.node.voters().address(1, "CONTROLLER");
    assert_eq!(address.map(|a| a.port), Some(7));
    // Not committed yet.
    assert_eq!(error(&mut h, moved.clone()), ErrorCode::REQUEST_TIMED_OUT);
    h.caught_up(&[1, 2]);
    let end = h.node.log_end();
    assert_eq!(error(&mut h, moved), ErrorCode::NONE);
    assert_eq!(h.node.log_end(), end, "nothing new");
}

#[test]
fn update_is_refused_for_these_reasons_in_this_order() {
    let (mut follower, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
    let mut other = update(1, 4, (0, 1));
    other.cluster_id = Some("other".into());
    let found = error(&mut follower, other);
    assert_eq!(found, ErrorCode::INCONSISTENT_CLUSTER_ID);
    let mut found = |epoch| asked(&mut follower, update(-1, epoch, (0, 1)));
    let codes = [4, 5, 6].map(|epoch| ErrorCode(found(epoch).error_code));
    let expected = [
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
    ];
    assert_eq!(codes, expected);
    let leader = found(5).current_leader;
    assert_eq!((leader.leader_id, leader.leader_epoch), (1, 5));
    assert_eq!(leader.port, 9_001);

    let mut h = elected(config(0, &[]), formatted(&[0, 1, 2]));
    let epoch = h.node.epoch();
    let good = |id| update(id, epoch, (0, 1));
    let mut directoryless = good(1);
    directoryless.voter_directory_id = Uuid::ZERO;
    let mut unreachable = good(1);
    unreachable.listeners.clear();
    for request in [
        good(-1),
        directoryless,
        unreachable,
        update(1, epoch, (-1, 1)),
        update(1, epoch, (1, 0)),
        update(1, epoch, (-2, -1)),
    ] {
        assert_eq!(error(&mut h, request), ErrorCode::INVALID_REQUEST);
    }
    let uncommitted = error(&mut h, update(9, epoch, (0, 0)));
    assert_eq!(uncommitted, ErrorCode::REQUEST_TIMED_OUT);
    h.caught_up(&[1, 2]);
    let excluded = error(&mut h, update(9, epoch, (0, 0)));
    assert_eq!(excluded, ErrorCode::INVALID_REQUEST);
    assert_eq!(error(&mut h, good(9)), ErrorCode::VOTER_NOT_FOUND);
    let mut directory_of = good(2);
    directory_of.voter_directory_id = directory(9);
    assert_eq!(error(&mut h, directory_of), ErrorCode::VOTER_NOT_FOUND);
    assert_eq!(h.node.log_end().offset, 3);
}

#[test]
fn under_static_voters_it_is_remembered_only() {
    let mut h = static_leader(&[0, 1, 2]);
    h.caught_up(&[1, 2]);
    let epoch = h.node.epoch();
    assert_eq!(error(&mut h, update(1, epoch, (0, 1))), ErrorCode::NONE);
    assert_eq!(h.node.log_end().offset, 1);
    let found = error(&mut h, update(9, epoch, (0, 1)));
    assert_eq!(found, ErrorCode::VOTER_NOT_FOUND);
}

/// KAFKA-15489's check.
#[test]
fn who_updates_follows() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let epoch = h.node.epoch();
    for _ in 0..6 {
        h.wait(1_000);
        h.caught_up(&[]);
        error(&mut h, update(1, epoch, (0, 1)));
        assert_eq!(h.node.role(), RoleName::Leader);
    }
}

/// A node that follows node 1 in epoch 5, and what it waits for.
struct Talk {
    h: Harness,
    open: Vec<(CallId, Request)>,
}

fn follower(config: Config, disk: Recovered) -> Talk {
    let (h, call, fetch) = following(config, disk, 1, 5);
    let open = vec![(call, fetch.into())];
    Talk { h, open }
}

impl Talk {
    /// What it asks the leader for other than records in some seconds. The leader takes a tenth of
    /// a second for each answer.
    fn asks(&mut self, seconds: u64, answer: impl Fn(&Request) -> Response) -> Vec<Request> {
        let mut asked = Vec::new();
        for _ in 0..seconds * 10 {
            let open = std::mem::take(&mut self.open);
            let outputs = self.h.wait(100);
            self.note(&outputs);
            for (call, request) in open {
                let response = if is_fetch(&request) {
                    fetched(1, 5, |_| ()).into()
                } else {
                    let response = answer(&request);
                    asked.push(request);
                    response
                };
                let outputs = self.h.answer(call, response);
                self.note(&outputs);
            }
        }
        asked
    }

    fn note(&mut self, outputs: &[Output]) {
        let calls = calls(outputs).into_iter();
        self.open
            .extend(calls.map(|(call, _, request)| (call, request)));
    }
}

fn updated(error: ErrorCode) -> Response {
    let mut response = UpdateRaftVoterResponse {
        error_code: error.0,
        ..Default::default()
    };
    response.current_leader.leader_id = 1;
    response.current_leader.leader_epoch = 5;
    response.into()
}

#[test]
fn a_static_voter_says_once_to_each_leader_what_it_is() {
    let mut h = follower(config(0, &[0, 1, 2]), Recovered::default());
    let asked = h.asks(10, |_| updated(ErrorCode::NONE));
    let [Request::UpdateRaftVoter(update)] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!((update.voter_id, update.current_leader_epoch), (0, 5));
    assert_eq!(update.voter_directory_id, directory(0));
    let range = &update.kraft_version_feature;
    assert_eq!(
        (range.min_supported_version, range.max_supported_version),
        (0, 1)
    );
    assert_eq!(update.listeners[0].port, 9_000);
}

#[test]
fn it_is_said_again_each_fetch_timeout_until_it_is_taken() {
    let mut h = follower(config(0, &[0, 1, 2]), Recovered::default());
    let asked = h.asks(10, |_| updated(ErrorCode::REQUEST_TIMED_OUT));
    assert!((4..=5).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn a_voter_of_the_log_says_where_it_moved_until_the_log_says_so() {
    let mut moved = config(0, &[]);
    moved.endpoints = super::harness::endpoints(50);
    let mut h = follower(moved, formatted(&[0, 1, 2]));
    let asked = h.asks(10, |_| updated(ErrorCode::NONE));
    assert!((4..=5).contains(&asked.len()), "{}", asked.len());
    let mut same = follower(config(0, &[]), formatted(&[0, 1, 2]));
    let asked = same.asks(10, |_| updated(ErrorCode::NONE));
    assert_eq!(asked, [], "nothing to say");
}

#[test]
fn the_answer_to_an_update_may_name_another_leader() {
    let mut h = follower(config(0, &[0, 1, 2]), Recovered::default());
    h.asks(10, |_| {
        let mut response = UpdateRaftVoterResponse {
            error_code: ErrorCode::FENCED_LEADER_EPOCH.0,
            ..Default::default()
        };
        response.current_leader.leader_id = 2;
        response.current_leader.leader_epoch = 6;
        response.into()
    });
    assert_eq!((h.h.node.epoch(), h.h.node.leader()), (6, Some(2)));
}

fn joining() -> Config {
    Config {
        auto_join: true,
        ..config(0, &[])
    }
}

fn added(error: ErrorCode) -> Response {
    kwire_protocol::messages::AddRaftVoterResponse {
        error_code: error.0,
        ..Default::default()
    }
    .into()
}

/// KIP-1186.
#[test]
fn an_observer_asks_to_be_added_each_fetch_timeout() {
    for error in [
        ErrorCode::NONE,
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::DUPLICATE_VOTER,
    ] {
        let mut h = follower(joining(), formatted(&[1, 2]));
        let asked = h.asks(10, |_| added(error));
        assert!((4..=5).contains(&asked.len()), "{}", asked.len());
        let Request::AddRaftVoter(add) = &asked[0] else {
            panic!("{asked:?}");
        };
        assert_eq!((add.voter_id, add.voter_directory_id), (0, directory(0)));
        assert!(!add.ack_when_committed);
    }
}

/// KIP-1186.
#[test]
fn an_observer_whose_id_votes_with_its_old_disk_removes_that_first() {
    let mut disk = formatted(&[1, 2]);
    let mut old = voter(0);
    old.key.directory_id = Some(directory(40));
    let voters = [old, voter(1), voter(2)].into_iter().collect();
    disk.controls[1] = (-1, Control::Voters(voters));
    let mut h = follower(joining(), disk);
    let asked = h.asks(3, |_| {
        kwire_protocol::messages::RemoveRaftVoterResponse::default().into()
    });
    let Request::RemoveRaftVoter(remove) = &asked[0] else {
        panic!("{asked:?}");
    };
    assert_eq!(remove.voter_id, 0);
    assert_eq!(remove.voter_directory_id, directory(40));
}

/// KAFKA-19850: whoever does not want a removed voter back switches it off.
#[test]
fn nobody_joins_by_itself_unless_it_may() {
    let mut off = joining();
    off.auto_join = false;
    let mut broker = joining();
    broker.can_become_voter = false;
    for config in [off, broker] {
        let mut h = follower(config, formatted(&[1, 2]));
        assert_eq!(h.asks(10, |_| added(ErrorCode::NONE)), []);
    }
    let mut old = joining();
    old.static_voters = super::harness::static_voters(&[1, 2]);
    let mut h = follower(old, Recovered::default());
    let asked = h.asks(10, |_| added(ErrorCode::NONE));
    assert_eq!(asked, [], "kraft.version 0");
    let mut voter = follower(joining(), formatted(&[0, 1, 2]));
    assert_eq!(voter.asks(10, |_| added(ErrorCode::NONE)), []);
}

#[test]
fn a_leader_that_changes_meanwhile_is_no_misbehaviour() {
    let mut talk = follower(joining(), formatted(&[1, 2]));
    talk.asks(1, |_| added(ErrorCode::NONE));
    let join = |open: &[(CallId, Request)]| {
        let mut calls = open.iter();
        let call = calls.find(|(_, r)| matches!(r, Request::AddRaftVoter(_)));
        call.map(|(call, _)| *call)
    };
    while join(&talk.open).is_none() {
        let (call, _) = talk.open.remove(0);
        talk.h.wait(100);
        let outputs = talk.h.answer(call, fetched(1, 5, |_| ()));
        talk.note(&outputs);
    }
    let call = join(&talk.open).expect("it asks");
    let outputs = talk
        .h
        .answer(call, added(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let events = super::harness::events(&outputs);
    assert!(
        !events
            .iter()
            .any(|e| matches!(e, Event::PeerMisbehaved { .. }))
    );
    assert_eq!(disk_ops(&outputs), []);
}
