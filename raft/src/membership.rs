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
