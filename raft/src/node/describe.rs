//! DescribeQuorum (KIP-595, KIP-836, KIP-853).

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{
    DescribeQuorumRequest, DescribeQuorumResponse, describe_quorum_response,
};

use super::leader::{Leader, Replica};
use super::output::Token;
use super::responses::wire_endpoints;
use super::{Node, Role};
use crate::types::{Instant, ReplicaKey};
use crate::voters::Voter;

impl Node {
    pub(super) fn serve_describe(
        &mut self,
        token: Token,
        version: i16,
        request: &DescribeQuorumRequest<'_>,
    ) {
        let is_known = request.topics.iter().any(|topic| {
            topic.topic_name == self.config.topic.name
                && topic.partitions.iter().any(|p| p.partition_index == 0)
        });
        let response = if !is_known || request.topics.len() != 1 {
            unknown_partitions(version, request)
        } else {
            self.describe(version)
        };
        self.reply(token, response);
    }

    fn describe(&self, version: i16) -> DescribeQuorumResponse<'static> {
        let mut partition = describe_quorum_response::PartitionData {
            leader_id: self.wire_leader(),
            leader_epoch: self.epoch,
            high_watermark: self.high_watermark().unwrap_or(-1),
            ..Default::default()
        };
        let mut nodes = Vec::new();
        match &self.role {
            Role::Leader(leader) => {
                self.describe_replicas(version, leader, &mut partition);
                if version >= 2 {
                    nodes = self.voters().iter().map(describe_node).collect();
                }
            }
            _ => {
                let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
                partition.error_code = error.0;
                partition.error_message = message(version, error);
            }
        }
        DescribeQuorumResponse {
            topics: vec![describe_quorum_response::TopicData {
                topic_name: self.wire_topic(),
                partitions: vec![partition],
                ..Default::default()
            }],
            nodes,
            ..Default::default()
        }
    }

    fn describe_replicas(
        &self,
        version: i16,
        leader: &Leader,
        partition: &mut describe_quorum_response::PartitionData<'static>,
    ) {
        let own = self.config.key();
        let is_own = |key: ReplicaKey| own.is_some_and(|own| own.id == key.id);
        partition.current_voters = self
            .voters()
            .iter()
            .map(|voter| {
                if is_own(voter.key) && own.is_some_and(|own| self.voters().contains(own)) {
                    return self.describe_self(version, voter.key);
                }
                let replica = leader.replicas.get(&voter.key).copied();
                self.describe_replica(version, voter.key, replica.unwrap_or_default())
            })
            .collect();
        let is_voter = |key: &ReplicaKey| self.voters().get(key.id).is_some_and(|v| v.key == *key);
        let observers = leader.replicas.iter().filter(|(key, _)| !is_voter(key));
        partition.observers = observers
            .filter(|(key, replica)| !is_own(**key) && replica.fetched_at.is_some())
            .map(|(key, replica)| self.describe_replica(version, *key, *replica))
            .collect();
        if let Some(own) = own
            && !self.voters().contains(own)
        {
            partition.observers.push(self.describe_self(version, own));
        }
    }

    fn describe_self(
        &self,
        version: i16,
        key: ReplicaKey,
    ) -> describe_quorum_response::ReplicaState {
        let now = self.wall_clock_ms();
        describe_quorum_response::ReplicaState {
            replica_id: key.id,
            replica_directory_id: directory_id(version, key),
            log_end_offset: self.log.end(),
            last_fetch_timestamp: now,
            last_caught_up_timestamp: now,
            ..Default::default()
        }
    }

    fn describe_replica(
        &self,
        version: i16,
        key: ReplicaKey,
        replica: Replica,
    ) -> describe_quorum_response::ReplicaState {
        let time = |at: Option<Instant>| {
            at.map_or(-1, |at| {
                let ago = i64::try_from(self.now.since(at)).unwrap_or(i64::MAX);
                self.wall_clock_ms().saturating_sub(ago)
            })
        };
        describe_quorum_response::ReplicaState {
            replica_id: key.id,
            replica_directory_id: directory_id(version, key),
            log_end_offset: replica.end.unwrap_or(-1),
            last_fetch_timestamp: time(replica.fetched_at),
            last_caught_up_timestamp: time(replica.caught_up_at),
            ..Default::default()
        }
    }
}

fn directory_id(version: i16, key: ReplicaKey) -> crate::types::Uuid {
    if version >= 2 {
        key.wire_directory_id()
    } else {
        crate::types::Uuid::ZERO
    }
}

fn message(version: i16, error: ErrorCode) -> Option<kwire_protocol::Str<'static>> {
    (version >= 2).then(|| error.name().unwrap_or("unknown error").into())
}

fn describe_node(voter: &Voter) -> describe_quorum_response::Node<'static> {
    describe_quorum_response::Node {
        node_id: voter.key.id,
        listeners: wire_endpoints!(voter.endpoints, describe_quorum_response::Listener),
        ..Default::default()
    }
}

fn unknown_partitions(
    version: i16,
    request: &DescribeQuorumRequest<'_>,
) -> DescribeQuorumResponse<'static> {
    let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let topics = request.topics.iter().map(|topic| {
        let partitions =
            topic
                .partitions
                .iter()
                .map(|asked| describe_quorum_response::PartitionData {
                    partition_index: asked.partition_index,
                    error_code: error.0,
                    error_message: message(version, error),
                    ..Default::default()
                });
        describe_quorum_response::TopicData {
            topic_name: topic.topic_name.to_string().into(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    DescribeQuorumResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}
