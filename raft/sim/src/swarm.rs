//! What a run is like: all of it drawn from the seed, so that a thousand seeds are a thousand
//! different quorums, networks and misfortunes.

use crate::clock::Micros;
use crate::rng::{Salt, Stream};

/// Which rules of the world a run breaks, and so which invariants it is run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing that the protocol does not bear.
    General,
    /// A voter without directory id loses its disk and comes back as if nothing had been: what
    /// was committed may be lost. Nodes must not make it worse.
    LostDisk,
    /// One leader, a network that lets some pairs through only, and no faults: nobody may depose
    /// a leader that a majority reaches (KIP-996).
    StableLeader,
}

/// How the network is.
#[derive(Clone, Debug)]
pub struct Network {
    /// The least latency, in microseconds.
    pub latency: Micros,
    /// The mean of what comes on top.
    pub jitter: Micros,
    /// Messages lost, of a thousand.
    pub loss: u32,
    /// Requests that arrive twice, of a thousand.
    pub duplicates: u32,
    /// Messages that take a hundred times as long, of a thousand.
    pub stragglers: u32,
    /// Fetch responses whose records are not what the leader sent, of a thousand.
    pub lies: u32,
}

/// What fails: the weights of the kinds of faults, and how often there is one.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The mean time between two.
    pub period: Micros,
    /// A weight for each of [`crate::faults::Fault::ALL`].
    pub weights: Vec<u64>,
    /// How long a machine is down, a partition lasts, at the mean.
    pub lasting: Micros,
    /// Crashes right after something of importance left the machine, of a thousand.
    pub at_the_worst: u32,
}

/// What clients and the application do.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The mean time between two appends.
    pub append: Micros,
    /// The most records of an append.
    pub records: u64,
    /// The mean time between two snapshots of any node.
    pub snapshot: Micros,
    /// The mean time between two changes of the voters; 0 for none.
    pub change: Micros,
    /// The mean time between two other commands: describing, resigning.
    pub command: Micros,
    /// The size of a snapshot beyond its content, in bytes.
    pub snapshot_padding: u64,
}

/// The settings of all nodes.
#[derive(Clone, Debug)]
pub struct Timers {
    /// See [`kwire_raft::Config`].
    pub election_timeout_ms: u64,
    /// See [`kwire_raft::Config`].
    pub fetch_timeout_ms: u64,
    /// See [`kwire_raft::Config`].
    pub request_timeout_ms: u64,
    /// See [`kwire_raft::Config`].
    pub retry_backoff_ms: u64,
    /// See [`kwire_raft::Config`].
    pub fetch_max_wait_ms: u64,
    /// See [`kwire_raft::Config`].
    pub append_linger_ms: u64,
    /// See [`kwire_raft::Config`].
    pub fetch_max_bytes: i32,
    /// See [`kwire_raft::Config`].
    pub fetch_snapshot_max_bytes: i32,
}

/// Everything that is drawn for a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it was drawn from.
    pub seed: u64,
    /// The kind of the run.
    pub scenario: Scenario,
    /// Voters at the beginning, 1 to 5.
    pub voters: usize,
    /// Observers at the beginning, 0 to 3.
    pub observers: usize,
    /// The feature `kraft.version` at the beginning.
    pub kraft_version: i16,
    /// The voters are moved into the log at some time, if they are not there.
    pub upgrades: bool,
    /// Observers join as voters by themselves (KIP-1186).
    pub auto_join: bool,
    /// Old nodes are among the new: their highest versions are drawn for each.
    pub mixed_versions: bool,
    /// Whether the disk is synced beside the node's work.
    pub asynchronous: bool,
    /// The mean time of a sync.
    pub sync: Micros,
    /// The most that a clock drifts.
    pub drift_permille: u64,
    /// The network of the first phase.
    pub network: Network,
    /// The faults of the first phase.
    pub faults: Faults,
    /// The load.
    pub workload: Workload,
    /// The nodes' settings.
    pub timers: Timers,
    /// How long the first phase lasts.
    pub safety: Micros,
    /// At the end of the first phase all machines lose their power at once, and from then on
    /// latencies do not vary: only the election's own randomness keeps them apart.
    pub power_cut: bool,
}

const MS: Micros = 1_000;

impl Options {
    /// What a seed stands for.
    #[must_use]
    pub fn draw(seed: u64) -> Options {
        let mut stream = Stream::new(seed, Salt::Swarm);
        let s = &mut stream;
        let scenario = match s.below(40) {
            0 | 1 => Scenario::LostDisk,
            2 => Scenario::StableLeader,
            _ => Scenario::General,
        };
        let voters = *s.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]).unwrap_or(&3);
        let observers = s.index(4);
        let kraft_version = if s.permille(600) { 1 } else { 0 };
        let timers = Timers::draw(s);
        let mut options = Options {
            seed,
            scenario,
            voters,
            observers,
            kraft_version,
            upgrades: s.permille(400),
            auto_join: s.permille(250),
            mixed_versions: s.permille(300),
            asynchronous: s.permille(600),
            sync: s.between(100, 5_000) * if s.permille(200) { 10 } else { 1 },
            drift_permille: if s.permille(500) { s.below(20) } else { 0 },
            network: Network::draw(s, timers.election_timeout_ms),
            faults: Faults::draw(s, &timers),
            workload: Workload::draw(s),
            safety: s.between(10, 40) * timers.election_timeout_ms * MS,
            power_cut: s.permille(300),
            timers,
        };
        options.fit();
        options
    }

    /// Lets a kind of run have what it needs.
    fn fit(&mut self) {
        match self.scenario {
            Scenario::General => {}
            Scenario::LostDisk => {
                self.voters = self.voters.max(3);
                self.kraft_version = 0;
                self.upgrades = false;
            }
            Scenario::StableLeader => {
                self.voters = 5;
                self.workload.change = 0;
                self.auto_join = false;
                self.upgrades = false;
                self.mixed_versions = false;
                self.drift_permille = 0;
                self.network.loss = 0;
                self.network.stragglers = 0;
                self.network.lies = 0;
                self.network.latency = 200;
                self.network.jitter = 200;
                self.faults.period = Micros::MAX;
                self.faults.at_the_worst = 0;
                self.sync = 300;
            }
        }
        if self.mixed_versions {
            // Directory ids are in newer versions only.
            self.upgrades = false;
        }
        if self.kraft_version == 0 && !self.upgrades {
            self.auto_join = false;
        }
    }
}

impl Timers {
    fn draw(s: &mut Stream) -> Timers {
        let election_timeout_ms = s.between(100, 1_000);
        Timers {
            election_timeout_ms,
            fetch_timeout_ms: election_timeout_ms * s.between(10, 25) / 10,
            request_timeout_ms: election_timeout_ms * s.between(10, 20) / 10,
            retry_backoff_ms: s.between(5, 50),
            fetch_max_wait_ms: election_timeout_ms * s.between(2, 7) / 10,
            append_linger_ms: s.pick(&[0, 5, 25]).copied().unwrap_or(0),
            fetch_max_bytes: s.pick(&[1, 300, 2_000, 1 << 20]).copied().unwrap_or(1),
            fetch_snapshot_max_bytes: s.pick(&[50, 200, 1_000, 1 << 20]).copied().unwrap_or(50),
        }
    }
}

impl Network {
    fn draw(s: &mut Stream, election_timeout_ms: u64) -> Network {
        let slow = s.permille(250);
        let share = if slow { 4 } else { 40 };
        Network {
            latency: s.between(50, 1_000),
            jitter: s.between(10, election_timeout_ms * MS / share),
            loss: if s.permille(500) {
                s.below(100) as u32
            } else {
                0
            },
            duplicates: if s.permille(500) {
                s.below(150) as u32
            } else {
                0
            },
            stragglers: if s.permille(400) {
                s.below(50) as u32
            } else {
                0
            },
            lies: if s.permille(200) {
                s.below(50) as u32
            } else {
                0
            },
        }
    }

    /// How it is once all is well again.
    #[must_use]
    pub fn healed(constant: bool) -> Network {
        Network {
            latency: 500,
            jitter: if constant { 0 } else { 500 },
            loss: 0,
            duplicates: 0,
            stragglers: 0,
            lies: 0,
        }
    }
}

impl Faults {
    fn draw(s: &mut Stream, timers: &Timers) -> Faults {
        let timeout = timers.election_timeout_ms * MS;
        let kinds = crate::faults::Fault::ALL.len();
        let weights = (0..kinds)
            .map(|_| if s.permille(400) { s.between(1, 10) } else { 0 })
            .collect();
        Faults {
            period: timeout * s.between(2, 40) / 10,
            weights,
            lasting: timeout * s.between(1, 30) / 10,
            at_the_worst: if s.permille(500) {
                s.below(200) as u32
            } else {
                0
            },
        }
    }
}

impl Workload {
    fn draw(s: &mut Stream) -> Workload {
        let often = s.permille(500);
        Workload {
            append: s.between(2, if often { 20 } else { 200 }) * MS,
            records: s.between(1, 6),
            snapshot: s.between(30, if often { 300 } else { 3_000 }) * MS,
            change: if s.permille(600) {
                s.between(50, 1_500) * MS
            } else {
                0
            },
            command: s.between(100, 5_000) * MS,
            snapshot_padding: s.pick(&[0, 100, 1_000, 5_000]).copied().unwrap_or(0),
        }
    }
}
