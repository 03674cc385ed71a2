//! OffsetForLeaderEpoch (KIP-320): where an epoch ends, for consumers that were cut off.

use std::io;

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kwire_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::fetch::check_leader;
use super::{Answer, Clients, Head, check_count};

impl Clients {
    pub(super) async fn offset_for_leader_epoch(
        &self,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: OffsetForLeaderEpochRequest<'static> = head.decode(body)?;
        check_count(
            "partitions",
            request
                .topics
                .iter()
                .map(|topic| 1 + topic.partitions.len())
                .sum(),
        )?;
        let own = self.topic.name.clone();
        let response = self.node.ask(move |driver| {
            let node = driver.node();
            let topics = request.topics.into_iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|asked| {
                    let is_known = topic.topic == own && asked.partition == 0;
                    let checked = match is_known {
                        true => check_leader(node, asked.current_leader_epoch),
                        false => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                    };
                    let end = node.end_of_epoch(asked.leader_epoch);
                    // An epoch that is still to come has no end.
                    let is_past = (0..=node.epoch()).contains(&asked.leader_epoch);
                    let (epoch, offset) = match checked {
                        Ok(()) if is_past => (end.epoch, end.offset),
                        _ => (-1, -1),
                    };
                    EpochEndOffset {
                        error_code: checked.err().unwrap_or(ErrorCode::NONE).0,
                        partition: asked.partition,
                        leader_epoch: epoch,
                        end_offset: offset,
                        ..Default::default()
                    }
                });
                OffsetForLeaderTopicResult {
                    partitions: partitions.collect(),
                    topic: topic.topic,
                    ..Default::default()
                }
            });
            OffsetForLeaderEpochResponse {
                topics: topics.collect(),
                ..Default::default()
            }
        });
        let response = response.await.map_err(io::Error::other)?;
        head.answer(&response)
    }
}
