//! Stopping so that nobody has to wait for a timer.

use super::output::Event;
use super::{Node, Role};
use crate::types::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shutdown {
    pub(super) until: Instant,
    is_over: bool,
}

impl Node {
    /// Whether [`shut_down`](Self::shut_down) was called.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Begins to stop. A leader resigns and tells the voters, best successor first; who stands for
    /// election waits for its end; all others are done at once. [`Event::ShutdownComplete`] says
    /// when it is over, after `timeout_ms` at the latest.
    pub fn shut_down(&mut self, now: Instant, timeout_ms: u64) {
        self.at(now);
        if self.shutdown.is_none() {
            self.resign_now();
            self.shutdown = Some(Shutdown {
                until: self.now.plus(timeout_ms),
                is_over: false,
            });
        }
        self.pump();
    }

    pub(super) fn pump_shutdown(&mut self) {
        let Some(mut shutdown) = self.shutdown.filter(|s| !s.is_over) else {
            return;
        };
        let own = self.config.key();
        let is_alone = own.is_some_and(|own| self.voters().is_only(own));
        let matters = self.is_voter() && !is_alone;
        let is_busy = match &self.role {
            // Somebody has to take over first, which ends these states.
            Role::Resigned(resigned) => matters && self.has_successor(resigned),
            Role::Candidate(_) | Role::Prospective(_) => matters,
            _ => false,
        };
        let timed_out = shutdown.until <= self.now;
        if is_busy && !timed_out {
            return;
        }
        shutdown.is_over = true;
        shutdown.until = Instant::NEVER;
        self.shutdown = Some(shutdown);
        self.notify(Event::ShutdownComplete { in_time: !is_busy });
    }
}
