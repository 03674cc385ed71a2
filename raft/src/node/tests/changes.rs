//! Adding and removing voters, and the upgrade to voters in the log.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::ApiVersionsResponse;

use super::harness::{Harness, config, directory, disk_ops, reply_to};
use super::messages::*;
use crate::message::{Request, Response};
use crate::node::{CallError, CallId, DiskOp, Output, RoleName, Token, UpgradeError};
use crate::types::{Recovered, Uuid};

fn is_versions(request: &Request) -> bool {
    matches!(request, Request::ApiVersions(_))
}

fn code(response: Option<Response>) -> Option<ErrorCode> {
    Some(ErrorCode(match response? {
        Response::AddRaftVoter(r) => r.error_code,
        Response::RemoveRaftVoter(r) => r.error_code,
        other => panic!("{other:?}"),
    }))
}

fn error(h: &mut Harness, version: i16, request: impl Into<Request>) -> ErrorCode {
    code(Some(h.ask_at(version, request))).expect("an answer")
}

fn ids(h: &Harness) -> Vec<i32> {
    h.node.voters().ids().collect()
}

/// The leader of 0, 1 and 2 was asked to add 3, which has caught up, and asks 3 for its versions.
fn adding(version: i16, change: impl FnOnce(&mut Harness)) -> (Harness, Token, CallId) {
    let mut h = dynamic_leader(&[0, 1, 2]);
    h.caught_up(&[3]);
    change(&mut h);
    let (token, outputs) = h.send_at(version, add(3));
    assert_eq!(reply_to(token, &outputs), None);
    let (call, _) = Harness::call_of(&outputs, is_versions);
    (h, token, call)
}

fn answered(h: &mut Harness, call: CallId, token: Token, range: (i16, i16)) -> Option<ErrorCode> {
    let outputs = h.answer(call, versions(range.0, range.1));
    code(reply_to(token, &outputs))
}

#[test]
fn a_voter_is_added_and_answered_when_the_new_voters_committed_it() {
    at_each(0..=1, |version| {
        let (mut h, token, call) = adding(version, |_| ());
        assert_eq!(answered(&mut h, call, token, (0, 1)), None);
        assert_eq!(ids(&h), [0, 1, 2, 3], "it counts as soon as it is appended");
        assert_eq!(h.node.voters_offset(), Some(3));
        // Two of the four are not enough, though two of the three were.
        let outputs = h.caught_up(&[1]);
        assert_eq!(code(reply_to(token, &outputs)), None);
        assert_eq!(h.node.high_watermark(), Some(3));
        let outputs = h.caught_up(&[3]);
        assert_eq!(code(reply_to(token, &outputs)), Some(ErrorCode::NONE));
        let added = h.node.voters().get(3).expect("it is a voter");
        assert_eq!(added.key.directory_id, Some(directory(3)));
        assert_eq!(added.kraft_versions.max, 1);
        assert!(added.endpoints.get("CONTROLLER").is_some());
    });
}

/// KIP-1186.
#[test]
fn version_1_may_be_answered_before_the_commit() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    h.caught_up(&[3]);
    let mut early = add(3);
    early.ack_when_committed = false;
    let (token, outputs) = h.send_at(1, early);
    let (call, _) = Harness::call_of(&outputs, is_versions);
    let code = answered(&mut h, call, token, (0, 1));
    assert_eq!(code, Some(ErrorCode::NONE));
    assert_eq!(h.node.high_watermark(), Some(3));
    // The next change waits for the commit all the same (KAFKA-20740).
    assert_eq!(error(&mut h, 0, remove(1)), ErrorCode::REQUEST_TIMED_OUT);
    h.caught_up(&[1, 2]);
    let (token, outputs) = h.send_at(0, remove(1));
    assert_eq!(reply_to(token, &outputs), None);
}

#[test]
fn add_is_refused_for_these_reasons_in_this_order() {
    at_each(0..=1, |version| {
        // Each request is wrong in all the ways that come after as well.
        let wrong = |fixes: usize| {
            let mut request = add(-1);
            request.cluster_id = Some("other".into());
            request.voter_directory_id = Uuid::ZERO;
            request.listeners[0].name = "OTHER".into();
            if fixes > 0 {
                request.cluster_id = Some("cluster".into());
            }
            if fixes > 1 {
                request.voter_id = 1;
            }
            if fixes > 2 {
                request.voter_directory_id = directory(1);
            }
            if fixes > 3 {
                request.listeners[0].name = "controller".into();
            }
            request
        };
        let (mut follower, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
        let found = error(&mut follower, version, wrong(0));
        assert_eq!(found, ErrorCode::INCONSISTENT_CLUSTER_ID);
        let found = error(&mut follower, version, wrong(1));
        assert_eq!(found, ErrorCode::NOT_LEADER_OR_FOLLOWER);

        let mut h = elected(config(0, &[]), formatted(&[0, 1, 2]));
        for fixes in 1..=3 {
            let found = error(&mut h, version, wrong(fixes));
            assert_eq!(found, ErrorCode::INVALID_REQUEST, "{fixes}");
        }
        let found = error(&mut h, version, wrong(4));
        assert_eq!(found, ErrorCode::REQUEST_TIMED_OUT, "nothing is committed");
        h.caught_up(&[1, 2]);
        let found = error(&mut h, version, wrong(4));
        assert_eq!(found, ErrorCode::DUPLICATE_VOTER);
        // The id counts, whatever the directory.
        let mut other = add(1);
        other.voter_directory_id = directory(9);
        let found = error(&mut h, version, other);
        assert_eq!(found, ErrorCode::DUPLICATE_VOTER);

        let mut old = static_leader(&[0, 1, 2]);
        let found = error(&mut old, version, add(3));
        assert_eq!(found, ErrorCode::REQUEST_TIMED_OUT);
        old.caught_up(&[1, 2]);
        let found = error(&mut old, version, add(1));
        assert_eq!(found, ErrorCode::UNSUPPORTED_VERSION);
    });
}

#[test]
fn one_change_at_a_time() {
    let (mut h, _, call) = adding(1, |_| ());
    assert_eq!(error(&mut h, 1, add(4)), ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(error(&mut h, 0, remove(1)), ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(error(&mut h, 0, remove(9)), ErrorCode::REQUEST_TIMED_OUT);
    h.answer(call, versions(0, 1));
    assert_eq!(error(&mut h, 1, add(4)), ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(error(&mut h, 1, add(1)), ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(ids(&h), [0, 1, 2, 3]);
}

#[test]
fn a_change_that_was_given_up_still_stands_in_the_way_until_it_is_committed() {
    let (mut h, token, call) = adding(1, |_| ());
    h.answer(call, versions(0, 1));
    // The voters follow, and do not have the record.
    let mut outputs = Vec::new();
    for _ in 0..2 {
        let epoch = h.node.epoch();
        h.request(18, fetch(1, epoch, 2, epoch).into());
        h.request(18, fetch(2, epoch, 2, epoch).into());
        outputs.extend(h.wait(1_000));
    }
    let code = code(reply_to(token, &outputs));
    assert_eq!(code, Some(ErrorCode::REQUEST_TIMED_OUT));
    assert_eq!(h.node.role(), RoleName::Leader);
    assert_eq!(error(&mut h, 0, remove(1)), ErrorCode::REQUEST_TIMED_OUT);
    h.caught_up(&[1, 2]);
    let (token, outputs) = h.send_at(0, remove(1));
    assert_eq!(reply_to(token, &outputs), None, "it is under way");
}

/// KAFKA-20661's question, whether a voter can be reached where it says it listens, is asked of those
/// to be added.
#[test]
fn the_new_voter_has_to_answer_understand_and_be_caught_up() {
    at_each(0..=1, |version| {
        let (mut h, token, call) = adding(version, |_| ());
        h.node
            .handle_answer(h.now, call, Err(CallError::Disconnected));
        let outputs = h.settle();
        let timed_out = Some(ErrorCode::REQUEST_TIMED_OUT);
        assert_eq!(code(reply_to(token, &outputs)), timed_out);
        let found = error(&mut h, version, add(3));
        assert_eq!(found, ErrorCode::REQUEST_TIMED_OUT, "it pauses");

        let (mut h, token, call) = adding(version, |_| ());
        let mut failed = versions(0, 1);
        failed.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
        let outputs = h.answer(call, failed);
        assert_eq!(code(reply_to(token, &outputs)), timed_out);

        for range in [(0, 0), (2, 3)] {
            let (mut h, token, call) = adding(version, |_| ());
            let found = answered(&mut h, call, token, range);
            assert_eq!(found, Some(ErrorCode::INVALID_REQUEST));
        }
        let (mut h, token, call) = adding(version, |_| ());
        let outputs = h.answer(call, ApiVersionsResponse::default());
        let found = code(reply_to(token, &outputs));
        assert_eq!(found, Some(ErrorCode::INVALID_REQUEST), "it names none");

        let mut h = dynamic_leader(&[0, 1, 2]);
        let epoch = h.node.epoch();
        h.request(18, fetch(3, epoch, 1, epoch).into());
        let (token, outputs) = h.send_at(version, add(3));
        let (call, _) = Harness::call_of(&outputs, is_versions);
        assert_eq!(answered(&mut h, call, token, (0, 1)), timed_out, "lagging");
        assert_eq!(ids(&h), [0, 1, 2]);

        // Caught up is the replica with that directory.
        let mut h = dynamic_leader(&[0, 1, 2]);
        h.caught_up(&[3]);
        let mut other = add(3);
        other.voter_directory_id = directory(33);
        let (token, outputs) = h.send_at(version, other);
        let (call, _) = Harness::call_of(&outputs, is_versions);
        assert_eq!(answered(&mut h, call, token, (0, 1)), timed_out);
    });
}

#[test]
fn the_new_voter_is_given_up_after_the_request_timeout() {
    let (mut h, token, call) = adding(1, |_| ());
    h.wait(1_000);
    h.caught_up(&[1, 2]);
    let outputs = h.wait(1_000);
    let timed_out = Some(ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(code(reply_to(token, &outputs)), timed_out);
    let outputs = h.answer(call, versions(0, 1));
    assert_eq!(outputs, [], "too late");
    assert_eq!(ids(&h), [0, 1, 2]);
}

#[test]
fn the_answer_of_another_call_is_not_that_of_the_new_voter() {
    let (mut h, token, call) = adding(1, |_| ());
    let outputs = h.answer(CallId(call.0 + 1_000), versions(0, 1));
    assert_eq!(code(reply_to(token, &outputs)), None);
    assert_eq!(ids(&h), [0, 1, 2]);
}

#[test]
fn who_asked_hears_that_the_leader_leads_no_longer() {
    let not_leader = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let (mut h, token, _) = adding(1, |_| ());
    let (_, outputs) = h.request(1, begin(1, 9));
    assert_eq!(code(reply_to(token, &outputs)), not_leader);
    let mut h = dynamic_leader(&[0, 1, 2]);
    let (token, _) = h.send_at(0, remove(2));
    let epoch = h.node.epoch();
    h.node.resign(h.now, epoch);
    let outputs = h.settle();
    assert_eq!(code(reply_to(token, &outputs)), not_leader);
}

#[test]
fn a_voter_is_removed_and_answered_when_it_is_committed() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let (token, outputs) = h.send_at(0, remove(2));
    assert_eq!(disk_ops(&outputs).len(), 1);
    assert_eq!(ids(&h), [0, 1]);
    let outputs = h.caught_up(&[2]);
    assert_eq!(code(reply_to(token, &outputs)), None, "no voter any more");
    let outputs = h.caught_up(&[1]);
    assert_eq!(code(reply_to(token, &outputs)), Some(ErrorCode::NONE));
}

#[test]
fn remove_is_refused_for_these_reasons_in_this_order() {
    let (mut follower, ..) = following(config(0, &[0, 1, 2]), Recovered::default(), 1, 5);
    let mut other = remove(-1);
    other.cluster_id = Some("other".into());
    let found = error(&mut follower, 0, other);
    assert_eq!(found, ErrorCode::INCONSISTENT_CLUSTER_ID);
    let found = error(&mut follower, 0, remove(-1));
    assert_eq!(found, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut h = elected(config(0, &[]), formatted(&[0, 1, 2]));
    let mut without = remove(9);
    without.voter_directory_id = Uuid::ZERO;
    assert_eq!(error(&mut h, 0, without), ErrorCode::INVALID_REQUEST);
    assert_eq!(error(&mut h, 0, remove(-1)), ErrorCode::INVALID_REQUEST);
    assert_eq!(error(&mut h, 0, remove(9)), ErrorCode::REQUEST_TIMED_OUT);
    h.caught_up(&[1, 2]);
    assert_eq!(error(&mut h, 0, remove(9)), ErrorCode::VOTER_NOT_FOUND);
    let mut directory_of = remove(2);
    directory_of.voter_directory_id = directory(9);
    assert_eq!(error(&mut h, 0, directory_of), ErrorCode::VOTER_NOT_FOUND);
    let mut lone = dynamic_leader(&[0]);
    assert_eq!(error(&mut lone, 0, remove(0)), ErrorCode::VOTER_NOT_FOUND);
    let mut old = static_leader(&[0, 1, 2]);
    old.caught_up(&[1, 2]);
    assert_eq!(
        error(&mut old, 0, remove(2)),
        ErrorCode::UNSUPPORTED_VERSION
    );
}

/// KAFKA-17604, KAFKA-17608, KAFKA-16963.
#[test]
fn a_leader_that_removes_itself_leads_until_the_others_have_committed_it() {
    let mut h = dynamic_leader(&[0, 1, 2]);
    let (token, _) = h.send_at(0, remove(0));
    assert_eq!(h.node.role(), RoleName::Leader);
    let outputs = h.caught_up(&[1]);
    assert_eq!(code(reply_to(token, &outputs)), None, "it does not count");
    let outputs = h.caught_up(&[2]);
    assert_eq!(code(reply_to(token, &outputs)), Some(ErrorCode::NONE));
    assert_eq!(h.node.role(), RoleName::Resigned);
    let outputs = h.wait(10_000);
    assert!(!outputs.iter().any(|o| matches!(
        o,
        Output::Send {
            request: Request::Vote(_),
            ..
        }
    )));
}

/// KAFKA-15489's check does not run for a lone voter; it begins anew when it gets company.
#[test]
fn a_lone_voter_goes_on_when_another_joins_it() {
    let mut h = dynamic_leader(&[0]);
    h.wait(60_000);
    h.caught_up(&[1]);
    let (token, outputs) = h.send_at(1, add(1));
    let (call, _) = Harness::call_of(&outputs, is_versions);
    answered(&mut h, call, token, (0, 1));
    h.wait(100);
    assert_eq!(h.node.role(), RoleName::Leader);
    let outputs = h.caught_up(&[1]);
    assert_eq!(code(reply_to(token, &outputs)), Some(ErrorCode::NONE));
    h.wait(3_100);
    assert_eq!(h.node.role(), RoleName::Resigned, "nobody fetches");
}

#[test]
fn the_upgrade_needs_a_leader_that_knows_all_directories() {
    let mut h = static_leader(&[0, 1, 2]);
    let (now, epoch) = (h.now, h.node.epoch());
    assert_eq!(
        h.node.upgrade_kraft_version(now, 1),
        Err(UpgradeError::Busy)
    );
    h.caught_up(&[1, 2]);
    let unsupported = |to| Err(UpgradeError::Unsupported { from: 0, to });
    assert_eq!(h.node.upgrade_kraft_version(now, 0), unsupported(0));
    assert_eq!(h.node.upgrade_kraft_version(now, 2), unsupported(2));
    let voter = |id| Err(UpgradeError::Voter(id));
    assert_eq!(h.node.upgrade_kraft_version(now, 1), voter(1));
    h.request(0, update(1, epoch, (0, 1)).into());
    h.request(0, update(2, epoch, (0, 0)).into());
    assert_eq!(h.node.upgrade_kraft_version(now, 1), voter(2));
    h.request(0, update(2, epoch, (0, 1)).into());
    assert_eq!(h.node.upgrade_kraft_version(now, 1), Ok(2));
    let outputs = h.settle();
    assert!(matches!(
        disk_ops(&outputs)[..],
        [DiskOp::Append { base: 1, .. }]
    ));
    assert_eq!(
        (h.node.kraft_version(), h.node.voters_offset()),
        (1, Some(2))
    );
    let found = h.node.voters().get(2).expect("a voter").key.directory_id;
    assert_eq!(found, Some(directory(2)));
    let again = h.node.upgrade_kraft_version(now, 1);
    assert_eq!(again, Err(UpgradeError::Unsupported { from: 1, to: 1 }));
    let down = h.node.upgrade_kraft_version(now, 0);
    assert_eq!(down, Err(UpgradeError::Unsupported { from: 1, to: 0 }));
    assert_eq!(error(&mut h, 1, add(4)), ErrorCode::REQUEST_TIMED_OUT);
    h.caught_up(&[1, 2]);
    assert_eq!(h.node.high_watermark(), Some(3));
    assert_eq!(error(&mut h, 1, add(1)), ErrorCode::DUPLICATE_VOTER);

    let (mut h, ..) = following(config(0, &[0, 1]), Recovered::default(), 1, 5);
    let refused = h.node.upgrade_kraft_version(h.now, 1);
    assert_eq!(refused, Err(UpgradeError::NotLeader));
}

/// KAFKA-18979: the version is what ApiVersions says of the feature.
#[test]
fn api_versions_name_what_is_understood() {
    let mut h = dynamic_leader(&[0]);
    let (token, outputs) = h.request(3, Request::ApiVersions(Default::default()));
    let Some(Response::ApiVersions(answer)) = reply_to(token, &outputs) else {
        panic!("it answers");
    };
    let feature = &answer.supported_features[0];
    assert_eq!(&*feature.name, "kraft.version");
    assert_eq!((feature.min_version, feature.max_version), (0, 1));
}
