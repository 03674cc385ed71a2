//! The second phase: a majority is well for good, and has to get on with it.
//!
//! Measured in election timeouts of the run, from the moment on when all is well. A run is over
//! when a leader was found, an append that it took is acknowledged, and all nodes that are left
//! agree to the last record.

use kwire_raft::node::RoleName;
use kwire_raft::types::{OffsetAndEpoch, ReplicaKey};
use kwire_raft::voters::{Voter, VoterSet};

use crate::clock::Micros;
use crate::disk::{Failing, SimLog};
use crate::host::Host;
use crate::marks::Mark;
use crate::swarm::{Network, Scenario};
use crate::world::{Event, World};

/// A leader is found within so many election timeouts.
pub const LEADER_WITHIN: u64 = 40;

/// An append is acknowledged within so many more.
pub const COMMIT_WITHIN: u64 = 40;

/// All agree within so much time more: some have to fetch a snapshot in small parts.
const CONVERGENCE_WITHIN: Micros = 300_000_000;

/// How far a run is with its second phase.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    healed_at: Option<Micros>,
    leader_at: Option<Micros>,
    committed_at: Option<Micros>,
    /// The first group that was taken after a leader was found.
    fresh: u64,
    /// The run is over.
    pub is_done: bool,
    /// Nobody could be elected, as with Kafka's nodes; see `is_anybody_electable`.
    pub is_stuck: bool,
    /// From all being well to a leader, in thousandths of an election timeout.
    pub leader_within: Option<u64>,
    /// From a leader to an acknowledged append, in the same unit.
    pub commit_within: Option<u64>,
    /// From there to all being equal, in microseconds.
    pub converged_within: Option<Micros>,
}

impl Recovery {
    /// Whether the second phase has begun.
    #[must_use]
    pub fn is_healed(&self) -> bool {
        self.healed_at.is_some()
    }

    /// Whether clients are to stop, so that all can become equal.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.committed_at.is_some()
    }
}

impl<L: SimLog> World<L> {
    /// All is well from now on, for a majority at least.
    pub(crate) fn heal(&mut self) {
        self.note(None, format_args!("all is well from now on"));
        self.recovery.healed_at = Some(self.now);
        if self.options.scenario == Scenario::LostDisk {
            self.recovery.is_done = true;
            return;
        }
        let power_cut = self.options.power_cut;
        self.links.mend();
        self.links.network = Network::healed(power_cut);
        for host in 0..self.hosts.len() {
            self.hosts[host].paused_until = 0;
            let has_failed = self.hosts[host].failing.borrow().has_failed;
            *self.hosts[host].failing.borrow_mut() = Failing {
                has_failed,
                ..Default::default()
            };
            if self.hosts[host].is_on() && (power_cut || self.hosts[host].is_stopping) {
                self.crash(host);
            }
        }
        if !self.is_anybody_electable(&[]) {
            self.recovery.is_stuck = true;
            self.recovery.is_done = true;
            return;
        }
        let spared = self.draw_spared();
        for host in 0..self.hosts.len() {
            if !spared.contains(&host) {
                self.after(0, Event::Start { host });
                continue;
            }
            self.marks.hit(Mark::CoreOnly);
            self.hosts[host].is_gone = true;
            if self.hosts[host].is_on() {
                self.crash(host);
            }
        }
        self.after(10_000, Event::Check);
    }

    /// Machines that stay away: few enough that each voter set which may count has a majority left,
    /// and somebody can be elected.
    fn draw_spared(&mut self) -> Vec<usize> {
        let mut spared = Vec::new();
        if !self.luck.permille(500) {
            return spared;
        }
        let sets: Vec<VoterSet> = self.voter_sets().into_iter().cloned().collect();
        for host in 0..self.hosts.len() {
            if !self.luck.permille(500) {
                continue;
            }
            spared.push(host);
            let is_left = |key| self.holder(key).is_some_and(|at| !spared.contains(&at));
            let enough = |set: &VoterSet| {
                let left = set.iter().filter(|voter| is_left(voter.key)).count();
                left >= set.majority()
            };
            if !sets.iter().all(enough) || !self.is_anybody_electable(&spared) {
                spared.pop();
            }
        }
        spared
    }

    /// The machine that has a replica's disk.
    fn holder(&self, key: ReplicaKey) -> Option<usize> {
        let is = |own: ReplicaKey| {
            own.id == key.id && (key.directory_id.is_none() || key.directory_id == own.directory_id)
        };
        self.hosts
            .iter()
            .position(|host| host.key().is_some_and(is))
    }

    /// Whether a voter by its own log is left whose log no majority of its voters is ahead of.
    ///
    /// That there is a majority does not suffice: a voter whose removal is in nobody's log but its
    /// own and that of the leader, which is gone, is no voter by its own log, so it does not stand,
    /// and is ahead of the others, so it does not vote for them. Kafka's nodes wait likewise.
    fn is_anybody_electable(&self, spared: &[usize]) -> bool {
        let log_end = |at: usize| {
            let shadow = self.hosts[at].shadow();
            OffsetAndEpoch::new(shadow.end(), shadow.last_epoch())
        };
        let left = |host: &&Host<L>| !spared.contains(&host.index);
        self.hosts.iter().filter(left).any(|host| {
            let voters = host.shadow().voters();
            let voters = voters.map_or(&host.config.static_voters, |(_, voters)| voters);
            let end = log_end(host.index);
            let grants = |voter: &&Voter| {
                self.holder(voter.key)
                    .is_some_and(|at| !spared.contains(&at) && log_end(at) <= end)
            };
            host.key().is_some_and(|key| voters.contains(key))
                && voters.iter().filter(grants).count() >= voters.majority()
        })
    }

    pub(crate) fn check_recovery(&mut self) {
        let Some(healed_at) = self.recovery.healed_at else {
            return;
        };
        let timeout = self.options.timers.election_timeout_ms * 1_000;
        let now = self.now;
        let in_timeouts = |since: Micros| (now - since) * 1_000 / timeout;
        if let Some(committed_at) = self.recovery.committed_at {
            if self.are_equal() {
                self.recovery.converged_within = Some(now - committed_at);
                self.recovery.is_done = true;
            } else if now - committed_at > CONVERGENCE_WITHIN {
                let what = self.differences();
                self.broken("liveness: convergence", what);
            }
        } else if let Some(leader_at) = self.recovery.leader_at {
            if self.client.acked > self.recovery.fresh {
                self.recovery.commit_within = Some(in_timeouts(leader_at));
                self.recovery.committed_at = Some(now);
            } else if now - leader_at > COMMIT_WITHIN * timeout {
                let what = format!("nothing was acknowledged in {COMMIT_WITHIN} timeouts");
                self.broken("liveness: commit", what);
            }
        } else if self.has_leader() {
            self.recovery.leader_within = Some(in_timeouts(healed_at));
            self.recovery.leader_at = Some(now);
            self.recovery.fresh = self.oracle.next_group();
        } else if now - healed_at > LEADER_WITHIN * timeout {
            let what = format!("no leader in {LEADER_WITHIN} timeouts");
            self.broken("liveness: leader", what);
        }
        self.after(5_000, Event::Check);
    }

    /// Whether there is a leader that has committed something.
    fn has_leader(&self) -> bool {
        self.leaders().last().is_some_and(|leader| {
            let driver = self.hosts[*leader].driver();
            driver.is_some_and(|driver| driver.node().high_watermark().is_some())
        })
    }

    /// Whether every node has everything, and knows it.
    fn are_equal(&self) -> bool {
        let Some(leader) = self.leaders().last().copied() else {
            return false;
        };
        let Some(leader) = self.hosts[leader].driver() else {
            return false;
        };
        let end = leader.node().log_end();
        self.hosts.iter().filter(|host| !host.is_gone).all(|host| {
            host.driver().is_some_and(|driver| {
                let node = driver.node();
                node.log_end() == end && node.high_watermark() == Some(end.offset)
            }) && host.applied() == Some(end.offset)
        })
    }

    fn differences(&self) -> String {
        let of = |host: &crate::host::Host<L>| {
            let node = host.driver().map(|driver| driver.node());
            let role = node.map(|node| node.role());
            let is_leader = role == Some(RoleName::Leader);
            format!(
                "{}: {role:?}{} log {:?} high watermark {:?} applied {:?}",
                host.index,
                if is_leader { " (leads)" } else { "" },
                node.map(|node| node.log_end()),
                node.map(|node| node.high_watermark()),
                host.applied()
            )
        };
        let all: Vec<String> = self.hosts.iter().filter(|h| !h.is_gone).map(of).collect();
        all.join("; ")
    }
}
