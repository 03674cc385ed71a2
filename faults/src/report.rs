//! What a run comes to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::plan::What;

/// What was done and seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) quorums: u64,
    pub(crate) rounds: u64,
    /// How often each fault happened.
    pub(crate) faults: BTreeMap<What, u64>,
    /// Records that clients were told to be committed.
    pub(crate) by_clients: u64,
    /// Records of the nodes' own that a leader of ours said to be committed.
    pub(crate) by_nodes: u64,
    /// Offsets that the consumer read, or would have.
    pub(crate) offsets: u64,
    pub(crate) elections: u64,
    /// Those that a Java node won.
    pub(crate) javas_elections: u64,
    /// Processes that ended because of their disks, as they have to.
    pub(crate) disk_ends: u64,
    pub(crate) to_commit: Times,
    pub(crate) to_all: Times,
}

/// How long something took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    fn worst(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, worst) = (self.median().as_millis(), self.worst().as_millis());
        write!(f, "{median} ms at the median, {worst} ms at the worst")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rounds with {} quorums", self.rounds, self.quorums)?;
        let faults = self.faults.iter();
        let faults: Vec<String> = faults.map(|(w, n)| format!("{} {n}", w.name())).collect();
        writeln!(f, "faults: {}", faults.join(", "))?;
        writeln!(
            f,
            "{} records of clients acknowledged, and {} of the nodes' own; {} offsets committed",
            self.by_clients, self.by_nodes, self.offsets
        )?;
        writeln!(
            f,
            "{} leaders, {} of them Java's; {} processes ended because of their disks",
            self.elections, self.javas_elections, self.disk_ends
        )?;
        writeln!(
            f,
            "from the end of the faults to a new commit: {}",
            self.to_commit
        )?;
        writeln!(
            f,
            "and until all nodes and clients went on: {}",
            self.to_all
        )
    }
}
