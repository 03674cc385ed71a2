//! Vote: asking, answering, counting (KIP-595, KIP-853, KIP-996).

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{VoteRequest, VoteResponse, vote_request, vote_response};

use super::calls::Kind;
use super::output::Token;
use super::responses::leader_endpoints;
use super::votes::Ballot;
use super::{CallError, Node, Role};
use crate::message::Request;
use crate::mutation::{Mutation, is_off};
use crate::types::{NodeId, OffsetAndEpoch, ReplicaKey};

impl Node {
    pub(super) fn vote_request(&self, voter: NodeId, pre_vote: bool) -> Request {
        let key = self
            .config
            .key()
            .expect("who stands for election has an id");
        let voter_key = self.voters().get(voter).map(|voter| voter.key);
        let partition = vote_request::PartitionData {
            replica_epoch: self.epoch,
            replica_id: key.id,
            replica_directory_id: key.wire_directory_id(),
            voter_directory_id: voter_key.map_or_else(Default::default, |k| k.wire_directory_id()),
            last_offset_epoch: self.log.last_epoch(),
            last_offset: self.log.end(),
            pre_vote,
            ..Default::default()
        };
        Request::Vote(VoteRequest {
            cluster_id: self.wire_cluster_id(),
            voter_id: voter,
            topics: vec![vote_request::TopicData {
                topic_name: self.wire_topic(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        })
    }

    pub(super) fn serve_vote(&mut self, token: Token, version: i16, request: &VoteRequest<'_>) {
        let response = match self.vote(request) {
            Err(error_code) => VoteResponse {
                error_code: error_code.0,
                ..Default::default()
            },
            Ok(decision) => self.vote_response(version, decision),
        };
        self.reply(token, response);
    }

    /// Decides on a vote. The outer error is that of the whole request, the inner that of the
    /// partition.
    fn vote(&mut self, request: &VoteRequest<'_>) -> Result<Result<bool, ErrorCode>, ErrorCode> {
        let ask = self.only_partition(
            request.cluster_id.as_deref(),
            &request.topics,
            |topic| (&topic.topic_name, &topic.partitions),
            |partition| partition.partition_index,
        )?;
        Ok(self.vote_on(request.voter_id, ask))
    }

    fn vote_on(
        &mut self,
        voter: NodeId,
        ask: &vote_request::PartitionData,
    ) -> Result<bool, ErrorCode> {
        let epoch = ask.replica_epoch;
        // A pre-vote carries the epoch that the asker is in; the log may have records of it.
        let epoch_of_log_too_high = if ask.pre_vote {
            ask.last_offset_epoch > epoch
        } else {
            ask.last_offset_epoch >= epoch
        };
        if ask.last_offset < 0 || ask.last_offset_epoch < 0 || epoch_of_log_too_high {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if epoch < self.epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if ask.replica_id < 0 {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if epoch > self.epoch {
            self.enter_epoch(epoch);
            self.become_unattached(None);
        }
        if !self.is_for_this_voter(voter, ask.voter_directory_id) {
            return Err(ErrorCode::INVALID_VOTER_KEY);
        }
        let candidate = ReplicaKey::new(ask.replica_id, ask.replica_directory_id);
        let log_end = OffsetAndEpoch::new(ask.last_offset, ask.last_offset_epoch);
        let ballot = Ballot {
            role: &self.role,
            leader: self.leader,
            voted: self.voted,
            log_end: self.log_end(),
            now: self.now,
        };
        if ask.pre_vote {
            return Ok(ballot.would_grant(log_end));
        }
        let granted = ballot.grants(candidate, log_end);
        if granted {
            self.grant(candidate);
        }
        Ok(granted)
    }

    /// Gives the vote of this epoch, and waits anew for a leader.
    fn grant(&mut self, candidate: ReplicaKey) {
        self.voted = Some(candidate);
        let again = self.election_deadline();
        let is_voter = self.is_voter();
        match &mut self.role {
            Role::Unattached { election_at } if is_voter => *election_at = again,
            Role::Prospective(election) => election.ends_at = again,
            _ => {}
        }
        if !is_off(Mutation::VoteNotSaved) {
            self.save();
        }
    }

    fn vote_response(
        &self,
        version: i16,
        decision: Result<bool, ErrorCode>,
    ) -> VoteResponse<'static> {
        VoteResponse {
            topics: vec![vote_response::TopicData {
                topic_name: self.wire_topic(),
                partitions: vec![vote_response::PartitionData {
                    error_code: decision.err().unwrap_or_default().0,
                    leader_id: self.wire_leader(),
                    leader_epoch: self.epoch,
                    vote_granted: decision.unwrap_or_default(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            node_endpoints: leader_endpoints!(self, version, vote_response),
            ..Default::default()
        }
    }

    pub(super) fn vote_answered(&mut self, peer: NodeId, kind: Kind, response: &VoteResponse<'_>) {
        if kind == Kind::PreVote && response.error_code == ErrorCode::UNSUPPORTED_VERSION.0 {
            return self.pre_vote_failed(peer, CallError::UnsupportedVersion);
        }
        let answer = match &response.topics[..] {
            [topic] if topic.topic_name == self.config.topic.name => &topic.partitions[..],
            _ => &[],
        };
        let (0, [answer]) = (response.error_code, answer) else {
            return self.failed_answer(peer, response.error_code);
        };
        let endpoints = self.endpoints_in(answer.leader_id, &response.node_endpoints, |e| {
            (e.node_id, &e.host, e.port.into())
        });
        let head = super::responses::Head {
            error: ErrorCode(answer.error_code),
            leader: answer.leader_id,
            epoch: answer.leader_epoch,
            endpoints,
        };
        let stale = is_off(Mutation::StaleVotesCount);
        if !self.take_head(peer, head) && !stale {
            return;
        }
        match &mut self.role {
            Role::Prospective(election) if kind == Kind::PreVote || stale => {
                election.record(peer, answer.vote_granted);
            }
            // A voter that changes its mind is believed the first time, where Kafka would die.
            Role::Candidate(election)
                if (kind == Kind::Vote || stale) && !election.has_answered(peer) =>
            {
                election.record(peer, answer.vote_granted);
            }
            _ => {}
        }
    }

    /// There is no answer to a pre-vote: a node that does not know them is no reason to wait, unless
    /// its leader may be there.
    pub(super) fn pre_vote_failed(&mut self, peer: NodeId, error: CallError) {
        if error != CallError::UnsupportedVersion {
            return;
        }
        match &mut self.role {
            Role::Prospective(election) if election.is_early => election.record(peer, false),
            Role::Prospective(_) => self.become_candidate(),
            _ => {}
        }
    }
}
