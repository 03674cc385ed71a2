//! A node's log directory: whose it is, and that nobody else uses it.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use kwire_protocol::Uuid;
use kwire_raft::log::LogError;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::inspect::FileKind;
use kwire_raft::log::meta::MetaProperties;
use kwire_raft::types::NodeId;

/// The cluster id of Kafka's test raft server, for directories that were not formatted.
pub const TEST_CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The file in which a node keeps what it must not forget about elections.
pub(crate) const QUORUM_STATE: &str = "quorum-state";

/// A log directory that this process has for itself as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The directory's id.
    pub id: Uuid,
    /// The cluster that it belongs to.
    pub cluster_id: String,
    /// Whether it was empty, and is marked as this node's now.
    pub is_new: bool,
    /// Held, and released by the system when the process ends, however that is.
    _lock: File,
}

/// What to do about a directory that nobody formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unformatted {
    /// Mark it as this node's.
    Adopt,
    /// Refuse: a blank disk is not to become an empty voter by itself.
    Refuse,
}

/// Why a directory cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The system failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// `meta.properties` cannot be read or written.
    Meta(LogError),
    /// Another process has it.
    InUse(PathBuf),
    /// Nobody formatted it.
    Unformatted(PathBuf),
    /// A node wrote a log in it, and nothing says which.
    Unmarked {
        /// The directory.
        path: PathBuf,
        /// The directory of a partition in it.
        partition: PathBuf,
    },
    /// It is not this node's.
    Other {
        /// The directory.
        path: PathBuf,
        /// The property that says so.
        property: &'static str,
        /// What it says.
        found: String,
        /// What this node has.
        expected: String,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            DirectoryError::Meta(error) => write!(f, "{error}"),
            DirectoryError::InUse(path) => {
                write!(f, "{}: another process is using it", path.display())
            }
            DirectoryError::Unformatted(path) => write!(
                f,
                "{}: there is no meta.properties: the directory is not formatted, or it is the \
                 wrong one; `kwire storage format --config FILE --cluster-id ID` formats it, with \
                 --standalone for the first voter of a quorum and --no-initial-controllers for a \
                 node that joins one",
                path.display()
            ),
            DirectoryError::Unmarked { path, partition } => write!(
                f,
                "{}: there is no meta.properties, and a log in {}: nobody knows whose it is; put \
                 the file back, or name the directory's id with --replica-directory-id ID if the \
                 log is this node's",
                path.display(),
                partition.display()
            ),
            DirectoryError::Other {
                path,
                property,
                found,
                expected,
            } => write!(
                f,
                "{}: {property} is {found}, and this node's is {expected}: the directory is \
                 another node's",
                path.join("meta.properties").display()
            ),
        }
    }
}

impl std::error::Error for DirectoryError {}

impl Directory {
    /// Takes a directory for a node. `id` and `cluster_id` are what it has to have, if they are
    /// given.
    ///
    /// # Errors
    /// When it is another node's or another cluster's, in use, or not formatted and not to be.
    pub fn take(
        path: &Path,
        node_id: NodeId,
        id: Option<Uuid>,
        cluster_id: Option<&str>,
        unformatted: Unformatted,
    ) -> Result<Directory, DirectoryError> {
        let failed = |error| DirectoryError::Io {
            path: path.to_owned(),
            error,
        };
        let files = StdFiles::new(path).map_err(failed)?;
        let lock = lock(path)?;
        let found = MetaProperties::load(&files).map_err(DirectoryError::Meta)?;
        let is_new = found.is_none();
        let new_cluster_id = cluster_id.unwrap_or(TEST_CLUSTER_ID);
        let mut meta = match &found {
            Some(meta) => meta.clone(),
            None if unformatted == Unformatted::Refuse => {
                return Err(DirectoryError::Unformatted(path.to_owned()));
            }
            None => {
                // Kafka's test server marks nothing: whoever names the id knows what it is.
                if id.is_none()
                    && let Some(partition) = partition_in(path).map_err(failed)?
                {
                    let path = path.to_owned();
                    return Err(DirectoryError::Unmarked { path, partition });
                }
                let id = id.unwrap_or_else(random_uuid);
                MetaProperties::new(node_id, new_cluster_id, id)
            }
        };
        check(path, "node.id", meta.node_id, Some(node_id))?;
        check(path, "directory.id", meta.directory_id, id)?;
        let cluster = cluster_id.map(str::to_owned);
        check(path, "cluster.id", meta.cluster_id.clone(), cluster)?;
        // Directories before KIP-858 have no id. One that is not saved would be another with each
        // start, and each time another voter.
        meta.node_id = Some(node_id);
        let id = *meta
            .directory_id
            .get_or_insert_with(|| id.unwrap_or_else(random_uuid));
        let cluster_id = meta
            .cluster_id
            .get_or_insert_with(|| new_cluster_id.to_owned())
            .clone();
        if found.as_ref() != Some(&meta) {
            meta.save(&files).map_err(DirectoryError::Meta)?;
        }
        Ok(Directory {
            path: path.to_owned(),
            id,
            cluster_id,
            is_new,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The directory of a partition that a node has written to, if there is one.
fn partition_in(path: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(path)? {
        let partition = entry?.path();
        if !partition.is_dir() {
            continue;
        }
        for file in fs::read_dir(&partition)? {
            let name = file?.file_name();
            let name = name.to_str().unwrap_or_default();
            if matches!(FileKind::of(name), FileKind::Log(_)) || name == QUORUM_STATE {
                return Ok(Some(partition));
            }
        }
    }
    Ok(None)
}

/// Kafka's own lock file, so that one of its nodes is kept out as well.
fn lock(path: &Path) -> Result<File, DirectoryError> {
    let path_of_lock = path.join(".lock");
    let failed = |error| DirectoryError::Io {
        path: path_of_lock.clone(),
        error,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path_of_lock)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn check<T: PartialEq + fmt::Display>(
    path: &Path,
    property: &'static str,
    found: Option<T>,
    expected: Option<T>,
) -> Result<(), DirectoryError> {
    match (found, expected) {
        (Some(found), Some(expected)) if found != expected => Err(DirectoryError::Other {
            path: path.to_owned(),
            property,
            found: found.to_string(),
            expected: expected.to_string(),
        }),
        _ => Ok(()),
    }
}

/// A new id. None that Kafka keeps for itself, and none whose text begins with a dash, which
/// command lines would take for an option.
#[must_use]
pub fn random_uuid() -> Uuid {
    loop {
        let id = Uuid::from_bytes(*uuid::Uuid::new_v4().as_bytes());
        let reserved = id.to_bytes()[..15].iter().all(|byte| *byte == 0);
        if !reserved && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path, node_id: NodeId, id: Option<Uuid>) -> Result<Directory, DirectoryError> {
        Directory::take(path, node_id, id, None, Unformatted::Adopt)
    }

    #[test]
    fn a_directory_stays_with_its_node() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("new");
        let first = take(&path, 1, None).expect("it is empty");
        assert!(first.is_new);
        let refused = take(&path, 1, None).expect_err("it is in use");
        assert!(matches!(refused, DirectoryError::InUse(_)), "{refused}");
        let id = first.id;
        drop(first);
        let again = take(&path, 1, Some(id)).expect("it is the same node");
        assert!(!again.is_new);
        assert_eq!((again.id, again.cluster_id.as_str()), (id, TEST_CLUSTER_ID));
        drop(again);
        let other = take(&path, 2, None).expect_err("another node");
        assert!(
            other
                .to_string()
                .contains("node.id is 1, and this node's is 2"),
            "{other}"
        );
        let other = take(&path, 1, Some(random_uuid())).expect_err("another directory");
        assert!(other.to_string().contains("directory.id is"), "{other}");
        let other = Directory::take(&path, 1, None, Some("other"), Unformatted::Adopt);
        let other = other.expect_err("another cluster");
        assert!(other.to_string().contains("cluster.id is"), "{other}");
    }

    #[test]
    fn an_id_that_is_made_up_is_saved() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("meta.properties"), "version=1\nnode.id=1\n").expect("written");
        let first = take(dir.path(), 1, None).expect("it is this node's").id;
        let again = take(dir.path(), 1, None).expect("it is this node's");
        assert_eq!((again.id, again.is_new), (first, false));
    }

    #[test]
    fn a_log_that_nobody_marked_is_refused() {
        for file in ["00000000000000000000.log", "quorum-state"] {
            let dir = tempfile::tempdir().expect("a directory");
            let partition = dir.path().join("topic-0");
            fs::create_dir(&partition).expect("a directory");
            fs::write(dir.path().join("server.log"), "").expect("written");
            drop(take(dir.path(), 1, None).expect("there is no log"));
            fs::remove_file(dir.path().join("meta.properties")).expect("it is there");
            fs::write(partition.join(file), "").expect("written");
            let refused = take(dir.path(), 1, None).expect_err("nobody knows whose it is");
            assert!(refused.to_string().contains("topic-0"), "{refused}");
            let named = random_uuid();
            let taken = take(dir.path(), 1, Some(named)).expect("somebody knows");
            assert_eq!(taken.id, named);
        }
    }

    #[test]
    fn a_blank_disk_may_be_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let refused = Directory::take(dir.path(), 1, None, None, Unformatted::Refuse);
        let refused = refused.expect_err("it is not formatted");
        assert!(
            matches!(refused, DirectoryError::Unformatted(_)),
            "{refused}"
        );
        assert!(!dir.path().join("meta.properties").exists());
    }
}
