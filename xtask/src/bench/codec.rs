//! Encoding and decoding: runs every contestant and makes the tables.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::figures::{Case, Figures};
use super::others::Other;
use super::{ANY_RUST, benches_dir, cargo, finish, line, report, write_part};

#[derive(clap::Args)]
pub(super) struct Args {
    /// About a minute instead of a quarter of an hour, with more noise
    #[arg(long)]
    quick: bool,
    /// Put the tables into docs/benchmarks.md instead of printing them
    #[arg(long)]
    write: bool,
    /// Leave out Go and Java
    #[arg(long)]
    rust_only: bool,
    /// Time with the allocator of a process that has never freed a large block
    #[arg(long)]
    cold_malloc: bool,
    /// Only these cases, by their letters; or compressions
    #[arg(long = "case")]
    cases: Vec<String>,
    /// Only these operations, such as decode; of the Rust contestants
    #[arg(long = "operation")]
    operations: Vec<String>,
}

/// What glibc's allocator does before it has learnt from a freed block.
///
/// Naming its thresholds keeps it from learning.
const COLD: [(&str, &str); 1] = [(
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072",
)];

/// The cases that show what a cold allocator costs: the two that allocate most.
const COLD_CASES: [&str; 2] = ["b", "d"];

pub(super) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let program = build()?;
    let dir = export(&program)?;
    let cases = Case::parse_all(&fs::read_to_string(dir.join("cases.tsv"))?)?;
    let wanted = |id: &&str| args.cases.is_empty() || args.cases.iter().any(|case| case == id);
    let messages: Vec<&str> = cases
        .iter()
        .map(|case| case.id.as_str())
        .filter(wanted)
        .collect();
    let compressions: Vec<&str> = report::COMPRESSIONS.into_iter().filter(wanted).collect();
    let (mut others, mut missing) = (Vec::new(), Vec::new());
    if !args.rust_only {
        for other in [Other::go(), Other::java()] {
            match other {
                Ok(other) => others.push(other),
                Err(error) => missing.push(format!("{error:#}")),
            }
        }
        missing.iter().for_each(|why| eprintln!("left out: {why}"));
    }

    let mut figures = Figures::default();
    let millis = if args.quick { 60 } else { 500 };
    let run_others = |figures: &mut Figures| -> Result<()> {
        for other in &others {
            eprintln!("{}", other.name);
            for mut command in other.commands(&dir, millis, &messages, &compressions) {
                collect(&mut command, figures)?;
            }
        }
        Ok(())
    };
    run_others(&mut figures)?;
    eprintln!("Rust");
    collect(&mut rust(&program, args, args.cold_malloc), &mut figures)?;
    // What disturbs the machine for a while hits everybody at least once.
    if !args.quick {
        run_others(&mut figures)?;
    }

    let mut cold = Figures::default();
    if !args.cold_malloc && args.cases.is_empty() && args.operations.is_empty() {
        let mut command = rust(&program, args, true);
        command.args(["--operation", "decode"]);
        command.args(COLD_CASES.iter().flat_map(|case| ["--case", case]));
        collect(&mut command, &mut cold)?;
    }
    let text = report::codec(&report::Run {
        cases: &cases,
        figures: &figures,
        cold: &cold,
        others: &others
            .iter()
            .map(|other| other.version.clone())
            .collect::<Vec<_>>(),
        missing: &missing,
        command: &command_line(args),
        minutes: start.elapsed().as_secs_f64() / 60.0,
    })?;
    if args.write {
        write_part("codec", &text)?;
    } else {
        println!("{text}");
    }
    Ok(())
}

/// Builds the Rust contestants' program, once, so that a change of its source meanwhile changes
/// nothing.
fn build() -> Result<PathBuf> {
    finish(cargo().args(["build", "--release", "--quiet", ANY_RUST]))?;
    Ok(benches_dir().join("target/release/kwire-benches"))
}

/// Writes the cases where the programs in other languages find them.
fn export(program: &Path) -> Result<PathBuf> {
    let dir = benches_dir().join("target/cases");
    finish(Command::new(program).arg("export").arg(&dir))?;
    Ok(dir)
}

/// The command that times the Rust contestants.
fn rust(program: &Path, args: &Args, cold: bool) -> Command {
    let mut command = Command::new(program);
    command.arg("codec");
    if args.quick {
        command.arg("--quick");
    }
    command.args(args.cases.iter().flat_map(|case| ["--case", case]));
    let operations = args.operations.iter();
    command.args(operations.flat_map(|name| ["--operation", name]));
    if cold {
        command.envs(COLD);
    }
    command
}

/// Runs a program and takes in the figures that it prints.
fn collect(command: &mut Command, figures: &mut Figures) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let stdout = child.stdout.take().context("the output is piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let taken = lines.try_for_each(|line| figures.add(&line?));
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    taken
}

fn command_line(args: &Args) -> String {
    let mut line = "cargo xtask bench codec".to_owned();
    for (given, flag) in [
        (args.quick, " --quick"),
        (args.rust_only, " --rust-only"),
        (args.cold_malloc, " --cold-malloc"),
        (args.write, " --write"),
    ] {
        line += if given { flag } else { "" };
    }
    for case in &args.cases {
        line += &format!(" --case {case}");
    }
    for operation in &args.operations {
        line += &format!(" --operation {operation}");
    }
    line
}
