//! `cargo xtask kafka`: Kafka's own programs, to hold ours against.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::jars::{self, Release};
use crate::java;

/// Run one of Kafka's own programs.
///
/// `cargo xtask kafka storage -- format --config FILE --cluster-id ID --standalone`
/// Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The program.
    program: Program,
    /// The Kafka release. The tools are not complete for every one.
    #[arg(long, value_name = "VERSION", default_value = "4.3.1")]
    release: Release,
    /// Print the command, as a JSON array without the arguments, instead of running it.
    #[arg(long)]
    print_command: bool,
    /// What the program is to do.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Program {
    /// A node: `kafka.Kafka`.
    Node,
    /// `kafka-storage`.
    Storage,
    /// `kafka-metadata-quorum`.
    MetadataQuorum,
}

/// Runs the program.
pub(crate) fn run(args: Args) -> Result<()> {
    let (class, jars) = {
        let _lock = jars::lock()?;
        match args.program {
            Program::Node => ("kafka.Kafka", jars::fetch(&args.release)?),
            Program::Storage => ("kafka.tools.StorageTool", jars::fetch(&args.release)?),
            Program::MetadataQuorum => (
                "org.apache.kafka.tools.MetadataQuorumCommand",
                jars::fetch_tools(&args.release)?,
            ),
        }
    };
    let mut command = Command::new(java::tool("java"));
    command.args(["-Dfile.encoding=UTF-8", "-cp"]);
    command.arg(jars.join("*")).arg(class);
    if args.print_command {
        println!("{}", java::command_line(&command)?);
        return Ok(());
    }
    let status = command.args(args.arguments).status();
    let status = status
        .map_err(|error| jars::explain(error, command.get_program()))
        .context("Kafka's program did not start")?;
    if !status.success() {
        bail!("Kafka's program failed ({status})");
    }
    Ok(())
}
