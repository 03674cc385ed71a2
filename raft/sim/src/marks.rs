//! Situations that a good run of many seeds has been in: what never happened was not tested.

macro_rules! marks {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A situation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mark { $($(#[doc = $doc])* $name,)* }

        impl Mark {
            /// All of them.
            pub const ALL: &[Mark] = &[$(Mark::$name),*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Mark::$name => $text,)* }
            }
        }
    };
}

marks! {
    /// A node became leader.
    Elected = "elected",
    /// A candidate did not.
    ElectionLost = "election lost",
    /// A node that asked for pre-votes went back to its leader.
    BackToLeader = "back to the leader after pre-votes",
    /// A vote was refused.
    VoteRefused = "vote refused",
    /// A pre-vote was refused.
    PreVoteRefused = "pre-vote refused",
    /// A node that does not know pre-votes was asked for one.
    PreVoteUnknown = "pre-vote unknown to an old node",
    /// A vote meant for another directory was refused.
    WrongVoterKey = "request for another directory refused",
    /// The leader told a follower where its log diverges.
    Diverged = "log diverged",
    /// A follower truncated its log.
    Truncated = "log truncated",
    /// An uncommitted voter set was rolled back.
    VotersRolledBack = "voters rolled back",
    /// The application made a snapshot.
    SnapshotTaken = "snapshot taken",
    /// A snapshot beyond the high watermark was refused.
    SnapshotRefused = "snapshot refused",
    /// A follower installed the leader's snapshot.
    SnapshotInstalled = "snapshot installed",
    /// A snapshot came in several parts.
    SnapshotInParts = "snapshot in parts",
    /// A follower wanted a snapshot that is gone.
    SnapshotGone = "snapshot gone",
    /// A snapshot stayed because a follower fetches it.
    SnapshotInUse = "snapshot in use kept",
    /// The log's beginning was removed.
    LogDeleted = "log deleted before a snapshot",
    /// An application loaded a snapshot.
    SnapshotLoaded = "snapshot loaded",
    /// An application loaded a bootstrap checkpoint.
    BootstrapLoaded = "bootstrap checkpoint loaded",
    /// A voter was added.
    VoterAdded = "voter added",
    /// A voter was removed.
    VoterRemoved = "voter removed",
    /// A leader was removed.
    LeaderRemoved = "leader removed",
    /// A voter said that it listens elsewhere.
    VoterUpdated = "voter updated",
    /// A change of the voters was refused because another one is under way.
    ChangeBusy = "voter change refused: busy",
    /// `kraft.version` was raised.
    Upgraded = "kraft.version upgraded",
    /// A leader resigned because no majority fetched.
    CheckQuorum = "check-quorum resignation",
    /// A leader resigned because it was asked to.
    Resigned = "resigned",
    /// A node was shut down in time.
    ShutDown = "shut down in time",
    /// A shutdown took too long.
    ShutDownLate = "shut down late",
    /// A crash lost records that were not durable.
    CrashLostRecords = "crash lost records",
    /// A disk failed.
    DiskFailed = "disk failed",
    /// A node lost its disk and came back with another directory.
    DiskLost = "disk lost",
    /// A node came back without its election state.
    StateLost = "election state lost",
    /// A node restarted and found that it led.
    RestartedResigned = "restarted as resigned leader",
    /// A node restarted as candidate.
    RestartedCandidate = "restarted as candidate",
    /// A node restarted as follower.
    RestartedFollower = "restarted as follower",
    /// A message was lost.
    MessageLost = "message lost",
    /// A request came twice.
    MessageTwice = "request twice",
    /// A link let nothing through.
    LinkCut = "message on a cut link",
    /// A caller heard that nobody listens at an address, rightly or not.
    ConnectionRefused = "connection refused",
    /// Records on the wire were not those that the leader sent.
    Lied = "records altered on the wire",
    /// A node refused what no correct node says.
    Misbehaved = "misbehaviour refused",
    /// A fetch of an old epoch was refused.
    FetchFenced = "fetch fenced",
    /// A fetch of an epoch above was refused.
    FetchUnknownEpoch = "fetch of unknown epoch refused",
    /// A fetch found no leader.
    FetchNotLeader = "fetch found no leader",
    /// A fetch waited for records.
    FetchParked = "fetch parked",
    /// A follower fetched more while its disk was behind.
    FetchedAhead = "fetched ahead of the disk",
    /// A leader was learned of by BeginQuorumEpoch.
    Begun = "learned of leader by BeginQuorumEpoch",
    /// A leader said that it leaves.
    Ended = "EndQuorumEpoch taken",
    /// A client's append was acknowledged.
    Acked = "append acknowledged",
    /// A client's append was not acknowledged before its leader fell.
    AppendLost = "append not acknowledged",
    /// A leader described the quorum.
    Described = "quorum described",
    /// A machine stood still.
    Paused = "pause",
    /// Nobody but a minority was left out of the last phase.
    CoreOnly = "healed with a minority gone",
}

/// How often each situation came up.
#[derive(Clone, Debug)]
pub struct Marks(Vec<u64>);

impl Default for Marks {
    fn default() -> Marks {
        Marks(vec![0; Mark::ALL.len()])
    }
}

impl Marks {
    /// It came up.
    pub fn hit(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// How often it did.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Marks) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own += other;
        }
    }
}
