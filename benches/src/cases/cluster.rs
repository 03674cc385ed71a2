//! What clients learn about a cluster and change in it.

use kwire_protocol::messages::{
    ApiVersionsResponse, CreateTopicsRequest, DescribeClusterResponse, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse, api_versions_response, create_topics_request,
    describe_cluster_response, find_coordinator_response, metadata_request, metadata_response,
};

use super::{CLUSTER_ID, host, id, name};

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
                host: host(node),
                port: 9092,
                rack: Some("rack-1".into()),
                ..Default::default()
            })
            .collect(),
        cluster_id: Some(CLUSTER_ID.into()),
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

/// A question for some topics of a cluster.
pub fn metadata_request() -> MetadataRequest<'static> {
    MetadataRequest {
        topics: Some(
            (0..50)
                .map(|topic| metadata_request::MetadataRequestTopic {
                    name: Some(name(topic)),
                    ..Default::default()
                })
                .collect(),
        ),
        ..Default::default()
    }
}

/// Where a group's coordinator is.
pub fn find_coordinator() -> FindCoordinatorResponse<'static> {
    FindCoordinatorResponse {
        coordinators: vec![find_coordinator_response::Coordinator {
            key: "group-1".into(),
            node_id: 1,
            host: host(1),
            port: 9092,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The brokers of a cluster.
pub fn describe_cluster() -> DescribeClusterResponse<'static> {
    DescribeClusterResponse {
        cluster_id: CLUSTER_ID.into(),
        controller_id: 1,
        brokers: (0..3)
            .map(|node| describe_cluster_response::DescribeClusterBroker {
                broker_id: node,
                host: host(node),
                port: 9092,
                rack: Some("rack-1".into()),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// What a broker speaks.
pub fn api_versions() -> ApiVersionsResponse<'static> {
    ApiVersionsResponse {
        api_keys: (0..70)
            .map(|api_key| api_versions_response::ApiVersion {
                api_key,
                min_version: api_key % 3,
                max_version: api_key % 3 + 7,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// New topics with settings.
pub fn create_topics() -> CreateTopicsRequest<'static> {
    let config =
        |name: &'static str, value: &'static str| create_topics_request::CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        };
    CreateTopicsRequest {
        topics: (0..100)
            .map(|topic| create_topics_request::CreatableTopic {
                name: name(topic),
                num_partitions: 12,
                replication_factor: 3,
                configs: vec![
                    config("cleanup.policy", "compact"),
                    config("min.insync.replicas", "2"),
                    config("retention.ms", "604800000"),
                ],
                ..Default::default()
            })
            .collect(),
        timeout_ms: 30_000,
        ..Default::default()
    }
}
