//! Formatting: marks log directories as a node's, and gives a new quorum its first voters, in the
//! files that Kafka's `kafka-storage` makes.
//!
//! Up to `metadata.version` 4.3, the cluster's first records stand in `bootstrap.checkpoint` of every
//! log directory, and the first voters in the checkpoint at 0 of the metadata log. From 4.4 on that
//! checkpoint has both (KIP-1170). Nodes of each release read the form of their own and older ones.

mod features;
mod info;

use std::fmt;
use std::path::{Path, PathBuf};

use kwire_protocol::Uuid;
use kwire_protocol::records::Error as BatchError;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::meta::{self, MetaProperties};
use kwire_raft::log::snapshot::{self, SnapshotOptions};
use kwire_raft::log::{LogError, bootstrap};
use kwire_raft::types::{NodeId, OffsetAndEpoch, ReplicaKey, Topic};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};

pub use self::features::{FeatureError, Features};
pub use self::info::{Info, look};
use crate::config::StorageConfig;
use crate::directory::random_uuid;

/// The voters that a new quorum begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialControllers {
    /// Nothing was said: `controller.quorum.voters` has them, or the node is no controller.
    Unsaid,
    /// This node alone (`--standalone`).
    Standalone,
    /// This node joins a quorum that has voters (`--no-initial-controllers`).
    None,
    /// These (`--initial-controllers`).
    These(Vec<InitialController>),
}

/// A voter as the command line names it: `ID@HOST:PORT:DIRECTORY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialController {
    /// Its id.
    pub id: NodeId,
    /// Where it listens, by the first listener of `controller.listener.names`.
    pub address: Address,
    /// The id of its directory.
    pub directory_id: Uuid,
}

impl std::str::FromStr for InitialController {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no ID@HOST:PORT:DIRECTORY");
        let (id, rest) = text.split_once('@').ok_or_else(malformed)?;
        let (address, directory) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let id: Option<NodeId> = id.parse().ok().filter(|id| *id >= 0);
        let id = id.ok_or_else(|| format!("{text:?}: {id:?} is no node id"))?;
        let address = crate::config::address_of(address)
            .filter(|address| !address.host.is_empty() && address.port != 0)
            .ok_or_else(|| format!("{text:?}: {address:?} is no HOST:PORT"))?;
        let directory_id: Option<Uuid> = directory.parse().ok().filter(|id: &Uuid| !id.is_zero());
        let directory_id = directory_id
            .ok_or_else(|| format!("{text:?}: {directory:?} is no directory id in base64"))?;
        Ok(InitialController {
            id,
            address,
            directory_id,
        })
    }
}

/// What formatting is to do.
#[derive(Clone, Debug)]
pub struct FormatOptions {
    /// The cluster, usually an id in base64.
    pub cluster_id: String,
    /// The voters of a new quorum.
    pub controllers: InitialControllers,
    /// The levels of features that the cluster begins with.
    pub features: Features,
    /// Leave directories alone that are formatted, instead of refusing them.
    pub ignore_formatted: bool,
    /// The time of day in milliseconds.
    pub now_ms: i64,
}

/// A directory that was formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatted {
    /// The directory.
    pub path: PathBuf,
    /// The id that it has now.
    pub directory_id: Uuid,
    /// What it is, in the words of Kafka's tool.
    pub kind: &'static str,
}

/// Why nothing, or not everything, was formatted.
#[derive(Debug)]
#[non_exhaustive]
pub enum FormatError {
    /// The options do not go with the properties, or with each other.
    Options(String),
    /// A directory is formatted already.
    Already(PathBuf),
    /// A directory is another node's or cluster's.
    Other {
        /// Its `meta.properties`.
        file: PathBuf,
        /// The property that says so.
        property: &'static str,
        /// What it says.
        found: String,
        /// What this node has.
        expected: String,
    },
    /// The features do not go together.
    Features(FeatureError),
    /// A directory cannot be made.
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file cannot be read or written.
    File(LogError),
    /// The records have no room in a checkpoint.
    Records(BatchError),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Options(what) => f.write_str(what),
            FormatError::Already(path) => write!(
                f,
                "log directory {} is already formatted; with --ignore-formatted it is left alone \
                 and the others are formatted",
                path.display()
            ),
            FormatError::Other {
                file,
                property,
                found,
                expected,
            } => write!(
                f,
                "{}: {property} is {found}, and {expected} is to be formatted",
                file.display()
            ),
            FormatError::Features(error) => write!(f, "{error}"),
            FormatError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            FormatError::File(error) => write!(f, "{error}"),
            FormatError::Records(error) => write!(f, "the first records: {error}"),
        }
    }
}

impl std::error::Error for FormatError {}

impl From<LogError> for FormatError {
    fn from(error: LogError) -> Self {
        FormatError::File(error)
    }
}

impl From<BatchError> for FormatError {
    fn from(error: BatchError) -> Self {
        FormatError::Records(error)
    }
}

/// Formats the log directories of a node, and says which. `meta.properties` is written last: what
/// was interrupted is not formatted.
///
/// # Errors
/// See [`FormatError`]. Nothing was written unless the system failed.
pub fn format(
    config: &StorageConfig,
    options: &FormatOptions,
) -> Result<Vec<Formatted>, FormatError> {
    let plan = Plan::new(config, options)?;
    let mut missing = Vec::new();
    for path in &config.log_dirs {
        match existing(path)? {
            None => missing.push(path),
            Some(meta) => {
                check(path, &meta, config, options)?;
                if !options.ignore_formatted {
                    return Err(FormatError::Already(path.clone()));
                }
            }
        }
    }
    let format = |path: &&PathBuf| plan.format(path);
    missing.iter().map(format).collect()
}

/// What every directory of the node gets.
struct Plan<'a> {
    config: &'a StorageConfig,
    options: &'a FormatOptions,
    kraft_version: i16,
    voters: VoterSet,
    /// The id of the directory with the metadata log.
    metadata_directory_id: Uuid,
    records: Vec<Vec<u8>>,
}

impl<'a> Plan<'a> {
    fn new(config: &'a StorageConfig, options: &'a FormatOptions) -> Result<Self, FormatError> {
        if options.cluster_id.trim().is_empty() {
            return Err(FormatError::Options("the cluster id is empty".to_owned()));
        }
        check_controllers(config, &options.controllers)?;
        let is_dynamic = options.controllers != InitialControllers::Unsaid;
        let kraft_version = kraft_version(config, options, is_dynamic)?;
        let levels = options.features.levels().map_err(FormatError::Features)?;
        let mut metadata_directory_id = random_uuid();
        let voters = match &options.controllers {
            InitialControllers::Unsaid | InitialControllers::None => VoterSet::EMPTY,
            InitialControllers::Standalone => {
                if config.endpoints.get(&config.quorum_listener).is_none() {
                    return Err(FormatError::Options(format!(
                        "--standalone: listeners has no {}, by which other nodes would find this \
                         voter",
                        config.quorum_listener
                    )));
                }
                let key = ReplicaKey::new(config.node_id, metadata_directory_id);
                [voter(key, config.endpoints.clone())].into_iter().collect()
            }
            InitialControllers::These(controllers) => {
                let own = controllers.iter().find(|c| c.id == config.node_id);
                metadata_directory_id = own.map_or(metadata_directory_id, |c| c.directory_id);
                initial_voters(controllers, &config.quorum_listener)?
            }
        };
        Ok(Plan {
            config,
            options,
            kraft_version,
            voters,
            metadata_directory_id,
            records: features::records(&levels),
        })
    }

    fn format(&self, path: &Path) -> Result<Formatted, FormatError> {
        let is_metadata = path == self.config.metadata_dir;
        let (directory_id, kind) = match is_metadata {
            false => (random_uuid(), "data directory"),
            true if self.voters.is_empty() => (self.metadata_directory_id, "metadata directory"),
            true if self.voters.get(self.config.node_id).is_some() => (
                self.metadata_directory_id,
                "dynamic metadata voter directory",
            ),
            true => (self.metadata_directory_id, "dynamic metadata directory"),
        };
        let files = open(path)?;
        let together = self.options.features.records_in_checkpoint();
        if !together {
            let options = self.snapshot_options(0);
            let bytes = bootstrap::checkpoint(options, &self.records)?;
            bootstrap::write(&files, bootstrap::RECORDS_FILE_NAME, &bytes, false)?;
        }
        if is_metadata && (!self.voters.is_empty() || (together && self.config.is_controller)) {
            let topic = Topic::cluster_metadata();
            let records: &[Vec<u8>] = if together { &self.records } else { &[] };
            let options = self.snapshot_options(self.options.now_ms);
            let options = SnapshotOptions {
                kraft_version: self.kraft_version,
                voters: self.voters.clone(),
                ..options
            };
            write_checkpoint(path, &topic, options, records)?;
        }
        let meta = MetaProperties::new(self.config.node_id, &self.options.cluster_id, directory_id);
        meta.save(&files)?;
        Ok(Formatted {
            path: path.to_owned(),
            directory_id,
            kind,
        })
    }

    fn snapshot_options(&self, last_contained_log_timestamp_ms: i64) -> SnapshotOptions {
        let id = OffsetAndEpoch::BOOTSTRAP;
        SnapshotOptions::new(id, last_contained_log_timestamp_ms, self.options.now_ms)
    }
}

/// Puts the checkpoint at 0 into the partition's directory, which is made.
fn write_checkpoint(
    log_dir: &Path,
    topic: &Topic,
    options: SnapshotOptions,
    records: &[Vec<u8>],
) -> Result<(), FormatError> {
    let files = StdFiles::partition(log_dir, topic).map_err(|error| FormatError::Io {
        path: log_dir.to_owned(),
        error,
    })?;
    let bytes = bootstrap::checkpoint(options, records)?;
    Ok(bootstrap::write(
        &files,
        &bootstrap::file_name(),
        &bytes,
        true,
    )?)
}

/// Gives the log of another topic the voters that its directory was formatted with: formatting puts
/// them into the metadata log, whichever topic a node is to replicate. A log that has begun, or has
/// voters of its own, is left alone.
///
/// # Errors
/// When the checkpoint cannot be read, or the other cannot be written.
pub fn adopt_voters(log_dir: &Path, topic: &Topic) -> Result<(), FormatError> {
    let metadata = Topic::cluster_metadata();
    let name = bootstrap::file_name();
    let source = log_dir.join(format!("{}-0", metadata.name)).join(&name);
    let partition = log_dir.join(format!("{}-0", topic.name));
    if *topic == metadata || partition.exists() || !source.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(&source).map_err(|error| FormatError::Io {
        path: source.clone(),
        error,
    })?;
    let mut options = SnapshotOptions::new(OffsetAndEpoch::BOOTSTRAP, 0, 0);
    for control in snapshot::verify_bytes(&bytes).map_err(|damage| LogError::Snapshot {
        file: source.display().to_string(),
        damage,
    })? {
        match control {
            kwire_raft::control::Control::KRaftVersion(version) => options.kraft_version = version,
            kwire_raft::control::Control::Voters(voters) => options.voters = voters,
        }
    }
    write_checkpoint(log_dir, topic, options, &[])
}

fn open(path: &Path) -> Result<StdFiles, FormatError> {
    StdFiles::new(path).map_err(|error| FormatError::Io {
        path: path.to_owned(),
        error,
    })
}

/// The `meta.properties` of a directory that is there. None is made.
fn existing(path: &Path) -> Result<Option<MetaProperties>, FormatError> {
    if !path.is_dir() {
        return Ok(None);
    }
    Ok(MetaProperties::load(&open(path)?)?)
}

fn check(
    path: &Path,
    found: &MetaProperties,
    config: &StorageConfig,
    options: &FormatOptions,
) -> Result<(), FormatError> {
    let other = |property, found: String, expected: String| FormatError::Other {
        file: path.join(meta::FILE_NAME),
        property,
        found,
        expected,
    };
    if let Some(id) = found.node_id
        && id != config.node_id
    {
        let expected = config.node_id.to_string();
        return Err(other("node.id", id.to_string(), expected));
    }
    match &found.cluster_id {
        Some(id) if *id != options.cluster_id => {
            Err(other("cluster.id", id.clone(), options.cluster_id.clone()))
        }
        _ => Ok(()),
    }
}

fn check_controllers(
    config: &StorageConfig,
    controllers: &InitialControllers,
) -> Result<(), FormatError> {
    let wrong = |what: &str| Err(FormatError::Options(what.to_owned()));
    match controllers {
        InitialControllers::Unsaid if config.is_controller && config.voters.is_empty() => wrong(
            "controller.quorum.voters is not set, so it has to be said who votes: --standalone \
             for this node alone, --initial-controllers, or --no-initial-controllers to join a \
             quorum that there is",
        ),
        InitialControllers::Standalone | InitialControllers::These(_)
            if !config.voters.is_empty() =>
        {
            wrong(
                "controller.quorum.voters is set: --standalone and --initial-controllers are for \
                 voters in the log; set controller.quorum.bootstrap.servers instead of it",
            )
        }
        InitialControllers::Standalone if !config.is_controller => {
            wrong("--standalone is for controllers: process.roles has none")
        }
        _ => Ok(()),
    }
}

fn kraft_version(
    config: &StorageConfig,
    options: &FormatOptions,
    is_dynamic: bool,
) -> Result<i16, FormatError> {
    let possible = i16::from(is_dynamic && config.voters.is_empty());
    match options.features.kraft_version() {
        Some(asked) if asked != possible => Err(FormatError::Options(format!(
            "kraft.version={asked}: it is 1 if controller.quorum.voters is not set and \
             --standalone, --initial-controllers or --no-initial-controllers is given, and 0 \
             otherwise"
        ))),
        _ => Ok(possible),
    }
}

fn voter(key: ReplicaKey, endpoints: Endpoints) -> Voter {
    Voter {
        key,
        endpoints,
        kraft_versions: KRaftVersions::SUPPORTED,
    }
}

fn initial_voters(
    controllers: &[InitialController],
    listener: &str,
) -> Result<VoterSet, FormatError> {
    let voters = controllers.iter().map(|controller| {
        let key = ReplicaKey::new(controller.id, controller.directory_id);
        voter(key, Endpoints::one(listener, controller.address.clone()))
    });
    let set: VoterSet = voters.collect();
    if set.len() != controllers.len() || set.is_empty() {
        let what = "--initial-controllers: one voter at least, and each id once";
        return Err(FormatError::Options(what.to_owned()));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kwire_raft::control::Control;
    use kwire_raft::driver::LogStore;
    use kwire_raft::log::{FileLog, LogOptions};

    use super::*;
    use crate::config::Properties;

    const PROPERTIES: &str = "node.id=1\nprocess.roles=controller\n\
        listeners=CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\n";

    fn config(dir: &Path) -> StorageConfig {
        let text = format!("{PROPERTIES}log.dirs={}\n", dir.display());
        let properties = Properties::parse(Path::new("p"), &text).expect("properties");
        StorageConfig::from_properties(&properties).expect("valid")
    }

    fn options(release: Option<&str>) -> FormatOptions {
        FormatOptions {
            cluster_id: "cluster".to_owned(),
            controllers: InitialControllers::Standalone,
            features: Features::new(release, &[]).expect("a release"),
            ignore_formatted: false,
            now_ms: 7,
        }
    }

    /// The voters with which a log of the topic begins.
    fn voters(dir: &Path, topic: &Topic) -> VoterSet {
        let files = StdFiles::partition(dir, topic).expect("a directory");
        let mut log = FileLog::open(files, LogOptions::new(topic.clone())).expect("a log");
        let found = log.recovered().expect("it is whole");
        let controls = found.controls.iter().map(|(_, control)| control);
        let mut voters = controls.filter_map(|control| match control {
            Control::Voters(voters) => Some(voters.clone()),
            Control::KRaftVersion(version) => {
                assert_eq!(*version, 1);
                None
            }
        });
        voters.next_back().unwrap_or(VoterSet::EMPTY)
    }

    #[test]
    fn any_topic_begins_with_the_voters_that_were_formatted() {
        for release in [None, Some("4.3")] {
            let dir = tempfile::tempdir().expect("a directory");
            let formatted = format(&config(dir.path()), &options(release)).expect("it is empty");
            let topic = Topic::performance_test();
            adopt_voters(dir.path(), &topic).expect("there is a checkpoint");
            let found = voters(dir.path(), &topic);
            assert_eq!(found, voters(dir.path(), &Topic::cluster_metadata()));
            let directory_id = Some(formatted[0].directory_id);
            assert_eq!(
                found.get(1).expect("a voter").key.directory_id,
                directory_id
            );
            // What is there is left alone.
            let name = dir.path().join("__raft_performance_test-0");
            let name = name.join(bootstrap::file_name());
            fs::remove_file(&name).expect("it is there");
            adopt_voters(dir.path(), &topic).expect("nothing to do");
            assert!(!name.exists());
        }
    }

    #[test]
    fn what_was_interrupted_is_not_formatted() {
        let dir = tempfile::tempdir().expect("a directory");
        format(&config(dir.path()), &options(None)).expect("it is empty");
        let again = format(&config(dir.path()), &options(None)).expect_err("it is not");
        assert!(matches!(again, FormatError::Already(_)), "{again}");
        fs::remove_file(dir.path().join(meta::FILE_NAME)).expect("it is there");
        let formatted = format(&config(dir.path()), &options(None)).expect("it is not whole");
        let found = voters(dir.path(), &Topic::cluster_metadata());
        let directory_id = Some(formatted[0].directory_id);
        assert_eq!(
            found.get(1).expect("a voter").key.directory_id,
            directory_id
        );
    }
}
