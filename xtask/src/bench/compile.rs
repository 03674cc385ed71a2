//! What the libraries cost to compile, and add to a program.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Usage, UsageWho, getrusage};

use super::{ANY_RUST, benches_dir, line, machine, write_part};
use crate::paths;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How often each is built; the least counts
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Only these programs, such as kwire-raft
    #[arg(long = "program")]
    programs: Vec<String>,
    /// Put the table into docs/benchmarks.md instead of printing it
    #[arg(long)]
    write: bool,
}

/// A program that uses a library: its source is in the benches' `compile` directory, its manifest is
/// made here, and its versions are those of the benches' lock file.
struct Program {
    name: &'static str,
    source: &'static str,
    /// The library, and how the program depends on it.
    library: &'static str,
    dependency: &'static str,
    what: &'static str,
    /// Whether the program is what is timed, not the library.
    itself: bool,
}

const CODECS: &str = r#"default-features = false, features = ["gzip", "snappy", "lz4", "zstd"]"#;
const EVERYTHING: &str = r#"features = ["dispatch", "json", "docs"]"#;
const RAFT: &str = r#"default-features = false, features = ["raft"]"#;
const DEFAULT: &str = "default-features = true";
const COMPRESSION: &str = r#"features = ["compression"]"#;

const PROGRAMS: [Program; 10] = [
    library(
        "kwire",
        "kwire",
        "kwire-protocol",
        DEFAULT,
        "default features",
    ),
    library(
        "kwire-everything",
        "kwire",
        "kwire-protocol",
        EVERYTHING,
        "all features",
    ),
    library(
        "kwire-raft",
        "kwire",
        "kwire-protocol",
        RAFT,
        "feature `raft` alone",
    ),
    ten("kwire-ten", "kwire-protocol", DEFAULT),
    library(
        "kafka-protocol",
        "kafka-protocol",
        "kafka-protocol",
        DEFAULT,
        "default features",
    ),
    ten("kafka-protocol-ten", "kafka-protocol", DEFAULT),
    library(
        "krabka-protocol",
        "krabka-protocol",
        "krabka-protocol",
        CODECS,
        "all codecs",
    ),
    ten("krabka-protocol-ten", "krabka-protocol", CODECS),
    library(
        "kacrab-protocol",
        "kacrab-protocol",
        "kacrab-protocol",
        COMPRESSION,
        "all codecs",
    ),
    ten("kacrab-protocol-ten", "kacrab-protocol", COMPRESSION),
];

const fn library(
    name: &'static str,
    source: &'static str,
    library: &'static str,
    dependency: &'static str,
    what: &'static str,
) -> Program {
    Program {
        name,
        source,
        library,
        dependency,
        what,
        itself: false,
    }
}

/// A program that reads and writes ten messages, timed itself.
const fn ten(name: &'static str, library: &'static str, dependency: &'static str) -> Program {
    let what = "a program of ten messages";
    Program {
        name,
        source: name,
        library,
        dependency,
        what,
        itself: true,
    }
}

/// What the sizes are compared with.
const EMPTY: Program = library("empty", "empty", "bytes", "", "an empty program");

pub(super) fn run(args: &Args) -> Result<()> {
    let mut text = format!(
        "## Compiling\n\nCPU seconds of the package alone, its dependencies being there, the least of {} builds.\nThe binary is of a program that encodes a VoteRequest and decodes a FetchResponse, built with cargo's release profile and stripped; a program of ten messages reads and writes them, and it is the program that is timed.\nThe empty program has the crate bytes timed.\nMeasured by `cargo xtask bench compile`, {}, {}.\n\n",
        args.runs,
        machine::describe(),
        machine::today()
    );
    text += "| package | what | release | check | binary, bytes |\n|---|---|---|---|---|\n";
    let wanted = |program: &&Program| {
        args.programs.is_empty() || args.programs.iter().any(|name| name == program.name)
    };
    for program in [EMPTY].iter().chain(&PROGRAMS).filter(wanted) {
        eprintln!("{}", program.name);
        program.lay_out()?;
        let release = program.least(&["build", "--release"], args.runs)?;
        let binary = program.binary()?;
        let check = program.least(&["check"], args.runs)?;
        let Program { library, what, .. } = program;
        writeln!(
            text,
            "| {library} | {what} | {release:.1} | {check:.1} | {binary} |"
        )?;
    }
    if args.write {
        write_part("compile", &text)?;
    } else {
        println!("{text}");
    }
    Ok(())
}

impl Program {
    /// Not the library's name, which would leave cargo in doubt which is meant.
    fn package(&self) -> String {
        format!("bench-{}", self.name)
    }

    /// Makes the package anew.
    fn lay_out(&self) -> Result<()> {
        let name = self.package();
        let Program {
            source,
            library,
            dependency,
            ..
        } = self;
        let dir = self.dir();
        fs::create_dir_all(dir.join("src"))?;
        let place = match *library {
            "kwire-protocol" => {
                format!("path = {:?}", paths::workspace_root().join("protocol"))
            }
            _ => "version = \"*\"".to_owned(),
        };
        let mut manifest = format!(
            "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[profile.release]\nstrip = true\n\n"
        );
        // A workspace of its own, so that the features of one program build nothing for another.
        manifest += "[workspace]\n\n[dependencies]\nbytes = \"1\"\n";
        if *library != "bytes" {
            writeln!(manifest, "{library} = {{ {place}, {dependency} }}")?;
        }
        fs::write(dir.join("Cargo.toml"), manifest)?;
        let benches = benches_dir();
        fs::copy(benches.join("Cargo.lock"), dir.join("Cargo.lock"))?;
        let source = benches.join("compile").join(source).with_extension("rs");
        fs::copy(&source, dir.join("src/main.rs"))
            .with_context(|| format!("cannot copy {}", source.display()))?;
        Ok(())
    }

    /// The least CPU seconds of clean builds of the package that is timed.
    fn least(&self, build: &[&str], runs: u32) -> Result<f64> {
        let build = [build, &["--quiet", ANY_RUST]].concat();
        let own = self.package();
        let package = if self.itself {
            own.as_str()
        } else {
            self.library
        };
        let only = ["--package", package];
        let mut clean = [&["clean", "--quiet"], &only[..]].concat();
        if build.contains(&"--release") {
            clean.push("--release");
        }
        let dependencies = self.dependencies(package)?;
        let each = dependencies.iter().flat_map(|name| ["--package", name]);
        self.cargo(&build.iter().copied().chain(each).collect::<Vec<_>>())?;
        let mut least = f64::MAX;
        for _ in 0..runs {
            self.cargo(&clean)?;
            let before = cpu_seconds()?;
            self.cargo(&[&build[..], &only].concat())?;
            least = least.min(cpu_seconds()? - before);
        }
        Ok(least)
    }

    /// What has to be there before the package is built.
    fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--quiet", "--depth", "1", "--prefix", "none"])
            .args([
                "--edges",
                "normal,build",
                "--format",
                "{p}",
                "--package",
                package,
            ])
            .current_dir(self.dir());
        let output = tree.output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!("{} failed in {}", line(&tree), self.dir().display());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let name = |line: &str| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            Some(format!("{name}@{version}"))
        };
        // The first line is the package itself.
        Ok(text.lines().skip(1).filter_map(name).collect())
    }

    /// The size of the program, stripped.
    fn binary(&self) -> Result<u64> {
        self.cargo(&["build", "--release", "--quiet", ANY_RUST])?;
        let path = target().join("release").join(self.package());
        let metadata =
            fs::metadata(&path).with_context(|| format!("cannot find {}", path.display()))?;
        Ok(metadata.len())
    }

    fn dir(&self) -> PathBuf {
        paths::target_dir().join("bench-compile").join(self.name)
    }

    fn cargo(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(arguments)
            .current_dir(self.dir())
            .env("CARGO_TARGET_DIR", target())
            .stdout(Stdio::null());
        if !command.status().context("cannot run cargo")?.success() {
            bail!("{} failed in {}", line(&command), self.dir().display());
        }
        Ok(())
    }
}

/// All programs share what they have in common.
fn target() -> PathBuf {
    paths::target_dir().join("bench-compile/target")
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
