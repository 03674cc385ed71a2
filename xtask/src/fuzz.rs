//! `cargo xtask fuzz`: what fuzzers begin with, and damaged messages against Kafka's own classes.
//!
//! Both are done by programs that depend on `protocol`, which this one does not: they are started.

use std::path::PathBuf;
use std::process;

use anyhow::{Context, Result, bail};

use crate::jars::Release;
use crate::java::Java;
use crate::{oracle, paths};

/// The releases that have all versions between them; the tests ask for both.
const ORACLES: [&str; 2] = ["4.4.0", "3.9.2"];

/// Fuzzing: its seeds, and against Java. `fuzz/README.md` says how the targets are run.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Seed(Seed),
    Java(AgainstJava),
}

/// Write what the fuzz targets begin with, made out of the fixtures.
#[derive(clap::Args)]
pub(crate) struct Seed {
    /// The directory, which has one for each target in it [default: fuzz/corpus]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these targets.
    targets: Vec<String>,
}

/// Ask Kafka's own classes about damaged messages, and fail where they and we disagree.
///
/// Both have to accept or refuse alike, and to read the same value. Where they differ on purpose
/// stands in `protocol/tests/messages/interop/differences.rs`.
/// Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct AgainstJava {
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// What messages and damages are drawn from.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Ask about one message instead.
    #[arg(long, num_args = 3, value_names = ["MESSAGE", "VERSION", "HEX"])]
    ask: Option<Vec<String>>,
}

/// Runs the command.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Seed(seed) => write_seeds(seed),
        Command::Java(args) => against_java(args),
    }
}

fn cargo() -> process::Command {
    let mut command = process::Command::new(env!("CARGO"));
    command.current_dir(paths::workspace_root());
    command
}

fn write_seeds(Seed { out, targets }: Seed) -> Result<()> {
    let out = match out {
        // The other program runs elsewhere.
        Some(dir) => std::path::absolute(dir)?,
        None => paths::workspace_root().join("fuzz/corpus"),
    };
    let mut command = cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        "kwire-fuzz-bodies",
        "--",
        "seed",
    ]);
    command.arg(out).args(targets);
    finish(command)
}

fn against_java(args: AgainstJava) -> Result<()> {
    let mut command = cargo();
    command.args([
        "test",
        "--quiet",
        "--package",
        "kwire-protocol",
        "--all-features",
    ]);
    command.args(["--test", "messages", "--"]);
    command.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "interop::fuzz::against_java",
    ]);
    for name in ORACLES {
        let release: Release = name.parse().map_err(anyhow::Error::msg)?;
        let line = oracle::command_line(&Java::for_release(&release)?)?;
        command.env(format!("KWIRE_ORACLE_{}", name.replace('.', "_")), line);
    }
    command
        .env("KWIRE_FUZZ_SECONDS", args.seconds.to_string())
        .env("KWIRE_INTEROP_SEED", args.seed.to_string())
        .env("KWIRE_FUZZ_ASK", args.ask.unwrap_or_default().join(" "));
    finish(command)
}

fn finish(mut command: process::Command) -> Result<()> {
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{} failed", command.get_program().to_string_lossy());
    }
    Ok(())
}
