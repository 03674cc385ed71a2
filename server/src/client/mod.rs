//! Asks a quorum from outside: how it is doing, for changes of its voters, for what is in its log,
//! and to write to it.
//!
//! It is enough to know some of its nodes. One that does not lead says who does, in the answer to a
//! Fetch (KIP-853); brokers pass on what is for the leader.

mod admin;
mod log;
mod produce;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use kwire_protocol::frame::DEFAULT_MAX_LEN;
use kwire_protocol::messages::{FetchRequest, FetchResponse, fetch_request};
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::schema::VersionRange;
use kwire_protocol::{ApiKey, ErrorCode, Request};
use kwire_raft::types::{Epoch, Topic};
use kwire_raft::voters::Address;
use tokio::runtime::{self, Runtime};
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use self::admin::{QuorumState, Replica};
pub use self::log::{Fetched, SnapshotStream};
pub use self::produce::ProducerId;
use crate::connection::{Connection, ConnectionError, Options};

/// The time for connecting to a node and agreeing on versions.
const CONNECTING: Duration = Duration::from_secs(3);

/// The pause before the nodes are asked again when none of them knows a leader.
const PAUSE: Duration = Duration::from_millis(200);

/// Somebody who asks a quorum. Its calls wait for the answers.
pub struct QuorumClient {
    runtime: Runtime,
    nodes: Nodes,
}

/// The nodes that are known, and the connection to one of them.
struct Nodes {
    options: Options,
    topic: Topic,
    bootstrap: Vec<Address>,
    timeout: Duration,
    leader: Option<Address>,
    leader_epoch: Epoch,
    open: Option<(Address, Connection)>,
    /// Why each of those that were asked last did not answer.
    failures: Vec<(Address, String)>,
}

/// Why a quorum gave no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The system has no threads or sockets.
    Io(io::Error),
    /// No node that is known answered, or none of them knows a leader.
    NoLeader {
        /// Each that was asked, and why it gave no answer.
        nodes: Vec<(Address, String)>,
    },
    /// The leader refused.
    Refused {
        /// The request.
        api_key: ApiKey,
        /// Its error.
        error: ErrorCode,
        /// What it says of it.
        message: Option<String>,
    },
    /// The leader's answer is not one to what was asked.
    Malformed {
        /// The request.
        api_key: ApiKey,
        /// What is wrong.
        reason: String,
    },
    /// What was read ends in an epoch that the leader does not have.
    Diverged {
        /// Where the leader's epoch at or below that one ends.
        end_offset: i64,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Io(error) => write!(f, "{error}"),
            ClientError::NoLeader { nodes } => {
                write!(f, "no leader of the quorum answered")?;
                for (at, (address, why)) in nodes.iter().enumerate() {
                    let before = if at == 0 { ": " } else { "; " };
                    write!(f, "{before}{address}: {why}")?;
                }
                Ok(())
            }
            ClientError::Refused {
                api_key,
                error,
                message,
            } => {
                write!(f, "the leader refused {}: ", name(*api_key))?;
                match error.name() {
                    Some(name) => write!(f, "{name}")?,
                    None => write!(f, "error {}", error.0)?,
                }
                match message {
                    Some(message) => write!(f, ": {message}"),
                    None => Ok(()),
                }
            }
            ClientError::Malformed { api_key, reason } => {
                write!(f, "the answer to {}: {reason}", name(*api_key))
            }
            ClientError::Diverged { end_offset } => write!(
                f,
                "the leader's log has something else from offset {end_offset} on"
            ),
        }
    }
}

impl std::error::Error for ClientError {}

fn name(api_key: ApiKey) -> String {
    let info = api_key.info();
    info.map_or_else(|| format!("API {}", api_key.0), |info| info.name.to_owned())
}

/// The error of a code, if it is one.
fn refusal(
    api_key: ApiKey,
    code: i16,
    message: Option<impl AsRef<str>>,
) -> Result<(), ClientError> {
    if code == 0 {
        return Ok(());
    }
    let error = ErrorCode(code);
    let message = message.map(|text| text.as_ref().to_owned());
    Err(ClientError::Refused {
        api_key,
        error,
        message: message.filter(|text| !text.is_empty() && Some(text.as_str()) != error.name()),
    })
}

/// An answer that makes no sense.
fn malformed<R: Request>(reason: &str) -> ClientError {
    ClientError::Malformed {
        api_key: R::API_KEY,
        reason: reason.to_owned(),
    }
}

/// Whether another node is to be asked.
fn is_elsewhere(code: i16) -> bool {
    [ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::NOT_CONTROLLER].contains(&ErrorCode(code))
}

impl QuorumClient {
    /// The topic of the quorum's log.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.nodes.topic
    }

    /// Somebody who knows the addresses of some nodes. `timeout` is for each call as a whole.
    ///
    /// # Errors
    /// When the system has no threads or sockets.
    pub fn new(
        bootstrap: Vec<Address>,
        topic: Topic,
        timeout: Duration,
    ) -> Result<QuorumClient, ClientError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        Ok(QuorumClient {
            runtime: runtime.map_err(ClientError::Io)?,
            nodes: Nodes {
                options: Options {
                    client_id: "kwire".to_owned(),
                    max_frame_len: DEFAULT_MAX_LEN,
                    // A Fetch below 12 is no raft node's.
                    versions: SupportedVersions::stable()
                        .narrow(ApiKey::FETCH, VersionRange::new(12, 18)),
                },
                topic,
                bootstrap,
                timeout,
                leader: None,
                leader_epoch: 0,
                open: None,
                failures: Vec::new(),
            },
        })
    }
}

impl Nodes {
    /// Asks the leader, whom it looks for among the nodes that are known. `elsewhere` says of an
    /// answer that it is not the leader's.
    async fn ask_leader<R: Request>(
        &mut self,
        request: &R,
        elsewhere: fn(&R::Response<'static>) -> bool,
    ) -> Result<R::Response<'static>, ClientError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            self.failures.clear();
            let round = timeout_at(deadline, self.ask_all(request, elsewhere)).await;
            match round {
                Ok(Round::Answer(response)) => return Ok(response),
                Ok(Round::NoLeader) if Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
                round => {
                    if round.is_err() {
                        // Its answer would come in place of the next.
                        self.open = None;
                    }
                    if self.failures.is_empty() {
                        let asked = self.leader.as_ref().or(self.bootstrap.first());
                        let asked = asked.cloned().into_iter();
                        let late = asked.map(|address| (address, "no answer in time".to_owned()));
                        self.failures = late.collect();
                    }
                    let nodes = std::mem::take(&mut self.failures);
                    return Err(ClientError::NoLeader { nodes });
                }
            }
        }
    }

    /// Asks one node after the other, first the one that is known to lead.
    async fn ask_all<R: Request>(
        &mut self,
        request: &R,
        elsewhere: fn(&R::Response<'static>) -> bool,
    ) -> Round<R::Response<'static>> {
        let mut next: Vec<Address> = self.bootstrap.iter().rev().cloned().collect();
        next.extend(self.leader.take());
        let mut asked = BTreeSet::new();
        let mut answered = false;
        while let Some(address) = next.pop() {
            if !asked.insert(address.clone()) {
                continue;
            }
            let answer = self.ask(&address, request).await;
            match answer {
                Ok(response) if !elsewhere(&response) => {
                    self.leader = Some(address);
                    return Round::Answer(response);
                }
                Ok(_) => {
                    answered = true;
                    next.extend(self.leader_known_to(&address).await);
                    let why = "it does not lead".to_owned();
                    self.failures.push((address, why));
                }
                Err(error) => self.failures.push((address, error.to_string())),
            }
        }
        if answered {
            Round::NoLeader
        } else {
            Round::Nobody
        }
    }

    /// Whom a node takes for the leader.
    async fn leader_known_to(&mut self, address: &Address) -> Option<Address> {
        let request = self.fetch_request(0, 0, 0, Duration::ZERO);
        let response = self.ask(address, &request).await.ok()?;
        self.learn(&response)
    }

    /// Takes note of the epoch that an answer tells of, and gives the address of its leader.
    fn learn(&mut self, response: &FetchResponse<'static>) -> Option<Address> {
        let partition = response.responses.first()?.partitions.first()?;
        let leader = &partition.current_leader;
        self.leader_epoch = self.leader_epoch.max(leader.leader_epoch);
        let mut endpoints = response.node_endpoints.iter();
        let endpoint = endpoints.find(|node| node.node_id == leader.leader_id)?;
        let port = u16::try_from(endpoint.port).ok()?;
        Some(Address::new(endpoint.host.clone(), port))
    }

    /// Asks one node, over the connection that there is if it is to that node.
    async fn ask<R: Request>(
        &mut self,
        address: &Address,
        request: &R,
    ) -> Result<R::Response<'static>, ConnectionError> {
        let open = self.open.take();
        let free = open.filter(|(to, connection)| to == address && connection.is_open());
        let mut connection = match free {
            Some((_, connection)) => connection,
            None => {
                let opening = Connection::open(address, &self.options);
                let late = || ConnectionError::Io(io::ErrorKind::TimedOut.into());
                timeout(CONNECTING, opening).await.map_err(|_| late())??
            }
        };
        let answer = connection.call(request).await;
        if !matches!(
            answer,
            Err(ConnectionError::Io(_) | ConnectionError::Malformed(_))
        ) {
            self.open = Some((address.clone(), connection));
        }
        answer
    }

    /// A Fetch of an observer that has no id.
    fn fetch_request(
        &self,
        epoch: Epoch,
        offset: i64,
        last_epoch: Epoch,
        wait: Duration,
    ) -> FetchRequest<'static> {
        let partition = fetch_request::FetchPartition {
            current_leader_epoch: epoch,
            fetch_offset: offset,
            last_fetched_epoch: last_epoch,
            ..Default::default()
        };
        FetchRequest {
            cluster_id: None,
            replica_id: -1,
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            max_bytes: 1 << 20,
            topics: vec![fetch_request::FetchTopic {
                topic: self.topic.name.clone().into(),
                topic_id: self.topic.id,
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        }
    }
}

/// What came of asking all nodes that are known.
enum Round<T> {
    /// The leader's answer.
    Answer(T),
    /// Some answered, and none leads.
    NoLeader,
    /// None answered.
    Nobody,
}
