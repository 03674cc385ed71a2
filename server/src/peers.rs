//! Requests to other nodes.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kwire_protocol::messages::DescribeClusterRequest;
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::{ApiKey, ErrorCode};
use kwire_raft::message::{Request, Response, supported_versions};
use kwire_raft::node::{CallError, CallId, Destination};
use kwire_raft::types::NodeId;
use kwire_raft::voters::{Address, VoterSet};
use tokio::runtime;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use crate::connection::{Connection, ConnectionError, Options};
use crate::runner::Handle;

/// Sends a node's requests, each on a connection of its own while it lasts. A connection that is
/// free is used again.
///
/// A node has one request under way for each other node, unless it gave an earlier one up: that one
/// may still be waiting at the other end, so that a new one must not queue behind it.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

/// The nodes that are Kafka's own, as far as is known: this one has asked them for something, as
/// whoever stands for election asks all voters, or they have fetched from it. Cheap to clone.
#[derive(Clone, Default)]
pub struct KafkasNodes(Arc<Mutex<BTreeSet<NodeId>>>);

impl KafkasNodes {
    /// Takes note of what a node is.
    pub fn note(&self, id: NodeId, is_kafkas: bool) {
        // Of a bootstrap server or an observer without an id nobody knows which voter it is.
        if id < 0 {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_kafkas {
            known.insert(id);
        } else {
            known.remove(&id);
        }
    }

    /// Whether one of some voters is among them.
    #[must_use]
    pub fn are_among(&self, voters: &VoterSet) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        voters.ids().any(|id| known.contains(&id))
    }
}

struct Shared {
    runtime: runtime::Handle,
    node: Handle,
    options: Options,
    patience: Duration,
    kafkas: KafkasNodes,
    cluster_id: String,
    /// When it was last said that another node is of another cluster.
    told_at: Mutex<Option<Instant>>,
    /// Connections that nobody uses now. At most two for each address stay.
    free: Mutex<HashMap<Address, Vec<Connection>>>,
}

const FREE_PER_ADDRESS: usize = 2;
/// How often it is said that another node is of another cluster.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// How long that node may take to say of which.
const ASKING: Duration = Duration::from_secs(1);

impl Peers {
    /// `patience` is how long a request may take, connecting included; the node gives up then.
    #[must_use]
    pub fn new(
        runtime: runtime::Handle,
        node: Handle,
        client_id: String,
        patience: Duration,
        max_frame_len: usize,
        kafkas: KafkasNodes,
        cluster_id: String,
    ) -> Peers {
        Peers {
            shared: Arc::new(Shared {
                runtime,
                node,
                options: Options {
                    client_id,
                    max_frame_len,
                    versions: versions(),
                },
                patience,
                kafkas,
                cluster_id,
                told_at: Mutex::default(),
                free: Mutex::default(),
            }),
        }
    }

    /// Sends a request, and gives the node its outcome.
    pub fn send(&self, call: CallId, to: Destination, request: Request) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let outcome = timeout(shared.patience, shared.call(&to, &request)).await;
            let answer = match outcome {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(failure)) => {
                    debug!(peer = to.id, address = %to.address, "{failure}");
                    Err(failure.into())
                }
                Err(_) => {
                    debug!(peer = to.id, address = %to.address, "no answer in time");
                    Err(CallError::Disconnected)
                }
            };
            // The node may have stopped.
            let _ = shared.node.answer(call, answer);
        });
    }
}

impl Shared {
    async fn call(&self, to: &Destination, request: &Request) -> Result<Response, ConnectionError> {
        let address = &to.address;
        let mut connection = match self.take_free(address) {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(address, &self.options).await?;
                self.kafkas.note(to.id, connection.is_kafkas());
                connection
            }
        };
        let answer = connection.call_raft(request).await;
        if let Ok(response) = &answer
            && response.error_code() == ErrorCode::INCONSISTENT_CLUSTER_ID.0
        {
            self.tell_of_cluster(to, &mut connection).await;
        }
        // After an error nobody knows what comes next on the connection.
        if !matches!(
            answer,
            Err(ConnectionError::Io(_) | ConnectionError::Malformed(_))
        ) {
            self.put_free(address, connection);
        }
        answer
    }

    /// Says which cluster a node is of that refused a request because of this node's.
    async fn tell_of_cluster(&self, to: &Destination, connection: &mut Connection) {
        let now = Instant::now();
        {
            let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
            if told_at.is_some_and(|at| now.duration_since(at) < TELL_AGAIN) {
                return;
            }
            *told_at = Some(now);
        }
        let theirs = match timeout(ASKING, cluster_id(connection)).await {
            Ok(Some(id)) => format!("{id}'s"),
            _ => "another one's".to_owned(),
        };
        warn!(
            address = %to.address,
            "this node's cluster id is {}, and the node that it asks is {theirs}: one of them has \
             the wrong cluster.id in its meta.properties",
            self.cluster_id
        );
    }

    fn take_free(&self, address: &Address) -> Option<Connection> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = free.get_mut(address)?;
        while let Some(connection) = connections.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn put_free(&self, address: &Address, connection: Connection) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = free.entry(address.clone()).or_default();
        if connections.len() < FREE_PER_ADDRESS {
            connections.push(connection);
        }
    }
}

/// The id of the cluster that a node is of, if it says so.
async fn cluster_id(connection: &mut Connection) -> Option<String> {
    // Of controllers first, then of brokers: one of Kafka's nodes answers about its own kind only.
    for endpoint_type in [2, 1] {
        let request = DescribeClusterRequest {
            endpoint_type,
            ..Default::default()
        };
        match connection.call(&request).await {
            Ok(answer) if answer.error_code == 0 => return Some(answer.cluster_id.into_owned()),
            _ => {}
        }
    }
    None
}

/// What a node asks others.
fn versions() -> SupportedVersions {
    let raft = supported_versions();
    let fetch = raft.get(ApiKey::FETCH);
    let all = SupportedVersions::stable()
        .retain(|api_key| api_key == ApiKey::DESCRIBE_CLUSTER || raft.get(api_key).is_some());
    fetch.map_or_else(
        || all.clone(),
        |fetch| all.clone().narrow(ApiKey::FETCH, fetch),
    )
}

impl From<ConnectionError> for CallError {
    fn from(error: ConnectionError) -> CallError {
        match error {
            ConnectionError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                CallError::Refused
            }
            ConnectionError::Io(_) => CallError::Disconnected,
            ConnectionError::Malformed(_) => CallError::Malformed,
            ConnectionError::Versions(_) => CallError::UnsupportedVersion,
        }
    }
}
