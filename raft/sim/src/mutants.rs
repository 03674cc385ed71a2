//! Whether the simulator has teeth: each protective rule is switched off in turn, and has to be
//! missed.

use kwire_raft::mutation::Mutation;

use crate::runner::{Logs, Outcome, run_all};
use crate::world::Violation;

/// How a missing rule was noticed.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The seed.
    pub seed: u64,
    /// Events of its run until then.
    pub events: u64,
    /// Runs until then.
    pub runs: u64,
    /// The rule that was broken.
    pub violation: Violation,
}

/// Looks for a run that misses a rule, among so many seeds. `None` if none does.
#[must_use]
pub fn hunt(mutation: Mutation, start: u64, seeds: u64) -> Option<Caught> {
    let mut runs = 0;
    let mut caught: Option<Caught> = None;
    let mut each = |outcome: Outcome| {
        runs += 1;
        if let Some(violation) = outcome.violation {
            caught.get_or_insert(Caught {
                seed: outcome.seed,
                events: outcome.events,
                runs,
                violation,
            });
        }
        caught.is_none()
    };
    run_all(
        start..start.saturating_add(seeds),
        Logs::Both,
        Some(mutation),
        &mut each,
    );
    caught
}
