//! The same offset and epoch is the same batch after the same past, everywhere and always:
//! `LogMatching`, `NoLogDivergence`, `ConsistentCommittedData`.

use std::collections::BTreeMap;

use kwire_raft::types::{Epoch, Offset};

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct Agreement {
    /// By offset and epoch: the last offset, the bytes' hash, the epoch before.
    batches: BTreeMap<(Epoch, Offset), (Offset, u64, Epoch)>,
    /// How far each machine's log was looked at, and at which of its changes.
    seen: BTreeMap<usize, (u32, u64, u64, Offset)>,
}

impl Invariant for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some((host, _)) = view.touched() else {
            return Ok(());
        };
        let shadow = host.shadow;
        let now = (host.incarnation, shadow.changes(), shadow.truncations());
        let from = match self.seen.get(&host.index) {
            Some(&(life, changes, ..)) if (life, changes) == (now.0, now.1) => return Ok(()),
            Some(&(life, _, cuts, end)) if (life, cuts) == (now.0, now.2) => end,
            _ => shadow.start(),
        };
        self.seen
            .insert(host.index, (now.0, now.1, now.2, shadow.end()));
        for entry in shadow.from(from) {
            let found = (entry.last, entry.hash, entry.previous);
            let key = (entry.epoch, entry.base);
            let first = *self.batches.entry(key).or_insert(found);
            // The first batch of a log may have lost what came before.
            let same_past = first.2 == found.2 || entry.base <= shadow.start();
            if (first.0, first.1) != (found.0, found.1) || !same_past {
                return Err(format!(
                    "machine {} has {found:x?} at {} of epoch {}, another had {first:x?}",
                    host.index, entry.base, entry.epoch
                ));
            }
        }
        Ok(())
    }

    fn bears_loss(&self) -> bool {
        false
    }
}
