//! A node's voters are those of its log; one set at most is uncommitted, and two that follow one
//! another overlap (KIP-853, KAFKA-20740).

use std::collections::BTreeMap;

use kwire_raft::node::RoleName;
use kwire_raft::voters::VoterSet;

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct Membership(BTreeMap<usize, (u32, u64)>);

impl Invariant for Membership {
    fn name(&self) -> &'static str {
        "membership"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let now = (host.incarnation, host.shadow.changes());
        if self.0.insert(host.index, now) == Some(now) {
            return Ok(());
        }
        let expected = host.shadow.voters();
        let configured = &node.config().static_voters;
        let voters = expected.map_or(configured, |(_, voters)| voters);
        if node.voters() != voters {
            return Err(format!(
                "machine {} takes {:?} for voters, its log says {:?}",
                host.index,
                node.voters().ids().collect::<Vec<_>>(),
                voters.ids().collect::<Vec<_>>()
            ));
        }
        if node.kraft_version() != host.shadow.kraft_version() {
            return Err(format!("machine {} has another kraft.version", host.index));
        }
        let committed = match node.role() {
            RoleName::Leader => view.oracle.end(),
            _ => return Ok(()),
        };
        let mut uncommitted = 0;
        for pair in host.shadow.all_voters().windows(2) {
            let [(_, before), (offset, after)] = pair else {
                continue;
            };
            if !are_compatible(before, after) {
                return Err(format!(
                    "the voters at {offset} do not overlap those before"
                ));
            }
            if *offset >= committed && !have_same_keys(before, after) {
                uncommitted += 1;
            }
        }
        if uncommitted > 1 {
            return Err(format!(
                "machine {} leads with {uncommitted} uncommitted voter sets",
                host.index
            ));
        }
        Ok(())
    }
}

fn have_same_keys(a: &VoterSet, b: &VoterSet) -> bool {
    a.iter().map(|v| v.key).eq(b.iter().map(|v| v.key))
}

fn are_compatible(before: &VoterSet, after: &VoterSet) -> bool {
    before.overlaps(after)
}
