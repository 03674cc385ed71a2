//! No node is in a state that cannot be: `NoIllegalState` and `StatesMatchRoles` of the TLA+
//! models.

use std::collections::BTreeMap;

use kwire_raft::node::{Node, RoleName};

use super::{HostView, Invariant, View};

#[derive(Default)]
pub(super) struct States {
    /// What each machine was, with its incarnation.
    before: BTreeMap<usize, (u32, RoleName)>,
}

impl Invariant for States {
    fn name(&self) -> &'static str {
        "states"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let role = node.role();
        let now = (host.incarnation, role);
        let before = self.before.insert(host.index, now);
        let entered = before
            .is_some_and(|(incarnation, before)| incarnation == host.incarnation && before != role);
        check_role(host, node, entered).map_err(|what| format!("machine {}: {what}", host.index))
    }
}

fn check_role(host: &HostView<'_>, node: &Node, entered: bool) -> Result<(), String> {
    let (role, leader, voted) = (node.role(), node.leader(), node.voted());
    let epoch = node.epoch();
    let (log_end, log_start) = (node.log_end(), node.log_start());
    let is_own = leader.is_some() && leader == host.id;
    let says = |what: &str| Err(format!("{role:?} in epoch {epoch}: {what}"));
    match role {
        RoleName::Leader | RoleName::Resigned if !is_own => return says("does not lead"),
        RoleName::Follower if is_own || leader.is_none() => return says("follows nobody"),
        RoleName::Candidate if voted.map(|v| v.id) != host.id => return says("did not vote"),
        RoleName::Candidate if leader.is_some() => return says("knows a leader"),
        RoleName::Unattached | RoleName::Prospective if is_own => return says("leads"),
        RoleName::Candidate | RoleName::Prospective if entered && !node.is_voter() => {
            return says("is no voter");
        }
        _ => {}
    }
    if role == RoleName::Leader {
        check_leader(node)?;
    }
    if log_end.epoch > epoch {
        return says("its log is of a later epoch");
    }
    if log_end.offset != host.shadow.end() || log_start != host.shadow.start() {
        return says("its log is not the one on its disk");
    }
    if log_end.epoch != host.shadow.last_epoch() {
        return says("its log ends with another epoch on its disk");
    }
    if node.high_watermark().is_some_and(|hw| hw > log_end.offset) {
        return says("more is committed than there is");
    }
    if node.flushed() > host.durable {
        return says("more is flushed than is durable");
    }
    Ok(())
}

fn check_leader(node: &Node) -> Result<(), String> {
    let (Some(start), committed) = (node.epoch_start(), node.high_watermark()) else {
        return Err("a leader without an epoch".to_owned());
    };
    if committed.is_some_and(|committed| committed <= start) {
        return Err(format!(
            "committed {committed:?}, and nothing of its epoch from {start} on"
        ));
    }
    let voters_committed = node
        .voters_offset()
        .is_some_and(|offset| committed.is_some_and(|committed| offset < committed));
    if voters_committed && !node.is_voter() {
        return Err("leads, and is no voter any more".to_owned());
    }
    Ok(())
}
