//! Kafka's clients at a node: the topic of the quorum is one that they can write and read.
//!
//! A file for each API, or for a few that belong together. [`Clients::answer`] takes a request and
//! says what becomes of it; requests of raft nodes go to the node as they are. The node alone knows
//! the log: everything else here is what clients say and hear.

mod api_versions;
mod cluster;
mod configs;
mod describe;
mod epochs;
mod fetch;
mod forward;
mod groups;
mod list_offsets;
#[cfg(test)]
mod logs;
mod metadata;
mod produce;
mod producer_ids;
mod raft;
mod refuse;
mod replay;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use kwire_protocol::negotiate::SupportedVersions;
use kwire_protocol::runtime::Read;
use kwire_protocol::schema::VersionRange;
use kwire_protocol::{ApiKey, Limits, Message, frame};
use kwire_raft::message::Request;
use kwire_raft::types::Topic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Settings;
use crate::frame::Frame;
use crate::machine::Machine;
use crate::peers::KafkasNodes;
use crate::runner::Handle;

pub use self::groups::Coordinator;
pub use self::replay::{replay, restore};

/// What a node takes of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most bytes of a batch: `message.max.bytes`.
    pub max_batch_bytes: usize,
    /// How long the first member of a group waits for others, in milliseconds:
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// When records have to be plain: `kwire.produce.plain.records.only`, which Kafka does not have.
    pub plain_records_only: PlainRecordsOnly,
    /// How far behind the clock a record's timestamp may be, in milliseconds:
    /// `log.message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// How far ahead of the clock it may be: `log.message.timestamp.after.max.ms`. Segments end by
    /// the timestamps of records, which are not to come out of the blue.
    pub timestamp_after_max_ms: i64,
}

/// When records with keys or headers, and those without a value, are refused. Kafka's own nodes end
/// themselves when they come to one in the log of a quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainRecordsOnly {
    /// While one of Kafka's own nodes is known to be a voter: `auto`.
    #[default]
    WithKafkasVoters,
    /// `true`
    Always,
    /// `false`
    Never,
}

impl FromStr for PlainRecordsOnly {
    type Err = ();

    fn from_str(text: &str) -> Result<PlainRecordsOnly, ()> {
        match text {
            "auto" => Ok(PlainRecordsOnly::WithKafkasVoters),
            "true" => Ok(PlainRecordsOnly::Always),
            "false" => Ok(PlainRecordsOnly::Never),
            _ => Err(()),
        }
    }
}

impl fmt::Display for PlainRecordsOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlainRecordsOnly::WithKafkasVoters => "auto",
            PlainRecordsOnly::Always => "true",
            PlainRecordsOnly::Never => "false",
        })
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_batch_bytes: (1 << 20) + 12,
            initial_rebalance_delay_ms: 3_000,
            plain_records_only: PlainRecordsOnly::default(),
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
        }
    }
}

/// The APIs that clients are answered, beside those of raft nodes, and the versions of each that
/// mean something here: a Produce below 3 has batches of another magic, a ListOffsets of 0 asks for
/// segments, an OffsetFetch of 0 for what stood in ZooKeeper.
const CLIENT_APIS: [(ApiKey, i16); 20] = [
    (ApiKey::PRODUCE, 3),
    (ApiKey::FETCH, 4),
    (ApiKey::LIST_OFFSETS, 1),
    (ApiKey::METADATA, 0),
    (ApiKey::OFFSET_COMMIT, 1),
    (ApiKey::OFFSET_FETCH, 1),
    (ApiKey::FIND_COORDINATOR, 0),
    (ApiKey::JOIN_GROUP, 0),
    (ApiKey::HEARTBEAT, 0),
    (ApiKey::LEAVE_GROUP, 0),
    (ApiKey::SYNC_GROUP, 0),
    (ApiKey::DESCRIBE_GROUPS, 0),
    (ApiKey::LIST_GROUPS, 0),
    (ApiKey::API_VERSIONS, 0),
    (ApiKey::INIT_PRODUCER_ID, 0),
    (ApiKey::OFFSET_FOR_LEADER_EPOCH, 0),
    (ApiKey::DESCRIBE_CONFIGS, 0),
    (ApiKey::DESCRIBE_CLUSTER, 0),
    (ApiKey::DESCRIBE_TOPIC_PARTITIONS, 0),
    (ApiKey::DELETE_GROUPS, 0),
];

/// All versions that are answered.
fn supported_versions() -> SupportedVersions {
    let is_clients = |api_key| CLIENT_APIS.iter().any(|(client, _)| *client == api_key);
    let all = SupportedVersions::stable()
        .retain(|api_key| is_clients(api_key) || Request::API_KEYS.contains(&api_key));
    CLIENT_APIS.iter().fold(all, |all, (api_key, lowest)| {
        all.narrow(*api_key, VersionRange::from(*lowest))
    })
}

/// What the node's thread and the connections share of the state machine. Only the node's thread
/// locks it for more than a look.
#[derive(Clone, Default)]
pub struct SharedMachine(Arc<Mutex<Machine>>);

impl SharedMachine {
    /// Waits for nobody but the node's thread.
    pub fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all listeners of a node share.
#[derive(Clone)]
pub struct Shared {
    /// What follows from the log.
    pub machine: SharedMachine,
    /// The groups.
    pub coordinator: Coordinator,
    /// The nodes that are Kafka's own.
    pub kafkas: KafkasNodes,
}

/// Answers the requests of clients and of other nodes.
pub struct Clients {
    node: Handle,
    topic: Topic,
    versions: SupportedVersions,
    shared: Shared,
    /// The listener by which the client came: others are named with where they have the same.
    listener: String,
    options: Options,
    /// What tools are told of the node and its topic.
    settings: Settings,
    /// For the bytes of the log that are read for consumers and not written yet.
    room: Arc<Semaphore>,
    /// Turns of batches that are decompressed.
    decompressing: Arc<Semaphore>,
}

/// The most bytes of the log that are held for all consumers together.
const MAX_READ_BYTES: usize = 128 << 20;
/// The most batches that are decompressed at a time.
const MAX_DECOMPRESSING: usize = 2;
/// The most things that a request may name, where an answer about each costs more than its name:
/// there is one of them.
const MAX_NAMED: usize = 1_000;
/// The longest request of a client that brings no records.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// The longest request of a raft node or of a tool for them: it names one partition.
const MAX_RAFT_REQUEST_BYTES: usize = 64 << 10;
/// The longest answer that has no records of the log. A connection holds one that is not read.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Who asks, and at which of our addresses.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// This end of it.
    pub local: SocketAddr,
    /// Whether it is one of Kafka's own programs, if it said what it is.
    pub is_kafkas: Option<bool>,
}

/// What becomes of a request.
pub enum Answer {
    /// Nobody waits for an answer.
    Nothing,
    /// This frame is the answer.
    Frame(Frame),
    /// This frame is the answer, and has room until it is written.
    Held(Frame, OwnedSemaphorePermit),
    /// The answer depends on what is still to come. Meanwhile the next request may be taken, whose
    /// answer follows this one.
    Later(Later),
}

/// A frame that is still to come.
pub type Later = Pin<Box<dyn Future<Output = io::Result<Frame>> + Send>>;

/// What stands before a request.
#[derive(Clone, Debug)]
struct Head {
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: String,
}

impl Head {
    fn decode<M: Message + Read<'static>>(&self, body: &Bytes) -> io::Result<M> {
        M::decode_shared(body, self.version, &Limits::DEFAULT).map_err(io::Error::other)
    }

    fn frame<M: Message>(&self, response: &M) -> io::Result<Frame> {
        let frame = self.frame_of_records(response)?;
        check_len("an answer", frame.remaining(), MAX_ANSWER_BYTES)?;
        Ok(frame)
    }

    /// One whose length is bounded by that of the records in it.
    fn frame_of_records<M: Message>(&self, response: &M) -> io::Result<Frame> {
        Frame::of_response(self.version, self.correlation_id, response)
    }

    fn answer<M: Message>(&self, response: &M) -> io::Result<Answer> {
        self.frame(response).map(Answer::Frame)
    }
}

impl Clients {
    /// What answers at a listener of a node.
    #[must_use]
    pub fn new(
        node: Handle,
        topic: Topic,
        listener: String,
        shared: Shared,
        options: Options,
        settings: Settings,
    ) -> Clients {
        Clients {
            node,
            topic,
            versions: supported_versions(),
            shared,
            listener,
            options,
            settings,
            room: Arc::new(Semaphore::new(MAX_READ_BYTES)),
            decompressing: Arc::new(Semaphore::new(MAX_DECOMPRESSING)),
        }
    }

    /// Answers a request, a frame without its length.
    ///
    /// # Errors
    /// When there is no answer, and the connection has to be closed: what came is no request, or
    /// one that nobody here knows how to refuse, or the node is gone.
    pub async fn answer(
        self: &Arc<Self>,
        caller: &mut Caller,
        bytes: &Bytes,
    ) -> io::Result<Answer> {
        let parts = frame::decode_request_header(bytes).map_err(io::Error::other)?;
        let body = bytes.slice_ref(parts.body);
        let head = Head {
            api_key: parts.api_key(),
            version: parts.version(),
            correlation_id: parts.header.correlation_id,
            client_id: parts.header.client_id.as_deref().unwrap_or_default().into(),
        };
        let range = self.versions.get(head.api_key);
        let is_served = range.is_some_and(|range| range.contains(head.version));
        if !is_served && head.api_key != ApiKey::API_VERSIONS {
            return refuse::unsupported(&head);
        }
        check_request_len(head.api_key, body.len())?;
        if head.api_key == ApiKey::API_VERSIONS {
            return self.api_versions(caller, &head, &body).await;
        }
        let caller = *caller;
        if let Some(answer) = self.forward(caller, &head, &body).await? {
            return Ok(answer);
        }
        match head.api_key {
            ApiKey::PRODUCE => self.produce(caller, head, &body).await,
            ApiKey::FETCH => self.fetch(caller, &head, &body).await,
            ApiKey::LIST_OFFSETS => self.list_offsets(&head, &body).await,
            ApiKey::OFFSET_FOR_LEADER_EPOCH => self.offset_for_leader_epoch(&head, &body).await,
            ApiKey::METADATA => self.metadata(caller, &head, &body).await,
            ApiKey::DESCRIBE_TOPIC_PARTITIONS => {
                self.describe_topic_partitions(caller, &head, &body).await
            }
            ApiKey::DESCRIBE_CONFIGS => self.describe_configs(&head, &body).await,
            ApiKey::DESCRIBE_CLUSTER => self.describe_cluster(caller, &head, &body).await,
            ApiKey::INIT_PRODUCER_ID => self.init_producer_id(&head, &body).await,
            _ if Request::API_KEYS.contains(&head.api_key) => self.ask_raft(&head, &body).await,
            _ => self.group_request(caller, &head, &body).await,
        }
    }
}

/// Refuses what is longer than anybody can mean: most answers repeat what they are asked about.
fn check_request_len(api_key: ApiKey, len: usize) -> io::Result<()> {
    let max = match api_key {
        ApiKey::PRODUCE => return Ok(()),
        ApiKey::FETCH => MAX_REQUEST_BYTES,
        _ if Request::API_KEYS.contains(&api_key) => MAX_RAFT_REQUEST_BYTES,
        _ => MAX_REQUEST_BYTES,
    };
    check_len("a request", len, max)
}

fn check_len(what: &str, len: usize, max: usize) -> io::Result<()> {
    if len > max {
        let what = format!("{what} of {len} bytes, and {max} are the most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(())
}

/// Refuses to keep the node busy with more than anybody can mean.
fn check_count(what: &str, named: usize) -> io::Result<()> {
    if named > MAX_NAMED {
        let what = format!("{named} {what} in a request, and {MAX_NAMED} are too many");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_and_nodes_are_told() {
        let versions = supported_versions();
        let range = |api_key| {
            let range: VersionRange = versions.get(api_key).expect("it is served");
            (range.lowest, range.highest)
        };
        assert_eq!(range(ApiKey::PRODUCE), (3, 13));
        assert_eq!(range(ApiKey::FETCH), (4, 18));
        assert_eq!(range(ApiKey::METADATA), (0, 13));
        assert_eq!(range(ApiKey::VOTE), (0, 2));
        assert_eq!(range(ApiKey::DESCRIBE_QUORUM), (0, 2));
        for (api_key, _) in CLIENT_APIS {
            assert!(versions.get(api_key).is_some(), "{api_key}");
        }
    }
}
