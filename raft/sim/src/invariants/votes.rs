//! One vote a replica and epoch, never forgotten, and leaders have a majority of them.

use std::collections::{BTreeMap, BTreeSet};

use kwire_raft::node::RoleName;
use kwire_raft::types::{Epoch, NodeId, ReplicaKey};

use super::promises::vote_of;
use super::{Invariant, View};

/// A replica, and how often it was started.
type Run = (usize, u32);

#[derive(Default)]
pub(super) struct Votes {
    /// Whom each disk voted for in each epoch.
    given: BTreeMap<(ReplicaKey, Epoch), NodeId>,
    /// Who voted for each candidate in each epoch.
    got: BTreeMap<(NodeId, Epoch), BTreeSet<NodeId>>,
    /// What each node said of its vote last.
    known: BTreeMap<Run, (Epoch, Option<ReplicaKey>)>,
    leads: BTreeMap<Run, Epoch>,
}

impl Invariant for Votes {
    fn name(&self) -> &'static str {
        "votes"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        for (from, request, response) in view.replies() {
            if let Some((epoch, candidate)) = vote_of(request, response)
                && let Some(voter) = view.hosts[from].key
            {
                self.vote(voter, epoch, candidate.id)?;
            }
        }
        self.look(view)
    }
}

impl Votes {
    fn vote(&mut self, voter: ReplicaKey, epoch: Epoch, candidate: NodeId) -> Result<(), String> {
        let first = *self.given.entry((voter, epoch)).or_insert(candidate);
        if first != candidate {
            return Err(format!(
                "{voter} votes for {first} and {candidate} in epoch {epoch}"
            ));
        }
        self.got
            .entry((candidate, epoch))
            .or_default()
            .insert(voter.id);
        Ok(())
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let Some(key) = host.key else { return Ok(()) };
        let run = (host.index, host.incarnation);
        let (epoch, voted, role) = (node.epoch(), node.voted(), node.role());
        let before = self.known.insert(run, (epoch, voted));
        let leads = matches!(role, RoleName::Leader | RoleName::Resigned);
        if let Some((before_epoch, Some(before))) = before
            && before_epoch == epoch
            && voted != Some(before)
            && !leads
        {
            return Err(format!("{key} forgets its vote for {before} of {epoch}"));
        }
        match role {
            RoleName::Candidate => self.vote(key, epoch, key.id)?,
            RoleName::Leader if self.leads.insert(run, epoch) != Some(epoch) => {
                self.vote(key, epoch, key.id)?;
                self.elected(view, key, epoch, node.voters())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn elected(
        &self,
        view: &View<'_>,
        key: ReplicaKey,
        epoch: Epoch,
        voters: &kwire_raft::voters::VoterSet,
    ) -> Result<(), String> {
        let none = BTreeSet::new();
        let got = self.got.get(&(key.id, epoch)).unwrap_or(&none);
        let count = voters.ids().filter(|id| got.contains(id)).count();
        if count < voters.majority() {
            return Err(format!(
                "{key} leads epoch {epoch} with the votes of {got:?} of {} at {}",
                voters.len(),
                view.now
            ));
        }
        Ok(())
    }
}
