//! `cargo xtask faults`: quorums of real processes, and what goes wrong in data centres.
//!
//! A quorum lives for some rounds. In each, faults are drawn from a seed and happen to it while
//! clients write; then all of them end, and the quorum has to go on. Nothing that anybody was told
//! to be committed may be lost, twice, or elsewhere than was said.

mod check;
mod clients;
mod disk;
mod failure;
mod journal;
mod network;
mod node;
mod plan;
mod quorum;
mod reader;
mod report;
mod sandbox;
mod scene;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use kwire_server::record::Random;

use self::failure::Failure;
use self::network::Network;
use self::node::Kind;
use self::plan::What;
use self::quorum::{Commands, Recipe};
use self::report::Report;
use self::sandbox::Abilities;
use self::scene::Scene;

const EXAMPLES: &str = "\
Examples:
  cargo xtask faults --rounds 200
  cargo xtask faults --voters ours,ours,java-4.3.1
  cargo xtask faults --only kill,pause --seed 7

Partitions and full disks need Linux's namespaces (as root, or where users may make them), slow and
failing disks strace, clocks libfaketime: what is not there is left out, and said. Java's nodes need
a JDK and Maven. The exit code is 1 if anything went wrong; then directories, logs and a journal of
what was done stay under --dir, and it is said how to run the same again.";

/// How many rounds a quorum lives: its logs are looked at as a whole in the end.
const ROUNDS_OF_A_QUORUM: u64 = 20;

/// Hurt quorums of real processes, and look whether anything acknowledged got lost.
#[derive(Parser)]
#[command(name = "cargo xtask faults", after_help = EXAMPLES)]
struct Args {
    /// What runs as nodes: ours, or java-RELEASE for Kafka's TestRaftServer.
    #[arg(long, value_delimiter = ',', default_value = "ours,ours,ours")]
    voters: Vec<Kind>,
    /// How many rounds, with a new quorum every 20.
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: u64,
    /// What the faults are drawn from; one after the time of day by default.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only these faults.
    #[arg(long, value_delimiter = ',', value_name = "FAULTS")]
    only: Vec<What>,
    /// Where directories are made.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The `kwire` binary.
    #[arg(long, value_name = "FILE")]
    kwire: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match sandbox::enter() {
        Ok(Some(code)) => return code,
        Ok(None) => run(&args),
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    if args.voters.len() != 3 {
        return Err(Failure::Harness("--voters: three are wanted".to_owned()));
    }
    let abilities = Abilities::find()?;
    let possible = What::possible(&abilities, &args.voters, &args.only);
    if possible.is_empty() {
        return Err(Failure::Harness(
            "--only: none of these can be done".to_owned(),
        ));
    }
    let recipe = Recipe {
        kinds: args.voters.clone(),
        commands: commands(args)?,
        faketime: abilities.faketime.clone(),
        throughput: 500,
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    let asked = interrupted.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::SeqCst))
        .map_err(|error| Failure::Harness(error.to_string()))?;
    let mut network = Network::new(abilities.sandbox, args.voters.len())?;
    let seed = args.seed.unwrap_or_else(now);
    let voters: Vec<String> = args.voters.iter().map(Kind::to_string).collect();
    println!(
        "voters {}, {} rounds, seed {seed}",
        voters.join(","),
        args.rounds
    );
    let mut report = Report::default();
    let ended = all_rounds(args, seed, |home, seed, rounds| {
        let own_disk = abilities.sandbox;
        let report = &mut report;
        let network = &mut network;
        let mut scene = Scene::begin(&recipe, network, home, seed, own_disk, &interrupted, report)?;
        let ended = rounds_of(&mut scene, seed, rounds, &possible);
        match &ended {
            Ok(()) | Err(Failure::Interrupted) => scene.clear()?,
            Err(_) => scene.keep()?,
        }
        ended
    });
    print!("{report}");
    ended
}

/// Goes through the rounds, with a quorum for some of them in a directory of its own.
fn all_rounds(
    args: &Args,
    seed: u64,
    mut quorum: impl FnMut(&Path, u64, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = args.rounds;
    for seed in seed.. {
        if left == 0 {
            break;
        }
        let rounds = left.min(ROUNDS_OF_A_QUORUM);
        left -= rounds;
        let home = new_directory(&args.dir, seed)?;
        let ended = quorum(&home, seed, rounds);
        match &ended {
            Ok(()) | Err(Failure::Interrupted) => {
                fs::remove_dir_all(&home).map_err(Failure::file(&home))?;
            }
            Err(_) => {
                println!("kept: {}", home.display());
                println!("again: --seed {seed} --rounds {rounds}, with the same voters");
            }
        }
        ended?;
    }
    Ok(())
}

/// One that is not there yet: an earlier run may have left what somebody is to look at.
fn new_directory(dir: &Path, seed: u64) -> Result<PathBuf, Failure> {
    fs::create_dir_all(dir).map_err(Failure::file(dir))?;
    // The nodes run in it.
    let dir = fs::canonicalize(dir).map_err(Failure::file(dir))?;
    let names = (1..).map(|time| match time {
        1 => format!("seed-{seed}"),
        _ => format!("seed-{seed}-{time}"),
    });
    let mut homes = names.map(|name| dir.join(name));
    let home = homes.find(|home| !home.exists());
    let home = home.ok_or_else(|| Failure::Harness("there is no name left".to_owned()))?;
    fs::create_dir(&home).map_err(Failure::file(&home))?;
    Ok(home)
}

fn rounds_of(
    scene: &mut Scene<'_>,
    seed: u64,
    rounds: u64,
    possible: &[What],
) -> Result<(), Failure> {
    scene.settle()?;
    let mut random = Random::new(seed);
    for round in 1..=rounds {
        let faults = plan::draw(&mut random, possible, 3);
        let pause = Duration::from_millis(200 + random.number() % 800);
        let said = scene.round(&faults, pause)?;
        println!("seed {seed} round {round}: {said}");
    }
    scene.let_both_lead()?;
    scene.end()
}

/// The commands of all kinds of nodes that are wanted.
fn commands(args: &Args) -> Result<Commands, Failure> {
    let mut commands = Commands::new();
    for kind in &args.voters {
        let command = match kind {
            Kind::Ours => {
                let binary = fs::canonicalize(&args.kwire);
                let binary = binary.map_err(Failure::file(&args.kwire))?;
                vec![binary.display().to_string()]
            }
            Kind::Java(release) => {
                let variable = format!("KWIRE_RAFT_SERVER_{}", release.replace('.', "_"));
                let words = env::var(&variable).ok();
                let words = words.and_then(|words| serde_json::from_str(&words).ok());
                words.ok_or_else(|| {
                    let what = "is to hold the command of Kafka's raft server as a JSON array";
                    Failure::Harness(format!("{variable} {what}: cargo xtask faults sets it"))
                })?
            }
        };
        commands.insert(kind.to_string(), command);
    }
    Ok(commands)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs())
}
