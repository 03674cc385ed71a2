//! What a model check needs of a node beside what everybody needs: timers that run out whenever
//! it likes, and one form for all states that differ in nothing but the time, the numbers of calls
//! and disk operations, and how often jitter was drawn.
//!
//! To a model check, time stands still. A timer is running or it is not, and which of them runs out
//! first is one of the things to try.

use super::output::{CallId, Token};
use super::{Node, Role};
use crate::types::{Instant, NodeId};

/// The moment at which time stands still.
const NOW: Instant = Instant(1 << 40);

/// When timers end that run.
const LATER: Instant = Instant(1 << 41);

/// A moment so early that whoever was last heard of then counts as silent.
const LONG_AGO: Instant = Instant(0);

/// The number up to which calls are renamed to the node that they went to.
const RENAMED: u64 = 1 << 16;

/// A timer of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Of an election, or of the wait for one; also that of a node that resigned.
    Election,
    /// The leader has been silent for too long.
    Fetch,
    /// The leader's address refused connections for long enough.
    Refused,
    /// The leader is to be told what this voter is.
    Update,
    /// Voters are to be told who leads; all of them have been silent.
    Begin,
    /// No majority fetched for too long.
    Quorum,
    /// Records have waited long enough for others.
    Linger,
    /// A change of the voters took too long.
    Change,
    /// Fetches have waited long enough for records.
    Parked,
    /// A shutdown took too long.
    Shutdown,
    /// A request to this node took too long, or the pause after a failure is over.
    Call(NodeId),
}

/// How the names in a node's state are to be changed.
pub trait Normal {
    /// A request that is not answered yet.
    fn token(&mut self, token: &mut Token);

    /// Whether anybody waits for the answer to it.
    fn is_awaited(&self, token: Token) -> bool;
}

impl Node {
    /// The moment at which a model check's inputs come.
    pub const MODEL_NOW: Instant = NOW;

    /// The call that a request to this node stands under, once the state is normal.
    #[must_use]
    pub fn model_call(to: NodeId) -> CallId {
        CallId(u64::from(to.cast_unsigned()) % RENAMED + 1)
    }

    /// The timers that run.
    #[must_use]
    pub fn model_timers(&self) -> Vec<Timer> {
        let mut timers = Vec::new();
        // What is due already waits for something else than time.
        let mut copy = self.clone();
        copy.each_timer(|timer, at| {
            let runs = *at > NOW && *at != Instant::NEVER;
            if runs && !timers.contains(&timer) {
                timers.push(timer);
            }
        });
        if self.linger_ends() != Instant::NEVER {
            timers.push(Timer::Linger);
        }
        timers
    }

    /// Whether the node waits for the answer to a request, and the call's id.
    #[must_use]
    pub fn model_awaits(&self, from: NodeId) -> Option<CallId> {
        let mut calls = self.calls.clone();
        let found = calls.ways_mut().find(|(node, ..)| *node == from)?;
        found.1.copied()
    }

    /// A timer runs out.
    pub fn model_fire(&mut self, wanted: Timer) {
        self.each_timer(|timer, at| {
            if timer == wanted {
                *at = NOW;
            }
        });
        if let Role::Leader(leader) = &mut self.role {
            match wanted {
                Timer::Begin => {
                    for replica in leader.replicas.values_mut() {
                        replica.fetched_at = replica.fetched_at.map(|_| LONG_AGO);
                    }
                }
                Timer::Linger => leader.accumulator.set_since(LONG_AGO),
                _ => {}
            }
        }
        self.handle_timeout(NOW);
    }

    /// The fetches of these tokens have waited long enough for records.
    pub fn model_expire_fetches(&mut self, wanted: impl Fn(Token) -> bool) {
        if let Role::Leader(leader) = &mut self.role {
            for parked in &mut leader.parked {
                if wanted(parked.token) {
                    parked.until = NOW;
                }
            }
        }
        self.handle_timeout(NOW);
    }

    /// Makes states equal that differ only in what this module says.
    pub fn model_normalise(&mut self, normal: &mut impl Normal) {
        self.now = NOW;
        self.draws = 0;
        self.refusal_counts_at = LONG_AGO;
        self.disk.rebase();
        self.each_timer(|_, at| {
            if *at != Instant::NEVER {
                *at = if *at > NOW { LATER } else { NOW };
            }
        });
        let mut most = 0;
        for (node, call, _) in self.calls.ways_mut() {
            if let Some(call) = call {
                *call = Node::model_call(node);
                most = RENAMED;
            }
        }
        *self.calls.last_mut() = most;
        if let Role::Leader(leader) = &mut self.role {
            for replica in leader.replicas.values_mut() {
                replica.fetched_at = replica.fetched_at.map(|_| NOW);
                replica.caught_up_at = replica.caught_up_at.map(|_| NOW);
            }
            leader.accumulator.set_since(NOW);
            for parked in &mut leader.parked {
                normal.token(&mut parked.token);
            }
            // A Fetch that waits does nothing but to be answered.
            leader
                .parked
                .retain(|parked| normal.is_awaited(parked.token));
            let change = leader.change.as_mut();
            if let Some(token) = change.and_then(|change| change.token.as_mut()) {
                normal.token(token);
            }
        }
    }

    fn each_timer(&mut self, mut visit: impl FnMut(Timer, &mut Instant)) {
        match &mut self.role {
            Role::Unattached { election_at } => visit(Timer::Election, election_at),
            Role::Prospective(election) | Role::Candidate(election) => {
                visit(Timer::Election, &mut election.ends_at);
            }
            Role::Resigned(resigned) => visit(Timer::Election, &mut resigned.ends_at),
            Role::Follower(follower) => {
                visit(Timer::Fetch, &mut follower.fetch_until);
                if let Some(at) = &mut follower.refused {
                    visit(Timer::Refused, at);
                }
                visit(Timer::Update, &mut follower.update_at);
            }
            Role::Leader(leader) => {
                visit(Timer::Begin, &mut leader.begin_at);
                visit(Timer::Quorum, &mut leader.quorum_until);
                for parked in &mut leader.parked {
                    visit(Timer::Parked, &mut parked.until);
                }
                if let Some(change) = &mut leader.change {
                    visit(Timer::Change, &mut change.until);
                }
            }
        }
        if let Some(shutdown) = &mut self.shutdown {
            visit(Timer::Shutdown, &mut shutdown.until);
        }
        for (node, _, until) in self.calls.ways_mut() {
            visit(Timer::Call(node), until);
        }
    }
}
