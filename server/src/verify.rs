//! Looks through logs that a workload wrote: whether every record is there, once and in order, and
//! whether several nodes have the same. Reads only; the node may be running.

mod promises;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kwire_protocol::records::{Batch, Batches, Limits};
use kwire_raft::types::{Epoch, Offset};

pub use self::promises::{Claim, Promises};
use crate::record;

/// Bytes read at a time. A larger batch makes the buffer grow.
const CHUNK: usize = 4 << 20;

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The log's directory.
    pub path: PathBuf,
    /// The first offset.
    pub start: Offset,
    /// The offset after the last batch.
    pub end: Offset,
    /// Records with a serial number and a right checksum.
    pub records: u64,
    /// Records that no workload wrote, control records left out.
    pub foreign: u64,
    /// What is wrong, in the order in which it was found.
    pub faults: Vec<Fault>,
    /// Bytes after the last whole batch: what was being written, or torn.
    pub torn_bytes: u64,
    /// Of each epoch, the number after its last record's.
    pub next_numbers: BTreeMap<u32, u64>,
    /// Base offset, checksum and epoch of each batch, to compare logs.
    batches: Vec<(Offset, u32, Epoch)>,
}

/// Something that ought not to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A batch cannot be read.
    Batch {
        /// The segment.
        file: PathBuf,
        /// The byte at which the batch begins.
        position: u64,
        /// Why.
        reason: String,
    },
    /// Offsets are missing, or come twice.
    Offset {
        /// The next that there was to be.
        expected: Offset,
        /// What there is.
        found: Offset,
    },
    /// Serial numbers of an epoch are missing.
    Missing {
        /// The offset of the record after the gap.
        offset: Offset,
        /// The epoch.
        epoch: u32,
        /// The first that is missing.
        first: u64,
        /// How many are.
        count: u64,
    },
    /// A serial number comes again, or after a greater one.
    Again {
        /// The record's offset.
        offset: Offset,
        /// The epoch.
        epoch: u32,
        /// The number.
        number: u64,
    },
    /// A record's batch is of another epoch than the record says.
    Epoch {
        /// The record's offset.
        offset: Offset,
        /// The epoch that it says.
        says: u32,
        /// The epoch of its batch.
        batch: i32,
    },
    /// Two logs have different batches at an offset.
    Differs {
        /// The offset.
        offset: Offset,
        /// The other log.
        other: PathBuf,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Batch {
                file,
                position,
                reason,
            } => write!(f, "{} at byte {position}: {reason}", file.display()),
            Fault::Offset { expected, found } => {
                write!(f, "offset {found} where {expected} was to follow")
            }
            Fault::Missing {
                offset,
                epoch,
                first,
                count,
            } => write!(
                f,
                "before offset {offset}: {count} records of epoch {epoch} are missing, from number {first} on"
            ),
            Fault::Again {
                offset,
                epoch,
                number,
            } => write!(f, "offset {offset}: record {number} of epoch {epoch} again"),
            Fault::Epoch {
                offset,
                says,
                batch,
            } => write!(
                f,
                "offset {offset}: a record of epoch {says} in a batch of epoch {batch}"
            ),
            Fault::Differs { offset, other } => {
                write!(f, "offset {offset} is not what {} has", other.display())
            }
        }
    }
}

/// Looks through the segments of a partition's directory.
///
/// # Errors
/// When the directory or a file in it cannot be read, or when there is no segment: of a directory
/// that is not a partition's, nothing can be said.
pub fn look_through(path: &Path) -> io::Result<Found> {
    let mut looking = Looking::new(path);
    let mut segments = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if is_segment(&file) {
            segments.push(file);
        }
    }
    if segments.is_empty() {
        let what = "there is no segment: a partition's directory is wanted, such as \
                    /tmp/raft-1/__raft_performance_test-0";
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    // The names are offsets with leading zeros.
    segments.sort();
    for segment in &segments {
        looking.segment(segment)?;
    }
    Ok(looking.found)
}

/// Whether a file is named as segments are: 20 digits and `.log`.
fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let base = name.and_then(|name| name.strip_suffix(".log"));
    base.is_some_and(|base| base.len() == 20 && base.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Found {
    /// The epoch of the batch that an offset lies in, or of the next one.
    fn epoch_at(&self, offset: Offset) -> Option<Epoch> {
        let after = self.batches.partition_point(|(base, ..)| *base <= offset);
        let batch = self.batches.get(after.saturating_sub(1))?;
        Some(batch.2)
    }

    /// The last epoch, and where the log ends: the greatest of a quorum's has all that is committed.
    fn last(&self) -> (Epoch, Offset) {
        (self.batches.last().map_or(-1, |batch| batch.2), self.end)
    }
}

/// Compares what two logs both have, up to an offset. Returns the first difference.
#[must_use]
pub fn compare(one: &Found, other: &Found, until: Offset) -> Option<Fault> {
    let from = one.start.max(other.start);
    let until = until.min(one.end).min(other.end);
    let common = |found: &Found| {
        let batches = found.batches.iter().copied();
        batches
            .filter(|(base, ..)| (from..until).contains(base))
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (common(one), common(other));
    let differs = ours.iter().zip(&theirs).find(|(a, b)| a != b);
    let offset = match differs {
        Some(((a, ..), (b, ..))) => Some(*a.min(b)),
        None if ours.len() != theirs.len() => {
            let longer = if ours.len() > theirs.len() {
                &ours
            } else {
                &theirs
            };
            Some(longer[ours.len().min(theirs.len())].0)
        }
        None => None,
    };
    offset.map(|offset| Fault::Differs {
        offset,
        other: other.path.clone(),
    })
}

struct Looking {
    found: Found,
    is_first: bool,
    scratch: Vec<u8>,
}

impl Looking {
    fn new(path: &Path) -> Looking {
        Looking {
            found: Found {
                path: path.to_owned(),
                ..Default::default()
            },
            is_first: true,
            scratch: Vec::new(),
        }
    }

    fn segment(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut buffer = Vec::new();
        let mut position = 0;
        loop {
            let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut buffer)?;
            let mut batches = Batches::validated(&buffer);
            let mut damage = None;
            for batch in batches.by_ref() {
                match batch {
                    Ok(batch) => self.batch(&batch, path, position + batch.position() as u64),
                    Err(error) => damage = Some(error.to_string()),
                }
            }
            let done = batches.position();
            if let Some(reason) = damage {
                self.found.faults.push(Fault::Batch {
                    file: path.to_owned(),
                    position: position + done as u64,
                    reason,
                });
                return Ok(());
            }
            position += done as u64;
            buffer.drain(..done);
            if read == 0 {
                break;
            }
        }
        self.found.torn_bytes += buffer.len() as u64;
        Ok(())
    }

    fn batch(&mut self, batch: &Batch<'_>, file: &Path, position: u64) {
        let base = batch.base_offset().unwrap_or(-1);
        if self.is_first {
            self.found.start = base;
            self.is_first = false;
        } else if base != self.found.end {
            let expected = self.found.end;
            let found = base;
            self.found.faults.push(Fault::Offset { expected, found });
        }
        // Whatever the bytes say: they may be forged.
        self.found.end = batch.last_offset().saturating_add(1);
        let epoch = batch.header().map_or(-1, |h| h.partition_leader_epoch);
        self.found.batches.push((base, batch.crc(), epoch));
        let Some(header) = batch.header().copied() else {
            return;
        };
        if header.attributes.is_control() {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Err(error) = self.records(batch, header.partition_leader_epoch, &mut scratch) {
            self.found.faults.push(Fault::Batch {
                file: file.to_owned(),
                position,
                reason: error.to_string(),
            });
        }
        self.scratch = scratch;
    }

    fn records(
        &mut self,
        batch: &Batch<'_>,
        batch_epoch: i32,
        scratch: &mut Vec<u8>,
    ) -> Result<(), kwire_protocol::records::Error> {
        for record in batch.records(scratch, &Limits::default())? {
            let record = record?;
            let serial = record.value.and_then(record::check);
            let Some(record::Serial { epoch, number }) = serial else {
                self.found.foreign += 1;
                continue;
            };
            self.found.records += 1;
            self.serial(record.offset, epoch, number);
            if i64::from(epoch) != i64::from(batch_epoch) {
                self.found.faults.push(Fault::Epoch {
                    offset: record.offset,
                    says: epoch,
                    batch: batch_epoch,
                });
            }
        }
        Ok(())
    }

    fn serial(&mut self, offset: Offset, epoch: u32, number: u64) {
        // A log that starts later may have lost the beginning of its first epoch to a snapshot.
        let unknown = self.found.start > 0 && self.found.next_numbers.is_empty();
        let expected = self.found.next_numbers.get(&epoch).copied();
        let expected = expected.unwrap_or(if unknown { number } else { 0 });
        if number > expected {
            self.found.faults.push(Fault::Missing {
                offset,
                epoch,
                first: expected,
                count: number - expected,
            });
        } else if number < expected {
            let fault = Fault::Again {
                offset,
                epoch,
                number,
            };
            self.found.faults.push(fault);
            return;
        }
        let next = number.saturating_add(1);
        self.found.next_numbers.insert(epoch, next);
    }
}

#[cfg(test)]
mod tests {
    use kwire_protocol::records::{BatchBuilder, BatchOptions, NewRecord};

    use super::*;
    use crate::record::{Random, Serial};

    fn batch(base_offset: Offset, epoch: u32, numbers: &[u64]) -> Vec<u8> {
        let options = BatchOptions {
            base_offset,
            partition_leader_epoch: i32::try_from(epoch).expect("small"),
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options).expect("plain");
        let mut random = Random::new(base_offset.unsigned_abs());
        for &number in numbers {
            let mut value = Vec::new();
            record::write(Serial { epoch, number }, 32, &mut random, &mut value);
            let record = NewRecord {
                value: Some(&value),
                ..Default::default()
            };
            let appended = builder.try_append(&record).expect("small");
            assert_ne!(appended, kwire_protocol::records::Append::Full);
        }
        builder.finish().expect("it has records")
    }

    fn found(segments: &[(&str, Vec<u8>)]) -> Found {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, bytes) in segments {
            fs::write(dir.path().join(name), bytes).expect("it can be written");
        }
        look_through(dir.path()).expect("it can be read")
    }

    const FIRST: &str = "00000000000000000000.log";
    const SECOND: &str = "00000000000000000003.log";

    #[test]
    fn a_log_in_order() {
        let found = found(&[
            (FIRST, batch(0, 1, &[0, 1, 2])),
            (SECOND, [batch(3, 1, &[3]), batch(4, 2, &[0, 1])].concat()),
        ]);
        assert_eq!((found.start, found.end, found.records), (0, 6, 6));
        assert_eq!((found.faults.as_slice(), found.torn_bytes), (&[][..], 0));
    }

    #[test]
    fn what_is_lost_or_twice_is_found() {
        let bytes = [
            batch(0, 1, &[0, 2]),
            batch(2, 1, &[2]),
            batch(5, 2, &[0]),
            batch(6, 2, &[1])[..70].to_vec(),
        ];
        let found = found(&[(FIRST, bytes.concat())]);
        let expected = [
            "before offset 1: 1 records of epoch 1 are missing, from number 1 on",
            "offset 2: record 2 of epoch 1 again",
            "offset 5 where 3 was to follow",
        ];
        let faults: Vec<String> = found.faults.iter().map(Fault::to_string).collect();
        assert_eq!(faults, expected);
        assert_eq!(found.torn_bytes, 70);
    }

    #[test]
    fn damage_is_found() {
        let mut bytes = batch(0, 1, &[0]);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let found = found(&[(FIRST, bytes)]);
        let [Fault::Batch { position: 0, .. }] = &found.faults[..] else {
            panic!("{:?}", found.faults);
        };
    }

    #[test]
    fn logs_are_compared_where_both_have_something() {
        let one = found(&[(FIRST, [batch(0, 1, &[0]), batch(1, 1, &[1])].concat())]);
        let longer = [batch(0, 1, &[0]), batch(1, 1, &[1]), batch(2, 1, &[2])].concat();
        let longer = found(&[(FIRST, longer)]);
        assert_eq!(compare(&one, &longer, Offset::MAX), None);
        let other = found(&[(FIRST, [batch(0, 1, &[0]), batch(1, 2, &[0])].concat())]);
        let differs = compare(&longer, &other, Offset::MAX).expect("offset 1 differs");
        assert!(
            differs.to_string().starts_with("offset 1 is not what"),
            "{differs}"
        );
        assert_eq!(compare(&longer, &other, 1), None, "only below an offset");
    }

    #[test]
    fn a_directory_without_segments_is_no_log_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("node-1.log"), "what a node said").expect("written");
        let error = look_through(dir.path()).expect_err("nothing was looked at");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no segment"), "{error}");
    }

    /// The last numbers that there are, as whoever forges a record may name them.
    #[test]
    fn forged_numbers_are_faults() {
        let found = found(&[(FIRST, batch(Offset::MAX, 1, &[u64::MAX]))]);
        assert_eq!(found.end, Offset::MAX);
        assert_eq!(found.records, 1);
    }

    /// Whatever is left of what was read at once: it may be as much as the last time.
    #[test]
    fn a_log_is_read_to_its_end() {
        const BATCH: usize = 4 << 10;
        let sized = |base_offset, size| {
            let mut value = Vec::new();
            let serial = Serial {
                epoch: 1,
                number: u64::try_from(base_offset).expect("small"),
            };
            record::write(serial, size, &mut Random::new(1), &mut value);
            let options = BatchOptions {
                base_offset,
                partition_leader_epoch: 1,
                ..Default::default()
            };
            let mut builder = BatchBuilder::new(options).expect("plain");
            let record = NewRecord {
                value: Some(&value),
                ..Default::default()
            };
            let _ = builder.try_append(&record).expect("small");
            builder.finish().expect("it has a record")
        };
        let size = BATCH - (sized(0, BATCH).len() - BATCH);
        let count = Offset::try_from(CHUNK / BATCH + 1).expect("small");
        let log: Vec<u8> = (0..count).flat_map(|base| sized(base, size)).collect();
        assert_eq!(log.len(), CHUNK + BATCH);
        let found = found(&[(FIRST, log)]);
        assert_eq!((found.end, found.torn_bytes), (count, 0));
    }

    /// Where in the file, not in what was read of it at once.
    #[test]
    fn records_that_cannot_be_read_are_named_by_their_place_in_the_file() {
        let mut log = Vec::new();
        let mut offset = 0;
        while log.len() < CHUNK + 100 {
            let numbers: Vec<u64> = (offset..offset + 1_000).collect();
            log.extend(batch(offset as Offset, 1, &numbers));
            offset += 1_000;
        }
        let place = log.len() as u64;
        let mut damaged = batch(offset as Offset, 1, &[offset]);
        // It says gzip, and is none.
        damaged[22] = 1;
        let crc = crc_fast::crc32_iscsi(&damaged[21..]);
        damaged[17..21].copy_from_slice(&crc.to_be_bytes());
        log.extend(damaged);
        let found = found(&[(FIRST, log)]);
        let [Fault::Batch { position, .. }] = &found.faults[..] else {
            panic!("{:?}", found.faults);
        };
        assert_eq!(*position, place);
    }
}
