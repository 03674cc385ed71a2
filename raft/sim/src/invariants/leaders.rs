//! One leader an epoch, and one life of it: `SingleLeader`, `NeverTwoLeadersInSameEpoch`.

use std::collections::BTreeMap;

use kwire_raft::node::RoleName;
use kwire_raft::types::{Epoch, NodeId};

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct Leaders {
    led: BTreeMap<Epoch, (usize, u32)>,
    named: BTreeMap<Epoch, NodeId>,
}

impl Invariant for Leaders {
    fn name(&self) -> &'static str {
        "one leader"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let epoch = node.epoch();
        if node.role() == RoleName::Leader {
            let life = (host.index, host.incarnation);
            let first = *self.led.entry(epoch).or_insert(life);
            if first != life {
                return Err(format!(
                    "epoch {epoch} is led by machine {} (start {}) and machine {} (start {})",
                    first.0, first.1, life.0, life.1
                ));
            }
        }
        if let Some(leader) = node.leader() {
            let first = *self.named.entry(epoch).or_insert(leader);
            if first != leader {
                return Err(format!("epoch {epoch} is led by {first} and {leader}"));
            }
        }
        Ok(())
    }

    fn bears_loss(&self) -> bool {
        false
    }
}
