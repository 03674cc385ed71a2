//! For tools that look into the files of a partition: what a file is by its name, what an index
//! says, and whether that is so.

use std::fmt;

use kwire_protocol::records::Batch;

use super::index::{OffsetEntry, TimeEntry, raw_entries};
use super::names::Name;
use crate::types::{Offset, OffsetAndEpoch};

/// What a file of a partition's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A segment that starts at an offset.
    Log(Offset),
    /// The index of its offsets.
    Index(Offset),
    /// The index of its times.
    TimeIndex(Offset),
    /// A snapshot.
    Snapshot(OffsetAndEpoch),
    /// None of these.
    Other,
}

impl FileKind {
    /// What a file is by its name, without the directory.
    #[must_use]
    pub fn of(name: &str) -> FileKind {
        match Name::parse(name) {
            Name::Log(base) => FileKind::Log(base),
            Name::Index(base) => FileKind::Index(base),
            Name::TimeIndex(base) => FileKind::TimeIndex(base),
            Name::Snapshot(id) => FileKind::Snapshot(id),
            Name::Leftover | Name::Other => FileKind::Other,
        }
    }

    /// The name of the segment that starts at an offset.
    #[must_use]
    pub fn log_name(base: Offset) -> String {
        super::names::log(base)
    }
}

/// Where a batch of a segment lies: what its indexes speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The byte at which it starts.
    pub position: u64,
    /// Its last offset.
    pub last_offset: Offset,
    /// The latest timestamp in it, in milliseconds.
    pub max_timestamp: i64,
}

impl Place {
    /// The place of a batch.
    #[must_use]
    pub fn of(batch: &Batch<'_>, position: u64) -> Place {
        Place {
            position,
            last_offset: batch.last_offset(),
            max_timestamp: batch.max_timestamp(),
        }
    }
}

/// An entry of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// The batch that ends with an offset starts at a byte.
    Position {
        /// The offset.
        offset: Offset,
        /// The byte.
        position: u32,
    },
    /// The batch that has an offset is the first with a timestamp so late.
    Time {
        /// The timestamp in milliseconds.
        timestamp: i64,
        /// The offset.
        offset: Offset,
    },
}

/// An entry that is not what it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFlaw {
    /// The byte of the index at which the entry starts.
    pub position: u64,
    /// The offset that it names.
    pub offset: Offset,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for IndexFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, offset) = (self.position, self.offset);
        write!(f, "at byte {position}, offset {offset}: {}", self.what)
    }
}

/// The entries of an index of offsets, without the zeros that Kafka leaves after the last.
#[must_use]
pub fn offset_index(base: Offset, bytes: &[u8]) -> Vec<Entry> {
    let entry = |entry: OffsetEntry| Entry::Position {
        offset: base.saturating_add(entry.relative.into()),
        position: entry.position,
    };
    let entries = raw_entries(bytes).iter().map(OffsetEntry::read);
    entries.map(entry).collect()
}

/// The entries of an index of times, likewise.
#[must_use]
pub fn time_index(base: Offset, bytes: &[u8]) -> Vec<Entry> {
    let entry = |entry: TimeEntry| Entry::Time {
        timestamp: entry.timestamp,
        offset: base.saturating_add(entry.relative.into()),
    };
    let entries = raw_entries(bytes).iter().map(TimeEntry::read);
    entries.map(entry).collect()
}

/// What is wrong with the entries of one index: their order, and if the batches of the segment are
/// given, whether those are where they are said to be.
#[must_use]
pub fn check_index(entries: &[Entry], batches: Option<&[Place]>) -> Vec<IndexFlaw> {
    let mut flaws = Vec::new();
    let mut start = 0;
    let mut before: Option<Entry> = None;
    for entry in entries {
        let (offset, len) = match entry {
            Entry::Position { offset, .. } => (*offset, OffsetEntry::LEN),
            Entry::Time { offset, .. } => (*offset, TimeEntry::LEN),
        };
        let order = before.and_then(|before| out_of_order(before, *entry));
        let place = || batches.and_then(|batches| misplaced(*entry, batches));
        if let Some(what) = order.or_else(place) {
            flaws.push(IndexFlaw {
                position: start,
                offset,
                what,
            });
        }
        start += len as u64;
        before = Some(*entry);
    }
    flaws
}

fn out_of_order(before: Entry, entry: Entry) -> Option<String> {
    let (ordered, what) = match (before, entry) {
        (
            Entry::Position {
                offset: offset_before,
                position: before,
            },
            Entry::Position { offset, position },
        ) => (offset > offset_before && position > before, "offset"),
        (
            Entry::Time {
                timestamp: before,
                offset: offset_before,
            },
            Entry::Time { timestamp, offset },
        ) => (timestamp > before && offset >= offset_before, "timestamp"),
        _ => (true, ""),
    };
    (!ordered).then(|| format!("its {what} does not come after that of the entry before"))
}

fn misplaced(entry: Entry, batches: &[Place]) -> Option<String> {
    match entry {
        Entry::Position { offset, position } => {
            let at = batches.binary_search_by_key(&u64::from(position), |batch| batch.position);
            match at.ok().and_then(|at| batches.get(at)) {
                None => Some(format!("no batch of the segment starts at byte {position}")),
                Some(batch) if batch.last_offset != offset => Some(format!(
                    "the batch at byte {position} of the segment ends with offset {}",
                    batch.last_offset
                )),
                Some(_) => None,
            }
        }
        Entry::Time { timestamp, offset } => {
            let at = batches.partition_point(|batch| batch.last_offset < offset);
            match batches.get(at) {
                None => Some("the segment has no such offset".to_owned()),
                Some(batch) if batch.max_timestamp != timestamp => Some(format!(
                    "the timestamp is {timestamp}, and that of the batch is {}",
                    batch.max_timestamp
                )),
                Some(_) => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<Place> {
        let place = |at: i64| Place {
            position: at.unsigned_abs() * 100,
            last_offset: 1009 + at * 10,
            max_timestamp: at * 7,
        };
        (0..5).map(place).collect()
    }

    fn entries(of: &[(u32, u32)]) -> Vec<Entry> {
        let bytes: Vec<u8> = of
            .iter()
            .flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()].concat())
            .collect();
        let zeros = [&bytes[..], &[0; 16]].concat();
        assert_eq!(offset_index(1000, &bytes), offset_index(1000, &zeros));
        offset_index(1000, &bytes)
    }

    #[test]
    fn entries_have_to_ascend_and_to_be_right() {
        let places = places();
        let flaws = |of: &[(u32, u32)]| {
            let flaws = check_index(&entries(of), Some(&places));
            flaws.iter().map(|flaw| flaw.position).collect::<Vec<_>>()
        };
        assert!(flaws(&[(9, 0), (29, 200), (49, 400)]).is_empty());
        assert_eq!(flaws(&[(9, 0), (29, 201), (49, 400)]), [8]);
        assert_eq!(flaws(&[(9, 0), (28, 200), (49, 400)]), [8]);
        assert_eq!(flaws(&[(29, 200), (9, 0)]), [8]);
        assert_eq!(check_index(&entries(&[(9, 1), (29, 3)]), None), []);
        let time = |timestamp, offset| Entry::Time { timestamp, offset };
        let good = [time(7, 1019), time(14, 1025)];
        assert_eq!(check_index(&good, Some(&places)), []);
        let bad = [time(7, 1019), time(7, 1020), time(15, 1029), time(99, 2000)];
        assert_eq!(check_index(&bad, Some(&places)).len(), 3);
    }
}
