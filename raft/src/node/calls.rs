//! Requests under way: one for each node at a time, with a pause after a failure.

use std::collections::BTreeMap;

use super::output::CallId;
use crate::types::{Instant, NodeId};

/// What the node knows of the way to each other node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Calls {
    last: u64,
    ways: BTreeMap<NodeId, Way>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Awaiting {
        call: CallId,
        kind: Kind,
        until: Instant,
    },
    BackingOff {
        until: Instant,
    },
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Vote,
    PreVote,
    Begin,
    End,
    Fetch,
    FetchSnapshot,
    Update,
    Join,
    Versions,
}

impl Calls {
    /// Whether a request may go to the node now.
    pub(super) fn is_ready(&self, node: NodeId) -> bool {
        !self.ways.contains_key(&node)
    }

    /// Whether the last request to the node failed, and the pause after it lasts.
    pub(super) fn is_backing_off(&self, node: NodeId) -> bool {
        matches!(self.ways.get(&node), Some(Way::BackingOff { .. }))
    }

    /// Whether an answer to something of this kind is awaited from anybody.
    pub(super) fn is_awaiting(&self, wanted: Kind) -> bool {
        let is = |way: &Way| matches!(way, Way::Awaiting { kind, .. } if *kind == wanted);
        self.ways.values().any(is)
    }

    /// Whether the answer to this request is awaited still.
    pub(super) fn awaits(&self, wanted: CallId) -> bool {
        let is = |way: &Way| matches!(way, Way::Awaiting { call, .. } if *call == wanted);
        self.ways.values().any(is)
    }

    /// Notes a request.
    pub(super) fn begin(&mut self, node: NodeId, kind: Kind, until: Instant) -> CallId {
        self.last += 1;
        let call = CallId(self.last);
        self.ways.insert(node, Way::Awaiting { call, kind, until });
        call
    }

    /// An answer came: from whom, and to what. `None` if nobody waits for it any more.
    pub(super) fn answered(&mut self, answered: CallId) -> Option<(NodeId, Kind)> {
        let (&node, kind) = self.ways.iter().find_map(|(node, way)| match way {
            Way::Awaiting { call, kind, .. } if *call == answered => Some((node, *kind)),
            _ => None,
        })?;
        self.ways.remove(&node);
        Some((node, kind))
    }

    /// The node is to be left alone until then.
    pub(super) fn back_off(&mut self, node: NodeId, until: Instant) {
        self.ways.insert(node, Way::BackingOff { until });
    }

    /// Forgets what is under way: the state in which it was asked is over.
    pub(super) fn reset(&mut self) {
        self.ways.clear();
    }

    /// Ends pauses, and gives up requests that nobody answered; returns the nodes of these. They get
    /// a pause, where Kafka has them ready at once: an observer sees by it that its leader is silent.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<NodeId> {
        let mut silent = Vec::new();
        self.ways.retain(|node, way| match *way {
            Way::BackingOff { until } => until > now,
            Way::Awaiting { until, .. } if until > now => true,
            Way::Awaiting { .. } => {
                silent.push(*node);
                false
            }
        });
        silent
    }

    /// When something expires.
    pub(super) fn next_expiry(&self) -> Instant {
        let until = |way: &Way| match *way {
            Way::Awaiting { until, .. } | Way::BackingOff { until } => until,
        };
        self.ways
            .values()
            .map(until)
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// What is under way to each node, its call if it is not a pause, and when it ends.
    #[cfg(feature = "model")]
    pub(super) fn ways_mut(
        &mut self,
    ) -> impl Iterator<Item = (NodeId, Option<&mut CallId>, &mut Instant)> {
        self.ways.iter_mut().map(|(node, way)| match way {
            Way::Awaiting { call, until, .. } => (*node, Some(call), until),
            Way::BackingOff { until } => (*node, None, until),
        })
    }

    /// The id of the last call.
    #[cfg(feature = "model")]
    pub(super) fn last_mut(&mut self) -> &mut u64 {
        &mut self.last
    }
}
