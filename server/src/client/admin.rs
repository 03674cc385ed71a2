//! How a quorum is doing, and changes of its voters (KIP-595, KIP-853).

use kwire_protocol::messages::{
    AddRaftVoterRequest, DescribeClusterRequest, DescribeQuorumRequest, DescribeQuorumResponse,
    RemoveRaftVoterRequest, add_raft_voter_request, describe_quorum_request,
    describe_quorum_response,
};
use kwire_protocol::{ApiKey, Request};
use kwire_raft::types::{Epoch, NodeId, Offset, ReplicaKey};
use kwire_raft::voters::{Address, Endpoints};

use super::{ClientError, Nodes, QuorumClient, is_elsewhere, malformed, refusal};

/// How a quorum is doing, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The leader.
    pub leader_id: NodeId,
    /// Its epoch.
    pub leader_epoch: Epoch,
    /// Up to where the log is committed, -1 if that is not known yet.
    pub high_watermark: Offset,
    /// The voters in the order of their ids.
    pub voters: Vec<Replica>,
    /// The observers in the order of their ids.
    pub observers: Vec<Replica>,
}

/// How a replica is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Who it is.
    pub key: ReplicaKey,
    /// Where its log ends, -1 if that is not known.
    pub log_end_offset: Offset,
    /// When it last fetched, in milliseconds since 1970.
    pub last_fetch_ms: Option<i64>,
    /// When it last had all that the leader had.
    pub last_caught_up_ms: Option<i64>,
    /// Where it listens, if the leader says so. It does of voters.
    pub endpoints: Endpoints,
}

impl QuorumClient {
    /// Asks the leader how its replicas are doing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn describe(&mut self) -> Result<QuorumState, ClientError> {
        self.runtime.block_on(self.nodes.describe())
    }

    /// The id of the cluster, if the leader tells: Kafka's controllers do.
    pub fn cluster_id(&mut self) -> Option<String> {
        self.runtime.block_on(self.nodes.cluster_id())
    }

    /// Makes an observer a voter, and waits until that is committed. The leader refuses to if its
    /// cluster is another than the one that is named.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn add_voter(
        &mut self,
        key: ReplicaKey,
        endpoints: &Endpoints,
        cluster_id: Option<&str>,
    ) -> Result<(), ClientError> {
        let listener = |(name, address): (&str, &Address)| add_raft_voter_request::Listener {
            name: name.to_owned().into(),
            host: address.host.clone().into(),
            port: address.port,
            ..Default::default()
        };
        // Earlier than this end gives up: the leader says what it waited for.
        let timeout_ms = (self.nodes.timeout * 3 / 4).as_millis();
        let request = AddRaftVoterRequest {
            cluster_id: cluster_id.map(|id| id.to_owned().into()),
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            voter_id: key.id,
            voter_directory_id: key.wire_directory_id(),
            listeners: endpoints.iter().map(listener).collect(),
            ..Default::default()
        };
        let asking = self
            .nodes
            .ask_leader(&request, |answer| is_elsewhere(answer.error_code));
        let answer = self.runtime.block_on(asking)?;
        let message = answer.error_message;
        refusal(ApiKey::ADD_RAFT_VOTER, answer.error_code, message)
    }

    /// Makes a voter an observer, and waits until that is committed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn remove_voter(&mut self, key: ReplicaKey) -> Result<(), ClientError> {
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: key.id,
            voter_directory_id: key.wire_directory_id(),
            ..Default::default()
        };
        let asking = self
            .nodes
            .ask_leader(&request, |answer| is_elsewhere(answer.error_code));
        let answer = self.runtime.block_on(asking)?;
        let message = answer.error_message;
        refusal(ApiKey::REMOVE_RAFT_VOTER, answer.error_code, message)
    }
}

impl Nodes {
    async fn describe(&mut self) -> Result<QuorumState, ClientError> {
        let request = DescribeQuorumRequest {
            topics: vec![describe_quorum_request::TopicData {
                topic_name: self.topic.name.clone().into(),
                partitions: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = self.ask_leader(&request, describes_elsewhere).await?;
        let api_key = DescribeQuorumRequest::API_KEY;
        refusal(api_key, answer.error_code, answer.error_message.as_ref())?;
        let topic = answer.topics.first();
        let partition = topic.and_then(|topic| topic.partitions.first());
        let partition =
            partition.ok_or_else(|| malformed::<DescribeQuorumRequest>("it has no partition"))?;
        let message = partition.error_message.as_ref();
        refusal(api_key, partition.error_code, message)?;
        Ok(QuorumState {
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            voters: replicas(&partition.current_voters, &answer.nodes),
            observers: replicas(&partition.observers, &[]),
        })
    }

    async fn cluster_id(&mut self) -> Option<String> {
        let (address, connection) = self.open.as_ref()?;
        connection
            .versions()
            .version(ApiKey::DESCRIBE_CLUSTER)
            .ok()?;
        let address = address.clone();
        // Of controllers first, then of brokers: a node answers about its own kind only.
        for endpoint_type in [2, 1] {
            let request = DescribeClusterRequest {
                endpoint_type,
                ..Default::default()
            };
            let asking = self.ask(&address, &request);
            let answer = tokio::time::timeout(super::CONNECTING, asking).await;
            match answer {
                Ok(Ok(answer)) if answer.error_code == 0 => {
                    return Some(answer.cluster_id.into_owned());
                }
                _ => {}
            }
        }
        None
    }
}

fn describes_elsewhere(answer: &DescribeQuorumResponse<'static>) -> bool {
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    is_elsewhere(answer.error_code)
        || partitions.any(|partition| is_elsewhere(partition.error_code))
}

fn replicas(
    states: &[describe_quorum_response::ReplicaState],
    nodes: &[describe_quorum_response::Node<'static>],
) -> Vec<Replica> {
    let time = |ms: i64| (ms >= 0).then_some(ms);
    let replica = |state: &describe_quorum_response::ReplicaState| Replica {
        key: ReplicaKey::new(state.replica_id, state.replica_directory_id),
        log_end_offset: state.log_end_offset,
        last_fetch_ms: time(state.last_fetch_timestamp),
        last_caught_up_ms: time(state.last_caught_up_timestamp),
        endpoints: endpoints(state.replica_id, nodes),
    };
    let mut replicas: Vec<Replica> = states.iter().map(replica).collect();
    replicas.sort_by_key(|replica| replica.key);
    replicas
}

fn endpoints(id: NodeId, nodes: &[describe_quorum_response::Node<'static>]) -> Endpoints {
    let listeners = nodes.iter().filter(|node| node.node_id == id);
    let listeners = listeners.flat_map(|node| &node.listeners);
    listeners
        .map(|l| (&*l.name, Address::new(l.host.clone(), l.port)))
        .collect()
}
