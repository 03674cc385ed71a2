//! A leader that gave up: it tells the voters, best successors first.

use std::collections::BTreeSet;

use kwire_protocol::messages::{EndQuorumEpochRequest, end_quorum_epoch_request};

use super::calls::Kind;
use super::responses::wire_endpoints;
use super::{Node, Role};
use crate::message::Request;
use crate::types::{Instant, NodeId, ReplicaKey};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Resigned {
    /// When the node becomes Unattached in the next epoch.
    pub(super) ends_at: Instant,
    /// Voters that know.
    pub(super) acknowledged: BTreeSet<NodeId>,
    /// Voters whose addresses refuse connections: nobody is there to take over.
    gone: BTreeSet<NodeId>,
    /// The voters, best successor first. Empty if this node found itself resigned when it started.
    successors: Vec<ReplicaKey>,
}

impl Resigned {
    pub(super) fn new(ends_at: Instant, successors: Vec<ReplicaKey>) -> Resigned {
        Resigned {
            ends_at,
            acknowledged: BTreeSet::new(),
            gone: BTreeSet::new(),
            successors,
        }
    }
}

impl Node {
    /// The address of a voter refuses connections, or it answered after all.
    pub(super) fn note_gone(&mut self, peer: NodeId, is_gone: bool) {
        if let Role::Resigned(resigned) = &mut self.role {
            match is_gone {
                true => resigned.gone.insert(peer),
                false => resigned.gone.remove(&peer),
            };
        }
    }

    /// Whether a voter may be there that takes over.
    pub(super) fn has_successor(&self, resigned: &Resigned) -> bool {
        let others = self.voters().ids().filter(|id| Some(*id) != self.config.id);
        others.into_iter().any(|id| !resigned.gone.contains(&id))
    }

    pub(super) fn pump_resigned(&mut self) {
        let Role::Resigned(resigned) = &self.role else {
            return;
        };
        // Who shuts down waits for an election of the others, for as long as it was given.
        if resigned.ends_at <= self.now
            && self.shutdown.is_none()
            && let Some(next) = self.epoch.checked_add(1)
        {
            // A new epoch: this one's leader was this node, and it may not follow or vote in it.
            // Its time to wait for others is over, and goes on being so.
            self.enter_epoch(next);
            self.become_unattached(None);
            return;
        }
        let open: Vec<NodeId> = self
            .voters()
            .ids()
            .filter(|id| !resigned.acknowledged.contains(id) && Some(*id) != self.config.id)
            .filter(|id| self.calls.is_ready(*id))
            .collect();
        for id in open {
            if let Some(to) = self.voter_destination(id) {
                let request = self.end_request();
                self.send(to, Kind::End, None, request);
            }
        }
    }

    pub(super) fn resigned_timeout(&self, resigned: &Resigned) -> Instant {
        if self.shutdown.is_some() || resigned.ends_at <= self.now {
            Instant::NEVER
        } else {
            resigned.ends_at
        }
    }

    fn end_request(&self) -> Request {
        let Role::Resigned(resigned) = &self.role else {
            unreachable!("only who resigned ends its epoch");
        };
        let ids: Vec<NodeId> = resigned.successors.iter().map(|key| key.id).collect();
        let candidate = |key: &ReplicaKey| end_quorum_epoch_request::ReplicaInfo {
            candidate_id: key.id,
            candidate_directory_id: key.wire_directory_id(),
            ..Default::default()
        };
        let partition = end_quorum_epoch_request::PartitionData {
            leader_id: self.wire_leader(),
            leader_epoch: self.epoch,
            preferred_successors: ids.into(),
            preferred_candidates: resigned.successors.iter().map(candidate).collect(),
            ..Default::default()
        };
        Request::EndQuorumEpoch(EndQuorumEpochRequest {
            cluster_id: self.wire_cluster_id(),
            topics: vec![end_quorum_epoch_request::TopicData {
                topic_name: self.wire_topic(),
                partitions: vec![partition],
                ..Default::default()
            }],
            leader_endpoints: wire_endpoints!(
                self.config.endpoints,
                end_quorum_epoch_request::LeaderEndpoint
            ),
            ..Default::default()
        })
    }

    /// Gives up leading an epoch, for instance because the application cannot go on. Nothing
    /// happens if the node does not lead that epoch.
    pub fn resign(&mut self, now: Instant, epoch: crate::types::Epoch) {
        self.at(now);
        if epoch == self.epoch {
            self.resign_now();
        }
        self.pump();
    }

    pub(super) fn resign_now(&mut self) {
        if let Role::Leader(leader) = &self.role {
            let successors = leader.successors(self.config.id, self.voters());
            self.resign_role(successors);
        }
    }
}
