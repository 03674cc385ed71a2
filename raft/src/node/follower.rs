//! Following: when the leader counts as gone, and what is being fetched from it.

use super::{Node, Role};
use crate::config::Config;
use crate::types::{Instant, OffsetAndEpoch};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    /// When the leader counts as gone.
    pub(super) fetch_until: Instant,
    /// Whether the leader answered a fetch: it works.
    pub(super) has_fetched: bool,
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
            has_fetched: false,
            download: None,
            update_at: now.plus(config.fetch_timeout_ms),
            has_updated: false,
        }
    }

    /// Whether the leader answered a fetch, and not too long ago. A voter stops following one that
    /// is silent; who is no voter by its own log follows on, and may be one by the log of a
    /// candidate, which would wait for its vote for ever.
    pub(super) fn has_working_leader(&self, now: Instant) -> bool {
        self.has_fetched && self.fetch_until > now
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
        if fetch {
            follower.fetch_until.min(update)
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
        if expired && self.is_voter() && !is_installing && self.shutdown.is_none() {
            return self.become_prospective();
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
        }
    }
}
