//! Node 0 of the voters 0, 1 and 2 in each state that it can be in, all in one epoch; and what its
//! peers say, as it arrives at each version.

use kwire_protocol::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, EndQuorumEpochRequest,
    EndQuorumEpochResponse, FetchRequest, FetchResponse, VoteRequest, begin_quorum_epoch_request,
    begin_quorum_epoch_response, end_quorum_epoch_request, end_quorum_epoch_response,
    fetch_request, fetch_response, vote_request,
};
use kwire_protocol::{ErrorCode, Uuid};

use super::harness::*;
use crate::message::{Request, Response};
use crate::node::{CallId, DiskOp, Event, Output, Role, RoleName};
use crate::types::{
    Epoch, EpochStart, Instant, NodeId, Offset, QuorumState, Recovered, ReplicaKey,
};
use crate::voters::{Address, Endpoints};

/// The epoch of every state.
pub(super) const EPOCH: Epoch = 5;
/// Where the log ends before anything happens, and the epoch of its last record.
pub(super) const END: Offset = 10;
pub(super) const LAST_EPOCH: Epoch = 3;
/// A leader that is not a voter: nobody knows where it listens.
pub(super) const STRANGER: NodeId = 9;

/// A request that was sent, and to whom.
pub(super) type Call = (CallId, NodeId, Request);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unattached,
    /// It voted for node 1.
    UnattachedVoted,
    /// It knows that `STRANGER` leads, but not where.
    UnattachedLeader,
    Prospective,
    ProspectiveVoted,
    /// Node 1 led until the fetch timer ran out.
    ProspectiveLeader,
    Candidate,
    Leader,
    /// Of node 1, which did not answer a fetch yet.
    Follower,
    FollowerFetched,
    Resigned,
    /// Node 7, no voter.
    ObserverUnattached,
    /// Node 7, following node 1.
    ObserverFollower,
}

impl State {
    pub(super) const ALL: [State; 13] = [
        State::Unattached,
        State::UnattachedVoted,
        State::UnattachedLeader,
        State::Prospective,
        State::ProspectiveVoted,
        State::ProspectiveLeader,
        State::Candidate,
        State::Leader,
        State::Follower,
        State::FollowerFetched,
        State::Resigned,
        State::ObserverUnattached,
        State::ObserverFollower,
    ];

    /// Who leads the epoch as far as the node knows.
    pub(super) fn leader(self) -> Option<NodeId> {
        match self {
            State::UnattachedLeader => Some(STRANGER),
            State::ProspectiveLeader
            | State::Follower
            | State::FollowerFetched
            | State::ObserverFollower => Some(1),
            State::Leader | State::Resigned => Some(0),
            _ => None,
        }
    }

    pub(super) fn role(self) -> RoleName {
        match self {
            State::Unattached
            | State::UnattachedVoted
            | State::UnattachedLeader
            | State::ObserverUnattached => RoleName::Unattached,
            State::Prospective | State::ProspectiveVoted | State::ProspectiveLeader => {
                RoleName::Prospective
            }
            State::Candidate => RoleName::Candidate,
            State::Leader => RoleName::Leader,
            State::Follower | State::FollowerFetched | State::ObserverFollower => {
                RoleName::Follower
            }
            State::Resigned => RoleName::Resigned,
        }
    }

    /// A node in the state, with nothing left to say.
    pub(super) fn reach(self) -> Harness {
        self.reach_with(&[0, 1, 2])
    }

    pub(super) fn reach_with(self, voters: &[NodeId]) -> Harness {
        self.reach_asking(voters).0
    }

    /// A node in the state, and the requests that it sent in it.
    pub(super) fn reach_asking(self, voters: &[NodeId]) -> (Harness, Vec<Call>) {
        let id = match self {
            State::ObserverUnattached | State::ObserverFollower => 7,
            _ => 0,
        };
        let (epoch, leader, voted) = match self {
            State::Unattached | State::Prospective | State::ObserverUnattached => {
                (EPOCH, None, None)
            }
            State::UnattachedVoted | State::ProspectiveVoted => (EPOCH, None, Some(key(1))),
            State::UnattachedLeader => (EPOCH, Some(STRANGER), None),
            State::Candidate => (EPOCH, None, Some(key(0))),
            State::Leader => (EPOCH - 1, None, None),
            State::Resigned => (EPOCH, Some(0), None),
            _ => (EPOCH, Some(1), None),
        };
        let mut h = Harness::with(config(id, voters), stored(epoch, leader, voted));
        let mut outputs = h.settle();
        match self {
            State::Prospective | State::ProspectiveVoted => outputs = h.pass_election_timer(),
            State::ProspectiveLeader => {
                h.now = h.now.plus(h.node.config().fetch_timeout_ms);
                h.node.handle_timeout(h.now);
                outputs = h.settle();
            }
            State::Leader if h.node.role() != RoleName::Leader => outputs = h.elect_asking(),
            State::FollowerFetched => {
                let (call, _, _) = calls(&outputs).remove(0);
                outputs = h.answer(call, fetch_response(EPOCH, Some(1), ErrorCode::NONE));
            }
            _ => {}
        }
        assert_eq!(h.node.role(), self.role(), "{self:?}");
        assert_eq!(h.node.epoch(), EPOCH, "{self:?}");
        assert_eq!(h.node.leader(), self.leader(), "{self:?}");
        (h, calls(&outputs))
    }
}

/// A disk with an election state, and a log of epochs 1 and 3.
pub(super) fn stored(epoch: Epoch, leader: Option<NodeId>, voted: Option<ReplicaKey>) -> Recovered {
    let start = |(epoch, offset)| EpochStart { epoch, offset };
    Recovered {
        quorum_state: Some(QuorumState {
            epoch,
            leader,
            voted,
        }),
        log_end: END,
        epochs: vec![start((1, 0)), start((LAST_EPOCH, 5))],
        ..Recovered::default()
    }
}

impl crate::node::Node {
    /// When its own timer ends its state, whatever else it waits for.
    pub(super) fn election_timer(&self) -> Instant {
        match &self.role {
            Role::Unattached { election_at } => *election_at,
            Role::Prospective(election) | Role::Candidate(election) => election.ends_at,
            Role::Resigned(resigned) => resigned.ends_at,
            Role::Follower(follower) => follower.fetch_until,
            Role::Leader(_) => Instant::NEVER,
        }
    }
}

impl Harness {
    /// Wins the elections that its timers start; what it asks for as the leader.
    pub(super) fn elect_asking(&mut self) -> Vec<Output> {
        let mut outputs = self.pass_election_timer();
        let mut open = calls(&outputs);
        while self.node.role() != RoleName::Leader {
            let (call, _, request) = open.pop().expect("it asks for enough votes");
            assert!(matches!(request, Request::Vote(_)));
            outputs = self.answer(call, vote_response(self.node.epoch(), None, true));
            if !calls(&outputs).is_empty() {
                open = calls(&outputs);
            }
        }
        outputs
    }

    /// Lets time pass until its own timer changes its role, whatever requests expire before; what
    /// it asks for then.
    pub(super) fn pass_election_timer(&mut self) -> Vec<Output> {
        let before = (self.node.role(), self.node.epoch());
        for _ in 0..1_000 {
            let outputs = self.time_out();
            if (self.node.role(), self.node.epoch()) != before {
                return outputs;
            }
        }
        panic!("it stays {before:?}");
    }

    /// Lets so much time pass, with everything that is due on the way.
    pub(super) fn pass(&mut self, ms: u64) -> Vec<Output> {
        let end = self.now.plus(ms);
        let mut outputs = Vec::new();
        while self.node.poll_timeout() <= end {
            let before = self.node.poll_timeout();
            outputs.extend(self.time_out());
            assert!(self.node.poll_timeout() > before, "it wakes for nothing");
        }
        self.now = end;
        self.node.handle_timeout(end);
        outputs.extend(self.settle());
        outputs
    }

    /// Its state in one line: role, epoch, leader, vote.
    pub(super) fn state(&self) -> (RoleName, Epoch, Option<NodeId>, Option<NodeId>) {
        let node = &self.node;
        let voted = node.voted().map(|voted| voted.id);
        (node.role(), node.epoch(), node.leader(), voted)
    }
}

/// Where a node listens, with a second listener.
pub(super) fn two_endpoints(id: NodeId) -> Endpoints {
    let own = endpoints(id);
    let more = ("EXTERNAL", Address::new("localhost", 1_000));
    own.iter()
        .map(|(name, address)| (name, address.clone()))
        .chain([more])
        .collect()
}

/// A vote request of a node whose log is as long as node 0's before anything happens.
pub(super) fn vote(from: NodeId, epoch: Epoch, pre_vote: bool) -> VoteRequest<'static> {
    vote_with(from, epoch, pre_vote, |_, ask| {
        ask.last_offset = END;
        ask.last_offset_epoch = LAST_EPOCH;
    })
}

pub(super) fn vote_with(
    from: NodeId,
    epoch: Epoch,
    pre_vote: bool,
    change: impl Fn(&mut NodeId, &mut vote_request::PartitionData),
) -> VoteRequest<'static> {
    let mut request = super::harness::vote_request(from, epoch, pre_vote);
    let ask = &mut request.topics[0].partitions[0];
    ask.last_offset = END;
    ask.last_offset_epoch = LAST_EPOCH;
    change(&mut request.voter_id, ask);
    request
}

/// What a vote was answered: the error, the leader, the epoch, whether it was granted.
pub(super) fn voted(response: &Response) -> (ErrorCode, NodeId, Epoch, bool) {
    let Response::Vote(response) = response else {
        panic!("not a vote: {response:?}");
    };
    let answer = &response.topics[0].partitions[0];
    (
        ErrorCode(answer.error_code),
        answer.leader_id,
        answer.leader_epoch,
        answer.vote_granted,
    )
}

/// The error, leader and epoch of an answer to BeginQuorumEpoch or EndQuorumEpoch.
pub(super) fn heard(response: &Response) -> (ErrorCode, NodeId, Epoch) {
    let (error, leader, epoch) = match response {
        Response::BeginQuorumEpoch(r) => {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.leader_id, p.leader_epoch)
        }
        Response::EndQuorumEpoch(r) => {
            let p = &r.topics[0].partitions[0];
            (p.error_code, p.leader_id, p.leader_epoch)
        }
        _ => panic!("neither: {response:?}"),
    };
    (ErrorCode(error), leader, epoch)
}

/// The error of a whole response, and whether it has topics.
pub(super) fn refusal(response: &Response) -> (ErrorCode, bool) {
    let (error, has_topics) = match response {
        Response::Vote(r) => (r.error_code, !r.topics.is_empty()),
        Response::BeginQuorumEpoch(r) => (r.error_code, !r.topics.is_empty()),
        Response::EndQuorumEpoch(r) => (r.error_code, !r.topics.is_empty()),
        Response::Fetch(r) => (r.error_code, !r.responses.is_empty()),
        _ => panic!("not of an election: {response:?}"),
    };
    (ErrorCode(error), has_topics)
}

pub(super) fn begin(leader: NodeId, epoch: Epoch) -> BeginQuorumEpochRequest<'static> {
    begin_at(leader, epoch, &Endpoints::EMPTY)
}

pub(super) fn begin_at(
    leader: NodeId,
    epoch: Epoch,
    endpoints: &Endpoints,
) -> BeginQuorumEpochRequest<'static> {
    let endpoint = |(name, address): (&str, &Address)| begin_quorum_epoch_request::LeaderEndpoint {
        name: name.to_owned().into(),
        host: address.host.clone().into(),
        port: address.port,
        ..Default::default()
    };
    BeginQuorumEpochRequest {
        cluster_id: Some("cluster".into()),
        voter_id: -1,
        topics: vec![begin_quorum_epoch_request::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![begin_quorum_epoch_request::PartitionData {
                leader_id: leader,
                leader_epoch: epoch,
                ..Default::default()
            }],
            ..Default::default()
        }],
        leader_endpoints: endpoints.iter().map(endpoint).collect(),
        ..Default::default()
    }
}

/// The end of a leader's epoch. Versions from 1 on name the successors with their directories.
pub(super) fn end(
    version: i16,
    leader: NodeId,
    epoch: Epoch,
    successors: &[NodeId],
) -> EndQuorumEpochRequest<'static> {
    let candidate = |&id: &NodeId| end_quorum_epoch_request::ReplicaInfo {
        candidate_id: id,
        candidate_directory_id: directory(id),
        ..Default::default()
    };
    let mut partition = end_quorum_epoch_request::PartitionData {
        leader_id: leader,
        leader_epoch: epoch,
        ..Default::default()
    };
    if version == 0 {
        partition.preferred_successors = successors.to_vec().into();
    } else {
        partition.preferred_candidates = successors.iter().map(candidate).collect();
    }
    EndQuorumEpochRequest {
        cluster_id: Some("cluster".into()),
        topics: vec![end_quorum_epoch_request::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn begun(
    epoch: Epoch,
    leader: Option<NodeId>,
    error: ErrorCode,
) -> BeginQuorumEpochResponse<'static> {
    BeginQuorumEpochResponse {
        topics: vec![begin_quorum_epoch_response::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![begin_quorum_epoch_response::PartitionData {
                error_code: error.0,
                leader_id: leader.unwrap_or(-1),
                leader_epoch: epoch,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn ended(
    epoch: Epoch,
    leader: Option<NodeId>,
    error: ErrorCode,
) -> EndQuorumEpochResponse<'static> {
    EndQuorumEpochResponse {
        topics: vec![end_quorum_epoch_response::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![end_quorum_epoch_response::PartitionData {
                error_code: error.0,
                leader_id: leader.unwrap_or(-1),
                leader_epoch: epoch,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A refused vote, or one with an error.
pub(super) fn vote_refused(
    epoch: Epoch,
    leader: Option<NodeId>,
    error: ErrorCode,
) -> kwire_protocol::messages::VoteResponse<'static> {
    let mut response = vote_response(epoch, leader, false);
    response.topics[0].partitions[0].error_code = error.0;
    response
}

/// An answer to a Fetch, without records.
pub(super) fn fetch_response(
    epoch: Epoch,
    leader: Option<NodeId>,
    error: ErrorCode,
) -> FetchResponse<'static> {
    FetchResponse {
        responses: vec![fetch_response::FetchableTopicResponse {
            topic: "__cluster_metadata".into(),
            topic_id: Uuid::METADATA_TOPIC_ID,
            partitions: vec![fetch_response::PartitionData {
                error_code: error.0,
                high_watermark: -1,
                current_leader: fetch_response::LeaderIdAndEpoch {
                    leader_id: leader.unwrap_or(-1),
                    leader_epoch: epoch,
                    ..Default::default()
                },
                records: Some(Default::default()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A replica's fetch, at version 17.
pub(super) fn fetch(
    replica: ReplicaKey,
    epoch: Epoch,
    offset: Offset,
    last_epoch: Epoch,
    max_wait_ms: i32,
) -> Request {
    Request::Fetch(FetchRequest {
        cluster_id: Some("cluster".into()),
        replica_state: fetch_request::ReplicaState {
            replica_id: replica.id,
            ..Default::default()
        },
        max_wait_ms,
        max_bytes: 1 << 20,
        topics: vec![fetch_request::FetchTopic {
            topic_id: Uuid::METADATA_TOPIC_ID,
            partitions: vec![fetch_request::FetchPartition {
                current_leader_epoch: epoch,
                fetch_offset: offset,
                last_fetched_epoch: last_epoch,
                replica_directory_id: replica.wire_directory_id(),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    })
}

/// The error of a Fetch's partition.
pub(super) fn fetch_error(response: &Response) -> ErrorCode {
    let Response::Fetch(response) = response else {
        panic!("not a fetch: {response:?}");
    };
    ErrorCode(response.responses[0].partitions[0].error_code)
}

/// The election states among the outputs that were saved.
pub(super) fn saves(outputs: &[Output]) -> Vec<(Epoch, Option<NodeId>, Option<NodeId>)> {
    let save = |op: DiskOp| match op {
        DiskOp::SaveQuorumState { state, .. } => {
            Some((state.epoch, state.leader, state.voted.map(|v| v.id)))
        }
        _ => None,
    };
    disk_ops(outputs).into_iter().filter_map(save).collect()
}

/// Whether somebody was noticed to say what no correct node says.
pub(super) fn is_blamed(outputs: &[Output]) -> bool {
    let blames = |event: &Event| matches!(event, Event::PeerMisbehaved { .. });
    events(outputs).iter().any(blames)
}

/// Which peers are asked, by what.
pub(super) fn asked(outputs: &[Output]) -> Vec<(NodeId, &'static str)> {
    let name = |request: &Request| match request {
        Request::Vote(vote) if vote.topics[0].partitions[0].pre_vote => "pre-vote",
        Request::Vote(_) => "vote",
        Request::BeginQuorumEpoch(_) => "begin",
        Request::EndQuorumEpoch(_) => "end",
        Request::Fetch(_) => "fetch",
        _ => "other",
    };
    let all = calls(outputs).into_iter();
    all.map(|(_, to, request)| (to, name(&request))).collect()
}
