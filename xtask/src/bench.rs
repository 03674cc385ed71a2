//! `cargo xtask bench`: measurements beside kafka-protocol, reproducible by anyone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Usage, UsageWho, getrusage};

/// A workspace of its own, so that the peers' dependencies stay out of the project's.
const BENCHES_DIR: &str = "benches";

/// A peer asks for a newer compiler than it needs.
const ANY_RUST: &str = "--ignore-rust-version";

/// Measure kwire beside kafka-protocol, in one run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum)]
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Encoding and decoding
    Codec,
    /// What the leaves of decoded messages could be made of
    Shapes,
    /// The time to compile each library
    Compile,
    /// How many lines of Java's corpus kafka-protocol writes with the same bytes
    Corpus,
}

/// Runs a measurement.
pub(crate) fn run(args: Args) -> Result<()> {
    match args.what {
        What::Codec => cargo(&["run", "--release", "--quiet", ANY_RUST, "--", "codec"]),
        What::Shapes => cargo(&["run", "--release", "--quiet", ANY_RUST, "--", "shapes"]),
        What::Compile => compile(),
        What::Corpus => {
            let run = [
                "run",
                "--release",
                "--quiet",
                ANY_RUST,
                "--features",
                "corpus",
            ];
            cargo(&[&run[..], &["--", "corpus"]].concat())
        }
    }
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(Path::new(BENCHES_DIR));
    // What cargo sets for this program is not meant for the one that it starts.
    command.env_remove("CARGO_TARGET_DIR");
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// Clean builds of each library alone, its dependencies being there.
fn compile() -> Result<()> {
    println!("| library | build | CPU seconds | wall seconds |\n|---|---|---|---|");
    for package in ["kwire-protocol", "kafka-protocol"] {
        for (name, build) in [
            ("release", &["build", "--release", ANY_RUST][..]),
            ("check", &["check", ANY_RUST][..]),
        ] {
            let package_build = [build, &["--quiet", "--package", package]].concat();
            quiet(&package_build)?;
            let mut clean = vec!["clean", "--quiet", "--package", package];
            if name == "release" {
                clean.push("--release");
            }
            quiet(&clean)?;
            let (before, start) = (cpu_seconds()?, Instant::now());
            quiet(&package_build)?;
            let (cpu, wall) = (cpu_seconds()? - before, start.elapsed().as_secs_f64());
            println!("| {package} | {name} | {cpu:.1} | {wall:.1} |");
        }
    }
    Ok(())
}

fn quiet(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(arguments)
        .current_dir(Path::new(BENCHES_DIR))
        .env_remove("CARGO_TARGET_DIR")
        .stdout(Stdio::null());
    if !command.status().context("cannot run cargo")?.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// CPU seconds of all finished child processes.
fn cpu_seconds() -> Result<f64> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike;
        time.num_microseconds() as f64 / 1e6
    };
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
