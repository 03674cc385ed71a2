//! Which versions of each API a node speaks: some runs have old nodes among the new.

use std::collections::BTreeMap;

use kwire_protocol::ApiKey;

use crate::rng::Stream;

/// The APIs between nodes, and the least and the greatest version that matter to KRaft, the least
/// for directory ids (`kraft.version` 1) between the two.
const APIS: [(ApiKey, i16, i16, i16); 10] = [
    (ApiKey::VOTE, 0, 1, 2),
    (ApiKey::BEGIN_QUORUM_EPOCH, 0, 1, 1),
    (ApiKey::END_QUORUM_EPOCH, 0, 1, 1),
    (ApiKey::FETCH, 12, 17, 18),
    (ApiKey::FETCH_SNAPSHOT, 0, 1, 1),
    (ApiKey::DESCRIBE_QUORUM, 0, 0, 2),
    (ApiKey::ADD_RAFT_VOTER, 0, 0, 1),
    (ApiKey::REMOVE_RAFT_VOTER, 0, 0, 0),
    (ApiKey::UPDATE_RAFT_VOTER, 0, 0, 0),
    (ApiKey::API_VERSIONS, 3, 3, 4),
];

/// The highest version of each API that a node speaks.
#[derive(Clone, Debug)]
pub struct Versions(BTreeMap<ApiKey, i16>);

impl Versions {
    /// The newest of all.
    #[must_use]
    pub fn newest() -> Versions {
        Versions(APIS.iter().map(|(key, .., max)| (*key, *max)).collect())
    }

    /// Those of an older node, which knows directory ids if it has to.
    pub fn draw(stream: &mut Stream, directories: bool) -> Versions {
        let drawn = APIS.iter().map(|&(key, min, with_directories, max)| {
            let least = if directories { with_directories } else { min };
            let version = stream.between(least.unsigned_abs().into(), max.unsigned_abs().into());
            (key, i16::try_from(version).unwrap_or(max))
        });
        Versions(drawn.collect())
    }

    /// Whether a node reads how far a follower is durable that fetches ahead of its disk, and says so
    /// as a leader. Nodes that are not of this library do not.
    #[must_use]
    pub fn have_extension(&self) -> bool {
        self.0.get(&ApiKey::FETCH) >= Some(&18)
    }

    /// The version in which two nodes speak.
    #[must_use]
    pub fn common(&self, other: &Versions, api: ApiKey) -> Option<i16> {
        Some(*self.0.get(&api)?.min(other.0.get(&api)?))
    }
}
