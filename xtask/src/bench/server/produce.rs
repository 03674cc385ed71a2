//! Kafka's ProducerPerformance, against nodes of ours and against Kafka's own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cluster::{Cluster, Load, Program, free_ports, leader_of};
use super::process::Process;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const PATIENCE: Duration = Duration::from_secs(90);
const RECORDS: &str = "500000";

/// The commands of Kafka's programs.
pub(super) struct Kafka {
    pub(super) node: Vec<String>,
    pub(super) storage: Vec<String>,
    pub(super) tool: Vec<String>,
}

/// What a producer sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Send {
    pub(super) size: usize,
    /// `batch.size`; `None` for the default.
    pub(super) batch: Option<usize>,
}

pub(super) const SENDS: [Send; 4] = [
    Send {
        size: 100,
        batch: None,
    },
    Send {
        size: 1_024,
        batch: None,
    },
    Send {
        size: 100,
        batch: Some(256 << 10),
    },
    Send {
        size: 1_024,
        batch: Some(256 << 10),
    },
];

/// What the tool says at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) records_per_second: f64,
    pub(super) average_ms: f64,
    pub(super) p99_ms: f64,
}

/// What was measured.
pub(super) struct Produced {
    /// Against a broker that does nothing, for each of `SENDS`.
    pub(super) sink: Vec<Sent>,
    /// The same against nodes of ours, and against Kafka's.
    pub(super) kwire: Quorum,
    pub(super) kafka: Quorum,
}

/// Against three nodes.
pub(super) struct Quorum {
    pub(super) sent: Vec<Sent>,
    /// The most megabytes that a node has in memory.
    pub(super) peak: f64,
}

/// Against a broker that answers at once: how fast the tool is by itself.
pub(super) fn to_sink(kafka: &Kafka, sink: &mut Command) -> Result<Vec<Sent>> {
    let piped = sink
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut sink = piped.spawn().context("the sink did not start")?;
    let mut port = String::new();
    let said = sink.stdout.take().context("the output is piped")?;
    BufReader::new(said).read_line(&mut port)?;
    let servers = format!("localhost:{}", port.trim());
    let sends = SENDS.iter();
    let sent = sends.map(|what| perform(kafka, &servers, "perf", *what));
    let sent: Result<Vec<Sent>> = sent.collect();
    // It ends with its input.
    drop(sink.stdin.take());
    sink.wait()?;
    sent
}

/// Against three nodes of ours, for each of `SENDS`.
pub(super) fn to_kwire(kafka: &Kafka, binary: &Path, dir: &Path) -> Result<Quorum> {
    let program = Program::Kwire(binary.to_owned());
    let mut cluster = Cluster::start(&program, dir, 3, Load { rate: 0, size: 256 })?;
    cluster.wait_for_leader(0)?;
    let mut sent = Vec::new();
    for what in SENDS {
        let servers = cluster.servers();
        sent.push(perform(kafka, &servers, "__raft_performance_test", what)?);
        cluster.check()?;
    }
    let memory = cluster.memory()?;
    let peak = memory.iter().map(|m| m.peak).fold(0.0, f64::max);
    Ok(Quorum { sent, peak })
}

/// Against three nodes of Kafka, each broker and controller.
pub(super) fn to_kafka(kafka: &Kafka, dir: &Path) -> Result<Quorum> {
    let nodes = Brokers::start(kafka, dir)?;
    let mut sent = Vec::new();
    for what in SENDS {
        sent.push(perform(kafka, &nodes.servers, "perf", what)?);
    }
    let peak = nodes
        .processes
        .iter()
        .map(|process| Ok(process.memory()?.peak));
    let peak: Result<Vec<f64>> = peak.collect();
    let peak = peak?.into_iter().fold(0.0, f64::max);
    Ok(Quorum { sent, peak })
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// What a program says, if it is content.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().context("Kafka's program did not start")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if !output.status.success() {
        bail!("Kafka's program failed: {said}");
    }
    Ok(said)
}

fn perform(kafka: &Kafka, servers: &str, topic: &str, what: Send) -> Result<Sent> {
    let mut tool = command(&kafka.tool);
    tool.arg("org.apache.kafka.tools.ProducerPerformance")
        .args(["--topic", topic, "--num-records", RECORDS])
        .args([
            "--record-size",
            &what.size.to_string(),
            "--throughput",
            "-1",
        ])
        .args(["--producer-props", "acks=all"])
        .arg(format!("bootstrap.servers={servers}"));
    if let Some(batch) = what.batch {
        tool.arg(format!("batch.size={batch}"));
    }
    let said = said(&mut tool)?;
    parse(&said).with_context(|| format!("the tool did not finish: {said}"))
}

/// `500000 records sent, 1.0 records/sec (1.00 MB/sec), 1.00 ms avg latency, 1.00 ms max latency,
/// 1 ms 50th, 1 ms 95th, 1 ms 99th, 1 ms 99.9th.`
fn parse(said: &str) -> Option<Sent> {
    let line = said.lines().rfind(|line| line.contains("ms 99.9th"))?;
    if !line.starts_with(&format!("{RECORDS} records sent")) {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let before = |name: &str, words_before: usize| {
        let at = words.iter().position(|word| word.starts_with(name))?;
        words.get(at.checked_sub(words_before)?)?.parse().ok()
    };
    Some(Sent {
        records_per_second: before("records/sec", 1)?,
        average_ms: before("avg", 2)?,
        p99_ms: before("99th", 2)?,
    })
}

/// Three nodes of Kafka with a topic of one partition and three replicas.
struct Brokers {
    dir: PathBuf,
    processes: Vec<Process>,
    servers: String,
}

impl Brokers {
    fn start(kafka: &Kafka, dir: &Path) -> Result<Brokers> {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir)?;
        let ports = free_ports(6)?;
        let (clients, controllers) = ports.split_at(3);
        let voters = (1..).zip(controllers);
        let voters: Vec<String> = voters
            .map(|(id, port)| format!("{id}@localhost:{port}"))
            .collect();
        let servers: Vec<String> = clients
            .iter()
            .map(|port| format!("localhost:{port}"))
            .collect();
        let mut brokers = Brokers {
            dir: dir.to_owned(),
            processes: Vec::new(),
            servers: servers.join(","),
        };
        for (at, (client, controller)) in clients.iter().zip(controllers).enumerate() {
            let id = at + 1;
            let text = format!(
                "process.roles=broker,controller\nnode.id={id}\n\
                 listeners=PLAINTEXT://localhost:{client},CONTROLLER://localhost:{controller}\n\
                 controller.listener.names=CONTROLLER\ncontroller.quorum.voters={}\n\
                 listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
                 offsets.topic.replication.factor=3\nlog.dirs={}\n",
                voters.join(","),
                dir.join(id.to_string()).display()
            );
            let config = dir.join(format!("{id}.properties"));
            fs::write(&config, text)?;
            let mut format = command(&kafka.storage);
            said(format.args(["format", "-t", CLUSTER_ID, "-c"]).arg(&config))?;
            let log = File::create(dir.join(format!("{id}.log")))?;
            let mut node = command(&kafka.node);
            let process = Process::start(node.arg(&config).current_dir(dir), log)?;
            brokers.processes.push(process);
        }
        brokers.wait_for_topic(kafka)?;
        Ok(brokers)
    }

    fn wait_for_topic(&self, kafka: &Kafka) -> Result<()> {
        let start = Instant::now();
        let metadata = self.dir.join("1/__cluster_metadata-0");
        while leader_of(&metadata).is_none() && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(100));
        }
        loop {
            let mut tool = command(&kafka.tool);
            tool.arg("org.apache.kafka.tools.TopicCommand")
                .args([
                    "--bootstrap-server",
                    &self.servers,
                    "--create",
                    "--topic",
                    "perf",
                ])
                .args(["--partitions", "1", "--replication-factor", "3"]);
            match said(&mut tool) {
                Ok(_) => return Ok(()),
                // Not all brokers have registered yet.
                Err(error) if start.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(Duration::from_secs(1)),
            }
        }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        self.processes.clear();
        // The next run does it otherwise.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_last_line_is_read() {
        let said = "100 records sent, 20.0 records/sec (1.90 MB/sec), 9.0 ms avg latency, 10.0 ms max latency.\n\
            500000 records sent, 46352.1 records/sec (4.42 MB/sec), 512.30 ms avg latency, 900.00 ms max latency, 500 ms 50th, 700 ms 95th, 800 ms 99th, 890 ms 99.9th.\n";
        let sent = parse(said).unwrap();
        let found = [sent.records_per_second, sent.average_ms, sent.p99_ms];
        assert_eq!(found, [46352.1, 512.3, 800.0]);
        assert_eq!(parse("50 records sent, 1 ms 99.9th"), None);
    }
}
