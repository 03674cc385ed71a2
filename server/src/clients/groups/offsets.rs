//! OffsetCommit and OffsetFetch.

use std::io;

use bytes::Bytes;
use kwire_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kwire_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kwire_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kwire_protocol::{ErrorCode, Str, Uuid};

use super::super::cluster::is_topic;
use super::super::{Answer, Clients, Head, check_count};
use crate::groups::{Committed, Identity};

/// Versions of both APIs that name topics by id (KIP-848).
const IDS_SINCE: i16 = 10;
/// Versions of OffsetFetch that have one error for all.
const ERROR_SINCE: i16 = 2;
/// Versions of OffsetFetch that ask for several groups (KIP-709).
const GROUPS_SINCE: i16 = 8;

/// What is answered for a partition.
struct Fetched {
    index: i32,
    committed: Option<Committed>,
    error: ErrorCode,
}

/// A topic that is asked for.
struct Asked {
    name: Str<'static>,
    id: Uuid,
    partitions: Vec<i32>,
}

impl Clients {
    pub(super) fn offset_commit(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: OffsetCommitRequest<'static> = head.decode(body)?;
        let topics = request.topics.iter();
        check_count(
            "partitions",
            topics.map(|topic| 1 + topic.partitions.len()).sum(),
        )?;
        let who = Identity {
            group: request.group_id.into_owned(),
            generation: request.generation_id_or_member_epoch,
            member_id: request.member_id.into_owned(),
            instance_id: request.group_instance_id.map(Str::into_owned),
        };
        let by_id = head.version >= IDS_SINCE;
        let mut response = OffsetCommitResponse::default();
        for topic in request.topics {
            let is_known = is_topic(&self.topic, by_id, &topic.name, topic.topic_id);
            let mut partitions = Vec::new();
            for partition in topic.partitions {
                let committed = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition
                        .committed_metadata
                        .unwrap_or_default()
                        .into_owned(),
                };
                let error = if !is_known && by_id {
                    ErrorCode::UNKNOWN_TOPIC_ID
                } else if !is_known || partition.partition_index != 0 {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                } else {
                    self.with_groups(|groups, now| groups.commit(now, &who, committed))
                        .unwrap_or_else(|error| error)
                };
                partitions.push(OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.0,
                    ..Default::default()
                });
            }
            response.topics.push(OffsetCommitResponseTopic {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions,
                ..Default::default()
            });
        }
        head.answer(&response)
    }

    pub(super) fn offset_fetch(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: OffsetFetchRequest<'static> = head.decode(body)?;
        check_count("groups and partitions", named(&request))?;
        if head.version >= GROUPS_SINCE {
            let groups = request.groups.into_iter().map(|group| {
                let topics = group.topics.map(|topics| {
                    let asked = topics.into_iter().map(|topic| Asked {
                        name: topic.name,
                        id: topic.topic_id,
                        partitions: topic.partition_indexes.to_vec(),
                    });
                    asked.collect()
                });
                self.fetch_group(head.version, group.group_id, topics)
            });
            return head.answer(&OffsetFetchResponse {
                groups: groups.collect(),
                ..Default::default()
            });
        }
        let topics = request.topics.map(|topics| {
            let asked = topics.into_iter().map(|topic| Asked {
                name: topic.name,
                id: Uuid::ZERO,
                partitions: topic.partition_indexes.to_vec(),
            });
            asked.collect()
        });
        let response = match self.fetch_offsets(head.version, &request.group_id, topics) {
            Ok(topics) => OffsetFetchResponse {
                topics: topics
                    .into_iter()
                    .map(|(asked, fetched)| OffsetFetchResponseTopic {
                        name: asked.name,
                        partitions: fetched.into_iter().map(old_partition).collect(),
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            },
            Err(error) => OffsetFetchResponse {
                error_code: error.0,
                ..Default::default()
            },
        };
        head.answer(&response)
    }

    fn fetch_group(
        &self,
        version: i16,
        group_id: Str<'static>,
        topics: Option<Vec<Asked>>,
    ) -> OffsetFetchResponseGroup<'static> {
        let (topics, error) = match self.fetch_offsets(version, &group_id, topics) {
            Ok(topics) => (topics, ErrorCode::NONE),
            Err(error) => (Vec::new(), error),
        };
        OffsetFetchResponseGroup {
            group_id,
            error_code: error.0,
            topics: topics
                .into_iter()
                .map(|(asked, fetched)| OffsetFetchResponseTopics {
                    name: asked.name,
                    topic_id: asked.id,
                    partitions: fetched.into_iter().map(new_partition).collect(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    /// What a group committed for topics; for all of its own, if none are named.
    fn fetch_offsets(
        &self,
        version: i16,
        group: &str,
        topics: Option<Vec<Asked>>,
    ) -> Result<Vec<(Asked, Vec<Fetched>)>, ErrorCode> {
        let committed = match self.with_groups(|groups, _| groups.committed(group).cloned()) {
            Err(error) if version < ERROR_SINCE => return Ok(refused(topics, error)),
            committed => committed?,
        };
        let by_id = version >= IDS_SINCE;
        let Some(topics) = topics else {
            let own = Asked {
                name: self.topic.name.clone().into(),
                id: self.topic.id,
                partitions: Vec::new(),
            };
            let fetched = |committed| Fetched {
                index: 0,
                committed: Some(committed),
                error: ErrorCode::NONE,
            };
            let all = committed.map(|committed| (own, vec![fetched(committed)]));
            return Ok(all.into_iter().collect());
        };
        let topics = topics.into_iter().map(|asked| {
            let is_known = is_topic(&self.topic, by_id, &asked.name, asked.id);
            let fetched = asked.partitions.iter().map(|index| Fetched {
                index: *index,
                committed: committed.clone().filter(|_| is_known && *index == 0),
                error: match is_known || !by_id {
                    true => ErrorCode::NONE,
                    false => ErrorCode::UNKNOWN_TOPIC_ID,
                },
            });
            let fetched = fetched.collect();
            (asked, fetched)
        });
        Ok(topics.collect())
    }
}

/// How many groups, topics and partitions are asked for.
fn named(request: &OffsetFetchRequest<'_>) -> usize {
    let old = request.topics.iter().flatten();
    let old: usize = old.map(|topic| 1 + topic.partition_indexes.len()).sum();
    let groups = request.groups.iter().map(|group| {
        let topics = group.topics.iter().flatten();
        let named = topics.map(|topic| 1 + topic.partition_indexes.len());
        1 + named.sum::<usize>()
    });
    old + groups.sum::<usize>()
}

/// The error for each partition that is asked for.
fn refused(topics: Option<Vec<Asked>>, error: ErrorCode) -> Vec<(Asked, Vec<Fetched>)> {
    let topics = topics.unwrap_or_default().into_iter();
    topics
        .map(|asked| {
            let partitions = asked.partitions.iter().map(|index| Fetched {
                index: *index,
                committed: None,
                error,
            });
            let partitions = partitions.collect();
            (asked, partitions)
        })
        .collect()
}

fn old_partition(fetched: Fetched) -> OffsetFetchResponsePartition<'static> {
    let committed = fetched.committed.as_ref();
    OffsetFetchResponsePartition {
        partition_index: fetched.index,
        committed_offset: committed.map_or(-1, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        error_code: fetched.error.0,
        metadata: Some(
            fetched
                .committed
                .map_or_else(String::new, |c| c.metadata)
                .into(),
        ),
        ..Default::default()
    }
}

fn new_partition(fetched: Fetched) -> OffsetFetchResponsePartitions<'static> {
    let old = old_partition(fetched);
    OffsetFetchResponsePartitions {
        partition_index: old.partition_index,
        committed_offset: old.committed_offset,
        committed_leader_epoch: old.committed_leader_epoch,
        error_code: old.error_code,
        metadata: old.metadata,
        ..Default::default()
    }
}
