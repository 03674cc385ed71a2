//! Situations that have to occur for a check to mean anything.

macro_rules! witnesses {
    ($($name:ident = $text:literal,)*) => {
        /// A situation that the exploration has to come across.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Witness { $(#[doc = $text] $name,)* }

        impl Witness {
            /// All of them.
            pub const ALL: &[Witness] = &[$(Witness::$name),*];

            /// What it is.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Witness::$name => $text,)* }
            }
        }
    };
}

witnesses! {
    LaterLeaderAfterCrash = "a leader of epoch 2 or above after a crash",
    Truncated = "a diverging log was truncated",
    VoteRefused = "a vote was refused",
    PreVoteRefused = "a pre-vote was refused",
    CommittedSurvived = "a leader took over committed records",
    RestartBeforeReply = "a voter restarted while its vote was on the way",
    StaleAnswer = "an answer came that nobody waited for",
    Parked = "a Fetch waited for records",
    LateVoteRequest = "a late vote request of the voter's own epoch came after it had a leader",
    LeaderUnflushed = "a high watermark moved while the leader's own disk was behind",
    CheckQuorum = "a leader without a majority resigned",
    EpochEnded = "a follower heard that its leader resigned",
    LostInCrash = "a crash took records that were not durable",
    SplitVote = "two candidates stood in one epoch",
    FollowerCommitted = "a follower heard of the high watermark",
    Deposed = "a leader heard of a later epoch",
    SaveFailed = "a node stopped because its election state could not be saved",
    VoterRemoved = "the removal of a voter was committed",
    RemovedLeaderResigned = "a leader that was removed resigned",
    VotersRolledBack = "voters were rolled back by a truncation",
    Wiped = "a voter came back with an empty disk",
    Repeated = "a request was made again after a pause",
    VoterAdded = "the addition of a voter was committed",
    AddedVoted = "a voter that was added voted for the next leader",
    ShutDownInTime = "a leader was shut down, and knew its successor in time",
    ShutDownLate = "a shutdown took too long",
    WrongVoterKey = "a request was refused because it was meant for another directory",
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witnesses(u64);

impl Witnesses {
    /// Adds one.
    pub fn add(&mut self, witness: Witness) {
        self.0 |= 1 << witness as u8;
    }

    /// Adds one if something holds.
    pub fn add_if(&mut self, holds: bool, witness: Witness) {
        if holds {
            self.add(witness);
        }
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Witnesses) {
        self.0 |= other.0;
    }

    /// Whether one is there.
    #[must_use]
    pub fn has(self, witness: Witness) -> bool {
        self.0 >> witness as u8 & 1 == 1
    }
}
