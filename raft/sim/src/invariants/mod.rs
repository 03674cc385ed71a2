//! What has to be true after every event. Each rule looks, draws nothing and changes nothing.

mod agreement;
mod check_quorum;
mod completeness;
mod epochs;
mod fetches;
mod high_watermark;
mod leaders;
mod majority;
mod membership;
mod pre_votes;
mod promises;
mod snapshots;
mod stability;
mod states;
mod truncation;
mod votes;

use kwire_raft::message::{Request, Response};
use kwire_raft::node::Node;
use kwire_raft::types::{Instant, NodeId, Offset, QuorumState, ReplicaKey};

use crate::clock::Micros;
use crate::oracle::Oracle;
use crate::shadow::Shadow;
use crate::swarm::{Options, Scenario};
use crate::world::{Observed, Violation};

/// A machine, to look at.
pub struct HostView<'a> {
    /// Which one it is.
    pub index: usize,
    /// The node's id.
    pub id: Option<NodeId>,
    /// The node as a replica.
    pub key: Option<ReplicaKey>,
    /// How often it was started.
    pub incarnation: u32,
    /// The node, while it runs.
    pub node: Option<&'a Node>,
    /// Its log as it was written.
    pub shadow: &'a Shadow,
    /// The offset before which a crash leaves that as it is.
    pub durable: Offset,
    /// What a crash would leave of its election state.
    pub saved: Option<QuorumState>,
    /// What its clock shows.
    pub now: Instant,
}

/// The world, to look at.
pub struct View<'a> {
    /// The virtual time.
    pub now: Micros,
    /// All machines.
    pub hosts: Vec<HostView<'a>>,
    /// The machine that something happened on, if it was one.
    pub touched: Option<usize>,
    /// The messages that somebody saw.
    pub observed: &'a [Observed],
    /// Disks that were lost.
    pub lost: &'a [(ReplicaKey, Shadow)],
    /// What is true.
    pub oracle: &'a Oracle,
    /// The run's options.
    pub options: &'a Options,
}

impl View<'_> {
    /// The answers that machines gave, with what they answer.
    fn replies(&self) -> impl Iterator<Item = (usize, &Request, &Response)> {
        self.observed.iter().filter_map(|seen| match seen {
            Observed::Replied {
                from,
                request,
                response,
            } => Some((*from, &**request, &**response)),
            Observed::Sent { .. } | Observed::Received { .. } => None,
        })
    }

    /// The machine that something happened on, and its node if it runs.
    fn touched(&self) -> Option<(&HostView<'_>, &Node)> {
        let host = &self.hosts[self.touched?];
        Some((host, host.node?))
    }
}

/// A rule.
trait Invariant {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Looks whether it holds.
    fn check(&mut self, view: &View<'_>) -> Result<(), String>;

    /// Whether it holds even where what is committed may be lost.
    fn bears_loss(&self) -> bool {
        true
    }
}

/// All rules of a run.
pub struct Invariants(Vec<Box<dyn Invariant>>);

impl Invariants {
    /// Those that a run's kind does not break by design.
    #[must_use]
    pub fn new(options: &Options) -> Invariants {
        let mut all: Vec<Box<dyn Invariant>> = vec![
            Box::new(states::States::default()),
            Box::new(epochs::Epochs::default()),
            Box::new(promises::Promises),
            Box::new(votes::Votes::default()),
            Box::new(pre_votes::PreVotes),
            Box::new(leaders::Leaders::default()),
            Box::new(completeness::Completeness::default()),
            Box::new(high_watermark::HighWatermark::default()),
            Box::new(majority::Majority::default()),
            Box::new(agreement::Agreement::default()),
            Box::new(truncation::Truncation::default()),
            Box::new(membership::Membership::default()),
            Box::new(snapshots::Snapshots::default()),
            Box::new(fetches::Fetches),
            Box::new(check_quorum::CheckQuorum::default()),
        ];
        if options.scenario == Scenario::LostDisk {
            all.retain(|invariant| invariant.bears_loss());
        }
        if options.scenario == Scenario::StableLeader {
            all.push(Box::new(stability::Stability::default()));
        }
        Invariants(all)
    }

    /// Looks at the world after an event.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&mut self, view: &View<'_>) -> Result<(), Violation> {
        for invariant in &mut self.0 {
            invariant.check(view).map_err(|what| Violation {
                invariant: invariant.name(),
                what,
            })?;
        }
        Ok(())
    }
}
