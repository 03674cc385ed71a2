//! Metadata and DescribeCluster: the voters are the brokers, and there is one topic with one
//! partition.

use std::io;

use bytes::Bytes;
use kwire_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kwire_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kwire_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse,
};
use kwire_protocol::{ErrorCode, Str, Uuid};

use super::cluster::Cluster;
use super::{Answer, Caller, Clients, Head, check_count};

impl Clients {
    pub(super) async fn metadata(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: MetadataRequest<'static> = head.decode(body)?;
        check_count("topics", request.topics.as_ref().map_or(0, Vec::len))?;
        let cluster = self.cluster(caller).await?;
        let response = MetadataResponse {
            brokers: cluster
                .brokers
                .iter()
                .map(|broker| MetadataResponseBroker {
                    node_id: broker.id,
                    host: broker.host.clone().into(),
                    port: broker.port,
                    ..Default::default()
                })
                .collect(),
            cluster_id: Some(cluster.id.clone().into()),
            controller_id: cluster.leader.unwrap_or(-1),
            topics: topics(&cluster, head.version, request),
            ..Default::default()
        };
        head.answer(&response)
    }

    pub(super) async fn describe_cluster(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: DescribeClusterRequest = head.decode(body)?;
        let cluster = self.cluster(caller).await?;
        // 2 asks for controllers: the same nodes.
        let is_known = matches!(request.endpoint_type, 1 | 2);
        let mut response = DescribeClusterResponse {
            endpoint_type: request.endpoint_type,
            cluster_id: cluster.id.clone().into(),
            controller_id: cluster.leader.unwrap_or(-1),
            ..Default::default()
        };
        if is_known {
            let brokers = cluster.brokers.iter().map(|broker| DescribeClusterBroker {
                broker_id: broker.id,
                host: broker.host.clone().into(),
                port: broker.port,
                ..Default::default()
            });
            response.brokers = brokers.collect();
        } else {
            response.error_code = ErrorCode::UNSUPPORTED_ENDPOINT_TYPE.0;
        }
        head.answer(&response)
    }
}

/// The topics that are asked for, each once. At version 0 none means all, later null does.
fn topics(
    cluster: &Cluster,
    version: i16,
    request: MetadataRequest<'static>,
) -> Vec<MetadataResponseTopic<'static>> {
    let asked = request
        .topics
        .filter(|asked| version > 0 || !asked.is_empty());
    let Some(asked) = asked else {
        return vec![known(cluster)];
    };
    let mut answers: Vec<MetadataResponseTopic<'static>> = Vec::new();
    let mut is_listed = false;
    for topic in asked {
        let by_id = topic.name.is_none();
        let name = topic.name.as_deref().unwrap_or_default();
        if cluster.is_topic(by_id, name, topic.topic_id) {
            if !is_listed {
                answers.push(known(cluster));
            }
            is_listed = true;
        } else {
            answers.push(unknown(topic.name, topic.topic_id));
        }
    }
    answers
}

fn known(cluster: &Cluster) -> MetadataResponseTopic<'static> {
    let partition = MetadataResponsePartition {
        error_code: cluster.leader_error().0,
        leader_id: cluster.leader().map_or(-1, |leader| leader.id),
        leader_epoch: cluster.epoch,
        replica_nodes: cluster.ids().into(),
        isr_nodes: cluster.ids().into(),
        ..Default::default()
    };
    MetadataResponseTopic {
        name: Some(cluster.topic.name.clone().into()),
        topic_id: cluster.topic.id,
        partitions: vec![partition],
        ..Default::default()
    }
}

fn unknown(name: Option<Str<'static>>, topic_id: Uuid) -> MetadataResponseTopic<'static> {
    let error = match name {
        Some(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        None => ErrorCode::UNKNOWN_TOPIC_ID,
    };
    MetadataResponseTopic {
        error_code: error.0,
        name,
        topic_id,
        ..Default::default()
    }
}
