//! Prospective and Candidate: the count of an election, and asking for votes.

use std::collections::BTreeMap;

use super::calls::Kind;
use super::{Node, Role};
use crate::mutation::{Mutation, is_off};
use crate::types::{Instant, NodeId, ReplicaKey};
use crate::voters::VoterSet;

/// The votes of an election, or of the question whether to hold one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Election {
    /// When the node gives up and tries anew.
    pub(super) ends_at: Instant,
    /// Whether the leader may be there still: only who knows pre-votes can say so.
    pub(super) is_early: bool,
    votes: BTreeMap<NodeId, bool>,
}

impl Election {
    pub(super) fn new(ends_at: Instant, own: Option<ReplicaKey>) -> Election {
        Election {
            ends_at,
            is_early: false,
            votes: own.map(|own| (own.id, true)).into_iter().collect(),
        }
    }

    pub(super) fn record(&mut self, voter: NodeId, granted: bool) {
        self.votes.insert(voter, granted);
    }

    pub(super) fn has_answered(&self, voter: NodeId) -> bool {
        self.votes.contains_key(&voter)
    }

    pub(super) fn granting(&self, voters: &VoterSet) -> Vec<NodeId> {
        let granted = |id: &NodeId| self.votes.get(id) == Some(&true);
        voters.ids().filter(granted).collect()
    }

    fn majority(voters: &VoterSet) -> usize {
        if is_off(Mutation::HalfElects) {
            voters.len() / 2
        } else {
            voters.majority()
        }
    }

    pub(super) fn is_won(&self, voters: &VoterSet) -> bool {
        self.granting(voters).len() >= Self::majority(voters)
    }

    pub(super) fn is_lost(&self, voters: &VoterSet) -> bool {
        let refused = |id: &NodeId| self.votes.get(id) == Some(&false);
        let refusals = voters.ids().filter(refused).count();
        voters.len() - refusals < voters.majority()
    }
}

impl Node {
    pub(super) fn pump_unattached(&mut self) {
        let Role::Unattached { election_at } = self.role else {
            return;
        };
        let may_stand = self.is_voter() || is_off(Mutation::ObserversStand);
        if may_stand && election_at == Instant::NEVER {
            // It became a voter while it waited.
            let election_at = self.election_deadline();
            self.role = Role::Unattached { election_at };
        } else if election_at <= self.now {
            if may_stand && self.config.id.is_some() && self.shutdown.is_none() {
                self.become_prospective();
            } else {
                self.role = Role::Unattached {
                    election_at: Instant::NEVER,
                };
            }
            return;
        }
        self.fetch_from_anybody();
    }

    pub(super) fn pump_election(&mut self) {
        let (election, pre_vote) = match &self.role {
            Role::Prospective(election) => (election, true),
            Role::Candidate(election) => (election, false),
            _ => return,
        };
        let voters = self.voters();
        let over = election.ends_at <= self.now;
        if election.is_won(voters) {
            let granting = election.granting(voters);
            if pre_vote {
                self.become_candidate();
            } else {
                self.become_leader(granting);
            }
        } else if pre_vote && (over || election.is_lost(voters)) {
            self.give_up_pre_vote();
        } else if over {
            self.become_prospective_or_wait();
        } else if !election.is_lost(voters) {
            self.ask_for_votes(pre_vote);
        }
    }

    /// A candidate whose time ran out asks again before it takes another epoch.
    fn become_prospective_or_wait(&mut self) {
        if self.shutdown.is_some() || !(self.is_voter() || is_off(Mutation::ObserversStand)) {
            self.become_unattached(None);
        } else {
            self.become_prospective();
        }
    }

    /// Back to the leader that it had, if there was one and it can be reached.
    fn give_up_pre_vote(&mut self) {
        let leader = self.leader.filter(|leader| Some(*leader) != self.config.id);
        let known = leader.and_then(|leader| {
            let endpoints = if self.leader_endpoints.is_empty() {
                self.voter_endpoints(leader)?
            } else {
                self.leader_endpoints.clone()
            };
            Some((leader, endpoints))
        });
        match known {
            Some((leader, endpoints)) => self.become_follower(leader, endpoints),
            // Its own timer ran out, or a majority refused: a new one, or it would ask again at
            // once.
            None => self.wait_anew(),
        }
    }

    fn ask_for_votes(&mut self, pre_vote: bool) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &self.role else {
            return;
        };
        let open: Vec<NodeId> = self
            .voters()
            .ids()
            .filter(|id| !election.has_answered(*id) && Some(*id) != self.config.id)
            .filter(|id| self.calls.is_ready(*id))
            .collect();
        let kind = if pre_vote { Kind::PreVote } else { Kind::Vote };
        for id in open {
            if let Some(to) = self.voter_destination(id) {
                let request = self.vote_request(id, pre_vote);
                self.send(to, kind, None, request);
            }
        }
    }
}
