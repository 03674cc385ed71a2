//! `cargo xtask model`: the bounded model check of the raft node.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::paths;

/// Check the raft node in every order of events, within bounds that are printed.
///
/// Everything after `--` goes to the check itself: `cargo xtask model -- --help`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build it with the switches for the node's protective rules: `-- --mutation half-elects`.
    #[arg(long)]
    mutations: bool,
    /// What to check.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::workspace_root());
    cargo.args(["run", "--quiet", "--release", "-p", "kwire-raft-model"]);
    if args.mutations {
        cargo.args(["--features", "mutations"]);
    }
    let status = cargo.arg("--").args(args.rest).status();
    let status = status.context("cannot run cargo")?;
    ensure!(status.success(), "the model check failed");
    Ok(())
}
