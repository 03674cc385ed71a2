//! How far the check goes, and what it leaves out.

/// The bounds of an exploration. What lies beyond is not looked at, and the report says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The highest epoch that a node may reach.
    pub epochs: i32,
    /// Timers that run out by which nodes stand for election, or leaders remind voters or resign.
    pub timers: u8,
    /// Records that the application appends.
    pub appends: u8,
    /// Crashes of nodes.
    pub crashes: u8,
    /// Crashes because the election state could not be saved.
    pub broken: u8,
    /// Disks that are lost.
    pub wipes: u8,
    /// Voters that are asked to be removed.
    pub removals: u8,
    /// Observers that are asked to be made voters.
    pub adds: u8,
    /// Nodes that are shut down, and started again once that is over.
    pub shutdowns: u8,
    /// Messages that are delivered twice.
    pub copies: u8,
    /// Requests that their sender gave up on and that are still on their way, at any moment.
    pub delayed: u8,
    /// Whether answers to pre-votes, BeginQuorumEpoch and EndQuorumEpoch take time. Without, they
    /// arrive when they are given.
    pub slow_answers: bool,
    /// Whether requests that nobody answers are ever given up; without, none is lost or late unless
    /// the state in which it was sent ends.
    pub timeouts: bool,
    /// Whether nodes that know no leader ask others for it.
    pub discovery: bool,
    /// Whether Fetches that wait for records are ever answered without.
    pub fetch_waits_end: bool,
    /// Whether barriers take time. Without, a node's disk is synced as soon as it asks for it.
    pub slow_disk: bool,
    /// The most states; reaching it is a failure.
    pub max_states: usize,
}

impl Bounds {
    /// Nothing but elections and replication without faults.
    pub const CALM: Bounds = Bounds {
        epochs: 1,
        timers: 1,
        appends: 0,
        crashes: 0,
        broken: 0,
        wipes: 0,
        removals: 0,
        adds: 0,
        shutdowns: 0,
        copies: 0,
        delayed: 0,
        slow_answers: false,
        timeouts: false,
        discovery: false,
        fetch_waits_end: false,
        slow_disk: false,
        max_states: 50_000_000,
    };

    /// Whether the voters ever change.
    #[must_use]
    pub fn changes_voters(&self) -> bool {
        self.removals > 0 || self.adds > 0
    }

    /// What is left out, one line each.
    #[must_use]
    pub fn exclusions(&self) -> Vec<String> {
        let mut lines = vec![
            format!("epochs above {}", self.epochs),
            format!("more than {} timers that run out", self.timers),
            format!("more than {} records of the application", self.appends),
            format!(
                "more than {} crashes, {} failed saves, {} lost disks, {} doubled messages",
                self.crashes, self.broken, self.wipes, self.copies
            ),
            format!(
                "more than {} removals and {} additions of voters, {} shutdowns",
                self.removals, self.adds, self.shutdowns
            ),
            format!(
                "more than {} requests at a time that arrive after their sender gave up on them",
                self.delayed
            ),
            "snapshots, updates of voters, and nodes that join by themselves".to_owned(),
        ];
        let flags = [
            (
                self.slow_answers,
                "anything between the answer to a pre-vote, BeginQuorumEpoch or EndQuorumEpoch and its arrival",
            ),
            (
                self.timeouts,
                "requests that are given up while the sender's state lasts",
            ),
            (
                self.discovery,
                "Fetches of nodes that know no leader: they are lost",
            ),
            (
                self.fetch_waits_end,
                "Fetches that are answered because they waited long enough",
            ),
            (
                self.slow_disk,
                "anything that happens to a node between a write and its sync",
            ),
        ];
        let off = flags.iter().filter(|(on, _)| !on);
        lines.extend(off.map(|(_, what)| (*what).to_owned()));
        lines
    }
}
