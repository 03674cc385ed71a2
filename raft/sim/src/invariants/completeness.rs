//! A new leader has everything that was ever committed: `LeaderHasAllAckedValues`,
//! `LeaderCompleteness`.

use std::collections::BTreeMap;

use kwire_raft::node::RoleName;
use kwire_raft::types::{Epoch, OffsetAndEpoch};

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct Completeness(BTreeMap<usize, Epoch>);

impl Invariant for Completeness {
    fn name(&self) -> &'static str {
        "leader completeness"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let epoch = node.epoch();
        if node.role() != RoleName::Leader || self.0.insert(host.index, epoch) == Some(epoch) {
            return Ok(());
        }
        // An election of old may be won late: what later leaders committed is none of its business.
        let last = view.oracle.last().filter(|last| last.epoch < epoch);
        let Some(last) = last else {
            return Ok(());
        };
        let committed = OffsetAndEpoch::new(last.last + 1, last.epoch);
        if host.shadow.has(committed) {
            return Ok(());
        }
        Err(format!(
            "machine {} leads epoch {epoch} without what is committed up to {committed}",
            host.index
        ))
    }

    fn bears_loss(&self) -> bool {
        false
    }
}
