//! Batches in a buffer.

use super::Limits;
use super::compress::{Compression, Lz4Checksum, decompress};
use super::error::{Error, ErrorKind, Place};
use super::header::{
    ATTRIBUTES_AT, BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC_AT, TimestampType,
};
use super::legacy::{LegacyHeader, LegacyMessages};
use super::record::{Records, V2Records};
use super::varint::Cursor;

/// The batches of a buffer: the record set of a produce request or fetch response, or a stretch of
/// a log segment.
///
/// A partial batch at the end is left out without an error, as a fetch response may end with one;
/// [`Batches::remainder`] says how long it is. After an error the iterator is at its end.
///
/// The batches are **not** checked against their checksums, unless [`Batches::validated`] is asked
/// for.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    buffer: &'a [u8],
    position: usize,
    validated: bool,
    done: bool,
}

impl<'a> Batches<'a> {
    /// The batches of `buffer`, their checksums unchecked.
    #[must_use]
    pub fn new(buffer: &'a [u8]) -> Self {
        Self {
            buffer,
            position: 0,
            validated: false,
            done: false,
        }
    }

    /// The batches of `buffer`, each checked against its checksum before it is given.
    #[must_use]
    pub fn validated(buffer: &'a [u8]) -> Self {
        Self {
            validated: true,
            ..Self::new(buffer)
        }
    }

    /// Bytes in the batches given so far: where the next one starts.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes after the batches given so far. When there are no more, the length of the partial
    /// batch at the end of the buffer (or, after an error, of what was not read).
    #[must_use]
    pub fn remainder(&self) -> usize {
        self.buffer.len() - self.position
    }

    fn read(&self) -> Result<Option<Batch<'a>>, Error> {
        let rest = self.buffer.get(self.position..).unwrap_or_default();
        let mut cursor = Cursor::new(rest);
        let (Ok(offset), Ok(length)) = (cursor.i64(), cursor.i32()) else {
            return Ok(None);
        };
        let error = |kind, at| {
            let position = self.position + at;
            Error::new(
                kind,
                Place {
                    position,
                    decompressed: false,
                    base_offset: Some(offset),
                },
            )
        };
        // The least of any magic first: the magic may not be there yet.
        let too_small = |min| {
            error(
                ErrorKind::BatchTooSmall {
                    declared: length,
                    min,
                },
                8,
            )
        };
        if length < LegacyHeader::MIN_LENGTH_V0 {
            return Err(too_small(LegacyHeader::MIN_LENGTH_V0));
        }
        let Some(&magic) = rest.get(MAGIC_AT) else {
            return Ok(None);
        };
        let min = match magic {
            0 => LegacyHeader::MIN_LENGTH_V0,
            1 => LegacyHeader::MIN_LENGTH_V1,
            2 => (HEADER_LEN - LOG_OVERHEAD) as i32,
            other => {
                return Err(error(
                    ErrorKind::UnknownMagic(other.cast_signed()),
                    MAGIC_AT,
                ));
            }
        };
        if length < min {
            return Err(too_small(min));
        }
        let whole = (length as usize).saturating_add(LOG_OVERHEAD);
        let Some(bytes) = rest.get(..whole) else {
            return Ok(None);
        };
        let header = match magic {
            2 => BatchHeader::read(bytes).map(Header::V2),
            _ => LegacyHeader::read(bytes).map(Header::Legacy),
        };
        let header = header.map_err(|kind| error(kind, 0))?;
        let batch = Batch {
            bytes,
            position: self.position,
            header,
        };
        if self.validated {
            batch.verify_crc()?;
        }
        Ok(Some(batch))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.read() {
            Ok(Some(batch)) => {
                self.position += batch.bytes.len();
                Some(Ok(batch))
            }
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

#[derive(Debug, Clone, Copy)]
enum Header {
    V2(BatchHeader),
    Legacy(LegacyHeader),
}

/// One batch, still in its buffer: of magic 2, or a message of magic 0 or 1, which if it is
/// compressed holds a set of others.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    position: usize,
    header: Header,
}

impl<'a> Batch<'a> {
    /// All bytes of the batch.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where the batch starts in its buffer.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The magic: 0, 1 or 2.
    #[must_use]
    pub fn magic(&self) -> i8 {
        match &self.header {
            Header::V2(_) => 2,
            Header::Legacy(header) => header.magic,
        }
    }

    /// The header of a batch of magic 2.
    #[must_use]
    pub fn header(&self) -> Option<&BatchHeader> {
        match &self.header {
            Header::V2(header) => Some(header),
            Header::Legacy(_) => None,
        }
    }

    /// The base offset. `None` for a compressed message of magic 0 and 1: it is the offset of the
    /// first record inside, and only the last one's is at hand.
    #[must_use]
    pub fn base_offset(&self) -> Option<i64> {
        match &self.header {
            Header::V2(header) => Some(header.base_offset),
            Header::Legacy(header) => {
                (header.compression() == Ok(Compression::None)).then_some(header.offset)
            }
        }
    }

    /// How many records the header says that there are. `None` for a compressed message of magic
    /// 0 and 1, which does not say it.
    #[must_use]
    pub fn record_count(&self) -> Option<i32> {
        match &self.header {
            Header::V2(header) => Some(header.record_count),
            Header::Legacy(header) => (header.compression() == Ok(Compression::None)).then_some(1),
        }
    }

    /// The offset of the last record; after compaction, that of the last record there was.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        match &self.header {
            Header::V2(header) => header.last_offset(),
            Header::Legacy(header) => header.offset,
        }
    }

    /// The largest timestamp of the records, or the append time, in milliseconds; -1 if none.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        match &self.header {
            Header::V2(header) => header.max_timestamp,
            Header::Legacy(header) => header.timestamp,
        }
    }

    /// What the timestamps mean.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        match &self.header {
            Header::V2(header) => header.attributes.timestamp_type(),
            Header::Legacy(header) => header.timestamp_type(),
        }
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownCompression`] for a code without meaning,
    /// [`ErrorKind::CompressionNotInMagic`] for zstd in magic 0 and 1.
    pub fn compression(&self) -> Result<Compression, Error> {
        let compression = match &self.header {
            Header::V2(header) => header
                .attributes
                .compression()
                .map_err(|error| error.kind()),
            Header::Legacy(header) => header.compression(),
        };
        compression.map_err(|kind| self.error(kind, MAGIC_AT))
    }

    /// The stored checksum: CRC-32C for magic 2, CRC-32 for 0 and 1.
    #[must_use]
    pub fn crc(&self) -> u32 {
        match &self.header {
            Header::V2(header) => header.crc,
            Header::Legacy(header) => header.crc,
        }
    }

    /// Compares the stored checksum with that of the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::CrcMismatch`].
    pub fn verify_crc(&self) -> Result<(), Error> {
        let computed = match &self.header {
            Header::V2(_) => {
                crc_fast::crc32_iscsi(self.bytes.get(ATTRIBUTES_AT..).unwrap_or_default())
            }
            Header::Legacy(_) => LegacyHeader::compute_crc(self.bytes),
        };
        let stored = self.crc();
        if stored == computed {
            Ok(())
        } else {
            Err(self.error(ErrorKind::CrcMismatch { stored, computed }, MAGIC_AT))
        }
    }

    /// The records, **without** a look at the checksum: for batches from
    /// [`Batches::validated`], or whose checksum was [verified](Self::verify_crc) before.
    ///
    /// An uncompressed batch is read where it is, without copying; a compressed one is
    /// decompressed to `scratch`, whose previous content is lost and whose capacity is used
    /// again.
    ///
    /// # Errors
    /// A codec that is unknown or not compiled in, compressed bytes that are corrupt or exceed the
    /// limits, and a record count that the bytes cannot hold. The iterator gives errors of its own.
    pub fn records<'s>(
        &self,
        scratch: &'s mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Records<'s>, Error>
    where
        'a: 's,
    {
        self.open(scratch, limits, false)
    }

    /// The records, after comparing the checksum; for compressed messages of magic 0 and 1, those
    /// of the messages inside as well, as each is read.
    ///
    /// # Errors
    /// [`ErrorKind::CrcMismatch`], or as [`Self::records`].
    pub fn validated_records<'s>(
        &self,
        scratch: &'s mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Records<'s>, Error>
    where
        'a: 's,
    {
        self.verify_crc()?;
        self.open(scratch, limits, true)
    }

    /// The records section as plain bytes, for magic 2 the records and for a compressed message of
    /// magic 0 or 1 the set of messages in it; for an uncompressed one, the message itself. Borrows
    /// and decompresses like [`Self::records`], and does not look at the checksum either.
    ///
    /// # Errors
    /// Those of the codec.
    pub fn records_section<'s>(
        &self,
        scratch: &'s mut Vec<u8>,
        limits: &Limits,
    ) -> Result<&'s [u8], Error>
    where
        'a: 's,
    {
        self.section(scratch, limits).map(|section| section.bytes)
    }

    fn open<'s>(
        &self,
        scratch: &'s mut Vec<u8>,
        limits: &Limits,
        check_inner: bool,
    ) -> Result<Records<'s>, Error>
    where
        'a: 's,
    {
        let section = self.section(scratch, limits)?;
        let records = match &self.header {
            Header::V2(header) => {
                V2Records::new(header, section.bytes, limits.max_record_len).map(Records::v2)
            }
            Header::Legacy(header) => {
                let max = limits.max_record_len;
                let compressed = section.compressed;
                LegacyMessages::new(header, section.bytes, compressed, max, check_inner)
                    .map(Records::legacy)
            }
        };
        let place = Place {
            position: section.position,
            decompressed: section.compressed,
            base_offset: Some(self.first_field()),
        };
        match records {
            Ok(records) => Ok(records.at(place)),
            Err(kind) => Err(Error::new(kind, place)),
        }
    }

    fn section<'s>(&self, scratch: &'s mut Vec<u8>, limits: &Limits) -> Result<Section<'s>, Error>
    where
        'a: 's,
    {
        let compression = self.compression()?;
        let (start, compressed, checksum) = match &self.header {
            Header::V2(_) => {
                let section = self.bytes.get(HEADER_LEN..).unwrap_or_default();
                (HEADER_LEN, section, Lz4Checksum::Standard)
            }
            Header::Legacy(_) if compression == Compression::None => {
                (0, self.bytes, Lz4Checksum::Standard)
            }
            Header::Legacy(header) => {
                let (start, set) = header
                    .message_set(self.bytes)
                    .map_err(|e| self.error(e, 0))?;
                let checksum = match header.magic {
                    0 => Lz4Checksum::Magic0,
                    _ => Lz4Checksum::Standard,
                };
                (start, set, checksum)
            }
        };
        let position = self.position + start;
        // A batch without records need not have a stream, be it an empty one.
        let empty = matches!(&self.header, Header::V2(header) if header.record_count == 0)
            && compressed.is_empty();
        if compression == Compression::None || empty {
            return Ok(Section {
                bytes: compressed,
                position,
                compressed: false,
            });
        }
        scratch.clear();
        let limit = limits.max_decompressed_len;
        decompress(compression, checksum, compressed, scratch, limit)
            .map_err(|kind| self.error(kind, start))?;
        Ok(Section {
            bytes: scratch,
            position: 0,
            compressed: true,
        })
    }

    /// What the first eight bytes say: base offset or offset of the message.
    fn first_field(&self) -> i64 {
        match &self.header {
            Header::V2(header) => header.base_offset,
            Header::Legacy(header) => header.offset,
        }
    }

    fn error(&self, kind: ErrorKind, at: usize) -> Error {
        let position = self.position + at;
        let base_offset = Some(self.first_field());
        Error::new(
            kind,
            Place {
                position,
                decompressed: false,
                base_offset,
            },
        )
    }
}

/// Plain bytes of records and where they are.
struct Section<'s> {
    bytes: &'s [u8],
    position: usize,
    compressed: bool,
}
