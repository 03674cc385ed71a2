//! Answering Fetch: as the leader, with records, or with where the fetcher's log goes wrong
//! (KIP-595, KIP-1166).

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{FetchRequest, FetchResponse, fetch_request, fetch_response};

use super::log::Continuity;
use super::output::{DiskOp, Output, Token};
use super::{Node, Role};
use crate::extension;
use crate::mutation::{Mutation, is_off};
use crate::types::{Epoch, Instant, Offset, OffsetAndEpoch, ReplicaKey};

/// Versions from which on a response may name endpoints.
const ENDPOINTS_SINCE: i16 = 17;

/// The most bytes of the log or of a snapshot in one answer, whatever was asked for: they are held
/// in memory, and read while nothing else is served.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// How many bytes an answer may have.
pub(super) fn answer_bytes(asked: i32) -> usize {
    usize::try_from(asked).unwrap_or(0).min(MAX_ANSWER_BYTES)
}

/// A Fetch that waits for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parked {
    pub(super) token: Token,
    version: i16,
    offset: Offset,
    max_bytes: usize,
    pub(super) until: Instant,
}

/// What a replica asks for.
struct Ask {
    replica: ReplicaKey,
    epoch: Epoch,
    offset: Offset,
    /// It has everything before, durably.
    flushed: Offset,
    last_epoch: Epoch,
    max_wait_ms: u64,
    max_bytes: usize,
    /// What the fetcher takes for the high watermark: `i64::MAX` if it does not care, -1 if it
    /// does not know.
    high_watermark: Offset,
}

impl Node {
    pub(super) fn serve_fetch(&mut self, token: Token, version: i16, request: &FetchRequest<'_>) {
        let partition = match self.fetch_partition(version, request) {
            Ok(partition) => partition,
            Err(error) => {
                let response = FetchResponse {
                    error_code: error.0,
                    ..Default::default()
                };
                return self.reply(token, response);
            }
        };
        match self.fetch_ask(version, request, partition) {
            Ok(ask) => self.fetch_by_leader(token, version, ask),
            Err(error) => {
                let partition = self.fetch_answer(error);
                self.reply(token, self.fetch_response(version, partition));
            }
        }
    }

    /// The one partition that there is, if the request is about it.
    fn fetch_partition<'r>(
        &self,
        version: i16,
        request: &'r FetchRequest<'_>,
    ) -> Result<&'r fetch_request::FetchPartition, ErrorCode> {
        self.check_cluster_id(request.cluster_id.as_deref())?;
        let [topic] = &request.topics[..] else {
            return Err(ErrorCode::INVALID_REQUEST);
        };
        let known = if version >= 13 {
            topic.topic_id == self.config.topic.id
        } else {
            topic.topic == self.config.topic.name
        };
        match &topic.partitions[..] {
            [partition] if known && partition.partition == 0 => Ok(partition),
            _ => Err(ErrorCode::INVALID_REQUEST),
        }
    }

    fn fetch_ask(
        &self,
        version: i16,
        request: &FetchRequest<'_>,
        partition: &fetch_request::FetchPartition,
    ) -> Result<Ask, ErrorCode> {
        let invalid = request.max_wait_ms < 0
            || partition.fetch_offset < 0
            || partition.last_fetched_epoch < 0
            || partition.current_leader_epoch < 0
            || partition.last_fetched_epoch > partition.current_leader_epoch;
        if invalid {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let flushed = extension::flushed(partition).map_err(|_| ErrorCode::INVALID_REQUEST)?;
        self.check_leader_epoch(partition.current_leader_epoch)?;
        let id = if version >= 15 {
            request.replica_state.replica_id
        } else {
            request.replica_id
        };
        if id >= 0 && Some(id) == self.config.id {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(Ask {
            replica: ReplicaKey::new(id, partition.replica_directory_id),
            epoch: partition.current_leader_epoch,
            offset: partition.fetch_offset,
            flushed: if is_off(Mutation::FlushedIgnored) {
                partition.fetch_offset
            } else {
                flushed
            },
            last_epoch: partition.last_fetched_epoch,
            // Whoever went away meanwhile is not waited for longer than the leader would be.
            max_wait_ms: u64::from(request.max_wait_ms.unsigned_abs())
                .min(self.config.fetch_timeout_ms),
            max_bytes: answer_bytes(request.max_bytes),
            high_watermark: partition.high_watermark,
        })
    }

    /// Whether this node leads the epoch that a request names.
    pub(super) fn check_leader_epoch(&self, epoch: Epoch) -> Result<(), ErrorCode> {
        let checked = !is_off(Mutation::FetchEpochNotChecked);
        if epoch < self.epoch && checked {
            Err(ErrorCode::FENCED_LEADER_EPOCH)
        } else if epoch > self.epoch && checked {
            Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
        } else if !matches!(self.role, Role::Leader(_)) {
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
        } else if self.shutdown.is_some() {
            Err(ErrorCode::BROKER_NOT_AVAILABLE)
        } else {
            Ok(())
        }
    }

    fn fetch_by_leader(&mut self, token: Token, version: i16, ask: Ask) {
        let continuity = if is_off(Mutation::DivergenceNotChecked) && ask.offset <= self.log.end() {
            Continuity::Continues
        } else {
            self.log.continuity(ask.offset, ask.last_epoch)
        };
        let mut partition = self.fetch_answer(ErrorCode::NONE);
        match continuity {
            Continuity::Diverges(end) => {
                partition.diverging_epoch.epoch = end.epoch;
                partition.diverging_epoch.end_offset = end.offset;
                self.truncate_for_follower(end);
            }
            Continuity::Snapshot(id) => {
                partition.snapshot_id.epoch = id.epoch;
                partition.snapshot_id.end_offset = id.offset;
            }
            Continuity::Continues => return self.fetch_records(token, version, &ask),
        }
        self.reply(token, self.fetch_response(version, partition));
    }

    /// What a broker of ours once did: the truncation is the follower's alone.
    fn truncate_for_follower(&mut self, end: OffsetAndEpoch) {
        if is_off(Mutation::LeaderTruncatesForFollower) && end.offset < self.log.end() {
            self.disk_op(DiskOp::Truncate { to: end.offset });
            self.log.truncate_end(end.offset);
            self.disk.truncated(end.offset);
        }
    }

    fn fetch_records(&mut self, token: Token, version: i16, ask: &Ask) {
        debug_assert!(ask.epoch == self.epoch || is_off(Mutation::FetchEpochNotChecked));
        if ask.replica.id >= 0 {
            self.replica_fetched(ask.replica, ask.flushed);
        }
        if !matches!(self.role, Role::Leader(_)) {
            // What it acknowledged committed that this leader is no voter any more.
            let partition = self.fetch_answer(ErrorCode::NOT_LEADER_OR_FOLLOWER);
            return self.reply(token, self.fetch_response(version, partition));
        }
        let parked = Parked {
            token,
            version,
            offset: ask.offset,
            max_bytes: ask.max_bytes,
            until: self.now.plus(ask.max_wait_ms),
        };
        let knows_less = ask.high_watermark < self.high_watermark.unwrap_or(-1);
        if ask.offset < self.log.end() || ask.max_wait_ms == 0 || knows_less {
            return self.reply_with_log(parked);
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.parked.push(parked);
        }
    }

    fn reply_with_log(&mut self, parked: Parked) {
        let mut partition = self.fetch_answer(ErrorCode::NONE);
        extension::set_log_end(&mut partition, self.log.end());
        let response = self.fetch_response(parked.version, partition);
        let after = self.gate();
        self.outputs.push_back(Output::ReplyWithLog {
            after,
            token: parked.token,
            response,
            from: parked.offset,
            until: self.log.end(),
            max_bytes: parked.max_bytes,
        });
    }

    /// The high watermark moved: everybody hears of it.
    pub(super) fn answer_parked(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            for parked in std::mem::take(&mut leader.parked) {
                self.reply_with_log(parked);
            }
        }
    }

    /// Answers those who have waited long enough, or have something to read.
    pub(super) fn expire_parked(&mut self) {
        let (now, end) = (self.now, self.log.end());
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let due = |parked: &mut Parked| parked.until <= now || parked.offset < end;
        let due: Vec<Parked> = leader.parked.extract_if(.., due).collect();
        for parked in due {
            self.reply_with_log(parked);
        }
    }

    /// This node does not lead any more, and has saved what it is now; who waited for it is told.
    pub(super) fn answer_waiting(&mut self, leader: super::leader::Leader) {
        for parked in leader.parked {
            let partition = self.fetch_answer(ErrorCode::NOT_LEADER_OR_FOLLOWER);
            let response = self.fetch_response(parked.version, partition);
            self.reply(parked.token, response);
        }
        if let Some(change) = leader.change {
            self.answer_change(change, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
    }

    fn fetch_answer(&self, error: ErrorCode) -> fetch_response::PartitionData<'static> {
        fetch_response::PartitionData {
            error_code: error.0,
            high_watermark: self.high_watermark().unwrap_or(-1),
            log_start_offset: self.log.start(),
            current_leader: fetch_response::LeaderIdAndEpoch {
                leader_id: self.wire_leader(),
                leader_epoch: self.epoch,
                ..Default::default()
            },
            records: Some(Default::default()),
            ..Default::default()
        }
    }

    fn fetch_response(
        &self,
        version: i16,
        partition: fetch_response::PartitionData<'static>,
    ) -> FetchResponse<'static> {
        let mut response = FetchResponse {
            responses: vec![fetch_response::FetchableTopicResponse {
                topic: self.wire_topic(),
                topic_id: self.config.topic.id,
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        if version >= ENDPOINTS_SINCE
            && let Some((node_id, address)) = self.leader_address()
        {
            response.node_endpoints = vec![fetch_response::NodeEndpoint {
                node_id,
                host: address.host.into(),
                port: address.port.into(),
                ..Default::default()
            }];
        }
        response
    }
}
