//! The two indexes of a segment, in memory and in Kafka's form on disk.
//!
//! An index says nothing that the segment does not: it is written without being synced, and made
//! anew from the segment when it is missing or not what it ought to be.

use std::io;

use super::files::{File, Files, Open};
use super::names;
use crate::types::Offset;

/// The bytes of an entry: last offset of a batch less the base offset, and where the batch starts.
const OFFSET_ENTRY: usize = 8;
/// The bytes of an entry: a timestamp, and the last offset of its batch less the base offset.
const TIME_ENTRY: usize = 12;

/// How many entries wait in memory before they are written.
const PENDING: usize = 64;

/// Both indexes of one segment.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    pub(super) base: Offset,
    pub(super) offsets: Vec<OffsetEntry>,
    pub(super) times: Vec<TimeEntry>,
    written_offsets: usize,
    written_times: usize,
    /// Bytes in the segment since the last entry.
    since_entry: u64,
    /// The largest timestamp so far, with its batch.
    latest: Option<TimeEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) relative: u32,
    pub(super) position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp: i64,
    pub(super) relative: u32,
}

impl Indexes {
    pub(super) fn new(base: Offset) -> Indexes {
        Indexes {
            base,
            ..Indexes::default()
        }
    }

    /// Takes note of a batch, as Kafka does: an entry when more than `interval` bytes lie behind
    /// the last, for the batch about to be written.
    pub(super) fn note(&mut self, batch: Noted, interval: u32) {
        // A segment rolls before an offset or a position has no room in an entry.
        let relative = u32::try_from(batch.last - self.base).unwrap_or(u32::MAX);
        let position = u32::try_from(batch.position).unwrap_or(u32::MAX);
        let timestamp = batch.max_timestamp;
        if timestamp > self.latest.map_or(-1, |latest| latest.timestamp) {
            self.latest = Some(TimeEntry {
                timestamp,
                relative,
            });
        }
        if self.since_entry > interval.into() {
            self.offsets.push(OffsetEntry { relative, position });
            self.note_time();
            self.since_entry = 0;
        }
        self.since_entry += batch.len;
    }

    /// The last entry of the time index, for a segment that nothing is appended to any more.
    pub(super) fn close(&mut self) {
        self.note_time();
    }

    fn note_time(&mut self) {
        if let Some(latest) = self.latest
            && self
                .times
                .last()
                .is_none_or(|last| last.timestamp < latest.timestamp)
        {
            self.times.push(latest);
        }
    }

    /// Takes over the entries below an offset of indexes that reached beyond it. Gives the position
    /// of the batch from which on the batches are to be [noted again](Self::note_again).
    pub(super) fn restart(&mut self, old: Indexes, offset: Offset) -> u64 {
        let below = |relative: u32| self.base + i64::from(relative) < offset;
        self.offsets = old.offsets;
        self.offsets.retain(|entry| below(entry.relative));
        self.times = old.times;
        self.times.retain(|entry| below(entry.relative));
        self.latest = self.times.last().copied();
        let last = self.offsets.last();
        last.map_or(0, |last| last.position.into())
    }

    /// Takes note of a batch that may have its entry.
    pub(super) fn note_again(&mut self, batch: Noted, interval: u32) {
        let last = self.offsets.last().map(|last| u64::from(last.position));
        if last == Some(batch.position) {
            self.since_entry = batch.len;
        } else {
            self.note(batch, interval);
        }
    }

    /// Where to start looking for an offset: at a batch that ends before it or has it.
    pub(super) fn position_before(&self, offset: Offset) -> u64 {
        let after = self
            .offsets
            .partition_point(|entry| self.base + i64::from(entry.relative) <= offset);
        let entry = after.checked_sub(1).and_then(|at| self.offsets.get(at));
        entry.map_or(0, |entry| entry.position.into())
    }

    /// The last batch with an entry that starts at or before a position and ends before an offset.
    pub(super) fn last_within(&self, position: u64, until: Offset) -> Option<u64> {
        let after = self.offsets.partition_point(|entry| {
            u64::from(entry.position) <= position && self.base + i64::from(entry.relative) < until
        });
        let entry = after.checked_sub(1).and_then(|at| self.offsets.get(at))?;
        Some(entry.position.into())
    }

    /// Writes what was not written; with `all`, also when it is little.
    pub(super) fn flush<F: Files>(&mut self, files: &F, all: bool) -> io::Result<()> {
        let pending =
            |len: usize, written: usize| len > written && (all || len - written >= PENDING);
        if pending(self.offsets.len(), self.written_offsets) {
            let new = self.offsets.get(self.written_offsets..).unwrap_or_default();
            let bytes: Vec<u8> = new.iter().flat_map(OffsetEntry::bytes).collect();
            let file = files.open(&names::index(self.base), Open::Create)?;
            file.write_at(&bytes, (self.written_offsets * OFFSET_ENTRY) as u64)?;
            self.written_offsets = self.offsets.len();
        }
        if pending(self.times.len(), self.written_times) {
            let new = self.times.get(self.written_times..).unwrap_or_default();
            let bytes: Vec<u8> = new.iter().flat_map(TimeEntry::bytes).collect();
            let file = files.open(&names::time_index(self.base), Open::Create)?;
            file.write_at(&bytes, (self.written_times * TIME_ENTRY) as u64)?;
            self.written_times = self.times.len();
        }
        Ok(())
    }

    /// Makes the files be exactly this; says whether they were not.
    pub(super) fn save<F: Files>(&mut self, files: &F) -> io::Result<bool> {
        let offsets: Vec<u8> = self.offsets.iter().flat_map(OffsetEntry::bytes).collect();
        let times: Vec<u8> = self.times.iter().flat_map(TimeEntry::bytes).collect();
        let mut changed = save(files, &names::index(self.base), &offsets)?;
        changed |= save(files, &names::time_index(self.base), &times)?;
        self.written_offsets = self.offsets.len();
        self.written_times = self.times.len();
        Ok(changed)
    }

    /// The indexes on disk of a segment that nothing is appended to, `None` if they cannot be.
    pub(super) fn load<F: Files>(
        files: &F,
        base: Offset,
        size: u64,
    ) -> io::Result<Option<Indexes>> {
        let Some(offsets) = read(files, &names::index(base))? else {
            return Ok(None);
        };
        let Some(times) = read(files, &names::time_index(base))? else {
            return Ok(None);
        };
        let offsets = entries(&offsets, OffsetEntry::read, |a, b| {
            a.relative < b.relative && a.position < b.position
        });
        let times = entries(&times, TimeEntry::read, |a, b| {
            a.timestamp < b.timestamp && a.relative <= b.relative
        });
        let (Some(offsets), Some(times)) = (offsets, times) else {
            return Ok(None);
        };
        let inside = offsets
            .last()
            .is_none_or(|last| u64::from(last.position) < size);
        Ok(inside.then_some(Indexes {
            base,
            written_offsets: offsets.len(),
            written_times: times.len(),
            offsets,
            times,
            ..Indexes::default()
        }))
    }
}

/// What an index wants to know of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) last: Offset,
    pub(super) max_timestamp: i64,
    pub(super) position: u64,
    pub(super) len: u64,
}

impl OffsetEntry {
    pub(super) const LEN: usize = OFFSET_ENTRY;

    fn bytes(&self) -> [u8; OFFSET_ENTRY] {
        let value = (u64::from(self.relative) << 32) | u64::from(self.position);
        value.to_be_bytes()
    }

    pub(super) fn read(bytes: &[u8; OFFSET_ENTRY]) -> OffsetEntry {
        let value = u64::from_be_bytes(*bytes);
        OffsetEntry {
            relative: (value >> 32) as u32,
            position: value as u32,
        }
    }
}

impl TimeEntry {
    pub(super) const LEN: usize = TIME_ENTRY;

    fn bytes(&self) -> [u8; TIME_ENTRY] {
        let value = (i128::from(self.timestamp) << 32) | i128::from(self.relative);
        let mut bytes = [0; TIME_ENTRY];
        bytes.copy_from_slice(
            value
                .to_be_bytes()
                .last_chunk::<TIME_ENTRY>()
                .unwrap_or(&[0; 12]),
        );
        bytes
    }

    pub(super) fn read(bytes: &[u8; TIME_ENTRY]) -> TimeEntry {
        let mut wide = [0; 16];
        for (to, from) in wide.iter_mut().skip(4).zip(bytes) {
            *to = *from;
        }
        let value = i128::from_be_bytes(wide);
        TimeEntry {
            timestamp: (value >> 32) as i64,
            relative: value as u32,
        }
    }
}

/// The entries of a file, without the zeros that Kafka leaves after the last; `None` if they do not
/// ascend.
fn entries<T, const N: usize>(
    bytes: &[u8],
    read: fn(&[u8; N]) -> T,
    ascend: fn(&T, &T) -> bool,
) -> Option<Vec<T>> {
    let (_, rest) = bytes.as_chunks::<N>();
    let entries: Vec<T> = raw_entries(bytes).iter().map(read).collect();
    let ascending = entries.is_sorted_by(ascend);
    // A preallocated file need not end with a whole entry, one that was trimmed has to.
    let whole = rest.iter().all(|&byte| byte == 0);
    (ascending && whole).then_some(entries)
}

/// The entries as they stand in a file, up to the zeros at its end.
pub(super) fn raw_entries<const N: usize>(bytes: &[u8]) -> &[[u8; N]] {
    let (chunks, _) = bytes.as_chunks::<N>();
    let used = chunks
        .iter()
        .rposition(|chunk| chunk.iter().any(|&byte| byte != 0));
    let used = used.map_or(0, |last| last + 1);
    chunks.get(..used).unwrap_or_default()
}

/// More than any index of a segment of 2 GiB has, with Kafka's least interval.
const LIMIT: u64 = 1 << 30;

fn read<F: Files>(files: &F, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(name, Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let len = file.len()?;
    if len > LIMIT {
        return Ok(None);
    }
    let mut bytes = vec![0; len as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

fn save<F: Files>(files: &F, name: &str, bytes: &[u8]) -> io::Result<bool> {
    if read(files, name)?.is_some_and(|found| found == bytes) {
        return Ok(false);
    }
    let file = files.open(name, Open::Empty)?;
    file.write_at(bytes, 0)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::files::memory::MemoryFiles;

    /// Indexes of batches of ten records and 100 bytes, each a second later than the one before.
    fn indexes(count: i64, interval: u32) -> Indexes {
        let mut indexes = Indexes::new(1000);
        for batch in 0..count {
            indexes.note(noted(batch), interval);
        }
        indexes
    }

    fn noted(batch: i64) -> Noted {
        Noted {
            last: 1000 + 10 * batch + 9,
            max_timestamp: 1000 * batch,
            position: 100 * batch.unsigned_abs(),
            len: 100,
        }
    }

    fn positions(indexes: &Indexes) -> Vec<u32> {
        indexes.offsets.iter().map(|entry| entry.position).collect()
    }

    #[test]
    fn an_entry_comes_when_more_than_the_interval_lies_behind_the_last() {
        assert_eq!(
            positions(&indexes(8, 99)),
            [100, 200, 300, 400, 500, 600, 700]
        );
        assert_eq!(positions(&indexes(8, 100)), [200, 400, 600]);
        assert_eq!(positions(&indexes(8, 199)), [200, 400, 600]);
        assert_eq!(positions(&indexes(8, 200)), [300, 600]);
        let entry = indexes(8, 200).offsets[0];
        assert_eq!(entry.relative, 39);
        assert_eq!(entry.bytes(), [0, 0, 0, 39, 0, 0, 1, 44]);
    }

    #[test]
    fn time_entries_ascend_and_the_last_comes_at_the_end() {
        let mut indexes = indexes(8, 200);
        let mut late = noted(8);
        late.max_timestamp = 5;
        indexes.note(late, 200);
        let times = |indexes: &Indexes| -> Vec<_> {
            let entry = |entry: &TimeEntry| (entry.timestamp, entry.relative);
            indexes.times.iter().map(entry).collect()
        };
        assert_eq!(times(&indexes), [(3000, 39), (6000, 69)]);
        indexes.close();
        assert_eq!(times(&indexes), [(3000, 39), (6000, 69), (7000, 79)]);
        indexes.close();
        assert_eq!(indexes.times.len(), 3);
    }

    #[test]
    fn what_is_saved_is_loaded_and_zeros_are_passed_over() {
        let files = MemoryFiles::new();
        let mut saved = indexes(8, 100);
        saved.close();
        assert!(saved.save(&files).unwrap());
        assert!(!saved.save(&files).unwrap());
        let name = names::index(1000);
        let mut bytes = files.bytes(&name).unwrap();
        bytes.resize(1000, 0);
        files.put(&name, bytes);
        let loaded = Indexes::load(&files, 1000, 800).unwrap().unwrap();
        assert_eq!(
            (&loaded.offsets, &loaded.times),
            (&saved.offsets, &saved.times)
        );
        // The last entry would lie beyond the segment.
        assert!(Indexes::load(&files, 1000, 600).unwrap().is_none());
        assert!(Indexes::load(&files, 1001, 800).unwrap().is_none());
    }

    #[test]
    fn entries_cut_off_come_again_where_they_were() {
        for end in 0..8 {
            let mut cut = Indexes::new(1000);
            let from = cut.restart(indexes(8, 150), 1000 + 10 * end);
            for batch in (from / 100).cast_signed()..end {
                cut.note_again(noted(batch), 150);
            }
            for batch in end..8 {
                cut.note(noted(batch), 150);
            }
            let whole = indexes(8, 150);
            assert_eq!(
                (cut.offsets, cut.times),
                (whole.offsets, whole.times),
                "{end}"
            );
            assert_eq!(
                (cut.since_entry, cut.latest),
                (whole.since_entry, whole.latest)
            );
        }
    }
}
