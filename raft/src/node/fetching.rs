//! Fetching records, and making them this node's log (KIP-595).

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{FetchRequest, FetchResponse, fetch_request, fetch_response};
use kwire_protocol::records::Batches;

use super::calls::Kind;
use super::follower::Download;
use super::output::{Destination, DiskOp, IoId};
use super::responses::Head;
use super::{Node, Role};
use crate::control::{Control, read_controls};
use crate::extension;
use crate::message::Request;
use crate::mutation::{Mutation, is_off};
use crate::types::{Epoch, NodeId, Offset, OffsetAndEpoch};

/// No log gets as far. A leader that lies about its snapshot does not leave this node at the last
/// offset that there is.
const GREATEST_SNAPSHOT_END: Offset = Offset::MAX / 2;

/// What of the fetched batches becomes part of the log.
struct Accepted {
    /// Bytes of them.
    len: usize,
    /// The log end offset after them.
    end: Offset,
    /// Where each epoch among them starts.
    epochs: Vec<(Epoch, Offset)>,
    controls: Vec<(Offset, Control)>,
    /// Why the rest did not.
    refused: Option<String>,
}

impl Node {
    /// A fetch from the leader, or its snapshot; from somebody else, if an observer cannot reach it.
    ///
    /// In Kafka a voter that cannot reach its leader asks a bootstrap server too. Ours does not: one
    /// fetch is under way at most, and a bootstrap server that does not answer would keep the voter
    /// from its leader until the fetch timer ends in an election. A voter learns of a new leader by
    /// BeginQuorumEpoch, or by the election that its timer starts.
    pub(super) fn fetch_from_leader(&mut self) {
        let (Role::Follower(follower), Some(leader)) = (&self.role, self.leader) else {
            return;
        };
        if self.calls.is_awaiting(Kind::Fetch) || self.calls.is_awaiting(Kind::FetchSnapshot) {
            return;
        }
        let download = follower.download;
        let silent = follower.fetch_until <= self.now || self.calls.is_backing_off(leader);
        if silent && !self.is_voter() {
            return self.fetch_from_anybody();
        }
        if !self.calls.is_ready(leader) {
            return;
        }
        let Some((id, address)) = self.leader_address() else {
            return;
        };
        let to = Destination { id, address };
        match download {
            Some(download) => self.send_fetch_snapshot(to, download),
            None => self.send_fetch(to),
        }
    }

    /// A fetch from a bootstrap server, or from a voter if there is none: whoever answers knows the
    /// leader.
    pub(super) fn fetch_from_anybody(&mut self) {
        if self.calls.is_awaiting(Kind::Fetch) {
            return;
        }
        let servers = &self.config.bootstrap_servers;
        let mut others: Vec<Destination> = servers
            .iter()
            .enumerate()
            .map(|(index, address)| Destination {
                id: -2 - NodeId::try_from(index).expect("a few servers"),
                address: address.clone(),
            })
            .filter(|to| self.config.endpoints.get(&self.config.listener) != Some(&to.address))
            .collect();
        if others.is_empty() {
            let ids = self.voters().ids().filter(|id| Some(*id) != self.config.id);
            others = ids.filter_map(|id| self.voter_destination(id)).collect();
        }
        others.retain(|to| self.calls.is_ready(to.id));
        if others.is_empty() {
            return;
        }
        let drawn = self.draw() % (others.len() as u64);
        let to = others.swap_remove(usize::try_from(drawn).unwrap_or(0));
        self.send_fetch(to);
    }

    /// How long the leader may let this node wait: its answer has to come before anybody takes it
    /// for gone.
    fn fetch_wait_ms(&self) -> u64 {
        let config = &self.config;
        let patience = config.fetch_timeout_ms.min(config.request_timeout_ms);
        config.fetch_max_wait_ms.min(patience / 2)
    }

    fn send_fetch(&mut self, to: Destination) {
        let key = self.config.key();
        let (after, flushed) = self.acknowledgement();
        let mut partition = fetch_request::FetchPartition {
            current_leader_epoch: self.epoch,
            fetch_offset: self.log.end(),
            last_fetched_epoch: self.log.last_epoch(),
            replica_directory_id: self.config.directory_id,
            high_watermark: self.high_watermark.unwrap_or(-1),
            ..Default::default()
        };
        if flushed < partition.fetch_offset {
            extension::set_flushed(&mut partition, flushed);
        }
        let request = FetchRequest {
            cluster_id: self.wire_cluster_id(),
            // The encoder of the version decides which of the two goes out.
            replica_id: key.map_or(-1, |key| key.id),
            replica_state: fetch_request::ReplicaState {
                replica_id: key.map_or(-1, |key| key.id),
                ..Default::default()
            },
            max_wait_ms: i32::try_from(self.fetch_wait_ms()).unwrap_or(i32::MAX),
            max_bytes: self.config.fetch_max_bytes,
            topics: vec![fetch_request::FetchTopic {
                topic: self.wire_topic(),
                topic_id: self.config.topic.id,
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.send(to, Kind::Fetch, after, Request::Fetch(request));
    }

    /// What a fetch waits for, and the offset before which it acknowledges records then. That is all
    /// that this node has, unless there is more to come meanwhile.
    fn acknowledgement(&self) -> (Option<IoId>, Offset) {
        if is_off(Mutation::FollowerAcksUnflushed) {
            return (None, self.log.end());
        }
        match &self.role {
            Role::Follower(follower) if follower.has_more => self.disk.before_last_append(),
            _ => (self.disk.append_under_way(), self.log.end()),
        }
    }

    pub(super) fn fetch_answered(&mut self, peer: NodeId, mut response: FetchResponse<'static>) {
        // Exactly what was asked for: the driver looks at it before the node does.
        let partition = match &mut response.responses[..] {
            [topic] if topic.partitions.len() == 1 => topic.partitions.pop(),
            _ => None,
        };
        let Some(partition) = partition.filter(|_| response.error_code == 0) else {
            return self.failed_answer(peer, response.error_code);
        };
        let leader = &partition.current_leader;
        let endpoints = self.endpoints_in(leader.leader_id, &response.node_endpoints, |e| {
            (e.node_id, &e.host, e.port)
        });
        let head = Head {
            error: ErrorCode(partition.error_code),
            leader: leader.leader_id,
            epoch: leader.leader_epoch,
            endpoints,
        };
        let is_taken = self.take_head(peer, head);
        let follows = matches!(self.role, Role::Follower(_));
        let counts = (is_taken && follows) || is_off(Mutation::StaleFetchesCount);
        if !counts {
            if is_taken && self.calls.is_ready(peer) {
                // It names a leader, and not where that listens: asking again at once would not help.
                self.back_off(peer);
            }
            return;
        }
        self.heard_from_leader();
        self.take_fetched(peer, partition);
    }

    fn take_fetched(&mut self, peer: NodeId, partition: fetch_response::PartitionData<'static>) {
        let leaders_end = extension::log_end(&partition);
        let diverging = &partition.diverging_epoch;
        let snapshot = &partition.snapshot_id;
        if diverging.epoch >= 0 || diverging.end_offset >= 0 {
            self.truncate_to(peer, diverging.epoch, diverging.end_offset);
        } else if snapshot.epoch >= 0 || snapshot.end_offset >= 0 {
            if snapshot.epoch < 0 || snapshot.end_offset < 0 {
                let what = "names a snapshot with only an epoch, or only an offset";
                self.misbehaved(Some(peer), what);
                return self.back_off(peer);
            }
            let id = OffsetAndEpoch::new(snapshot.end_offset, snapshot.epoch);
            self.begin_download(peer, id);
        } else {
            let records = partition.records.unwrap_or_default().into_bytes();
            if !records.is_empty() {
                self.append_fetched(peer, records);
            }
            let known = partition.high_watermark.min(self.log.end());
            let forward = self.high_watermark.is_none_or(|own| known > own);
            if known >= 0 && forward {
                self.set_high_watermark(known);
            }
        }
        let has_more = leaders_end.is_some_and(|end| end > self.log.end())
            || is_off(Mutation::FetchedAheadOfAnyone);
        if let Role::Follower(follower) = &mut self.role {
            follower.has_more = has_more;
        }
    }

    fn begin_download(&mut self, peer: NodeId, id: OffsetAndEpoch) {
        if self.log.snapshot_size(id).is_some() || self.is_past(id.offset) || self.forgets(id) {
            self.misbehaved(
                Some(peer),
                format!("names snapshot {id}, which this node is past"),
            );
            return self.back_off(peer);
        }
        if id.epoch > self.epoch || id.offset > GREATEST_SNAPSHOT_END {
            self.misbehaved(
                Some(peer),
                format!("names snapshot {id}, which nobody can have made"),
            );
            return self.back_off(peer);
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.download = Some(Download {
                id,
                position: 0,
                is_installing: false,
            });
        }
    }

    /// What is before this is committed for certain: after a restart snapshots say so, while the
    /// high watermark is not known yet.
    fn known_committed(&self) -> Offset {
        let snapshot = self.log.latest_snapshot().map_or(0, |id| id.offset);
        self.high_watermark
            .unwrap_or(0)
            .max(snapshot)
            .max(self.log.start())
    }

    /// Whether a log that ends at an offset would lack what this node knows to be committed.
    pub(super) fn is_past(&self, end: Offset) -> bool {
        end < self.known_committed() && !is_off(Mutation::TruncateBelowHighWatermark)
    }

    /// Where this log has to be cut when the leader's epoch ends there.
    pub(crate) fn common_end(&self, leaders: OffsetAndEpoch) -> Offset {
        self.log.common_end(leaders)
    }

    /// Whether a snapshot is of a log without something that this node knows to be committed: its
    /// last epoch is before that of the last committed record here. A quorum of which too many disks
    /// were lost makes such.
    fn forgets(&self, id: OffsetAndEpoch) -> bool {
        let snapshot = self.log.latest_snapshot().map(|own| own.epoch);
        let committed = self.log.epoch_before(self.known_committed()).max(snapshot);
        committed.is_some_and(|epoch| id.epoch < epoch)
            && !is_off(Mutation::TruncateBelowHighWatermark)
    }

    /// The leader's log has something else from here on.
    fn truncate_to(&mut self, peer: NodeId, epoch: Epoch, end: Offset) {
        if epoch < 0 || end < 0 {
            self.misbehaved(
                Some(peer),
                "names a diverging epoch without its end, or the reverse",
            );
            return self.back_off(peer);
        }
        let to = self.log.common_end(OffsetAndEpoch::new(end, epoch));
        let committed = self.known_committed();
        if to < committed && !is_off(Mutation::TruncateBelowHighWatermark) {
            // Either that leader or this node's disk lost committed records.
            let what = format!("asks to truncate to {to}, below the high watermark {committed}");
            self.misbehaved(Some(peer), what);
            return self.back_off(peer);
        }
        if to >= self.log.end() {
            return;
        }
        self.disk_op(DiskOp::Truncate { to });
        self.log.truncate_end(to);
        self.disk.truncated(to);
        self.membership.truncate_end(to);
    }

    fn append_fetched(&mut self, peer: NodeId, records: Bytes) {
        let accepted = self.accept(&records);
        let is_empty = accepted.len == 0;
        // The last batch may be cut off, as long as there is a whole one before it.
        let partial = || "sent less than a batch".to_owned();
        let refused = accepted.refused.or_else(|| is_empty.then(partial));
        if let Some(refused) = refused {
            self.misbehaved(Some(peer), refused);
        }
        if is_empty {
            return self.back_off(peer);
        }
        let base = self.log.end();
        let batches = records.slice(..accepted.len);
        let ends = accepted.epochs.iter().skip(1).map(|(_, start)| *start);
        let ends = ends.chain([accepted.end]).collect::<Vec<_>>();
        for ((epoch, start), end) in accepted.epochs.into_iter().zip(ends) {
            self.log.appended(epoch, start, end);
        }
        let id = self.disk_op(DiskOp::Append { base, batches });
        self.disk.appending(id, accepted.end);
        for (offset, control) in accepted.controls {
            self.add_control(offset, control);
        }
    }

    /// The batches that go on where this log ends, none of an epoch that this node is not in yet.
    fn accept(&self, records: &Bytes) -> Accepted {
        let mut accepted = Accepted {
            len: 0,
            end: self.log.end(),
            epochs: Vec::new(),
            controls: Vec::new(),
            refused: None,
        };
        let mut last_epoch = self.log.last_epoch();
        let mut batches = Batches::validated(records);
        while let Some(batch) = batches.next() {
            let checked = batch
                .map_err(|error| error.to_string())
                .and_then(|batch| self.check_fetched(&batch, accepted.end, last_epoch));
            match checked {
                Ok((epoch, next, controls)) => {
                    if accepted
                        .epochs
                        .last()
                        .is_none_or(|(last, _)| *last != epoch)
                    {
                        accepted.epochs.push((epoch, accepted.end));
                    }
                    (last_epoch, accepted.end) = (epoch, next);
                    accepted.controls.extend(controls);
                    accepted.len = batches.position();
                }
                Err(refused) => {
                    accepted.refused = Some(refused);
                    break;
                }
            }
        }
        accepted
    }

    #[allow(clippy::type_complexity)]
    fn check_fetched(
        &self,
        batch: &kwire_protocol::records::Batch<'_>,
        expected: Offset,
        last_epoch: Epoch,
    ) -> Result<(Epoch, Offset, Vec<(Offset, Control)>), String> {
        let Some(header) = batch.header() else {
            return Err(format!("sent a batch of magic {}", batch.magic()));
        };
        let (epoch, base) = (header.partition_leader_epoch, header.base_offset);
        if base != expected && !is_off(Mutation::GapsAppended) {
            return Err(format!("sent offset {base} where {expected} was to follow"));
        }
        if epoch > self.epoch && !is_off(Mutation::HigherEpochsAppended) {
            return Err(format!(
                "sent a batch of epoch {epoch} in epoch {}",
                self.epoch
            ));
        }
        if epoch < last_epoch || header.last_offset_delta < 0 {
            return Err(format!(
                "sent a batch of epoch {epoch} after epoch {last_epoch}"
            ));
        }
        let controls = read_controls(batch).map_err(|error| error.to_string())?;
        let next = expected + Offset::from(header.last_offset_delta) + 1;
        Ok((epoch, next, controls))
    }
}
