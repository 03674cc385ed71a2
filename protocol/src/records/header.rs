//! The header of a batch of magic 2.

use super::compress::Compression;
use super::error::{Error, ErrorKind};
use crate::runtime::ReadRun;

/// The bytes of a batch before its records section, for magic 2.
pub const HEADER_LEN: usize = 61;
/// The bytes of base offset and batch length: what the batch length does not count.
pub(crate) const LOG_OVERHEAD: usize = 12;
/// Where the magic byte is, in every magic.
pub(crate) const MAGIC_AT: usize = 16;
const LEADER_EPOCH_AT: usize = 12;
const CRC_AT: usize = 17;
/// Where the bytes start that the checksum of magic 2 covers. Everything before may be changed
/// by a broker without computing it anew.
pub(crate) const ATTRIBUTES_AT: usize = 21;

/// No producer id: the batch is not from an idempotent producer.
pub const NO_PRODUCER_ID: i64 = -1;
/// No producer epoch.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// No sequence number.
pub const NO_SEQUENCE: i32 = -1;
/// No partition leader epoch: what a producer sends.
pub const NO_PARTITION_LEADER_EPOCH: i32 = -1;
/// No timestamp.
pub const NO_TIMESTAMP: i64 = -1;

/// What the timestamps of a batch's records mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// There are none: magic 0.
    None,
    /// The producer's clock, or what the application gave.
    CreateTime,
    /// The broker's clock when it appended the batch; the same for every record.
    LogAppendTime,
}

/// The attributes of a batch of magic 2, as on the wire. Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
    pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
    pub(crate) const CONTROL: i16 = 1 << 5;
    pub(crate) const DELETE_HORIZON: i16 = 1 << 6;

    /// The codec of the records section.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownCompression`] for the codes 5 to 7.
    pub fn compression(self) -> Result<Compression, Error> {
        Ok(Compression::from_code((self.0 & 0x7) as u8)?)
    }

    /// What the timestamps mean; never [`TimestampType::None`].
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the records are [control records](super::control) and not for applications.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp holds a delete horizon.
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// The header of a batch of magic 2, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset that the records' offset deltas count from.
    pub base_offset: i64,
    /// The bytes after this field: the whole batch less 12.
    pub batch_length: i32,
    /// The epoch of the leader that appended the batch, or -1. Outside the checksum.
    pub partition_leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type and kind of batch.
    pub attributes: Attributes,
    /// The last offset less the base offset. Compaction keeps it, so the last record may be below.
    pub last_offset_delta: i32,
    /// The timestamp (milliseconds) that the records' deltas count from: the first record's, or
    /// the delete horizon if the attributes have one.
    pub base_timestamp: i64,
    /// The largest timestamp, or the append time, in milliseconds.
    pub max_timestamp: i64,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// The number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the 61 bytes of a header. Nothing is checked but that they are there.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ErrorKind> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(ErrorKind::NotEnoughBytes {
                needed: HEADER_LEN,
                remaining: bytes.len(),
            });
        };
        let mut run = ReadRun::new(header);
        let base_offset = run.i64();
        let batch_length = run.i32();
        let partition_leader_epoch = run.i32();
        let _magic = run.i8();
        Ok(Self {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc: run.u32(),
            attributes: Attributes(run.i16()),
            last_offset_delta: run.i32(),
            base_timestamp: run.i64(),
            max_timestamp: run.i64(),
            producer_id: run.i64(),
            producer_epoch: run.i16(),
            base_sequence: run.i32(),
            record_count: run.i32(),
        })
    }

    /// Appends a whole batch to `out`: this header and `records`, the records section as it goes
    /// on the wire (compressed if the attributes say so). The length and the checksum are
    /// computed; the values in `self` are not looked at.
    ///
    /// For forwarding a section under a changed header, and for batches without records, which
    /// compaction leaves behind to keep a producer's last sequence.
    ///
    /// # Errors
    /// [`ErrorKind::RecordTooLong`] if the batch would not fit in its length field.
    pub fn write_batch(&self, records: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        out.extend_from_slice(records);
        let written = self.patch(out, start);
        if written.is_err() {
            out.truncate(start);
        }
        Ok(written?)
    }

    /// Fills in the header at `start` of `out`, for the batch that goes from there to the end.
    pub(crate) fn patch(&self, out: &mut [u8], start: usize) -> Result<(), ErrorKind> {
        let batch = out.get_mut(start..).unwrap_or_default();
        let length = batch.len().saturating_sub(LOG_OVERHEAD);
        let too_long = ErrorKind::RecordTooLong {
            len: length,
            limit: i32::MAX as usize,
        };
        let length = i32::try_from(length).map_err(|_| too_long)?;
        let remaining = batch.len();
        let Some(header) = batch.first_chunk_mut::<HEADER_LEN>() else {
            return Err(ErrorKind::NotEnoughBytes {
                needed: HEADER_LEN,
                remaining,
            });
        };
        self.encode(length, header);
        // CRC-32C, which iSCSI uses too.
        let crc = crc_fast::crc32_iscsi(batch.get(ATTRIBUTES_AT..).unwrap_or_default());
        if let Some(header) = batch.first_chunk_mut() {
            put(header, CRC_AT, crc.to_be_bytes());
        }
        Ok(())
    }

    fn encode(&self, length: i32, out: &mut [u8; HEADER_LEN]) {
        put(out, 0, self.base_offset.to_be_bytes());
        put(out, 8, length.to_be_bytes());
        put(
            out,
            LEADER_EPOCH_AT,
            self.partition_leader_epoch.to_be_bytes(),
        );
        put(out, MAGIC_AT, [2]);
        put(out, ATTRIBUTES_AT, self.attributes.0.to_be_bytes());
        put(out, 23, self.last_offset_delta.to_be_bytes());
        put(out, 27, self.base_timestamp.to_be_bytes());
        put(out, 35, self.max_timestamp.to_be_bytes());
        put(out, 43, self.producer_id.to_be_bytes());
        put(out, 51, self.producer_epoch.to_be_bytes());
        put(out, 53, self.base_sequence.to_be_bytes());
        put(out, 57, self.record_count.to_be_bytes());
    }

    /// The last offset of the batch.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(self.last_offset_delta.into())
    }

    /// The last sequence number of the batch, or -1 if it has none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        sequence_at(self.base_sequence, self.last_offset_delta)
    }

    /// When the tombstones and markers of the batch may be removed, in milliseconds.
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes
            .has_delete_horizon()
            .then_some(self.base_timestamp)
    }
}

/// The bytes of a batch of magic 2 and the records that it says are in it; `None` if it begins
/// with anything else, or is too short for its header.
#[inline]
pub(crate) fn length_and_count(bytes: &[u8]) -> Option<(usize, i32)> {
    let header = bytes.first_chunk::<HEADER_LEN>()?;
    let length = i32::from_be_bytes(*header.get(8..)?.first_chunk()?);
    let whole = usize::try_from(length).ok()?.checked_add(LOG_OVERHEAD)?;
    let count = i32::from_be_bytes(*header.get(57..)?.first_chunk()?);
    (header.get(MAGIC_AT) == Some(&2) && whole >= HEADER_LEN).then_some((whole, count))
}

/// The sequence number `delta` after `base`: after the largest comes 0, and -1 has no successor.
pub(crate) fn sequence_at(base: i32, delta: i32) -> i32 {
    if base < 0 {
        return NO_SEQUENCE;
    }
    match base.checked_add(delta) {
        Some(sequence) => sequence,
        // What is left after taking the numbers from `base` to the largest, and 0 itself.
        None => delta
            .wrapping_sub(i32::MAX.wrapping_sub(base))
            .wrapping_sub(1),
    }
}

/// Changes the base offset of a batch in place, as a broker does when it appends one. The checksum
/// does not cover it. Works for every magic: in 0 and 1, it is the message's offset.
///
/// # Errors
/// [`ErrorKind::NotEnoughBytes`] if `batch` has less than 8 bytes.
pub fn set_base_offset(batch: &mut [u8], offset: i64) -> Result<(), Error> {
    patch_field(batch, 0, offset.to_be_bytes())
}

/// Changes the partition leader epoch of a batch of magic 2 in place. The checksum does not cover
/// it.
///
/// # Errors
/// [`ErrorKind::NotEnoughBytes`] if `batch` has less than 17 bytes, [`ErrorKind::UnknownMagic`] if
/// it is not of magic 2.
pub fn set_partition_leader_epoch(batch: &mut [u8], epoch: i32) -> Result<(), Error> {
    match batch.get(MAGIC_AT) {
        None => {
            let needed = MAGIC_AT + 1;
            Err(ErrorKind::NotEnoughBytes {
                needed,
                remaining: batch.len(),
            }
            .into())
        }
        Some(2) => patch_field(batch, LEADER_EPOCH_AT, epoch.to_be_bytes()),
        Some(&magic) => Err(ErrorKind::UnknownMagic(magic.cast_signed()).into()),
    }
}

fn patch_field<const N: usize>(batch: &mut [u8], at: usize, bytes: [u8; N]) -> Result<(), Error> {
    let remaining = batch.len();
    match batch.get_mut(at..at + N) {
        Some(field) => {
            field.copy_from_slice(&bytes);
            Ok(())
        }
        None => Err(ErrorKind::NotEnoughBytes {
            needed: at + N,
            remaining,
        }
        .into()),
    }
}

fn put<const N: usize>(out: &mut [u8; HEADER_LEN], at: usize, bytes: [u8; N]) {
    if let Some(field) = out.get_mut(at..at + N) {
        field.copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_at(NO_SEQUENCE, 5), NO_SEQUENCE);
        assert_eq!(sequence_at(0, 5), 5);
        assert_eq!(sequence_at(i32::MAX, 0), i32::MAX);
        assert_eq!(sequence_at(i32::MAX, 1), 0);
        assert_eq!(sequence_at(i32::MAX - 1, 4), 2);
        assert_eq!(sequence_at(i32::MAX, i32::MAX), i32::MAX - 1);
    }

    #[test]
    fn a_batch_is_patched_without_touching_its_checksum() {
        let header = BatchHeader {
            base_offset: 1,
            batch_length: 0,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: 2,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: 4,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        let mut batch = b"before".to_vec();
        header.write_batch(b"", &mut batch).unwrap();
        let batch = &mut batch[6..];
        let before = BatchHeader::read(batch).unwrap();
        assert_eq!(
            before,
            BatchHeader {
                batch_length: 49,
                crc: before.crc,
                ..header
            }
        );

        set_base_offset(batch, 100).unwrap();
        set_partition_leader_epoch(batch, 7).unwrap();
        let after = BatchHeader::read(batch).unwrap();
        assert_eq!(
            after,
            BatchHeader {
                base_offset: 100,
                partition_leader_epoch: 7,
                ..before
            }
        );
        assert_eq!(after.last_offset(), 102);

        let short = set_base_offset(&mut [0; 7], 0).unwrap_err().kind();
        assert_eq!(
            short,
            ErrorKind::NotEnoughBytes {
                needed: 8,
                remaining: 7
            }
        );
        let old = set_partition_leader_epoch(&mut [1; 30], 0)
            .unwrap_err()
            .kind();
        assert_eq!(old, ErrorKind::UnknownMagic(1));
    }
}
