//! What of the node's state is durable, and what is on its way.

use std::collections::VecDeque;

use super::output::IoId;
use crate::types::Offset;

/// The disk operations under way. The log end offset is the node's; this knows how much of it is
/// durable: `flushed <= log end`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Disk {
    last: IoId,
    durable: IoId,
    /// The last save of the election state, until it is durable.
    save: Option<IoId>,
    /// Appends that are not durable yet, each with the log end offset after it.
    appends: VecDeque<(IoId, Offset)>,
    flushed: Offset,
}

impl Disk {
    pub(super) fn new(log_end: Offset) -> Disk {
        Disk {
            last: IoId(0),
            durable: IoId(0),
            save: None,
            appends: VecDeque::new(),
            flushed: log_end,
        }
    }

    /// The id of the next operation.
    pub(super) fn next(&mut self) -> IoId {
        self.last = IoId(self.last.0 + 1);
        self.last
    }

    pub(super) fn saving(&mut self, id: IoId) {
        self.save = Some(id);
    }

    pub(super) fn appending(&mut self, id: IoId, log_end: Offset) {
        self.appends.push_back((id, log_end));
    }

    pub(super) fn truncated(&mut self, log_end: Offset) {
        self.flushed = self.flushed.min(log_end);
        for (_, end) in &mut self.appends {
            *end = (*end).min(log_end);
        }
    }

    /// The log starts anew, durably, at an offset.
    pub(super) fn reset(&mut self, log_end: Offset) {
        self.appends.clear();
        self.flushed = log_end;
    }

    /// Everything up to this operation is durable.
    pub(super) fn done(&mut self, id: IoId) {
        self.durable = self.durable.max(id);
        if self.save.is_some_and(|save| save <= self.durable) {
            self.save = None;
        }
        while let Some(&(append, end)) = self.appends.front()
            && append <= self.durable
        {
            self.flushed = end;
            self.appends.pop_front();
        }
    }

    /// The save that messages have to wait for.
    pub(super) fn save_under_way(&self) -> Option<IoId> {
        self.save
    }

    /// The last append that an acknowledgement has to wait for.
    pub(super) fn append_under_way(&self) -> Option<IoId> {
        Some(self.appends.back()?.0)
    }

    /// What a fetch acknowledges that does not wait for the last append: an offset, and the append
    /// before the last if it has to be waited for.
    pub(super) fn before_last_append(&self) -> (Option<IoId>, Offset) {
        match self.appends.len() {
            0 | 1 => (None, self.flushed),
            several => {
                let (id, end) = self.appends[several - 2];
                (Some(id), end)
            }
        }
    }

    /// The offset before which the log is durable.
    pub(super) fn flushed(&self) -> Offset {
        self.flushed
    }

    /// Counts operations from the last durable one on.
    #[cfg(feature = "model")]
    pub(super) fn rebase(&mut self) {
        let base = self.durable.0;
        let saves = self.save.iter_mut();
        let appends = self.appends.iter_mut().map(|(id, _)| id);
        for id in saves.chain(appends).chain([&mut self.last]) {
            id.0 -= base;
        }
        self.durable = IoId(0);
    }
}
