//! What an application hears of the log: everything committed, once and in order.

use bytes::Bytes;

use super::{Driver, ErrorOf, LogStore, StateStore};
use crate::node::RoleName;
use crate::types::{Epoch, NodeId, Offset, OffsetAndEpoch};

/// An application's place in the log. It asks for one event after the other; asking for the next
/// says that the last is done with.
///
/// There may be any number of them on one driver, each with its own place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// The next offset to hear of; `None` before the first event.
    next: Option<Offset>,
    leader: (Epoch, Option<NodeId>),
    heard_bootstrap: bool,
    heard_shutdown: bool,
}

/// Something that the application hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerEvent {
    /// Forget everything and load this snapshot: the log does not have what comes next.
    LoadSnapshot {
        /// The snapshot, to be read with [`LogStore::read_snapshot`].
        id: OffsetAndEpoch,
    },
    /// The checkpoint that the directory was formatted with.
    LoadBootstrap {
        /// The checkpoint.
        id: OffsetAndEpoch,
    },
    /// Committed batches, which go on where the last event ended.
    Commit {
        /// The offset of the first record.
        base: Offset,
        /// The offset after the last.
        end: Offset,
        /// Whole batches, control batches among them.
        batches: Bytes,
    },
    /// The leader changed. At most twice an epoch: unknown, then known. This node itself is named
    /// only once it has heard of everything that earlier leaders committed.
    LeaderChange {
        /// The epoch.
        epoch: Epoch,
        /// The leader, if it is known.
        leader: Option<NodeId>,
    },
    /// The node is about to stop.
    BeginShutdown,
}

impl Listener {
    /// A listener that has heard of nothing.
    #[must_use]
    pub fn new() -> Listener {
        Listener::default()
    }

    /// The offset after the last record that it heard of.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next.unwrap_or(0)
    }

    /// The next event, with at most `max_bytes` of batches unless the first is larger.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn poll<L: LogStore, S: StateStore>(
        &mut self,
        driver: &Driver<L, S>,
        max_bytes: usize,
    ) -> Result<Option<ListenerEvent>, ErrorOf<L, S>> {
        let node = driver.node();
        if node.is_shutting_down() && !self.heard_shutdown {
            self.heard_shutdown = true;
            return Ok(Some(ListenerEvent::BeginShutdown));
        }
        if node.role() == RoleName::Resigned {
            return Ok(None);
        }
        if let Some(event) = self.snapshot(driver) {
            return Ok(Some(event));
        }
        if let Some(event) = self.commit(driver, max_bytes)? {
            return Ok(Some(event));
        }
        Ok(self.leader_change(driver))
    }

    fn snapshot<L: LogStore, S: StateStore>(
        &mut self,
        driver: &Driver<L, S>,
    ) -> Option<ListenerEvent> {
        let node = driver.node();
        let latest = node.snapshots().last();
        if self.next.is_none() && latest == Some(OffsetAndEpoch::BOOTSTRAP) && !self.heard_bootstrap
        {
            self.heard_bootstrap = true;
            let id = OffsetAndEpoch::BOOTSTRAP;
            return Some(ListenerEvent::LoadBootstrap { id });
        }
        let latest = latest.filter(|id| *id != OffsetAndEpoch::BOOTSTRAP);
        let behind = self.next.is_none_or(|next| next < node.log_start());
        match latest {
            Some(id) if behind => {
                self.next = Some(id.offset);
                Some(ListenerEvent::LoadSnapshot { id })
            }
            _ => {
                self.next.get_or_insert(node.log_start());
                None
            }
        }
    }

    fn commit<L: LogStore, S: StateStore>(
        &mut self,
        driver: &Driver<L, S>,
        max_bytes: usize,
    ) -> Result<Option<ListenerEvent>, ErrorOf<L, S>> {
        let base = self.next_offset();
        let batches = driver.read_committed(base, max_bytes)?;
        let last = kwire_protocol::records::Batches::new(&batches)
            .filter_map(Result::ok)
            .last();
        let Some(last) = last else { return Ok(None) };
        let end = last.last_offset() + 1;
        self.next = Some(end);
        Ok(Some(ListenerEvent::Commit { base, end, batches }))
    }

    fn leader_change<L: LogStore, S: StateStore>(
        &mut self,
        driver: &Driver<L, S>,
    ) -> Option<ListenerEvent> {
        let node = driver.node();
        let (epoch, leader) = (node.epoch(), node.leader());
        let (heard_epoch, heard_leader) = self.leader;
        let is_news = epoch > heard_epoch || (epoch == heard_epoch && heard_leader.is_none());
        if !is_news || (epoch, leader) == self.leader {
            return None;
        }
        // Its own election is news only once it knows what it leads on from.
        let leads = node.epoch_start();
        let leader = match leads {
            Some(start) if self.next_offset() <= start => None,
            _ => leader,
        };
        if (epoch, leader) == self.leader {
            return None;
        }
        self.leader = (epoch, leader);
        Some(ListenerEvent::LeaderChange { epoch, leader })
    }
}
