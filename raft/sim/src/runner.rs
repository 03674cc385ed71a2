//! Runs of seeds, one after the other or side by side, and what they come to.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kwire_raft::driver::MemoryLog;
use kwire_raft::mutation::{Mutation, switch_off};

use crate::clock::Micros;
use crate::disk::SimLog;
use crate::files::MemoryFileLog;
use crate::liveness::Recovery;
use crate::marks::{Mark, Marks};
use crate::swarm::Options;
use crate::world::{Violation, World};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// The events.
    pub events: u64,
    /// The virtual time.
    pub time: Micros,
    /// What came up.
    pub marks: Marks,
    /// A hash of everything that happened.
    pub hash: u64,
    /// How the second phase went.
    pub recovery: Recovery,
}

/// What a run's logs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logs {
    /// Those of [`kwire_raft::driver`] in memory.
    Memory,
    /// Those in Kafka's format, over files in memory.
    Files,
    /// Some runs have these, some those.
    #[default]
    Both,
}

/// Runs a seed, with a rule switched off if one is named.
#[must_use]
pub fn run(seed: u64, logs: Logs, mutation: Option<Mutation>, prints: bool) -> Outcome {
    match logs {
        Logs::Files => run_over::<MemoryFileLog>(seed, mutation, prints),
        Logs::Both if seed % 8 == 5 => run_over::<MemoryFileLog>(seed, mutation, prints),
        _ => run_over::<MemoryLog>(seed, mutation, prints),
    }
}

/// Runs a seed over a log of some kind.
#[must_use]
pub fn run_over<L: SimLog>(seed: u64, mutation: Option<Mutation>, prints: bool) -> Outcome {
    let options = Options::draw(seed);
    if prints {
        println!("{options:#?}");
    }
    switch_off(mutation);
    // Outside of what may panic, so that what led there is not lost.
    let mut world = World::<L>::new(options, prints);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    switch_off(None);
    let panicked = ran.err().map(|panic| Violation {
        invariant: "no panic",
        what: text_of(&*panic),
    });
    Outcome {
        seed,
        violation: panicked.or(world.violation.take()),
        events: world.events,
        time: world.now,
        marks: world.marks.clone(),
        hash: world.trace_hash(),
        recovery: world.recovery.clone(),
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}

/// Runs many seeds on all processors. What comes of each goes to `each`, in no particular order;
/// it says whether to go on.
pub fn run_all(
    seeds: impl Iterator<Item = u64> + Send,
    logs: Logs,
    mutation: Option<Mutation>,
    each: impl FnMut(Outcome) -> bool + Send,
) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let seeds = Mutex::new(seeds);
    let each = Mutex::new(each);
    let stop = AtomicU64::new(0);
    let next = || seeds.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0
                    && let Some(seed) = next()
                {
                    let outcome = run(seed, logs, mutation, false);
                    let goes_on = each.lock().is_ok_and(|mut each| each(outcome));
                    if !goes_on {
                        stop.store(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Events of all.
    pub events: u64,
    /// Virtual time of all.
    pub time: Micros,
    /// What came up.
    pub marks: Marks,
    /// The runs that broke a rule, by seed.
    pub broken: BTreeMap<u64, Violation>,
    /// Runs at whose end nobody could be elected, Kafka's nodes neither.
    pub stuck: u64,
    /// The longest way to a leader, in thousandths of an election timeout, and its seed.
    pub worst_leader: (u64, u64),
    /// The longest way from there to an acknowledged append, likewise.
    pub worst_commit: (u64, u64),
    /// The longest way from there to all being equal, in microseconds, and its seed.
    pub worst_convergence: (Micros, u64),
}

impl Summary {
    /// Adds a run.
    pub fn add(&mut self, outcome: Outcome) {
        self.runs += 1;
        self.events += outcome.events;
        self.time += outcome.time;
        self.marks.add(&outcome.marks);
        self.stuck += u64::from(outcome.recovery.is_stuck);
        let worst = |worst: &mut (u64, u64), found: Option<u64>| {
            *worst = (*worst).max((found.unwrap_or(0), outcome.seed));
        };
        worst(&mut self.worst_leader, outcome.recovery.leader_within);
        worst(&mut self.worst_commit, outcome.recovery.commit_within);
        worst(
            &mut self.worst_convergence,
            outcome.recovery.converged_within,
        );
        if let Some(violation) = outcome.violation {
            self.broken.insert(outcome.seed, violation);
        }
    }

    /// The situations that never came up.
    #[must_use]
    pub fn missing(&self) -> Vec<Mark> {
        let missing = |mark: &&Mark| self.marks.count(**mark) == 0;
        Mark::ALL.iter().filter(missing).copied().collect()
    }
}
