//! An epoch never goes back, crashes included: `MonotonicEpoch`.

use std::collections::BTreeMap;

use kwire_raft::types::{Epoch, Uuid};

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct Epochs(BTreeMap<(usize, Uuid), Epoch>);

impl Invariant for Epochs {
    fn name(&self) -> &'static str {
        "epochs"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let disk = (host.index, node.config().directory_id);
        let last = self.0.insert(disk, node.epoch()).unwrap_or(0);
        if node.epoch() < last {
            return Err(format!(
                "machine {} was in epoch {last} and is in {}",
                host.index,
                node.epoch()
            ));
        }
        Ok(())
    }
}
