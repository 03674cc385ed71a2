//! What a node asks of the world.

use bytes::Bytes;
use kwire_protocol::messages::{FetchResponse, FetchSnapshotResponse};

use crate::message::{Request, Response};
use crate::types::{Epoch, NodeId, Offset, OffsetAndEpoch, QuorumState};
use crate::voters::Address;

/// A disk operation. Operations are done in the order in which they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoId(pub u64);

/// A request that the node sent. Its answer, or why there is none, comes back under this id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A request that the node was given and has not answered yet; the driver chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The node's id; below 0 for a bootstrap server, of which the address alone is known.
    pub id: NodeId,
    /// Where it listens.
    pub address: Address,
}

/// Everything that a node can ask. After each input, drain until there is none.
///
/// `after` names the disk operation that has to be durable before a message may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Do this to the disk, after every earlier operation, and say when it is durable.
    Disk {
        /// Its id.
        id: IoId,
        /// The operation.
        op: DiskOp,
    },
    /// Send a request.
    Send {
        /// What has to be durable before.
        after: Option<IoId>,
        /// The id that its answer comes back under.
        call: CallId,
        /// Where it goes.
        to: Destination,
        /// The request, to be encoded at a version that both ends speak.
        request: Request,
    },
    /// Answer a request.
    Reply {
        /// What has to be durable before.
        after: Option<IoId>,
        /// The request.
        token: Token,
        /// The answer, at the version of the request.
        response: Response,
    },
    /// Answer a Fetch with batches of the log, which go in the response's only partition. They are
    /// read before any later disk operation.
    ReplyWithLog {
        /// What has to be durable before.
        after: Option<IoId>,
        /// The request.
        token: Token,
        /// The answer, without records.
        response: FetchResponse<'static>,
        /// The offset to read from.
        from: Offset,
        /// Where the log ends.
        until: Offset,
        /// The most bytes to read; a first batch that is larger is read all the same.
        max_bytes: usize,
    },
    /// Answer a FetchSnapshot with a part of a snapshot, which goes in the response's only
    /// partition.
    ReplyWithSnapshot {
        /// What has to be durable before.
        after: Option<IoId>,
        /// The request.
        token: Token,
        /// The answer, without bytes.
        response: FetchSnapshotResponse<'static>,
        /// The snapshot.
        id: OffsetAndEpoch,
        /// The position to read from.
        position: u64,
        /// The most bytes to read.
        max_bytes: usize,
    },
    /// Tell the application.
    Notify(Event),
}

/// Something to be done to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskOp {
    /// Save the election state.
    SaveQuorumState {
        /// The state.
        state: QuorumState,
        /// The feature `kraft.version`, which decides the form of the file.
        kraft_version: i16,
        /// The voters' ids, for information.
        voters: Vec<NodeId>,
    },
    /// Write batches at the end of the log.
    Append {
        /// The log end offset before.
        base: Offset,
        /// Whole batches.
        batches: Bytes,
    },
    /// Remove what is at and after an offset.
    Truncate {
        /// The log end offset after.
        to: Offset,
    },
    /// Keep a part of a snapshot that is being fetched.
    WriteSnapshot {
        /// The snapshot.
        id: OffsetAndEpoch,
        /// Where the part goes; at 0 the snapshot starts anew.
        position: u64,
        /// The part.
        bytes: Bytes,
    },
    /// Check the fetched snapshot, put it in place, and start the log anew at its end. What came
    /// of it is to be told to [`Node::handle_installed`](super::Node::handle_installed), before
    /// any other input: until then nobody knows where the log ends.
    InstallSnapshot {
        /// The snapshot.
        id: OffsetAndEpoch,
    },
    /// Forget parts of snapshots that will not be finished.
    DropUnfinishedSnapshots,
    /// Remove the snapshots before this one and the log below its end.
    DeleteBefore {
        /// The first snapshot that stays.
        id: OffsetAndEpoch,
    },
}

/// News for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The epoch or its leader changed. What was appended in an earlier epoch and not committed may
    /// be lost.
    Leader {
        /// The epoch.
        epoch: Epoch,
        /// Who leads it, if that is known.
        leader: Option<NodeId>,
    },
    /// The log is committed up to this high watermark.
    Committed {
        /// The offset after the last committed record.
        upto: Offset,
    },
    /// A snapshot from the leader took the place of the log.
    SnapshotInstalled {
        /// The snapshot, which ends where the log starts now.
        id: OffsetAndEpoch,
    },
    /// A shutdown that was asked for is over: the node may stop.
    ShutdownComplete {
        /// Whether everybody who had to hear of it did before the time was up.
        in_time: bool,
    },
    /// A node said what no correct node says; what it said was not done.
    PeerMisbehaved {
        /// The node, if it has an id.
        peer: Option<NodeId>,
        /// What it said, for people.
        what: String,
    },
}
