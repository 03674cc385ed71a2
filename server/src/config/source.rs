//! Properties with where they come from, so that an error can say it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kwire_raft::log::properties;

/// Where a property was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An override on the command line.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line } => write!(f, "{}:{line}", path.display()),
            Place::CommandLine => write!(f, "--override"),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A line of it is no property.
    Line {
        /// Where.
        place: Place,
        /// Why.
        reason: String,
    },
    /// A property has a value that it may not have.
    Value {
        /// Where it was set.
        place: Place,
        /// Its name.
        property: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A property is missing.
    Missing {
        /// Its name.
        property: String,
        /// What it is for, or when it is needed.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::File { path, reason } => write!(f, "{}: {reason}", path.display()),
            ConfigError::Line { place, reason } => write!(f, "{place}: {reason}"),
            ConfigError::Value {
                place,
                property,
                value,
                allowed,
            } => write!(f, "{place}: {property}={value}: {allowed}"),
            ConfigError::Missing { property, reason } => {
                write!(f, "{property} is not set: {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[derive(Clone, Debug)]
struct Entry {
    value: String,
    place: Place,
}

/// The properties of a file, and those that the command line puts over them.
#[derive(Debug, Default)]
pub struct Properties {
    entries: BTreeMap<String, Entry>,
    /// Those that somebody asked for.
    known: RefCell<BTreeSet<String>>,
}

impl Properties {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no property.
    pub fn load(path: &Path) -> Result<Properties, ConfigError> {
        let failed = |reason: String| ConfigError::File {
            path: path.to_owned(),
            reason,
        };
        let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
        Properties::parse(path, &text)
    }

    /// Reads a text that came from a file.
    ///
    /// # Errors
    /// When a line is no property.
    pub fn parse(path: &Path, text: &str) -> Result<Properties, ConfigError> {
        let at = |line| Place::File {
            path: path.to_owned(),
            line,
        };
        let mut entries = BTreeMap::new();
        for property in properties::read(text) {
            let property = property.map_err(|error| ConfigError::Line {
                place: at(error.line),
                reason: error.reason,
            })?;
            let place = at(property.line);
            // Kafka trims values; of two for one name the later counts.
            let value = property.value.trim().to_owned();
            entries.insert(property.key, Entry { value, place });
        }
        let known = RefCell::default();
        Ok(Properties { entries, known })
    }

    /// Puts a value over whatever the file says.
    pub fn set(&mut self, name: &str, value: &str) {
        let entry = Entry {
            value: value.trim().to_owned(),
            place: Place::CommandLine,
        };
        self.entries.insert(name.to_owned(), entry);
    }

    /// The first of some names for one thing that is set, with its value. An empty value counts as
    /// not set.
    pub fn get(&self, names: &[&str]) -> Option<(&str, &str)> {
        let mut known = self.known.borrow_mut();
        known.extend(names.iter().map(|name| (*name).to_owned()));
        names.iter().find_map(|name| {
            let (name, entry) = self.entries.get_key_value(*name)?;
            (!entry.value.is_empty()).then_some((name.as_str(), entry.value.as_str()))
        })
    }

    /// A value of some type, or what it is when it is not set.
    ///
    /// # Errors
    /// When the value is not of that type, or not in order.
    pub fn value<T: FromStr>(
        &self,
        names: &[&str],
        default: T,
        allowed: &str,
        is_allowed: impl FnOnce(&T) -> bool,
    ) -> Result<T, ConfigError> {
        let Some((name, value)) = self.get(names) else {
            return Ok(default);
        };
        let parsed = value.parse().ok().filter(is_allowed);
        parsed.ok_or_else(|| self.refused(name, allowed))
    }

    /// The error for a property that is set to something that it may not be.
    #[must_use]
    pub fn refused(&self, name: &str, allowed: &str) -> ConfigError {
        let entry = self.entries.get(name);
        ConfigError::Value {
            place: entry.map_or(Place::CommandLine, |entry| entry.place.clone()),
            property: name.to_owned(),
            value: entry.map(|entry| entry.value.clone()).unwrap_or_default(),
            allowed: allowed.to_owned(),
        }
    }

    /// The names of what is set and nobody asked for.
    #[must_use]
    pub fn ignored(&self) -> Vec<&str> {
        let known = self.known.borrow();
        let names = self.entries.keys().map(String::as_str);
        names.filter(|name| !known.contains(*name)).collect()
    }
}
