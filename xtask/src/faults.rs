//! `cargo xtask faults`: quorums of real processes, hurt.
//!
//! The harness depends on `protocol` and `server`, which this program does not: it is started.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::jars::Release;
use crate::kafka::{self, Program};
use crate::{java, paths};

/// What Kafka's own script gives a node. A voter that catches up needs more than a quarter of that.
const HEAP: &str = "1g";

/// Hurt quorums of real processes, ours and Kafka's, and look whether anything acknowledged got
/// lost: `cargo xtask faults --help`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What the harness is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(paths::workspace_root());
    build.args([
        "build",
        "--quiet",
        "--release",
        "-p",
        "kwire",
        "-p",
        "kwire-faults",
    ]);
    if !build.status().context("cannot run cargo")?.success() {
        bail!("there is nothing to run");
    }
    let binaries = paths::target_dir().join("release");
    let mut harness = Command::new(binaries.join("kwire-faults"));
    harness.arg("--kwire").arg(binaries.join("kwire"));
    harness.arg("--dir").arg(paths::target_dir().join("faults"));
    for release in releases(&args.args)? {
        let command = kafka::command(Program::RaftServer, &release, HEAP)?;
        let variable = release.to_string().replace('.', "_");
        let variable = format!("KWIRE_RAFT_SERVER_{variable}");
        harness.env(variable, java::command_line(&command)?);
    }
    let status = harness.args(args.args).status();
    let status = status.context("the harness did not start")?;
    if !status.success() {
        bail!("the quorums did not hold");
    }
    Ok(())
}

/// The releases of Kafka whose nodes are wanted.
fn releases(args: &[String]) -> Result<Vec<Release>> {
    let words = args.iter().flat_map(|arg| arg.split([',', '=']));
    let releases = words.filter_map(|word| word.strip_prefix("java-"));
    let mut releases: Vec<&str> = releases.collect();
    releases.sort_unstable();
    releases.dedup();
    let parse = |release: &str| release.parse::<Release>().map_err(anyhow::Error::msg);
    releases.into_iter().map(parse).collect()
}
