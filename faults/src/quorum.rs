//! Three nodes, and what is seen of them from outside, in the same way for all kinds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kwire_raft::types::Epoch;
use kwire_raft::voters::Address;
use kwire_server::verify::Promises;
use serde_json::Value;

use crate::failure::Failure;
use crate::network::Network;
use crate::node::{End, Kind, Node, Start};

/// How long a node may take to stop once it is asked to.
const STOPPING: Duration = Duration::from_secs(20);

pub(crate) struct Quorum {
    pub(crate) nodes: Vec<Node>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) promises: Arc<Mutex<Promises>>,
    /// Who led each epoch that was seen.
    pub(crate) leaders: BTreeMap<Epoch, usize>,
    /// Processes that ended because of their disks.
    pub(crate) disk_ends: u64,
}

/// The commands of the kinds of nodes.
pub(crate) type Commands = BTreeMap<String, Vec<String>>;

/// What all nodes of a run are started with.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) commands: Commands,
    pub(crate) faketime: Option<PathBuf>,
    pub(crate) throughput: u32,
}

impl Quorum {
    /// Writes what the nodes need into an empty directory. None of them runs yet.
    pub(crate) fn prepare(
        recipe: &Recipe,
        network: &Network,
        home: &Path,
    ) -> Result<Quorum, Failure> {
        let promises = Arc::new(Mutex::new(Promises::default()));
        let addresses: Vec<Address> = (1..=recipe.kinds.len())
            .map(|id| network.address(id))
            .collect();
        let voters = (1..).zip(&addresses);
        let voters: Vec<String> = voters
            .map(|(id, address): (usize, _)| format!("{id}@{address}"))
            .collect();
        let mut nodes = Vec::new();
        for ((id, kind), address) in (1..).zip(&recipe.kinds).zip(&addresses) {
            let mut command = network.prefix(id);
            let words = recipe.commands.get(&kind.to_string());
            command.extend(words.into_iter().flatten().cloned());
            let start = Start {
                command,
                // A JVM's own timers go by the clock that it moves.
                faketime: recipe.faketime.clone().filter(|_| !kind.is_java()),
                throughput: recipe.throughput,
            };
            let node = Node::new(id, kind.clone(), home, start, promises.clone())?;
            let text = format!(
                "process.roles=controller\nnode.id={id}\nlisteners=CONTROLLER://{address}\n\
                 controller.listener.names=CONTROLLER\n\
                 listener.security.protocol.map=CONTROLLER:PLAINTEXT\n\
                 controller.quorum.voters={}\nlog.dirs=node-{id}\n",
                voters.join(",")
            );
            let path = node.properties();
            fs::write(&path, text).map_err(Failure::file(&path))?;
            nodes.push(node);
        }
        Ok(Quorum {
            nodes,
            addresses,
            promises,
            leaders: BTreeMap::new(),
            disk_ends: 0,
        })
    }

    pub(crate) fn node(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    /// Starts all nodes that do not run.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        self.nodes.iter_mut().try_for_each(Node::start)
    }

    /// Who leads the newest epoch that a running node has a leader of: it stands in their files.
    pub(crate) fn leader(&self) -> Option<(Epoch, usize)> {
        let running = self.nodes.iter().filter(|node| node.is_running());
        running
            .filter_map(|node| leader_of(&node.partition()))
            .max()
    }

    /// Whether a node knows of the newest leader.
    pub(crate) fn is_up_to_date(&self, node: &Node) -> bool {
        leader_of(&node.partition()) == self.leader()
    }

    /// Notes who leads, and who ended.
    ///
    /// # Errors
    /// When one ended for no reason that there was.
    pub(crate) fn look(&mut self) -> Result<(), Failure> {
        if let Some((epoch, leader)) = self.leader()
            && let Some(other) = self.leaders.insert(epoch, leader)
            && other != leader
        {
            let what = format!("epoch {epoch} had two leaders, {other} and {leader}");
            return Err(Failure::broken(what));
        }
        for node in &mut self.nodes {
            match node.ended() {
                None | Some(End::Stopped) => {}
                Some(End::Disk(_)) => self.disk_ends += 1,
                Some(End::Unasked(what)) => return Err(Failure::broken(what)),
            }
        }
        Ok(())
    }

    /// Waits for those that were asked to stop.
    pub(crate) fn wait_for_stops(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + STOPPING;
        while let Some(node) = self.nodes.iter().find(|node| node.is_stopping()) {
            if Instant::now() > until {
                let what = format!("node {} ({}) does not stop", node.id, node.kind);
                return Err(Failure::broken(what));
            }
            thread::sleep(Duration::from_millis(10));
            self.look()?;
        }
        Ok(())
    }

    /// How many of the epochs that were seen had a leader of this kind.
    pub(crate) fn elections(&self, java: bool) -> usize {
        let kinds = self.leaders.values();
        let of_kind = |id: &&usize| {
            let node = self.nodes.get(**id - 1);
            node.is_some_and(|node| node.kind.is_java() == java)
        };
        kinds.filter(of_kind).count()
    }
}

/// What a node's `quorum-state` says. It is replaced as a whole.
fn leader_of(partition: &Path) -> Option<(Epoch, usize)> {
    let text = fs::read_to_string(partition.join("quorum-state")).ok()?;
    let state: Value = serde_json::from_str(&text).ok()?;
    let leader = usize::try_from(state.get("leaderId")?.as_i64()?).ok()?;
    let epoch = Epoch::try_from(state.get("leaderEpoch")?.as_i64()?).ok()?;
    (leader > 0).then_some((epoch, leader))
}

/// The segments of a partition, in order.
pub(crate) fn segments(partition: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(partition).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut segments: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    // The names are offsets with leading zeros.
    segments.sort();
    segments
}

/// Bytes of a partition's segments.
pub(crate) fn log_bytes(partition: &Path) -> u64 {
    let segments = segments(partition).into_iter();
    segments
        .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
        .sum()
}
