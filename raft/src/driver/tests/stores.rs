//! Stores that fail when they are told to, and drivers on them.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::config::Config;
use crate::driver::{
    Barrier, Disk, Driver, Effect, Installed, LogRange, LogStore, MemoryBarrier, MemoryLog,
    MemoryRange, MemoryState, StateStore,
};
use crate::log::snapshot::{SnapshotOptions, SnapshotWriter};
use crate::message::{Request, Response};
use crate::node::tests::messages::on_the_wire;
use crate::node::{CallId, Event, Incoming, IoId, Token};
use crate::types::{Instant, NodeId, Offset, OffsetAndEpoch, QuorumState, Recovered, SnapshotInfo};

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Save,
    Append,
    Truncate,
    Sync,
    Read,
    Install,
    Finish,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk is gone")
    }
}

impl std::error::Error for Failure {}

impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Failure {
        match never {}
    }
}

/// The switch of a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch {
    fault: Rc<Cell<Option<Fault>>>,
    sync: Arc<AtomicBool>,
}

impl Switch {
    pub(super) fn fail(&self, fault: Fault) {
        self.fault.set(Some(fault));
        self.sync.store(fault == Fault::Sync, Ordering::Relaxed);
    }

    fn check(&self, fault: Fault) -> Result<(), Failure> {
        if self.fault.get() == Some(fault) {
            return Err(Failure);
        }
        Ok(())
    }
}

pub(super) struct Log {
    pub(super) memory: MemoryLog,
    switch: Switch,
}

fn memory<T, E: fmt::Debug>(result: Result<T, E>) -> Result<T, Failure> {
    Ok(result.expect("the driver does nothing that a log refuses"))
}

impl LogStore for Log {
    type Error = Failure;
    type Barrier = Sync;
    type Range = MemoryRange;

    fn recovered(&mut self) -> Result<Recovered, Failure> {
        self.switch.check(Fault::Read)?;
        memory(self.memory.recovered())
    }

    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), Failure> {
        self.switch.check(Fault::Append)?;
        memory(self.memory.append(base, batches))
    }

    fn truncate(&mut self, to: Offset) -> Result<(), Failure> {
        self.switch.check(Fault::Truncate)?;
        memory(self.memory.truncate(to))
    }

    fn barrier(&mut self) -> Sync {
        Sync {
            memory: self.memory.barrier(),
            fails: Arc::clone(&self.switch.sync),
        }
    }

    fn read(&self, from: Offset, until: Offset, max: usize) -> Result<Bytes, Failure> {
        self.switch.check(Fault::Read)?;
        memory(self.memory.read(from, until, max))
    }

    fn range(&self, from: Offset, until: Offset, max: usize) -> Result<MemoryRange, Failure> {
        self.switch.check(Fault::Read)?;
        memory(self.memory.range(from, until, max))
    }

    fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        memory(self.memory.write_snapshot(id, position, bytes))
    }

    fn finish_snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, Failure> {
        self.switch.check(Fault::Finish)?;
        memory(self.memory.finish_snapshot(id))
    }

    fn install_snapshot(&mut self, id: OffsetAndEpoch) -> Result<Installed, Failure> {
        self.switch.check(Fault::Install)?;
        memory(self.memory.install_snapshot(id))
    }

    fn drop_unfinished_snapshots(&mut self) -> Result<(), Failure> {
        memory(self.memory.drop_unfinished_snapshots())
    }

    fn read_snapshot(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max: usize,
    ) -> Result<Bytes, Failure> {
        memory(self.memory.read_snapshot(id, position, max))
    }

    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max: usize,
    ) -> Result<MemoryRange, Failure> {
        memory(self.memory.snapshot_range(id, position, max))
    }

    fn delete_before(&mut self, id: OffsetAndEpoch) -> Result<(), Failure> {
        memory(self.memory.delete_before(id))
    }
}

#[derive(Debug)]
pub(super) struct Sync {
    memory: MemoryBarrier,
    fails: Arc<AtomicBool>,
}

impl Barrier for Sync {
    type Error = Failure;

    fn sync(self) -> Result<(), Failure> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Failure);
        }
        memory(self.memory.sync())
    }
}

pub(super) struct State {
    pub(super) memory: MemoryState,
    switch: Switch,
}

impl StateStore for State {
    type Error = Failure;

    fn load(&mut self) -> Result<Option<QuorumState>, Failure> {
        memory(self.memory.load())
    }

    fn save(&mut self, state: &QuorumState, version: i16, ids: &[NodeId]) -> Result<(), Failure> {
        self.switch.check(Fault::Save)?;
        memory(self.memory.save(state, version, ids))
    }
}

/// A driver whose disk can fail, and its time.
pub(super) struct Machine {
    pub(super) driver: Driver<Log, State>,
    pub(super) switch: Switch,
    pub(super) now: Instant,
    tokens: u64,
}

/// What it asked for, but for barriers and news.
#[derive(Debug)]
pub(super) enum Said {
    Asked(CallId, Request),
    Answered(Token, Response),
}

impl Machine {
    pub(super) fn new(config: Config, disk: Disk) -> Machine {
        Machine::on(config, disk, MemoryLog::new(), MemoryState::new())
    }

    pub(super) fn on(config: Config, disk: Disk, log: MemoryLog, state: MemoryState) -> Machine {
        let switch = Switch::default();
        let log = Log {
            memory: log,
            switch: switch.clone(),
        };
        let state = State {
            memory: state,
            switch: switch.clone(),
        };
        let now = Instant(1_000);
        Machine {
            driver: Driver::new(now, config, disk, log, state).expect("it starts"),
            switch,
            now,
            tokens: 0,
        }
    }

    /// What leaves now, and the barrier to be run.
    pub(super) fn effects(&mut self) -> (Vec<Said>, Option<(IoId, Sync)>, Vec<Event>) {
        let (mut said, mut sync, mut news) = (Vec::new(), None, Vec::new());
        while let Some(effect) = self.driver.poll_effect() {
            assert!(sync.is_none(), "the barrier comes last, and alone");
            match effect {
                Effect::Send { call, request, .. } => said.push(Said::Asked(call, request)),
                Effect::Reply {
                    token,
                    response,
                    records,
                } => {
                    let response = LogRange::complete(response, records).expect("memory");
                    said.push(Said::Answered(token, response));
                }
                Effect::Sync { id, barrier } => sync = Some((id, barrier)),
                Effect::Notify(event) => news.push(event),
            }
        }
        (said, sync, news)
    }

    pub(super) fn said(&mut self) -> Vec<Said> {
        self.effects().0
    }

    /// Runs barriers until there is none, and says what left on the way.
    pub(super) fn settle(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let (said, sync, _) = self.effects();
            all.extend(said);
            let Some((id, barrier)) = sync else {
                return all;
            };
            let outcome = barrier.sync();
            self.driver.synced(self.now, id, outcome).expect("it works");
        }
    }

    /// A request; whether its consequences could be stored.
    pub(super) fn request(&mut self, version: i16, request: Request) -> (Token, bool) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let incoming = Incoming {
            token,
            version,
            request: on_the_wire(version, &request),
        };
        (token, self.driver.request(self.now, incoming).is_ok())
    }

    pub(super) fn answer(&mut self, call: CallId, response: impl Into<Response>) -> bool {
        let response = response.into();
        self.driver.answer(self.now, call, Ok(response)).is_ok()
    }
}

/// The call and the fetch offset of the Fetch that left.
pub(super) fn fetch_in(said: &[Said]) -> Option<(CallId, Offset)> {
    said.iter().find_map(|said| match said {
        Said::Asked(call, Request::Fetch(fetch)) => {
            Some((*call, fetch.topics[0].partitions[0].fetch_offset))
        }
        _ => None,
    })
}

/// A snapshot without data.
pub(super) fn snapshot(id: OffsetAndEpoch) -> Bytes {
    let writer = SnapshotWriter::new(SnapshotOptions::new(id, 0, 0));
    writer.finish().expect("it can be written").into()
}
