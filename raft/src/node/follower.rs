//! Following: when the leader counts as gone, and what is being fetched from it.
//!
//! A leader whose process is gone is noticed before the fetch timer runs out: its address refuses
//! connections. A voter then asks for pre-votes at once. No leader loses its place by it that others
//! can reach: these refuse the pre-vote, and a pre-vote costs nobody an epoch. Nodes that know no
//! pre-votes count as refusing it then.

use super::{Node, Role};
use crate::config::Config;
use crate::types::{Instant, NodeId, OffsetAndEpoch};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    /// When the leader counts as gone.
    pub(super) fetch_until: Instant,
    /// When this node stands because the leader's address refused a connection, if it did since the
    /// leader was heard of last.
    pub(super) refused: Option<Instant>,
    /// Whether the leader answered a fetch: it works.
    pub(super) has_fetched: bool,
    /// Whether the leader said that it has more than it sent: it answers at once, and reads how far
    /// this node is durable.
    pub(super) has_more: bool,
    /// The snapshot that is being fetched.
    pub(super) download: Option<Download>,
    /// When the leader is told again what this node is, or asked to make it a voter.
    pub(super) update_at: Instant,
    /// Whether this leader was told under kraft.version 0.
    pub(super) has_updated: bool,
}

/// A snapshot on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Download {
    pub(super) id: OffsetAndEpoch,
    /// Bytes so far.
    pub(super) position: u64,
    /// All of it is here, and the disk is putting it in place.
    pub(super) is_installing: bool,
}

impl Follower {
    pub(super) fn new(now: Instant, config: &Config) -> Follower {
        Follower {
            fetch_until: now.plus(config.fetch_timeout_ms),
            refused: None,
            has_fetched: false,
            has_more: false,
            download: None,
            update_at: now.plus(config.fetch_timeout_ms),
            has_updated: false,
        }
    }

    /// Whether the leader answered a fetch, not too long ago, and is not known to be gone. A voter stops following one that
    /// is silent; who is no voter by its own log follows on, and may be one by the log of a
    /// candidate, which would wait for its vote for ever.
    pub(super) fn has_working_leader(&self, now: Instant) -> bool {
        self.has_fetched && self.fetch_until > now && self.refused.is_none()
    }
}

impl Node {
    /// Only what [`pump_follower`](Self::pump_follower) would act upon at that time: the rest is
    /// looked at when what stands in its way is gone.
    pub(super) fn follower_timeout(&self, follower: &Follower) -> Instant {
        if follower.download.is_some_and(|d| d.is_installing) {
            return Instant::NEVER;
        }
        let update = if self.wants_update() && self.update_destination().is_some() {
            follower.update_at
        } else {
            Instant::NEVER
        };
        let fetch = if self.is_voter() {
            self.shutdown.is_none()
        } else {
            // An observer whose leader is silent asks others; that the timer ran out is no event.
            follower.fetch_until > self.now
        };
        let refused = follower.refused.unwrap_or(Instant::NEVER);
        if fetch {
            follower.fetch_until.min(refused).min(update)
        } else {
            update
        }
    }

    pub(super) fn pump_follower(&mut self) {
        let Role::Follower(follower) = &self.role else {
            return;
        };
        let is_installing = follower.download.is_some_and(|d| d.is_installing);
        let expired = follower.fetch_until <= self.now;
        let refused = follower.refused.is_some_and(|at| at <= self.now);
        if (expired || refused) && self.is_voter() && !is_installing && self.shutdown.is_none() {
            return if expired {
                self.become_prospective()
            } else {
                self.become_prospective_as_refused()
            };
        }
        if is_installing {
            return;
        }
        if self.pump_update() {
            return;
        }
        self.fetch_from_leader();
    }

    /// The leader answered.
    pub(super) fn heard_from_leader(&mut self) {
        let until = self.now.plus(self.config.fetch_timeout_ms);
        if let Role::Follower(follower) = &mut self.role {
            follower.fetch_until = until;
            follower.has_fetched = true;
            follower.refused = None;
        }
    }

    /// Nobody listens at an address any more. Of the followers of a leader that is gone, one stands
    /// at once and the others later, one after the other, so that they do not share the votes.
    pub(super) fn refused_by(&mut self, peer: NodeId) {
        if self.leader != Some(peer) || !self.is_voter() || !self.config.stands_when_refused {
            return;
        }
        let own = self.config.id;
        let others = self.voters().ids().filter(|id| *id != peer);
        let before = others.take_while(|id| Some(*id) != own).count() as u64;
        let turn = self
            .now
            .plus(before * (self.config.election_timeout_ms / 20));
        let at = turn.max(self.refusal_counts_at);
        if let Role::Follower(follower) = &mut self.role {
            follower.refused.get_or_insert(at);
        }
    }

    /// Asks for pre-votes although the fetch timer runs still, for a short time, and not again for a
    /// while: this node may be the only one that the leader refuses.
    fn become_prospective_as_refused(&mut self) {
        let timeout = self.config.election_timeout_ms;
        self.become_prospective();
        self.refusal_counts_at = self.now.plus(timeout);
        let ends_at = self.now.plus(timeout / 4);
        if let Role::Prospective(election) = &mut self.role {
            election.ends_at = election.ends_at.min(ends_at);
            election.is_early = true;
        }
    }
}
