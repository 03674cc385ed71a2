//! What the check looks at in a node's state, worked out once for each state.

use std::fmt;

use kwire_raft::node::{RoleName, Timer};
use kwire_raft::random;
use kwire_raft::types::{Epoch, NodeId, Offset, QuorumState, ReplicaKey};

use crate::local::Local;
use crate::store::Stored;

/// A node as the properties see it.
#[derive(Clone, Debug)]
pub struct View {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its role.
    pub role: RoleName,
    /// The leader that it knows.
    pub leader: Option<NodeId>,
    /// Its vote.
    pub voted: Option<ReplicaKey>,
    /// Its high watermark, if it knows one.
    pub high_watermark: Option<Offset>,
    /// Its log as readers see it: after each batch, where it ends, and what it is up to there.
    pub log: Vec<Place>,
    /// Its log as every crash leaves it at the least.
    pub durable: Vec<Place>,
    /// Operations that a crash may undo.
    pub pending: usize,
    /// Whether a barrier is being run.
    pub is_syncing: bool,
    /// The timers that run.
    pub timers: Vec<Timer>,
    /// Those that wait for its answers.
    pub waiting: Vec<NodeId>,
    /// Those whose answers it waits for.
    pub awaits: Vec<NodeId>,
    /// The voters, as it knows them.
    pub voters: Vec<ReplicaKey>,
    /// Itself.
    pub key: ReplicaKey,
    /// What is on its disk of the election.
    pub saved: Option<QuorumState>,
}

/// The end of a batch, and a number that stands for everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The offset after the batch.
    pub end: Offset,
    /// The batch's epoch.
    pub epoch: Epoch,
    /// The same for equal logs, and for no others.
    pub content: u64,
}

impl View {
    /// Looks at a node.
    #[must_use]
    pub fn of(local: &Local, nodes: &[NodeId]) -> View {
        let node = local.node();
        let log = local.driver.log();
        View {
            epoch: node.epoch(),
            role: node.role(),
            leader: node.leader(),
            voted: node.voted(),
            high_watermark: node.high_watermark(),
            log: places(log.issued()),
            durable: places(log.durable()),
            pending: log.pending(),
            is_syncing: local.driver.model_syncing().is_some(),
            timers: node.model_timers(),
            waiting: local.waiting().into_iter().collect(),
            awaits: local.awaits(nodes.iter().copied()).into_iter().collect(),
            voters: node.voters().iter().map(|voter| voter.key).collect(),
            key: ReplicaKey::new(local.id(), node.config().directory_id),
            saved: local.driver.state().saved(),
        }
    }

    /// What is before an offset of the log. `None` if no batch ends there.
    #[must_use]
    pub fn content(&self, end: Offset) -> Option<u64> {
        content(&self.log, end)
    }

    /// The same of what no crash takes away.
    #[must_use]
    pub fn durable_content(&self, end: Offset) -> Option<u64> {
        content(&self.durable, end)
    }

    /// What about its role cannot be.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let own = Some(self.key.id);
        let leads = self.leader == own;
        let is_own_vote = self.voted.is_some_and(|voted| voted.id == self.key.id);
        let fits = match self.role {
            RoleName::Leader => leads && self.voted.is_none(),
            RoleName::Resigned => leads,
            RoleName::Follower => self.leader.is_some() && !leads,
            RoleName::Candidate => self.leader.is_none() && is_own_vote,
            _ => !leads,
        };
        let end = self.log.last().map_or(0, |last| last.end);
        let saved = self.saved.unwrap_or_default();
        if !fits {
            let (role, leader, voted) = (self.role, self.leader, self.voted);
            Some(format!(
                "a {role:?} with leader {leader:?} and vote {voted:?}"
            ))
        } else if self.high_watermark.is_some_and(|committed| committed > end) {
            let committed = self.high_watermark.unwrap_or(0);
            Some(format!(
                "its high watermark {committed} is beyond its log's end {end}"
            ))
        } else if saved.epoch > self.epoch {
            Some(format!(
                "epoch {} where {} is saved",
                self.epoch, saved.epoch
            ))
        } else {
            None
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self;
        write!(f, "{} {:?} e{}", view.key.id, view.role, view.epoch)?;
        if let Some(voted) = view.voted {
            write!(f, " voted {}", voted.id)?;
        }
        if let Some(leader) = view.leader {
            write!(f, " leader {leader}")?;
        }
        let epochs: Vec<String> = view
            .log
            .iter()
            .map(|place| place.epoch.to_string())
            .collect();
        let durable = view.durable.len();
        write!(f, " log [{}] durable {durable}", epochs.join(" "))?;
        match view.high_watermark {
            Some(upto) => write!(f, " hw {upto}"),
            None => Ok(()),
        }
    }
}

fn content(places: &[Place], end: Offset) -> Option<u64> {
    if end == 0 {
        return Some(0);
    }
    let found = places.iter().find(|place| place.end == end)?;
    Some(found.content)
}

fn places(batches: &[Stored]) -> Vec<Place> {
    let mut content = 0;
    let place = |batch: &Stored| {
        for part in batch.bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            content = mix(content ^ u64::from_le_bytes(word));
        }
        Place {
            end: batch.end,
            epoch: batch.epoch,
            content,
        }
    };
    batches.iter().map(place).collect()
}

/// One step of a hash: SplitMix64's finisher, which is a bijection.
#[must_use]
pub fn mix(mut x: u64) -> u64 {
    random::next(&mut x)
}
