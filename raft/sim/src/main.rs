//! `cargo xtask sim`: quorums of kwire-raft in a simulated world.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use kwire_raft::mutation::Mutation;
use kwire_raft_sim::liveness::{COMMIT_WITHIN, LEADER_WITHIN};
use kwire_raft_sim::marks::Mark;
use kwire_raft_sim::regressions::{self, parse_seed};
use kwire_raft_sim::runner::{Logs, Summary, run, run_all};
use kwire_raft_sim::{mutants, world::Violation};

/// Quorums of kwire-raft in a simulated world: every run follows from its seed.
#[derive(Parser)]
#[command(name = "cargo xtask sim", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many seeds to run, beside those that failed once.
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "S", value_parser = seed, default_value = "0")]
    start: u64,
    /// Run this seed alone.
    #[arg(long, value_name = "S", value_parser = seed, conflicts_with_all = ["seeds", "start"])]
    seed: Option<u64>,
    /// Print what happens in it.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Switch this protective rule off.
    #[arg(long, value_name = "RULE", value_parser = mutation)]
    without: Option<Mutation>,
    /// Which logs to run over: every eighth seed has files by default.
    #[arg(long, value_name = "memory|files", value_parser = logs)]
    logs: Option<Logs>,
    /// Do not fail when a situation never comes up.
    #[arg(long)]
    any_coverage: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a seed twice, and compare.
    Meta {
        /// The seed.
        #[arg(long, value_name = "S", value_parser = seed)]
        seed: u64,
    },
    /// Switch each protective rule off in turn, and see whether it is missed.
    Mutants {
        /// How many seeds to look through for each rule.
        #[arg(long, value_name = "N", default_value_t = 2_000)]
        seeds: u64,
        /// The first of them.
        #[arg(long, value_name = "S", value_parser = seed, default_value = "0")]
        start: u64,
        /// Only these rules.
        #[arg(value_parser = mutation)]
        rules: Vec<Mutation>,
    },
}

fn seed(text: &str) -> Result<u64, String> {
    parse_seed(text).ok_or_else(|| "a number, decimal or after 0x".to_owned())
}

fn logs(text: &str) -> Result<Logs, String> {
    match text {
        "memory" => Ok(Logs::Memory),
        "files" => Ok(Logs::Files),
        _ => Err("memory or files".to_owned()),
    }
}

fn mutation(text: &str) -> Result<Mutation, String> {
    let found = Mutation::ALL.iter().find(|m| m.name() == text).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = Mutation::ALL.iter().map(|m| m.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A panic is a result like any other.
    std::panic::set_hook(Box::new(|_| {}));
    let is_good = match args.command {
        Some(Command::Meta { seed }) => meta(seed),
        Some(Command::Mutants {
            seeds,
            start,
            ref rules,
        }) => hunt_all(seeds, start, rules),
        None => match args.seed {
            Some(seed) => one(seed, &args),
            None => many(&args),
        },
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn one(seed: u64, args: &Args) -> bool {
    let outcome = run(
        seed,
        args.logs.unwrap_or_default(),
        args.without,
        args.trace,
    );
    println!(
        "seed {seed:#x}: {} events, {}.{:03} s of virtual time, hash {:016x}",
        outcome.events,
        outcome.time / 1_000_000,
        outcome.time / 1_000 % 1_000,
        outcome.hash
    );
    if let Some(violation) = &outcome.violation {
        report(seed, violation);
    }
    outcome.violation.is_none()
}

fn report(seed: u64, violation: &Violation) {
    println!("FAILED {}: {}", violation.invariant, violation.what);
    println!("    cargo xtask sim --seed {seed:#x} --trace");
}

fn meta(seed: u64) -> bool {
    let [first, second] = [(); 2].map(|()| run(seed, Logs::Both, None, false));
    println!(
        "seed {seed:#x}: {} and {} events, hashes {:016x} and {:016x}",
        first.events, second.events, first.hash, second.hash
    );
    first.hash == second.hash && first.events == second.events
}

fn many(args: &Args) -> bool {
    let began = Instant::now();
    let known: BTreeSet<u64> = regressions::all().map(|known| known.seed).collect();
    let drawn = args.start..args.start.saturating_add(args.seeds);
    let seeds = known.iter().copied().chain(drawn);
    let mut summary = Summary::default();
    run_all(
        seeds,
        args.logs.unwrap_or_default(),
        args.without,
        |outcome| {
            summary.add(outcome);
            summary.broken.len() < 10
        },
    );
    let seconds = began.elapsed().as_secs_f64();
    for (seed, violation) in &summary.broken {
        report(*seed, violation);
    }
    println!("{:>12}  situations", "times");
    for mark in Mark::ALL {
        println!("{:>12}  {}", summary.marks.count(*mark), mark.name());
    }
    println!(
        "{} seeds, {} events, {:.1} hours of virtual time, {:.1} s, {:.0} events/s",
        summary.runs,
        summary.events,
        summary.time as f64 / 3.6e9,
        seconds,
        summary.events as f64 / seconds
    );
    let timeouts =
        |(permille, seed): (u64, u64)| format!("{:.1} ({seed:#x})", permille as f64 / 1e3);
    println!(
        "worst, in election timeouts: leader {} of {LEADER_WITHIN}, commit {} of {COMMIT_WITHIN}; convergence {:.1} s ({:#x})",
        timeouts(summary.worst_leader),
        timeouts(summary.worst_commit),
        summary.worst_convergence.0 as f64 / 1e6,
        summary.worst_convergence.1
    );
    let missing = summary.missing();
    for mark in &missing {
        println!("never: {}", mark.name());
    }
    let is_covered = missing.is_empty() || args.any_coverage;
    println!(
        "{} failed, {} could elect nobody",
        summary.broken.len(),
        summary.stuck
    );
    summary.broken.is_empty() && is_covered
}

fn hunt_all(seeds: u64, start: u64, rules: &[Mutation]) -> bool {
    let rules = if rules.is_empty() {
        Mutation::ALL
    } else {
        rules
    };
    let mut missed = Vec::new();
    println!(
        "{:<34} {:>6} {:>8} {:>9}  noticed by",
        "rule switched off", "runs", "seed", "events"
    );
    for rule in rules {
        match mutants::hunt(*rule, start, seeds) {
            Some(caught) => println!(
                "{:<34} {:>6} {:>8} {:>9}  {}",
                rule.name(),
                caught.runs,
                format!("{:#x}", caught.seed),
                caught.events,
                caught.violation.invariant
            ),
            None => {
                println!("{:<34} {seeds:>6} NOT NOTICED", rule.name());
                missed.push(rule.name());
            }
        }
    }
    println!("{} of {} noticed", rules.len() - missed.len(), rules.len());
    for name in &missed {
        println!("not noticed: {name}");
    }
    missed.is_empty()
}
