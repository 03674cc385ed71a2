//! Leaves out messages, versions and directions that nobody asked for.
//!
//! Fields outside the range vanish, and with them the branches: code for one version reads as if
//! Kafka had only that one.

use std::collections::BTreeMap;

use super::{Kind, Message, graph};
use crate::error::Error;
use crate::versions::Versions;

/// Which half of the APIs to generate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Requests and responses.
    #[default]
    Both,
    /// Requests only.
    Requests,
    /// Responses only.
    Responses,
}

/// What to generate, out of all that the schemas have.
#[derive(Clone, Debug, Default)]
pub struct Narrowing {
    /// Names of APIs (`Fetch`) or messages (`FetchRequest`); empty means all.
    pub only: Vec<String>,
    /// Version ranges by API or message.
    pub versions: BTreeMap<String, Versions>,
    /// Requests, responses or both.
    pub direction: Direction,
}

impl Narrowing {
    /// Applies the narrowing.
    ///
    /// # Errors
    /// When a name is not among the schemas, or a range has no version of its message.
    pub fn apply(&self, messages: Vec<Message>) -> Result<Vec<Message>, Error> {
        let names = self.only.iter().chain(self.versions.keys());
        for name in names {
            if !messages.iter().any(|message| answers_to(message, name)) {
                return Err(Error::Request(format!(
                    "there is no schema for `{name}`: give the name of an API (Fetch) or of a message (FetchRequest)"
                )));
            }
        }
        let wanted = messages
            .into_iter()
            .filter(|message| self.wants(message))
            .map(|message| self.narrow(message));
        let kept: Vec<Message> = wanted.collect::<Result<_, _>>()?;
        Ok(kept.into_iter().map(drop_absent_fields).collect())
    }

    fn wants(&self, message: &Message) -> bool {
        let direction = match self.direction {
            Direction::Both => true,
            Direction::Requests => message.kind != Kind::Response,
            Direction::Responses => message.kind != Kind::Request,
        };
        let named = self.only.is_empty() || self.only.iter().any(|name| answers_to(message, name));
        direction && named
    }

    fn narrow(&self, mut message: Message) -> Result<Message, Error> {
        for (name, range) in &self.versions {
            if !answers_to(&message, name) {
                continue;
            }
            let narrowed = message.versions.intersect(*range);
            if narrowed.is_empty() {
                return Err(Error::Request(format!(
                    "`{name}` has no version {range}: its schema has {}",
                    message.versions
                )));
            }
            restrict(&mut message, narrowed);
        }
        Ok(message)
    }
}

fn answers_to(message: &Message, name: &str) -> bool {
    message.name == name
        || (matches!(message.kind, Kind::Request | Kind::Response) && message.api_name() == name)
}

/// Leaves a message the versions `kept` alone.
fn restrict(message: &mut Message, kept: Versions) {
    message.latest_unstable &= kept.contains(message.versions.highest());
    message.versions = kept;
    message.deprecated = message.deprecated.intersect(kept);
    for (range, _) in &mut message.headers {
        *range = range.intersect(kept);
    }
    message.headers.retain(|(range, _)| !range.is_empty());
}

/// Removes the fields that no version has, then the structs that no field uses.
fn drop_absent_fields(mut message: Message) -> Message {
    let versions = message.versions;
    for structure in &mut message.structs {
        structure.possible = structure.possible.intersect(versions);
        let possible = structure.possible;
        structure
            .fields
            .retain(|field| !field.versions.intersect(possible).is_empty());
    }
    graph::drop_unused(&mut message);
    graph::settle_traits(&mut message.structs);
    message
}
