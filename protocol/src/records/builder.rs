//! Writing batches of magic 2.

use super::compress::{Compression, Lz4Checksum, compress};
use super::control::ControlRecordType;
use super::error::{Error, ErrorKind};
use super::header::{
    Attributes, BatchHeader, HEADER_LEN, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
};
use super::record::Header;
use super::varint::{put_varlong, varlong_len};

/// What a [`BatchBuilder`] writes into the batch's header. The default is a plain batch without
/// compression, at offset 0, as a producer without idempotence sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchOptions {
    /// The offset of the first record, unless that one is appended with another.
    pub base_offset: i64,
    /// The codec of the records section.
    pub compression: Compression,
    /// The level of the codec; see [`Compression::compress`].
    pub compression_level: Option<i32>,
    /// The append time in milliseconds, for a batch whose records all have that timestamp; `None`
    /// for one whose records have their own.
    pub log_append_time: Option<i64>,
    /// The epoch of the leader that appends the batch, or -1.
    pub partition_leader_epoch: i32,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
    /// When the tombstones and markers of the batch may be removed, in milliseconds.
    pub delete_horizon_ms: Option<i64>,
    /// The most bytes of the batch: its header and its records before compression. Not over
    /// 2147483647.
    pub max_size: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            base_offset: 0,
            compression: Compression::None,
            compression_level: None,
            log_append_time: None,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            transactional: false,
            control: false,
            delete_horizon_ms: None,
            max_size: i32::MAX as usize,
        }
    }
}

impl BatchOptions {
    fn attributes(&self) -> Attributes {
        let mut bits = i16::from(self.compression.code());
        for (set, bit) in [
            (self.log_append_time.is_some(), Attributes::LOG_APPEND_TIME),
            (self.transactional, Attributes::TRANSACTIONAL),
            (self.control, Attributes::CONTROL),
            (self.delete_horizon_ms.is_some(), Attributes::DELETE_HORIZON),
        ] {
            if set {
                bits |= bit;
            }
        }
        Attributes(bits)
    }
}

/// A record to append, borrowed from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// The timestamp in milliseconds, or -1.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers. Magic 0 and 1 have none.
    pub headers: &'a [Header<'a>],
}

impl Default for NewRecord<'_> {
    fn default() -> Self {
        Self {
            timestamp: NO_TIMESTAMP,
            key: None,
            value: None,
            headers: &[],
        }
    }
}

/// Whether a record was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Append {
    /// It was, and has this offset.
    Done {
        /// The record's offset.
        offset: i64,
    },
    /// It was not: it fits in a batch of its own, but not in what is left of this one.
    Full,
}

/// Writes one batch of magic 2.
///
/// Records go to their place at once; the header is filled in at the end. With a codec they are
/// collected first, and compressed straight into the batch when it is finished.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// What the caller gave, then the batch.
    out: Vec<u8>,
    /// Where the batch starts in `out`.
    start: usize,
    /// The records, if they are to be compressed.
    plain: Vec<u8>,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    last_offset: Option<i64>,
    /// The last offset to declare, where that is not the last record's.
    declared_last: Option<i64>,
    count: i32,
}

impl BatchBuilder {
    /// A builder for one batch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOptions`] for a producer id without epoch, or without sequence number
    /// when the batch is not a control batch; [`ErrorKind::NegativeTimestamp`];
    /// [`ErrorKind::CodecNotCompiledIn`].
    pub fn new(options: BatchOptions) -> Result<Self, Error> {
        Self::append_to(Vec::new(), options)
    }

    /// A builder that appends the batch to what `out` holds, so that several go in one buffer.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn append_to(mut out: Vec<u8>, options: BatchOptions) -> Result<Self, Error> {
        if options.producer_id != NO_PRODUCER_ID {
            if options.producer_epoch < 0 {
                return Err(ErrorKind::InvalidOptions("producer id without an epoch").into());
            }
            if options.base_sequence < 0 && !options.control {
                return Err(ErrorKind::InvalidOptions("producer id without a sequence").into());
            }
        }
        for time in [options.log_append_time, options.delete_horizon_ms]
            .into_iter()
            .flatten()
        {
            if time < 0 {
                return Err(ErrorKind::NegativeTimestamp(time).into());
            }
        }
        if !options.compression.is_available() {
            return Err(ErrorKind::CodecNotCompiledIn(options.compression).into());
        }
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        Ok(Self {
            options,
            out,
            start,
            plain: Vec::new(),
            base_timestamp: options.delete_horizon_ms,
            max_timestamp: NO_TIMESTAMP,
            last_offset: None,
            declared_last: None,
            count: 0,
        })
    }

    /// The records so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.count
    }

    /// The bytes of the batch so far, before compression.
    #[must_use]
    pub fn size(&self) -> usize {
        self.out.len() - self.start + self.plain.len()
    }

    /// The offset that [`Self::try_append`] gives next; `None` after the largest there is.
    #[must_use]
    pub fn next_offset(&self) -> Option<i64> {
        match self.last_offset {
            Some(last) => last.checked_add(1),
            None => Some(self.options.base_offset),
        }
    }

    /// Appends a record at the next offset.
    ///
    /// # Errors
    /// As [`Self::try_append_at`].
    pub fn try_append(&mut self, record: &NewRecord<'_>) -> Result<Append, Error> {
        let Some(offset) = self.next_offset() else {
            let offset = i64::MAX;
            return Err(ErrorKind::OffsetOutOfRange {
                offset,
                expected: offset,
            }
            .into());
        };
        self.try_append_at(offset, record)
    }

    /// Appends a record at an offset of its own, which leaves a gap before it if it is not the
    /// next one. A batch that is [full](Append::Full) is unchanged and may be finished.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] if the offset is not above the last one, or too far from
    /// the base offset for any batch; [`ErrorKind::NegativeTimestamp`] for one below -1;
    /// [`ErrorKind::RecordTooLong`] if the batch is empty and still too small for the record. The
    /// batch is then unchanged.
    pub fn try_append_at(&mut self, offset: i64, record: &NewRecord<'_>) -> Result<Append, Error> {
        let out_of_range = |expected| Error::from(ErrorKind::OffsetOutOfRange { offset, expected });
        let Some(expected) = self.next_offset() else {
            return Err(out_of_range(i64::MAX));
        };
        if offset < expected {
            return Err(out_of_range(expected));
        }
        if record.timestamp < NO_TIMESTAMP {
            return Err(ErrorKind::NegativeTimestamp(record.timestamp).into());
        }
        let delta = offset.checked_sub(self.options.base_offset);
        let Some(offset_delta) = delta.and_then(|delta| i32::try_from(delta).ok()) else {
            return if self.count == 0 {
                Err(out_of_range(expected))
            } else {
                Ok(Append::Full)
            };
        };
        let base_timestamp = self.base_timestamp.unwrap_or(record.timestamp);
        let timestamp_delta = record.timestamp.wrapping_sub(base_timestamp);

        let body = body_len(timestamp_delta, offset_delta, record);
        let limit = self.options.max_size.min(i32::MAX as usize);
        let len = body.saturating_add(varlong_len(body as i64));
        if len > limit.saturating_sub(self.size()) {
            if self.count > 0 {
                return Ok(Append::Full);
            }
            let limit = limit.saturating_sub(HEADER_LEN);
            return Err(ErrorKind::RecordTooLong { len, limit }.into());
        }
        let target = match self.options.compression {
            Compression::None => &mut self.out,
            _ => &mut self.plain,
        };
        target.reserve(len);
        put_varlong(body as i64, target);
        put_body(timestamp_delta, offset_delta, record, target);

        self.base_timestamp = Some(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.last_offset = Some(offset);
        // It cannot overflow: a record takes 7 bytes, and the size is within 32 bits.
        self.count = self.count.saturating_add(1);
        Ok(Append::Done { offset })
    }

    /// Appends a control record of version 0 at the next offset.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOptions`] if this is no control batch, or as [`Self::try_append_at`].
    pub fn try_append_control(
        &mut self,
        timestamp: i64,
        record_type: ControlRecordType,
        value: &[u8],
    ) -> Result<Append, Error> {
        if !self.options.control {
            return Err(ErrorKind::InvalidOptions("control record in no control batch").into());
        }
        let key = record_type.key();
        self.try_append(&NewRecord {
            timestamp,
            key: Some(&key),
            value: Some(value),
            headers: &[],
        })
    }

    /// Declares a last offset beyond that of the last record, as compaction does when it drops
    /// records at the end.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] if it is below the last record's, or too far from the base.
    pub fn set_last_offset(&mut self, offset: i64) -> Result<(), Error> {
        let expected = self.last_offset.unwrap_or(self.options.base_offset);
        let delta = offset.checked_sub(self.options.base_offset);
        if offset < expected || delta.is_none_or(|delta| i32::try_from(delta).is_err()) {
            return Err(ErrorKind::OffsetOutOfRange { offset, expected }.into());
        }
        self.declared_last = Some(offset);
        Ok(())
    }

    /// Compresses, fills in the header and gives the buffer back.
    ///
    /// # Errors
    /// [`ErrorKind::EmptyBatch`] if there is no record ([`BatchHeader::write_batch`] writes such
    /// batches), [`ErrorKind::CompressionFailed`], and [`ErrorKind::RecordTooLong`] if the
    /// compressed batch exceeds what a batch may be at all.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        let Some(last_offset) = self.declared_last.max(self.last_offset) else {
            return Err(ErrorKind::EmptyBatch.into());
        };
        if self.count == 0 {
            return Err(ErrorKind::EmptyBatch.into());
        }
        let options = &self.options;
        if options.compression != Compression::None {
            let level = options.compression_level;
            let checksum = Lz4Checksum::Standard;
            compress(
                options.compression,
                checksum,
                &self.plain,
                level,
                &mut self.out,
            )?;
        }
        let header = BatchHeader {
            base_offset: options.base_offset,
            // These two are computed.
            batch_length: 0,
            crc: 0,
            partition_leader_epoch: options.partition_leader_epoch,
            attributes: options.attributes(),
            // Checked when the offset came.
            last_offset_delta: last_offset.wrapping_sub(options.base_offset) as i32,
            base_timestamp: self.base_timestamp.unwrap_or(NO_TIMESTAMP),
            max_timestamp: options.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            record_count: self.count,
        };
        header.patch(&mut self.out, self.start)?;
        Ok(self.out)
    }
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => varlong_len(bytes.len() as i64).saturating_add(bytes.len()),
        None => varlong_len(-1),
    }
}

fn body_len(timestamp_delta: i64, offset_delta: i32, record: &NewRecord<'_>) -> usize {
    // Saturating, as the same long slice may be given again and again.
    let mut len = 1 + varlong_len(timestamp_delta) + varlong_len(offset_delta.into());
    len = len
        .saturating_add(bytes_len(record.key))
        .saturating_add(bytes_len(record.value));
    len = len.saturating_add(varlong_len(record.headers.len() as i64));
    for header in record.headers {
        len = len.saturating_add(bytes_len(Some(header.key)));
        len = len.saturating_add(bytes_len(header.value));
    }
    len
}

fn put_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => {
            put_varlong(bytes.len() as i64, out);
            out.extend_from_slice(bytes);
        }
        None => put_varlong(-1, out),
    }
}

fn put_body(timestamp_delta: i64, offset_delta: i32, record: &NewRecord<'_>, out: &mut Vec<u8>) {
    // The attributes, of which no bit is in use.
    out.push(0);
    put_varlong(timestamp_delta, out);
    put_varlong(offset_delta.into(), out);
    put_bytes(record.key, out);
    put_bytes(record.value, out);
    put_varlong(record.headers.len() as i64, out);
    for header in record.headers {
        put_bytes(Some(header.key), out);
        put_bytes(header.value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Batches, Limits};

    const RECORD: NewRecord<'static> = NewRecord {
        timestamp: 5,
        key: None,
        value: Some(b"value"),
        headers: &[],
    };

    #[test]
    fn a_full_batch_is_unchanged_and_as_long_as_it_may_be() {
        // A record of 5 bytes of value takes 12: its length, attributes, two deltas, two lengths
        // and a count.
        let max_size = HEADER_LEN + 2 * 12;
        let mut builder = BatchBuilder::new(BatchOptions {
            max_size,
            ..Default::default()
        })
        .unwrap();
        assert_eq!(builder.try_append(&RECORD), Ok(Append::Done { offset: 0 }));
        assert_eq!(builder.try_append(&RECORD), Ok(Append::Done { offset: 1 }));
        let before = builder.clone().finish().unwrap();
        assert_eq!(builder.try_append(&RECORD), Ok(Append::Full));
        assert_eq!((builder.record_count(), builder.size()), (2, max_size));
        let after = builder.finish().unwrap();
        assert_eq!(after, before);
        assert_eq!(after.len(), max_size);
    }

    #[test]
    fn an_empty_batch_is_never_full() {
        let max_size = HEADER_LEN + 11;
        let mut builder = BatchBuilder::new(BatchOptions {
            max_size,
            ..Default::default()
        })
        .unwrap();
        let error = builder.try_append(&RECORD).unwrap_err().kind();
        assert_eq!(error, ErrorKind::RecordTooLong { len: 12, limit: 11 });
        let error = builder.finish().unwrap_err().kind();
        assert_eq!(error, ErrorKind::EmptyBatch);
    }

    #[test]
    fn offsets_only_rise() {
        let options = BatchOptions {
            base_offset: 10,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options).unwrap();
        let mut at = |offset| builder.try_append_at(offset, &RECORD).map_err(|e| e.kind());
        let refused = |offset, expected| Err(ErrorKind::OffsetOutOfRange { offset, expected });
        assert_eq!(at(9), refused(9, 10));
        let far = 11 + i64::from(i32::MAX);
        assert_eq!(at(far), refused(far, 10));
        assert_eq!(at(12), Ok(Append::Done { offset: 12 }));
        assert_eq!(at(12), refused(12, 13));
        // In a batch of its own, it could be.
        assert_eq!(at(far), Ok(Append::Full));
        assert_eq!(at(i64::MAX), Ok(Append::Full));
        assert_eq!(at(far - 1), Ok(Append::Done { offset: far - 1 }));
    }

    #[test]
    fn the_largest_offset_is_the_last() {
        let options = BatchOptions {
            base_offset: i64::MAX,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options).unwrap();
        assert_eq!(
            builder.try_append(&RECORD),
            Ok(Append::Done { offset: i64::MAX })
        );
        assert_eq!(builder.next_offset(), None);
        assert!(builder.try_append(&RECORD).is_err());
    }

    #[test]
    fn a_last_offset_beyond_the_records() {
        let mut builder = BatchBuilder::new(BatchOptions::default()).unwrap();
        assert!(builder.try_append_at(3, &RECORD).is_ok());
        assert!(builder.set_last_offset(2).is_err());
        builder.set_last_offset(9).unwrap();
        let bytes = builder.finish().unwrap();
        assert_eq!(
            Batches::validated(&bytes)
                .next()
                .unwrap()
                .unwrap()
                .last_offset(),
            9
        );
    }

    #[test]
    fn a_batch_goes_after_what_is_there() {
        let mut out = Vec::new();
        for base_offset in [0, 1] {
            let options = BatchOptions {
                base_offset,
                ..Default::default()
            };
            let mut builder = BatchBuilder::append_to(out, options).unwrap();
            assert!(builder.try_append(&RECORD).is_ok());
            out = builder.finish().unwrap();
        }
        let mut scratch = Vec::new();
        let mut offsets = Vec::new();
        for batch in Batches::validated(&out) {
            for record in batch
                .unwrap()
                .records(&mut scratch, &Limits::default())
                .unwrap()
            {
                offsets.push(record.unwrap().offset);
            }
        }
        assert_eq!(offsets, [0, 1]);
    }

    #[test]
    fn options_that_make_no_sense() {
        let plain = BatchOptions::default();
        for options in [
            BatchOptions {
                producer_id: 1,
                base_sequence: 0,
                ..plain
            },
            BatchOptions {
                producer_id: 1,
                producer_epoch: 0,
                ..plain
            },
            BatchOptions {
                log_append_time: Some(-1),
                ..plain
            },
            BatchOptions {
                delete_horizon_ms: Some(-5),
                ..plain
            },
        ] {
            assert!(BatchBuilder::new(options).is_err(), "{options:?}");
        }
        let control = BatchOptions {
            producer_id: 1,
            producer_epoch: 0,
            control: true,
            ..plain
        };
        assert!(BatchBuilder::new(control).is_ok());
        let mut builder = BatchBuilder::new(plain).unwrap();
        let error = builder
            .try_append_control(0, ControlRecordType::Abort, b"")
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions(_)));
        let early = NewRecord {
            timestamp: -2,
            ..RECORD
        };
        let error = builder.try_append(&early).unwrap_err().kind();
        assert_eq!(error, ErrorKind::NegativeTimestamp(-2));
    }
}
