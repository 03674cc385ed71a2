//! What joins a node with a disk: the one executor of a node's outputs.
//!
//! The server, the simulator and the model check all run nodes through a [`Driver`]. It does the
//! disk operations in their order, finds what Fetches are answered with, and holds messages back
//! until what they depend on is durable. What is left for its surroundings is in [`Effect`]:
//! sending, answering, and, for an asynchronous disk, syncing.

#[cfg(feature = "model")]
mod check;
mod error;
mod listener;
mod memory;
mod memory_state;
mod range;
mod reading;
mod store;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use kwire_protocol::records::Batches;

pub use error::{DriverError, ErrorOf};
pub use listener::{Listener, ListenerEvent};
pub use memory::{MemoryBarrier, MemoryError, MemoryLog};
pub use memory_state::MemoryState;
pub use range::{LogRange, MemoryRange};
pub use store::{Barrier, Chore, Installed, LogStore, StateStore};

use crate::config::Config;
use crate::message::{Request, Response};
use crate::mutation::{Mutation, is_off};
use crate::node::{
    AppendError, CallError, CallId, Destination, DiskOp, Event, Incoming, IoId, Node, Output, Token,
};
use crate::types::{Epoch, Instant, Offset, OffsetAndEpoch, Recovered, SnapshotInfo};

/// When writes are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disk {
    /// By the driver, before the call that caused them returns.
    Synchronous,
    /// By whoever runs the barrier of an [`Effect::Sync`], one at a time: what is written
    /// meanwhile shares the next.
    Asynchronous,
}

/// What a driver asks of its surroundings.
#[derive(Debug)]
#[non_exhaustive]
pub enum Effect<B, R> {
    /// Send a request. Its answer, or why there is none, goes to [`Driver::answer`].
    Send {
        /// Its id.
        call: CallId,
        /// Where it goes.
        to: Destination,
        /// The request.
        request: Request,
    },
    /// Answer a request.
    Reply {
        /// The request.
        token: Token,
        /// The answer.
        response: Response,
        /// The records of a Fetch's answer, or the bytes of a FetchSnapshot's, which `response` is
        /// then to be completed with ([`LogRange::complete`]), or which follow it from the file.
        /// They stay as they are, so this may be done by whoever has the connection. Records that
        /// are not committed yet stand in `response` already.
        records: Option<R>,
    },
    /// Run this barrier, and then call [`Driver::synced`] with the id.
    Sync {
        /// Its id.
        id: IoId,
        /// The barrier.
        barrier: B,
    },
    /// Tell the application.
    Notify(Event),
}

/// A node with its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver<L: LogStore, S: StateStore> {
    node: Node,
    log: L,
    state: S,
    disk: Disk,
    /// Messages that wait for a disk operation, in the order in which they may leave.
    held: VecDeque<(IoId, Message<L::Range>)>,
    effects: VecDeque<Ready<L::Range>>,
    /// The last operation that was done.
    issued: IoId,
    /// The last operation that needs a barrier which has not been asked for yet.
    unsynced: Option<IoId>,
    /// The barrier that is being run covers everything up to this operation.
    syncing: Option<IoId>,
    durable: IoId,
    has_failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Message<R> {
    Send {
        call: CallId,
        to: Destination,
        request: Request,
    },
    Reply {
        token: Token,
        response: Response,
        records: Option<R>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ready<R> {
    Message(Message<R>),
    Notify(Event),
}

impl<L: LogStore, S: StateStore> Driver<L, S> {
    /// Starts a node with what its stores hold.
    ///
    /// # Errors
    /// When they cannot be read or written, or the node cannot start with them.
    pub fn new(
        now: Instant,
        config: Config,
        disk: Disk,
        mut log: L,
        mut state: S,
    ) -> Result<Driver<L, S>, ErrorOf<L, S>> {
        let recovered = Recovered {
            quorum_state: state.load().map_err(DriverError::State)?,
            ..log.recovered().map_err(DriverError::Log)?
        };
        let node = Node::new(now, config, recovered).map_err(DriverError::Start)?;
        let mut driver = Driver {
            node,
            log,
            state,
            disk,
            held: VecDeque::new(),
            effects: VecDeque::new(),
            issued: IoId(0),
            unsynced: None,
            syncing: None,
            durable: IoId(0),
            has_failed: false,
        };
        driver.run(now)?;
        Ok(driver)
    }

    /// The node, to look at.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The log, to look at.
    #[must_use]
    pub fn log(&self) -> &L {
        &self.log
    }

    /// The election state's store, to look at.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The stores, of a node that stops here.
    #[must_use]
    pub fn into_stores(self) -> (L, S) {
        (self.log, self.state)
    }

    /// When [`timeout`](Self::timeout) is to be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.node.poll_timeout()
    }

    /// The next thing to do. After each call, drain until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect<L::Barrier, L::Range>> {
        if self.has_failed {
            return None;
        }
        if let Some(ready) = self.effects.pop_front() {
            return Some(match ready {
                Ready::Message(Message::Send { call, to, request }) => {
                    Effect::Send { call, to, request }
                }
                Ready::Message(Message::Reply {
                    token,
                    response,
                    records,
                }) => Effect::Reply {
                    token,
                    response,
                    records,
                },
                Ready::Notify(event) => Effect::Notify(event),
            });
        }
        // Last, so that whatever else was written has its share of it.
        if self.disk == Disk::Asynchronous
            && self.syncing.is_none()
            && self.unsynced.take().is_some()
        {
            let id = self.issued;
            self.syncing = Some(id);
            let barrier = self.log.barrier();
            return Some(Effect::Sync { id, barrier });
        }
        None
    }

    /// What the log has left to do, for an asynchronous disk: to be done on any thread, one after
    /// the other, and then told of ([`chore_done`](Self::chore_done)). To be asked for when there
    /// are no more effects.
    pub fn poll_chore(&mut self) -> Option<Chore<L::Error>> {
        if self.has_failed {
            return None;
        }
        self.log.chore()
    }

    /// A [chore](Self::poll_chore) was done.
    ///
    /// # Errors
    /// When it failed, or a store did before.
    pub fn chore_done(&mut self, outcome: Result<(), L::Error>) -> Result<(), ErrorOf<L, S>> {
        self.check()?;
        outcome.or_else(|error| self.fail(DriverError::Log(error)))
    }

    /// A moment came.
    ///
    /// # Errors
    /// When a store failed, now or before.
    pub fn timeout(&mut self, now: Instant) -> Result<(), ErrorOf<L, S>> {
        self.input(now, |node| node.handle_timeout(now))
    }

    /// A request came.
    ///
    /// # Errors
    /// When a store failed, now or before.
    pub fn request(&mut self, now: Instant, incoming: Incoming) -> Result<(), ErrorOf<L, S>> {
        self.input(now, |node| node.handle_request(now, incoming))
    }

    /// A request was answered, or cannot be.
    ///
    /// # Errors
    /// When a store failed, now or before.
    pub fn answer(
        &mut self,
        now: Instant,
        call: CallId,
        answer: Result<Response, CallError>,
    ) -> Result<(), ErrorOf<L, S>> {
        self.check()?;
        let answer = match self.cuts_a_batch(&answer) {
            Ok(true) => Err(CallError::Malformed),
            Ok(false) => answer,
            Err(error) => return self.fail(error),
        };
        self.input(now, |node| node.handle_answer(now, call, answer))
    }

    /// Whether an answer wants the log to end within a batch, which it has nothing to end with. No
    /// leader that has a log says so, and the node does not know where batches begin.
    fn cuts_a_batch(&self, answer: &Result<Response, CallError>) -> Result<bool, ErrorOf<L, S>> {
        let Ok(Response::Fetch(response)) = answer else {
            return Ok(false);
        };
        let partition = response
            .responses
            .first()
            .and_then(|t| t.partitions.first());
        let Some(diverging) = partition.map(|p| &p.diverging_epoch) else {
            return Ok(false);
        };
        if diverging.epoch < 0 || diverging.end_offset < 0 {
            return Ok(false);
        }
        // Not where the leader's epoch ends, but where this log is to be cut for it.
        let leaders = OffsetAndEpoch::new(diverging.end_offset, diverging.epoch);
        let to = self.node.common_end(leaders);
        let end = self.node.log_end().offset;
        if to <= self.node.log_start() || to >= end {
            return Ok(false);
        }
        let batch = self.log.read(to, end, 1).map_err(DriverError::Log)?;
        let first = Batches::new(&batch).next().and_then(Result::ok);
        let base = first.and_then(|batch| Some(batch.header()?.base_offset));
        Ok(base != Some(to))
    }

    /// The barrier of an [`Effect::Sync`] was run.
    ///
    /// # Errors
    /// When it failed, or a store did, now or before.
    pub fn synced(
        &mut self,
        now: Instant,
        id: IoId,
        outcome: Result<(), L::Error>,
    ) -> Result<(), ErrorOf<L, S>> {
        self.check()?;
        if let Err(error) = outcome {
            return self.fail(DriverError::Log(error));
        }
        self.syncing = None;
        // What was done since, and needs no barrier, is durable as well.
        let done = if self.unsynced.is_none() {
            self.issued
        } else {
            id
        };
        self.done(now, done);
        self.run(now)
    }

    /// A command of the application: appending, resigning and the like.
    ///
    /// # Errors
    /// When a store failed, now or before.
    pub fn command<T>(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut Node) -> T,
    ) -> Result<T, ErrorOf<L, S>> {
        self.check()?;
        let result = command(&mut self.node);
        self.run(now)?;
        Ok(result)
    }

    /// Appends a record for each value; see [`Node::append`].
    ///
    /// # Errors
    /// The outer one when a store failed, the inner one when the node refuses.
    pub fn append(
        &mut self,
        now: Instant,
        epoch: Epoch,
        values: &[&[u8]],
    ) -> Result<Result<Offset, AppendError>, ErrorOf<L, S>> {
        self.command(now, |node| node.append(now, epoch, values))
    }

    /// Writes a part of a snapshot of the application's; see [`Node::prepare_snapshot`]. This, and
    /// to finish it, takes as long as the disk does; a log in files has a way
    /// [beside](crate::log::FileLog::beside).
    ///
    /// # Errors
    /// When the log failed, now or before.
    pub fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), ErrorOf<L, S>> {
        self.check()?;
        let written = self.log.write_snapshot(id, position, bytes);
        written.or_else(|error| self.fail(DriverError::Log(error)))
    }

    /// Makes a snapshot of the application's whole. The inner error says why the node does not
    /// want it.
    ///
    /// # Errors
    /// When the log failed, now or before.
    pub fn finish_snapshot(
        &mut self,
        now: Instant,
        id: OffsetAndEpoch,
    ) -> Result<Result<SnapshotInfo, crate::node::SnapshotError>, ErrorOf<L, S>> {
        self.check()?;
        match self.log.finish_snapshot(id) {
            Ok(info) => self.command(now, |node| node.snapshot_taken(now, info).map(|()| info)),
            Err(error) => self.fail(DriverError::Log(error)),
        }
    }

    fn input(&mut self, now: Instant, input: impl FnOnce(&mut Node)) -> Result<(), ErrorOf<L, S>> {
        self.check()?;
        input(&mut self.node);
        self.run(now)
    }

    fn check(&self) -> Result<(), ErrorOf<L, S>> {
        if self.has_failed {
            return Err(DriverError::Stopped);
        }
        Ok(())
    }

    fn fail<T>(&mut self, error: ErrorOf<L, S>) -> Result<T, ErrorOf<L, S>> {
        self.has_failed = true;
        self.held.clear();
        self.effects.clear();
        Err(error)
    }

    /// Does what the node asks for, until it asks for nothing more.
    fn run(&mut self, now: Instant) -> Result<(), ErrorOf<L, S>> {
        loop {
            while let Some(output) = self.node.poll_output() {
                if let Err(error) = self.execute(now, output) {
                    return self.fail(error);
                }
            }
            if self.disk == Disk::Synchronous
                && let Err(error) = self.sync()
            {
                return self.fail(DriverError::Log(error));
            }
            let is_waiting = self.unsynced.is_some() || self.syncing.is_some();
            if is_waiting || self.durable >= self.issued {
                return Ok(());
            }
            self.done(now, self.issued);
        }
    }

    /// Makes what was done durable, and leaves nothing behind.
    fn sync(&mut self) -> Result<(), L::Error> {
        if self.unsynced.take().is_some() {
            self.log.barrier().sync()?;
        }
        while let Some(chore) = self.log.chore() {
            chore.run()?;
        }
        Ok(())
    }

    /// Everything up to an operation is durable: messages that waited for it may leave.
    fn done(&mut self, now: Instant, id: IoId) {
        self.durable = self.durable.max(id);
        let (ready, held) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(after, _)| *after <= self.durable);
        self.held = held;
        let ready: VecDeque<(IoId, Message<L::Range>)> = ready;
        for (_, message) in ready {
            // A request of a state that is over, such as an earlier election, stays at home.
            let is_over =
                matches!(&message, Message::Send { call, .. } if !self.node.awaits(*call));
            if !is_over {
                self.effects.push_back(Ready::Message(message));
            }
        }
        self.node.handle_disk(now, id);
    }

    fn execute(&mut self, now: Instant, output: Output) -> Result<(), ErrorOf<L, S>> {
        match output {
            Output::Disk { id, op } => self.execute_on_disk(now, id, op)?,
            Output::Send {
                after,
                call,
                to,
                request,
            } => self.release(after, Message::Send { call, to, request }),
            Output::Reply {
                after,
                token,
                response,
            } => self.reply(after, token, response, None),
            Output::ReplyWithLog {
                after,
                token,
                response,
                from,
                until,
                max_bytes,
            } => {
                let mut response = Response::from(response);
                let records = self.read_for_fetch(&mut response, from, until, max_bytes)?;
                self.reply(after, token, response, records);
            }
            Output::ReplyWithSnapshot {
                after,
                token,
                response,
                id,
                position,
                max_bytes,
            } => {
                let bytes = self.log.snapshot_range(id, position, max_bytes);
                let bytes = bytes.map_err(DriverError::Log)?;
                self.reply(after, token, response.into(), Some(bytes));
            }
            Output::Notify(event) => self.effects.push_back(Ready::Notify(event)),
        }
        Ok(())
    }

    fn reply(
        &mut self,
        after: Option<IoId>,
        token: Token,
        response: Response,
        records: Option<L::Range>,
    ) {
        let message = Message::Reply {
            token,
            response,
            records,
        };
        self.release(after, message);
    }

    /// Lets a message go, or holds it until what it depends on is durable.
    fn release(&mut self, after: Option<IoId>, message: Message<L::Range>) {
        match after {
            Some(after) if after > self.durable => {
                // A disk that stands still must not gather requests that were given up.
                let node = &self.node;
                let is_wanted = |message: &Message<_>| !matches!(message, Message::Send { call, .. } if !node.awaits(*call));
                self.held.retain(|(_, held)| is_wanted(held));
                self.held.push_back((after, message));
            }
            _ => self.effects.push_back(Ready::Message(message)),
        }
    }

    fn execute_on_disk(&mut self, now: Instant, id: IoId, op: DiskOp) -> Result<(), ErrorOf<L, S>> {
        self.issued = id;
        let done = match op {
            DiskOp::SaveQuorumState {
                state,
                kraft_version,
                voters,
            } => {
                let saved = self.state.save(&state, kraft_version, &voters);
                return match saved {
                    Err(_) if is_off(Mutation::AnswerThoughSavingFailed) => Ok(()),
                    saved => saved.map_err(DriverError::State),
                };
            }
            DiskOp::Append { base, batches } => {
                self.unsynced = Some(id);
                self.log.append(base, &batches)
            }
            DiskOp::Truncate { to } => {
                self.unsynced = Some(id);
                self.log.truncate(to)
            }
            DiskOp::WriteSnapshot {
                id,
                position,
                bytes,
            } => self.log.write_snapshot(id, position, &bytes),
            DiskOp::InstallSnapshot { id } => match self.log.install_snapshot(id) {
                Ok(outcome) => {
                    self.node.handle_installed(now, id, outcome);
                    Ok(())
                }
                Err(error) => Err(error),
            },
            DiskOp::DropUnfinishedSnapshots => self.log.drop_unfinished_snapshots(),
            DiskOp::DeleteBefore { id } => self.log.delete_before(id),
        };
        done.map_err(DriverError::Log)
    }
}
