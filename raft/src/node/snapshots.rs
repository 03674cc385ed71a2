//! Snapshots: making, serving, fetching and removing them (KIP-630).

use std::fmt;

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{
    FetchSnapshotRequest, FetchSnapshotResponse, fetch_snapshot_request, fetch_snapshot_response,
};

use super::calls::Kind;
use super::follower::Download;
use super::output::{Destination, DiskOp, Event, Output, Token};
use super::responses::{Head, leader_endpoints};
use super::{Node, Role};
use crate::message::Request;
use crate::mutation::{Mutation, is_off};
use crate::types::{Installed, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, SnapshotInfo};
use crate::voters::VoterSet;

/// What a snapshot begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotContext {
    /// Where it ends, and the epoch of the last record in it.
    pub id: OffsetAndEpoch,
    /// The feature `kraft.version` there.
    pub kraft_version: i16,
    /// The voters there, if the log names them.
    pub voters: Option<VoterSet>,
}

/// Why there is to be no such snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It would hold what is not committed.
    BeyondHighWatermark {
        /// Its end.
        end: Offset,
        /// What is committed.
        high_watermark: Option<Offset>,
    },
    /// The log starts after its end.
    BelowLogStart {
        /// Its end.
        end: Offset,
        /// The log's start.
        log_start: Offset,
    },
    /// The record before its end is of another epoch, or not there.
    NotInLog(OffsetAndEpoch),
    /// There is one already.
    Exists(OffsetAndEpoch),
    /// There is no such snapshot.
    Unknown(OffsetAndEpoch),
    /// There is a later one already, before which the voters are not known any more.
    BelowLatest {
        /// Its end.
        end: Offset,
        /// The latest.
        latest: OffsetAndEpoch,
    },
    /// A follower is fetching one of those that would go.
    InUse(OffsetAndEpoch),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::BeyondHighWatermark {
                end,
                high_watermark,
            } => match high_watermark {
                Some(committed) => {
                    write!(f, "offset {end} is beyond the high watermark {committed}")
                }
                None => write!(f, "offset {end} is not known to be committed"),
            },
            SnapshotError::BelowLogStart { end, log_start } => {
                write!(f, "offset {end} is below the log's start {log_start}")
            }
            SnapshotError::NotInLog(id) => write!(f, "the log does not have {id}"),
            SnapshotError::Exists(id) => write!(f, "there is a snapshot {id} already"),
            SnapshotError::Unknown(id) => write!(f, "there is no snapshot {id}"),
            SnapshotError::BelowLatest { end, latest } => {
                write!(f, "offset {end} is below the latest snapshot {latest}")
            }
            SnapshotError::InUse(id) => write!(f, "a follower is fetching snapshot {id}"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl Node {
    /// Whether the application may make a snapshot of what is before an offset, and what it is to
    /// begin with. The offset has to be one that a batch ends at.
    ///
    /// # Errors
    /// When it may not.
    pub fn prepare_snapshot(&self, end: Offset) -> Result<SnapshotContext, SnapshotError> {
        let high_watermark = self.high_watermark;
        let committed = high_watermark.is_some_and(|committed| end <= committed);
        if !committed && !is_off(Mutation::SnapshotBeyondHighWatermark) {
            return Err(SnapshotError::BeyondHighWatermark {
                end,
                high_watermark,
            });
        }
        let log_start = self.log.start();
        if end <= log_start {
            return Err(SnapshotError::BelowLogStart { end, log_start });
        }
        let epoch = self.log.epoch_before(end).unwrap_or(-1);
        let id = OffsetAndEpoch::new(end, epoch);
        if epoch < 0 {
            return Err(SnapshotError::NotInLog(id));
        }
        if self.log.snapshot_size(id).is_some() {
            return Err(SnapshotError::Exists(id));
        }
        if let Some(latest) = self.log.latest_snapshot()
            && end < latest.offset
        {
            return Err(SnapshotError::BelowLatest { end, latest });
        }
        let (kraft_version, voters) = self.membership.before(end);
        Ok(SnapshotContext {
            id,
            kraft_version,
            voters: voters.cloned(),
        })
    }

    /// The snapshot is whole and durable; it will be served from now on.
    ///
    /// # Errors
    /// When the log does not have what it holds.
    pub fn snapshot_taken(
        &mut self,
        now: Instant,
        info: SnapshotInfo,
    ) -> Result<(), SnapshotError> {
        self.at(now);
        if info.id.offset < self.log.start() {
            let (end, log_start) = (info.id.offset, self.log.start());
            return Err(SnapshotError::BelowLogStart { end, log_start });
        }
        if !self.log.has(info.id) {
            return Err(SnapshotError::NotInLog(info.id));
        }
        self.log.add_snapshot(info.id, info.size);
        self.pump();
        Ok(())
    }

    /// Removes the snapshots before this one, and the log below its end.
    ///
    /// # Errors
    /// When there is no such snapshot, or a follower is fetching one of those that would go.
    pub fn delete_before(&mut self, now: Instant, id: OffsetAndEpoch) -> Result<(), SnapshotError> {
        self.at(now);
        if self.log.snapshot_size(id).is_none() {
            return Err(SnapshotError::Unknown(id));
        }
        if let Some(used) = self.snapshot_in_use()
            && used < id
            && !is_off(Mutation::SnapshotExpiredWhileFetched)
        {
            return Err(SnapshotError::InUse(used));
        }
        self.log.delete_before(id);
        self.membership.truncate_start(id.offset);
        self.disk_op(DiskOp::DeleteBefore { id });
        self.pump();
        Ok(())
    }

    /// The oldest snapshot that a follower asked for lately: it would have to begin anew, and might
    /// never end, if it were gone.
    fn snapshot_in_use(&self) -> Option<OffsetAndEpoch> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let patience = self.config.fetch_timeout_ms;
        let used = leader.replicas.values().filter_map(|r| r.snapshot);
        let recent = used.filter(|(_, at)| self.now.since(*at) < patience);
        recent.map(|(id, _)| id).min()
    }

    pub(super) fn serve_fetch_snapshot(
        &mut self,
        token: Token,
        version: i16,
        request: &FetchSnapshotRequest<'_>,
    ) {
        if let Err(error) = self.check_cluster_id(request.cluster_id.as_deref()) {
            let response = FetchSnapshotResponse {
                error_code: error.0,
                ..Default::default()
            };
            return self.reply(token, response);
        }
        let known = &self.config.topic.name;
        let asked = request.topics.iter().find(|topic| topic.name == **known);
        let asked = asked.and_then(|topic| topic.partitions.iter().find(|p| p.partition == 0));
        let Some(asked) = asked else {
            return self.reply_unknown_partition(token, request);
        };
        let ask = match self.check_snapshot_ask(asked) {
            Ok(ask) => ask,
            Err(error) => {
                let partition = self.snapshot_answer(asked, error);
                return self.reply(token, self.snapshot_response(version, partition));
            }
        };
        self.snapshot_fetched_by(request.replica_id, asked, ask.id);
        let mut partition = self.snapshot_answer(asked, ErrorCode::NONE);
        partition.size = i64::try_from(ask.size).unwrap_or(i64::MAX);
        partition.position = asked.position;
        let response = self.snapshot_response(version, partition);
        let after = self.gate();
        self.outputs.push_back(Output::ReplyWithSnapshot {
            after,
            token,
            response,
            id: ask.id,
            position: ask.position,
            max_bytes: super::serving::answer_bytes(request.max_bytes),
        });
    }

    /// The snapshot that is asked for, its size, and the position.
    fn check_snapshot_ask(
        &self,
        asked: &fetch_snapshot_request::PartitionSnapshot,
    ) -> Result<SnapshotAsk, ErrorCode> {
        self.check_leader_epoch(asked.current_leader_epoch)?;
        let id = OffsetAndEpoch::new(asked.snapshot_id.end_offset, asked.snapshot_id.epoch);
        let size = self.log.snapshot_size(id);
        let size = size.filter(|_| id != OffsetAndEpoch::BOOTSTRAP);
        let size = size.ok_or(ErrorCode::SNAPSHOT_NOT_FOUND)?;
        let position = u64::try_from(asked.position).ok();
        match position.filter(|position| *position < size) {
            Some(position) => Ok(SnapshotAsk { id, size, position }),
            None => Err(ErrorCode::POSITION_OUT_OF_RANGE),
        }
    }

    fn snapshot_fetched_by(
        &mut self,
        replica: NodeId,
        asked: &fetch_snapshot_request::PartitionSnapshot,
        id: OffsetAndEpoch,
    ) {
        if replica < 0 {
            return;
        }
        let key = ReplicaKey::new(replica, asked.replica_directory_id);
        let (now, progress) = (self.now, self.progress_key(key));
        if let Role::Leader(leader) = &mut self.role
            && let Some(replica) = leader.replica(progress)
        {
            replica.snapshot = Some((id, now));
        }
        self.voter_fetched(key);
    }

    fn reply_unknown_partition(&mut self, token: Token, request: &FetchSnapshotRequest<'_>) {
        let topic = |topic: &fetch_snapshot_request::TopicSnapshot<'_>| {
            let partition = |asked: &fetch_snapshot_request::PartitionSnapshot| {
                fetch_snapshot_response::PartitionSnapshot {
                    index: asked.partition,
                    error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
                    ..Default::default()
                }
            };
            fetch_snapshot_response::TopicSnapshot {
                name: topic.name.to_string().into(),
                partitions: topic.partitions.iter().map(partition).collect(),
                ..Default::default()
            }
        };
        let response = FetchSnapshotResponse {
            topics: request.topics.iter().map(topic).collect(),
            ..Default::default()
        };
        self.reply(token, response);
    }

    fn snapshot_answer(
        &self,
        asked: &fetch_snapshot_request::PartitionSnapshot,
        error: ErrorCode,
    ) -> fetch_snapshot_response::PartitionSnapshot<'static> {
        fetch_snapshot_response::PartitionSnapshot {
            error_code: error.0,
            snapshot_id: fetch_snapshot_response::SnapshotId {
                end_offset: asked.snapshot_id.end_offset,
                epoch: asked.snapshot_id.epoch,
                ..Default::default()
            },
            current_leader: fetch_snapshot_response::LeaderIdAndEpoch {
                leader_id: self.wire_leader(),
                leader_epoch: self.epoch,
                ..Default::default()
            },
            ..Default::default()
        }
    }

    fn snapshot_response(
        &self,
        version: i16,
        partition: fetch_snapshot_response::PartitionSnapshot<'static>,
    ) -> FetchSnapshotResponse<'static> {
        FetchSnapshotResponse {
            topics: vec![fetch_snapshot_response::TopicSnapshot {
                name: self.wire_topic(),
                partitions: vec![partition],
                ..Default::default()
            }],
            node_endpoints: leader_endpoints!(self, version, fetch_snapshot_response),
            ..Default::default()
        }
    }

    pub(super) fn send_fetch_snapshot(&mut self, to: Destination, download: Download) {
        let partition = fetch_snapshot_request::PartitionSnapshot {
            current_leader_epoch: self.epoch,
            snapshot_id: fetch_snapshot_request::SnapshotId {
                end_offset: download.id.offset,
                epoch: download.id.epoch,
                ..Default::default()
            },
            position: i64::try_from(download.position).unwrap_or(i64::MAX),
            replica_directory_id: self.config.directory_id,
            ..Default::default()
        };
        let request = FetchSnapshotRequest {
            cluster_id: self.wire_cluster_id(),
            replica_id: self.config.id.unwrap_or(-1),
            max_bytes: self.config.fetch_snapshot_max_bytes,
            topics: vec![fetch_snapshot_request::TopicSnapshot {
                name: self.wire_topic(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.send(
            to,
            Kind::FetchSnapshot,
            None,
            Request::FetchSnapshot(request),
        );
    }

    pub(super) fn snapshot_answered(
        &mut self,
        peer: NodeId,
        mut response: FetchSnapshotResponse<'static>,
    ) {
        let partition = match &mut response.topics[..] {
            [topic] if topic.partitions.len() == 1 => topic.partitions.pop(),
            _ => None,
        };
        let Some(partition) = partition.filter(|_| response.error_code == 0) else {
            self.drop_download();
            return self.failed_answer(peer, response.error_code);
        };
        let error = ErrorCode(partition.error_code);
        let leader = &partition.current_leader;
        let endpoints = self.endpoints_in(leader.leader_id, &response.node_endpoints, |e| {
            (e.node_id, &e.host, e.port.into())
        });
        let lost =
            error == ErrorCode::SNAPSHOT_NOT_FOUND || error == ErrorCode::POSITION_OUT_OF_RANGE;
        let head = Head {
            // That the snapshot is gone is no reason to doubt the leader.
            error: if lost { ErrorCode::NONE } else { error },
            leader: leader.leader_id,
            epoch: leader.leader_epoch,
            endpoints,
        };
        if !self.take_head(peer, head) {
            return;
        }
        self.heard_from_leader();
        if lost {
            return self.drop_download();
        }
        self.take_snapshot_part(peer, partition);
    }

    fn take_snapshot_part(
        &mut self,
        peer: NodeId,
        part: fetch_snapshot_response::PartitionSnapshot<'static>,
    ) {
        // An observer that fetches from somebody else meanwhile may have learnt more.
        let is_past = self.is_past(part.snapshot_id.end_offset);
        let Role::Follower(follower) = &mut self.role else {
            return;
        };
        let Some(download) = follower.download.as_mut().filter(|d| !d.is_installing) else {
            return;
        };
        let id = OffsetAndEpoch::new(part.snapshot_id.end_offset, part.snapshot_id.epoch);
        let position = u64::try_from(part.position).ok();
        let size = u64::try_from(part.size).unwrap_or(0);
        let bytes = part.unaligned_records.into_bytes();
        let end = download.position + bytes.len() as u64;
        let fits = id == download.id && position == Some(download.position) && end <= size;
        if is_past || !fits || (bytes.is_empty() && end < size) {
            self.drop_download();
            self.misbehaved(
                Some(peer),
                format!("sent another part of snapshot {id} than asked"),
            );
            return self.back_off(peer);
        }
        let position = download.position;
        download.position = end;
        download.is_installing = end == size;
        let is_whole = download.is_installing;
        self.disk_op(DiskOp::WriteSnapshot {
            id,
            position,
            bytes,
        });
        if is_whole {
            self.disk_op(DiskOp::InstallSnapshot { id });
        }
    }

    fn drop_download(&mut self) {
        if let Role::Follower(follower) = &mut self.role
            && follower.download.take().is_some()
        {
            self.disk_op(DiskOp::DropUnfinishedSnapshots);
        }
    }

    /// The disk has the snapshot in place of the log, or refused it. This is so whatever the node
    /// has become meanwhile.
    pub(super) fn installed(&mut self, id: OffsetAndEpoch, outcome: Installed) {
        if let Role::Follower(follower) = &mut self.role {
            follower.download = None;
        }
        match outcome {
            Installed::Done { info, controls } => {
                self.log.reset(id, info.size);
                self.disk.reset(id.offset);
                self.membership.reset(id.offset, controls);
                let committed = self.high_watermark.unwrap_or(0).max(id.offset);
                self.high_watermark = Some(committed);
                self.notify(Event::SnapshotInstalled { id });
                self.heard_from_leader();
            }
            Installed::Refused { reason } => {
                let leader = self.leader;
                self.misbehaved(leader, format!("sent a damaged snapshot {id}: {reason}"));
                if let Some(leader) = leader {
                    self.back_off(leader);
                }
            }
        }
    }
}

/// A part of a snapshot that there is.
struct SnapshotAsk {
    id: OffsetAndEpoch,
    size: u64,
    position: u64,
}
