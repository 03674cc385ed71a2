//! Listeners, addresses and voters as properties have them.

use kwire_raft::types::{NodeId, ReplicaKey};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};

/// A listener: `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in upper case.
    pub name: String,
    /// Where to listen. No host means all addresses; port 0 one that the system chooses.
    pub address: Address,
}

/// Reads `NAME://host:port,...`.
pub(super) fn listeners(text: &str) -> Option<Vec<Listener>> {
    text.split(',').map(|one| listener(one.trim())).collect()
}

fn listener(text: &str) -> Option<Listener> {
    let (name, address) = text.split_once("://")?;
    if name.is_empty() {
        return None;
    }
    Some(Listener {
        name: name.to_ascii_uppercase(),
        address: address_of(address)?,
    })
}

/// Reads `host:port`, `[v6]:port` or `:port`, which is all addresses.
#[must_use]
pub fn address_of(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        // Two colons and no brackets: nobody knows where the port begins.
        None if host.contains(':') => return None,
        None => host,
    };
    Some(Address::new(host, port))
}

/// Reads `host:port,...`, each with a host.
pub(super) fn addresses(text: &str) -> Option<Vec<Address>> {
    let address = |one: &str| address_of(one.trim()).filter(|a| !a.host.is_empty() && a.port != 0);
    text.split(',').map(address).collect()
}

/// Reads `id@host:port,...`: the voters of a quorum whose log names none.
pub(super) fn voters(text: &str, listener: &str) -> Option<VoterSet> {
    let voter = |one: &str| {
        let (id, address) = one.trim().split_once('@')?;
        let id: NodeId = id.parse().ok().filter(|id| *id >= 0)?;
        let address = address_of(address).filter(|a| !a.host.is_empty() && a.port != 0)?;
        Some(Voter {
            key: ReplicaKey {
                id,
                directory_id: None,
            },
            endpoints: Endpoints::one(listener, address),
            kraft_versions: KRaftVersions::default(),
        })
    };
    let voters: Vec<Voter> = text.split(',').map(voter).collect::<Option<_>>()?;
    let set: VoterSet = voters.iter().cloned().collect();
    // An id twice would silently lose a voter.
    (set.len() == voters.len()).then_some(set)
}
