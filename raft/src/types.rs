//! The small types that everything else speaks of.

use std::fmt;

pub use kwire_protocol::Uuid;

/// The id of a node, 0 or above. Observers without one fetch as -1.
pub type NodeId = i32;

/// A leader's term; Kafka calls it epoch. 0 before the first election.
pub type Epoch = i32;

/// A position in the log. The log end offset is the next one to be written.
pub type Offset = i64;

/// Milliseconds since a moment that the driver chose. Never the time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// A moment that never comes.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// This moment and some milliseconds.
    #[must_use]
    pub fn plus(self, ms: u64) -> Instant {
        Instant(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A node together with the log directory that it has: a node that lost its disk is another
/// replica (KIP-853).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The node's id.
    pub id: NodeId,
    /// The id of its directory, where it is known. Never the zero id, which is how the wire says
    /// that there is none.
    pub directory_id: Option<Uuid>,
}

impl ReplicaKey {
    /// A key from what the wire has: the zero id is none.
    #[must_use]
    pub fn new(id: NodeId, directory_id: Uuid) -> ReplicaKey {
        let directory_id = (!directory_id.is_zero()).then_some(directory_id);
        ReplicaKey { id, directory_id }
    }

    /// The directory id as the wire has it.
    #[must_use]
    pub fn wire_directory_id(self) -> Uuid {
        self.directory_id.unwrap_or(Uuid::ZERO)
    }
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.directory_id {
            Some(directory) => write!(f, "{}-{directory}", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

/// An end offset and the epoch of the record before it: where a log ends, or what a snapshot
/// holds. Ordered by epoch first, as logs are when votes are cast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetAndEpoch {
    /// The epoch of the last record before the offset.
    pub epoch: Epoch,
    /// The offset after that record.
    pub offset: Offset,
}

impl OffsetAndEpoch {
    /// The checkpoint that holds nothing but the first voters; it is never replicated.
    pub const BOOTSTRAP: OffsetAndEpoch = OffsetAndEpoch {
        epoch: 0,
        offset: 0,
    };

    /// An offset and an epoch.
    #[must_use]
    pub fn new(offset: Offset, epoch: Epoch) -> OffsetAndEpoch {
        OffsetAndEpoch { epoch, offset }
    }
}

impl fmt::Display for OffsetAndEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of epoch {}", self.offset, self.epoch)
    }
}

/// The topic of the one partition (0) that the quorum replicates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Its name, which Fetch up to version 12 and the other requests carry.
    pub name: String,
    /// Its id, which Fetch carries from version 13 on.
    pub id: Uuid,
}

impl Topic {
    /// The metadata log of a Kafka cluster.
    #[must_use]
    pub fn cluster_metadata() -> Topic {
        Topic {
            name: "__cluster_metadata".to_owned(),
            id: Uuid::METADATA_TOPIC_ID,
        }
    }

    /// The log of Kafka's test raft server.
    #[must_use]
    pub fn performance_test() -> Topic {
        Topic {
            name: "__raft_performance_test".to_owned(),
            id: Uuid::from_parts(0, 2),
        }
    }
}

/// The election state that outlives a crash: what `quorum-state` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuorumState {
    /// The epoch that the node is in.
    pub epoch: Epoch,
    /// The leader of that epoch, if it is known.
    pub leader: Option<NodeId>,
    /// Whom the node voted for in that epoch.
    pub voted: Option<ReplicaKey>,
}

/// A snapshot that is whole and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotInfo {
    /// Where it ends.
    pub id: OffsetAndEpoch,
    /// Its bytes.
    pub size: u64,
}

/// Where an epoch starts in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: Epoch,
    /// The offset of its first record.
    pub offset: Offset,
}

/// What the stores hold when a node starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The election state, if any was ever written.
    pub quorum_state: Option<QuorumState>,
    /// The first offset of the log.
    pub log_start: Offset,
    /// The offset after the last record, which is durable.
    pub log_end: Offset,
    /// The epochs of the log's records, in ascending order.
    pub epochs: Vec<EpochStart>,
    /// The snapshots, in ascending order; the bootstrap checkpoint is one of them.
    pub snapshots: Vec<SnapshotInfo>,
    /// The control records that matter to the node, in the order of their offsets: those of the
    /// latest snapshot, whose offset is that of the snapshot's last record (-1 for the bootstrap
    /// checkpoint), then those of the log from its end on.
    pub controls: Vec<(Offset, crate::control::Control)>,
}

/// What became of a snapshot that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It is in place, and these are its control records.
    Done {
        /// The snapshot.
        info: SnapshotInfo,
        /// What the node is to know.
        controls: Vec<crate::control::Control>,
    },
    /// It is damaged and gone; the log is as it was.
    Refused {
        /// What was wrong with it, for people.
        reason: String,
    },
}
