//! What all answers have in common: errors, epochs, leaders, pauses, and answers too late.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{begin_quorum_epoch_response, fetch_response, vote_response};

use super::harness::*;
use super::states::*;
use crate::config::Config;
use crate::message::{Request, Response};
use crate::node::{CallError, CallId, Output, RoleName};
use crate::types::{NodeId, Recovered};
use crate::voters::{Address, Endpoints, VoterSet};

const NONE: ErrorCode = ErrorCode::NONE;

/// The states whose questions carry the head that these rules are about, each with a call to
/// node 1 under way.
const ASKING: [State; 5] = [
    State::Prospective,
    State::Candidate,
    State::Leader,
    State::Follower,
    State::Resigned,
];

fn asking(state: State) -> (Harness, CallId) {
    let (h, calls) = state.reach_asking(&[0, 1, 2]);
    let to_1 = calls.into_iter().filter(|(_, to, _)| *to == 1);
    let (call, _, _) = to_1.last().expect("it asks node 1");
    (h, call)
}

/// An answer to what a node in this state asks.
fn answer(state: State, epoch: i32, leader: Option<NodeId>, error: ErrorCode) -> Response {
    match state {
        State::Prospective | State::Candidate => vote_refused(epoch, leader, error).into(),
        State::Leader => begun(epoch, leader, error).into(),
        State::Resigned => ended(epoch, leader, error).into(),
        _ => super::states::fetch_response(epoch, leader, error).into(),
    }
}

/// The answer to a request that was refused as a whole.
fn refused(state: State, error: ErrorCode) -> Response {
    let mut response = answer(state, 0, None, NONE);
    match &mut response {
        Response::Vote(r) => (r.error_code, r.topics) = (error.0, vec![]),
        Response::BeginQuorumEpoch(r) => (r.error_code, r.topics) = (error.0, vec![]),
        Response::EndQuorumEpoch(r) => (r.error_code, r.topics) = (error.0, vec![]),
        Response::Fetch(r) => (r.error_code, r.responses) = (error.0, vec![]),
        other => panic!("not of an election: {other:?}"),
    }
    response
}

/// Whether node 1 is left alone for the retry backoff. Leaders and resigned nodes are looked at
/// through their calls: they have nothing to say at once.
fn pauses(h: &Harness) -> bool {
    h.node.calls.is_backing_off(1)
}

#[test]
fn an_answer_of_an_older_epoch_changes_nothing() {
    for state in ASKING {
        for error in [
            NONE,
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::INVALID_REQUEST,
        ] {
            let (mut h, call) = asking(state);
            let before = h.state();
            let outputs = h.answer(call, answer(state, EPOCH - 1, Some(2), error));
            assert_eq!(
                (outputs, h.state()),
                (vec![], before),
                "{state:?} {error:?}"
            );
            assert!(pauses(&h), "{state:?}: it is not asked again at once");
        }
    }
}

#[test]
fn an_unknown_epoch_changes_nothing() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        let before = h.state();
        let error = ErrorCode::UNKNOWN_LEADER_EPOCH;
        let outputs = h.answer(call, answer(state, EPOCH - 1, None, error));
        assert_eq!((outputs, h.state()), (vec![], before), "{state:?}");
        assert!(pauses(&h));
    }
}

#[test]
fn an_answer_of_a_higher_epoch_is_followed_whatever_else_it_says() {
    let errors = [
        NONE,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::BROKER_NOT_AVAILABLE,
        ErrorCode::INVALID_REQUEST,
    ];
    for state in ASKING {
        for error in errors {
            for (leader, expected) in [
                (Some(2), (RoleName::Follower, EPOCH + 1, Some(2), None)),
                (None, (RoleName::Unattached, EPOCH + 1, None, None)),
                (
                    Some(STRANGER),
                    (RoleName::Unattached, EPOCH + 1, Some(STRANGER), None),
                ),
            ] {
                let (mut h, call) = asking(state);
                let outputs = h.answer(call, answer(state, EPOCH + 1, leader, error));
                assert_eq!(h.state(), expected, "{state:?} {error:?}");
                assert_eq!(saves(&outputs), [(EPOCH + 1, leader, None)]);
                assert!(!is_blamed(&outputs), "{state:?} {error:?}");
            }
        }
    }
}

#[test]
fn the_requests_of_the_new_state_wait_for_its_save() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        let response = answer(state, EPOCH + 1, Some(2), NONE);
        h.node.handle_answer(h.now, call, Ok(response));
        let outputs = h.drain();
        let saved = outputs.iter().find_map(|output| match output {
            Output::Disk { id, .. } => Some(*id),
            _ => None,
        });
        let gate = outputs.iter().find_map(|output| match output {
            Output::Send { after, .. } => Some(*after),
            _ => None,
        });
        assert!(saved.is_some());
        assert_eq!(gate, Some(saved), "{state:?}");
    }
}

#[test]
fn a_leader_of_the_epoch_is_followed_by_who_knew_none() {
    for state in [State::Prospective, State::Candidate] {
        for error in [
            NONE,
            ErrorCode::FENCED_LEADER_EPOCH,
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ] {
            let (mut h, call) = asking(state);
            h.answer(call, answer(state, EPOCH, Some(2), error));
            assert_eq!(h.node.role(), RoleName::Follower, "{state:?} {error:?}");
            assert_eq!(h.node.leader(), Some(2));
        }
    }
}

/// The fetch of an unattached node came to the leader: its answer is good for more than its head.
#[test]
fn what_comes_with_the_news_of_the_leader_is_taken() {
    let (mut h, calls) = State::Unattached.reach_asking(&[0, 1, 2]);
    let (call, to, _) = calls[0];
    let mut response = super::states::fetch_response(EPOCH, Some(to), NONE);
    response.responses[0].partitions[0].high_watermark = 4;
    h.answer(call, response);
    assert_eq!(h.state(), (RoleName::Follower, EPOCH, Some(to), None));
    assert_eq!(h.node.high_watermark(), Some(4));
    assert!(
        !voted(&h.ask_at(2, vote(2, EPOCH, true))).3,
        "it has fetched"
    );
}

/// Kafka dies of this.
#[test]
fn another_leader_of_the_epoch_is_noticed() {
    for (state, impostor) in [
        (State::Leader, 2),
        (State::Follower, 2),
        (State::Resigned, 2),
        (State::Follower, 0),
        (State::Candidate, 0),
        (State::Prospective, 0),
    ] {
        for error in [NONE, ErrorCode::NOT_LEADER_OR_FOLLOWER] {
            if matches!(state, State::Leader | State::Resigned) && error == NONE {
                continue; // It knows the leader, and does not ask the answer.
            }
            let (mut h, call) = asking(state);
            let before = h.state();
            let is_news = h.node.leader().is_none() || error != NONE;
            let outputs = h.answer(call, answer(state, EPOCH, Some(impostor), error));
            assert_eq!(
                is_blamed(&outputs),
                is_news,
                "{state:?} {impostor} {error:?}"
            );
            assert_eq!(h.state(), before, "{state:?} {impostor} {error:?}");
            if is_news {
                assert!(pauses(&h), "{state:?}");
            }
        }
    }
    // That this node itself leads an epoch that it has never been in.
    for state in ASKING {
        let (mut h, call) = asking(state);
        let before = h.state();
        let outputs = h.answer(call, answer(state, EPOCH + 1, Some(0), NONE));
        assert!(is_blamed(&outputs) && pauses(&h), "{state:?}");
        assert_eq!(h.state(), before);
    }
}

#[test]
fn who_is_not_available_is_left_alone_for_a_while() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        let before = h.state();
        let error = ErrorCode::BROKER_NOT_AVAILABLE;
        let outputs = h.answer(call, answer(state, EPOCH, state.leader(), error));
        assert_eq!((outputs, h.state()), (vec![], before), "{state:?}");
        assert!(pauses(&h));
        let (mut h, call) = asking(state);
        let outputs = h.answer(call, refused(state, error));
        assert_eq!(
            (outputs, h.state()),
            (vec![], before),
            "{state:?}: as a whole"
        );
        assert!(pauses(&h));
        h.pass(20);
        assert!(!pauses(&h));
    }
}

#[test]
fn refusals_are_noticed_and_nothing_else() {
    let errors = [
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode::INCONSISTENT_CLUSTER_ID,
        ErrorCode::INVALID_REQUEST,
        ErrorCode(999),
    ];
    for state in ASKING {
        for error in errors {
            for whole in [true, false] {
                let (mut h, call) = asking(state);
                let before = h.state();
                let response = if whole {
                    refused(state, error)
                } else {
                    answer(state, EPOCH, state.leader(), error)
                };
                let outputs = h.answer(call, response);
                assert!(is_blamed(&outputs), "{state:?} {error:?}");
                assert_eq!(
                    (h.state(), pauses(&h)),
                    (before, true),
                    "{state:?} {error:?}"
                );
            }
        }
    }
}

#[test]
fn an_answer_without_its_partition_is_none() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        let before = h.state();
        let outputs = h.answer(call, refused(state, NONE));
        assert!(is_blamed(&outputs), "{state:?}");
        assert_eq!((h.state(), pauses(&h)), (before, true));
        if state == State::Follower {
            continue; // Of Fetch, the topic has a name or an id.
        }
        let (mut h, call) = asking(state);
        let mut response = answer(state, EPOCH + 1, None, NONE);
        match &mut response {
            Response::Vote(r) => r.topics[0].topic_name = "other".into(),
            Response::BeginQuorumEpoch(r) => r.topics[0].topic_name = "other".into(),
            Response::EndQuorumEpoch(r) => r.topics[0].topic_name = "other".into(),
            other => panic!("not of an election: {other:?}"),
        }
        let outputs = h.answer(call, response);
        assert!(is_blamed(&outputs), "{state:?}");
        assert_eq!((h.state(), pauses(&h)), (before, true));
    }
}

#[test]
fn an_answer_to_something_else_is_none() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        let before = h.state();
        let other = match state {
            State::Follower => begun(EPOCH + 1, None, NONE).into(),
            _ => Response::from(super::states::fetch_response(EPOCH + 1, None, NONE)),
        };
        let outputs = h.answer(call, other);
        assert!(is_blamed(&outputs) && pauses(&h), "{state:?}");
        assert_eq!(h.state(), before);
    }
}

#[test]
fn a_call_is_answered_once() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        h.answer(
            call,
            answer(
                state,
                EPOCH,
                state.leader(),
                ErrorCode::BROKER_NOT_AVAILABLE,
            ),
        );
        let before = h.state();
        let news = answer(state, EPOCH + 1, Some(2), NONE);
        assert_eq!(h.answer(call, news.clone()), []);
        assert_eq!(h.answer(CallId(9_999), news), []);
        assert_eq!(h.state(), before, "{state:?}");
    }
}

#[test]
fn answers_of_the_state_before_do_not_count() {
    for state in ASKING {
        let (mut h, call) = asking(state);
        h.request(2, vote(2, EPOCH + 1, false).into());
        let before = h.state();
        for epoch in [EPOCH, EPOCH + 1, EPOCH + 2] {
            let outputs = h.answer(call, answer(state, epoch, Some(1), NONE));
            assert_eq!((outputs, h.state()), (vec![], before), "{state:?}");
        }
        h.node
            .handle_answer(h.now, call, Err(CallError::Disconnected));
        assert!(!pauses(&h), "{state:?}");
    }
}

#[test]
fn the_vote_of_an_election_does_not_count_in_the_next() {
    let (mut h, call) = asking(State::Candidate);
    h.pass_election_timer();
    assert_eq!(h.node.role(), RoleName::Prospective);
    h.answer(call, vote_response_granted());
    assert_eq!(h.node.role(), RoleName::Prospective);
}

fn vote_response_granted() -> Response {
    super::harness::vote_response(EPOCH, None, true).into()
}

#[test]
fn silence_ends_with_the_request_timeout() {
    for state in ASKING {
        let voters = [0, 1, 2];
        let mut patient = config(0, &voters);
        patient.request_timeout_ms = 300;
        let (h, _) = state.reach_asking(&voters);
        let mut node = h.node.clone();
        node.config = patient;
        // Its calls have the timeout of the default.
        assert_eq!(node.calls.next_expiry(), h.now.plus(2_000), "{state:?}");
    }
    let (mut h, call) = asking(State::Candidate);
    let until = h.now.plus(300);
    h.node.config.request_timeout_ms = 300;
    h.node
        .handle_answer(h.now, call, Err(CallError::Disconnected));
    let outputs = h.pass(20);
    let (again, _, _) = calls(&outputs)[0];
    assert_eq!(h.node.calls.next_expiry(), until.plus(20));
    let outputs = h.pass(320);
    assert_eq!(asked(&outputs), [(1, "vote")], "another one, after a pause");
    h.answer(again, vote_response_granted());
    assert_eq!(h.node.role(), RoleName::Candidate, "too late");
}

#[test]
fn one_request_at_a_time_goes_to_a_node() {
    for state in ASKING {
        let (mut h, _) = state.reach_asking(&[0, 1, 2]);
        let outputs = h.pass(900);
        assert_eq!(asked(&outputs), [], "{state:?}: nobody answered yet");
    }
}

#[test]
fn endpoints_in_an_answer_come_before_the_voter_sets() {
    let mut vote = vote_refused(EPOCH + 1, Some(2), NONE);
    vote.node_endpoints = [(1, 7_001), (2, 7_002)]
        .map(|(node_id, port)| vote_response::NodeEndpoint {
            node_id,
            host: "elsewhere".into(),
            port,
            ..Default::default()
        })
        .to_vec();
    let (mut h, call) = asking(State::Candidate);
    h.answer(call, vote);
    let expected = Endpoints::one(LISTENER, Address::new("elsewhere", 7_002));
    assert_eq!(h.node.leader_endpoints, expected);

    let mut begun = begun(EPOCH + 1, Some(2), NONE);
    begun.node_endpoints = vec![begin_quorum_epoch_response::NodeEndpoint {
        node_id: 2,
        host: "elsewhere".into(),
        port: 7_002,
        ..Default::default()
    }];
    let (mut h, call) = asking(State::Leader);
    h.answer(call, begun);
    assert_eq!(h.node.leader_endpoints, expected);

    // Of Fetch, the port may be anything.
    for (port, role) in [(7_002, RoleName::Follower), (70_000, RoleName::Unattached)] {
        let mut fetched = super::states::fetch_response(EPOCH + 1, Some(2), NONE);
        fetched.node_endpoints = vec![fetch_response::NodeEndpoint {
            node_id: 2,
            host: "elsewhere".into(),
            port,
            ..Default::default()
        }];
        let (mut h, call) = asking(State::Follower);
        h.answer(call, fetched);
        assert_eq!((h.node.role(), h.node.leader()), (role, Some(2)));
    }
}

// Finding the leader.

fn with_bootstrap_servers(id: i32, voters: VoterSet) -> Config {
    Config {
        static_voters: voters,
        bootstrap_servers: (1..=3).map(|n| Address::new("bootstrap", n)).collect(),
        ..config(id, &[])
    }
}

/// KAFKA-17030: whom to ask when nothing is known.
#[test]
fn an_unattached_node_asks_a_bootstrap_server() {
    for voters in [VoterSet::EMPTY, static_voters(&[0, 1, 2])] {
        let configs = with_bootstrap_servers(0, voters);
        let mut h = Harness::with(configs, Recovered::default());
        let outputs = h.settle();
        let Some((call, to, Request::Fetch(_))) = calls(&outputs).pop() else {
            panic!("it asks: {outputs:?}");
        };
        assert!((-4..=-2).contains(&to), "a server without an id");
        let mut response =
            super::states::fetch_response(3, Some(1), ErrorCode::NOT_LEADER_OR_FOLLOWER);
        response.node_endpoints = vec![fetch_response::NodeEndpoint {
            node_id: 1,
            host: "leader".into(),
            port: 9,
            ..Default::default()
        }];
        let outputs = h.answer(call, response);
        assert_eq!(h.state(), (RoleName::Follower, 3, Some(1), None));
        assert_eq!(asked(&outputs), [(1, "fetch")]);
    }
}

/// KAFKA-17333, KAFKA-19354: an observer's leader that does not answer is looked for elsewhere.
#[test]
fn an_observer_looks_for_its_leader_elsewhere() {
    let start = || {
        let recovered = stored(EPOCH, Some(1), None);
        let mut h = Harness::with(
            with_bootstrap_servers(7, static_voters(&[0, 1, 2])),
            recovered,
        );
        let outputs = h.settle();
        assert_eq!(asked(&outputs), [(1, "fetch")]);
        (h, calls(&outputs)[0].0)
    };
    let (mut h, call) = start();
    h.node
        .handle_answer(h.now, call, Err(CallError::Disconnected));
    let others = asked(&h.settle());
    assert!(
        matches!(others[..], [(to, "fetch")] if to <= -2),
        "{others:?}"
    );

    let (mut h, call) = start();
    let error = ErrorCode::BROKER_NOT_AVAILABLE;
    let outputs = h.answer(call, super::states::fetch_response(EPOCH, Some(1), error));
    assert!(matches!(asked(&outputs)[..], [(to, "fetch")] if to <= -2));

    let (mut h, _) = start();
    let others = asked(&h.pass(2_000));
    assert!(
        matches!(others[..], [(to, "fetch")] if to <= -2),
        "{others:?}"
    );
}

/// A voter does not: its timer starts an election.
#[test]
fn a_voter_stays_with_its_leader() {
    let (mut h, call) = asking(State::Follower);
    h.node
        .handle_answer(h.now, call, Err(CallError::Disconnected));
    assert_eq!(asked(&h.settle()), []);
    assert_eq!(asked(&h.pass(20)), [(1, "fetch")]);
}

#[test]
fn an_observer_without_an_id_asks_as_nobody() {
    let mut h = Harness::with(
        Config {
            id: None,
            ..config(7, &[0, 1, 2])
        },
        Recovered::default(),
    );
    let outputs = h.settle();
    let Some((call, to, Request::Fetch(request))) = calls(&outputs).pop() else {
        panic!("it asks");
    };
    assert_eq!(request.replica_state.replica_id, -1);
    h.answer(call, super::states::fetch_response(2, Some(to), NONE));
    assert_eq!(h.state(), (RoleName::Follower, 2, Some(to), None));
    h.pass(30_000);
    assert_eq!(h.node.role(), RoleName::Follower);
    let answer = h.ask_at(2, vote_with(1, 9, false, |voter, _| *voter = 5));
    assert_eq!(voted(&answer).0, ErrorCode::INVALID_VOTER_KEY);
}
