//! The levels of features that a cluster begins with.

use std::collections::BTreeMap;
use std::fmt;

use kwire_protocol::Message;
use kwire_protocol::features::{self, FEATURES, METADATA_VERSION};
use kwire_protocol::messages::FeatureLevelRecord;
use kwire_protocol::records::framing::MetadataFrame;
use kwire_raft::voters::KRaftVersions;

const KRAFT_VERSION: &str = KRaftVersions::FEATURE;

/// From this `metadata.version` on (4.4-IV0), a cluster's first records stand in the checkpoint of
/// its metadata log (KIP-1170).
const RECORDS_IN_CHECKPOINT: i16 = 31;

/// What was said of features: a `metadata.version`, and levels of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    metadata_version: i16,
    others: BTreeMap<&'static str, i16>,
}

/// Why features do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureError {
    /// There is no such release.
    Release(String),
    /// There is no such feature.
    Feature(String),
    /// The feature has no such level.
    Level {
        /// The feature.
        feature: &'static str,
        /// The level that was asked for.
        level: i16,
    },
    /// A level needs another feature at a level that it does not have.
    Depends {
        /// The feature.
        feature: &'static str,
        /// Its level.
        level: i16,
        /// What it needs.
        needs: (&'static str, i16),
        /// What there is of that.
        found: i16,
    },
    /// `metadata.version` was said twice.
    Twice,
}

impl fmt::Display for FeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeatureError::Release(text) => {
                let levels = METADATA_VERSION.levels.iter().filter(|row| row.production);
                let names: Vec<&str> = levels.filter_map(|row| row.version).collect();
                write!(
                    f,
                    "there is no release version {text}; there are {}",
                    names.join(", ")
                )
            }
            FeatureError::Feature(name) => {
                let names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
                write!(
                    f,
                    "there is no feature {name}; there are {}",
                    names.join(", ")
                )
            }
            FeatureError::Level { feature, level } => {
                let row = features::feature(feature);
                let (min, max) = row.map_or((0, 0), |row| (row.minimum, row.latest_production));
                write!(
                    f,
                    "{feature}={level}: its levels for production are {min} to {max}"
                )
            }
            FeatureError::Depends {
                feature,
                level,
                needs: (name, least),
                found,
            } => write!(
                f,
                "{feature}={level} needs {name} at level {least} or above, and it is at {found}"
            ),
            FeatureError::Twice => f.write_str(
                "--release-version and --feature metadata.version both say the metadata.version",
            ),
        }
    }
}

impl std::error::Error for FeatureError {}

impl Features {
    /// A release, by default the latest, and levels of features.
    ///
    /// # Errors
    /// When there is no such release, feature or level.
    pub fn new(release: Option<&str>, levels: &[(&str, i16)]) -> Result<Features, FeatureError> {
        let mut others = BTreeMap::new();
        for (name, level) in levels {
            let feature =
                features::feature(name).ok_or_else(|| FeatureError::Feature((*name).to_owned()))?;
            let known = feature.level(*level).filter(|row| row.production);
            known.ok_or(FeatureError::Level {
                feature: feature.name,
                level: *level,
            })?;
            others.insert(feature.name, *level);
        }
        let said = others.remove(METADATA_VERSION.name);
        let metadata_version = match (release, said) {
            (Some(_), Some(_)) => return Err(FeatureError::Twice),
            (None, level) => level.unwrap_or(METADATA_VERSION.latest_production),
            (Some(text), None) => features::metadata_version(text)
                .filter(|level| *level <= METADATA_VERSION.latest_production)
                .ok_or_else(|| FeatureError::Release(text.to_owned()))?,
        };
        Ok(Features {
            metadata_version,
            others,
        })
    }

    /// The `metadata.version` as text, such as `4.3-IV0`.
    #[must_use]
    pub fn release(&self) -> &'static str {
        let level = METADATA_VERSION.level(self.metadata_version);
        level.and_then(|level| level.version).unwrap_or_default()
    }

    pub(super) fn kraft_version(&self) -> Option<i16> {
        self.others.get(KRAFT_VERSION).copied()
    }

    pub(super) fn records_in_checkpoint(&self) -> bool {
        self.metadata_version >= RECORDS_IN_CHECKPOINT
    }

    /// The level of each feature but `kraft.version`, which is in control records.
    pub(super) fn levels(&self) -> Result<BTreeMap<&'static str, i16>, FeatureError> {
        let mut levels = BTreeMap::new();
        for feature in FEATURES.iter().filter(|f| f.name != KRAFT_VERSION) {
            let default = || feature.default_level(self.metadata_version);
            let said = self.others.get(feature.name).copied();
            levels.insert(feature.name, said.unwrap_or_else(default));
        }
        levels.insert(METADATA_VERSION.name, self.metadata_version);
        for (name, level) in &levels {
            let row = features::feature(name).and_then(|feature| feature.level(*level));
            for (needed, least) in row.map_or(&[][..], |row| row.dependencies) {
                let found = levels.get(needed).copied().unwrap_or(0);
                if found < *least {
                    return Err(FeatureError::Depends {
                        feature: name,
                        level: *level,
                        needs: (needed, *least),
                        found,
                    });
                }
            }
        }
        Ok(levels)
    }
}

/// The records that say this, `metadata.version` first. Level 0 is what a feature has unsaid.
pub(super) fn records(levels: &BTreeMap<&'static str, i16>) -> Vec<Vec<u8>> {
    let metadata = levels.get_key_value(METADATA_VERSION.name);
    let others = levels
        .iter()
        .filter(|(name, level)| **name != METADATA_VERSION.name && **level > 0);
    let all = metadata.into_iter().chain(others);
    all.map(|(name, level)| record(name, *level)).collect()
}

fn record(name: &'static str, level: i16) -> Vec<u8> {
    const VERSION: i16 = 0;
    let record = FeatureLevelRecord {
        name: name.into(),
        feature_level: level,
        ..Default::default()
    };
    let mut message = Vec::new();
    let mut value = Vec::new();
    let encoded = record.encode(VERSION, &mut message);
    let frame = MetadataFrame {
        api_key: FeatureLevelRecord::SCHEMA.api_key.unwrap_or_default(),
        version: VERSION,
        message: &message,
    };
    let written = frame.write(&mut value);
    // A name of the table and a number have room in any record.
    debug_assert!(encoded.is_ok() && written.is_ok());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_features() {
        let latest = Features::new(None, &[]).expect("the latest");
        assert_eq!(latest.release(), "4.4-IV2");
        assert!(latest.records_in_checkpoint());
        let of = |text| Features::new(Some(text), &[]).map(|features| features.release());
        assert_eq!(of("4.3"), Ok("4.3-IV0"));
        assert_eq!(of("3.9-IV0"), Ok("3.9-IV0"));
        for (release, levels, said) in [
            (Some("9.9"), &[][..], "no release version 9.9"),
            (None, &[("nonsense", 1)], "no feature nonsense"),
            (None, &[("group.version", 7)], "are 0 to 1"),
            (Some("4.2"), &[("metadata.version", 25)], "both say"),
            (None, &[("metadata.version", 6)], "are 7 to"),
        ] {
            let error = Features::new(release, levels).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
        let levels = [("eligible.leader.replicas.version", 1)];
        let features = Features::new(Some("3.9"), &levels).expect("known");
        let error = features.levels().expect_err("too old").to_string();
        assert!(error.contains("metadata.version at level 23"), "{error}");
    }
}
