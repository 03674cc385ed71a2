//! A machine: its disk and its clock, and a node while it runs.

use kwire_raft::Config;
use kwire_raft::config;
use kwire_raft::driver::Driver;
use kwire_raft::types::{Instant, NodeId, QuorumState, ReplicaKey, Uuid};
use kwire_raft::voters::{Address, Endpoints};

use crate::app::App;
use crate::clock::{Clock, Micros};
use crate::disk::{Disk, FailingSwitch, SimLog, SimState};
use crate::shadow::Shadow;
use crate::versions::Versions;

/// The name of the listener of all nodes.
pub const LISTENER: &str = "CONTROLLER";

/// A node's driver, in the simulator.
pub type SimDriver<L> = Driver<Disk<L>, SimState>;

/// A machine is on, or its disk waits for it to be.
pub(crate) enum Machine<L: SimLog> {
    On(Box<(SimDriver<L>, App)>),
    Off(Box<(Disk<L>, SimState)>),
    /// Only within a change from one to the other.
    Between,
}

/// A machine.
pub struct Host<L: SimLog> {
    /// Which one it is.
    pub index: usize,
    /// How often it was started.
    pub incarnation: u32,
    /// Its clock.
    pub clock: Clock,
    /// What it speaks.
    pub versions: Versions,
    /// The configuration of its node.
    pub config: Config,
    pub(crate) machine: Machine<L>,
    /// When it goes on, if it stands still.
    pub paused_until: Micros,
    /// When the next timer event is due.
    pub(crate) timer_at: Micros,
    /// Timers that came due at once, one after the other.
    pub(crate) idle_timers: u32,
    /// It will not be started any more.
    pub is_gone: bool,
    /// It was asked to shut down.
    pub is_stopping: bool,
    pub(crate) failing: FailingSwitch,
}

impl<L: SimLog> Host<L> {
    pub(crate) fn new(
        index: usize,
        config: config::Config,
        clock: Clock,
        versions: Versions,
        disk: Disk<L>,
    ) -> Host<L> {
        let failing = disk.failing();
        let state = SimState::new(disk.failing());
        Host {
            index,
            incarnation: 0,
            clock,
            versions,
            config,
            machine: Machine::Off(Box::new((disk, state))),
            paused_until: 0,
            timer_at: Micros::MAX,
            idle_timers: 0,
            is_gone: false,
            is_stopping: false,
            failing,
        }
    }

    /// The node's id.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.config.id
    }

    /// The node as a replica.
    #[must_use]
    pub fn key(&self) -> Option<ReplicaKey> {
        self.config.key()
    }

    /// The driver, while it runs.
    #[must_use]
    pub fn driver(&self) -> Option<&SimDriver<L>> {
        match &self.machine {
            Machine::On(on) => Some(&on.0),
            _ => None,
        }
    }

    pub(crate) fn running(&mut self) -> Option<&mut (SimDriver<L>, App)> {
        match &mut self.machine {
            Machine::On(on) => Some(on),
            _ => None,
        }
    }

    /// The offset after what its application applied.
    #[must_use]
    pub fn applied(&self) -> Option<kwire_raft::types::Offset> {
        match &self.machine {
            Machine::On(on) => Some(on.1.applied()),
            _ => None,
        }
    }

    /// Whether its node runs.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self.machine, Machine::On(_))
    }

    /// Its log as it was written.
    #[must_use]
    pub fn shadow(&self) -> &Shadow {
        match &self.machine {
            Machine::On(on) => on.0.log().shadow(),
            Machine::Off(off) => off.0.shadow(),
            Machine::Between => unreachable!("nobody looks within a change"),
        }
    }

    /// The offset before which a crash leaves its log as it is.
    #[must_use]
    pub fn durable(&self) -> kwire_raft::types::Offset {
        match &self.machine {
            Machine::On(on) => on.0.log().durable(),
            Machine::Off(off) => off.0.durable(),
            Machine::Between => unreachable!("nobody looks within a change"),
        }
    }

    /// What a crash would leave of its election state.
    #[must_use]
    pub fn saved(&self) -> Option<QuorumState> {
        match &self.machine {
            Machine::On(on) => on.0.state().saved(),
            Machine::Off(off) => off.1.saved(),
            Machine::Between => unreachable!("nobody looks within a change"),
        }
    }

    /// What its clock shows.
    #[must_use]
    pub fn now(&self, now: Micros) -> Instant {
        self.clock.read(now)
    }

    /// The node loses its disk, and has a new one with another directory.
    pub(crate) fn lose_disk(&mut self, directory: Uuid) -> Option<Disk<L>> {
        let Machine::Off(off) = &mut self.machine else {
            return None;
        };
        let old = std::mem::replace(&mut off.0, Disk::format(None));
        self.failing = off.0.failing();
        off.1 = SimState::new(off.0.failing());
        self.config.directory_id = directory;
        Some(old)
    }
}

/// Where a machine listens. It goes on listening at the ports that it had.
#[must_use]
pub fn address(index: usize, generation: u16) -> Address {
    Address::new(format!("machine-{index}"), 9_000 + generation)
}

/// The machine that an address leads to.
#[must_use]
pub fn machine_at(address: &Address) -> Option<usize> {
    address.host.strip_prefix("machine-")?.parse().ok()
}

/// The endpoints of a machine.
#[must_use]
pub fn endpoints(index: usize, generation: u16) -> Endpoints {
    Endpoints::one(LISTENER, address(index, generation))
}
