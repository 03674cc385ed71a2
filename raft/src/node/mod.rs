//! A KRaft node as a state machine.
//!
//! ```text
//!              election timer                majority of pre-votes
//!  Unattached ----------------> Prospective -----------------------> Candidate
//!   |  ^  ^                      ^   |  ^                              |   |
//!   |  |  '--- lost, nobody -----|---'  '------- election timer -------'   | majority
//!   |  |       known             |                                         v
//!   |  | higher epoch            | fetch timer                           Leader
//!   |  | (from any state)        |                                         | resign, check quorum,
//!   v  |                         |                                         v shutdown, removed
//!  Follower ---------------------'                                       Resigned
//! ```
//!
//! Observers are Unattached or Followers, and never stand. A Resigned node becomes Unattached in
//! the next epoch when its election timer runs out.
//!
//! A [`Node`] has four kinds of methods:
//! - getters take `&self`;
//! - inputs are called `handle_*` and say what happened: a moment came, a request, an answer, a
//!   disk operation that is durable;
//! - commands of the application: [`append`](Node::append), [`resign`](Node::resign) and others;
//! - [`poll_output`](Node::poll_output) and [`poll_timeout`](Node::poll_timeout) say what the node
//!   wants.
//!
//! One input or command, then drain the outputs, then the next. Time never goes back.

mod accumulator;
mod append;
mod calls;
mod candidate;
mod changes;
#[cfg(feature = "model")]
mod check;
mod describe;
mod disk;
mod epochs_rpc;
mod fetching;
mod follower;
mod leader;
mod log;
mod output;
mod resigned;
mod responses;
mod serving;
mod shutdown;
mod snapshots;
#[cfg(test)]
pub(crate) mod tests;
mod transitions;
mod updates;
mod vote;
mod votes;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

pub use append::AppendError;
pub use changes::UpgradeError;
#[cfg(feature = "model")]
pub use check::{Normal, Timer};
pub use output::{CallId, Destination, DiskOp, Event, IoId, Output, Token};
pub use snapshots::{SnapshotContext, SnapshotError};

use self::calls::Calls;
use self::candidate::Election;
use self::disk::Disk;
use self::follower::Follower;
use self::leader::Leader;
use self::log::Log;
use self::resigned::Resigned;
use self::shutdown::Shutdown;
use crate::config::Config;
use crate::membership::Membership;
use crate::message::{Request, Response};
use crate::types::{
    Epoch, Installed, Instant, NodeId, Offset, OffsetAndEpoch, QuorumState, Recovered, ReplicaKey,
};
use crate::voters::{Endpoints, VoterSet};

/// A replica of a KRaft quorum, without clock, socket, file or thread. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    config: Config,
    now: Instant,
    epoch: Epoch,
    /// Whom the node voted for in this epoch. Kept when a leader of the epoch turns up.
    voted: Option<ReplicaKey>,
    /// The leader of this epoch, where known; itself while Leader or Resigned.
    leader: Option<NodeId>,
    /// Where that leader listens, as far as it is known.
    leader_endpoints: Endpoints,
    role: Role,
    log: Log,
    high_watermark: Option<Offset>,
    membership: Membership,
    calls: Calls,
    disk: Disk,
    /// The election state as it was saved last.
    saved: QuorumState,
    shutdown: Option<Shutdown>,
    /// The leader that the application was told of.
    announced: (Epoch, Option<NodeId>),
    /// Not before this does it stand again for no other reason than that its leader's address
    /// refuses connections.
    refusal_counts_at: Instant,
    /// Counts elections and bootstrap servers: what jitter is drawn with.
    draws: u64,
    outputs: VecDeque<Output>,
}

/// What the node is in its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    /// Waits for a leader, or for its election timer.
    Unattached {
        election_at: Instant,
    },
    /// Asks whether it would be elected (KIP-996).
    Prospective(Election),
    /// Stands for election.
    Candidate(Election),
    Leader(Box<Leader>),
    Follower(Follower),
    /// Led this epoch, and will not again.
    Resigned(Resigned),
}

/// A node's role, for people and tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RoleName {
    /// Waits for a leader, or for its election timer.
    Unattached,
    /// Asks whether it would be elected (KIP-996).
    Prospective,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// Follows a leader.
    Follower,
    /// Led this epoch, and will not again.
    Resigned,
}

/// A request of another node, or of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// What its answer is to be given under.
    pub token: Token,
    /// The version at which it came, and at which it will be answered.
    pub version: i16,
    /// The request.
    pub request: Request,
}

/// Why there is no answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallError {
    /// The connection could not be made, or it ended.
    Disconnected,
    /// The address answered that nobody listens there: the process is gone, and not the way to it.
    Refused,
    /// The two nodes speak no common version that can say it.
    UnsupportedVersion,
    /// What came could not be read.
    Malformed,
}

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The disk holds a vote, but the node has no id.
    VoteWithoutId,
    /// A negative id was configured.
    NegativeId(NodeId),
    /// The stored epoch, or an offset, is below 0.
    NegativeState,
    /// A timeout of 0 ms was configured: its timer would run out again and again at one moment.
    NoTimeout(&'static str),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::VoteWithoutId => {
                write!(
                    f,
                    "quorum-state holds a vote, but this node has no id: set node.id"
                )
            }
            StartError::NoTimeout(property) => write!(f, "{property} is 0: 1 ms is the least"),
            StartError::NegativeId(id) => write!(f, "node.id is {id}: it has to be 0 or above"),
            StartError::NegativeState => {
                write!(
                    f,
                    "quorum-state or the log holds a negative epoch or offset"
                )
            }
        }
    }
}

impl std::error::Error for StartError {}

impl Node {
    /// A node that starts with what its disk holds. It has outputs at once.
    ///
    /// # Errors
    /// When the disk's state cannot be this node's.
    pub fn new(now: Instant, config: Config, recovered: Recovered) -> Result<Node, StartError> {
        if let Some(id) = config.id
            && id < 0
        {
            return Err(StartError::NegativeId(id));
        }
        for (timeout_ms, property) in [
            (
                config.election_timeout_ms,
                "controller.quorum.election.timeout.ms",
            ),
            (
                config.fetch_timeout_ms,
                "controller.quorum.fetch.timeout.ms",
            ),
        ] {
            if timeout_ms == 0 {
                return Err(StartError::NoTimeout(property));
            }
        }
        let stored = recovered.quorum_state.unwrap_or_default();
        if stored.epoch < 0 || recovered.log_start < 0 || recovered.log_end < recovered.log_start {
            return Err(StartError::NegativeState);
        }
        if stored.voted.is_some() && config.id.is_none() {
            return Err(StartError::VoteWithoutId);
        }
        let mut node = Node {
            membership: Membership::new(config.static_voters.clone(), &recovered.controls),
            disk: Disk::new(recovered.log_end),
            log: Log::new(&recovered),
            config,
            now,
            epoch: stored.epoch,
            voted: stored.voted,
            leader: stored.leader,
            leader_endpoints: Endpoints::EMPTY,
            role: Role::Unattached {
                election_at: Instant::NEVER,
            },
            high_watermark: None,
            calls: Calls::default(),
            saved: stored,
            shutdown: None,
            announced: (0, None),
            refusal_counts_at: Instant(0),
            draws: 0,
            outputs: VecDeque::new(),
        };
        node.start(stored);
        node.pump();
        Ok(node)
    }

    // Getters.

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> RoleName {
        match self.role {
            Role::Unattached { .. } => RoleName::Unattached,
            Role::Prospective(_) => RoleName::Prospective,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
            Role::Follower(_) => RoleName::Follower,
            Role::Resigned(_) => RoleName::Resigned,
        }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The leader of the epoch, where known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whom the node voted for in its epoch.
    #[must_use]
    pub fn voted(&self) -> Option<ReplicaKey> {
        self.voted
    }

    /// The offset before which the log is committed, as far as the node knows.
    #[must_use]
    pub fn high_watermark(&self) -> Option<Offset> {
        match self.role {
            Role::Resigned(_) => None,
            _ => self.high_watermark,
        }
    }

    /// Where the log ends, and its last epoch.
    #[must_use]
    pub fn log_end(&self) -> OffsetAndEpoch {
        OffsetAndEpoch::new(self.log.end(), self.log.last_epoch())
    }

    /// The first offset of the log.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log.start()
    }

    /// The greatest epoch up to `epoch` that the log has, and where it ends (KIP-320).
    #[must_use]
    pub fn end_of_epoch(&self, epoch: Epoch) -> OffsetAndEpoch {
        self.log.end_of_epoch(epoch)
    }

    /// The offset before which this node's log is durable.
    #[must_use]
    pub fn flushed(&self) -> Offset {
        self.disk.flushed()
    }

    /// The offset of the first record of this leader's epoch; `None` if it does not lead.
    #[must_use]
    pub fn epoch_start(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) => Some(leader.epoch_start),
            _ => None,
        }
    }

    /// The voters now: those of the last record, committed or not.
    #[must_use]
    pub fn voters(&self) -> &VoterSet {
        self.membership.voters()
    }

    /// The offset of the record that the voters are from, -1 for the bootstrap checkpoint; `None`
    /// if they are configured.
    #[must_use]
    pub fn voters_offset(&self) -> Option<Offset> {
        self.membership.voters_offset()
    }

    /// The feature `kraft.version` now, committed or not.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.membership.kraft_version()
    }

    /// The snapshots, in ascending order.
    pub fn snapshots(&self) -> impl Iterator<Item = OffsetAndEpoch> {
        self.log.snapshots()
    }

    /// Whether this node is one of the voters.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        let key = self.config.key();
        key.is_some_and(|key| self.voters().contains(key))
    }

    /// Whether this node follows a leader that answered a fetch of its within the fetch timeout:
    /// to such a node an election would be a disturbance (KIP-996).
    #[must_use]
    pub fn has_working_leader(&self) -> bool {
        matches!(&self.role, Role::Follower(follower) if follower.has_working_leader(self.now))
    }

    // Inputs.

    /// A moment came, [`poll_timeout`](Self::poll_timeout)'s or an earlier one.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.at(now);
        self.pump();
    }

    /// A request came. It will be answered once, unless the node stops before.
    pub fn handle_request(&mut self, now: Instant, incoming: Incoming) {
        self.at(now);
        let Incoming {
            token,
            version,
            request,
        } = incoming;
        match request {
            Request::Vote(request) => self.serve_vote(token, version, &request),
            Request::BeginQuorumEpoch(request) => self.serve_begin(token, version, &request),
            Request::EndQuorumEpoch(request) => self.serve_end(token, version, &request),
            Request::Fetch(request) => self.serve_fetch(token, version, &request),
            Request::FetchSnapshot(request) => self.serve_fetch_snapshot(token, version, &request),
            Request::DescribeQuorum(request) => self.serve_describe(token, version, &request),
            Request::AddRaftVoter(request) => self.serve_add(token, &request),
            Request::RemoveRaftVoter(request) => self.serve_remove(token, &request),
            Request::UpdateRaftVoter(request) => self.serve_update(token, &request),
            Request::ApiVersions(_) => self.serve_versions(token),
        }
        self.pump();
    }

    /// A request that the node sent was answered, or cannot be any more.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        call: CallId,
        answer: Result<Response, CallError>,
    ) {
        self.at(now);
        self.answered(call, answer);
        self.pump();
    }

    /// Everything up to this disk operation is durable.
    pub fn handle_disk(&mut self, now: Instant, done: IoId) {
        self.at(now);
        self.disk.done(done);
        self.flushed_more();
        self.pump();
    }

    /// What became of an [`DiskOp::InstallSnapshot`].
    pub fn handle_installed(&mut self, now: Instant, id: OffsetAndEpoch, outcome: Installed) {
        self.at(now);
        self.installed(id, outcome);
        self.pump();
    }

    // Outputs.

    /// Whether the node still wants an answer to a request of its own. One that it gave up need not
    /// be sent any more.
    #[must_use]
    pub fn awaits(&self, call: CallId) -> bool {
        self.calls.awaits(call)
    }

    /// The next thing that the node asks for.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let role = match &self.role {
            Role::Unattached { election_at } => *election_at,
            Role::Prospective(election) | Role::Candidate(election) => election.ends_at,
            Role::Leader(leader) => self.leader_timeout(leader),
            Role::Follower(follower) => self.follower_timeout(follower),
            Role::Resigned(resigned) => self.resigned_timeout(resigned),
        };
        let shutdown = self.shutdown.map_or(Instant::NEVER, |s| s.until);
        role.min(self.calls.next_expiry()).min(shutdown)
    }

    fn at(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Does what is due: ends timers, stands for election, sends what can be sent.
    fn pump(&mut self) {
        for node in self.calls.expire(self.now) {
            self.calls
                .back_off(node, self.now.plus(self.config.retry_backoff_ms));
        }
        // A lone voter passes through three roles at once.
        for _ in 0..4 {
            let before = (self.epoch, self.role());
            match &self.role {
                Role::Unattached { .. } => self.pump_unattached(),
                Role::Prospective(_) | Role::Candidate(_) => self.pump_election(),
                Role::Leader(_) => self.pump_leader(),
                Role::Follower(_) => self.pump_follower(),
                Role::Resigned(_) => self.pump_resigned(),
            }
            if before == (self.epoch, self.role()) {
                break;
            }
        }
        self.pump_shutdown();
        self.announce();
    }

    fn announce(&mut self) {
        if self.announced != (self.epoch, self.leader) {
            self.announced = (self.epoch, self.leader);
            self.notify(Event::Leader {
                epoch: self.epoch,
                leader: self.leader,
            });
        }
    }
}

impl Hash for Node {
    /// All but the outputs, which a drained node has none of.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.config, self.now, self.epoch, self.voted, self.leader).hash(state);
        (&self.leader_endpoints, &self.role, &self.log).hash(state);
        (self.high_watermark, &self.membership, &self.calls).hash(state);
        (&self.disk, self.saved, self.shutdown).hash(state);
        (self.announced, self.refusal_counts_at, self.draws).hash(state);
    }
}
