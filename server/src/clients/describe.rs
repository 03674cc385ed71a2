//! DescribeTopicPartitions (KIP-966): what Metadata says of topics, in pages.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use kwire_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kwire_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use kwire_protocol::{ErrorCode, Str};

use super::cluster::Cluster;
use super::{Answer, Caller, Clients, Head, check_count};

impl Clients {
    /// One page has everything: there is one partition.
    pub(super) async fn describe_topic_partitions(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: DescribeTopicPartitionsRequest<'static> = head.decode(body)?;
        check_count("topics", request.topics.len())?;
        let cluster = self.cluster(caller).await?;
        let mut names: BTreeSet<Str<'static>> =
            request.topics.into_iter().map(|topic| topic.name).collect();
        if names.is_empty() {
            names.insert(cluster.topic.name.clone().into());
        }
        // Where an earlier page ended. Ours never do, but whoever asks may begin where it likes.
        let (from, index) = request.cursor.map_or(Default::default(), |cursor| {
            (cursor.topic_name, cursor.partition_index)
        });
        let topics = names.split_off(&from).into_iter().map(|name| {
            if *name != *cluster.topic.name {
                return unknown(name);
            }
            let is_past = name == from && index > 0;
            known(&cluster, is_past)
        });
        let response = DescribeTopicPartitionsResponse {
            topics: topics.collect(),
            ..Default::default()
        };
        head.answer(&response)
    }
}

fn known(cluster: &Cluster, is_past: bool) -> DescribeTopicPartitionsResponseTopic<'static> {
    let partition = DescribeTopicPartitionsResponsePartition {
        error_code: cluster.leader_error().0,
        leader_id: cluster.leader().map_or(-1, |leader| leader.id),
        leader_epoch: cluster.epoch,
        replica_nodes: cluster.ids().into(),
        isr_nodes: cluster.ids().into(),
        // Java's clients take them for lists, be they null or not.
        eligible_leader_replicas: Some(Default::default()),
        last_known_elr: Some(Default::default()),
        ..Default::default()
    };
    DescribeTopicPartitionsResponseTopic {
        name: Some(cluster.topic.name.clone().into()),
        topic_id: cluster.topic.id,
        partitions: if is_past { Vec::new() } else { vec![partition] },
        ..Default::default()
    }
}

fn unknown(name: Str<'static>) -> DescribeTopicPartitionsResponseTopic<'static> {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
        name: Some(name),
        ..Default::default()
    }
}
