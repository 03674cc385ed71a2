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
}

impl Node {
    pub(super) fn follower_timeout(&self, follower: &Follower) -> Instant {
        // What is due and was not done waits for something else than time.
        let future = |at: Instant| if at > self.now { at } else { Instant::NEVER };
        let update = if self.wants_update() {
            future(follower.update_at)
        } else {
            Instant::NEVER
        };
        future(follower.fetch_until).min(update)
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
