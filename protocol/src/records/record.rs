//! Records and their headers.

use std::iter::FusedIterator;
use std::str::Utf8Error;

use super::error::{Error, ErrorKind, Place};
use super::header::{BatchHeader, TimestampType, sequence_at};
use super::legacy::LegacyMessages;
use super::varint::Cursor;

/// The least bytes of a record of magic 2: length, attributes, two deltas, two lengths and a count.
const MIN_RECORD_LEN: usize = 7;
/// The least bytes of a record header: two lengths.
const MIN_HEADER_LEN: usize = 2;

/// A record, borrowed from its batch's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The offset.
    pub offset: i64,
    /// The timestamp in milliseconds, as its [type](TimestampType) in the batch says; -1 if none.
    pub timestamp: i64,
    /// The timestamp that is stored for this very record. It differs from `timestamp` where that
    /// is the append time of the batch.
    pub stored_timestamp: i64,
    /// The sequence number of the idempotent producer, or -1.
    pub sequence: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers; none in magic 0 and 1.
    pub headers: Headers<'a>,
}

/// A header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header<'a> {
    /// The key. It should be UTF-8, but nobody checks on the way here, so it is kept as it is.
    pub key: &'a [u8],
    /// The value.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The key as a string.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn key_str(&self) -> Result<&'a str, Utf8Error> {
        std::str::from_utf8(self.key)
    }
}

/// The headers of a record: checked when the record was read, decoded when they are iterated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Headers<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers, in order. A key may appear more than once.
    #[must_use]
    pub fn iter(&self) -> HeadersIter<'a> {
        HeadersIter {
            cursor: Cursor::new(self.bytes),
            left: self.count,
        }
    }

    /// Reads the count and walks over the headers, to know that they are whole.
    #[inline(always)]
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, ErrorKind> {
        let declared = cursor.varint()?;
        if declared == 0 {
            return Ok(Self::default());
        }
        // A cursor of its own, so that the record's stays in registers.
        let mut some = cursor.clone();
        let headers = Self::read_some(declared, &mut some);
        *cursor = some;
        headers
    }

    #[inline(never)]
    fn read_some(declared: i32, cursor: &mut Cursor<'a>) -> Result<Self, ErrorKind> {
        let count = usize::try_from(declared).map_err(|_| ErrorKind::NegativeLength {
            field: "header count",
            len: declared,
        })?;
        let remaining = cursor.remaining();
        if count > remaining / MIN_HEADER_LEN {
            return Err(ErrorKind::TooManyHeaders {
                declared,
                remaining,
            });
        }
        let bytes = cursor.rest();
        for _ in 0..count {
            Header::read(cursor)?;
        }
        let used = remaining - cursor.remaining();
        Ok(Self {
            bytes: bytes.get(..used).unwrap_or_default(),
            count,
        })
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// Iterates the [`Headers`] of a record.
#[derive(Debug, Clone)]
pub struct HeadersIter<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        // It was read before, when the record was: it does not fail now.
        Header::read(&mut self.cursor).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}
impl FusedIterator for HeadersIter<'_> {}

impl<'a> Header<'a> {
    #[inline]
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, ErrorKind> {
        let len = cursor.varint()?;
        let key = usize::try_from(len).map_err(|_| ErrorKind::NegativeLength {
            field: "header key length",
            len,
        })?;
        let key = cursor.take(key)?;
        let value = nullable(cursor)?;
        Ok(Self { key, value })
    }
}

/// Bytes after a varint of their length. Any negative length is null, as Kafka reads it.
#[inline(always)]
fn nullable<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, ErrorKind> {
    match usize::try_from(cursor.varint()?) {
        Ok(len) => cursor.take(len).map(Some),
        Err(_) => Ok(None),
    }
}

/// The records of a batch, in order. After an error the iterator is at its end.
///
/// It is done without an error only if the batch held exactly the records its header declares.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    inner: Inner<'a>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Inner<'a> {
    V2(V2Records<'a>),
    Legacy(LegacyMessages<'a>),
    Done,
}

impl<'a> Records<'a> {
    pub(crate) fn v2(records: V2Records<'a>) -> Self {
        Self::new(Inner::V2(records))
    }

    pub(crate) fn legacy(records: LegacyMessages<'a>) -> Self {
        Self::new(Inner::Legacy(records))
    }

    fn new(inner: Inner<'a>) -> Self {
        Self {
            inner,
            place: Place {
                position: 0,
                decompressed: false,
                base_offset: None,
            },
        }
    }

    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    #[inline(never)]
    fn next_legacy(&mut self) -> Result<Option<Record<'a>>, ErrorKind> {
        match &mut self.inner {
            Inner::Legacy(messages) => messages.next_record(),
            _ => Ok(None),
        }
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, kind: ErrorKind) -> Error {
        let read = match &self.inner {
            Inner::V2(records) => records.error_at,
            Inner::Legacy(records) => records.position(),
            Inner::Done => 0,
        };
        self.inner = Inner::Done;
        Error::new(
            kind,
            Place {
                position: self.place.position + read,
                ..self.place
            },
        )
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Error>;

    // Inlined before anything else is done to it: a record is then made where the caller has it.
    // Where two ways meet, or an error is written to the same place from out of line, a record goes
    // through memory instead, in parts of other sizes, which takes longer than reading it.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let kind = if let Inner::V2(records) = &mut self.inner {
            match records.next_record() {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => None,
                Err(kind) => Some(kind),
            }
        } else {
            match self.next_legacy() {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => None,
                Err(kind) => Some(kind),
            }
        };
        match kind {
            Some(kind) => Some(Err(self.fail(kind))),
            None => {
                self.inner = Inner::Done;
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.inner {
            Inner::V2(records) => (0, Some(records.left.max(1))),
            Inner::Legacy(_) => (0, None),
            Inner::Done => (0, Some(0)),
        }
    }
}

impl FusedIterator for Records<'_> {}

/// The records of magic 2.
#[derive(Debug, Clone)]
pub(crate) struct V2Records<'a> {
    cursor: Cursor<'a>,
    declared: i32,
    left: usize,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
    base_sequence: i32,
    max_record_len: usize,
    /// Where reading stopped, if it did with an error.
    error_at: usize,
}

impl<'a> V2Records<'a> {
    pub(crate) fn new(
        header: &BatchHeader,
        section: &'a [u8],
        max_record_len: usize,
    ) -> Result<Self, ErrorKind> {
        let declared = header.record_count;
        let left =
            usize::try_from(declared).map_err(|_| ErrorKind::NegativeRecordCount(declared))?;
        let possible = section.len() / MIN_RECORD_LEN;
        if left > possible {
            return Err(ErrorKind::MissingRecords {
                declared,
                found: possible,
            });
        }
        let log_append = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        Ok(Self {
            cursor: Cursor::new(section),
            declared,
            left,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time: log_append.then_some(header.max_timestamp),
            base_sequence: header.base_sequence,
            max_record_len,
            error_at: 0,
        })
    }

    #[inline(always)]
    fn next_record(&mut self) -> Result<Option<Record<'a>>, ErrorKind> {
        self.error_at = self.cursor.position();
        if self.left == 0 {
            return match self.cursor.remaining() {
                0 => Ok(None),
                bytes => Err(ErrorKind::BytesAfterRecords(bytes)),
            };
        }
        if self.cursor.remaining() == 0 {
            let found = (self.declared as usize).saturating_sub(self.left);
            return Err(ErrorKind::MissingRecords {
                declared: self.declared,
                found,
            });
        }
        let len = self.cursor.varint()?;
        let len = usize::try_from(len).map_err(|_| ErrorKind::NegativeLength {
            field: "record length",
            len,
        })?;
        if len > self.max_record_len {
            return Err(ErrorKind::RecordTooLong {
                len,
                limit: self.max_record_len,
            });
        }
        let body_at = self.cursor.position();
        let mut body = Cursor::new(self.cursor.take(len)?);
        match self.fields(&mut body) {
            Ok(record) if body.remaining() == 0 => {
                self.left -= 1;
                Ok(Some(record))
            }
            Ok(_) => {
                let used = body.position();
                Err(ErrorKind::RecordLengthMismatch {
                    declared: len,
                    used,
                })
            }
            Err(kind) => {
                self.error_at = body_at + body.position();
                Err(kind)
            }
        }
    }

    #[inline(always)]
    fn fields(&self, body: &mut Cursor<'a>) -> Result<Record<'a>, ErrorKind> {
        // The attributes have no bit in use.
        body.i8()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = nullable(body)?;
        let value = nullable(body)?;
        let headers = Headers::read(body)?;
        // Hostile deltas wrap around, as they do in Kafka.
        let stored_timestamp = self.base_timestamp.wrapping_add(timestamp_delta);
        Ok(Record {
            offset: self.base_offset.wrapping_add(offset_delta.into()),
            timestamp: self.append_time.unwrap_or(stored_timestamp),
            stored_timestamp,
            sequence: sequence_at(self.base_sequence, offset_delta),
            key,
            value,
            headers,
        })
    }
}
