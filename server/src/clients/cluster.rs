//! What the node knows of the quorum, as clients hear of it.

use std::io;
use std::net::SocketAddr;

use kwire_protocol::{ErrorCode, Uuid};
use kwire_raft::node::Node;
use kwire_raft::types::{Epoch, NodeId, Topic};
use kwire_raft::voters::Address;

use super::{Caller, Clients};

/// The quorum at a moment.
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) topic: Topic,
    pub(super) epoch: Epoch,
    pub(super) leader: Option<NodeId>,
    /// The voters, which are the brokers.
    pub(super) brokers: Vec<Broker>,
}

/// A voter, and where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) id: NodeId,
    pub(super) host: String,
    pub(super) port: i32,
}

impl Cluster {
    fn of(node: &Node, listener: &str, local: SocketAddr) -> Cluster {
        let config = node.config();
        let broker = |id: NodeId, address: Option<&Address>| {
            let is_own = config.id == Some(id);
            let (host, port) = match address {
                // A port that the system chose is known to the socket alone.
                Some(address) if is_own && address.port == 0 => {
                    (address.host.clone(), local.port())
                }
                Some(address) => (address.host.clone(), address.port),
                None if is_own => (local.ip().to_string(), local.port()),
                None => return None,
            };
            Some(Broker {
                id,
                host,
                port: port.into(),
            })
        };
        let brokers = node.voters().iter().filter_map(|voter| {
            let endpoints = &voter.endpoints;
            let same = endpoints.get(listener);
            broker(
                voter.key.id,
                same.or_else(|| endpoints.get(&config.listener)),
            )
        });
        Cluster {
            id: config.cluster_id.clone(),
            topic: config.topic.clone(),
            epoch: node.epoch(),
            leader: node.leader(),
            brokers: brokers.collect(),
        }
    }

    /// The leader as a broker, if both are known.
    pub(super) fn leader(&self) -> Option<&Broker> {
        let leader = self.leader?;
        self.brokers.iter().find(|broker| broker.id == leader)
    }

    /// What is wrong with the partition if nobody can be named who leads it.
    pub(super) fn leader_error(&self) -> ErrorCode {
        match self.leader() {
            Some(_) => ErrorCode::NONE,
            None => ErrorCode::LEADER_NOT_AVAILABLE,
        }
    }

    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.brokers.iter().map(|broker| broker.id).collect()
    }

    /// Whether a request means the topic: versions with ids leave the name empty.
    pub(super) fn is_topic(&self, by_id: bool, name: &str, id: Uuid) -> bool {
        is_topic(&self.topic, by_id, name, id)
    }
}

/// Whether a request means the topic: by its id, or by its name.
pub(super) fn is_topic(topic: &Topic, by_id: bool, name: &str, id: Uuid) -> bool {
    if by_id {
        topic.id == id
    } else {
        topic.name == name
    }
}

impl Clients {
    pub(super) async fn cluster(&self, caller: Caller) -> io::Result<Cluster> {
        let listener = self.listener.clone();
        let view = self
            .node
            .ask(move |driver| Cluster::of(driver.node(), &listener, caller.local));
        view.await.map_err(io::Error::other)
    }
}
