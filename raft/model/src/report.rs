//! What is printed.

use std::fmt::Write as _;

use crate::explore::{Failure, Found};
use crate::scenario::{Quorum, Scenario, Start};
use crate::witness::{Witness, Witnesses};

/// One exploration: how far it went, what it left out, and how it ended.
#[must_use]
pub fn scenario(scenario: &Scenario, found: &Found) -> String {
    let mut text = String::new();
    let (locals, packets, steps) = found.sizes;
    let quorum = match scenario.quorum {
        Quorum::Static => "voters of the configuration, kraft.version 0",
        Quorum::Dynamic => "voters of the log, kraft.version 1",
    };
    let start = match scenario.start {
        Start::Fresh => "three nodes that never ran; by symmetry, node 0 stands first",
        Start::Removed => "node 0 leads epoch 1, node 2 was removed from the voters and observes",
        Start::Led => "node 0 leads epoch 1, its first record is committed",
    };
    let _ = writeln!(text, "{}: {}", scenario.name, scenario.about);
    let _ = writeln!(text, "  {quorum}");
    let _ = writeln!(text, "  start: {start}");
    let _ = writeln!(
        text,
        "  {} states, {} transitions, depth {}, {:.1} s",
        found.states,
        found.transitions,
        found.depth,
        found.took.as_secs_f64()
    );
    let _ = writeln!(
        text,
        "  of {locals} states of single nodes, {packets} messages, {steps} steps of single nodes"
    );
    let _ = writeln!(
        text,
        "  cut: {} steps to later epochs, {} steps that lost a late request",
        found.beyond, found.lost
    );
    for line in scenario.bounds.exclusions() {
        let _ = writeln!(text, "  not looked at: {line}");
    }
    for witness in scenario.wants {
        if !found.witnesses.has(*witness) && found.failure.is_none() {
            let _ = writeln!(text, "  MISSING: {}", witness.text());
        }
    }
    match &found.failure {
        None => text.push_str("  every property holds\n"),
        Some(failure) => text.push_str(&self::failure(failure)),
    }
    text
}

/// A violation and the way there.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let mut text = format!("  FAILED: {}\n", failure.what);
    for (at, (action, nodes)) in failure.trace.iter().enumerate() {
        let _ = writeln!(text, "  {at:3}. {action}");
        if !nodes.is_empty() {
            let _ = writeln!(text, "       {nodes}");
        }
    }
    text
}

/// What was seen in all explorations together.
#[must_use]
pub fn witnesses(seen: Witnesses) -> String {
    let mut text = "seen in at least one exploration:\n".to_owned();
    for witness in Witness::ALL {
        let mark = if seen.has(*witness) { "yes" } else { "NO " };
        let _ = writeln!(text, "  {mark} {}", witness.text());
    }
    text
}

/// Whether an exploration looked at everything, found nothing wrong, and saw what it was to see.
#[must_use]
pub fn is_good(scenario: &Scenario, found: &Found) -> bool {
    found.failure.is_none()
        && scenario
            .wants
            .iter()
            .all(|wanted| found.witnesses.has(*wanted))
}
