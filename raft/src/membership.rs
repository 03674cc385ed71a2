//! Who votes, and by which rules, at each offset of the log.

use crate::control::Control;
use crate::mutation::{Mutation, is_off};
use crate::types::Offset;
use crate::voters::VoterSet;

/// The voter sets and versions that the log and its latest snapshot hold, each from an offset on.
///
/// A record counts as soon as it is appended, and no longer once it is truncated (KIP-853).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The voters of the configuration: those that count while the log names none.
    configured: VoterSet,
    voters: Vec<(Offset, VoterSet)>,
    versions: Vec<(Offset, i16)>,
}

impl Membership {
    /// The configuration's voters, and what the log says.
    #[must_use]
    pub fn new(configured: VoterSet, controls: &[(Offset, Control)]) -> Membership {
        let mut membership = Membership {
            configured,
            voters: Vec::new(),
            versions: Vec::new(),
        };
        for (offset, control) in controls {
            membership.add(*offset, control.clone());
        }
        membership
    }

    /// The voters now.
    #[must_use]
    pub fn voters(&self) -> &VoterSet {
        self.voters
            .last()
            .map_or(&self.configured, |(_, voters)| voters)
    }

    /// The offset of the record that the voters are from; `None` for those of the configuration.
    #[must_use]
    pub fn voters_offset(&self) -> Option<Offset> {
        Some(self.voters.last()?.0)
    }

    /// The feature `kraft.version` now.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.versions.last().map_or(0, |&(_, version)| version)
    }

    /// The voters and the version that a snapshot of the log below `end` is to hold.
    #[must_use]
    pub fn before(&self, end: Offset) -> (i16, Option<&VoterSet>) {
        let voters = self.voters.iter().rev().find(|(offset, _)| *offset < end);
        let version = self.versions.iter().rev().find(|(offset, _)| *offset < end);
        (
            version.map_or(0, |&(_, version)| version),
            voters.map(|(_, voters)| voters),
        )
    }

    /// Takes a record of the log or of a snapshot into account.
    pub fn add(&mut self, offset: Offset, control: Control) {
        match control {
            Control::KRaftVersion(version) => self.versions.push((offset, version)),
            Control::Voters(voters) => self.voters.push((offset, voters)),
        }
    }

    /// The log ends here now.
    pub fn truncate_end(&mut self, end: Offset) {
        if is_off(Mutation::VotersNotRolledBack) {
            return;
        }
        self.voters.retain(|(offset, _)| *offset < end);
        self.versions.retain(|(offset, _)| *offset < end);
    }

    /// A snapshot holds what is below this offset: of that, only the last counts.
    pub fn truncate_start(&mut self, start: Offset) {
        keep_from(&mut self.voters, start);
        keep_from(&mut self.versions, start);
    }

    /// A snapshot took the place of the log.
    pub fn reset(&mut self, end: Offset, controls: Vec<Control>) {
        self.voters.clear();
        self.versions.clear();
        for control in controls {
            self.add(end - 1, control);
        }
    }
}

/// Drops what is below `start`, but for the last of it.
fn keep_from<T>(history: &mut Vec<(Offset, T)>, start: Offset) {
    let below = history.partition_point(|(offset, _)| *offset < start);
    history.drain(..below.saturating_sub(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{NodeId, ReplicaKey, Uuid};
    use crate::voters::{Endpoints, KRaftVersions, Voter};

    fn voters(ids: &[NodeId]) -> VoterSet {
        let voter = |&id: &NodeId| Voter {
            key: ReplicaKey::new(id, Uuid::from_parts(1, 7)),
            endpoints: Endpoints::EMPTY,
            kraft_versions: KRaftVersions::SUPPORTED,
        };
        ids.iter().map(voter).collect()
    }

    fn history() -> Membership {
        let mut membership = Membership::new(voters(&[9]), &[]);
        membership.add(3, Control::KRaftVersion(1));
        membership.add(4, Control::Voters(voters(&[0])));
        membership.add(8, Control::Voters(voters(&[0, 1])));
        membership
    }

    #[test]
    fn the_configuration_counts_until_the_log_names_voters() {
        let mut membership = Membership::new(voters(&[9]), &[]);
        assert_eq!(membership.voters(), &voters(&[9]));
        assert_eq!(membership.voters_offset(), None);
        assert_eq!(membership.kraft_version(), 0);
        membership.add(3, Control::KRaftVersion(1));
        assert_eq!(membership.voters(), &voters(&[9]));
        membership.add(4, Control::Voters(VoterSet::EMPTY));
        assert_eq!(membership.voters(), &VoterSet::EMPTY, "nobody, it says");
    }

    #[test]
    fn what_is_truncated_counts_no_longer() {
        let mut membership = history();
        assert_eq!(membership.voters_offset(), Some(8));
        membership.truncate_end(9);
        assert_eq!(membership.voters(), &voters(&[0, 1]));
        membership.truncate_end(8);
        assert_eq!(membership.voters(), &voters(&[0]));
        membership.truncate_end(4);
        assert_eq!(membership.voters(), &voters(&[9]));
        assert_eq!(membership.kraft_version(), 1);
        membership.truncate_end(3);
        assert_eq!(membership.kraft_version(), 0);
    }

    #[test]
    fn a_snapshot_gets_what_counted_at_its_end() {
        let membership = history();
        assert_eq!(membership.before(3), (0, None));
        assert_eq!(membership.before(4), (1, None));
        assert_eq!(membership.before(5), (1, Some(&voters(&[0]))));
        assert_eq!(membership.before(8), (1, Some(&voters(&[0]))));
        assert_eq!(membership.before(9), (1, Some(&voters(&[0, 1]))));
    }

    #[test]
    fn of_what_a_snapshot_holds_the_last_counts() {
        let mut membership = history();
        membership.truncate_start(8);
        assert_eq!(membership.before(8), (1, Some(&voters(&[0]))));
        assert_eq!(membership.before(4), (1, None), "the older are forgotten");
        membership.truncate_start(100);
        assert_eq!(membership.voters(), &voters(&[0, 1]));
        membership.truncate_end(9);
        assert_eq!(membership.voters(), &voters(&[0, 1]));
    }

    #[test]
    fn a_snapshot_in_place_of_the_log_stands_before_its_end() {
        let mut membership = history();
        let controls = vec![Control::Voters(voters(&[5]))];
        membership.reset(100, controls);
        assert_eq!(membership.voters_offset(), Some(99));
        assert_eq!(membership.kraft_version(), 0, "it does not say");
        membership.truncate_end(100);
        assert_eq!(membership.voters(), &voters(&[5]), "it cannot be cut");
        membership.reset(200, Vec::new());
        assert_eq!(membership.voters(), &voters(&[9]));
    }
}
