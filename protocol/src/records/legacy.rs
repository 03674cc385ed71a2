//! Messages of magic 0 and 1, alone or in a compressed message.

use super::compress::Compression;
use super::error::ErrorKind;
use super::header::{LOG_OVERHEAD, MAGIC_AT, NO_SEQUENCE, NO_TIMESTAMP, TimestampType};
use super::record::{Headers, Record};
use super::varint::Cursor;

/// The bit of the attributes for the append time, in magic 1.
pub(crate) const LOG_APPEND_TIME: i8 = 1 << 3;

/// What comes before the key of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LegacyHeader {
    pub(crate) offset: i64,
    pub(crate) crc: u32,
    pub(crate) magic: i8,
    pub(crate) attributes: i8,
    pub(crate) timestamp: i64,
}

impl LegacyHeader {
    /// CRC, magic, attributes and the lengths of key and value.
    pub(crate) const MIN_LENGTH_V0: i32 = 14;
    /// The same with a timestamp.
    pub(crate) const MIN_LENGTH_V1: i32 = 22;

    /// Reads the header of a message of magic 0 or 1, and leaves the cursor at its key.
    fn read_from(cursor: &mut Cursor<'_>) -> Result<Self, ErrorKind> {
        let offset = cursor.i64()?;
        let _length = cursor.i32()?;
        let crc = cursor.u32()?;
        let magic = cursor.i8()?;
        let attributes = cursor.i8()?;
        let timestamp = match magic {
            0 => NO_TIMESTAMP,
            1 => cursor.i64()?,
            other => return Err(ErrorKind::UnknownMagic(other)),
        };
        Ok(Self {
            offset,
            crc,
            magic,
            attributes,
            timestamp,
        })
    }

    pub(crate) fn read(message: &[u8]) -> Result<Self, ErrorKind> {
        Self::read_from(&mut Cursor::new(message))
    }

    pub(crate) fn compression(&self) -> Result<Compression, ErrorKind> {
        let compression = Compression::from_code((self.attributes & 0x7).cast_unsigned())?;
        match compression {
            Compression::Zstd => Err(ErrorKind::CompressionNotInMagic {
                compression,
                magic: self.magic,
            }),
            compression => Ok(compression),
        }
    }

    pub(crate) fn timestamp_type(&self) -> TimestampType {
        match self.magic {
            0 => TimestampType::None,
            _ if self.attributes & LOG_APPEND_TIME != 0 => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    /// The checksum of a whole message.
    pub(crate) fn compute_crc(message: &[u8]) -> u32 {
        crc_fast::crc32_iso_hdlc(message.get(MAGIC_AT..).unwrap_or_default())
    }

    /// The value of a compressed message, and where it starts in the message.
    pub(crate) fn message_set<'a>(
        &self,
        message: &'a [u8],
    ) -> Result<(usize, &'a [u8]), ErrorKind> {
        let mut cursor = Cursor::new(message);
        Self::read_from(&mut cursor)?;
        nullable(&mut cursor)?;
        let start = cursor.position() + size_of::<i32>();
        let value = nullable(&mut cursor)?.ok_or(ErrorKind::NullMessageSet)?;
        at_end(&cursor)?;
        Ok((start, value))
    }
}

fn nullable<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, ErrorKind> {
    match usize::try_from(cursor.i32()?) {
        Ok(len) => cursor.take(len).map(Some),
        Err(_) => Ok(None),
    }
}

fn at_end(cursor: &Cursor<'_>) -> Result<(), ErrorKind> {
    match cursor.remaining() {
        0 => Ok(()),
        remaining => {
            let used = cursor.position();
            Err(ErrorKind::RecordLengthMismatch {
                declared: used + remaining,
                used,
            })
        }
    }
}

/// The messages of a set: the one message that is not compressed, or those inside a compressed one.
///
/// A message cut short at the end of a compressed set is an error, where Kafka leaves it out: the
/// set as a whole is complete, so it cannot be the reader's doing.
#[derive(Debug, Clone)]
pub(crate) struct LegacyMessages<'a> {
    cursor: Cursor<'a>,
    /// What to add to the offsets.
    offset_base: i64,
    /// The timestamp of the wrapper, where it stands for those inside.
    append_time: Option<i64>,
    inner: bool,
    check_crc: bool,
    max_record_len: usize,
}

impl<'a> LegacyMessages<'a> {
    pub(crate) fn new(
        header: &LegacyHeader,
        set: &'a [u8],
        inner: bool,
        max_record_len: usize,
        check_crc: bool,
    ) -> Result<Self, ErrorKind> {
        let mut offset_base = 0;
        let mut append_time = None;
        if inner {
            let last = last_offset(set)?;
            // Since magic 1 the offsets inside are relative, so that a broker can give the wrapper
            // its own without compressing again. Versions of librdkafka sent 0 for the wrapper.
            if header.magic == 1 && header.offset != 0 {
                if header.offset < last {
                    return Err(ErrorKind::WrapperOffset {
                        wrapper: header.offset,
                        inner: last,
                    });
                }
                offset_base = header.offset.wrapping_sub(last);
            }
            if header.timestamp_type() == TimestampType::LogAppendTime {
                append_time = Some(header.timestamp);
            }
        }
        let cursor = Cursor::new(set);
        Ok(Self {
            cursor,
            offset_base,
            append_time,
            inner,
            check_crc,
            max_record_len,
        })
    }

    pub(crate) fn position(&self) -> usize {
        self.cursor.position()
    }

    pub(crate) fn next_record(&mut self) -> Result<Option<Record<'a>>, ErrorKind> {
        if self.cursor.remaining() == 0 {
            return Ok(None);
        }
        let message = next_message(&mut self.cursor.clone())?;
        if message.len() > self.max_record_len {
            let limit = self.max_record_len;
            return Err(ErrorKind::RecordTooLong {
                len: message.len(),
                limit,
            });
        }
        let mut fields = Cursor::new(message);
        let header = LegacyHeader::read_from(&mut fields)?;
        // The checksum of a message by itself was that of the batch, and is checked there.
        if self.check_crc && self.inner {
            let computed = LegacyHeader::compute_crc(message);
            if computed != header.crc {
                return Err(ErrorKind::CrcMismatch {
                    stored: header.crc,
                    computed,
                });
            }
        }
        if self.inner && header.compression()? != Compression::None {
            return Err(ErrorKind::NestedCompression);
        }
        let key = nullable(&mut fields)?;
        let value = nullable(&mut fields)?;
        at_end(&fields)?;
        self.cursor.take(message.len())?;
        let timestamp = match self.append_time {
            Some(time) if header.magic == 1 => time,
            _ => header.timestamp,
        };
        Ok(Some(Record {
            offset: self.offset_base.wrapping_add(header.offset),
            timestamp,
            stored_timestamp: header.timestamp,
            sequence: NO_SEQUENCE,
            key,
            value,
            headers: Headers::default(),
        }))
    }
}

/// The bytes of the message at the cursor, and moves it past.
fn next_message<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], ErrorKind> {
    let rest = cursor.rest();
    cursor.i64()?;
    let declared = cursor.i32()?;
    if declared < LegacyHeader::MIN_LENGTH_V0 {
        return Err(ErrorKind::BatchTooSmall {
            declared,
            min: LegacyHeader::MIN_LENGTH_V0,
        });
    }
    cursor.take(declared as usize)?;
    Ok(rest
        .get(..LOG_OVERHEAD + declared as usize)
        .unwrap_or_default())
}

/// The offset of the last message of a set, as it is stored.
fn last_offset(set: &[u8]) -> Result<i64, ErrorKind> {
    let mut cursor = Cursor::new(set);
    let mut last = None;
    while cursor.remaining() > 0 {
        last = Some(Cursor::new(next_message(&mut cursor)?).i64()?);
    }
    last.ok_or(ErrorKind::EmptyMessageSet)
}
