//! Looks through logs that a workload wrote: whether every record is there, once and in order, and
//! whether several nodes have the same. Reads only; the node may be running.
//!
//! Of a log that has lost its beginning, what was there is not missing: a snapshot says what it was,
//! and is held against the log where both know something.
//!
//! Whoever writes records as a workload does, with the epoch, a number and a right checksum, is
//! taken for one: a client's copies come again, and numbers that it makes up leave others missing.

mod promises;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kwire_protocol::records::{Batch, Batches, Limits};
use kwire_raft::log::inspect::FileKind;
use kwire_raft::log::snapshot::SnapshotReader;
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch};

pub use self::promises::{Claim, Promises};
use crate::record;
use crate::serials::Serials;
use crate::state::State;

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
    /// Bytes after the last whole batch of the last segment: what is being written, or was when a
    /// node or machine stopped. Nobody was told that it is there.
    pub torn_bytes: u64,
    /// Of each epoch, the number after its last record's, also where only a snapshot knows it.
    pub next_numbers: BTreeMap<u32, u64>,
    /// Snapshots that were read.
    pub snapshots: usize,
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
    /// A serial number comes again, or after a greater one: the log has it twice, or a client wrote
    /// a copy of what it read.
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
    /// A snapshot is damaged.
    Snapshot {
        /// The snapshot.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A snapshot counts other records of an epoch than the log before its end has.
    Counts {
        /// The snapshot's end.
        end: Offset,
        /// The epoch.
        epoch: u32,
        /// The number that comes next, by the snapshot.
        says: Option<u64>,
        /// The number that comes next, by the log.
        found: u64,
    },
    /// The node that made a snapshot saw records missing.
    Breaks {
        /// The snapshot's end.
        end: Offset,
        /// How often.
        count: u64,
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
                "before offset {offset}: {count} {} missing of epoch {epoch}, from number {first} on",
                if *count == 1 {
                    "record is"
                } else {
                    "records are"
                }
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
            Fault::Snapshot { file, reason } => write!(f, "{}: {reason}", file.display()),
            Fault::Counts {
                end,
                epoch,
                says,
                found,
            } => write!(
                f,
                "the snapshot at offset {end} knows {} records of epoch {epoch}, and the log has {found}",
                says.unwrap_or(0)
            ),
            Fault::Breaks { end, count } => {
                write!(f, "before offset {end}, records were missing {count} times")
            }
            Fault::Differs { offset, other } => {
                write!(f, "offset {offset} is not what {} has", other.display())
            }
        }
    }
}

/// How often files may vanish while they are looked at, because the node deletes them.
const PATIENCE: usize = 10;

/// Looks through the segments and snapshots of a partition's directory.
///
/// # Errors
/// When the directory or a file in it cannot be read, or when there is no segment: of a directory
/// that is not a partition's, nothing can be said.
pub fn look_through(path: &Path) -> io::Result<Found> {
    let mut patience = PATIENCE;
    loop {
        let files = Files::list(path)?;
        patience -= 1;
        match look_at(path, &files) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && patience > 0 => {}
            looked => return looked,
        }
    }
}

fn look_at(path: &Path, files: &Files) -> io::Result<Found> {
    let mut looking = Looking::new(path);
    for (id, file) in &files.snapshots {
        looking.snapshot(*id, file)?;
    }
    let last = files.segments.len() - 1;
    for (at, (base, segment)) in files.segments.iter().enumerate() {
        looking.segment(*base, segment, at == last)?;
    }
    Ok(looking.finish())
}

/// What a partition's directory has, in order.
struct Files {
    segments: Vec<(Offset, PathBuf)>,
    snapshots: Vec<(OffsetAndEpoch, PathBuf)>,
}

impl Files {
    fn list(path: &Path) -> io::Result<Files> {
        let (mut segments, mut snapshots) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path)? {
            let file = entry?.path();
            let name = file.file_name().and_then(|name| name.to_str());
            match FileKind::of(name.unwrap_or_default()) {
                FileKind::Log(base) => segments.push((base, file)),
                FileKind::Snapshot(id) if id != OffsetAndEpoch::BOOTSTRAP => {
                    snapshots.push((id, file));
                }
                _ => {}
            }
        }
        if segments.is_empty() {
            let what = "there is no segment: a partition's directory is wanted, such as \
                        /tmp/raft-1/__raft_performance_test-0";
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        segments.sort_unstable();
        snapshots.sort_unstable();
        Ok(Files {
            segments,
            snapshots,
        })
    }
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
    /// What snapshots say of the records before their ends, if they say anything: the first is the
    /// one that the log reaches next.
    snapshots: VecDeque<(Offset, Option<Serials>)>,
    /// What the latest snapshot says that its node saw.
    breaks: Option<Fault>,
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
            snapshots: VecDeque::new(),
            breaks: None,
            is_first: true,
            scratch: Vec::new(),
        }
    }

    fn snapshot(&mut self, id: OffsetAndEpoch, path: &Path) -> io::Result<()> {
        let bytes = Bytes::from(fs::read(path)?);
        let part = |position: u64, max: usize| {
            let start = usize::try_from(position)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let end = start.saturating_add(max).min(bytes.len());
            Ok::<_, io::Error>(bytes.slice(start..end))
        };
        match State::from_snapshot(SnapshotReader::new(bytes.len() as u64, part)) {
            Ok(state) => {
                let serials = state.map(|state| state.serials);
                self.snapshots.push_back((id.offset, serials));
                self.found.snapshots += 1;
            }
            Err(error) => self.found.faults.push(Fault::Snapshot {
                file: path.to_owned(),
                reason: error.to_string(),
            }),
        }
        Ok(())
    }

    /// The log begins here, at least what is left of it.
    fn begin(&mut self, base: Offset) {
        self.is_first = false;
        (self.found.start, self.found.end) = (base, base);
        // Those that end before it are about to be removed.
        self.snapshots.retain(|(end, _)| *end >= base);
        self.pass_snapshots();
    }

    /// Holds the snapshots against the log that end where it has come to.
    fn pass_snapshots(&mut self) {
        while let Some((end, serials)) = self.snapshots.front()
            && *end <= self.found.end
        {
            let known = &self.found.next_numbers;
            let oldest = serials.as_ref().and_then(|s| s.next.first_key_value());
            for (epoch, found) in known {
                let says = serials.as_ref().and_then(|s| s.next.get(epoch).copied());
                let is_known = oldest.is_some_and(|(oldest, _)| oldest <= epoch);
                // Within the log, where no batch ends, there is no snapshot.
                if is_known && *end == self.found.end && says != Some(*found) {
                    self.found.faults.push(Fault::Counts {
                        end: *end,
                        epoch: *epoch,
                        says,
                        found: *found,
                    });
                }
            }
            self.merge();
        }
    }

    /// What a snapshot knows of earlier epochs, the log need not have.
    fn merge(&mut self) {
        let Some((end, Some(serials))) = self.snapshots.pop_front() else {
            return;
        };
        let count = serials.breaks;
        self.breaks = (count > 0).then_some(Fault::Breaks { end, count });
        for (epoch, next) in serials.next {
            let known = self.found.next_numbers.entry(epoch).or_insert(next);
            *known = next.max(*known);
        }
    }

    fn finish(mut self) -> Found {
        self.pass_snapshots();
        // A node that is started makes its log begin anew where such a snapshot ends.
        if let Some((end, _)) = self.snapshots.back() {
            (self.found.start, self.found.end) = (*end, *end);
            self.found.batches.clear();
        }
        while !self.snapshots.is_empty() {
            self.merge();
        }
        self.found.faults.extend(self.breaks);
        self.found
    }

    fn segment(&mut self, base: Offset, path: &Path, is_last: bool) -> io::Result<()> {
        if self.is_first {
            self.begin(base);
        }
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
        if is_last {
            self.found.torn_bytes = buffer.len() as u64;
        } else if !buffer.is_empty() {
            // A segment is durable before the next one begins.
            self.found.faults.push(Fault::Batch {
                file: path.to_owned(),
                position,
                reason: "the batch is cut off, and another segment follows".to_owned(),
            });
        }
        Ok(())
    }

    fn batch(&mut self, batch: &Batch<'_>, file: &Path, position: u64) {
        let base = batch.base_offset().unwrap_or(-1);
        if base != self.found.end {
            let expected = self.found.end;
            let found = base;
            self.found.faults.push(Fault::Offset { expected, found });
        }
        // Whatever the bytes say: they may be forged.
        let end = batch.last_offset().saturating_add(1);
        let epoch = batch.header().map_or(-1, |h| h.partition_leader_epoch);
        self.found.batches.push((base, batch.crc(), epoch));
        self.records_of(batch, file, position);
        self.found.end = end;
        self.pass_snapshots();
    }

    fn records_of(&mut self, batch: &Batch<'_>, file: &Path, position: u64) {
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
