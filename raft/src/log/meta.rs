//! The file `meta.properties` of a log directory: whose directory it is.

use std::fmt;

use kwire_protocol::Uuid;

use super::error::LogError;
use super::files::Files;
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
            .map_err(|error: MetaError| LogError::Malformed {
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

/// Why a text is no `meta.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for MetaError {}

impl std::str::FromStr for MetaProperties {
    type Err = MetaError;

    fn from_str(text: &str) -> Result<MetaProperties, MetaError> {
        let mut meta = MetaProperties {
            node_id: None,
            cluster_id: None,
            directory_id: None,
            others: Vec::new(),
        };
        let mut version = None;
        for (line, logical) in logical_lines(text) {
            let error = |reason: String| MetaError { line, reason };
            let (key, value) = pair(&logical).map_err(|reason| error(reason.to_owned()))?;
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
        let missing = || MetaError {
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

/// The lines of a properties file that say something, each with the number at which it begins; those
/// that end in a backslash go on in the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        let (number, mut logical) = match open.take() {
            Some(open) => open,
            None if line.is_empty() || line.starts_with(['#', '!']) => continue,
            None => (index + 1, String::new()),
        };
        let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            logical.push_str(line.get(..line.len() - 1).unwrap_or_default());
            open = Some((number, logical));
        } else {
            logical.push_str(line);
            lines.push((number, logical));
        }
    }
    lines.extend(open);
    lines
}

/// Key and value of a line: between them is `=`, `:` or white space.
fn pair(line: &str) -> Result<(String, String), &'static str> {
    let white = |c: char| matches!(c, ' ' | '\t' | '\x0c');
    let mut escape = false;
    let end = line.find(|c: char| {
        let found = !escape && (white(c) || c == '=' || c == ':');
        escape = c == '\\' && !escape;
        found
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(white);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Ok((unescaped(key)?, unescaped(value.trim_start_matches(white))?))
}

fn unescaped(text: &str) -> Result<String, &'static str> {
    // Java's escapes are UTF-16, of which a character may take two.
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\x0c',
            ('\\', Some('u')) => {
                let digits = chars.as_str().get(..4).ok_or("a \\u without four digits")?;
                let unit = u16::from_str_radix(digits, 16);
                units.push(unit.map_err(|_| "a \\u without four digits")?);
                chars = chars.as_str().get(4..).unwrap_or_default().chars();
                continue;
            }
            ('\\', Some(other)) => other,
            ('\\', None) => break,
            (plain, _) => plain,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half a character")
}

fn escaped(text: &str, key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        match c {
            ' ' if key || index == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '=' | ':' | '#' | '!' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
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
