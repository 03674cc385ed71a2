//! `cargo xtask kafka-tools`: Kafka's own command-line tools.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::jars::{self, Release};
use crate::java;

/// Run one of Kafka's own command-line tools.
///
/// `cargo xtask kafka-tools -- org.apache.kafka.tools.GetOffsetShell --bootstrap-server localhost:9092`
/// Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Kafka release. The tools are not complete for every one.
    #[arg(long, value_name = "VERSION", default_value = "4.3.1")]
    release: Release,
    /// Print the command, as a JSON array without the class and its arguments, instead of running it.
    #[arg(long)]
    print_command: bool,
    /// The class of the tool, and what it is to do.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let jars = {
        let _lock = jars::lock()?;
        let mut jars = jars::fetch_tools(&args.release)?.join("*").into_os_string();
        // Before 4.0 some of the tools were part of Kafka itself.
        if !args.release.is_at_least(4, 0) {
            jars.push(if cfg!(windows) { ";" } else { ":" });
            jars.push(jars::fetch(&args.release)?.join("*"));
        }
        jars
    };
    let mut command = Command::new(java::tool("java"));
    command.arg("-Xmx256m").arg("-cp").arg(jars);
    if args.print_command {
        println!("{}", java::command_line(&command)?);
        return Ok(());
    }
    let status = command.args(args.arguments).status();
    let status = status
        .map_err(|error| jars::explain(error, command.get_program()))
        .context("Kafka's tool did not start")?;
    if !status.success() {
        bail!("Kafka's tool failed ({status})");
    }
    Ok(())
}
