//! What formatting and changes of the voters have to know of a node's properties. Less than a server
//! does: they are for Kafka's own nodes as well, whatever those speak on their listeners.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kwire_raft::types::NodeId;
use kwire_raft::voters::{Address, Endpoints, VoterSet};

use super::{ConfigError, Listener, Properties};

/// A node's identity, directories and listeners for controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// `node.id`, or `broker.id`.
    pub node_id: NodeId,
    /// Whether `process.roles` has `controller`, or there are no roles.
    pub is_controller: bool,
    /// `controller.quorum.voters`: of a quorum whose log names none.
    pub voters: VoterSet,
    /// The listener by which controllers reach one another.
    pub quorum_listener: String,
    /// Where others reach this node on the listeners of `controller.listener.names`.
    pub endpoints: Endpoints,
    /// The directory of the metadata log: `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_dir: PathBuf,
    /// All log directories in the order of their names, that one included.
    pub log_dirs: BTreeSet<PathBuf>,
}

impl StorageConfig {
    /// Reads the properties.
    ///
    /// # Errors
    /// When one of them is missing, or has a value that it may not have.
    pub fn from_properties(properties: &Properties) -> Result<StorageConfig, ConfigError> {
        let node_id = super::required_id(properties)?;
        let is_controller = super::roles(properties)?;
        let listeners = super::listeners_of(properties, "listeners")?;
        let advertised = super::listeners_of(properties, "advertised.listeners")?;
        let quorum_listener = super::quorum_listener(properties, &listeners)?;
        let metadata_dir = super::log_dir(properties)?;
        Ok(StorageConfig {
            node_id,
            is_controller,
            voters: super::voters(properties, &quorum_listener)?,
            endpoints: endpoints(properties, &quorum_listener, &listeners, &advertised),
            quorum_listener,
            log_dirs: log_dirs(properties, &metadata_dir),
            metadata_dir,
        })
    }
}

fn endpoints(
    properties: &Properties,
    quorum_listener: &str,
    listeners: &[Listener],
    advertised: &[Listener],
) -> Endpoints {
    let named = properties.get(&["controller.listener.names"]);
    let names = named.map_or(quorum_listener, |(_, names)| names);
    let names: Vec<String> = names
        .split(',')
        .map(|name| name.trim().to_ascii_uppercase())
        .collect();
    let address = |name: &String| {
        let of = |l: &&Listener| l.name == *name;
        let listener = advertised.iter().find(of).or(listeners.iter().find(of))?;
        let Address { host, port } = listener.address.clone();
        // No host means all addresses, of which this is the one that is always there.
        let host = if host.is_empty() {
            "localhost".to_owned()
        } else {
            host
        };
        Some((name.clone(), Address::new(host, port)))
    };
    let found: Vec<(String, Address)> = names.iter().filter_map(address).collect();
    let found = found.iter();
    found
        .map(|(name, at)| (name.as_str(), at.clone()))
        .collect()
}

fn log_dirs(properties: &Properties, metadata_dir: &Path) -> BTreeSet<PathBuf> {
    let dirs = properties.get(&["log.dirs", "log.dir"]);
    let dirs = dirs.map_or("", |(_, dirs)| dirs).split(',');
    let mut dirs: BTreeSet<PathBuf> = dirs
        .map(str::trim)
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .collect();
    dirs.insert(metadata_dir.to_owned());
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> StorageConfig {
        let properties = Properties::parse(Path::new("p"), text).expect("properties");
        StorageConfig::from_properties(&properties).expect("valid")
    }

    const COMMON: &str = "\
node.id=1
process.roles=broker,controller
listeners=SSL://:9092,CONTROLLER://:9093,OTHER://h:9094
controller.listener.names=controller, OTHER
advertised.listeners=SSL://h:1
controller.quorum.bootstrap.servers=a:9093
log.dirs=/b, /a
";

    #[test]
    fn what_formatting_has_to_know() {
        let config = read(COMMON);
        let listeners: Vec<String> = config
            .endpoints
            .iter()
            .map(|(name, address)| format!("{name}://{address}"))
            .collect();
        assert_eq!(listeners, ["CONTROLLER://localhost:9093", "OTHER://h:9094"]);
        assert_eq!(config.quorum_listener, "CONTROLLER");
        assert_eq!(config.metadata_dir, Path::new("/b"));
        let dirs: Vec<_> = config.log_dirs.iter().collect();
        assert_eq!(dirs, [Path::new("/a"), Path::new("/b")]);
        let config = read(&format!("{COMMON}metadata.log.dir=/c\n"));
        assert_eq!(config.metadata_dir, Path::new("/c"));
        assert_eq!(config.log_dirs.len(), 3);
    }
}
