//! Where a log starts, a snapshot ends; snapshots hold what is committed; none vanishes while
//! somebody fetches it; leaders load none: `SnapshotAtLogStart`, `LeaderNeverLoadSnapshot`.

use std::collections::BTreeMap;

use kwire_raft::message::Request;
use kwire_raft::node::{Node, RoleName};
use kwire_raft::types::{Epoch, Instant, Offset, OffsetAndEpoch};

use super::{HostView, Invariant, View};
use crate::world::Observed;

/// A replica that fetches a snapshot from a leader.
#[derive(Clone, Copy)]
struct Fetching {
    id: OffsetAndEpoch,
    at: Instant,
    epoch: Epoch,
}

#[derive(Default)]
pub(super) struct Snapshots {
    /// By leader, its incarnation, and replica.
    fetching: BTreeMap<(usize, u32, i32), Fetching>,
    /// What each node led, and from where its log reached.
    led: BTreeMap<(usize, u32), (Epoch, Offset)>,
}

impl Invariant for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        for seen in view.observed {
            if let Observed::Received { at, request } = seen {
                self.note(&view.hosts[*at], request);
            }
        }
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let held = at_log_start(host, node)
            .and_then(|()| is_committed(view, host))
            .and_then(|()| self.keeps_what_is_fetched(host, node))
            .and_then(|()| self.loads_none(host, node));
        held.map_err(|what| format!("machine {}: {what}", host.index))
    }

    fn bears_loss(&self) -> bool {
        false
    }
}

impl Snapshots {
    fn note(&mut self, host: &HostView<'_>, request: &Request) {
        let Some(node) = host.node.filter(|node| node.role() == RoleName::Leader) else {
            return;
        };
        match request {
            Request::FetchSnapshot(r) => {
                let asked = &r.topics[0].partitions[0];
                let wanted = &asked.snapshot_id;
                let id = OffsetAndEpoch::new(wanted.end_offset, wanted.epoch);
                let is_there = node.snapshots().any(|snapshot| snapshot == id);
                let is_current = asked.current_leader_epoch == node.epoch();
                if is_there && is_current && r.replica_id >= 0 && !node.is_shutting_down() {
                    let fetching = Fetching {
                        id,
                        at: host.now,
                        epoch: node.epoch(),
                    };
                    let who = (host.index, host.incarnation, r.replica_id);
                    self.fetching.insert(who, fetching);
                }
            }
            Request::Fetch(r) => {
                let id = r.replica_id.max(r.replica_state.replica_id);
                self.fetching.remove(&(host.index, host.incarnation, id));
            }
            _ => {}
        }
    }

    fn keeps_what_is_fetched(&mut self, host: &HostView<'_>, node: &Node) -> Result<(), String> {
        let patience = node.config().fetch_timeout_ms;
        let (index, life) = (host.index, host.incarnation);
        let mine = (index, life, i32::MIN)..=(index, life, i32::MAX);
        for (_, fetching) in self.fetching.range(mine) {
            let leads = node.role() == RoleName::Leader && node.epoch() == fetching.epoch;
            let is_recent = host.now.since(fetching.at) < patience;
            if leads && is_recent && !node.snapshots().any(|id| id == fetching.id) {
                return Err(format!("{} is gone while it is fetched", fetching.id));
            }
        }
        Ok(())
    }

    fn loads_none(&mut self, host: &HostView<'_>, node: &Node) -> Result<(), String> {
        let run = (host.index, host.incarnation);
        if node.role() != RoleName::Leader {
            self.led.remove(&run);
            return Ok(());
        }
        let now = (node.epoch(), host.shadow.end());
        let before = self.led.insert(run, now);
        if before.is_some_and(|(epoch, end)| epoch == now.0 && host.shadow.start() > end) {
            return Err("loads a snapshot while it leads".to_owned());
        }
        Ok(())
    }
}

fn at_log_start(host: &HostView<'_>, node: &Node) -> Result<(), String> {
    let shadow = host.shadow;
    if !node.snapshots().eq(shadow.snapshots().iter().copied()) {
        return Err("its snapshots are not those on its disk".to_owned());
    }
    let first = shadow.snapshots().first();
    match first {
        Some(first) if first.offset < shadow.start() => Err(format!(
            "{first} is below the log's start {}",
            shadow.start()
        )),
        _ if shadow.start() > 0 && first.map(|id| id.offset) != Some(shadow.start()) => {
            Err(format!(
                "the log starts at {}, and no snapshot ends there",
                shadow.start()
            ))
        }
        _ => Ok(()),
    }
}

fn is_committed(view: &View<'_>, host: &HostView<'_>) -> Result<(), String> {
    let Some(latest) = host.shadow.snapshots().last() else {
        return Ok(());
    };
    if latest.offset > view.oracle.end() {
        return Err(format!("{latest} is a snapshot of what is not committed"));
    }
    if !host.shadow.has(*latest) && latest.offset > host.shadow.start() {
        return Err(format!("the log does not have {latest}"));
    }
    Ok(())
}
