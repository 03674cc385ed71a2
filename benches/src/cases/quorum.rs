//! What the voters of a quorum say to each other and write into their log.

use kwire_protocol::messages::{
    DescribeQuorumResponse, VoteRequest, VotersRecord, describe_quorum_response, vote_request,
    voters_record,
};

use super::{CLUSTER_ID, host, id};

const TOPIC: &str = "__cluster_metadata";

/// A vote for one partition.
pub fn vote() -> VoteRequest<'static> {
    VoteRequest {
        cluster_id: Some(CLUSTER_ID.into()),
        voter_id: 3,
        topics: vec![vote_request::TopicData {
            topic_name: TOPIC.into(),
            partitions: vec![vote_request::PartitionData {
                partition_index: 0,
                replica_epoch: 7,
                replica_id: 1,
                replica_directory_id: id(1),
                voter_directory_id: id(3),
                last_offset_epoch: 6,
                last_offset: 123_456,
                pre_vote: true,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The state of a quorum.
pub fn describe_quorum() -> DescribeQuorumResponse<'static> {
    let replica = |replica_id: i32| describe_quorum_response::ReplicaState {
        replica_id,
        replica_directory_id: id(replica_id as u64),
        log_end_offset: 123_456,
        last_fetch_timestamp: 1_700_000_000_123,
        last_caught_up_timestamp: 1_700_000_000_100,
        ..Default::default()
    };
    DescribeQuorumResponse {
        topics: vec![describe_quorum_response::TopicData {
            topic_name: TOPIC.into(),
            partitions: vec![describe_quorum_response::PartitionData {
                leader_id: 1,
                leader_epoch: 7,
                high_watermark: 123_450,
                current_voters: (1..=3).map(replica).collect(),
                observers: (4..=5).map(replica).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
        nodes: (1..=3)
            .map(|node_id| describe_quorum_response::Node {
                node_id,
                listeners: vec![describe_quorum_response::Listener {
                    name: "CONTROLLER".into(),
                    host: host(node_id),
                    port: 9093,
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// The voters, as the log keeps them.
pub fn voters() -> VotersRecord<'static> {
    VotersRecord {
        voters: (1..=3)
            .map(|voter_id| voters_record::Voter {
                voter_id,
                voter_directory_id: id(voter_id as u64),
                endpoints: vec![voters_record::Endpoint {
                    name: "CONTROLLER".into(),
                    host: host(voter_id),
                    port: 9093,
                    ..Default::default()
                }],
                kraft_version_feature: voters_record::KRaftVersionFeature {
                    max_supported_version: 1,
                    ..Default::default()
                },
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}
