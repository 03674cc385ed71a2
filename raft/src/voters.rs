//! Voters, where they listen, and what they understand.

use std::collections::BTreeMap;
use std::fmt;

use kwire_protocol::messages::api_versions_response::SupportedFeatureKey;
use kwire_protocol::messages::{VotersRecord, voters_record};

use crate::types::{NodeId, ReplicaKey};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// A host and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Address {
        let host = host.into();
        Address { host, port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where a node listens, by the name of the listener in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoints(BTreeMap<String, Address>);

impl Endpoints {
    /// No endpoint at all.
    pub const EMPTY: Endpoints = Endpoints(BTreeMap::new());

    /// One listener.
    pub fn one(listener: &str, address: Address) -> Endpoints {
        [(listener, address)].into_iter().collect()
    }

    /// The address of a listener.
    #[must_use]
    pub fn get(&self, listener: &str) -> Option<&Address> {
        self.0.get(listener)
    }

    /// The listeners in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Address)> {
        self.0
            .iter()
            .map(|(name, address)| (name.as_str(), address))
    }

    /// How many listeners there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, Address)> for Endpoints {
    fn from_iter<I: IntoIterator<Item = (&'a str, Address)>>(listeners: I) -> Endpoints {
        let named = |(name, address): (&str, Address)| (name.to_ascii_uppercase(), address);
        Endpoints(listeners.into_iter().map(named).collect())
    }
}

/// The values of the feature `kraft.version` that a node understands, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KRaftVersions {
    /// The least.
    pub min: i16,
    /// The greatest.
    pub max: i16,
}

impl KRaftVersions {
    /// The feature's name.
    pub const FEATURE: &str = "kraft.version";

    /// What this implementation understands.
    pub const SUPPORTED: KRaftVersions = KRaftVersions { min: 0, max: 1 };

    /// What this implementation understands, as an ApiVersions response says it (KIP-584).
    #[must_use]
    pub fn supported_feature() -> SupportedFeatureKey<'static> {
        let KRaftVersions { min, max } = KRaftVersions::SUPPORTED;
        SupportedFeatureKey {
            name: KRaftVersions::FEATURE.into(),
            min_version: min,
            max_version: max,
            ..Default::default()
        }
    }

    /// Whether the version is one of them.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// A voter: its key, where it listens, what it understands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Voter {
    /// Its key. Static voters have no directory id: any directory matches.
    pub key: ReplicaKey,
    /// Where it listens.
    pub endpoints: Endpoints,
    /// The versions of `kraft.version` that it understands.
    pub kraft_versions: KRaftVersions,
}

/// The voters of a quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VoterSet(BTreeMap<NodeId, Voter>);

impl VoterSet {
    /// Nobody: what an observer knows that has not heard of any voter.
    pub const EMPTY: VoterSet = VoterSet(BTreeMap::new());

    /// The voter with this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Voter> {
        self.0.get(&id)
    }

    /// The voters in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.values()
    }

    /// Their ids in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The least number of voters that is more than half.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.len() / 2 + 1
    }

    /// Whether the replica is a voter: its id is there, and its directory is the one there, or
    /// none is known for the voter (KIP-853).
    #[must_use]
    pub fn contains(&self, key: ReplicaKey) -> bool {
        self.get(key.id).is_some_and(|voter| {
            voter.key.directory_id.is_none() || voter.key.directory_id == key.directory_id
        })
    }

    /// Whether the replica is the only voter.
    #[must_use]
    pub fn is_only(&self, key: ReplicaKey) -> bool {
        self.len() == 1 && self.contains(key)
    }

    /// The address of a voter on a listener.
    #[must_use]
    pub fn address(&self, id: NodeId, listener: &str) -> Option<&Address> {
        self.get(id)?.endpoints.get(listener)
    }

    /// The set with one voter more, or with that voter changed.
    #[must_use]
    pub fn with(&self, voter: Voter) -> VoterSet {
        let mut voters = self.clone();
        voters.0.insert(voter.key.id, voter);
        voters
    }

    /// The set without the voter of this id.
    #[must_use]
    pub fn without(&self, id: NodeId) -> VoterSet {
        let mut voters = self.clone();
        voters.0.remove(&id);
        voters
    }

    /// Whether any majority of one set has a voter in common with any majority of the other. So it
    /// is if one voter was added or removed. If one took the place of another, even under the same
    /// id, it is so only where their number is even: 1, 3 and 2, 4 are majorities of 1, 2, 3 and
    /// 1, 2, 4. (Kafka's check is content with one added and one removed.)
    #[must_use]
    pub fn overlaps(&self, other: &VoterSet) -> bool {
        let in_other = |voter: &&Voter| other.get(voter.key.id).is_some_and(|v| v.key == voter.key);
        let shared = self.iter().filter(in_other).count();
        // Two majorities that avoid one another take the voters that are not shared first.
        let needs = |set: &VoterSet| set.majority().saturating_sub(set.len() - shared);
        needs(self) + needs(other) > shared
    }

    /// The record that says this in the log.
    #[must_use]
    pub fn to_record(&self) -> VotersRecord<'static> {
        let voter = |voter: &Voter| voters_record::Voter {
            voter_id: voter.key.id,
            voter_directory_id: voter.key.wire_directory_id(),
            endpoints: voter
                .endpoints
                .iter()
                .map(|(name, address)| voters_record::Endpoint {
                    name: name.to_owned().into(),
                    host: address.host.clone().into(),
                    port: address.port,
                    ..Default::default()
                })
                .collect(),
            kraft_version_feature: voters_record::KRaftVersionFeature {
                min_supported_version: voter.kraft_versions.min,
                max_supported_version: voter.kraft_versions.max,
                ..Default::default()
            },
            ..Default::default()
        };
        VotersRecord {
            voters: self.iter().map(voter).collect(),
            ..Default::default()
        }
    }

    /// What a record of the log says. Of two voters with one id, the later counts.
    #[must_use]
    pub fn from_record(record: &VotersRecord<'_>) -> VoterSet {
        record.voters.iter().map(Voter::from_record).collect()
    }
}

impl Voter {
    fn from_record(voter: &voters_record::Voter<'_>) -> Voter {
        let endpoint = |endpoint: &voters_record::Endpoint<'_>| {
            let address = Address::new(endpoint.host.clone(), endpoint.port);
            (endpoint.name.to_ascii_uppercase(), address)
        };
        Voter {
            key: ReplicaKey::new(voter.voter_id, voter.voter_directory_id),
            endpoints: Endpoints(voter.endpoints.iter().map(endpoint).collect()),
            kraft_versions: KRaftVersions {
                min: voter.kraft_version_feature.min_supported_version,
                max: voter.kraft_version_feature.max_supported_version,
            },
        }
    }
}

impl FromIterator<Voter> for VoterSet {
    fn from_iter<I: IntoIterator<Item = Voter>>(voters: I) -> VoterSet {
        VoterSet(voters.into_iter().map(|v| (v.key.id, v)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Uuid;

    fn voter(id: NodeId, directory: u64) -> Voter {
        Voter {
            key: ReplicaKey::new(id, Uuid::from_parts(0, directory)),
            endpoints: Endpoints::one("controller", Address::new("host", 1)),
            kraft_versions: KRaftVersions::SUPPORTED,
        }
    }

    fn voters(keys: &[(NodeId, u64)]) -> VoterSet {
        let voter = |&(id, directory): &(NodeId, u64)| voter(id, directory);
        keys.iter().map(voter).collect()
    }

    fn key(id: NodeId, directory: u64) -> ReplicaKey {
        ReplicaKey::new(id, Uuid::from_parts(0, directory))
    }

    #[test]
    fn a_directory_counts_where_the_set_knows_one() {
        let set = voters(&[(1, 10), (2, 0)]);
        assert!(set.contains(key(1, 10)));
        assert!(!set.contains(key(1, 11)));
        assert!(!set.contains(key(1, 0)), "it does not say");
        assert!(set.contains(key(2, 0)));
        assert!(set.contains(key(2, 77)), "any is that of a static voter");
        assert!(!set.contains(key(3, 10)));
    }

    #[test]
    fn more_than_half_are_a_majority() {
        let sizes = [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)];
        for (size, majority) in sizes {
            let keys: Vec<(NodeId, u64)> = (0..size).map(|id| (id, 1)).collect();
            assert_eq!(voters(&keys).majority(), majority);
        }
    }

    #[test]
    fn only_a_matching_key_is_the_only_voter() {
        assert!(voters(&[(1, 10)]).is_only(key(1, 10)));
        assert!(!voters(&[(1, 10)]).is_only(key(1, 11)));
        assert!(!voters(&[(1, 10), (2, 10)]).is_only(key(1, 10)));
        assert!(!VoterSet::EMPTY.is_only(key(1, 10)));
    }

    #[test]
    fn adding_replaces_and_removing_forgives() {
        let set = voters(&[(1, 10)]).with(voter(1, 11)).with(voter(2, 10));
        assert_eq!(set, voters(&[(1, 11), (2, 10)]));
        assert_eq!(set.without(1), voters(&[(2, 10)]));
        assert_eq!(set.without(9), set);
    }

    #[test]
    fn listeners_have_names_in_upper_case() {
        let set = voters(&[(1, 10)]);
        assert!(set.address(1, "CONTROLLER").is_some());
        assert!(set.address(1, "OTHER").is_none());
        assert!(set.address(2, "CONTROLLER").is_none());
    }

    #[test]
    fn a_record_says_the_same() {
        let set = voters(&[(1, 10), (2, 0), (3, 12)]);
        assert_eq!(VoterSet::from_record(&set.to_record()), set);
        let mut twice = set.to_record();
        twice.voters[0].voter_id = 3;
        let read = VoterSet::from_record(&twice);
        assert_eq!(read.len(), 2, "one key for one id");
    }

    #[test]
    fn sets_one_voter_apart_overlap() {
        let set = voters(&[(1, 1), (2, 1), (3, 1)]);
        let overlaps = |other: &[(NodeId, u64)]| {
            let other = voters(other);
            assert_eq!(set.overlaps(&other), other.overlaps(&set));
            set.overlaps(&other)
        };
        assert!(overlaps(&[(1, 1), (2, 1), (3, 1)]));
        assert!(overlaps(&[(1, 1), (2, 1)]));
        assert!(overlaps(&[(1, 1), (2, 1), (3, 1), (4, 1)]));
        assert!(!overlaps(&[(1, 1), (2, 1), (3, 2)]), "another disk");
        assert!(!overlaps(&[(1, 1), (2, 1), (4, 1)]), "one for another");
        assert!(!overlaps(&[(1, 1)]));
        assert!(!overlaps(&[(1, 1), (2, 2), (3, 2)]));
        assert!(!overlaps(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]));
    }

    #[test]
    fn sets_overlap_if_no_two_majorities_are_apart() {
        let all: Vec<(NodeId, u64)> = vec![(0, 1), (0, 2), (1, 1), (2, 1), (2, 2), (3, 1), (4, 1)];
        let subset = |mask: usize| -> Option<VoterSet> {
            let chosen = all.iter().enumerate();
            let chosen = chosen.filter(|(at, _)| (mask >> at) & 1 == 1);
            let keys: Vec<(NodeId, u64)> = chosen.map(|(_, key)| *key).collect();
            let set = voters(&keys);
            (set.len() == keys.len() && !keys.is_empty()).then_some(set)
        };
        let sets: Vec<(usize, VoterSet)> = (0..1 << all.len())
            .filter_map(|mask| Some((mask, subset(mask)?)))
            .collect();
        let majorities = |mask: usize, set: &VoterSet| -> Vec<usize> {
            let all = (0..=mask).filter(|part| part & mask == *part);
            let enough = all.filter(|part| part.count_ones() as usize >= set.majority());
            enough.collect()
        };
        for (a, set_a) in &sets {
            for (b, set_b) in &sets {
                let of_b = majorities(*b, set_b);
                let apart = |x: &usize| of_b.iter().any(|y| x & y == 0);
                let meet = !majorities(*a, set_a).iter().any(apart);
                assert_eq!(set_a.overlaps(set_b), meet, "{a:b} {b:b}");
            }
        }
    }
}
