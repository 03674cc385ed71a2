//! What a model check needs of a driver: see the node's part of it.

use std::hash::{Hash, Hasher};

use super::{Driver, LogStore, Message, StateStore};
use crate::node::{CallId, IoId, Node, Normal};

impl<L: LogStore, S: StateStore> Driver<L, S> {
    /// The barrier that is being run.
    #[must_use]
    pub fn model_syncing(&self) -> Option<IoId> {
        self.syncing
    }

    /// The stores, to break them.
    pub fn model_stores(&mut self) -> (&mut L, &mut S) {
        (&mut self.log, &mut self.state)
    }

    /// Makes states equal that differ only in time and numbers. Call it with no effects left.
    /// Requests that nobody waits for any more stand under call 0.
    pub fn model_normalise(&mut self, normal: &mut impl Normal) {
        for (_, message) in &mut self.held {
            match message {
                Message::Send { call, to, .. } => {
                    let awaited = self.node.model_awaits(to.id) == Some(*call);
                    *call = if awaited {
                        Node::model_call(to.id)
                    } else {
                        CallId(0)
                    };
                }
                Message::Reply { token, .. } => normal.token(token),
            }
        }
        let base = self.durable.0;
        let held = self.held.iter_mut().map(|(after, _)| after);
        let marks = self.unsynced.iter_mut().chain(self.syncing.iter_mut());
        for id in held.chain(marks).chain([&mut self.issued]) {
            id.0 -= base;
        }
        self.durable = IoId(0);
        self.node.model_normalise(normal);
    }
}

impl<L: LogStore + Hash, S: StateStore + Hash> Hash for Driver<L, S> {
    /// All but the messages.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.node, &self.log, &self.state, self.disk).hash(state);
        (self.issued, self.unsynced, self.syncing, self.durable).hash(state);
        (self.has_failed, self.held.len()).hash(state);
    }
}
