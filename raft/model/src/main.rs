//! `cargo xtask model` runs this: every scenario, and a report.

use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
#[cfg(feature = "mutations")]
use kwire_raft::mutation::Mutation;
use kwire_raft_model::explore::{Found, explore};
use kwire_raft_model::report;
use kwire_raft_model::scenario::{Scenario, begin};
use kwire_raft_model::scenarios::{DEFAULT, QUICK};
use kwire_raft_model::witness::{Witness, Witnesses};

/// Check a KRaft node in every order of events, within bounds.
///
/// Prints how far it went, what it left out, and the shortest way to the first violation of each
/// scenario. Fails on a violation, when a cap was hit, or when something that ought to happen did
/// not.
#[derive(Parser)]
struct Args {
    /// Only the scenarios whose name contains this.
    #[arg(long)]
    scenario: Option<String>,
    /// The small scenarios that `cargo test` runs.
    #[arg(long)]
    quick: bool,
    /// Switch this rule of the node off.
    #[cfg(feature = "mutations")]
    #[arg(long, value_parser = mutation)]
    mutation: Option<Mutation>,
    /// How many scenarios run at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[cfg(feature = "mutations")]
fn mutation(name: &str) -> Result<Mutation, String> {
    let mut all = Mutation::ALL.iter();
    let found = all.find(|mutation| mutation.name() == name);
    found
        .copied()
        .ok_or_else(|| "there is no such rule".to_owned())
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A panic of a node is a violation with a trace, and needs no other report.
    std::panic::set_hook(Box::new(|_| {}));
    let all = if args.quick { QUICK } else { DEFAULT };
    let wanted = |s: &&Scenario| {
        args.scenario
            .as_ref()
            .is_none_or(|part| s.name.contains(part))
    };
    let chosen: Vec<&Scenario> = all.iter().filter(wanted).collect();
    let queue = Mutex::new(chosen.iter());
    let seen = Mutex::new((Witnesses::default(), true));
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                #[cfg(feature = "mutations")]
                kwire_raft::mutation::switch_off(args.mutation);
                while let Some(scenario) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let is_good = run(scenario, &seen);
                    if let Ok(mut seen) = seen.lock() {
                        seen.1 &= is_good;
                    }
                }
            });
        }
    });
    let (witnesses, mut good) = seen.into_inner().unwrap_or_default();
    println!("{}", report::witnesses(witnesses));
    if chosen.len() == DEFAULT.len() && !args.quick {
        good &= Witness::ALL.iter().all(|wanted| witnesses.has(*wanted));
    }
    if good && !chosen.is_empty() {
        println!("ok: {} scenarios", chosen.len());
        ExitCode::SUCCESS
    } else {
        println!("FAILED");
        ExitCode::FAILURE
    }
}

fn run(scenario: &Scenario, seen: &Mutex<(Witnesses, bool)>) -> bool {
    let found: Found = match begin(scenario) {
        Ok((mut model, world)) => explore(&mut model, world),
        Err(violation) => {
            println!(
                "{}: FAILED on the way to its start: {violation}",
                scenario.name
            );
            return false;
        }
    };
    println!("{}", report::scenario(scenario, &found));
    if let Ok(mut seen) = seen.lock() {
        seen.0.merge(found.witnesses);
    }
    report::is_good(scenario, &found)
}
