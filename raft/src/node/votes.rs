//! Who gets a vote: rules without state.

use super::Role;
use crate::mutation::{Mutation, is_off};
use crate::types::{Instant, NodeId, OffsetAndEpoch, ReplicaKey};

/// What a node knows when it is asked for its vote, its epoch being the asker's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ballot<'a> {
    pub(super) role: &'a Role,
    pub(super) leader: Option<NodeId>,
    pub(super) voted: Option<ReplicaKey>,
    pub(super) log_end: OffsetAndEpoch,
    pub(super) now: Instant,
}

/// Whether a log is not behind another one.
pub(super) fn is_up_to_date(candidate: OffsetAndEpoch, own: OffsetAndEpoch) -> bool {
    if is_off(Mutation::VoteForShorterLog) {
        return true;
    }
    if is_off(Mutation::VoteByLengthAlone) {
        return candidate.offset >= own.offset;
    }
    candidate >= own
}

impl Ballot<'_> {
    /// Whether the vote goes to a candidate.
    pub(super) fn grants(self, candidate: ReplicaKey, log_end: OffsetAndEpoch) -> bool {
        match self.role {
            Role::Resigned(_) if is_off(Mutation::ResignedVotes) => {}
            Role::Leader(_) | Role::Follower(_) | Role::Candidate(_) | Role::Resigned(_) => {
                return false;
            }
            Role::Unattached { .. } | Role::Prospective(_) => {}
        }
        match self.voted {
            Some(_) if is_off(Mutation::VoteTwice) => is_up_to_date(log_end, self.log_end),
            Some(voted) => {
                voted.id == candidate.id
                    && (voted.directory_id.is_none()
                        || voted.directory_id == candidate.directory_id)
            }
            None if self.leader.is_some() && !is_off(Mutation::ResignedVotes) => false,
            None => is_up_to_date(log_end, self.log_end),
        }
    }

    /// Whether the vote would go to the asker (KIP-996).
    pub(super) fn would_grant(self, log_end: OffsetAndEpoch) -> bool {
        let free = match self.role {
            Role::Leader(_) => false,
            // With a leader that works, an election would only disturb.
            Role::Follower(follower) => {
                !follower.has_working_leader(self.now) || is_off(Mutation::PreVoteWithLeader)
            }
            _ => true,
        };
        free && is_up_to_date(log_end, self.log_end)
    }
}
