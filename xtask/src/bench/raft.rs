//! Appends through a raft node, beside the disk alone.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{line, machine, write_part};
use crate::paths;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How long each cell is measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Put the table into docs/benchmarks.md instead of printing it
    #[arg(long)]
    write: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(paths::workspace_root())
        .args(["bench", "--quiet", "-p", "kwire-raft", "--bench", "append"])
        .args(["--", &args.seconds.to_string()]);
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", line(&command)))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            line(&command),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let table = String::from_utf8(output.stdout).context("the table is no text")?;
    if !args.write {
        print!("{table}");
        return Ok(());
    }
    let text = format!(
        "## Appending to a raft log\n\n\
         A lone voter: node, driver and file log, in a directory of the repository.\n\
         `each batch`: synced before the next is made. `shared`: a thread syncs, and what is appended meanwhile shares the next sync. `none`: not synced.\n\
         `disk alone` writes as many bytes at a time to one file, in turns with it, and syncs as often (with `shared`, every 8 MiB).\n\
         A record is counted once it is committed.\n\
         Measured by `cargo xtask bench raft --write`, {}, {}.\n\n{table}",
        machine::describe(),
        machine::today()
    );
    write_part("raft", &text)
}
