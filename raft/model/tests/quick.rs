//! Small explorations, of seconds. `cargo xtask model` runs the large ones.

use kwire_raft_model::explore::explore;
use kwire_raft_model::report;
use kwire_raft_model::scenario::{Scenario, begin};
use kwire_raft_model::scenarios::QUICK;

#[test]
fn every_state_of_the_small_scenarios_is_as_it_ought_to_be() {
    for scenario in QUICK {
        let (mut model, world) = begin(scenario).expect("it starts");
        let found = explore(&mut model, world);
        let text = report::scenario(scenario, &found);
        assert!(report::is_good(scenario, &found), "{text}");
    }
}

#[test]
fn a_cap_that_is_hit_is_a_failure() {
    let mut small: Scenario = QUICK[0];
    small.bounds.max_states = 100;
    let (mut model, world) = begin(&small).expect("it starts");
    let found = explore(&mut model, world);
    assert!(!report::is_good(&small, &found));
}

#[test]
fn a_witness_that_is_missing_is_a_failure() {
    use kwire_raft_model::witness::Witness;
    let mut calm: Scenario = QUICK[0];
    calm.bounds.crashes = 0;
    calm.wants = &[Witness::RestartBeforeReply];
    let (mut model, world) = begin(&calm).expect("it starts");
    let found = explore(&mut model, world);
    assert!(found.failure.is_none() && !report::is_good(&calm, &found));
}

#[test]
fn a_run_is_the_same_each_time() {
    let run = || {
        let (mut model, world) = begin(&QUICK[1]).expect("it starts");
        let found = explore(&mut model, world);
        (found.states, found.transitions, found.depth, found.sizes)
    };
    assert_eq!(run(), run());
}
