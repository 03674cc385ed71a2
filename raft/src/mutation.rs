//! Protective rules that a test build can switch off, one at a time, to show that the simulator
//! notices. In any other build the question is answered with a constant.

macro_rules! mutations {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A rule that is switched off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Mutation { $($(#[doc = $doc])* $name,)* }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Mutation] = &[$(Mutation::$name),*];

            /// Its name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Mutation::$name => $text,)* }
            }
        }
    };
}

mutations! {
    /// A vote is granted without being saved.
    VoteNotSaved = "vote-not-saved",
    /// Answers and requests go out before the election state behind them is durable.
    AnswerBeforeStateIsDurable = "answer-before-state-is-durable",
    /// The leader counts its own records before they are durable.
    LeaderCountsUnflushed = "leader-counts-unflushed",
    /// A follower acknowledges records before they are durable.
    FollowerAcksUnflushed = "follower-acks-unflushed",
    /// The leader counts what a follower fetches after, although it says that less is durable.
    FlushedIgnored = "flushed-ignored",
    /// A follower fetches ahead of its disk from leaders that did not say that they mind.
    FetchedAheadOfAnyone = "fetched-ahead-of-anyone",
    /// The high watermark may pass records of older epochs before one of the leader's own.
    CommitOldEpoch = "commit-old-epoch",
    /// A vote request meant for another directory is answered all the same.
    VoterKeyNotChecked = "voter-key-not-checked",
    /// A replica with another directory counts as the voter of its id.
    DirectoryNotCompared = "directory-not-compared",
    /// Voters stay as they were when their record is truncated.
    VotersNotRolledBack = "voters-not-rolled-back",
    /// A voter change starts while another one is not committed (KAFKA-20740).
    TwoVoterChanges = "two-voter-changes",
    /// A voter change starts before the leader has committed anything in its epoch.
    VoterChangeBeforeCommit = "voter-change-before-commit",
    /// A leader that no majority fetches from goes on (KAFKA-15489).
    NoCheckQuorum = "no-check-quorum",
    /// A follower with a working leader grants pre-votes (KAFKA-17807 and its kin).
    PreVoteWithLeader = "pre-vote-with-leader",
    /// A follower truncates below its high watermark.
    TruncateBelowHighWatermark = "truncate-below-high-watermark",
    /// A snapshot is removed while a follower fetches it.
    SnapshotExpiredWhileFetched = "snapshot-expired-while-fetched",
    /// A leader truncates its own log where a follower's diverges.
    LeaderTruncatesForFollower = "leader-truncates-for-follower",
    /// Following a leader forgets the vote of the epoch.
    VoteForgottenWithLeader = "vote-forgotten-with-leader",
    /// The answer goes out although saving failed.
    AnswerThoughSavingFailed = "answer-though-saving-failed",
    /// Votes are granted to candidates whose log is behind.
    VoteForShorterLog = "vote-for-shorter-log",
    /// Two candidates of an epoch get a vote.
    VoteTwice = "vote-twice",
    /// Logs are compared by their length alone.
    VoteByLengthAlone = "vote-by-length-alone",
    /// A candidate's new epoch is not saved.
    EpochNotSaved = "epoch-not-saved",
    /// Half of the voters elect a leader.
    HalfElects = "half-elects",
    /// The high watermark is what the fastest voter has.
    FastestVoterCommits = "fastest-voter-commits",
    /// The high watermark is taken down when voters change.
    HighWatermarkGoesBack = "high-watermark-goes-back",
    /// Votes of an earlier election count.
    StaleVotesCount = "stale-votes-count",
    /// A response that was asked for in another state is taken.
    StaleFetchesCount = "stale-fetches-count",
    /// A leader that restarts leads on in its old epoch (KAFKA-10527).
    LeaderAgainAfterRestart = "leader-again-after-restart",
    /// The leader does not compare the epoch of a follower's last record.
    DivergenceNotChecked = "divergence-not-checked",
    /// A follower appends batches that do not follow its log.
    GapsAppended = "gaps-appended",
    /// A follower takes batches of epochs above its own.
    HigherEpochsAppended = "higher-epochs-appended",
    /// Observers count for the high watermark.
    ObserversCommit = "observers-commit",
    /// A leader that is removed from the voters counts itself.
    RemovedLeaderCounts = "removed-leader-counts",
    /// A leader that removed itself stays leader.
    RemovedLeaderStays = "removed-leader-stays",
    /// Snapshots are made beyond the high watermark.
    SnapshotBeyondHighWatermark = "snapshot-beyond-high-watermark",
    /// The leader does not compare the epoch of a fetch with its own.
    FetchEpochNotChecked = "fetch-epoch-not-checked",
    /// Observers stand for election.
    ObserversStand = "observers-stand",
    /// Only ids of committed voters' records count: a new set waits for its commit.
    VotersAfterCommit = "voters-after-commit",
    /// The log's epoch does not count when a node starts without its election state.
    LogEpochIgnoredAtStart = "log-epoch-ignored-at-start",
    /// A lost election is repeated at once, without its random wait.
    NoElectionBackoff = "no-election-backoff",
    /// A node that resigned votes again in the same epoch.
    ResignedVotes = "resigned-votes",
    /// Records that may still be truncated are offered to be read later.
    RangeOfUncommitted = "range-of-uncommitted",
}

#[cfg(feature = "mutations")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Switches one rule off on this thread, or all on again.
    pub fn switch_off(mutation: Option<Mutation>) {
        ACTIVE.set(mutation);
    }

    /// Whether the rule is switched off.
    #[must_use]
    pub fn is_off(mutation: Mutation) -> bool {
        ACTIVE.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub use switch::{is_off, switch_off};

/// Whether the rule is switched off: never, in this build.
#[cfg(not(feature = "mutations"))]
#[must_use]
#[inline(always)]
pub const fn is_off(_: Mutation) -> bool {
    false
}
