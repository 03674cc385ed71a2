//! What a node is told before it starts.

use crate::types::{NodeId, ReplicaKey, Topic, Uuid};
use crate::voters::{Address, Endpoints, VoterSet};

/// The settings of a node. The defaults of the timers and sizes are those of Kafka 4.3, whose
/// property is named with each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The node's id (`node.id`); an observer may have none.
    pub id: Option<NodeId>,
    /// The id of the directory that its log is in (`directory.id` of `meta.properties`).
    pub directory_id: Uuid,
    /// The cluster's id. Requests that name another are refused.
    pub cluster_id: String,
    /// The topic that is replicated.
    pub topic: Topic,
    /// The voters of a quorum without voters in its log (`controller.quorum.voters`).
    pub static_voters: VoterSet,
    /// Where to ask for the leader while none is known (`controller.quorum.bootstrap.servers`).
    /// If there is none, the voters are asked.
    pub bootstrap_servers: Vec<Address>,
    /// The listener by which nodes reach one another: the first of `controller.listener.names`.
    pub listener: String,
    /// Whether a voter asks for pre-votes as soon as its leader's address refuses connections,
    /// instead of when `fetch_timeout_ms` have passed. Kafka has nothing like it.
    pub stands_when_refused: bool,
    /// Where this node listens.
    pub endpoints: Endpoints,
    /// `controller.quorum.election.timeout.ms`
    pub election_timeout_ms: u64,
    /// `controller.quorum.fetch.timeout.ms`
    pub fetch_timeout_ms: u64,
    /// `controller.quorum.election.backoff.max.ms`
    pub election_backoff_max_ms: u64,
    /// `controller.quorum.request.timeout.ms`
    pub request_timeout_ms: u64,
    /// `controller.quorum.retry.backoff.ms`
    pub retry_backoff_ms: u64,
    /// `controller.quorum.append.linger.ms`: the longest that records wait for others while a
    /// flush is under way. Without one they do not wait.
    pub append_linger_ms: u64,
    /// How long a Fetch may wait at the leader for records.
    pub fetch_max_wait_ms: u64,
    /// `controller.quorum.fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub fetch_snapshot_max_bytes: i32,
    /// The most bytes of a batch that the leader makes of records.
    pub max_batch_bytes: usize,
    /// The most bytes of records that wait for the log. More are refused.
    pub max_pending_bytes: usize,
    /// `controller.quorum.auto.join.enable` (KIP-1186)
    pub auto_join: bool,
    /// Whether the node may become a voter: it runs the controller role.
    pub can_become_voter: bool,
    /// The time of day at `Instant(0)`, in milliseconds since 1970: for the timestamps that others
    /// see.
    pub epoch_millis: i64,
    /// What jitter is drawn from. Nodes of a quorum need different ones.
    pub seed: u64,
}

impl Config {
    /// A voter or observer with Kafka's defaults, and no quorum yet.
    #[must_use]
    pub fn new(id: Option<NodeId>, directory_id: Uuid) -> Config {
        Config {
            id,
            directory_id,
            cluster_id: String::new(),
            topic: Topic::cluster_metadata(),
            static_voters: VoterSet::EMPTY,
            bootstrap_servers: Vec::new(),
            listener: "CONTROLLER".to_owned(),
            stands_when_refused: true,
            endpoints: Endpoints::EMPTY,
            election_timeout_ms: 1_000,
            fetch_timeout_ms: 2_000,
            election_backoff_max_ms: 1_000,
            request_timeout_ms: 2_000,
            retry_backoff_ms: 20,
            append_linger_ms: 25,
            fetch_max_wait_ms: 500,
            fetch_max_bytes: 1 << 20,
            fetch_snapshot_max_bytes: 1 << 20,
            max_batch_bytes: 8 << 20,
            max_pending_bytes: 64 << 20,
            auto_join: false,
            can_become_voter: id.is_some(),
            epoch_millis: 0,
            seed: 0,
        }
    }

    /// This node as a replica, if it has an id.
    #[must_use]
    pub fn key(&self) -> Option<ReplicaKey> {
        Some(ReplicaKey::new(self.id?, self.directory_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_kafka() {
        let config = Config::new(Some(3), Uuid::ZERO);
        assert_eq!(config.election_timeout_ms, 1_000);
        assert_eq!(config.fetch_timeout_ms, 2_000);
        assert_eq!(config.election_backoff_max_ms, 1_000);
        assert_eq!(config.append_linger_ms, 25);
        assert_eq!(config.request_timeout_ms, 2_000);
        assert_eq!(config.retry_backoff_ms, 20);
        assert_eq!(config.fetch_max_wait_ms, 500);
        assert_eq!(config.fetch_max_bytes, 1_048_576);
        assert_eq!(config.fetch_snapshot_max_bytes, 1_048_576);
        assert_eq!(config.max_batch_bytes, 8 * 1_048_576);
        assert!(!config.auto_join);
        assert!(config.static_voters.is_empty() && config.bootstrap_servers.is_empty());
        assert!(!Config::new(None, Uuid::ZERO).can_become_voter);
    }
}
