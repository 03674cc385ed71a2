//! The explorations: those of `cargo xtask model`, and the small ones of `cargo test`.

use crate::bounds::Bounds;
use crate::scenario::{Quorum, Scenario, Start};
use crate::witness::Witness;

const ELECTIONS: Scenario = Scenario {
    name: "elections",
    about: "three candidacies, and requests that come late",
    quorum: Quorum::Static,
    start: Start::Fresh,
    bounds: Bounds {
        epochs: 4,
        timers: 3,
        delayed: 1,
        ..Bounds::CALM
    },
    wants: &[
        Witness::VoteRefused,
        Witness::PreVoteRefused,
        Witness::SplitVote,
        Witness::StaleAnswer,
        Witness::LateVoteRequest,
        Witness::Deposed,
    ],
};

const CRASHING_VOTERS: Scenario = Scenario {
    name: "crashing-voters",
    about: "two candidacies, a crash, and a save that fails",
    quorum: Quorum::Static,
    start: Start::Fresh,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        crashes: 1,
        broken: 1,
        ..Bounds::CALM
    },
    wants: &[
        Witness::RestartBeforeReply,
        Witness::SaveFailed,
        Witness::VoteRefused,
        Witness::LaterLeaderAfterCrash,
    ],
};

const TWICE: Scenario = Scenario {
    name: "twice",
    about: "two candidacies, and a message that comes twice",
    quorum: Quorum::Static,
    start: Start::Fresh,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        copies: 1,
        delayed: 1,
        ..Bounds::CALM
    },
    wants: &[Witness::StaleAnswer],
};

const EVERY_MESSAGE: Scenario = Scenario {
    name: "every-message",
    about: "two candidacies, with every message on its own way",
    quorum: Quorum::Static,
    start: Start::Fresh,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        slow_answers: true,
        discovery: true,
        fetch_waits_end: true,
        ..Bounds::CALM
    },
    wants: &[
        Witness::PreVoteRefused,
        Witness::Parked,
        Witness::StaleAnswer,
    ],
};

const GIVEN_UP: Scenario = Scenario {
    name: "given-up",
    about: "a candidacy under a leader, and requests that are given up, repeated and late",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 1,
        delayed: 2,
        timeouts: true,
        ..Bounds::CALM
    },
    wants: &[
        Witness::Repeated,
        Witness::StaleAnswer,
        Witness::CommittedSurvived,
        Witness::LateVoteRequest,
    ],
};

const SHUTDOWN: Scenario = Scenario {
    name: "shutdown",
    about: "a record, a node that is shut down and started again, and a timer",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 1,
        appends: 1,
        shutdowns: 1,
        ..Bounds::CALM
    },
    wants: &[
        Witness::ShutDownInTime,
        Witness::ShutDownLate,
        Witness::EpochEnded,
        Witness::CommittedSurvived,
    ],
};

const ADDITION: Scenario = Scenario {
    name: "addition",
    about: "an observer is made a voter, and two timers",
    quorum: Quorum::Dynamic,
    start: Start::Removed,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        adds: 1,
        ..Bounds::CALM
    },
    wants: &[
        Witness::VoterAdded,
        Witness::AddedVoted,
        Witness::CommittedSurvived,
    ],
};

const REPLICATION: Scenario = Scenario {
    name: "replication",
    about: "a record, a crash, and two timers under a leader",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        appends: 1,
        crashes: 1,
        ..Bounds::CALM
    },
    wants: &[
        Witness::Truncated,
        Witness::CommittedSurvived,
        Witness::LaterLeaderAfterCrash,
        Witness::CheckQuorum,
        Witness::EpochEnded,
        Witness::FollowerCommitted,
    ],
};

const LATE_FETCHES: Scenario = Scenario {
    name: "late-fetches",
    about: "a record and two timers under a leader, and requests that come late",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        appends: 1,
        delayed: 1,
        ..Bounds::CALM
    },
    wants: &[
        Witness::Truncated,
        Witness::StaleAnswer,
        Witness::LateVoteRequest,
    ],
};

const THREE_EPOCHS: Scenario = Scenario {
    name: "three-epochs",
    about: "three timers under a leader",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 5,
        timers: 3,
        ..Bounds::CALM
    },
    wants: &[Witness::Truncated, Witness::CommittedSurvived],
};

const SLOW_DISKS: Scenario = Scenario {
    name: "slow-disks",
    about: "a record and two timers under a leader, with barriers that end at any moment",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        appends: 1,
        slow_disk: true,
        ..Bounds::CALM
    },
    wants: &[Witness::LeaderUnflushed, Witness::Truncated],
};

const SLOW_DISKS_CRASH: Scenario = Scenario {
    name: "slow-disks-crash",
    about: "records that crashes take, before and after they were synced",
    quorum: Quorum::Static,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 1,
        appends: 1,
        crashes: 1,
        slow_disk: true,
        ..Bounds::CALM
    },
    wants: &[Witness::LostInCrash, Witness::LeaderUnflushed],
};

const REMOVALS: Scenario = Scenario {
    name: "removals",
    about: "two voters are removed, and a timer",
    quorum: Quorum::Dynamic,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        removals: 2,
        ..Bounds::CALM
    },
    wants: &[
        Witness::VoterRemoved,
        Witness::RemovedLeaderResigned,
        Witness::VotersRolledBack,
    ],
};

const LOST_DISK: Scenario = Scenario {
    name: "lost-disk",
    about: "a voter loses its disk and comes back with another directory",
    quorum: Quorum::Dynamic,
    start: Start::Led,
    bounds: Bounds {
        epochs: 4,
        timers: 2,
        wipes: 1,
        ..Bounds::CALM
    },
    wants: &[Witness::Wiped, Witness::WrongVoterKey],
};

/// Those of `cargo xtask model`, the longest first.
pub const DEFAULT: &[Scenario] = &[
    REPLICATION,
    ELECTIONS,
    SLOW_DISKS,
    LATE_FETCHES,
    REMOVALS,
    THREE_EPOCHS,
    LOST_DISK,
    SLOW_DISKS_CRASH,
    CRASHING_VOTERS,
    TWICE,
    EVERY_MESSAGE,
    GIVEN_UP,
    SHUTDOWN,
    ADDITION,
];

/// Those of `cargo test`.
pub const QUICK: &[Scenario] = &[
    Scenario {
        bounds: Bounds {
            timers: 1,
            crashes: 1,
            delayed: 1,
            ..ELECTIONS.bounds
        },
        wants: &[Witness::RestartBeforeReply],
        ..ELECTIONS
    },
    Scenario {
        bounds: Bounds {
            timers: 1,
            ..REPLICATION.bounds
        },
        wants: &[Witness::CommittedSurvived, Witness::LaterLeaderAfterCrash],
        ..REPLICATION
    },
    Scenario {
        bounds: Bounds {
            timers: 1,
            removals: 1,
            ..REMOVALS.bounds
        },
        wants: &[Witness::VoterRemoved, Witness::RemovedLeaderResigned],
        ..REMOVALS
    },
];
