//! What there is in a node's log directories.

use std::path::PathBuf;

use kwire_raft::log::meta::MetaProperties;

use super::existing;
use crate::config::StorageConfig;

/// What was found in a node's log directories.
#[derive(Debug, Default)]
pub struct Info {
    /// The directories that are there.
    pub directories: Vec<PathBuf>,
    /// Their `meta.properties`.
    pub metadata: Vec<(PathBuf, MetaProperties)>,
    /// What keeps the node from starting.
    pub problems: Vec<String>,
}

/// Looks at a node's log directories. Nothing is made or changed.
#[must_use]
pub fn look(config: &StorageConfig) -> Info {
    let mut info = Info::default();
    for path in &config.log_dirs {
        if !path.is_dir() {
            let what = format!("{} does not exist", path.display());
            info.problems.push(what);
            continue;
        }
        info.directories.push(path.clone());
        match existing(path) {
            Err(error) => info.problems.push(error.to_string()),
            Ok(None) => {
                let what = format!("{} is not formatted.", path.display());
                info.problems.push(what);
            }
            Ok(Some(meta)) => info.add(path.clone(), meta, config),
        }
    }
    info
}

impl Info {
    fn add(&mut self, path: PathBuf, meta: MetaProperties, config: &StorageConfig) {
        let file = path.join("meta.properties");
        let mut differs = |property: &str, found: &str, other: &str| {
            let file = file.display();
            let what = format!("{file}: {property} is {found}, and {other}");
            self.problems.push(what);
        };
        match meta.node_id {
            Some(id) if id != config.node_id => {
                let other = format!("the properties say {}", config.node_id);
                differs("node.id", &id.to_string(), &other);
            }
            _ => {}
        }
        let first = self.metadata.first();
        let of_first = first.and_then(|(path, meta)| Some((path, meta.cluster_id.as_ref()?)));
        if let (Some(id), Some((path, first))) = (&meta.cluster_id, of_first)
            && id != first
        {
            let other = format!("that of {} is {first}", path.display());
            differs("cluster.id", id, &other);
        }
        self.metadata.push((path, meta));
    }
}
