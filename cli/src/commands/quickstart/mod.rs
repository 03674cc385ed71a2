//! `kwire quickstart`: a quorum on this machine, from nothing, which is killed and looked after.

mod check;
mod nodes;
mod view;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kwire_raft::random;
use kwire_server::verify::Promises;
use kwire_server::workload::{RECORD_SIZES, WrongSize};

use self::nodes::{Node, Plan};
use self::view::{Key, Picture, Row, View, grouped};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::counted;
use crate::status::{LEADER, Line};

const EXAMPLES: &str = "\
Examples:
  kwire quickstart
  kwire quickstart --nodes 1 --throughput -1 --seconds 10
  kwire quickstart --chaos 2 --seconds 60

Each node is a process of its own (`kwire server`), with Kafka's log directory under --dir. On a
terminal the keys 1, 2 and 3 kill a node, and start it again; q or Ctrl-C stops. In the end all logs
are read, and the exit code is 1 if anything is missing that a leader called committed. A node keeps
about 1 GiB of its log; what is older it deletes, and snapshots say how much that was.";

/// The longest wait for the first leader, and for another after a kill.
const PATIENCE: Duration = Duration::from_secs(60);

/// Start a quorum on this machine, watch it write, and kill its nodes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = one_or_three)]
    nodes: usize,
    /// Where they keep their logs: a new directory, or that of an earlier quickstart
    #[arg(long, value_name = "DIR", default_value = "kwire-quickstart")]
    dir: PathBuf,
    /// Records that the leader writes a second; -1 for as many as go
    #[arg(long, value_name = "N", default_value_t = 5_000, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    throughput: i64,
    /// Bytes of a record
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    record_size: usize,
    /// Kill a node this often, and start it again a little later
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    chaos: Option<u64>,
    /// Stop after this time
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// The quorum and what is known of it.
struct Quickstart {
    nodes: Vec<Node>,
    lines: mpsc::Receiver<(usize, Line)>,
    picture: Picture,
    promises: Promises,
    /// Since when nobody leads.
    leaderless_since: Option<Instant>,
    chaos: Option<Chaos>,
}

/// Kills at random.
struct Chaos {
    every: Duration,
    next: Instant,
    /// A node that is to be started again.
    restart: Option<(usize, Instant)>,
    random: u64,
}

fn one_or_three(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 or 3".to_owned()),
    }
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    if !RECORD_SIZES.contains(&args.record_size) {
        let wrong = WrongSize(args.record_size);
        return Err(Failure::usage(format!("--record-size: {wrong}")));
    }
    let plan = Plan {
        directory: args.dir.clone(),
        nodes: args.nodes,
        throughput: args.throughput,
        record_size: args.record_size,
    };
    let (ports, _lock) = nodes::prepare(&plan)?;
    let ports: Vec<String> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    writeln!(
        out,
        "{} in {}, at {}",
        counted(args.nodes as u64, "node"),
        args.dir.display(),
        ports.join(", ")
    )?;
    out.flush()?;
    let stop = interrupt::flag()?;

    let mut quickstart = Quickstart::start(&plan, args.chaos)?;
    let began = Instant::now();
    let until = args
        .seconds
        .map(|seconds| began + Duration::from_secs(seconds));
    let watched = quickstart.watch(&stop, until, out);
    writeln!(out, "stopping")?;
    out.flush()?;
    // The leader last: while it leads, the others have nothing to hand over.
    let leads = |node: &Node| quickstart.picture.is_leader(node.id);
    quickstart.nodes.sort_by_key(leads);
    nodes::stop(&mut quickstart.nodes);
    quickstart.nodes.sort_by_key(|node| node.id);
    quickstart.take_lines();
    watched?;
    quickstart.summary(began.elapsed(), out)
}

impl Quickstart {
    fn start(plan: &Plan, chaos: Option<u64>) -> Result<Quickstart, Failure> {
        let (sender, lines) = mpsc::channel();
        let mut nodes: Vec<Node> = (1..=plan.nodes)
            .map(|id| Node::new(id, plan, sender.clone()))
            .collect();
        for node in &mut nodes {
            node.start()?;
        }
        let row = |id| Row {
            id,
            is_running: true,
            status: None,
        };
        let random = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Ok(Quickstart {
            picture: Picture {
                rows: (1..=plan.nodes).map(row).collect(),
                ..Picture::default()
            },
            nodes,
            lines,
            promises: Promises::default(),
            leaderless_since: Some(Instant::now()),
            chaos: chaos.map(|seconds| Chaos {
                every: Duration::from_secs(seconds),
                next: Instant::now() + Duration::from_secs(seconds),
                restart: None,
                random: random.map_or(1, |since| u64::from(since.subsec_nanos())),
            }),
        })
    }

    fn watch(
        &mut self,
        stop: &AtomicBool,
        until: Option<Instant>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let mut view = View::new();
        if view.is_live() && self.nodes.len() > 1 {
            self.picture.last_event = "1, 2, 3: kill or start a node; q: stop".to_owned();
        }
        while !stop.load(Ordering::SeqCst) && until.is_none_or(|until| Instant::now() < until) {
            match view.key(Duration::from_millis(20))? {
                Some(Key::Quit) => break,
                Some(Key::Node(id)) if (1..=self.nodes.len()).contains(&id) => self.toggle(id)?,
                _ => {}
            }
            self.take_lines();
            self.look_for_ends()?;
            self.wreak_havoc()?;
            view.show(&self.picture, out)?;
        }
        Ok(())
    }

    fn take_lines(&mut self) {
        while let Ok((id, line)) = self.lines.try_recv() {
            match line {
                Line::Status(status) => {
                    self.promises.note(&status.claim(id));
                    if status.role == LEADER && self.nodes[id - 1].is_running() {
                        self.leads();
                    }
                    self.picture.rows[id - 1].status = Some(status);
                }
                Line::Report(report) => self.picture.report = Some(report),
            }
        }
        self.picture.acknowledged = self.promises.records();
    }

    /// Somebody leads.
    fn leads(&mut self) {
        let Some(since) = self.leaderless_since.take() else {
            return;
        };
        let took = since.elapsed();
        if self.picture.kills > 0 {
            let longest = &mut self.picture.longest_without_leader;
            *longest = took.max(*longest);
        }
        self.picture.last_event = format!("a leader after {} ms", took.as_millis());
    }

    fn toggle(&mut self, id: usize) -> Result<(), Failure> {
        if !self.nodes[id - 1].is_running() {
            self.picture.last_event = format!("node {id} starts again");
            self.picture.rows[id - 1] = Row {
                id,
                is_running: true,
                status: None,
            };
            return self.nodes[id - 1].start();
        }
        // What it said before it died counts; what it led does not.
        self.nodes[id - 1].kill();
        self.take_lines();
        let row = &mut self.picture.rows[id - 1];
        row.is_running = false;
        if row
            .status
            .take()
            .is_some_and(|status| status.role == LEADER)
        {
            self.leaderless_since = Some(Instant::now());
        }
        self.picture.kills += 1;
        self.picture.last_event = format!("node {id} was killed");
        Ok(())
    }

    /// A process that ended by itself, or a quorum without a leader: there is something wrong.
    fn look_for_ends(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            if let Some(status) = node.ended() {
                let what = format!(
                    "node {} ended with {status}: {}",
                    node.id,
                    node.last_words()
                );
                return Err(Failure::failed(what));
            }
        }
        let running = self.nodes.iter().filter(|node| node.is_running()).count();
        let can_elect = running > self.nodes.len() / 2;
        match self.leaderless_since {
            Some(_) if !can_elect => {
                // The time counts from when they could.
                self.leaderless_since = Some(Instant::now());
                Ok(())
            }
            Some(since) if since.elapsed() > PATIENCE => Err(Failure::failed(format!(
                "nobody leads for {} s: see {}",
                PATIENCE.as_secs(),
                self.nodes[0].log().display()
            ))),
            _ => Ok(()),
        }
    }

    fn wreak_havoc(&mut self) -> Result<(), Failure> {
        let Some(chaos) = &mut self.chaos else {
            return Ok(());
        };
        let now = Instant::now();
        if let Some((id, at)) = chaos.restart {
            if at > now {
                return Ok(());
            }
            chaos.restart = None;
            return match self.nodes[id - 1].is_running() {
                // Somebody pressed its key.
                true => Ok(()),
                false => self.toggle(id),
            };
        }
        if chaos.next > now || self.leaderless_since.is_some() {
            return Ok(());
        }
        let draw = random::next(&mut chaos.random);
        let id = 1 + (draw % self.nodes.len() as u64) as usize;
        chaos.next = now + chaos.every;
        let pause = chaos
            .every
            .mul_f64((draw >> 40) as f64 / (1_u64 << 24) as f64);
        chaos.restart = Some((id, now + pause));
        match self.nodes[id - 1].is_running() {
            true => self.toggle(id),
            false => Ok(()),
        }
    }

    fn summary(&self, took: Duration, out: &mut dyn Write) -> Result<(), Failure> {
        let picture = &self.picture;
        let records = i64::try_from(self.promises.records()).unwrap_or(i64::MAX);
        writeln!(
            out,
            "{} {} acknowledged in {:.1} s, {}, at most {} ms without a leader after one",
            grouped(records),
            if records == 1 { "record" } else { "records" },
            took.as_secs_f64(),
            counted(picture.kills.into(), "kill"),
            picture.longest_without_leader.as_millis()
        )?;
        let faults = check::verify(&self.promises, &self.nodes)?;
        for fault in &faults {
            writeln!(out, "  {fault}")?;
        }
        if !faults.is_empty() {
            let what = format!(
                "{}: the logs stay as they are",
                counted(faults.len() as u64, "fault")
            );
            return Err(Failure::failed(what));
        }
        writeln!(
            out,
            "nothing lost, nothing twice: the logs agree up to offset {}",
            grouped(self.promises.committed())
        )?;
        Ok(())
    }
}
