//! The high watermark never goes back while a node runs: `MonotonicHighWatermark`.

use std::collections::BTreeMap;

use kwire_raft::types::Offset;

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct HighWatermark(BTreeMap<(usize, u32), Offset>);

impl Invariant for HighWatermark {
    fn name(&self) -> &'static str {
        "high watermark"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let Some(committed) = node.high_watermark() else {
            return Ok(());
        };
        let run = (host.index, host.incarnation);
        let last = self.0.insert(run, committed).unwrap_or(0);
        if committed < last {
            return Err(format!(
                "machine {} goes from {last} to {committed}",
                host.index
            ));
        }
        Ok(())
    }
}
