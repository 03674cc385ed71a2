//! A few seeds of each kind. `cargo xtask sim` runs many.

use kwire_raft::mutation::Mutation;
use kwire_raft_sim::regressions;
use kwire_raft_sim::runner::{Logs, Summary, run, run_all};

fn none_breaks(seeds: impl Iterator<Item = u64> + Send, logs: Logs) {
    let mut summary = Summary::default();
    run_all(seeds, logs, None, |outcome| {
        summary.add(outcome);
        true
    });
    assert!(summary.broken.is_empty(), "{:#?}", summary.broken);
}

#[test]
fn no_rule_is_broken() {
    none_breaks(0..40, Logs::Memory);
}

#[test]
fn no_rule_is_broken_over_files() {
    none_breaks(40..50, Logs::Files);
}

#[test]
fn what_failed_once_does_not_fail_again() {
    none_breaks(regressions::all().map(|known| known.seed), Logs::Both);
}

#[test]
fn a_seed_is_a_run() {
    for logs in [Logs::Memory, Logs::Files] {
        let [first, second] = [(); 2].map(|()| run(11, logs, None, false));
        assert_eq!((first.hash, first.events), (second.hash, second.events));
        assert_ne!(first.hash, run(12, logs, None, false).hash);
    }
}

#[test]
fn a_missing_rule_is_missed() {
    let without = |mutation| {
        let mut found = (0..40).map(|seed| run(seed, Logs::Memory, Some(mutation), false));
        found.any(|outcome| outcome.violation.is_some())
    };
    assert!(without(Mutation::HalfElects));
    assert!(without(Mutation::FollowerAcksUnflushed));
    assert!(without(Mutation::DivergenceNotChecked));
}

#[test]
fn rules_have_different_names() {
    let mut names: Vec<&str> = Mutation::ALL.iter().map(|rule| rule.name()).collect();
    let count = names.len();
    assert!(count >= 30);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
