//! A leader that no majority fetches from resigns, by its own clock (KAFKA-15489).

use std::collections::BTreeMap;

use kwire_raft::message::Request;
use kwire_raft::node::{Node, RoleName};
use kwire_raft::types::{Epoch, Instant, NodeId};

use super::{HostView, Invariant, View};
use crate::world::Observed;

#[derive(Default)]
struct Reign {
    epoch: Epoch,
    since: Instant,
    voters: u64,
    seen: Instant,
    fetched: BTreeMap<NodeId, Instant>,
}

#[derive(Default)]
pub(super) struct CheckQuorum(BTreeMap<(usize, u32), Reign>);

impl Invariant for CheckQuorum {
    fn name(&self) -> &'static str {
        "check quorum"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        for seen in view.observed {
            if let Observed::Received { at, request } = seen
                && let Some(id) = fetcher(request)
            {
                let host = &view.hosts[*at];
                let reign = self.0.entry((host.index, host.incarnation)).or_default();
                reign.fetched.insert(id, host.now);
            }
        }
        match view.touched() {
            Some((host, node)) => self.look(host, node),
            None => Ok(()),
        }
    }
}

impl CheckQuorum {
    fn look(&mut self, host: &HostView<'_>, node: &Node) -> Result<(), String> {
        let reign = self.0.entry((host.index, host.incarnation)).or_default();
        let voters = host.shadow.all_voters().len() as u64;
        // Who stood still notices late that nobody came, unless somebody comes first.
        let has_slept = host.now.since(reign.seen) > node.config().fetch_timeout_ms / 2;
        reign.seen = host.now;
        let is_new = reign.epoch != node.epoch() || reign.voters != voters || has_slept;
        if node.role() != RoleName::Leader || is_new {
            (reign.epoch, reign.since, reign.voters) = (node.epoch(), host.now, voters);
            return Ok(());
        }
        // A timeout that was due is not late before the machine wakes up.
        if node.poll_timeout() <= host.now {
            return Ok(());
        }
        let fetch_timeout = node.config().fetch_timeout_ms;
        let patience = 2 * (fetch_timeout + fetch_timeout / 2) + 1;
        let needed = node.voters().majority() - usize::from(node.is_voter());
        let heard = |id: &NodeId| {
            let at = reign.fetched.get(id);
            Some(*id) != host.id && at.is_some_and(|at| host.now.since(*at) <= patience)
        };
        let count = node.voters().ids().filter(heard).count();
        if host.now.since(reign.since) > patience && count < needed {
            return Err(format!(
                "machine {} leads on in epoch {}, and {count} fetch from it",
                host.index,
                node.epoch()
            ));
        }
        Ok(())
    }
}

fn fetcher(request: &Request) -> Option<NodeId> {
    match request {
        Request::Fetch(r) => Some(r.replica_id.max(r.replica_state.replica_id)),
        Request::FetchSnapshot(r) => Some(r.replica_id),
        Request::UpdateRaftVoter(r) => Some(r.voter_id),
        _ => None,
    }
}
