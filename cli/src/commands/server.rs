//! `kwire server`: a node of a quorum, as Kafka's test raft server is.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use kwire_protocol::Uuid;
use kwire_raft::types::Topic;
use kwire_server::config::{Properties, ServerConfig};
use kwire_server::directory::Unformatted;
use kwire_server::server::{Options, Server};
use kwire_server::workload::{Load, RECORD_SIZES, WrongSize};
#[cfg(unix)]
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::failure::Failure;
use crate::interrupt;
use crate::status::Line;

const EXAMPLES: &str = "\
Examples:
  kwire server --config raft.properties
  kwire server --config raft.properties --throughput -1 --record-size 1024
  kwire server --config raft.properties --override node.id=2 --override log.dirs=/tmp/raft-2

A file for a single node:
  node.id=1
  listeners=CONTROLLER://localhost:9093
  controller.listener.names=CONTROLLER
  controller.quorum.voters=1@localhost:9093
  log.dirs=/tmp/raft-1

Nothing is ever deleted, unless the file says what to keep: with one of
  metadata.max.retention.bytes, metadata.max.retention.ms,
  metadata.log.max.record.bytes.between.snapshots, metadata.log.max.snapshot.interval.ms
snapshots are made and what lies before them is deleted, as Kafka does; a node may then have
metadata.log.segment.bytes more than it is to keep, and what comes between two snapshots.

A segment of the log is an open file, and so is a connection: the limit of open files is raised as
far as the system lets this process (`ulimit -Hn`).

The leader prints a line about every five seconds. Ctrl-C hands over to another voter and stops.";

/// The time that a node has to hand over.
const PATIENCE: Duration = Duration::from_secs(5);

/// Run a node of a KRaft quorum that writes random records while it leads
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Kafka's properties file: of today, or of 2020
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Records that the leader writes a second; 0 for none, -1 for as many as go
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5_000,
        allow_negative_numbers = true
    )]
    throughput: i64,
    /// Bytes of a record
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    record_size: usize,
    /// The time between two reports
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..))]
    report_ms: u64,
    /// Print what the node is and how far it is as a line of JSON, this often
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..))]
    status_ms: Option<u64>,
    /// Stop, as after Ctrl-C, when standard input ends
    #[arg(long)]
    stop_with_stdin: bool,
    /// The id of the log directory; a new directory gets it, any other has to have it
    #[arg(long, value_name = "ID")]
    replica_directory_id: Option<Uuid>,
    /// A property that counts more than the file's
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
    /// Replicate this topic: __raft_performance_test or __cluster_metadata
    #[arg(long, default_value = "__raft_performance_test")]
    topic: String,
    /// Refuse a log directory that is not formatted; the default if the voters are in the log
    #[arg(long)]
    require_formatted: bool,
    /// Start although quorum-state is lost beside a log: the node might vote twice in an epoch
    #[arg(long)]
    accept_lost_quorum_state: bool,
    /// Log as JSON
    #[arg(long)]
    json: bool,
    /// Log more
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    start_logging(args.json, args.verbose);
    allow_open_files();
    let options = options(args)?;
    let server = Server::start(&options).map_err(Failure::failed)?;
    let directory = server.directory();
    if directory.is_new {
        info!(path = %directory.path().display(), id = %directory.id, "marked a new log directory as this node's");
    }
    for (name, address) in server.addresses() {
        info!("listening on {name}://{address}");
    }
    let stop = interrupt::flag()?;
    if args.stop_with_stdin {
        stop_with_stdin(stop.clone());
    }
    watch(
        &server,
        args.status_ms.map(Duration::from_millis),
        &stop,
        out,
    )?;
    if stop.load(Ordering::SeqCst) {
        info!("stopping: handing over to another voter");
        let in_time = server.shut_down(PATIENCE).map_err(Failure::failed)?;
        if !in_time {
            warn!("no other voter took over in time");
        }
        return Ok(());
    }
    server.stop().map_err(Failure::failed)
}

/// As many open files as this process may have: connections and segments of the log are such, and
/// the limit that a shell gives by default is low.
#[cfg(unix)]
fn allow_open_files() {
    let files = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(files).and_then(|(_, hard)| setrlimit(files, hard, hard));
    if let Err(error) = raised {
        warn!("cannot raise the limit of open files: {error}");
    }
}

#[cfg(not(unix))]
fn allow_open_files() {}

/// Prints reports, and how far the node is if asked to, until it stops or is asked to.
fn watch(
    server: &Server,
    status_every: Option<Duration>,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let patience = status_every.map_or(Duration::from_millis(50), |every| {
        every.min(Duration::from_millis(50))
    });
    let mut next = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        if let Some(every) = status_every
            && Instant::now() >= next
        {
            next = Instant::now() + every;
            // A node that is gone says why when it is stopped.
            let Ok(progress) = server.progress() else {
                return Ok(());
            };
            print(&Line::Status(progress.into()), out)?;
        }
        match server.reports().recv_timeout(patience) {
            Ok(report) if status_every.is_some() => print(&Line::Report(report.into()), out)?,
            Ok(report) => {
                writeln!(out, "{report}")?;
                out.flush()?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    Ok(())
}

fn print(line: &Line, out: &mut dyn Write) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, line)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Whoever started this process ends with it, or closes its input.
fn stop_with_stdin(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        // An error is an end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.store(true, Ordering::SeqCst);
    });
}

fn options(args: &Args) -> Result<Options, Failure> {
    let topic = match args.topic.as_str() {
        "__raft_performance_test" => Topic::performance_test(),
        "__cluster_metadata" => Topic::cluster_metadata(),
        other => {
            return Err(Failure::usage(format!(
                "--topic {other}: there is no such quorum"
            )));
        }
    };
    if !RECORD_SIZES.contains(&args.record_size) {
        let wrong = WrongSize(args.record_size);
        return Err(Failure::usage(format!("--record-size: {wrong}")));
    }
    let records_per_second = match args.throughput {
        -1 => None,
        rate => Some(u64::try_from(rate).map_err(|_| Failure::usage("--throughput: -1 or above"))?),
    };
    let mut properties = Properties::load(&args.config).map_err(Failure::failed)?;
    for change in &args.overrides {
        let (name, value) = change
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--override {change}: NAME=VALUE is needed")))?;
        properties.set(name.trim(), value);
    }
    let config = ServerConfig::from_properties(&properties).map_err(Failure::failed)?;
    tell_ignored(&properties);
    let in_log = config.voters.is_empty();
    let unformatted = if args.require_formatted || in_log {
        Unformatted::Refuse
    } else {
        Unformatted::Adopt
    };
    Ok(Options {
        config,
        topic,
        load: (args.throughput != 0).then_some(Load {
            records_per_second,
            record_size: args.record_size,
            report_every: Duration::from_millis(args.report_ms),
        }),
        directory_id: args.replica_directory_id,
        unformatted,
        accept_lost_state: args.accept_lost_quorum_state,
    })
}

fn tell_ignored(properties: &Properties) {
    if let Some((name, _)) = properties.get(&["zookeeper.connect"]) {
        warn!("{name} is ignored: there is no ZooKeeper in a KRaft quorum");
    }
    let ignored = properties.ignored();
    if !ignored.is_empty() {
        warn!("ignored, as they mean nothing here: {}", ignored.join(", "));
    }
}

/// Logs go to stderr, reports to stdout.
fn start_logging(json: bool, verbose: bool) {
    let level = if verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(colour)
        .with_writer(io::stderr);
    // A second call, as tests make, keeps the first.
    let _ = if json {
        tracing::subscriber::set_global_default(logs.json().finish())
    } else {
        tracing::subscriber::set_global_default(logs.finish())
    };
}
