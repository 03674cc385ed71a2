//! Three servers as processes: the limit of the machine, ours, and Kafka's own, in one run.

mod cluster;
mod endurance;
mod measure;
mod process;
mod produce;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::cluster::{Load, Program};
use self::measure::{Failover, Sustained};
use self::produce::{Kafka, Produced};
use super::{finish, line, machine, write_part};
use crate::kafka;
use crate::{java, paths};

/// The release of Kafka that is measured.
const RELEASE: &str = "4.3.1";
/// What Kafka's own script gives a node.
const HEAP: &str = "1g";
/// Bytes of a record.
const SIZES: [usize; 3] = [100, 256, 1_024];
/// A load at which latency, and not the disk's queue, is seen.
const COMFORTABLE: Load = Load {
    rate: 60_000,
    size: 256,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// How long each load is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Measure this alone
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// How long it is to endure
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Leave out Kafka's programs
    #[arg(long)]
    without_java: bool,
    /// Leave out the producers
    #[arg(long)]
    without_producers: bool,
    /// Put the tables into docs/benchmarks.md, too
    #[arg(long)]
    write: bool,
}

/// What is measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Three nodes of ours that write as much as goes for minutes, in a bounded space
    Endurance,
}

/// Everything that was measured.
#[derive(Default)]
struct Figures {
    limits: Vec<Limit>,
    kwire: Quorum,
    java: Quorum,
    produced: Option<Produced>,
    /// Bytes of the stripped binary.
    binary: Option<u64>,
    /// Why something is left out.
    missing: Vec<String>,
}

/// The bare loop's.
struct Limit {
    load: Load,
    megabytes: f64,
    p50: f64,
    p99: f64,
    cpu_per_gigabyte: f64,
}

/// One program's.
#[derive(Default)]
struct Quorum {
    loads: Vec<Sustained>,
    idle: Option<f64>,
    single: Vec<f64>,
    three: Vec<f64>,
    failovers: Vec<Failover>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.only == Some(Only::Endurance) {
        return endurance::run(args);
    }
    let start = Instant::now();
    let programs = Programs::build(args)?;
    let mut figures = Figures {
        missing: programs.missing.clone(),
        ..Figures::default()
    };
    programs.measure(args, &mut figures)?;
    let text = tables::text(&tables::Run {
        figures: &figures,
        seconds: args.seconds,
        minutes: start.elapsed().as_secs_f64() / 60.0,
        java: machine::first_line(Command::new(java::tool("java")).arg("-version")),
    })?;
    println!("{text}");
    if args.write {
        write_part("server", &text)?;
    }
    Ok(())
}

/// Cargo in this workspace.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(paths::workspace_root());
    cargo
}

/// Builds the command, and says where it is.
fn build_kwire() -> Result<PathBuf> {
    finish(cargo().args(["build", "--release", "--quiet", "-p", "kwire"]))?;
    Ok(paths::target_dir().join("release/kwire"))
}

/// What runs.
struct Programs {
    dir: PathBuf,
    binary: PathBuf,
    java: Option<(Program, Kafka)>,
    missing: Vec<String>,
}

impl Programs {
    fn build(args: &Args) -> Result<Programs> {
        let binary = build_kwire()?;
        let mut benches = Command::new(env!("CARGO"));
        benches.current_dir(paths::workspace_root());
        finish(benches.args(["bench", "--quiet", "-p", "kwire-server", "--no-run"]))?;
        let dir = paths::target_dir().join("bench-server");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut missing = Vec::new();
        let java = if args.without_java {
            missing.push("Kafka's programs are left out, as asked for.".to_owned());
            None
        } else {
            kafkas_programs()
                .map_err(|error| missing.push(format!("Kafka's programs are missing: {error:#}.")))
                .ok()
        };
        Ok(Programs {
            dir,
            binary,
            java,
            missing,
        })
    }

    fn measure(&self, args: &Args, figures: &mut Figures) -> Result<()> {
        let time = Duration::from_secs_f64(args.seconds);
        let kwire = Program::Kwire(self.binary.clone());
        let java = self.java.as_ref().map(|(program, _)| program);
        let dir = self.dir.join("quorum");
        figures.binary = self.stripped();
        // Of one size after the other, so that all see the same machine.
        for size in SIZES {
            say(&format!("records of {size} bytes"));
            let load = Load { rate: -1, size };
            figures.limits.push(self.limit(load, time)?);
            let ours = measure::sustain(&kwire, &dir, load, time)?;
            figures.kwire.loads.push(ours);
            if size == COMFORTABLE.size {
                figures.limits.push(self.limit(COMFORTABLE, time)?);
                let ours = measure::sustain(&kwire, &dir, COMFORTABLE, time)?;
                figures.kwire.loads.push(ours);
            }
            if let Some(java) = java {
                let notes = &mut figures.missing;
                let rungs = measure::climb(java, &dir, size, rates(size), time, notes)?;
                figures.java.loads.extend(rungs);
            }
        }
        say("starts, ends and memory of kwire");
        figures.kwire.rest(&kwire, &dir, &Rest::KWIRE)?;
        if let Some((java, kafka)) = &self.java {
            say("starts, ends and memory of Kafka's test raft server");
            figures.java.rest(java, &dir, &Rest::JAVA)?;
            if !args.without_producers {
                say("producers");
                figures.produced = Some(Produced {
                    sink: produce::to_sink(kafka, &mut self.bench("sink"))?,
                    kwire: produce::to_kwire(kafka, &self.binary, &dir)?,
                    kafka: produce::to_kafka(kafka, &dir)?,
                });
            }
        }
        Ok(())
    }

    /// A program of `server/benches`; what follows are its arguments.
    fn bench(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(paths::workspace_root()).args([
            "bench",
            "--quiet",
            "-p",
            "kwire-server",
            "--bench",
            name,
            "--",
        ]);
        command
    }

    fn limit(&self, load: Load, time: Duration) -> Result<Limit> {
        let dir = self.dir.join("limit");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let mut command = self.bench("limit");
        command
            .arg(&dir)
            .args([load.size.to_string(), load.rate.to_string()])
            .args([
                time.as_secs_f64().to_string(),
                measure::MAX_LOG_BYTES.to_string(),
            ]);
        let output = command.output()?;
        let removed = fs::remove_dir_all(&dir);
        let said = String::from_utf8_lossy(&output.stdout);
        let words: Vec<f64> = said.split_whitespace().flat_map(str::parse).collect();
        let ([bytes, seconds, p50, p99, cpu], true) = (&words[..], output.status.success()) else {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed: {said}{complaint}", line(&command));
        };
        removed?;
        Ok(Limit {
            load,
            megabytes: bytes / 1e6 / seconds,
            p50: *p50,
            p99: *p99,
            cpu_per_gigabyte: cpu / (bytes / 1e9),
        })
    }

    /// The size of the binary without symbols, where there is a program that removes them.
    fn stripped(&self) -> Option<u64> {
        let to = self.dir.join("stripped");
        let mut strip = Command::new("strip");
        let status = strip.arg("-o").arg(&to).arg(&self.binary).status().ok()?;
        let size = status.success().then(|| fs::metadata(&to).ok()).flatten()?;
        // The next run writes it again.
        let _ = fs::remove_file(&to);
        Some(size.len())
    }
}

/// Records a second that Java's server is asked for, as its workload does not find out what goes:
/// its thread ends once more waits than the node takes.
fn rates(size: usize) -> &'static [i64] {
    match size {
        100 => &[100_000, 200_000, 300_000, 400_000],
        256 => &[60_000, 100_000, 150_000, 200_000, 300_000],
        _ => &[30_000, 60_000, 90_000, 120_000],
    }
}

/// How often what is not a load is measured.
struct Rest {
    /// A rate at which next to nothing is written.
    idle_rate: i64,
    singles: usize,
    threes: usize,
    kills: usize,
}

impl Rest {
    const KWIRE: Rest = Rest {
        idle_rate: 0,
        singles: 11,
        threes: 5,
        kills: 7,
    };
    const JAVA: Rest = Rest {
        idle_rate: 1,
        singles: 3,
        threes: 3,
        kills: 5,
    };
}

impl Quorum {
    fn rest(&mut self, program: &Program, dir: &Path, rest: &Rest) -> Result<()> {
        self.idle = Some(measure::idle(program, dir, rest.idle_rate)?);
        self.single = measure::start_to_leader(program, dir, 1, rest.singles)?;
        self.three = measure::start_to_leader(program, dir, 3, rest.threes)?;
        self.failovers = measure::failovers(program, dir, rest.kills)?;
        Ok(())
    }
}

fn kafkas_programs() -> Result<(Program, Kafka)> {
    if machine::first_line(Command::new(java::tool("java")).arg("-version")).is_none() {
        bail!("there is no Java");
    }
    let release = RELEASE.parse().map_err(anyhow::Error::msg)?;
    let words = |program| -> Result<Vec<String>> {
        let command = kafka::command(program, &release, HEAP)?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        Ok(words
            .map(|word| word.to_string_lossy().into_owned())
            .collect())
    };
    let kafka = Kafka {
        node: words(kafka::Program::Node)?,
        storage: words(kafka::Program::Storage)?,
        tool: words(kafka::Program::Tool)?,
    };
    Ok((Program::Java(words(kafka::Program::RaftServer)?), kafka))
}

fn say(what: &str) {
    eprintln!("measuring: {what}");
}
