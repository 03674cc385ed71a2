//! `cargo xtask kafka`: Kafka's own programs, to hold ours against.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::jars::{self, Release};
use crate::java;
use crate::paths;

/// Run one of Kafka's own programs.
///
/// `cargo xtask kafka storage -- format --config FILE --cluster-id ID --standalone`
/// `cargo xtask kafka tool -- org.apache.kafka.tools.GetOffsetShell --bootstrap-server localhost:9092`
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
pub(crate) enum Program {
    /// A node: `kafka.Kafka`.
    Node,
    /// A node of a quorum that writes records while it leads: `kafka.tools.TestRaftServer`.
    RaftServer,
    /// `kafka-storage`.
    Storage,
    /// `kafka-metadata-quorum`.
    MetadataQuorum,
    /// Kafka's reader of log files: `DumpLogSegments`.
    DumpLog,
    /// Opens the directory of a metadata log as a controller does, and reads it to its end. It may
    /// be written to.
    OpenLog,
    /// The tool whose class is the first argument.
    Tool,
}

impl Program {
    /// What Java is to run: a class, or a program of one file, which it compiles by itself.
    fn main(self) -> Option<OsString> {
        match self {
            Program::Node => Some("kafka.Kafka".into()),
            Program::RaftServer => Some("kafka.tools.TestRaftServer".into()),
            Program::Storage => Some("kafka.tools.StorageTool".into()),
            Program::MetadataQuorum => Some("org.apache.kafka.tools.MetadataQuorumCommand".into()),
            Program::DumpLog => Some("org.apache.kafka.tools.DumpLogSegments".into()),
            Program::OpenLog => {
                let source = "xtask/java/src/kwire/OpenLog.java";
                Some(paths::workspace_root().join(source).into_os_string())
            }
            Program::Tool => None,
        }
    }

    /// Where its jars are.
    fn class_path(self, release: &Release) -> Result<OsString> {
        let _lock = jars::lock()?;
        match self {
            Program::Node | Program::RaftServer | Program::Storage => {
                Ok(jars::fetch(release)?.join("*").into_os_string())
            }
            Program::MetadataQuorum | Program::DumpLog | Program::OpenLog | Program::Tool => {
                let mut path = jars::fetch_tools(release)?.join("*").into_os_string();
                // Before 4.0 some of the tools were part of Kafka itself.
                if !release.is_at_least(4, 0) {
                    path.push(if cfg!(windows) { ";" } else { ":" });
                    path.push(jars::fetch(release)?.join("*"));
                }
                Ok(path)
            }
        }
    }
}

/// Runs the program.
pub(crate) fn run(args: Args) -> Result<()> {
    let mut command = command(args.program, &args.release, "256m")?;
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

/// The command that starts a program with so large a heap at most.
pub(crate) fn command(program: Program, release: &Release, heap: &str) -> Result<Command> {
    let mut command = Command::new(java::tool("java"));
    command
        .arg(format!("-Xmx{heap}"))
        .args(["-Dfile.encoding=UTF-8", "-cp"])
        .arg(program.class_path(release)?)
        .args(program.main());
    Ok(command)
}
