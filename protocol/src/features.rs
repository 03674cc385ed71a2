//! The features that a cluster agrees on, and their levels (KIP-584): `metadata.version` (KIP-778),
//! `kraft.version` (KIP-853), `transaction.version`, `group.version` and others.
//!
//! ```
//! use kwire_protocol::features::{self, METADATA_VERSION};
//!
//! assert_eq!(features::metadata_version("4.0-IV3"), Some(25));
//! assert_eq!(METADATA_VERSION.level(25).and_then(|level| level.version), Some("4.0-IV3"));
//!
//! let kraft = features::feature("kraft.version").unwrap();
//! assert_eq!(kraft.default_level(METADATA_VERSION.latest_production), 1);
//! ```

#[rustfmt::skip]
mod levels;

pub use levels::*;

/// A feature: something that all nodes of a cluster switch to a new level together.
#[derive(Debug)]
#[non_exhaustive]
pub struct Feature {
    /// The name, such as `metadata.version`.
    pub name: &'static str,
    /// The lowest level that Kafka supports.
    pub minimum: i16,
    /// The level of a cluster that is formatted at the latest `metadata.version` for production.
    pub default: i16,
    /// The highest level that is meant for production.
    pub latest_production: i16,
    /// All levels, ascending; those above [`Feature::latest_production`] are still to change.
    pub levels: &'static [FeatureLevel],
}

/// A level of a feature.
#[derive(Debug)]
#[non_exhaustive]
pub struct FeatureLevel {
    /// The level.
    pub level: i16,
    /// The name of Java's constant, such as `IBP_4_0_IV3` or `KRAFT_VERSION_1`. Only unique
    /// within its feature.
    pub name: &'static str,
    /// The text of a `metadata.version`, such as `4.0-IV3`; other features have none.
    pub version: Option<&'static str>,
    /// Whether the level is meant for production.
    pub production: bool,
    /// The lowest `metadata.version` at which a newly formatted cluster gets the level unasked.
    /// For `metadata.version` it is the level itself.
    pub bootstrap_metadata_version: i16,
    /// The features that must have at least the given levels.
    pub dependencies: &'static [(&'static str, i16)],
    /// Whether metadata records look different from those of the level below, so that going
    /// back to it may lose something. Always false but for `metadata.version`.
    pub did_metadata_change: bool,
}

impl Feature {
    /// The level with this number.
    #[inline]
    pub fn level(&self, level: i16) -> Option<&'static FeatureLevel> {
        let row = self
            .levels
            .binary_search_by_key(&level, |row| row.level)
            .ok()?;
        self.levels.get(row)
    }

    /// The level that a cluster gets when it is formatted at a `metadata.version` and nothing is
    /// said about the feature.
    #[inline]
    pub fn default_level(&self, metadata_version: i16) -> i16 {
        self.levels
            .iter()
            .take_while(|row| row.bootstrap_metadata_version <= metadata_version)
            .last()
            .map_or(self.minimum, |row| row.level)
    }
}

/// The feature with this name.
#[inline]
pub fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES
        .iter()
        .copied()
        .find(|feature| feature.name == name)
}

/// The level of a `metadata.version` that is given as text, as Kafka's tools read it: `4.0-IV3`,
/// or a release such as `4.0` or `4.0.1`, which means the last one of that release.
///
/// Levels that are not for production have to be written out; whether to take them is for the
/// caller to decide: [`FeatureLevel::production`] tells.
#[inline]
pub fn metadata_version(text: &str) -> Option<i16> {
    let key = match text.match_indices('.').nth(1) {
        Some((end, _)) => text.get(..end)?,
        None => text,
    };
    let levels = METADATA_VERSION.levels;
    let exact = levels.iter().find(|row| row.version == Some(key));
    let of_release = || {
        levels.iter().rev().find(|row| {
            let release = row.version.and_then(|version| version.split_once("-IV"));
            row.production && release.is_some_and(|(release, _)| release == key)
        })
    };
    exact.or_else(of_release).map(|row| row.level)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn int(value: &Value) -> i16 {
        value.as_i64().unwrap().try_into().unwrap()
    }

    #[test]
    fn as_in_the_table() {
        let table: Value = serde_json::from_str(include_str!("../tables/features.json")).unwrap();
        let rows = table["features"].as_array().unwrap();
        assert_eq!(rows.len(), FEATURES.len());
        for (row, listed) in rows.iter().zip(FEATURES) {
            let feature = feature(row["name"].as_str().unwrap()).unwrap();
            assert_eq!(feature.name, listed.name);
            assert_eq!(feature.minimum, int(&row["minimum"]));
            assert_eq!(feature.default, int(&row["default"]));
            assert_eq!(feature.latest_production, int(&row["latestProduction"]));
            let levels = row["levels"].as_array().unwrap();
            assert_eq!(feature.levels.len(), levels.len());
            for row in levels {
                let level = feature.level(int(&row["level"])).unwrap();
                assert_eq!(level.level, int(&row["level"]));
                assert_eq!(level.name, row["name"].as_str().unwrap());
                assert_eq!(level.version, row.get("version").and_then(Value::as_str));
                assert_eq!(level.production, row["production"].as_bool().unwrap());
                assert_eq!(
                    level.did_metadata_change,
                    row.get("didMetadataChange") == Some(&Value::Bool(true))
                );
                let bootstrap = row.get("bootstrapMetadataVersion").unwrap_or(&row["level"]);
                assert_eq!(level.bootstrap_metadata_version, int(bootstrap));
                let expected: BTreeMap<&str, i16> = row
                    .get("dependencies")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(name, level)| (name.as_str(), int(level)))
                    .collect();
                assert_eq!(
                    level
                        .dependencies
                        .iter()
                        .copied()
                        .collect::<BTreeMap<_, _>>(),
                    expected
                );
            }
        }
    }

    #[test]
    fn tables_are_consistent() {
        for listed in FEATURES {
            assert_eq!(
                listed.default,
                listed.default_level(METADATA_VERSION.latest_production)
            );
            assert!(listed.level(listed.minimum).is_some());
            assert!(listed.level(listed.latest_production).unwrap().production);
            for level in listed.levels {
                assert_eq!(level.production, level.level <= listed.latest_production);
                for (name, needed) in level.dependencies {
                    assert!(feature(name).unwrap().level(*needed).is_some());
                }
            }
        }
    }

    #[test]
    fn metadata_versions_by_text() {
        for level in METADATA_VERSION.levels {
            assert_eq!(metadata_version(level.version.unwrap()), Some(level.level));
        }
        assert_eq!(metadata_version("4.0"), Some(25));
        assert_eq!(metadata_version("4.0.1"), Some(25));
        assert_eq!(metadata_version("3.3"), Some(7));
        // Nothing of 4.5 is for production.
        assert_eq!(metadata_version("4.5-IV0"), Some(34));
        assert_eq!(metadata_version("4.5"), None);
        for text in [
            "", ".", "..", "4", "4.0-IV9", "3.2-IV0", "4.0-IV", "-IV3", "é.é.é",
        ] {
            assert_eq!(metadata_version(text), None, "{text}");
        }
    }

    #[test]
    fn default_levels() {
        assert_eq!(TRANSACTION_VERSION.default_level(23), 0);
        assert_eq!(TRANSACTION_VERSION.default_level(24), 2);
        assert_eq!(KRAFT_VERSION.default_level(20), 0);
        assert_eq!(KRAFT_VERSION.default_level(21), 1);
        assert_eq!(GROUP_VERSION.default_level(i16::MIN), 0);
        assert!(METADATA_VERSION.level(6).is_none());
        assert!(feature("no.such.version").is_none());
    }
}
