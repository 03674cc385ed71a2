//! What peers and tools send, nodes in some state already, and tests of each version.

use std::ops::RangeInclusive;

use bytes::Bytes;
use kwire_protocol::messages::*;
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};

use super::harness::{Harness, calls, config, directory, endpoints, reply_to, voter};
use crate::config::Config;
use crate::control::Control;
use crate::message::{Request, Response};
use crate::node::{CallId, Output, Token};
use crate::types::{Epoch, EpochStart, NodeId, Offset, OffsetAndEpoch, Recovered, SnapshotInfo};
use crate::voters::VoterSet;

pub(crate) const TOPIC: &str = "__cluster_metadata";

/// The configuration of one of these static voters, or of an observer.
pub(crate) fn config_of(id: NodeId, voters: &[NodeId]) -> Config {
    config(id, voters)
}

/// Runs a test at each of the versions.
pub(crate) fn at_each(versions: RangeInclusive<i16>, test: impl Fn(i16)) {
    for version in versions {
        test(version);
    }
}

/// The request as its receiver reads it at that version.
pub(crate) fn on_the_wire(version: i16, request: &Request) -> Request {
    let mut bytes = Vec::new();
    request.encode(version, &mut bytes).expect("it can be said");
    let decoded = Request::decode(request.api_key(), version, &bytes.into());
    decoded.expect("a raft API").expect("what was written")
}

impl Harness {
    /// A request that goes over the wire at a version, and everything that it leads to.
    pub(super) fn send_at(
        &mut self,
        version: i16,
        request: impl Into<Request>,
    ) -> (Token, Vec<Output>) {
        self.request(version, on_the_wire(version, &request.into()))
    }

    /// The same, and the answer as it is read at that version; of a Fetch, without records.
    pub(super) fn ask_at(&mut self, version: i16, request: impl Into<Request>) -> Response {
        let request = request.into();
        let api = request.api_key();
        let (token, outputs) = self.send_at(version, request);
        let response = reply_to(token, &outputs).expect("it answers at once");
        let mut bytes = Vec::new();
        response
            .encode(version, &mut bytes)
            .expect("the version can say the answer");
        let decoded = Response::decode(api, version, &bytes.into());
        decoded.expect("a raft API").expect("what was written")
    }

    pub(super) fn fetch_at(&mut self, version: i16, fetch: FetchRequest<'static>) -> Partition {
        match self.ask_at(version, fetch) {
            Response::Fetch(mut response) => {
                assert_eq!(response.error_code, 0);
                response.responses.remove(0).partitions.remove(0)
            }
            other => panic!("{other:?}"),
        }
    }

    /// These replicas have the whole log.
    pub(super) fn caught_up(&mut self, replicas: &[NodeId]) -> Vec<Output> {
        let end = self.node.log_end();
        let mut all = Vec::new();
        for &id in replicas {
            let fetch = fetch(id, self.node.epoch(), end.offset, end.epoch);
            all.extend(self.request(18, fetch.into()).1);
        }
        all
    }

    /// Lets some time pass, with the timeouts that there are in it.
    pub(super) fn wait(&mut self, ms: u64) -> Vec<Output> {
        let until = self.now.plus(ms);
        let mut outputs = Vec::new();
        while self.node.poll_timeout() <= until {
            outputs.extend(self.time_out());
        }
        self.now = until;
        self.node.handle_timeout(until);
        outputs.extend(self.settle());
        outputs
    }

    /// What it asked a peer for, that way.
    pub(super) fn call_of(outputs: &[Output], is: fn(&Request) -> bool) -> (CallId, Request) {
        let found = calls(outputs).into_iter().find(|(_, _, r)| is(r));
        let (call, _, request) = found.expect("it asks for that");
        (call, request)
    }
}

pub(crate) type Partition = fetch_response::PartitionData<'static>;

pub(crate) fn is_fetch(request: &Request) -> bool {
    matches!(request, Request::Fetch(_))
}

/// The disk of a node of a quorum with these voters in its bootstrap checkpoint (kraft.version 1).
pub(crate) fn formatted(voters: &[NodeId]) -> Recovered {
    let voters: VoterSet = voters.iter().map(|&id| voter(id)).collect();
    Recovered {
        snapshots: vec![SnapshotInfo {
            id: OffsetAndEpoch::BOOTSTRAP,
            size: 100,
        }],
        controls: vec![
            (-1, Control::KRaftVersion(1)),
            (-1, Control::Voters(voters)),
        ],
        ..Recovered::default()
    }
}

/// A disk with a log of these epochs, up to an end.
pub(crate) fn with_log(recovered: Recovered, epochs: &[(Epoch, Offset)], end: Offset) -> Recovered {
    let start = |&(epoch, offset)| EpochStart { epoch, offset };
    Recovered {
        epochs: epochs.iter().map(start).collect(),
        log_end: end,
        ..recovered
    }
}

/// A disk with a snapshot, where the log may start.
pub(crate) fn with_snapshot(
    mut recovered: Recovered,
    id: OffsetAndEpoch,
    size: u64,
    log_start: Offset,
) -> Recovered {
    recovered.snapshots.push(SnapshotInfo { id, size });
    recovered.snapshots.sort_by_key(|info| info.id);
    recovered.log_start = log_start;
    recovered.log_end = recovered.log_end.max(id.offset);
    recovered
}

/// The leader of an epoch whose first record nobody else has yet.
pub(super) fn elected(config: Config, recovered: Recovered) -> Harness {
    let mut h = Harness::with(config, recovered);
    h.settle();
    if h.node.epoch_start().is_none() {
        h.elect();
    }
    h
}

/// Node 0 leads static voters.
pub(super) fn static_leader(voters: &[NodeId]) -> Harness {
    elected(config(0, voters), Recovered::default())
}

/// Node 0 leads the voters of a checkpoint, and its first records are committed.
pub(super) fn dynamic_leader(voters: &[NodeId]) -> Harness {
    let mut h = elected(config(0, &[]), formatted(voters));
    h.caught_up(&voters[1..]);
    assert_eq!(h.node.high_watermark(), Some(h.node.log_end().offset));
    h
}

/// Node 0 follows, and its first Fetch is under way.
pub(super) fn following(
    config: Config,
    recovered: Recovered,
    leader: NodeId,
    epoch: Epoch,
) -> (Harness, CallId, FetchRequest<'static>) {
    let mut h = Harness::with(config, recovered);
    h.settle();
    let (_, outputs) = h.request(1, begin(leader, epoch));
    let (call, request) = Harness::call_of(&outputs, is_fetch);
    match request {
        Request::Fetch(fetch) => (h, call, fetch),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn begin(leader: NodeId, epoch: Epoch) -> Request {
    let named = endpoints(leader);
    let listeners =
        named.iter().map(
            |(name, address)| begin_quorum_epoch_request::LeaderEndpoint {
                name: name.to_owned().into(),
                host: address.host.clone().into(),
                port: address.port,
                ..Default::default()
            },
        );
    Request::BeginQuorumEpoch(BeginQuorumEpochRequest {
        cluster_id: Some("cluster".into()),
        voter_id: -1,
        topics: vec![begin_quorum_epoch_request::TopicData {
            topic_name: TOPIC.into(),
            partitions: vec![begin_quorum_epoch_request::PartitionData {
                leader_id: leader,
                leader_epoch: epoch,
                ..Default::default()
            }],
            ..Default::default()
        }],
        leader_endpoints: listeners.collect(),
        ..Default::default()
    })
}

/// A Fetch that waits for half a second.
pub(crate) fn fetch(
    from: NodeId,
    epoch: Epoch,
    offset: Offset,
    last_epoch: Epoch,
) -> FetchRequest<'static> {
    FetchRequest {
        cluster_id: Some("cluster".into()),
        replica_id: from,
        replica_state: fetch_request::ReplicaState {
            replica_id: from,
            ..Default::default()
        },
        max_wait_ms: 500,
        max_bytes: 1 << 20,
        topics: vec![fetch_request::FetchTopic {
            topic: TOPIC.into(),
            topic_id: crate::types::Topic::cluster_metadata().id,
            partitions: vec![fetch_request::FetchPartition {
                current_leader_epoch: epoch,
                fetch_offset: offset,
                last_fetched_epoch: last_epoch,
                replica_directory_id: if from < 0 {
                    crate::types::Uuid::ZERO
                } else {
                    directory(from)
                },
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// What a leader answers a Fetch with.
pub(crate) fn fetched(
    leader: NodeId,
    epoch: Epoch,
    change: impl FnOnce(&mut Partition),
) -> FetchResponse<'static> {
    let mut partition = Partition {
        high_watermark: -1,
        current_leader: fetch_response::LeaderIdAndEpoch {
            leader_id: leader,
            leader_epoch: epoch,
            ..Default::default()
        },
        ..Default::default()
    };
    change(&mut partition);
    FetchResponse {
        responses: vec![fetch_response::FetchableTopicResponse {
            topic: TOPIC.into(),
            topic_id: crate::types::Topic::cluster_metadata().id,
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn fetch_snapshot(
    from: NodeId,
    epoch: Epoch,
    id: OffsetAndEpoch,
    position: i64,
) -> FetchSnapshotRequest<'static> {
    FetchSnapshotRequest {
        cluster_id: Some("cluster".into()),
        replica_id: from,
        max_bytes: 1 << 20,
        topics: vec![fetch_snapshot_request::TopicSnapshot {
            name: TOPIC.into(),
            partitions: vec![fetch_snapshot_request::PartitionSnapshot {
                current_leader_epoch: epoch,
                snapshot_id: fetch_snapshot_request::SnapshotId {
                    end_offset: id.offset,
                    epoch: id.epoch,
                    ..Default::default()
                },
                position,
                replica_directory_id: directory(from),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) type SnapshotPart = fetch_snapshot_response::PartitionSnapshot<'static>;

/// A part of a snapshot of a size, as its leader sends it.
pub(crate) fn snapshot_part(
    leader: NodeId,
    epoch: Epoch,
    (id, size): (OffsetAndEpoch, i64),
    position: i64,
    bytes: &'static [u8],
) -> SnapshotPart {
    SnapshotPart {
        snapshot_id: fetch_snapshot_response::SnapshotId {
            end_offset: id.offset,
            epoch: id.epoch,
            ..Default::default()
        },
        current_leader: fetch_snapshot_response::LeaderIdAndEpoch {
            leader_id: leader,
            leader_epoch: epoch,
            ..Default::default()
        },
        size,
        position,
        unaligned_records: Bytes::from_static(bytes).into(),
        ..Default::default()
    }
}

pub(crate) fn snapshot_fetched(part: SnapshotPart) -> FetchSnapshotResponse<'static> {
    FetchSnapshotResponse {
        topics: vec![fetch_snapshot_response::TopicSnapshot {
            name: TOPIC.into(),
            partitions: vec![part],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn add(id: NodeId) -> AddRaftVoterRequest<'static> {
    let listener = add_raft_voter_request::Listener {
        name: "CONTROLLER".into(),
        host: "localhost".into(),
        port: 9_000 + u16::try_from(id.max(0)).expect("a small id"),
        ..Default::default()
    };
    AddRaftVoterRequest {
        cluster_id: Some("cluster".into()),
        timeout_ms: 1_000,
        voter_id: id,
        voter_directory_id: directory(id),
        listeners: vec![listener],
        ..Default::default()
    }
}

pub(crate) fn remove(id: NodeId) -> RemoveRaftVoterRequest<'static> {
    RemoveRaftVoterRequest {
        cluster_id: Some("cluster".into()),
        voter_id: id,
        voter_directory_id: directory(id),
        ..Default::default()
    }
}

/// A voter that listens where it did, and understands these versions.
pub(crate) fn update(
    id: NodeId,
    epoch: Epoch,
    versions: (i16, i16),
) -> UpdateRaftVoterRequest<'static> {
    let listener = update_raft_voter_request::Listener {
        name: "CONTROLLER".into(),
        host: "localhost".into(),
        port: 9_000 + u16::try_from(id.max(0)).expect("a small id"),
        ..Default::default()
    };
    UpdateRaftVoterRequest {
        cluster_id: Some("cluster".into()),
        current_leader_epoch: epoch,
        voter_id: id,
        voter_directory_id: directory(id),
        listeners: vec![listener],
        kraft_version_feature: update_raft_voter_request::KRaftVersionFeature {
            min_supported_version: versions.0,
            max_supported_version: versions.1,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// What a node says that understands these values of kraft.version.
pub(crate) fn versions(min: i16, max: i16) -> ApiVersionsResponse<'static> {
    ApiVersionsResponse {
        supported_features: vec![api_versions_response::SupportedFeatureKey {
            name: "kraft.version".into(),
            min_version: min,
            max_version: max,
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn describe(topic: &'static str, partition: i32) -> DescribeQuorumRequest<'static> {
    DescribeQuorumRequest {
        topics: vec![describe_quorum_request::TopicData {
            topic_name: topic.into(),
            partitions: vec![describe_quorum_request::PartitionData {
                partition_index: partition,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A batch of these values.
pub(crate) fn batch(base: Offset, epoch: Epoch, values: &[&[u8]]) -> Bytes {
    let options = BatchOptions {
        base_offset: base,
        partition_leader_epoch: epoch,
        ..Default::default()
    };
    let mut builder = BatchBuilder::new(options).expect("plain options");
    for value in values {
        let record = NewRecord {
            value: Some(value),
            ..Default::default()
        };
        let appended = builder.try_append(&record).expect("a small record");
        assert!(matches!(appended, Append::Done { .. }));
    }
    builder.finish().expect("a batch").into()
}

macro_rules! requests {
    ($($body:ident => $name:ident,)*) => {
        $(impl From<$body<'static>> for Request {
            fn from(body: $body<'static>) -> Request {
                Request::$name(body)
            }
        })*
    };
}

requests! {
    VoteRequest => Vote,
    BeginQuorumEpochRequest => BeginQuorumEpoch,
    EndQuorumEpochRequest => EndQuorumEpoch,
    FetchRequest => Fetch,
    FetchSnapshotRequest => FetchSnapshot,
    DescribeQuorumRequest => DescribeQuorum,
    AddRaftVoterRequest => AddRaftVoter,
    RemoveRaftVoterRequest => RemoveRaftVoter,
    UpdateRaftVoterRequest => UpdateRaftVoter,
}
