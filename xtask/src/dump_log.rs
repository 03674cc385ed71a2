//! `cargo xtask dump-log`: Kafka's own reader of log directories.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::jars::{self, Release};
use crate::{java, paths};

/// Read segments, indexes and snapshots with Kafka's own `DumpLogSegments`.
///
/// `cargo xtask dump-log -- --files 00000000000000000000.log --print-data-log`
/// Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Kafka release. The tools are not complete for every one.
    #[arg(long, value_name = "VERSION", default_value = "4.3.1")]
    release: Release,
    /// Print the command, as a JSON array without the arguments, instead of running it.
    #[arg(long)]
    print_command: bool,
    /// Open the directory of a metadata log as a controller does, instead, and read it to its end. It may be written to.
    #[arg(long)]
    open: bool,
    /// What the tool is to do; with `--open`, the directory.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let jars = {
        let _lock = jars::lock()?;
        jars::fetch_tools(&args.release)?.join("*")
    };
    let mut command = Command::new(java::tool("java"));
    command.arg("-Dfile.encoding=UTF-8").arg("-cp").arg(jars);
    if args.open {
        // Java compiles a program of one file by itself.
        command.arg(paths::workspace_root().join("xtask/java/src/kwire/OpenLog.java"));
    } else {
        command.arg("org.apache.kafka.tools.DumpLogSegments");
    }
    if args.print_command {
        println!("{}", java::command_line(&command)?);
        return Ok(());
    }
    let status = command.args(args.arguments).status();
    let status = status
        .map_err(|error| jars::explain(error, command.get_program()))
        .context("Kafka's reader did not start")?;
    if !status.success() {
        bail!("Kafka's reader failed ({status})");
    }
    Ok(())
}
