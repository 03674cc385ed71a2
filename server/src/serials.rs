//! Which records of a workload the log had: the serial numbers of each epoch, which have no gaps.
//!
//! Nobody needs them to go on: each leader begins anew. They are what is left of records that were
//! removed with the log's beginning, and say that those were all there.

use std::collections::BTreeMap;

use kwire_protocol::records::{Batch, Compression, Limits};

use crate::record::{self, Serial};

/// The most epochs that are remembered; of more, the latest.
const MAX_EPOCHS: usize = 10_000;

/// The serial numbers of a log up to some offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serials {
    /// Of each epoch, the number after its last record's.
    pub next: BTreeMap<u32, u64>,
    /// How often numbers were missing before a batch's.
    pub breaks: u64,
    /// Whether the log was seen from its first record on. If not, the first epoch's first number is
    /// believed.
    pub is_whole: bool,
}

impl Serials {
    /// Those of an empty log, which starts at 0 or not.
    #[must_use]
    pub fn new(is_whole: bool) -> Serials {
        Serials {
            next: BTreeMap::new(),
            breaks: 0,
            is_whole,
        }
    }

    /// The log has so many records from this one on.
    ///
    /// Records that come again do not count: anybody can copy what they read, and what a client did
    /// is not to be held against the log for ever. What anybody makes up with a right checksum, in
    /// the leader's epoch and ahead of its numbers, is taken for what it says: there is no telling.
    pub fn add(&mut self, first: Serial, count: u64) {
        let believed = !self.is_whole && self.next.is_empty();
        let known = self.next.get(&first.epoch).copied();
        let expected = known.unwrap_or(if believed { first.number } else { 0 });
        if first.number < expected {
            return;
        }
        if first.number > expected {
            self.breaks = self.breaks.saturating_add(1);
        }
        let next = first.number.saturating_add(count);
        self.next.insert(first.epoch, next);
        if self.next.len() > MAX_EPOCHS {
            self.next.pop_first();
        }
    }
}

/// The serial number of a batch's first record, if a workload wrote the batch. Its other records
/// then have those that follow.
#[must_use]
pub fn first_of(batch: &Batch<'_>) -> Option<Serial> {
    let header = batch.header()?;
    let may_be = !header.attributes.is_control()
        && header.producer_id < 0
        && matches!(batch.compression(), Ok(Compression::None));
    if !may_be {
        return None;
    }
    let mut scratch = Vec::new();
    let mut records = batch.records(&mut scratch, &Limits::default()).ok()?;
    let first = records.next()?.ok()?;
    let serial = record::check(first.value?)?;
    // Whoever copies a record of another epoch is no workload.
    (i64::from(serial.epoch) == i64::from(header.partition_leader_epoch)).then_some(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(serials: &mut Serials, epoch: u32, number: u64, count: u64) {
        serials.add(Serial { epoch, number }, count);
    }

    #[test]
    fn numbers_follow_one_another() {
        let mut serials = Serials::new(true);
        add(&mut serials, 1, 0, 3);
        add(&mut serials, 1, 3, 2);
        add(&mut serials, 4, 0, 1);
        assert_eq!((serials.next.get(&1), serials.breaks), (Some(&5), 0));
        add(&mut serials, 4, 2, 1);
        add(&mut serials, 4, 2, 1);
        assert_eq!((serials.next.get(&4), serials.breaks), (Some(&3), 1));
        add(&mut serials, 5, 1, 1);
        assert_eq!(serials.breaks, 2, "an epoch begins with 0");
    }

    #[test]
    fn copies_of_records_are_no_breaks() {
        let mut serials = Serials::new(true);
        add(&mut serials, 1, 0, 5);
        // With others behind them, too.
        for (number, count) in [(0, 5), (4, 1), (4, 9)] {
            add(&mut serials, 1, number, count);
            assert_eq!((serials.next.get(&1), serials.breaks), (Some(&5), 0));
        }
    }

    #[test]
    fn a_number_that_was_made_up_is_one_break() {
        let mut serials = Serials::new(true);
        add(&mut serials, 1, 0, 5);
        add(&mut serials, 1, u64::MAX - 1, 7);
        add(&mut serials, 1, 5, 5);
        add(&mut serials, 1, 10, 5);
        assert_eq!(serials.breaks, 1);
    }

    #[test]
    fn the_first_number_of_a_log_without_a_beginning_is_believed() {
        let mut serials = Serials::new(false);
        add(&mut serials, 3, 70, 1);
        add(&mut serials, 3, 71, 1);
        assert_eq!(serials.breaks, 0);
        add(&mut serials, 4, 1, 1);
        assert_eq!(serials.breaks, 1);
    }

    #[test]
    fn the_oldest_epochs_are_forgotten() {
        let mut serials = Serials::new(true);
        for epoch in 0..=u32::try_from(MAX_EPOCHS).expect("few") {
            add(&mut serials, epoch, 0, 1);
        }
        assert_eq!((serials.next.len(), serials.breaks), (MAX_EPOCHS, 0));
        assert!(!serials.next.contains_key(&0));
    }
}
