//! The file `partition.metadata`, which says whose partition it is.

use kwire_protocol::Uuid;

use super::error::LogError;
use super::files::Files;
use super::{names, small};
use crate::types::Topic;

/// Refuses a directory of another topic; one that says nothing becomes this topic's.
pub(super) fn check_or_write<F: Files>(files: &F, topic: &Topic) -> Result<(), LogError> {
    let Some(text) = small::read(files, names::PARTITION)? else {
        let text = format!("version: 0\ntopic_id: {}", topic.id);
        return small::replace(files, names::PARTITION, &text, true);
    };
    let found = parse(&text).map_err(|(line, reason)| LogError::Malformed {
        file: files.describe(names::PARTITION),
        line,
        reason,
    })?;
    if found != topic.id {
        return Err(LogError::OtherTopic {
            file: files.describe(names::PARTITION),
            found,
            expected: topic.id,
        });
    }
    Ok(())
}

fn parse(text: &str) -> Result<Uuid, (usize, String)> {
    let mut id = None;
    for (index, line) in text.lines().enumerate() {
        let malformed = |reason: &str| (index + 1, reason.to_owned());
        match line.split_once(": ") {
            Some(("version", "0")) => {}
            Some(("version", _)) => return Err(malformed("the version is not 0")),
            Some(("topic_id", found)) => {
                id = Some(found.parse().map_err(|_| malformed("not a topic id"))?);
            }
            _ => return Err(malformed("neither a version nor a topic id")),
        }
    }
    id.ok_or((1, "there is no topic id".to_owned()))
}
