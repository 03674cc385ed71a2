//! What is in a snapshot: a control batch with a header, batches of data, a control batch with a
//! footer (KIP-630). Offsets count from 0 inside it, and every batch has the snapshot's epoch.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use kwire_protocol::records::control::{ControlMessage, ControlMessageError};
use kwire_protocol::records::{
    Append, Batch, BatchBuilder, BatchOptions, Batches, Error, Limits, NewRecord,
};

use crate::control::{Control, NewControl, control_batch};
use crate::types::{Offset, OffsetAndEpoch};
use crate::voters::VoterSet;

/// The least that is read of a snapshot at once.
const CHUNK: usize = 256 << 10;

/// The bytes before a batch's length field and that field.
const LENGTH_END: usize = 12;

/// What a [`SnapshotWriter`] has to know.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Where the snapshot ends.
    pub id: OffsetAndEpoch,
    /// The timestamp of the last record that the snapshot stands for, in milliseconds.
    pub last_contained_log_timestamp_ms: i64,
    /// The time of day for the control records, in milliseconds.
    pub now_ms: i64,
    /// The feature `kraft.version` at the end of the snapshot. From 1 on, it and the voters stand
    /// in the snapshot.
    pub kraft_version: i16,
    /// The voters at the end of the snapshot, if any are known.
    pub voters: VoterSet,
    /// The most bytes of a batch. Kafka's is 8 MiB.
    pub max_batch_size: usize,
}

impl SnapshotOptions {
    /// A snapshot under static voters, in batches as Kafka makes them.
    #[must_use]
    pub fn new(id: OffsetAndEpoch, last_contained_log_timestamp_ms: i64, now_ms: i64) -> Self {
        Self {
            id,
            last_contained_log_timestamp_ms,
            now_ms,
            kraft_version: 0,
            voters: VoterSet::EMPTY,
            max_batch_size: 8 << 20,
        }
    }

    /// The same with the voters of `kraft.version` 1.
    #[must_use]
    pub fn with_voters(self, voters: VoterSet) -> Self {
        Self {
            kraft_version: 1,
            voters,
            ..self
        }
    }
}

/// Makes the bytes of a snapshot. It writes nothing: what is [ready](Self::take) goes to
/// [`LogStore::write_snapshot`](crate::driver::LogStore::write_snapshot).
#[derive(Debug)]
pub struct SnapshotWriter {
    options: SnapshotOptions,
    ready: Vec<u8>,
    open: Option<BatchBuilder>,
    next_offset: Offset,
}

impl SnapshotWriter {
    /// A snapshot that has its header, and no data yet.
    #[must_use]
    pub fn new(options: SnapshotOptions) -> SnapshotWriter {
        let mut controls = vec![NewControl::SnapshotHeader(
            options.last_contained_log_timestamp_ms,
        )];
        if options.kraft_version > 0 {
            controls.push(Control::KRaftVersion(options.kraft_version).into());
            // Without voters, nobody is to take an empty set for the one that counts.
            if !options.voters.is_empty() {
                controls.push(Control::Voters(options.voters.clone()).into());
            }
        }
        let header = control_batch(0, options.id.epoch, options.now_ms, &controls);
        SnapshotWriter {
            ready: header.to_vec(),
            open: None,
            next_offset: controls.len() as Offset,
            options,
        }
    }

    /// Appends a record.
    ///
    /// # Errors
    /// When the record is too large for a batch, or has a timestamp that no batch can have.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<(), Error> {
        if let Some(batch) = &mut self.open {
            if batch.try_append(record)? != Append::Full {
                self.next_offset += 1;
                return Ok(());
            }
            self.close_batch()?;
        }
        let mut batch = BatchBuilder::new(BatchOptions {
            base_offset: self.next_offset,
            partition_leader_epoch: self.options.id.epoch,
            max_size: self.options.max_batch_size,
            ..Default::default()
        })?;
        // A new batch takes whatever it can ever take.
        let appended = batch.try_append(record)?;
        debug_assert!(appended != Append::Full);
        self.open = Some(batch);
        self.next_offset += 1;
        Ok(())
    }

    /// The bytes of the batches that are full, which the writer forgets: they come after those
    /// given before.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// The last bytes, with the footer.
    ///
    /// # Errors
    /// When the last batch cannot be closed.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.close_batch()?;
        let options = &self.options;
        let footer = control_batch(
            self.next_offset,
            options.id.epoch,
            options.now_ms,
            &[NewControl::SnapshotFooter],
        );
        self.ready.extend_from_slice(&footer);
        Ok(self.ready)
    }

    fn close_batch(&mut self) -> Result<(), Error> {
        if let Some(batch) = self.open.take() {
            let bytes = batch.finish()?;
            if self.ready.is_empty() {
                self.ready = bytes;
            } else {
                self.ready.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }
}

/// Reads the batches of a snapshot, and is sure of each: of its checksum, that it follows on the
/// one before, that there is a header at the beginning and a footer at the end.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    read: R,
    size: u64,
    /// Where the next batch starts.
    position: u64,
    /// What was read from there on.
    chunk: Bytes,
    next_offset: Offset,
    timestamp_ms: Option<i64>,
    controls: Vec<Control>,
    footer: bool,
}

impl<R, E> SnapshotReader<R>
where
    R: FnMut(u64, usize) -> Result<Bytes, E>,
{
    /// A reader of `size` bytes. `read` gives those at a position, at most as many as it is asked
    /// for, and fewer only where the snapshot ends.
    pub fn new(size: u64, read: R) -> SnapshotReader<R> {
        SnapshotReader {
            read,
            size,
            position: 0,
            chunk: Bytes::new(),
            next_offset: 0,
            timestamp_ms: None,
            controls: Vec::new(),
            footer: false,
        }
    }

    /// The next batch, control batches included; `None` after the footer.
    ///
    /// # Errors
    /// When the bytes cannot be read, or are not those of a whole snapshot.
    pub fn next_batch(&mut self) -> Result<Option<Bytes>, SnapshotError<E>> {
        if self.position == self.size {
            return if self.footer {
                Ok(None)
            } else {
                Err(self.damaged(DamageKind::NoFooter))
            };
        }
        if self.footer {
            return Err(self.damaged(DamageKind::AfterFooter));
        }
        let bytes = self.whole_batch()?;
        let batch = match Batches::validated(&bytes).next() {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => return Err(self.damaged(DamageKind::Batch(error))),
            None => return Err(self.damaged(DamageKind::Partial)),
        };
        self.accept(&batch)?;
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// The voters and versions in the batches that were read.
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// The timestamp of the last record that the snapshot stands for, once the first batch was read.
    pub fn last_contained_log_timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    /// Exactly the bytes that the batch at the position says that it has.
    fn whole_batch(&mut self) -> Result<Bytes, SnapshotError<E>> {
        self.fill(LENGTH_END)?;
        let length = self.chunk.get(8..LENGTH_END).and_then(|b| b.first_chunk());
        let length = i32::from_be_bytes(*length.unwrap_or(&[0; 4]));
        // What is negative or too short is for the batch's reader to refuse.
        let whole = usize::try_from(length).unwrap_or(0) + LENGTH_END;
        self.fill(whole)?;
        Ok(self.chunk.split_to(whole))
    }

    fn fill(&mut self, needed: usize) -> Result<(), SnapshotError<E>> {
        let left = self.size - self.position;
        if (needed as u64) > left {
            return Err(self.damaged(DamageKind::Partial));
        }
        if self.chunk.len() < needed {
            let wanted = left.min(needed.max(CHUNK) as u64) as usize;
            self.chunk = (self.read)(self.position, wanted).map_err(SnapshotError::Read)?;
            if self.chunk.len() < needed {
                return Err(self.damaged(DamageKind::Partial));
            }
        }
        Ok(())
    }

    fn accept(&mut self, batch: &Batch<'_>) -> Result<(), SnapshotError<E>> {
        let Some(header) = batch.header() else {
            return Err(self.damaged(DamageKind::Magic(batch.magic())));
        };
        if header.base_offset != self.next_offset || header.last_offset_delta < 0 {
            let found = header.base_offset;
            return Err(self.damaged(DamageKind::Offset { found }));
        }
        if header.attributes.is_control() {
            self.accept_controls(batch)?;
        } else if self.timestamp_ms.is_none() {
            return Err(self.damaged(DamageKind::NoHeader));
        }
        self.next_offset = header.last_offset() + 1;
        Ok(())
    }

    fn accept_controls(&mut self, batch: &Batch<'_>) -> Result<(), SnapshotError<E>> {
        let mut scratch = Vec::new();
        let records = batch
            .records(&mut scratch, &Limits::default())
            .map_err(|error| self.damaged(DamageKind::Batch(error)))?;
        for record in records {
            let record = record.map_err(|error| self.damaged(DamageKind::Batch(error)))?;
            let message = ControlMessage::read(&record)
                .map_err(|error| self.damaged(DamageKind::Control(error)))?;
            match message {
                ControlMessage::SnapshotHeader(header) if self.timestamp_ms.is_none() => {
                    self.timestamp_ms = Some(header.last_contained_log_timestamp);
                }
                _ if self.timestamp_ms.is_none() => {
                    return Err(self.damaged(DamageKind::NoHeader));
                }
                _ if self.footer => return Err(self.damaged(DamageKind::AfterFooter)),
                ControlMessage::SnapshotFooter(_) => self.footer = true,
                ControlMessage::KRaftVersion(record) => {
                    self.controls
                        .push(Control::KRaftVersion(record.kraft_version));
                }
                ControlMessage::KRaftVoters(record) => {
                    self.controls
                        .push(Control::Voters(VoterSet::from_record(&record)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn damaged(&self, kind: DamageKind) -> SnapshotError<E> {
        SnapshotError::Damaged(Damage {
            position: self.position,
            offset: self.next_offset,
            kind,
        })
    }
}

/// Reads a whole snapshot and gives the voters and versions in it.
///
/// # Errors
/// When the bytes cannot be read, or are not those of a whole snapshot.
pub fn verify<E>(
    size: u64,
    read: impl FnMut(u64, usize) -> Result<Bytes, E>,
) -> Result<Vec<Control>, SnapshotError<E>> {
    let mut reader = SnapshotReader::new(size, read);
    while reader.next_batch()?.is_some() {}
    Ok(reader.controls)
}

/// The same for a snapshot in memory.
///
/// # Errors
/// When the bytes are not those of a whole snapshot.
pub fn verify_bytes(bytes: &[u8]) -> Result<Vec<Control>, Damage> {
    let read = |position: u64, max: usize| {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        let part = rest.get(..max).unwrap_or(rest);
        Ok::<_, Infallible>(Bytes::copy_from_slice(part))
    };
    verify(bytes.len() as u64, read).map_err(|error| match error {
        SnapshotError::Read(never) => match never {},
        SnapshotError::Damaged(damage) => damage,
    })
}

/// Why a snapshot cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError<E> {
    /// The store failed.
    Read(E),
    /// The snapshot is not what a writer of snapshots writes.
    Damaged(Damage),
}

/// Where a snapshot is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The byte at which the batch starts.
    pub position: u64,
    /// The offset, inside the snapshot, of the record that ought to be there.
    pub offset: Offset,
    /// What is wrong.
    pub kind: DamageKind,
}

/// How a snapshot is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// The file ends within a batch.
    Partial,
    /// The batch cannot be read, or has another checksum than it says.
    Batch(Error),
    /// A control record cannot be read.
    Control(ControlMessageError),
    /// A batch of an old format.
    Magic(i8),
    /// A batch that does not follow on the one before.
    Offset {
        /// The offset that it starts at.
        found: Offset,
    },
    /// The first record is not the header.
    NoHeader,
    /// The last record is not the footer.
    NoFooter,
    /// There is something after the footer.
    AfterFooter,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, offset) = (self.position, self.offset);
        write!(f, "at byte {position} (record {offset} of the snapshot): ")?;
        match &self.kind {
            DamageKind::Partial => f.write_str("the file ends within a batch"),
            DamageKind::Batch(error) => error.fmt(f),
            DamageKind::Control(error) => error.fmt(f),
            DamageKind::Magic(magic) => write!(f, "a batch of magic {magic}, which KRaft has not"),
            DamageKind::Offset { found } => write!(f, "the batch starts at {found}"),
            DamageKind::NoHeader => f.write_str("the first record is not the header"),
            DamageKind::NoFooter => f.write_str("the last record is not the footer"),
            DamageKind::AfterFooter => f.write_str("there is something after the footer"),
        }
    }
}

impl StdError for Damage {}

impl<E: fmt::Display> fmt::Display for SnapshotError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Read(error) => error.fmt(f),
            SnapshotError::Damaged(damage) => damage.fmt(f),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> StdError for SnapshotError<E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ReplicaKey, Uuid};
    use crate::voters::{Endpoints, KRaftVersions, Voter};

    fn voters() -> VoterSet {
        let voter = Voter {
            key: ReplicaKey::new(1, Uuid::from_parts(0, 7)),
            endpoints: Endpoints::EMPTY,
            kraft_versions: KRaftVersions::SUPPORTED,
        };
        [voter].into_iter().collect()
    }

    fn snapshot(records: usize) -> Vec<u8> {
        let id = OffsetAndEpoch::new(10, 3);
        let options = SnapshotOptions {
            max_batch_size: 300,
            ..SnapshotOptions::new(id, 5, 6).with_voters(voters())
        };
        let mut writer = SnapshotWriter::new(options);
        let mut bytes = writer.take();
        for _ in 0..records {
            writer
                .append(&NewRecord {
                    timestamp: 1,
                    value: Some(&[7; 100]),
                    ..Default::default()
                })
                .unwrap();
            bytes.extend(writer.take());
        }
        bytes.extend(writer.finish().unwrap());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for records in [0, 1, 2, 3, 20] {
            let controls = verify_bytes(&snapshot(records)).unwrap();
            assert_eq!(
                controls,
                [Control::KRaftVersion(1), Control::Voters(voters())]
            );
        }
    }

    #[test]
    fn no_part_is_taken_for_the_whole() {
        let bytes = snapshot(5);
        for end in 0..bytes.len() {
            assert!(verify_bytes(&bytes[..end]).is_err(), "{end}");
        }
        let mut twice = bytes.clone();
        twice.extend_from_slice(&bytes);
        assert!(verify_bytes(&twice).is_err());
    }

    #[test]
    fn damage_is_found_in_every_byte_under_the_checksum() {
        let bytes = snapshot(2);
        let mut position = 0;
        let batches: Vec<_> = Batches::new(&bytes).map(Result::unwrap).collect();
        for batch in batches {
            for at in 0..batch.bytes().len() {
                // The leader's epoch is not under the checksum.
                let mut damaged = bytes.clone();
                damaged[position + at] ^= 0x40;
                let epoch = (12..16).contains(&at);
                assert_eq!(
                    verify_bytes(&damaged).is_ok(),
                    epoch,
                    "byte {at} of {position}"
                );
            }
            position += batch.bytes().len();
        }
    }
}
