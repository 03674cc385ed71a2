//! `cargo xtask bench`: measurements beside other libraries, which anyone can repeat.

mod codec;
mod compile;
mod figures;
mod machine;
mod others;
mod raft;
mod report;
mod server;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;

/// A peer asks for a newer compiler than it needs.
const ANY_RUST: &str = "--ignore-rust-version";

/// Measure kwire beside other libraries, in one run.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Encoding and decoding: Rust, Go and Java, and functions by hand
    Codec(codec::Args),
    /// The time to compile each library, and what it adds to a program
    Compile(compile::Args),
    /// Appends through a raft node and its log, beside the disk alone
    Raft(raft::Args),
    /// Three servers, beside the machine's limit and Kafka's own
    Server(server::Args),
    /// What the leaves of decoded messages could be made of
    Shapes,
    /// How many lines of Java's corpus kafka-protocol writes with the same bytes
    Corpus,
}

/// Runs a measurement.
pub(crate) fn run(args: Args) -> Result<()> {
    let run = ["run", "--release", "--quiet", ANY_RUST];
    match args.what {
        What::Codec(args) => codec::run(&args),
        What::Compile(args) => compile::run(&args),
        What::Raft(args) => raft::run(&args),
        What::Server(args) => server::run(&args),
        What::Shapes => finish(cargo().args(run).args(["--", "shapes"])),
        What::Corpus => finish(
            cargo()
                .args(run)
                .args(["--features", "corpus", "--", "corpus"]),
        ),
    }
}

/// A workspace of its own, so that the peers' dependencies stay out of the project's.
fn benches_dir() -> PathBuf {
    paths::workspace_root().join("benches")
}

/// Cargo in the benches' workspace.
fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    // What cargo sets for this program is not meant for the one that it starts.
    command
        .current_dir(benches_dir())
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// Runs a program to its end, its output going where ours goes.
fn finish(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Replaces one part of `docs/benchmarks.md`, whose parts are measured by different commands.
fn write_part(part: &str, text: &str) -> Result<()> {
    let path = paths::workspace_root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&path).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
    let (begin, end) = (
        format!("<!-- {part} -->"),
        format!("<!-- end of {part} -->"),
    );
    let new = format!("{begin}\n{}\n{end}", text.trim_end());
    let whole = match (old.find(&begin), old.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{new}{}", &old[..from], &old[to + end.len()..])
        }
        _ => format!("{}\n\n{new}\n", old.trim_end()),
    };
    fs::write(&path, whole).with_context(|| format!("cannot write {}", path.display()))
}
