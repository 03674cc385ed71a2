//! A follower never truncates what it knows to be committed, a leader nothing at all.

use std::collections::BTreeMap;

use kwire_raft::node::RoleName;
use kwire_raft::types::{Epoch, Offset};

use super::{Invariant, View};

/// What a node had: its end, what it knew to be committed, and the epoch that it led.
#[derive(Clone, Copy, Default)]
struct Had {
    end: Offset,
    truncations: u64,
    committed: Offset,
    led: Option<Epoch>,
    start: Offset,
}

#[derive(Default)]
pub(super) struct Truncation(BTreeMap<(usize, u32), Had>);

impl Invariant for Truncation {
    fn name(&self) -> &'static str {
        "truncation"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, node)) = view.touched() else {
            return Ok(());
        };
        let shadow = host.shadow;
        let leads = node.role() == RoleName::Leader;
        let run = (host.index, host.incarnation);
        let had = self.0.get(&run).copied().unwrap_or_default();
        let has = Had {
            end: shadow.end(),
            truncations: shadow.truncations(),
            committed: node.high_watermark().unwrap_or(0).max(had.committed),
            led: leads.then(|| node.epoch()),
            start: shadow.start(),
        };
        self.0.insert(run, has);
        if has.end < had.committed {
            return Err(format!(
                "machine {} had {} committed, and now ends at {}",
                host.index, had.committed, has.end
            ));
        }
        let is_same_reign = had.led.is_some() && had.led == has.led;
        if is_same_reign && (has.truncations != had.truncations || has.end < had.end) {
            return Err(format!("machine {} truncates while it leads", host.index));
        }
        if has.start < had.start {
            return Err(format!(
                "machine {} starts before {}",
                host.index, had.start
            ));
        }
        Ok(())
    }
}
