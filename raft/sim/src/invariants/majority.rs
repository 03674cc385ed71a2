//! What is committed is on the disks of a majority, for good: `MajorityReachedHighWatermark`,
//! `CommittedEntriesReachMajority`.

use kwire_raft::node::RoleName;
use kwire_raft::types::{Offset, OffsetAndEpoch, ReplicaKey};
use kwire_raft::voters::VoterSet;

use super::{Invariant, View};

#[derive(Default)]
pub(super) struct Majority {
    /// What is committed, and the voters of whom a majority has it.
    committed: Option<(OffsetAndEpoch, VoterSet)>,
}

impl Invariant for Majority {
    fn name(&self) -> &'static str {
        "majority"
    }

    fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        if let Some((host, node)) = view.touched()
            && node.role() == RoleName::Leader
            && let Some(committed) = node.high_watermark()
        {
            let known = self.committed.as_ref().map_or(0, |(id, _)| id.offset);
            let last = host.shadow.at(committed - 1);
            if committed > known
                && let Some(last) = last
            {
                let id = OffsetAndEpoch::new(committed, last.epoch);
                self.committed = Some((id, node.voters().clone()));
            }
        }
        let Some((id, voters)) = &self.committed else {
            return Ok(());
        };
        let having = voters.iter().filter(|voter| has(view, voter.key, *id));
        let count = having.count();
        if count < voters.majority() {
            return Err(format!(
                "{id} is committed and on the disks of {count} of {} voters",
                voters.len()
            ));
        }
        Ok(())
    }

    fn bears_loss(&self) -> bool {
        false
    }
}

/// Whether a voter has what is committed, durably. A disk that was lost counts as it was: its
/// replica votes no more.
fn has(view: &View<'_>, voter: ReplicaKey, id: OffsetAndEpoch) -> bool {
    let is = |key: ReplicaKey| {
        key.id == voter.id
            && (voter.directory_id.is_none() || voter.directory_id == key.directory_id)
    };
    let lives =
        |durable: Offset, shadow: &crate::shadow::Shadow| durable >= id.offset && shadow.has(id);
    let here = view
        .hosts
        .iter()
        .find(|host| host.key.is_some_and(is))
        .is_some_and(|host| lives(host.durable, host.shadow));
    here || view
        .lost
        .iter()
        .any(|(key, shadow)| is(*key) && lives(shadow.end(), shadow))
}
