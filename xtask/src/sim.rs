//! `cargo xtask sim`: quorums in a simulated world.
//!
//! The simulator depends on `protocol` and `raft`, which this program does not: it is started.

use anyhow::{Context, Result, bail};

use crate::paths;

/// Run raft quorums in a simulated world, in release mode: `cargo xtask sim --help`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What the simulator is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.current_dir(paths::workspace_root());
    command.args(["run", "--quiet", "--release", "--package", "kwire-raft-sim"]);
    command.arg("--").args(args.args);
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the simulation failed");
    }
    Ok(())
}
