//! The settings of a server, from Kafka's own properties: those of today, and those of 2020, when
//! the quorum's had no prefix.

mod connections;
mod listeners;
mod retention;
mod settings;
mod source;
mod storage;

use std::path::PathBuf;

use kwire_raft::Config;
use kwire_raft::log::LogOptions;
use kwire_raft::types::{NodeId, Topic, Uuid};
use kwire_raft::voters::{Address, Endpoints, VoterSet};

use crate::clients;
use crate::listen::Limits;

pub use listeners::{Listener, address_of};
pub use retention::Retention;
pub use settings::{Kind, Setting, Settings, Source};
pub use source::{ConfigError, Place, Properties};
pub use storage::StorageConfig;

/// What a server is told by its properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// `node.id`, or `broker.id`.
    pub node_id: NodeId,
    /// `process.roles` has `controller`, or there are none: the node may become a voter.
    pub is_controller: bool,
    /// The voters of a quorum whose log names none.
    pub voters: VoterSet,
    /// Where to ask for the quorum's leader.
    pub bootstrap_servers: Vec<Address>,
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Where others reach this node, if that is another place.
    pub advertised: Vec<Listener>,
    /// The listener by which nodes reach one another.
    pub quorum_listener: String,
    /// The directory that has the log's directory, and `meta.properties`.
    pub log_dir: PathBuf,
    /// The timers and sizes of the quorum.
    pub quorum: Quorum,
    /// `metadata.log.segment.bytes`
    pub segment_bytes: u32,
    /// `metadata.log.segment.ms`
    pub segment_ms: u64,
    /// When snapshots are made and what is deleted then. `None` if nothing says so: then none are
    /// made, and nothing is.
    pub retention: Option<Retention>,
    /// `socket.request.max.bytes`
    pub max_request_bytes: usize,
    /// What connections may cost.
    pub connections: Limits,
    /// What is taken of clients.
    pub clients: clients::Options,
    /// All of these, as tools ask for them.
    pub settings: Settings,
}

/// The properties `controller.quorum.*` that a node keeps as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// `controller.quorum.election.timeout.ms`
    pub election_timeout_ms: u64,
    /// `controller.quorum.fetch.timeout.ms`
    pub fetch_timeout_ms: u64,
    /// `controller.quorum.election.backoff.max.ms`
    pub election_backoff_max_ms: u64,
    /// `controller.quorum.append.linger.ms`
    pub append_linger_ms: u64,
    /// `controller.quorum.request.timeout.ms`
    pub request_timeout_ms: u64,
    /// `controller.quorum.retry.backoff.ms`
    pub retry_backoff_ms: u64,
    /// `controller.quorum.fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub fetch_snapshot_max_bytes: i32,
    /// `controller.quorum.auto.join.enable`
    pub auto_join: bool,
    /// `kwire.quorum.elect.when.refused`, which Kafka does not have: see
    /// [`Config::stands_when_refused`].
    pub elect_when_refused: bool,
}

/// A setting of 2020 that has no meaning any more.
const ZOOKEEPER: &str = "zookeeper.connect";
const KIB_8: u32 = 8 << 20;

impl ServerConfig {
    /// Reads the settings. What is set and has no meaning here is in
    /// [`Properties::ignored`] afterwards.
    ///
    /// # Errors
    /// When a property is missing, or has a value that it may not have.
    pub fn from_properties(properties: &Properties) -> Result<ServerConfig, ConfigError> {
        let node_id = required_id(properties)?;
        let is_controller = roles(properties)?;
        let listeners = listeners_of(properties, "listeners")?;
        let quorum_listener = quorum_listener(properties, &listeners)?;
        check_protocols(properties, &listeners)?;
        if is_controller && !listeners.iter().any(|l| l.name == quorum_listener) {
            if !listeners.is_empty() {
                let needed = format!("one is to be {quorum_listener}://host:port, for the quorum");
                return Err(properties.refused("listeners", &needed));
            }
            return Err(ConfigError::Missing {
                property: "listeners".to_owned(),
                reason: format!("nodes reach one another by {quorum_listener}://host:port"),
            });
        }
        let voters = voters(properties, &quorum_listener)?;
        let bootstrap_servers = bootstrap_servers(properties)?;
        if voters.is_empty() && bootstrap_servers.is_empty() {
            return Err(ConfigError::Missing {
                property: "controller.quorum.voters".to_owned(),
                reason: "name the voters as id@host:port,..., or, if the log names them, some of \
                         their addresses in controller.quorum.bootstrap.servers"
                    .to_owned(),
            });
        }
        let config = ServerConfig {
            node_id,
            is_controller,
            voters,
            bootstrap_servers,
            advertised: listeners_of(properties, "advertised.listeners")?,
            listeners,
            quorum_listener,
            log_dir: log_dir(properties)?,
            quorum: quorum(properties)?,
            segment_bytes: properties.value(
                &["metadata.log.segment.bytes"],
                1 << 30,
                "a number of bytes, 8388608 (8 MiB) at least",
                |bytes| *bytes >= KIB_8,
            )?,
            segment_ms: millis(properties, &["metadata.log.segment.ms"], 604_800_000)?,
            retention: retention::retention(properties)?,
            max_request_bytes: connections::max_request_bytes(properties)?,
            connections: connections::limits(properties)?,
            clients: connections::clients(properties)?,
            settings: Settings::default(),
        };
        Ok(ServerConfig {
            settings: Settings::of(&config, properties),
            ..config
        })
    }

    /// The node that this makes, in a directory and a cluster.
    #[must_use]
    pub fn node(&self, topic: Topic, cluster_id: String, directory_id: Uuid) -> Config {
        let quorum = self.quorum;
        Config {
            cluster_id,
            topic,
            static_voters: self.voters.clone(),
            bootstrap_servers: self.bootstrap_servers.clone(),
            listener: self.quorum_listener.clone(),
            endpoints: self.endpoints(),
            election_timeout_ms: quorum.election_timeout_ms,
            fetch_timeout_ms: quorum.fetch_timeout_ms,
            election_backoff_max_ms: quorum.election_backoff_max_ms,
            request_timeout_ms: quorum.request_timeout_ms,
            retry_backoff_ms: quorum.retry_backoff_ms,
            append_linger_ms: quorum.append_linger_ms,
            fetch_max_bytes: quorum.fetch_max_bytes,
            fetch_snapshot_max_bytes: quorum.fetch_snapshot_max_bytes,
            auto_join: quorum.auto_join,
            stands_when_refused: quorum.elect_when_refused,
            can_become_voter: self.is_controller,
            ..Config::new(Some(self.node_id), directory_id)
        }
    }

    /// How the log is kept.
    #[must_use]
    pub fn log_options(&self, topic: Topic) -> LogOptions {
        LogOptions {
            segment_bytes: self.segment_bytes,
            segment_ms: self.segment_ms,
            ..LogOptions::new(topic)
        }
    }

    /// Where other nodes reach this one: as advertised, as the voters are configured, or as it
    /// listens.
    fn endpoints(&self) -> Endpoints {
        let known = |listener: &Listener| {
            let advertised = self.advertised.iter().find(|a| a.name == listener.name);
            let configured = self.voters.address(self.node_id, &listener.name);
            let address = advertised.map(|a| &a.address).or(configured);
            let address = address.unwrap_or(&listener.address).clone();
            // No host means all addresses, of which this is the one that is always there.
            let host = if address.host.is_empty() {
                "localhost".to_owned()
            } else {
                address.host
            };
            (listener.name.clone(), Address::new(host, address.port))
        };
        let all: Vec<(String, Address)> = self.listeners.iter().map(known).collect();
        all.iter()
            .filter(|(name, _)| *name == self.quorum_listener)
            .map(|(name, address)| (name.as_str(), address.clone()))
            .collect()
    }
}

fn required_id(properties: &Properties) -> Result<NodeId, ConfigError> {
    let names = ["node.id", "broker.id"];
    if properties.get(&names).is_none() {
        return Err(ConfigError::Missing {
            property: "node.id".to_owned(),
            reason: "every node of a quorum needs an id of its own".to_owned(),
        });
    }
    let allowed = "a number from 0 to 2147483647";
    properties.value(&names, -1, allowed, |id| *id >= 0)
}

/// Whether the node may become a voter.
fn roles(properties: &Properties) -> Result<bool, ConfigError> {
    let Some((name, value)) = properties.get(&["process.roles"]) else {
        return Ok(true);
    };
    let mut roles = value.split(',').map(str::trim);
    if !roles
        .clone()
        .all(|role| role == "controller" || role == "broker")
    {
        return Err(properties.refused(name, "controller, broker, or both with a comma"));
    }
    Ok(roles.any(|role| role == "controller"))
}

fn listeners_of(properties: &Properties, name: &str) -> Result<Vec<Listener>, ConfigError> {
    let Some((name, value)) = properties.get(&[name]) else {
        return Ok(Vec::new());
    };
    listeners::listeners(value)
        .ok_or_else(|| properties.refused(name, "NAME://host:port, several with commas"))
}

fn quorum_listener(properties: &Properties, listeners: &[Listener]) -> Result<String, ConfigError> {
    let Some((name, value)) = properties.get(&["controller.listener.names"]) else {
        // In 2020 there was one listener for everything.
        let first = listeners.first();
        return Ok(first.map_or_else(|| "PLAINTEXT".to_owned(), |l| l.name.clone()));
    };
    let first = value.split(',').next().unwrap_or_default().trim();
    if first.is_empty() {
        return Err(properties.refused(name, "names of listeners, several with commas"));
    }
    Ok(first.to_ascii_uppercase())
}

/// Whether all listeners speak what this server speaks.
fn check_protocols(properties: &Properties, listeners: &[Listener]) -> Result<(), ConfigError> {
    let map = properties.get(&["listener.security.protocol.map"]);
    let mut protocols = Vec::new();
    if let Some((name, value)) = map {
        for pair in value.split(',') {
            let allowed = "NAME:PROTOCOL, several with commas";
            let (listener, protocol) = pair
                .trim()
                .split_once(':')
                .ok_or_else(|| properties.refused(name, allowed))?;
            protocols.push((listener.trim().to_ascii_uppercase(), protocol.trim()));
        }
    }
    for listener in listeners {
        let mapped = protocols.iter().find(|(name, _)| *name == listener.name);
        let protocol = mapped.map_or(listener.name.as_str(), |(_, protocol)| protocol);
        let is_plain = protocol.eq_ignore_ascii_case("PLAINTEXT");
        let is_foreign = ["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
            .iter()
            .any(|other| protocol.eq_ignore_ascii_case(other));
        if is_foreign || (mapped.is_some() && !is_plain) {
            let name = map.map_or("listeners", |(name, _)| name);
            return Err(properties.refused(name, "PLAINTEXT is the only protocol here"));
        }
    }
    Ok(())
}

fn voters(properties: &Properties, listener: &str) -> Result<VoterSet, ConfigError> {
    let Some((name, value)) = properties.get(&["controller.quorum.voters", "quorum.voters"]) else {
        return Ok(VoterSet::EMPTY);
    };
    listeners::voters(value, listener)
        .ok_or_else(|| properties.refused(name, "id@host:port, several with commas, each id once"))
}

fn bootstrap_servers(properties: &Properties) -> Result<Vec<Address>, ConfigError> {
    let Some((name, value)) = properties.get(&["controller.quorum.bootstrap.servers"]) else {
        return Ok(Vec::new());
    };
    listeners::addresses(value)
        .ok_or_else(|| properties.refused(name, "host:port, several with commas"))
}

fn log_dir(properties: &Properties) -> Result<PathBuf, ConfigError> {
    // Looked at in any case, so that the others do not count as ignored.
    let dirs = properties.get(&["log.dirs", "log.dir"]);
    let metadata = properties.get(&["metadata.log.dir"]);
    let Some((_, value)) = metadata.or(dirs) else {
        return Err(ConfigError::Missing {
            property: "log.dirs".to_owned(),
            reason: "name the directory for the log".to_owned(),
        });
    };
    let first = value.split(',').next().unwrap_or_default().trim();
    Ok(PathBuf::from(first))
}

/// A time without which nothing waits.
fn pause(properties: &Properties, names: &[&str], default: u64) -> Result<u64, ConfigError> {
    let allowed = "a number of milliseconds from 0 to 2147483647";
    properties.value(names, default, allowed, |ms| *ms <= i32::MAX as u64)
}

/// A time that has to pass: with 0 a node would never come to rest.
fn millis(properties: &Properties, names: &[&str], default: u64) -> Result<u64, ConfigError> {
    let allowed = "a number of milliseconds from 1 to 2147483647";
    properties.value(names, default, allowed, |ms| {
        (1..=i32::MAX as u64).contains(ms)
    })
}

fn bytes(properties: &Properties, name: &str) -> Result<i32, ConfigError> {
    let allowed = "a number of bytes from 1 to 2147483647";
    properties.value(&[name], 1 << 20, allowed, |bytes| *bytes >= 1)
}

fn quorum(properties: &Properties) -> Result<Quorum, ConfigError> {
    let names = |name: &str| {
        let today = format!("controller.quorum.{name}.ms");
        [today, format!("quorum.{name}.ms")]
    };
    let ms = |name: &str, default| {
        let [today, then] = names(name);
        millis(properties, &[&today, &then], default)
    };
    let pause = |name: &str, default| {
        let [today, then] = names(name);
        pause(properties, &[&today, &then], default)
    };
    // Known, and without a meaning.
    properties.get(&[ZOOKEEPER]);
    Ok(Quorum {
        election_timeout_ms: ms("election.timeout", 1_000)?,
        fetch_timeout_ms: ms("fetch.timeout", 2_000)?,
        election_backoff_max_ms: pause("election.backoff.max", 1_000)?,
        append_linger_ms: pause("append.linger", 25)?,
        request_timeout_ms: ms("request.timeout", 2_000)?,
        retry_backoff_ms: ms("retry.backoff", 20)?,
        fetch_max_bytes: bytes(properties, "controller.quorum.fetch.max.bytes")?,
        fetch_snapshot_max_bytes: bytes(properties, "controller.quorum.fetch.snapshot.max.bytes")?,
        auto_join: properties.value(
            &["controller.quorum.auto.join.enable"],
            false,
            "true or false",
            |_| true,
        )?,
        elect_when_refused: properties.value(
            &["kwire.quorum.elect.when.refused"],
            true,
            "true or false",
            |_| true,
        )?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<ServerConfig, ConfigError> {
        let properties = Properties::parse(Path::new("raft.properties"), text)?;
        ServerConfig::from_properties(&properties)
    }

    const TODAY: &str = "\
process.roles=controller
node.id=2
listeners=CONTROLLER://:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT
controller.quorum.voters=1@a:9093, 2@b:9093,3@c:9093
controller.quorum.fetch.timeout.ms=500
log.dirs=/tmp/raft,/tmp/other
";

    #[test]
    fn properties_of_today() {
        let config = read(TODAY).expect("valid");
        assert_eq!((config.node_id, config.voters.len()), (2, 3));
        assert_eq!(config.quorum.fetch_timeout_ms, 500);
        assert_eq!(config.quorum.election_timeout_ms, 1_000);
        assert_eq!(config.log_dir, Path::new("/tmp/raft"));
        let node = config.node(Topic::performance_test(), "id".to_owned(), Uuid::ZERO);
        let own = node.endpoints.get("CONTROLLER").expect("the quorum's");
        assert_eq!(
            own,
            &Address::new("b", 9093),
            "as the voters are configured"
        );
    }

    #[test]
    fn properties_of_2020() {
        let text = "broker.id=1\nlisteners=PLAINTEXT://localhost:9092\nquorum.voters=1@localhost:9092\n\
            quorum.election.timeout.ms=77\nlog.dirs=/tmp/raft\nzookeeper.connect=localhost:2181\nfoo=1\n";
        let properties = Properties::parse(Path::new("p"), text).expect("properties");
        let config = ServerConfig::from_properties(&properties).expect("valid");
        assert_eq!(
            (config.node_id, config.quorum_listener.as_str()),
            (1, "PLAINTEXT")
        );
        assert_eq!(config.quorum.election_timeout_ms, 77);
        assert_eq!(properties.ignored(), ["foo"]);
    }

    #[test]
    fn errors_say_where_and_what_is_allowed() {
        for (change, place, said) in [
            (
                "node.id=-1",
                "raft.properties:9: node.id=-1",
                "0 to 2147483647",
            ),
            (
                "process.roles=boss",
                "raft.properties:9",
                "controller, broker",
            ),
            (
                "controller.quorum.voters=1@a",
                "raft.properties:9",
                "id@host:port",
            ),
            (
                "controller.quorum.voters=1@a:1,1@b:1",
                "raft.properties:9",
                "each id once",
            ),
            (
                "listeners=nonsense",
                "raft.properties:9",
                "NAME://host:port",
            ),
            (
                "listeners=CONTROLLER://::1:9093",
                "raft.properties:9",
                "NAME://host:port",
            ),
            ("metadata.log.segment.bytes=5", "raft.properties:9", "8 MiB"),
            (
                "controller.quorum.fetch.timeout.ms=soon",
                "raft.properties:9",
                "milliseconds",
            ),
            (
                "listener.security.protocol.map=CONTROLLER:SSL",
                "raft.properties:9",
                "PLAINTEXT",
            ),
            (
                "listeners=PLAINTEXT://localhost:9092",
                "raft.properties:9: listeners=PLAINTEXT",
                "one is to be CONTROLLER://host:port",
            ),
            ("log.dirs=", "log.dirs is not set", "directory"),
            ("node.id=", "node.id is not set", "id of its own"),
            ("a=\\u0", "raft.properties:9", "four digits"),
        ] {
            let error = read(&format!("{TODAY}{change}\n"))
                .expect_err(change)
                .to_string();
            assert!(error.starts_with(place), "{error}");
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_command_line_counts_more_than_the_file() {
        let mut properties = Properties::parse(Path::new("p"), TODAY).expect("properties");
        properties.set("node.id", "3");
        let config = ServerConfig::from_properties(&properties).expect("valid");
        assert_eq!(config.node_id, 3);
        properties.set("node.id", "x");
        let error = ServerConfig::from_properties(&properties).expect_err("no number");
        assert!(
            error.to_string().starts_with("--override: node.id=x: "),
            "{error}"
        );
    }
}
