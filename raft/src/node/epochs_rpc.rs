//! BeginQuorumEpoch and EndQuorumEpoch: answering them, and what comes back (KIP-595).

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, EndQuorumEpochRequest,
    EndQuorumEpochResponse, begin_quorum_epoch_request, begin_quorum_epoch_response,
    end_quorum_epoch_request, end_quorum_epoch_response,
};

use super::output::Token;
use super::responses::{Head, endpoints_of, leader_endpoints};
use super::{Node, Role};
use crate::types::{Epoch, NodeId, ReplicaKey};
use crate::voters::Endpoints;

impl Node {
    pub(super) fn serve_begin(
        &mut self,
        token: Token,
        version: i16,
        request: &BeginQuorumEpochRequest<'_>,
    ) {
        let response = match self.begin(request) {
            Err(error_code) => BeginQuorumEpochResponse {
                error_code: error_code.0,
                ..Default::default()
            },
            Ok(error) => {
                let partition = begin_quorum_epoch_response::PartitionData {
                    error_code: error.0,
                    leader_id: self.wire_leader(),
                    leader_epoch: self.epoch,
                    ..Default::default()
                };
                BeginQuorumEpochResponse {
                    topics: vec![begin_quorum_epoch_response::TopicData {
                        topic_name: self.wire_topic(),
                        partitions: vec![partition],
                        ..Default::default()
                    }],
                    node_endpoints: leader_endpoints!(self, version, begin_quorum_epoch_response),
                    ..Default::default()
                }
            }
        };
        self.reply(token, response);
    }

    fn begin(&mut self, request: &BeginQuorumEpochRequest<'_>) -> Result<ErrorCode, ErrorCode> {
        let news = self.only_partition(
            request.cluster_id.as_deref(),
            &request.topics,
            |topic| (&topic.topic_name, &topic.partitions),
            |partition| partition.partition_index,
        )?;
        let endpoints = endpoints_of(&request.leader_endpoints, |e| (&e.name, &e.host, e.port));
        Ok(self.begin_epoch(news, endpoints, request.voter_id))
    }

    fn begin_epoch(
        &mut self,
        news: &begin_quorum_epoch_request::PartitionData,
        endpoints: Endpoints,
        voter: NodeId,
    ) -> ErrorCode {
        if let Err(error) = self.hear_of_leader(news.leader_id, news.leader_epoch, endpoints) {
            return error;
        }
        // The leader is known now even if the request was meant for another directory (KIP-853).
        if self.is_for_this_voter(voter, news.voter_directory_id) {
            ErrorCode::NONE
        } else {
            ErrorCode::INVALID_VOTER_KEY
        }
    }

    /// A leader says that it leads, or did. It says where it listens, or the voter set does.
    fn hear_of_leader(
        &mut self,
        leader: NodeId,
        epoch: Epoch,
        endpoints: Endpoints,
    ) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if leader < 0 {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let endpoints = if endpoints.get(&self.config.listener).is_some() {
            endpoints
        } else {
            self.voter_endpoints(leader).unwrap_or_default()
        };
        if self.learn_leader(Some(leader), epoch, Some(leader), endpoints) {
            Ok(())
        } else {
            Err(ErrorCode::INVALID_REQUEST)
        }
    }

    pub(super) fn serve_end(
        &mut self,
        token: Token,
        version: i16,
        request: &EndQuorumEpochRequest<'_>,
    ) {
        let response = match self.end(request) {
            Err(error_code) => EndQuorumEpochResponse {
                error_code: error_code.0,
                ..Default::default()
            },
            Ok(error) => {
                let partition = end_quorum_epoch_response::PartitionData {
                    error_code: error.0,
                    leader_id: self.wire_leader(),
                    leader_epoch: self.epoch,
                    ..Default::default()
                };
                EndQuorumEpochResponse {
                    topics: vec![end_quorum_epoch_response::TopicData {
                        topic_name: self.wire_topic(),
                        partitions: vec![partition],
                        ..Default::default()
                    }],
                    node_endpoints: leader_endpoints!(self, version, end_quorum_epoch_response),
                    ..Default::default()
                }
            }
        };
        self.reply(token, response);
    }

    fn end(&mut self, request: &EndQuorumEpochRequest<'_>) -> Result<ErrorCode, ErrorCode> {
        let news = self.only_partition(
            request.cluster_id.as_deref(),
            &request.topics,
            |topic| (&topic.topic_name, &topic.partitions),
            |partition| partition.partition_index,
        )?;
        let endpoints = endpoints_of(&request.leader_endpoints, |e| (&e.name, &e.host, e.port));
        if let Err(error) = self.hear_of_leader(news.leader_id, news.leader_epoch, endpoints) {
            return Ok(error);
        }
        if self.leader == Some(news.leader_id) {
            let (place, count) = self.place_among(news);
            let pause = succession_pause(self.config.election_backoff_max_ms, place, count);
            let until = self.now.plus(pause);
            if let Role::Follower(follower) = &mut self.role {
                follower.fetch_until = until;
            }
        }
        Ok(ErrorCode::NONE)
    }

    /// This node's place among the successors, best first, and how many there are.
    fn place_among(
        &self,
        news: &end_quorum_epoch_request::PartitionData<'_>,
    ) -> (Option<usize>, usize) {
        let candidates = &news.preferred_candidates;
        if candidates.is_empty() {
            let place = news
                .preferred_successors
                .iter()
                .position(|id| Some(id) == self.config.id);
            return (place, news.preferred_successors.len());
        }
        let key = |c: &end_quorum_epoch_request::ReplicaInfo| {
            ReplicaKey::new(c.candidate_id, c.candidate_directory_id)
        };
        let place = candidates.iter().position(|c| self.is_own_key(key(c)));
        (place, candidates.len())
    }

    pub(super) fn begin_answered(&mut self, peer: NodeId, response: &BeginQuorumEpochResponse<'_>) {
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
        let head = Head {
            error: ErrorCode(answer.error_code),
            leader: answer.leader_id,
            epoch: answer.leader_epoch,
            endpoints,
        };
        self.take_head(peer, head);
    }

    pub(super) fn end_answered(&mut self, peer: NodeId, response: &EndQuorumEpochResponse<'_>) {
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
        let head = Head {
            error: ErrorCode(answer.error_code),
            leader: answer.leader_id,
            epoch: answer.leader_epoch,
            endpoints,
        };
        if self.take_head(peer, head)
            && let Role::Resigned(resigned) = &mut self.role
        {
            resigned.acknowledged.insert(peer);
        }
    }
}

/// How long a successor waits before it stands: the first not at all, the others the longer the
/// further back, so that they do not disturb it (KIP-595).
fn succession_pause(max_ms: u64, place: Option<usize>, count: usize) -> u64 {
    match place {
        None => max_ms,
        Some(0) => 0,
        Some(place) => {
            let shift = |value: u64, by: usize, left: bool| {
                let by = u32::try_from(by).unwrap_or(u32::MAX);
                if left {
                    value.checked_shl(by).unwrap_or(max_ms)
                } else {
                    value.checked_shr(by).unwrap_or(0)
                }
            };
            let base = shift(max_ms, count.saturating_sub(1), false).max(1);
            shift(base, place - 1, true).min(max_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::succession_pause;

    #[test]
    fn successors_wait_by_their_place() {
        let pause = |place| succession_pause(1_000, place, 4);
        assert_eq!(pause(Some(0)), 0);
        assert_eq!(pause(Some(1)), 125);
        assert_eq!(pause(Some(2)), 250);
        assert_eq!(pause(Some(3)), 500);
        assert_eq!(pause(None), 1_000);
        assert_eq!(succession_pause(1_000, Some(90), 100), 1_000);
    }
}
