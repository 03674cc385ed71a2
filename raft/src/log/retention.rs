//! Which snapshots, and with them which part of the log, are no longer needed.

use super::error::LogError;
use super::file_log::FileLog;
use super::files::Files;
use crate::types::OffsetAndEpoch;

/// How much is kept. Both limits have to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// The most bytes of log and snapshots together, `None` for no limit:
    /// `metadata.max.retention.bytes`.
    pub bytes: Option<u64>,
    /// The most milliseconds since the last record that the second-oldest snapshot stands for, by
    /// its header, `None` for no limit: `metadata.max.retention.ms`. Kafka goes by the oldest, whose
    /// records the next stands for too; here, what came after it is not to go with it.
    pub ms: Option<u64>,
}

impl Default for RetentionPolicy {
    /// Kafka's: 100 MiB and 7 days.
    fn default() -> RetentionPolicy {
        RetentionPolicy {
            bytes: Some(100 << 20),
            ms: Some(7 * 24 * 60 * 60 * 1000),
        }
    }
}

impl<F: Files> FileLog<F> {
    /// The snapshot to [delete before](crate::driver::LogStore::delete_before), if there is more
    /// than the policy keeps: the second-oldest. `now_ms` is the time of day in milliseconds. To be
    /// asked again after that, as one step may not be enough.
    ///
    /// The latest snapshot always stays, and so does what the log has from its end on.
    ///
    /// # Errors
    /// When the second-oldest snapshot has to be read and cannot be.
    pub fn cleanable(
        &self,
        policy: &RetentionPolicy,
        now_ms: i64,
    ) -> Result<Option<OffsetAndEpoch>, LogError> {
        let mut ids = self.shelf.ids();
        let (Some(_), Some(second)) = (ids.next(), ids.next()) else {
            return Ok(None);
        };
        let snapshots: u64 = self.snapshots().map(|info| info.size).sum();
        if policy
            .bytes
            .is_some_and(|most| self.size() + snapshots > most)
        {
            return Ok(Some(second));
        }
        let Some(most) = policy.ms else {
            return Ok(None);
        };
        let timestamp = self.shelf.timestamp_ms(&self.files, second)?;
        let age = timestamp.map_or(0, |timestamp| now_ms.saturating_sub(timestamp));
        let old = u64::try_from(age).is_ok_and(|age| age > most);
        Ok(old.then_some(second))
    }
}
