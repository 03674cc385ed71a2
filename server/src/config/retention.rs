//! What is kept of the log, and how often a snapshot takes the place of its beginning.

use kwire_raft::log::RetentionPolicy;

use super::{ConfigError, Properties};

const BYTES_BETWEEN: &str = "metadata.log.max.record.bytes.between.snapshots";
const INTERVAL: &str = "metadata.log.max.snapshot.interval.ms";
const RETENTION_BYTES: &str = "metadata.max.retention.bytes";
const RETENTION_MS: &str = "metadata.max.retention.ms";

/// When snapshots are made, and what of the log is deleted then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Committed bytes after which a snapshot is made:
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_bytes: u64,
    /// Milliseconds after which one is made of what was committed since the last, `None` for no such
    /// limit: `metadata.log.max.snapshot.interval.ms`
    pub snapshot_interval_ms: Option<u64>,
    /// `metadata.max.retention.bytes` and `metadata.max.retention.ms`
    pub policy: RetentionPolicy,
}

impl Retention {
    /// The properties that it is made of.
    pub const PROPERTIES: [&str; 4] = [BYTES_BETWEEN, INTERVAL, RETENTION_BYTES, RETENTION_MS];
}

/// With Kafka's defaults for what is not set; `None` if none of the properties is.
pub(super) fn retention(properties: &Properties) -> Result<Option<Retention>, ConfigError> {
    let is_set = |name: &&str| properties.get(&[*name]).is_some();
    if !Retention::PROPERTIES.iter().any(is_set) {
        return Ok(None);
    }
    let default = RetentionPolicy::default();
    let at_least_1 = "a number of bytes, 1 at least";
    let at_least_0 = "a number of milliseconds, 0 for no limit";
    let interval = properties.value(&[INTERVAL], 3_600_000, at_least_0, |ms: &i64| *ms >= 0)?;
    Ok(Some(Retention {
        snapshot_bytes: properties.value(&[BYTES_BETWEEN], 20 << 20, at_least_1, |bytes| {
            (1..=i64::MAX as u64).contains(bytes)
        })?,
        snapshot_interval_ms: u64::try_from(interval).ok().filter(|ms| *ms > 0),
        policy: RetentionPolicy {
            bytes: limit(properties, RETENTION_BYTES, "bytes", default.bytes)?,
            ms: limit(properties, RETENTION_MS, "milliseconds", default.ms)?,
        },
    }))
}

/// A number of which a negative one stands for no limit.
fn limit(
    properties: &Properties,
    name: &str,
    unit: &str,
    default: Option<u64>,
) -> Result<Option<u64>, ConfigError> {
    if properties.get(&[name]).is_none() {
        return Ok(default);
    }
    let allowed = format!("a number of {unit}, -1 for no limit");
    let value: i64 = properties.value(&[name], -1, &allowed, |_| true)?;
    Ok(u64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Option<Retention>, String> {
        let properties = Properties::parse(Path::new("p"), text).expect("properties");
        retention(&properties).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_deleted_unasked() {
        assert_eq!(read("node.id=1"), Ok(None));
    }

    #[test]
    fn what_is_not_set_is_as_in_kafka() {
        let found = read("metadata.max.retention.bytes=5").expect("valid");
        let found = found.expect("one is set");
        assert_eq!(found.snapshot_bytes, 20_971_520);
        assert_eq!(found.snapshot_interval_ms, Some(3_600_000));
        let week = RetentionPolicy::default().ms;
        assert_eq!((found.policy.bytes, found.policy.ms), (Some(5), week));
        let found = read(
            "metadata.log.max.snapshot.interval.ms=0\nmetadata.max.retention.bytes=-1\n\
             metadata.max.retention.ms=-1\n\
             metadata.log.max.record.bytes.between.snapshots=1",
        );
        let found = found.expect("valid").expect("all are set");
        assert_eq!(
            (found.snapshot_bytes, found.snapshot_interval_ms),
            (1, None)
        );
        assert_eq!((found.policy.bytes, found.policy.ms), (None, None));
    }

    #[test]
    fn values_that_kafka_refuses_are_refused() {
        for (text, allowed) in [
            (
                "metadata.log.max.record.bytes.between.snapshots=0",
                "1 at least",
            ),
            ("metadata.log.max.snapshot.interval.ms=-1", "0 for no limit"),
            ("metadata.max.retention.bytes=much", "-1 for no limit"),
            (
                "metadata.max.retention.ms=9223372036854775808",
                "-1 for no limit",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(&format!("p:1: {text}: ")), "{error}");
            assert!(error.contains(allowed), "{error}");
        }
    }
}
