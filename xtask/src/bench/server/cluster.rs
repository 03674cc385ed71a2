//! The nodes of a quorum, a process each, in a directory that vanishes with them.
//!
//! Everything is seen from outside and in the same way for all programs: who leads stands in each
//! node's `quorum-state`, what is written in the sizes of its segments.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::process::{Memory, Process};

/// What runs as a node.
#[derive(Clone)]
pub(super) enum Program {
    /// `kwire server`: the binary.
    Kwire(PathBuf),
    /// Kafka's test raft server: the command.
    Java(Vec<String>),
}

/// What the leader writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Records a second; -1 for as many as go.
    pub(super) rate: i64,
    /// Bytes of a record.
    pub(super) size: usize,
}

/// What else a node is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extra {
    /// Lines of its properties.
    pub(super) properties: &'static str,
    /// How often a node of ours says how far it is, in milliseconds.
    pub(super) status_ms: u64,
}

impl Default for Extra {
    fn default() -> Extra {
        Extra {
            properties: "",
            status_ms: 100,
        }
    }
}

pub(super) struct Cluster {
    program: Program,
    load: Load,
    extra: Extra,
    dir: PathBuf,
    ports: Vec<u16>,
    nodes: Vec<Option<Process>>,
    /// When the last of the processes was started.
    started: Instant,
}

/// Who leads, since which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leader {
    pub(super) epoch: i64,
    /// The index of the node.
    pub(super) node: usize,
}

const TOPIC: &str = "__raft_performance_test-0";
const PATIENCE: Duration = Duration::from_secs(60);
/// As finely as anything is seen.
const TICK: Duration = Duration::from_micros(500);

/// Ports that are free now. Bound all at once, so that they differ.
pub(super) fn free_ports(count: usize) -> Result<Vec<u16>> {
    let bound: std::io::Result<Vec<_>> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect();
    let bound = bound.context("there is no free port")?;
    let ports = bound
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()));
    ports.collect()
}

impl Cluster {
    /// Starts so many nodes with empty logs.
    pub(super) fn start(
        program: &Program,
        dir: &Path,
        count: usize,
        load: Load,
    ) -> Result<Cluster> {
        Cluster::start_with(program, dir, count, load, Extra::default())
    }

    /// The same with something else.
    pub(super) fn start_with(
        program: &Program,
        dir: &Path,
        count: usize,
        load: Load,
        extra: Extra,
    ) -> Result<Cluster> {
        // What an earlier run left, if it was killed.
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut cluster = Cluster {
            program: program.clone(),
            load,
            extra,
            dir: dir.to_owned(),
            ports: free_ports(count)?,
            nodes: (0..count).map(|_| None).collect(),
            started: Instant::now(),
        };
        for node in 0..count {
            cluster.write_properties(node)?;
        }
        for node in 0..count {
            cluster.start_node(node)?;
        }
        Ok(cluster)
    }

    fn write_properties(&self, node: usize) -> Result<()> {
        let voters = self.ports.iter().enumerate();
        let voters: Vec<String> = voters
            .map(|(node, port)| format!("{}@localhost:{port}", node + 1))
            .collect();
        let text = format!(
            "process.roles=controller\nnode.id={}\nlisteners=CONTROLLER://localhost:{}\n\
             controller.listener.names=CONTROLLER\ncontroller.quorum.voters={}\nlog.dirs={}\n{}",
            node + 1,
            self.ports[node],
            voters.join(","),
            self.log_dir(node).display(),
            self.extra.properties
        );
        fs::create_dir_all(self.log_dir(node))?;
        fs::write(self.properties(node), text).context("cannot write the properties")
    }

    pub(super) fn start_node(&mut self, node: usize) -> Result<()> {
        let mut command = match &self.program {
            Program::Kwire(binary) => {
                let mut command = Command::new(binary);
                command.args(["server", "--report-ms", "1000", "--status-ms"]);
                command.arg(self.extra.status_ms.to_string());
                command
            }
            Program::Java(words) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                // 22 characters of base64, and no two alike.
                let id = format!("{}{}AAAAAAAAAAAAAAAAAAAA", "B", node + 1);
                command.args(["--replica-directory-id", &id]);
                command
            }
        };
        let complaints = self.dir.join(format!("{}.log", node + 1));
        let complaints = File::options().create(true).append(true).open(complaints)?;
        command
            .current_dir(&self.dir)
            .arg("--config")
            .arg(self.properties(node))
            .args(["--throughput", &self.load.rate.to_string()])
            .args(["--record-size", &self.load.size.to_string()]);
        self.nodes[node] = Some(Process::start(&mut command, complaints)?);
        self.started = Instant::now();
        Ok(())
    }

    /// Since when the last of the nodes was started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn servers(&self) -> String {
        let servers = self.ports.iter().map(|port| format!("localhost:{port}"));
        servers.collect::<Vec<_>>().join(",")
    }

    fn properties(&self, node: usize) -> PathBuf {
        self.dir.join(format!("{}.properties", node + 1))
    }

    fn log_dir(&self, node: usize) -> PathBuf {
        self.dir.join((node + 1).to_string())
    }

    /// Where a node has the log's segments.
    pub(super) fn partition(&self, node: usize) -> PathBuf {
        self.log_dir(node).join(TOPIC)
    }

    fn running(&self) -> impl Iterator<Item = (usize, &Process)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(node, process)| Some((node, process.as_ref()?)))
    }

    /// Who leads the newest epoch that a running node has a leader of.
    pub(super) fn leader(&self) -> Option<Leader> {
        let running = self.running().map(|(node, _)| node);
        running
            .filter_map(|node| leader_of(&self.partition(node)))
            .max()
    }

    /// Waits for a leader of an epoch above this one.
    pub(super) fn wait_for_leader(&mut self, above: i64) -> Result<Leader> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(leader) = self.leader().filter(|leader| leader.epoch > above) {
                return Ok(leader);
            }
            sleep(TICK);
        }
        self.check()?;
        bail!("there is no leader after {} s", PATIENCE.as_secs());
    }

    /// Whether nobody ended who was not killed.
    pub(super) fn check(&mut self) -> Result<()> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.as_mut().is_some_and(|process| !process.is_running()) {
                let log = self.dir.join(format!("{}.log", index + 1));
                let text = fs::read_to_string(log).unwrap_or_default();
                bail!("node {} ended: {text}", index + 1);
            }
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.nodes[node].take() {
            process.kill();
        }
    }

    /// Bytes of a node's segments.
    pub(super) fn log_bytes(&self, node: usize) -> u64 {
        let entries = fs::read_dir(self.partition(node))
            .into_iter()
            .flatten()
            .flatten();
        let segments = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "log"));
        segments
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .sum()
    }

    /// Bytes of all nodes' segments, the longest first.
    pub(super) fn logs(&self) -> Vec<u64> {
        let mut logs: Vec<u64> = (0..self.nodes.len()).map(|n| self.log_bytes(n)).collect();
        logs.sort_unstable_by(|a, b| b.cmp(a));
        logs
    }

    /// Seconds of processors that all running nodes used.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        self.running()
            .map(|(_, process)| process.cpu_seconds())
            .sum()
    }

    /// What each running node has in memory.
    pub(super) fn memory(&self) -> Result<Vec<Memory>> {
        self.running()
            .map(|(_, process)| process.memory())
            .collect()
    }

    /// What all nodes printed since a moment.
    pub(super) fn lines_since(&self, since: Instant) -> Vec<String> {
        self.running()
            .flat_map(|(_, process)| process.lines_since(since))
            .collect()
    }

    /// What all nodes printed since they were last asked, and when.
    pub(super) fn take_lines(&self) -> Vec<(Instant, String)> {
        let lines = self.running().flat_map(|(_, process)| process.take_lines());
        let mut lines: Vec<_> = lines.collect();
        lines.sort_by_key(|(at, _)| *at);
        lines
    }

    /// Bytes that each node has on the disk, those of files included that it has removed and still
    /// holds open.
    pub(super) fn disk_bytes(&self) -> Vec<u64> {
        let nodes = self.running().map(|(node, process)| {
            let files = fs::read_dir(self.partition(node)).into_iter().flatten();
            // A file may be gone by now.
            let named = files.flatten().filter_map(|entry| entry.metadata().ok());
            let named: u64 = named.map(|metadata| metadata.blocks() * 512).sum();
            named + process.unnamed_bytes()
        });
        nodes.collect()
    }

    /// Kills all of them. Their logs stay until this value goes.
    pub(super) fn stop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        // The next run does it otherwise.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What a node's `quorum-state` says. It is replaced as a whole.
pub(super) fn leader_of(partition: &Path) -> Option<Leader> {
    let text = fs::read_to_string(partition.join("quorum-state")).ok()?;
    let state: Value = serde_json::from_str(&text).ok()?;
    let node = usize::try_from(state.get("leaderId")?.as_i64()?).ok()?;
    Some(Leader {
        epoch: state.get("leaderEpoch")?.as_i64()?,
        node: node.checked_sub(1)?,
    })
}
