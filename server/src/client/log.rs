//! Reads a quorum's log as an observer without an id does (KIP-595, KIP-630).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kwire_protocol::messages::{
    FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse,
    fetch_snapshot_request,
};
use kwire_protocol::runtime::Blob;
use kwire_protocol::{ErrorCode, Request};
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch};

use super::{ClientError, Nodes, QuorumClient, malformed, refusal};

/// The most bytes of a snapshot that are asked for at once.
const PART: i32 = 1 << 20;

/// What there is of a log from some offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Whole batches, with what is committed of the log. There may be none yet. The first may begin
    /// before the offset.
    Records {
        /// The batches.
        batches: Bytes,
        /// Up to where the log is committed, if the leader knows.
        high_watermark: Option<Offset>,
    },
    /// The log begins later: a snapshot stands for what came before.
    Snapshot {
        /// The snapshot.
        id: OffsetAndEpoch,
        /// Up to where the log is committed, if the leader knows.
        high_watermark: Option<Offset>,
    },
}

impl Fetched {
    /// Up to where the log is committed, if the leader knows.
    #[must_use]
    pub fn high_watermark(&self) -> Option<Offset> {
        match self {
            Fetched::Records { high_watermark, .. } | Fetched::Snapshot { high_watermark, .. } => {
                *high_watermark
            }
        }
    }
}

impl QuorumClient {
    /// The records from an offset on, which those before it ended with `last_epoch`. Waits for
    /// records no longer than `wait`, and not at all if the leader has to be looked for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn fetch(
        &mut self,
        offset: Offset,
        last_epoch: Epoch,
        wait: Duration,
    ) -> Result<Fetched, ClientError> {
        let fetching = self.nodes.fetch(offset, last_epoch, wait);
        self.runtime.block_on(fetching)
    }

    /// The epoch of the leader that answered last.
    #[must_use]
    pub fn leader_epoch(&self) -> Epoch {
        self.nodes.leader_epoch
    }

    /// A snapshot, whose bytes are asked for as they are read.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotStream<'_>, ClientError> {
        let (size, first) = self.runtime.block_on(self.nodes.fetch_snapshot(id, 0))?;
        Ok(SnapshotStream {
            client: self,
            id,
            size,
            first,
        })
    }
}

/// A snapshot that the leader has.
pub struct SnapshotStream<'a> {
    client: &'a mut QuorumClient,
    id: OffsetAndEpoch,
    /// All its bytes.
    size: u64,
    first: Bytes,
}

impl SnapshotStream<'_> {
    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its bytes from a position on: as many as are asked for, or up to its end.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read(&mut self, position: u64, max: usize) -> Result<Bytes, ClientError> {
        let mut bytes = BytesMut::new();
        if position == 0 {
            bytes.extend_from_slice(&self.first);
        }
        while bytes.len() < max && position + (bytes.len() as u64) < self.size {
            let from = position + bytes.len() as u64;
            let asking = self.client.nodes.fetch_snapshot(self.id, from);
            let (_, part) = self.client.runtime.block_on(asking)?;
            bytes.extend_from_slice(&part);
        }
        bytes.truncate(max);
        Ok(bytes.freeze())
    }
}

/// Whether the answer says that the sender knows another leader or epoch than the node.
fn wrong_epoch(code: i16) -> bool {
    let codes = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
    ];
    codes.contains(&ErrorCode(code))
}

fn fetched_elsewhere(answer: &FetchResponse<'static>) -> bool {
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.any(|partition| wrong_epoch(partition.error_code))
}

fn snapshot_elsewhere(answer: &FetchSnapshotResponse<'static>) -> bool {
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.any(|partition| wrong_epoch(partition.error_code))
}

impl Nodes {
    async fn fetch(
        &mut self,
        offset: Offset,
        last_epoch: Epoch,
        wait: Duration,
    ) -> Result<Fetched, ClientError> {
        let mut answer = self.fetch_once(offset, last_epoch, wait).await?;
        let topic = answer.responses.first_mut();
        let partition = topic.and_then(|topic| topic.partitions.pop());
        let api_key = FetchRequest::API_KEY;
        refusal(api_key, answer.error_code, None::<&str>)?;
        let partition =
            partition.ok_or_else(|| malformed::<FetchRequest>("it has no partition"))?;
        refusal(api_key, partition.error_code, None::<&str>)?;
        let high_watermark = partition.high_watermark;
        let high_watermark = (high_watermark >= 0).then_some(high_watermark);
        let snapshot = &partition.snapshot_id;
        if snapshot.end_offset >= 0 && snapshot.epoch >= 0 {
            let id = OffsetAndEpoch::new(snapshot.end_offset, snapshot.epoch);
            return Ok(Fetched::Snapshot { id, high_watermark });
        }
        let diverging = &partition.diverging_epoch;
        if diverging.epoch >= 0 && diverging.end_offset >= 0 {
            let end_offset = diverging.end_offset;
            return Err(ClientError::Diverged { end_offset });
        }
        Ok(Fetched::Records {
            batches: partition.records.map_or_else(Bytes::new, shared),
            high_watermark,
        })
    }

    /// Fetches from the leader of the epoch that is known, and if there is another by now, from
    /// that.
    async fn fetch_once(
        &mut self,
        offset: Offset,
        last_epoch: Epoch,
        wait: Duration,
    ) -> Result<FetchResponse<'static>, ClientError> {
        let request = self.fetch_request(self.leader_epoch, offset, last_epoch, wait);
        if let Some(address) = self.leader.clone()
            && let Ok(answer) = self.ask_in_time(&address, &request, wait).await
            && !fetched_elsewhere(&answer)
        {
            return Ok(answer);
        }
        self.find_leader().await?;
        let request = self.fetch_request(self.leader_epoch, offset, last_epoch, Duration::ZERO);
        self.ask_leader(&request, fetched_elsewhere).await
    }

    async fn ask_in_time<R: Request>(
        &mut self,
        address: &kwire_raft::voters::Address,
        request: &R,
        wait: Duration,
    ) -> Result<R::Response<'static>, ()> {
        let limit = self.timeout + wait;
        let answer = tokio::time::timeout(limit, self.ask(address, request)).await;
        answer.map_err(|_| ())?.map_err(|_| ())
    }

    /// Learns who leads and in which epoch, from whoever answers.
    async fn find_leader(&mut self) -> Result<(), ClientError> {
        let request = self.fetch_request(0, 0, 0, Duration::ZERO);
        // Whoever answers knows its epoch, or none yet: that is for the next request to find out.
        let answer = self.ask_leader(&request, |_| false).await?;
        refusal(FetchRequest::API_KEY, answer.error_code, None::<&str>)?;
        if let Some(leader) = self.learn(&answer) {
            self.leader = Some(leader);
        }
        Ok(())
    }

    /// The size of a snapshot, and some bytes of it from a position on.
    async fn fetch_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
    ) -> Result<(u64, Bytes), ClientError> {
        let request = FetchSnapshotRequest {
            cluster_id: None,
            replica_id: -1,
            max_bytes: PART,
            topics: vec![fetch_snapshot_request::TopicSnapshot {
                name: self.topic.name.clone().into(),
                partitions: vec![fetch_snapshot_request::PartitionSnapshot {
                    current_leader_epoch: self.leader_epoch,
                    snapshot_id: fetch_snapshot_request::SnapshotId {
                        end_offset: id.offset,
                        epoch: id.epoch,
                        ..Default::default()
                    },
                    position: i64::try_from(position).unwrap_or(i64::MAX),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut answer = self.ask_leader(&request, snapshot_elsewhere).await?;
        let api_key = FetchSnapshotRequest::API_KEY;
        refusal(api_key, answer.error_code, None::<&str>)?;
        let topic = answer.topics.first_mut();
        let partition = topic.and_then(|topic| topic.partitions.pop());
        let wrong = malformed::<FetchSnapshotRequest>;
        let partition = partition.ok_or_else(|| wrong("it has no partition"))?;
        refusal(api_key, partition.error_code, None::<&str>)?;
        let size = u64::try_from(partition.size).map_err(|_| wrong("a size below 0"))?;
        let bytes = shared(partition.unaligned_records);
        if bytes.is_empty() && position < size {
            return Err(wrong("no bytes before the snapshot's end"));
        }
        Ok((size, bytes))
    }
}

fn shared(blob: Blob<'static>) -> Bytes {
    match blob {
        Blob::Shared(bytes) => bytes,
        other => Bytes::copy_from_slice(&other),
    }
}
