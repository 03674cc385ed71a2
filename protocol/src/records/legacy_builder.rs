//! Writing messages of magic 0 and 1.

use super::builder::{Append, NewRecord};
use super::compress::{Compression, Lz4Checksum, compress};
use super::error::{Error, ErrorKind};
use super::header::{LOG_OVERHEAD, MAGIC_AT, NO_TIMESTAMP};
use super::legacy::{LOG_APPEND_TIME, LegacyHeader};

/// What a [`MessageSetBuilder`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSetOptions {
    /// 0 or 1.
    pub magic: i8,
    /// The offset of the first message, unless that one is appended with another.
    pub base_offset: i64,
    /// The codec; not zstd.
    pub compression: Compression,
    /// The level of the codec; see [`Compression::compress`].
    pub compression_level: Option<i32>,
    /// The append time in milliseconds, if the timestamps are to be that; for magic 1.
    pub log_append_time: Option<i64>,
    /// The most bytes of the messages, before compression. Not over 2147483647.
    pub max_size: usize,
}

impl Default for MessageSetOptions {
    fn default() -> Self {
        Self {
            magic: 1,
            base_offset: 0,
            compression: Compression::None,
            compression_level: None,
            log_append_time: None,
            max_size: i32::MAX as usize,
        }
    }
}

/// Writes a set of messages of magic 0 or 1: one after another, or, with a codec, in one compressed
/// message. For brokers and clients older than magic 2, which came with Kafka 0.11.
#[derive(Debug, Clone)]
pub struct MessageSetBuilder {
    options: MessageSetOptions,
    set: Vec<u8>,
    max_timestamp: i64,
    last_offset: Option<i64>,
}

impl MessageSetBuilder {
    /// A builder for one message set.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownMagic`] for others than 0 and 1, [`ErrorKind::NotInMagic`] for the
    /// append time in magic 0, [`ErrorKind::CompressionNotInMagic`] for zstd,
    /// [`ErrorKind::CodecNotCompiledIn`], [`ErrorKind::NegativeTimestamp`],
    /// [`ErrorKind::InvalidOptions`] for a negative base offset.
    pub fn new(options: MessageSetOptions) -> Result<Self, Error> {
        let MessageSetOptions {
            magic,
            base_offset,
            compression,
            log_append_time,
            ..
        } = options;
        let refused = if !matches!(magic, 0 | 1) {
            Some(ErrorKind::UnknownMagic(magic))
        } else if magic == 0 && log_append_time.is_some() {
            Some(ErrorKind::NotInMagic {
                what: "timestamp",
                magic,
            })
        } else if compression == Compression::Zstd {
            Some(ErrorKind::CompressionNotInMagic { compression, magic })
        } else if !compression.is_available() {
            Some(ErrorKind::CodecNotCompiledIn(compression))
        } else if base_offset < 0 {
            // Readers take a compressed message below the offsets inside it for a damaged one.
            Some(ErrorKind::InvalidOptions("negative base offset"))
        } else {
            log_append_time
                .filter(|&time| time < 0)
                .map(ErrorKind::NegativeTimestamp)
        };
        match refused {
            Some(kind) => Err(kind.into()),
            None => Ok(Self {
                options,
                set: Vec::new(),
                max_timestamp: NO_TIMESTAMP,
                last_offset: None,
            }),
        }
    }

    /// Appends a message at the offset after the last one.
    ///
    /// # Errors
    /// As [`Self::try_append_at`].
    pub fn try_append(&mut self, record: &NewRecord<'_>) -> Result<Append, Error> {
        self.try_append_at(self.next_offset(), record)
    }

    fn next_offset(&self) -> i64 {
        match self.last_offset {
            Some(last) => last.saturating_add(1),
            None => self.options.base_offset,
        }
    }

    /// Appends a message at an offset of its own. Magic 0 drops the timestamp.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] if the offset is not above the last one,
    /// [`ErrorKind::NegativeTimestamp`], [`ErrorKind::NotInMagic`] if there are headers,
    /// [`ErrorKind::RecordTooLong`] if the set is empty and still too small for the message. The
    /// set is then unchanged.
    pub fn try_append_at(&mut self, offset: i64, record: &NewRecord<'_>) -> Result<Append, Error> {
        let MessageSetOptions {
            magic,
            compression,
            log_append_time,
            ..
        } = self.options;
        let expected = self.next_offset();
        if offset < expected || self.last_offset == Some(offset) {
            return Err(ErrorKind::OffsetOutOfRange { offset, expected }.into());
        }
        if !record.headers.is_empty() {
            return Err(ErrorKind::NotInMagic {
                what: "headers",
                magic,
            }
            .into());
        }
        let mut timestamp = if magic == 0 {
            NO_TIMESTAMP
        } else {
            record.timestamp
        };
        if timestamp < NO_TIMESTAMP {
            return Err(ErrorKind::NegativeTimestamp(timestamp).into());
        }
        let mut stored_offset = offset;
        if compression == Compression::None {
            timestamp = log_append_time.unwrap_or(timestamp);
        } else if magic == 1 {
            stored_offset = offset.wrapping_sub(self.options.base_offset);
        }
        let len = message_len(magic, record.key, record.value);
        let limit = self.options.max_size.min(i32::MAX as usize);
        if len > limit.saturating_sub(self.set.len()) {
            if self.last_offset.is_some() {
                return Ok(Append::Full);
            }
            return Err(ErrorKind::RecordTooLong { len, limit }.into());
        }
        let start = self.set.len();
        self.set.reserve(len);
        let attributes = self.timestamp_bit();
        put_message_start(magic, stored_offset, attributes, timestamp, &mut self.set);
        put_bytes(record.key, &mut self.set);
        put_bytes(record.value, &mut self.set);
        patch_message(&mut self.set, start)?;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset = Some(offset);
        Ok(Append::Done { offset })
    }

    fn timestamp_bit(&self) -> i8 {
        if self.options.log_append_time.is_some() {
            LOG_APPEND_TIME
        } else {
            0
        }
    }

    /// Compresses if there is a codec, and gives the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::EmptyBatch`], [`ErrorKind::CompressionFailed`], and
    /// [`ErrorKind::RecordTooLong`] if the compressed message exceeds what a message may be.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let MessageSetOptions {
            magic,
            compression,
            log_append_time,
            ..
        } = self.options;
        let Some(last_offset) = self.last_offset else {
            return Err(ErrorKind::EmptyBatch.into());
        };
        if compression == Compression::None {
            return Ok(self.set);
        }
        let mut out = Vec::new();
        let attributes = self.timestamp_bit() | compression.code().cast_signed();
        let timestamp = log_append_time.unwrap_or(self.max_timestamp);
        put_message_start(magic, last_offset, attributes, timestamp, &mut out);
        put_bytes(None, &mut out);
        let value_at = out.len();
        out.extend_from_slice(&[0; size_of::<i32>()]);
        let checksum = if magic == 0 {
            Lz4Checksum::Magic0
        } else {
            Lz4Checksum::Standard
        };
        let level = self.options.compression_level;
        compress(compression, checksum, &self.set, level, &mut out)?;
        let len = out.len() - value_at - size_of::<i32>();
        patch_message(&mut out, 0)?;
        if let Some(field) = out.get_mut(value_at..value_at + size_of::<i32>()) {
            // The message is longer, and its length was within 32 bits.
            field.copy_from_slice(&(len as i32).to_be_bytes());
        }
        let crc = LegacyHeader::compute_crc(&out);
        put_crc(&mut out, crc);
        Ok(out)
    }
}

fn message_len(magic: i8, key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
    let fixed = if magic == 0 {
        LegacyHeader::MIN_LENGTH_V0
    } else {
        LegacyHeader::MIN_LENGTH_V1
    };
    let fixed = LOG_OVERHEAD + fixed as usize;
    let bytes = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    fixed
        .saturating_add(bytes(key))
        .saturating_add(bytes(value))
}

/// Everything before the key; length and checksum are filled in by [`patch_message`].
fn put_message_start(magic: i8, offset: i64, attributes: i8, timestamp: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.push(magic.cast_unsigned());
    out.push(attributes.cast_unsigned());
    if magic > 0 {
        out.extend_from_slice(&timestamp.to_be_bytes());
    }
}

fn put_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    // The caller has made sure that the message as a whole is within 32 bits.
    let len = bytes.map_or(-1, |bytes| bytes.len() as i32);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Fills in length and checksum of the message from `start` to the end.
fn patch_message(out: &mut [u8], start: usize) -> Result<(), ErrorKind> {
    let message = out.get_mut(start..).unwrap_or_default();
    let len = message.len().saturating_sub(LOG_OVERHEAD);
    let too_long = ErrorKind::RecordTooLong {
        len,
        limit: i32::MAX as usize,
    };
    let len = i32::try_from(len).map_err(|_| too_long)?;
    if let Some(field) = message.get_mut(8..LOG_OVERHEAD) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    let crc = LegacyHeader::compute_crc(message);
    put_crc(message, crc);
    Ok(())
}

fn put_crc(message: &mut [u8], crc: u32) {
    if let Some(field) = message.get_mut(LOG_OVERHEAD..MAGIC_AT) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_not_negative() {
        let options = MessageSetOptions {
            base_offset: -1,
            ..Default::default()
        };
        let error = MessageSetBuilder::new(options).unwrap_err().kind();
        assert_eq!(error, ErrorKind::InvalidOptions("negative base offset"));
    }
}
