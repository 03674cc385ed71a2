//! What a node says is on its disk: its epoch, and its vote.

use kwire_raft::message::{Request, Response};
use kwire_raft::types::{Epoch, ReplicaKey};

use super::{Invariant, View};
use crate::world::Observed;

pub(super) struct Promises;

impl Invariant for Promises {
    fn name(&self) -> &'static str {
        "promises"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        for seen in view.observed {
            let (from, epoch, vote) = match seen {
                Observed::Sent { from, request } => (*from, asked_in(request), None),
                Observed::Replied {
                    from,
                    request,
                    response,
                } => (*from, answered_in(response), vote_of(request, response)),
                Observed::Received { .. } => continue,
            };
            let saved = view.hosts[from].saved.unwrap_or_default();
            if epoch.is_some_and(|epoch| epoch > saved.epoch) {
                return Err(format!(
                    "machine {from} speaks of epoch {epoch:?}, and its disk of {}",
                    saved.epoch
                ));
            }
            if let Some((epoch, candidate)) = vote
                && epoch == saved.epoch
                && saved.voted.map(|voted| voted.id) != Some(candidate.id)
                // Elections can be over in the same event in which the vote was given.
                && saved.leader != Some(candidate.id)
            {
                return Err(format!(
                    "machine {from} votes for {candidate}, and its disk says {:?}",
                    saved.voted
                ));
            }
        }
        Ok(())
    }
}

fn asked_in(request: &Request) -> Option<Epoch> {
    match request {
        Request::Vote(r) => Some(r.topics[0].partitions[0].replica_epoch),
        Request::BeginQuorumEpoch(r) => Some(r.topics[0].partitions[0].leader_epoch),
        Request::EndQuorumEpoch(r) => Some(r.topics[0].partitions[0].leader_epoch),
        Request::Fetch(r) => Some(r.topics[0].partitions[0].current_leader_epoch),
        _ => None,
    }
}

fn answered_in(response: &Response) -> Option<Epoch> {
    match response {
        Response::Vote(r) => Some(r.topics.first()?.partitions.first()?.leader_epoch),
        Response::BeginQuorumEpoch(r) => Some(r.topics.first()?.partitions.first()?.leader_epoch),
        Response::EndQuorumEpoch(r) => Some(r.topics.first()?.partitions.first()?.leader_epoch),
        Response::Fetch(r) => {
            let answer = r.responses.first()?.partitions.first()?;
            Some(answer.current_leader.leader_epoch)
        }
        _ => None,
    }
}

/// The vote that an answer gives.
pub(super) fn vote_of(request: &Request, response: &Response) -> Option<(Epoch, ReplicaKey)> {
    let (Request::Vote(asked), Response::Vote(answer)) = (request, response) else {
        return None;
    };
    let asked = asked.topics.first()?.partitions.first()?;
    let answer = answer.topics.first()?.partitions.first()?;
    let candidate = ReplicaKey::new(asked.replica_id, asked.replica_directory_id);
    (answer.vote_granted && !asked.pre_vote).then_some((answer.leader_epoch, candidate))
}
