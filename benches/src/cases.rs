//! The messages that are timed.

use kwire_protocol::messages::{
    FetchRequest, MetadataResponse, ProduceRequest, VoteRequest, fetch_request, metadata_response,
    produce_request, vote_request,
};
use kwire_protocol::{Str, Uuid};

/// A name as a hash would give it: names in order favour some hash tables and hurt others.
fn name(index: u64) -> Str<'static> {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{mixed:016x}-topic").into()
}

fn id(index: u64) -> Uuid {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Uuid::from_parts(mixed, mixed.rotate_left(29) | 1)
}

/// A vote for one partition.
pub fn vote() -> VoteRequest<'static> {
    VoteRequest {
        cluster_id: Some("5L6g3nShT-eMCtK--X86sw".into()),
        voter_id: 3,
        topics: vec![vote_request::TopicData {
            topic_name: "__cluster_metadata".into(),
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

/// A consumer's fetch of many partitions.
pub fn fetch() -> FetchRequest<'static> {
    let partition = |index| fetch_request::FetchPartition {
        partition: index,
        current_leader_epoch: 5,
        fetch_offset: 1_000_000 + i64::from(index),
        last_fetched_epoch: 5,
        log_start_offset: 100,
        partition_max_bytes: 1 << 20,
        replica_directory_id: id(9),
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        session_id: 77,
        session_epoch: 3,
        topics: (0..100)
            .map(|topic| fetch_request::FetchTopic {
                topic_id: id(topic),
                partitions: (0..20).map(partition).collect(),
                ..Default::default()
            })
            .collect(),
        rack_id: "rack-1".into(),
        ..Default::default()
    }
}

/// The metadata of a large cluster.
pub fn metadata() -> MetadataResponse<'static> {
    let partition = |index: i32| metadata_response::MetadataResponsePartition {
        partition_index: index,
        leader_id: index % 3,
        leader_epoch: 11,
        replica_nodes: [0, 1, 2].into(),
        isr_nodes: [0, 1, 2].into(),
        ..Default::default()
    };
    MetadataResponse {
        brokers: (0..3)
            .map(|node| metadata_response::MetadataResponseBroker {
                node_id: node,
                host: format!("broker-{node}.example.com").into(),
                port: 9092,
                rack: Some("rack-1".into()),
                ..Default::default()
            })
            .collect(),
        cluster_id: Some("5L6g3nShT-eMCtK--X86sw".into()),
        controller_id: 1,
        topics: (0..1000)
            .map(|topic| metadata_response::MetadataResponseTopic {
                name: Some(name(topic)),
                topic_id: id(topic),
                partitions: (0..6).map(partition).collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// One partition's records, opaque to the message codec.
pub fn produce() -> ProduceRequest<'static> {
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![produce_request::TopicProduceData {
            name: name(1),
            partition_data: vec![produce_request::PartitionProduceData {
                index: 0,
                records: Some(vec![7; 1 << 20].into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}
