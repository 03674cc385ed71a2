//! The traces, with all rules on: what has to come of each.

use kwire_raft::node::RoleName;
use kwire_raft_model::script::Script;
use kwire_raft_model::traces;
use kwire_raft_model::witness::Witness;

fn run(trace: fn() -> Script) -> Script {
    let script = trace();
    assert_eq!(script.violation, None, "{}", script.told());
    script
}

#[test]
fn no_trace_breaks_a_property() {
    for (name, trace) in traces::ALL {
        let script = trace();
        assert_eq!(script.violation, None, "{name}:\n{}", script.told());
    }
}

#[test]
fn a_late_vote_request_of_the_epoch_is_refused() {
    let script = run(traces::delayed_vote);
    assert!(
        script.witnesses.has(Witness::VoteRefused),
        "{}",
        script.told()
    );
    assert_ne!(script.view(2).role, RoleName::Leader);
}

#[test]
fn a_vote_outlives_a_restart() {
    let script = run(traces::restart_before_reply);
    assert!(
        script.witnesses.has(Witness::RestartBeforeReply),
        "{}",
        script.told()
    );
    assert!(
        script.witnesses.has(Witness::VoteRefused),
        "{}",
        script.told()
    );
}

#[test]
fn a_vote_for_an_election_that_is_over_elects_nobody() {
    let script = run(traces::stale_vote);
    assert!(
        script.witnesses.has(Witness::StaleAnswer),
        "{}",
        script.told()
    );
    assert_eq!(
        script.view(0).role,
        RoleName::Prospective,
        "{}",
        script.told()
    );
}

#[test]
fn a_diverging_log_is_truncated_and_catches_up() {
    let script = run(traces::diverging_follower);
    assert!(
        script.witnesses.has(Witness::Truncated),
        "{}",
        script.told()
    );
    for node in [0, 2] {
        let (log, leads) = (&script.view(node).log, &script.view(1).log);
        assert_eq!(log, leads, "node {node}:\n{}", script.told());
    }
}

#[test]
fn nothing_is_committed_that_only_one_disk_has() {
    for trace in [traces::unflushed_leader, traces::unflushed_follower] {
        let script = run(trace);
        assert_eq!(script.view(0).role, RoleName::Leader, "{}", script.told());
        assert_eq!(script.view(0).high_watermark, None, "{}", script.told());
    }
}

#[test]
fn an_old_leaders_answer_is_nothing_under_the_next() {
    let script = run(traces::late_answer);
    assert!(
        script.witnesses.has(Witness::StaleAnswer),
        "{}",
        script.told()
    );
    assert_eq!(script.view(2).role, RoleName::Leader, "{}", script.told());
    assert!(
        script.view(1).log.iter().any(|place| place.epoch == 2),
        "{}",
        script.told()
    );
}

#[test]
fn records_of_old_epochs_wait_for_one_of_the_leaders_own() {
    let script = run(traces::old_epoch);
    assert_eq!(script.view(2).role, RoleName::Leader, "{}", script.told());
    assert_eq!(script.view(2).epoch, 4, "{}", script.told());
}

#[test]
fn candidates_without_the_committed_records_are_refused() {
    for trace in [traces::shorter_log, traces::older_log] {
        let script = run(trace);
        assert!(
            script.witnesses.has(Witness::PreVoteRefused),
            "{}",
            script.told()
        );
    }
}

#[test]
fn a_leader_that_restarts_does_not_lead_its_epoch_again() {
    let script = run(traces::leader_restarts);
    assert_eq!(script.view(0).role, RoleName::Resigned, "{}", script.told());
}
