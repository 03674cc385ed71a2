//! With a rule of the node switched off, a trace or an exploration finds a property that does not
//! hold.
#![cfg(feature = "mutations")]

use kwire_raft::mutation::Mutation::{self, *};
use kwire_raft::mutation::switch_off;
use kwire_raft_model::explore::explore;
use kwire_raft_model::scenario::begin;
use kwire_raft_model::scenarios::DEFAULT;
use kwire_raft_model::traces;

/// The rules without which a trace goes wrong, and the trace.
const BY_TRACE: &[(Mutation, &str)] = &[
    (VoteNotSaved, "a restart between vote and reply"),
    (VoteTwice, "a restart between vote and reply"),
    (FollowerAcksUnflushed, "a follower with an unflushed record"),
    (CommitOldEpoch, "a record of an old epoch"),
    (LeaderTruncatesForFollower, "a diverging follower"),
    (DivergenceNotChecked, "a diverging follower"),
    (VoteForShorterLog, "a candidate whose log is shorter"),
    (VoteByLengthAlone, "a candidate whose log is older"),
    (HalfElects, "a delayed vote request"),
    (FastestVoterCommits, "an old leader's late answer"),
];

/// The rules without which an exploration finds something soon, and its name.
const BY_EXPLORATION: &[(Mutation, &str)] = &[
    (EpochNotSaved, "crashing-voters"),
    (AnswerThoughSavingFailed, "crashing-voters"),
    (LeaderAgainAfterRestart, "replication"),
    (VoterKeyNotChecked, "lost-disk"),
    (DirectoryNotCompared, "lost-disk"),
    (TwoVoterChanges, "removals"),
    (VoterChangeBeforeCommit, "removals"),
    (RemovedLeaderCounts, "removals"),
];

#[test]
fn traces_find_what_is_switched_off() {
    for &(mutation, name) in BY_TRACE {
        let found = traces::ALL.iter().find(|(other, _)| *other == name);
        let (_, trace) = found.expect("a trace of that name");
        switch_off(Some(mutation));
        let script = trace();
        switch_off(None);
        assert!(
            script.violation.is_some(),
            "{mutation:?}:\n{}",
            script.told()
        );
    }
}

#[test]
fn explorations_find_what_is_switched_off() {
    for &(mutation, name) in BY_EXPLORATION {
        let found = DEFAULT.iter().find(|scenario| scenario.name == name);
        let mut scenario = *found.expect("a scenario of that name");
        scenario.bounds.max_states = 300_000;
        switch_off(Some(mutation));
        let outcome = begin(&scenario).map(|(mut model, world)| explore(&mut model, world));
        switch_off(None);
        // On the way to the start is early enough, too.
        if let Ok(found) = outcome {
            let failure = found.failure.expect("a violation");
            assert!(!failure.trace.is_empty(), "{mutation:?}: {}", failure.what);
        }
    }
}
