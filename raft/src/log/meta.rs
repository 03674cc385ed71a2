//! The file `meta.properties` of a log directory: whose directory it is.

use std::fmt;

use kwire_protocol::Uuid;

use super::error::LogError;
use super::files::Files;
use super::properties::{self, Property, PropertyError, escaped};
use super::small;
use crate::types::NodeId;

/// The name of the file, in the directory above those of partitions.
pub const FILE_NAME: &str = "meta.properties";

/// What `meta.properties` of version 1 says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaProperties {
    /// The node whose directory it is, if it is any's yet.
    pub node_id: Option<NodeId>,
    /// The cluster, as Kafka writes it: an id in base64, or any text.
    pub cluster_id: Option<String>,
    /// The id of the directory itself (KIP-853, KIP-858).
    pub directory_id: Option<Uuid>,
    /// What else stands there, in its order.
    pub others: Vec<(String, String)>,
}

impl MetaProperties {
    /// What formatting a directory writes.
    #[must_use]
    pub fn new(node_id: NodeId, cluster_id: impl Into<String>, directory_id: Uuid) -> Self {
        MetaProperties {
            node_id: Some(node_id),
            cluster_id: Some(cluster_id.into()),
            directory_id: Some(directory_id),
            others: Vec::new(),
        }
    }

    /// What stands in a directory; `None` if it was not formatted.
    ///
    /// # Errors
    /// When the system fails, the version is not 1, or a value is not what it ought to be.
    pub fn load<F: Files>(files: &F) -> Result<Option<MetaProperties>, LogError> {
        let Some(text) = small::read(files, FILE_NAME)? else {
            return Ok(None);
        };
        let parsed = text.parse();
        parsed
            .map(Some)
            .map_err(|error: PropertyError| LogError::Malformed {
                file: files.describe(FILE_NAME),
                line: error.line,
                reason: error.reason,
            })
    }

    /// Replaces what stands in a directory. Durable when it returns.
    ///
    /// # Errors
    /// When the system fails.
    pub fn save<F: Files>(&self, files: &F) -> Result<(), LogError> {
        small::replace(files, FILE_NAME, &self.to_string(), true)
    }
}

impl std::str::FromStr for MetaProperties {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<MetaProperties, PropertyError> {
        let mut meta = MetaProperties {
            node_id: None,
            cluster_id: None,
            directory_id: None,
            others: Vec::new(),
        };
        let mut version = None;
        for property in properties::read(text) {
            let Property { line, key, value } = property?;
            let error = |reason: String| PropertyError { line, reason };
            // Of two values for one key the later counts, as in Java.
            match key.as_str() {
                "version" if value == "1" => version = Some(()),
                "version" => return Err(error(format!("version {value} is not 1"))),
                "node.id" => {
                    let id = value.parse().ok().filter(|id| *id >= 0);
                    let id = id.ok_or_else(|| error(format!("{value:?} is no node id")))?;
                    meta.node_id = Some(id);
                }
                "cluster.id" => meta.cluster_id = Some(value),
                "directory.id" => {
                    let id = value.parse();
                    let id = id.map_err(|_| error(format!("{value:?} is no directory id")))?;
                    meta.directory_id = Some(id);
                }
                _ => {
                    meta.others.retain(|(other, _)| *other != key);
                    meta.others.push((key, value));
                }
            }
        }
        let missing = || PropertyError {
            line: 1,
            reason: "there is no version".to_owned(),
        };
        version.ok_or_else(missing).map(|()| meta)
    }
}

impl fmt::Display for MetaProperties {
    /// The file's text, without the time of writing that Java puts into a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |key: &str, value: &str| {
            writeln!(f, "{}={}", escaped(key, true), escaped(value, false))
        };
        line("version", "1")?;
        if let Some(id) = self.node_id {
            line("node.id", &id.to_string())?;
        }
        if let Some(id) = &self.cluster_id {
            line("cluster.id", id)?;
        }
        if let Some(id) = self.directory_id {
            line("directory.id", &id.to_string())?;
        }
        for (key, value) in &self.others {
            line(key, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::files::memory::MemoryFiles;

    const JAVA: &str = "#\n#Sat Nov 21 06:15:47 UTC 2026\nnode.id=1\ndirectory.id=7zAK1veTTJeG5c0yQJ8SMw\nversion=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\n";

    #[test]
    fn what_kafka_wrote() {
        let meta: MetaProperties = JAVA.parse().unwrap();
        let directory = "7zAK1veTTJeG5c0yQJ8SMw".parse().unwrap();
        let expected = MetaProperties::new(1, "4L6g3nShT-eMCtK--X86sw", directory);
        assert_eq!(meta, expected);
        assert_eq!(meta.to_string().parse(), Ok(meta.clone()));
        let files = MemoryFiles::new();
        assert_eq!(MetaProperties::load(&files).unwrap(), None);
        meta.save(&files).unwrap();
        assert_eq!(MetaProperties::load(&files).unwrap(), Some(meta));
    }

    #[test]
    fn everything_that_properties_may_have() {
        let text = "! remark\n\n  version : 1\r\ncluster.id  a\\\n   b\\u00e9\\uD83D\\uDE00\\tc \nodd\\ key\\=\\:x==y\nempty\nodd2=1\nodd2=2\n";
        let meta: MetaProperties = text.parse().unwrap();
        assert_eq!(meta.cluster_id.as_deref(), Some("ab\u{e9}\u{1f600}\tc "));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let others = [
            pair("odd key=:x", "=y"),
            pair("empty", ""),
            pair("odd2", "2"),
        ];
        assert_eq!(meta.others, others);
        assert_eq!(meta.to_string().parse(), Ok(meta));
    }

    #[test]
    fn errors_say_where() {
        for (text, line, reason) in [
            ("", 1, "no version"),
            ("#\nversion=0\n", 2, "version 0 is not 1"),
            ("version=1\nnode.id=-1\n", 2, "no node id"),
            ("version=1\nnode.id=x\n", 2, "no node id"),
            ("version=1\n\ndirectory.id=x\n", 3, "no directory id"),
            ("version=1\nk=\\u00\n", 2, "four digits"),
            ("version=1\nk=\\ud800\n", 2, "half a character"),
        ] {
            let error = text.parse::<MetaProperties>().unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.reason.contains(reason), "{error}");
        }
    }
}
