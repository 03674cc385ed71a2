//! Writes to a quorum as an idempotent producer does (KIP-98).

use bytes::Bytes;
use kwire_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, produce_request,
};
use kwire_protocol::{ErrorCode, Request};
use kwire_raft::types::Offset;

use super::{ClientError, QuorumClient, is_elsewhere, malformed, refusal};

/// Who writes, as the leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerId {
    /// The producer.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl QuorumClient {
    /// Asks for an id that no other producer has.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn init_producer_id(&mut self) -> Result<ProducerId, ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let asking = self.nodes.ask_leader(&request, gives_none);
        let answer = self.runtime.block_on(asking)?;
        let api_key = InitProducerIdRequest::API_KEY;
        refusal(api_key, answer.error_code, None::<&str>)?;
        Ok(ProducerId {
            id: answer.producer_id,
            epoch: answer.producer_epoch,
        })
    }

    /// Appends a batch, and waits until it is committed. Returns the offset of its first record.
    ///
    /// After an error the log may have the batch or not. The same batch of an idempotent producer
    /// can be sent until there is an answer, and is in the log once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn produce(&mut self, batch: Bytes) -> Result<Offset, ClientError> {
        // Earlier than this end gives up: the leader says what it waited for.
        let timeout_ms = (self.nodes.timeout * 3 / 4).as_millis();
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            topic_data: vec![produce_request::TopicProduceData {
                name: self.nodes.topic.name.clone().into(),
                topic_id: self.nodes.topic.id,
                partition_data: vec![produce_request::PartitionProduceData {
                    index: 0,
                    records: Some(batch.into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let asking = self.nodes.ask_leader(&request, produced_elsewhere);
        let answer = self.runtime.block_on(asking)?;
        let api_key = ProduceRequest::API_KEY;
        let topic = answer.responses.first();
        let partition = topic.and_then(|topic| topic.partition_responses.first());
        let partition =
            partition.ok_or_else(|| malformed::<ProduceRequest>("it has no partition"))?;
        let message = partition.error_message.as_ref();
        refusal(api_key, partition.error_code, message)?;
        Ok(partition.base_offset)
    }
}

/// Whether the node knows no leader that gives out ids.
fn gives_none(answer: &InitProducerIdResponse) -> bool {
    answer.error_code == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0
}

fn produced_elsewhere(answer: &ProduceResponse<'static>) -> bool {
    let mut topics = answer.responses.iter();
    topics.any(|topic| {
        let mut partitions = topic.partition_responses.iter();
        partitions.any(|partition| is_elsewhere(partition.error_code))
    })
}
