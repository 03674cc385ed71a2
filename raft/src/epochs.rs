//! Where each epoch starts in the log: Kafka's leader epoch cache.

use crate::types::{Epoch, EpochStart, Offset, OffsetAndEpoch};

/// The epochs of a log, ascending in both epoch and offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epochs(Vec<EpochStart>);

impl Epochs {
    /// The epochs as they were stored.
    #[must_use]
    pub fn new(epochs: Vec<EpochStart>) -> Epochs {
        Epochs(epochs)
    }

    /// The epochs in ascending order.
    #[must_use]
    pub fn as_slice(&self) -> &[EpochStart] {
        &self.0
    }

    /// The last record's epoch.
    #[must_use]
    pub fn latest(&self) -> Option<Epoch> {
        Some(self.0.last()?.epoch)
    }

    /// Notes that records of an epoch start at an offset. An epoch that is there already keeps its
    /// start.
    pub fn assign(&mut self, epoch: Epoch, offset: Offset) {
        if self.latest().is_none_or(|latest| latest < epoch) {
            // A leader that wrote nothing leaves an epoch without records behind.
            while self.0.last().is_some_and(|last| last.offset >= offset) {
                self.0.pop();
            }
            self.0.push(EpochStart { epoch, offset });
        }
    }

    /// Forgets the epochs that start at or after an offset: the log ends there now.
    pub fn truncate_end(&mut self, end: Offset) {
        self.0.retain(|start| start.offset < end);
    }

    /// Forgets the epochs that end at or before an offset: the log starts there now. The one that
    /// contains it starts there.
    pub fn truncate_start(&mut self, log_start: Offset) {
        let kept = self.0.partition_point(|start| start.offset <= log_start);
        if let Some(first) = kept.checked_sub(1) {
            self.0.drain(..first);
            self.0[0].offset = log_start;
        }
    }

    /// Forgets everything: the log is empty.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The greatest epoch up to `epoch` that the log has, and where it ends. If the log starts
    /// with a later one, `epoch` ends where that starts. `None` if the log ends with an earlier one.
    #[must_use]
    pub fn end_of(&self, epoch: Epoch, log_end: Offset) -> Option<OffsetAndEpoch> {
        let latest = self.latest()?;
        if latest == epoch {
            return Some(OffsetAndEpoch::new(log_end, epoch));
        }
        let next = self.0.partition_point(|start| start.epoch <= epoch);
        let end = self.0.get(next)?.offset;
        let found = next.checked_sub(1).map_or(epoch, |at| self.0[at].epoch);
        Some(OffsetAndEpoch::new(end, found))
    }

    /// The epoch of the record at an offset.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<Epoch> {
        let next = self.0.partition_point(|start| start.offset <= offset);
        Some(self.0[next.checked_sub(1)?].epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(starts: &[(Epoch, Offset)]) -> Epochs {
        let start = |&(epoch, offset)| EpochStart { epoch, offset };
        Epochs::new(starts.iter().map(start).collect())
    }

    #[test]
    fn ends_of_epochs() {
        let cache = epochs(&[(1, 0), (3, 10), (4, 20)]);
        let end = |epoch| cache.end_of(epoch, 25).map(|end| (end.epoch, end.offset));
        assert_eq!(end(0), Some((0, 0)), "before the first: where that starts");
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((1, 10)), "the one below");
        assert_eq!(end(3), Some((3, 20)));
        assert_eq!(end(4), Some((4, 25)), "the latest ends with the log");
        assert_eq!(end(5), None, "unknown above the latest");
        assert_eq!(Epochs::default().end_of(0, 0), None);
    }

    #[test]
    fn truncation_keeps_what_is_left() {
        let mut cache = epochs(&[(1, 0), (3, 10), (4, 20)]);
        cache.truncate_end(20);
        assert_eq!(cache, epochs(&[(1, 0), (3, 10)]));
        cache.truncate_start(5);
        assert_eq!(cache, epochs(&[(1, 5), (3, 10)]));
        cache.truncate_start(10);
        assert_eq!(cache, epochs(&[(3, 10)]));
        cache.truncate_end(10);
        assert_eq!(cache, epochs(&[]));
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let mut cache = epochs(&[(1, 0)]);
        cache.assign(2, 7);
        cache.assign(3, 7);
        cache.assign(3, 9);
        assert_eq!(cache, epochs(&[(1, 0), (3, 7)]));
        assert_eq!(cache.at(6), Some(1));
        assert_eq!(cache.at(7), Some(3));
        assert_eq!(Epochs::default().at(0), None);
    }
}
