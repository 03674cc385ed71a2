//! The world: machines, a network, and what happens next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use kwire_raft::driver::{Barrier, DriverError, Effect, LogStore};
use kwire_raft::message::{Request, Response};
use kwire_raft::node::{Event as NodeEvent, IoId, RoleName, Token};
use kwire_raft::types::{Instant, Offset, ReplicaKey};

use crate::clock::Micros;
use crate::disk::SimLog;
use crate::faults::Fault;
use crate::host::{Host, SimDriver};
use crate::invariants::{HostView, Invariants, View};
use crate::marks::{Mark, Marks};
use crate::oracle::Oracle;
use crate::ranges::Ranges;
use crate::rng::{Salt, Stream};
use crate::shadow::Shadow;
use crate::swarm::{Options, Scenario};
use crate::trace::Trace;
use crate::wire::{Links, Packet, Pending};
use crate::workload::Client;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub invariant: &'static str,
    /// How it was broken.
    pub what: String,
}

/// A message that somebody saw, for the invariants about what nodes tell one another.
#[derive(Clone, Debug)]
pub enum Observed {
    /// A request left a node.
    Sent {
        /// The node.
        from: usize,
        /// The request.
        request: Rc<Request>,
    },
    /// A request reached a node.
    Received {
        /// The node.
        at: usize,
        /// The request.
        request: Rc<Request>,
    },
    /// A node answered a request.
    Replied {
        /// The node.
        from: usize,
        /// The request.
        request: Rc<Request>,
        /// The answer.
        response: Rc<Response>,
    },
}

/// Something that happens.
pub(crate) enum Event<B> {
    Timer {
        host: usize,
        incarnation: u32,
    },
    Packet(Packet),
    Synced {
        host: usize,
        incarnation: u32,
        id: IoId,
        barrier: B,
    },
    Start {
        host: usize,
    },
    Fault,
    Over(Fault, Vec<usize>),
    Append,
    Snapshot,
    Change,
    Command,
    /// An application gives up leading right after it was elected.
    Resign {
        host: usize,
        epoch: i32,
    },
    Heal,
    Check,
}

pub(crate) struct Scheduled<B> {
    at: Micros,
    seq: u64,
    event: Event<B>,
}

impl<B> PartialEq for Scheduled<B> {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl<B> Eq for Scheduled<B> {}
impl<B> PartialOrd for Scheduled<B> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<B> Ord for Scheduled<B> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A barrier of a machine's disk.
pub(crate) type BarrierOf<L> = <crate::disk::Disk<L> as LogStore>::Barrier;

/// The world of one run.
pub struct World<L: SimLog> {
    /// What it is like.
    pub options: Options,
    pub(crate) now: Micros,
    seq: u64,
    queue: BinaryHeap<Reverse<Scheduled<BarrierOf<L>>>>,
    /// The machines.
    pub hosts: Vec<Host<L>>,
    /// Disks that were lost, with the replicas that had them.
    pub(crate) lost: Vec<(ReplicaKey, Shadow)>,
    pub(crate) network: Stream,
    pub(crate) disk: Stream,
    pub(crate) luck: Stream,
    pub(crate) work: Stream,
    pub(crate) links: Links,
    pub(crate) tokens: BTreeMap<Token, Pending>,
    pub(crate) next_token: u64,
    pub(crate) client: Client,
    pub(crate) oracle: Oracle,
    invariants: Invariants,
    pub(crate) observed: Vec<Observed>,
    pub(crate) marks: Marks,
    pub(crate) ranges: Ranges<L>,
    pub(crate) trace: Trace,
    pub(crate) violation: Option<Violation>,
    pub(crate) events: u64,
    /// A machine that is to lose its power as soon as what it sent has left.
    pub(crate) doomed: Option<usize>,
    pub(crate) recovery: crate::liveness::Recovery,
    pub(crate) roles: Vec<Option<RoleName>>,
    /// How often each log was truncated, and how many voter sets it had.
    pub(crate) cuts: Vec<(u64, usize)>,
}

impl<L: SimLog> World<L> {
    /// A world whose machines are off.
    #[must_use]
    pub fn new(options: Options, prints: bool) -> World<L> {
        let seed = options.seed;
        let mut world = World {
            now: 0,
            seq: 0,
            queue: BinaryHeap::new(),
            hosts: crate::setup::hosts(&options),
            lost: Vec::new(),
            network: Stream::new(seed, Salt::Network),
            disk: Stream::new(seed, Salt::Disk),
            luck: Stream::new(seed, Salt::Faults),
            work: Stream::new(seed, Salt::Workload),
            links: Links::new(options.network.clone()),
            tokens: BTreeMap::new(),
            next_token: 0,
            client: Client::default(),
            oracle: Oracle::default(),
            invariants: Invariants::new(&options),
            observed: Vec::new(),
            marks: Marks::default(),
            ranges: Ranges::default(),
            trace: Trace::new(prints),
            violation: None,
            events: 0,
            doomed: None,
            recovery: crate::liveness::Recovery::default(),
            roles: Vec::new(),
            cuts: Vec::new(),
            options,
        };
        world.roles = vec![None; world.hosts.len()];
        world.cuts = vec![(0, 0); world.hosts.len()];
        world.begin();
        world
    }

    fn begin(&mut self) {
        let together = self.luck.permille(300);
        for host in 0..self.hosts.len() {
            let at = if together {
                0
            } else {
                self.luck.below(300_000)
            };
            self.at(at, Event::Start { host });
        }
        if self.options.scenario == Scenario::StableLeader {
            self.links.ring();
        }
        self.at(50_000, Event::Append);
        self.at(80_000, Event::Snapshot);
        self.at(100_000, Event::Command);
        if self.options.workload.change > 0 {
            self.at(120_000, Event::Change);
        }
        if self.options.faults.period < Micros::MAX {
            self.at(self.options.faults.period, Event::Fault);
        }
        self.at(self.options.safety, Event::Heal);
    }

    /// Lets things happen until the run is over, or a rule is broken.
    pub fn run(&mut self) {
        while self.violation.is_none() && !self.recovery.is_done {
            let Some(Reverse(next)) = self.queue.pop() else {
                return self.broken("liveness", "nothing will ever happen again".to_owned());
            };
            self.now = next.at;
            self.events += 1;
            self.happen(next.event);
        }
        self.look_at_ranges();
    }

    pub(crate) fn at(&mut self, at: Micros, event: Event<BarrierOf<L>>) {
        self.seq += 1;
        let seq = self.seq;
        let at = at.max(self.now);
        self.queue.push(Reverse(Scheduled { at, seq, event }));
    }

    pub(crate) fn after(&mut self, delay: Micros, event: Event<BarrierOf<L>>) {
        self.at(self.now.saturating_add(delay), event);
    }

    pub(crate) fn broken(&mut self, invariant: &'static str, what: String) {
        self.note(None, format_args!("BROKEN {invariant}: {what}"));
        let violation = Violation { invariant, what };
        self.violation.get_or_insert(violation);
    }

    pub(crate) fn note(&mut self, host: Option<usize>, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, host, what);
    }

    /// Whether this happens on a machine that stands still, and so later.
    fn is_postponed(&self, event: &Event<BarrierOf<L>>) -> Option<Micros> {
        let host = match event {
            Event::Timer { host, .. } | Event::Synced { host, .. } => *host,
            Event::Packet(packet) => packet.target(),
            _ => return None,
        };
        let until = self.hosts[host].paused_until;
        (until > self.now).then_some(until)
    }

    fn happen(&mut self, event: Event<BarrierOf<L>>) {
        if let Some(until) = self.is_postponed(&event) {
            return self.at(until, event);
        }
        let touched = self.take_place(event);
        if let Some(doomed) = self.doomed.take()
            && self.hosts[doomed].is_on()
        {
            self.note(
                Some(doomed),
                format_args!("loses power at the worst moment"),
            );
            self.crash(doomed);
            let down = self.lasting() / 4;
            self.after(down, Event::Start { host: doomed });
        }
        self.examine(touched);
    }

    fn take_place(&mut self, event: Event<BarrierOf<L>>) -> Option<usize> {
        match event {
            Event::Timer { host, incarnation } => {
                return self.timer(host, incarnation).then_some(host);
            }
            Event::Packet(packet) => return self.arrive(packet),
            Event::Synced {
                host,
                incarnation,
                id,
                barrier,
            } => {
                if self.hosts[host].incarnation == incarnation && self.hosts[host].is_on() {
                    let outcome = barrier.sync();
                    self.note(Some(host), format_args!("synced up to {}", id.0));
                    self.input(host, |driver, now| driver.synced(now, id, outcome));
                    self.do_chores(host);
                    return Some(host);
                }
            }
            Event::Start { host } => {
                self.start(host);
                return Some(host);
            }
            Event::Fault => self.strike(),
            Event::Over(fault, hosts) => self.relieve(fault, &hosts),
            Event::Append => return self.append(),
            Event::Snapshot => return self.snapshot(),
            Event::Change => return self.change(),
            Event::Command => return self.command(),
            Event::Resign { host, epoch } => return self.resign(host, epoch),
            Event::Heal => self.heal(),
            Event::Check => self.check_recovery(),
        }
        None
    }

    fn timer(&mut self, host: usize, incarnation: u32) -> bool {
        let machine = &mut self.hosts[host];
        if machine.incarnation != incarnation || !machine.is_on() || machine.timer_at > self.now {
            return false;
        }
        machine.timer_at = Micros::MAX;
        self.note(Some(host), format_args!("timer"));
        self.input(host, |driver, now| driver.timeout(now));
        true
    }

    /// Lets a node do something, and does what it asks for.
    pub(crate) fn input<T>(
        &mut self,
        host: usize,
        input: impl FnOnce(
            &mut SimDriver<L>,
            Instant,
        ) -> Result<
            T,
            kwire_raft::driver::ErrorOf<crate::disk::Disk<L>, crate::disk::SimState>,
        >,
    ) -> Option<T> {
        let machine = &mut self.hosts[host];
        let now = machine.clock.read(self.now);
        let (driver, _) = machine.running()?;
        match input(driver, now) {
            Ok(result) => {
                self.drain(host);
                Some(result)
            }
            Err(error) => {
                self.failed(host, &error);
                None
            }
        }
    }

    fn failed<A: std::error::Error, B: std::error::Error>(
        &mut self,
        host: usize,
        error: &DriverError<A, B>,
    ) {
        if !self.hosts[host].failing.borrow().has_failed {
            return self.broken("store", format!("machine {host}: {error}"));
        }
        self.marks.hit(Mark::DiskFailed);
        self.note(Some(host), format_args!("stops: {error}"));
        self.crash(host);
        let down = self.lasting();
        self.after(down, Event::Start { host });
    }

    pub(crate) fn drain(&mut self, host: usize) {
        loop {
            let Some((driver, _)) = self.hosts[host].running() else {
                return;
            };
            match driver.poll_effect() {
                None => break,
                Some(Effect::Send { call, to, request }) => self.send(host, call, &to, request),
                Some(Effect::Reply {
                    token,
                    response,
                    records,
                }) => {
                    let response = self.complete(host, response, records);
                    self.reply(host, token, response);
                }
                Some(Effect::Sync { id, barrier }) => {
                    let incarnation = self.hosts[host].incarnation;
                    let delay = self.disk.exponential(self.sync_mean());
                    let event = Event::Synced {
                        host,
                        incarnation,
                        id,
                        barrier,
                    };
                    self.after(delay, event);
                }
                Some(Effect::Notify(event)) => self.notified(host, &event),
                Some(_) => {}
            }
        }
        self.listen(host);
        self.acknowledge(host);
        self.watch(host);
        self.set_timer(host);
    }

    /// Chores are done now and then, as nothing waits for them.
    fn do_chores(&mut self, host: usize) {
        while let Some((driver, _)) = self.hosts[host].running()
            && let Some(chore) = driver.poll_chore()
        {
            let outcome = chore.run();
            self.input(host, |driver, _| driver.chore_done(outcome));
        }
    }

    fn sync_mean(&self) -> Micros {
        if self.recovery.is_healed() {
            self.options.sync.min(1_000)
        } else {
            self.options.sync
        }
    }

    fn notified(&mut self, host: usize, event: &NodeEvent) {
        self.note(Some(host), format_args!("{event:?}"));
        match event {
            NodeEvent::Committed { upto } => self.commit(host, *upto),
            NodeEvent::SnapshotInstalled { .. } => self.marks.hit(Mark::SnapshotInstalled),
            NodeEvent::PeerMisbehaved { .. } => self.marks.hit(Mark::Misbehaved),
            NodeEvent::ShutdownComplete { in_time } => {
                let late = !in_time;
                self.marks.hit(if late {
                    Mark::ShutDownLate
                } else {
                    Mark::ShutDown
                });
                self.stopped(host);
            }
            _ => {}
        }
    }

    fn listen(&mut self, host: usize) {
        let Some((driver, app)) = self.hosts[host].running() else {
            return;
        };
        let is_true = self.options.scenario != Scenario::LostDisk;
        let oracle = is_true.then_some(&self.oracle);
        let loaded = (app.loaded, app.bootstrapped);
        let heard = app.listen(driver, oracle);
        if app.loaded > loaded.0 {
            self.marks.hit(Mark::SnapshotLoaded);
        }
        if app.bootstrapped > loaded.1 {
            self.marks.hit(Mark::BootstrapLoaded);
        }
        match heard {
            Ok(Ok(())) => {}
            Ok(Err(what)) => self.broken("listener", format!("machine {host}: {what}")),
            Err(error) => self.failed(host, &error),
        }
    }

    fn commit(&mut self, host: usize, upto: Offset) {
        let Some(driver) = self.hosts[host].driver() else {
            return;
        };
        if self.options.scenario != Scenario::LostDisk
            && let Err(what) = self.oracle.committed(driver.log().shadow(), upto)
        {
            self.broken("committed", format!("machine {host}: {what}"));
        }
    }

    fn set_timer(&mut self, host: usize) {
        let now = self.now;
        let machine = &mut self.hosts[host];
        let Some(driver) = machine.driver() else {
            return;
        };
        let due = machine.clock.when(driver.poll_timeout());
        if due <= now {
            machine.idle_timers += 1;
            if machine.idle_timers > 200 {
                let what = format!("machine {host} is never done with its timer");
                return self.broken("busy", what);
            }
        } else {
            machine.idle_timers = 0;
        }
        let machine = &mut self.hosts[host];
        if due < machine.timer_at || machine.timer_at <= now {
            let due = due.max(now);
            machine.timer_at = due;
            let incarnation = machine.incarnation;
            if due < Micros::MAX {
                self.at(due, Event::Timer { host, incarnation });
            }
        }
    }

    /// Notes what a node has become.
    fn watch(&mut self, host: usize) {
        let Some(driver) = self.hosts[host].driver() else {
            return;
        };
        let shadow = driver.log().shadow();
        let cuts = (shadow.truncations(), shadow.all_voters().len());
        let before = std::mem::replace(&mut self.cuts[host], cuts);
        if cuts.0 > before.0 {
            self.marks.hit(Mark::Truncated);
            if cuts.1 < before.1 {
                self.marks.hit(Mark::VotersRolledBack);
            }
        }
        let role = driver.node().role();
        let before = self.roles[host].replace(role);
        let Some(before) = before.filter(|before| *before != role) else {
            return;
        };
        let (epoch, end) = (driver.node().epoch(), driver.node().log_end());
        let voters: Vec<String> = driver
            .node()
            .voters()
            .iter()
            .map(|v| v.key.to_string())
            .collect();
        let voters = voters.join(" ");
        self.note(
            Some(host),
            format_args!(
                "{before:?} -> {role:?} in epoch {epoch}, log ends at {end}, voters {voters}"
            ),
        );
        match (before, role) {
            (_, RoleName::Leader) => {
                self.marks.hit(Mark::Elected);
                self.tempt(host);
                self.lose_heart(host);
            }
            (RoleName::Candidate, _) => self.marks.hit(Mark::ElectionLost),
            (RoleName::Prospective, RoleName::Follower) => self.marks.hit(Mark::BackToLeader),
            (_, RoleName::Candidate) => self.tempt(host),
            (RoleName::Leader, RoleName::Resigned) => self.resigned(host),
            _ => {}
        }
    }

    fn resigned(&mut self, host: usize) {
        let Some(driver) = self.hosts[host].driver() else {
            return;
        };
        let node = driver.node();
        let mark = if !node.is_voter() {
            Mark::LeaderRemoved
        } else if self.hosts[host].is_stopping || self.client.is_resigning(host) {
            Mark::Resigned
        } else {
            Mark::CheckQuorum
        };
        self.marks.hit(mark);
    }

    /// Looks whether all is as it should be.
    fn examine(&mut self, touched: Option<usize>) {
        let now = self.now;
        let hosts = self.hosts.iter().map(|host| HostView {
            index: host.index,
            id: host.id(),
            key: host.key(),
            incarnation: host.incarnation,
            node: host.driver().map(|driver| driver.node()),
            shadow: host.shadow(),
            durable: host.durable(),
            saved: host.saved(),
            now: host.now(now),
        });
        let view = View {
            now,
            hosts: hosts.collect(),
            touched,
            observed: &self.observed,
            lost: &self.lost,
            oracle: &self.oracle,
            options: &self.options,
        };
        let examined = self.invariants.check(&view);
        self.observed.clear();
        if let Err(violation) = examined
            && self.violation.is_none()
        {
            self.broken(violation.invariant, violation.what);
        }
    }

    /// The virtual time of the end, the events, what came up, and the hash of the trace.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }
}
