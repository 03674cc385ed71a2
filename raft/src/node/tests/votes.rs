//! Vote: who gets one.

use kwire_protocol::messages::vote_request;
use kwire_protocol::{ErrorCode, Uuid};

use super::harness::*;
use super::messages::at_each;
use super::states::*;
use crate::message::{Request, Response};
use crate::node::{IoId, Output, RoleName, Token};
use crate::types::ReplicaKey;

const NONE: ErrorCode = ErrorCode::NONE;

/// Whether a vote of node `from` is granted; the same at all versions that can ask for it.
fn granted(state: State, from: i32, pre_vote: bool, up_to_date: bool) -> bool {
    let has_voted = matches!(state, State::UnattachedVoted | State::ProspectiveVoted);
    let versions = match (pre_vote, has_voted) {
        (true, _) => 2..=2,
        // Version 0 cannot name the directory that got the vote.
        (false, true) => 1..=2,
        (false, false) => 0..=2,
    };
    let mut answers = Vec::new();
    for version in versions {
        let mut h = state.reach();
        let end = h.node.log_end();
        let request = vote_with(from, EPOCH, pre_vote, |_, ask| {
            // As long as the node's own, but for the record that a leader wrote in this epoch.
            ask.last_offset = END - i64::from(!up_to_date);
        });
        let answer = h.ask_at(version, request);
        let (error, leader, epoch, granted) = voted(&answer);
        let what = format!("{state:?} {version} {end}");
        assert_eq!(error, NONE, "{what}");
        assert_eq!(
            (leader, epoch),
            (state.leader().unwrap_or(-1), EPOCH),
            "{what}"
        );
        assert_eq!(h.node.role(), state.role(), "{what}: it stays what it is");
        if !granted || pre_vote {
            assert_eq!(h.node.saved, state.reach().node.saved, "{what}");
        } else {
            assert_eq!(h.node.saved.voted.map(|voted| voted.id), Some(from));
        }
        answers.push(granted);
    }
    assert!(
        answers.iter().all(|granted| *granted == answers[0]),
        "{state:?}: {answers:?}"
    );
    answers[0]
}

/// Section 5's table; the votes of node 1 and 2, each with a log that is up to date and one that is
/// not.
#[test]
fn who_gets_a_vote_in_each_state() {
    let never = [false; 4];
    let up_to_date = [true, false, true, false];
    let only_to_1 = [true, true, false, false];
    let table = [
        (State::Unattached, up_to_date),
        (State::UnattachedVoted, only_to_1),
        (State::UnattachedLeader, never),
        (State::Prospective, up_to_date),
        (State::ProspectiveVoted, only_to_1),
        (State::ProspectiveLeader, never),
        (State::Candidate, never),
        (State::Leader, never),
        (State::Follower, never),
        (State::FollowerFetched, never),
        (State::Resigned, never),
        // Observers may have been voters (KAFKA-17067: they vote, but do not stand).
        (State::ObserverUnattached, up_to_date),
        (State::ObserverFollower, never),
    ];
    assert_eq!(table.map(|(state, _)| state), State::ALL);
    for (state, expected) in table {
        let asks = [(1, true), (1, false), (2, true), (2, false)];
        let answers = asks.map(|(from, up_to_date)| granted(state, from, false, up_to_date));
        assert_eq!(answers, expected, "{state:?}");
    }
}

#[test]
fn who_would_get_a_vote_in_each_state() {
    for state in State::ALL {
        let expected = match state {
            State::Leader | State::FollowerFetched => [false, false],
            _ => [true, false],
        };
        let answers = [true, false].map(|up_to_date| granted(state, 1, true, up_to_date));
        assert_eq!(answers, expected, "{state:?}");
    }
}

#[test]
fn a_candidate_does_not_even_vote_for_itself() {
    assert!(!granted(State::Candidate, 0, false, true));
}

#[test]
fn logs_are_compared_by_epoch_and_then_by_offset() {
    let ends = [
        (LAST_EPOCH, END, true),
        (LAST_EPOCH, END + 1, true),
        (LAST_EPOCH, END - 1, false),
        (LAST_EPOCH + 1, 1, true),
        (LAST_EPOCH - 1, END + 100, false),
        (0, 0, false),
    ];
    at_each(0..=2, |version| {
        for (epoch, offset, expected) in ends {
            for pre_vote in [false, true] {
                if pre_vote && version < 2 {
                    continue;
                }
                let mut h = State::Unattached.reach();
                let request = vote_with(1, EPOCH, pre_vote, |_, ask| {
                    (ask.last_offset_epoch, ask.last_offset) = (epoch, offset);
                });
                let (error, _, _, granted) = voted(&h.ask_at(version, request));
                assert_eq!(
                    (error, granted),
                    (NONE, expected),
                    "{offset} of epoch {epoch}"
                );
            }
        }
    });
}

#[test]
fn the_voted_directory_counts_where_it_is_known() {
    let vote_of = |stored_directory: Option<Uuid>, asked: Uuid| {
        let stored_vote = ReplicaKey {
            id: 1,
            directory_id: stored_directory,
        };
        let mut h = Harness::with(
            config(0, &[0, 1, 2]),
            stored(EPOCH, None, Some(stored_vote)),
        );
        h.settle();
        let request = vote_with(1, EPOCH, false, |_, ask| ask.replica_directory_id = asked);
        voted(&h.ask_at(2, request)).3
    };
    assert!(vote_of(Some(directory(1)), directory(1)));
    assert!(!vote_of(Some(directory(1)), directory(99)), "another disk");
    assert!(
        !vote_of(Some(directory(1)), Uuid::ZERO),
        "as version 0 asks"
    );
    assert!(vote_of(None, directory(1)), "any disk");
    assert!(vote_of(None, Uuid::ZERO));
}

#[test]
fn a_foreign_cluster_is_refused_as_a_whole() {
    at_each(0..=2, |version| {
        for state in State::ALL {
            let mut h = state.reach();
            let mut request = vote(1, EPOCH + 1, false);
            request.cluster_id = Some("other".into());
            let answer = h.ask_at(version, request);
            assert_eq!(
                refusal(&answer),
                (ErrorCode::INCONSISTENT_CLUSTER_ID, false)
            );
            assert_eq!(h.node.epoch(), EPOCH, "{state:?}");
            let mut request = vote(1, EPOCH, false);
            request.cluster_id = None;
            assert_eq!(refusal(&h.ask_at(version, request)), (NONE, true));
        }
    });
}

#[test]
fn any_other_partition_is_refused_as_a_whole() {
    at_each(0..=2, |version| {
        let good = vote(1, EPOCH + 1, false);
        let mut other_topic = good.clone();
        other_topic.topics[0].topic_name = "other".into();
        let mut other_partition = good.clone();
        other_partition.topics[0].partitions[0].partition_index = 1;
        let mut none = good.clone();
        none.topics.clear();
        let mut no_partition = good.clone();
        no_partition.topics[0].partitions.clear();
        let mut two = good.clone();
        two.topics.extend(good.topics.clone());
        let mut two_partitions = good.clone();
        two_partitions.topics[0]
            .partitions
            .extend(good.topics[0].partitions.clone());
        for bad in [
            other_topic,
            other_partition,
            none,
            no_partition,
            two,
            two_partitions,
        ] {
            let mut h = State::Unattached.reach();
            let answer = h.ask_at(version, bad);
            assert_eq!(refusal(&answer), (ErrorCode::INVALID_REQUEST, false));
            assert_eq!(h.node.epoch(), EPOCH);
        }
    });
}

type Change = fn(&mut vote_request::PartitionData);

#[test]
fn impossible_asks_are_refused_before_anything_changes() {
    at_each(0..=2, |version| {
        let changes: [(&str, Change); 5] = [
            ("offset", |ask| ask.last_offset = -1),
            ("epoch of the log", |ask| ask.last_offset_epoch = -1),
            ("log as new as the vote", |ask| {
                ask.last_offset_epoch = EPOCH + 1
            }),
            ("log newer than the vote", |ask| {
                ask.last_offset_epoch = EPOCH + 2
            }),
            ("nobody", |ask| ask.replica_id = -1),
        ];
        for (what, change) in changes {
            for state in State::ALL {
                let mut h = state.reach();
                let request = vote_with(1, EPOCH + 1, false, |_, ask| change(ask));
                let (error, leader, epoch, granted) = voted(&h.ask_at(version, request));
                assert_eq!(error, ErrorCode::INVALID_REQUEST, "{what}");
                let expected = (state.leader().unwrap_or(-1), EPOCH, false);
                assert_eq!((leader, epoch, granted), expected, "{what} {state:?}");
                assert_eq!(h.node.role(), state.role(), "{what} {state:?}");
            }
        }
    });
    // A pre-vote carries the present epoch, of which the log may have records.
    for (last_epoch, expected) in [(EPOCH, NONE), (EPOCH + 1, ErrorCode::INVALID_REQUEST)] {
        let mut h = State::Unattached.reach();
        let request = vote_with(1, EPOCH, true, |_, ask| ask.last_offset_epoch = last_epoch);
        assert_eq!(voted(&h.ask_at(2, request)).0, expected);
    }
}

#[test]
fn an_older_epoch_is_fenced_and_told_the_present_one() {
    at_each(0..=2, |version| {
        for state in State::ALL {
            let mut h = state.reach();
            let request = vote(1, EPOCH - 1, version == 2);
            let answer = voted(&h.ask_at(version, request));
            let leader = state.leader().unwrap_or(-1);
            assert_eq!(
                answer,
                (ErrorCode::FENCED_LEADER_EPOCH, leader, EPOCH, false)
            );
            assert_eq!(h.node.role(), state.role());
        }
    });
}

#[test]
fn a_newer_epoch_is_entered_whatever_becomes_of_the_vote() {
    at_each(0..=2, |version| {
        for state in State::ALL {
            for up_to_date in [true, false] {
                let mut h = state.reach();
                let end = h.node.log_end();
                let request = vote_with(1, EPOCH + 1, false, |_, ask| {
                    ask.last_offset = if up_to_date { end.offset } else { 0 };
                    ask.last_offset_epoch = if up_to_date { end.epoch } else { 0 };
                });
                let answer = voted(&h.ask_at(version, request));
                assert_eq!(answer, (NONE, -1, EPOCH + 1, up_to_date), "{state:?}");
                let vote = up_to_date.then_some(1);
                assert_eq!(h.state(), (RoleName::Unattached, EPOCH + 1, None, vote));
                assert_eq!(h.node.saved.epoch, EPOCH + 1);
            }
        }
    });
}

/// KIP-853: the vote is for a node with a directory; who lost its disk is another.
#[test]
fn a_vote_meant_for_another_voter_is_not_given() {
    let cases = [
        (-1, Uuid::ZERO, NONE),
        (-1, directory(5), NONE),
        (0, Uuid::ZERO, NONE),
        (0, directory(0), NONE),
        (0, directory(5), ErrorCode::INVALID_VOTER_KEY),
        (1, Uuid::ZERO, ErrorCode::INVALID_VOTER_KEY),
        (1, directory(0), ErrorCode::INVALID_VOTER_KEY),
    ];
    at_each(0..=2, |version| {
        for (id, directory_id, expected) in cases {
            let mut h = State::Unattached.reach();
            let request = vote_with(1, EPOCH + 1, false, |voter, ask| {
                (*voter, ask.voter_directory_id) = (id, directory_id);
            });
            let (error, _, epoch, granted) = voted(&h.ask_at(version, request));
            // Version 0 cannot name the voter.
            let expected = if version == 0 { NONE } else { expected };
            assert_eq!(
                (error, granted),
                (expected, expected == NONE),
                "{id} {directory_id}"
            );
            assert_eq!(epoch, EPOCH + 1, "the epoch counts all the same");
        }
    });
}

#[test]
fn strangers_get_votes_too() {
    at_each(0..=2, |version| {
        let mut h = State::Unattached.reach();
        let answer = voted(&h.ask_at(version, vote(STRANGER, EPOCH, false)));
        assert_eq!(answer, (NONE, -1, EPOCH, true));
    });
}

#[test]
fn the_same_candidate_gets_its_vote_again() {
    at_each(0..=2, |version| {
        let mut h = State::Unattached.reach();
        for _ in 0..2 {
            assert!(voted(&h.ask_at(version, vote(1, EPOCH, false))).3);
        }
        assert!(!voted(&h.ask_at(version, vote(2, EPOCH, false))).3);
    });
}

#[test]
fn from_version_1_on_the_answer_says_where_the_leader_listens() {
    at_each(0..=2, |version| {
        let mut h = State::Follower.reach();
        let Response::Vote(response) = h.ask_at(version, vote(2, EPOCH, false)) else {
            panic!("not a vote");
        };
        let named: Vec<_> = response
            .node_endpoints
            .iter()
            .map(|e| (e.node_id, e.host.as_ref().to_owned(), e.port))
            .collect();
        let expected = [(1, "localhost".to_owned(), 9_001)];
        assert_eq!(named, if version >= 1 { &expected[..] } else { &[] });
    });
}

#[test]
fn a_vote_draws_the_election_timer_anew() {
    let mut h = State::Unattached.reach();
    let until = h.node.election_timer();
    h.now = h.now.plus(900);
    assert!(voted(&h.ask_at(2, vote(1, EPOCH, false))).3);
    assert!(h.node.election_timer() >= h.now.plus(1_000));
    assert_ne!(h.node.election_timer(), until);

    let mut h = State::Prospective.reach();
    h.now = h.now.plus(900);
    assert!(voted(&h.ask_at(2, vote(1, EPOCH, false))).3);
    assert!(h.node.election_timer() >= h.now.plus(1_000));
    // A refusal does not, nor does a pre-vote.
    let until = h.node.election_timer();
    h.now = h.now.plus(900);
    assert!(!voted(&h.ask_at(2, vote(2, EPOCH, false))).3);
    assert!(voted(&h.ask_at(2, vote(2, EPOCH, true))).3);
    assert_eq!(h.node.election_timer(), until);
}

/// The answer waits for the save of the vote, or of the new epoch.
#[test]
fn the_answer_waits_until_the_vote_is_durable() {
    for epoch in [EPOCH, EPOCH + 1] {
        let mut h = State::Unattached.reach();
        let incoming = crate::node::Incoming {
            token: Token(1),
            version: 2,
            request: Request::Vote(vote(1, epoch, false)),
        };
        h.node.handle_request(h.now, incoming);
        let outputs = h.drain();
        let saved: Option<IoId> = outputs.iter().rev().find_map(|output| match output {
            Output::Disk { id, .. } => Some(*id),
            _ => None,
        });
        let reply = outputs.iter().find_map(|output| match output {
            Output::Reply { after, .. } => Some(*after),
            _ => None,
        });
        assert_eq!(reply, Some(saved));
        assert!(saved.is_some());
        // Even an answer that changes nothing waits: it tells of the epoch.
        let incoming = crate::node::Incoming {
            token: Token(2),
            version: 2,
            request: Request::Vote(vote(2, epoch, false)),
        };
        h.node.handle_request(h.now, incoming);
        let outputs = h.drain();
        assert!(matches!(&outputs[..], [Output::Reply { after, .. }] if *after == saved));
        // Once it is durable, nothing waits any more.
        h.node.handle_disk(h.now, saved.expect("a save"));
        let (_, outputs) = h.request(2, vote(2, epoch, false).into());
        assert!(matches!(&outputs[..], [Output::Reply { after: None, .. }]));
    }
}
