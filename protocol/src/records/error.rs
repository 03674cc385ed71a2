use std::fmt;

use super::compress::Compression;

/// Why record bytes were refused, or could not be written, and where.
///
/// It is small and owns nothing on the heap: making one costs no more than the check that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    place: Option<Place>,
}

/// Where in the input an [`Error`] was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the start of the buffer, or of the decompressed section if `decompressed` is set.
    pub position: usize,
    /// Whether `position` counts in the decompressed records section of one batch.
    pub decompressed: bool,
    /// The offset in the batch's first eight bytes, where the error lies in a batch: the base
    /// offset, or for a compressed message set of magic 0 and 1 its last offset.
    pub base_offset: Option<i64>,
}

/// What was wrong. [`Error::kind`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The length field of a batch is negative or less than its fixed part.
    BatchTooSmall {
        /// The length as declared (bytes after the length field).
        declared: i32,
        /// The least a batch of this magic can have there.
        min: i32,
    },
    /// A magic byte other than 0, 1 and 2.
    UnknownMagic(i8),
    /// The stored checksum is not that of the bytes.
    CrcMismatch {
        /// The checksum in the batch.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// Attributes with a compression code that has no meaning (5 to 7).
    UnknownCompression(u8),
    /// Zstd in magic 0 or 1, which do not have it.
    CompressionNotInMagic {
        /// The codec.
        compression: Compression,
        /// The magic.
        magic: i8,
    },
    /// The codec is a feature of this crate that is switched off.
    CodecNotCompiledIn(Compression),
    /// The compressed bytes are not what the codec writes.
    Decompression {
        /// The codec.
        compression: Compression,
        /// What it stumbled over.
        reason: &'static str,
    },
    /// The codec failed to write.
    CompressionFailed {
        /// The codec.
        compression: Compression,
        /// What it said.
        reason: &'static str,
    },
    /// More decompressed bytes than [`Limits::max_decompressed_len`](super::Limits) allows.
    DecompressedTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A record longer than the limit: of [`Limits::max_record_len`](super::Limits) when reading,
    /// of the batch size when writing.
    RecordTooLong {
        /// The record's length in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A negative record count in the header.
    NegativeRecordCount(i32),
    /// Fewer records than the header's count.
    MissingRecords {
        /// The count in the header.
        declared: i32,
        /// The records that are there, or could at most be there.
        found: usize,
    },
    /// Bytes left after the last record of the header's count.
    BytesAfterRecords(usize),
    /// The input ended early, or a length points past its end.
    NotEnoughBytes {
        /// Bytes asked for.
        needed: usize,
        /// Bytes there.
        remaining: usize,
    },
    /// A varint with more than 5 (32 bits) or 10 bytes (64 bits).
    VarintTooLong,
    /// A length or count that must not be negative, is.
    NegativeLength {
        /// The field.
        field: &'static str,
        /// Its value.
        len: i32,
    },
    /// More record headers declared than the rest of the record can hold.
    TooManyHeaders {
        /// The declared count.
        declared: i32,
        /// Bytes left in the record.
        remaining: usize,
    },
    /// A record's fields end before its length does.
    RecordLengthMismatch {
        /// The record's declared length.
        declared: usize,
        /// What its fields take.
        used: usize,
    },
    /// A compressed message of magic 0 or 1 without a value.
    NullMessageSet,
    /// A compressed message of magic 0 or 1 with no message inside.
    EmptyMessageSet,
    /// A compressed message within a compressed message.
    NestedCompression,
    /// A compressed message of magic 1 with an offset less than its last inner one.
    WrapperOffset {
        /// The wrapper's offset.
        wrapper: i64,
        /// The last inner (relative) offset.
        inner: i64,
    },
    /// The offset to append is not above the last one, or too far from the base offset.
    OffsetOutOfRange {
        /// The offset given.
        offset: i64,
        /// The least offset that could follow.
        expected: i64,
    },
    /// A timestamp below -1 was to be written.
    NegativeTimestamp(i64),
    /// Something that this magic cannot express was to be written.
    NotInMagic {
        /// What.
        what: &'static str,
        /// The magic.
        magic: i8,
    },
    /// Options that exclude each other.
    InvalidOptions(&'static str),
    /// A batch without records was to be finished: it has no bytes.
    EmptyBatch,
    /// A control record without a key, or with a negative version.
    InvalidControlRecord,
    /// A frame version of a metadata record other than 1.
    UnknownFrameVersion(u32),
    /// A number that does not fit in the field.
    ValueOutOfRange {
        /// The field.
        field: &'static str,
        /// The number.
        value: u32,
    },
}

impl Error {
    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where, if there was an input to point into.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    pub(crate) fn new(kind: ErrorKind, place: Place) -> Self {
        Self {
            kind,
            place: Some(place),
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, place: None }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        let Some(place) = self.place else {
            return Ok(());
        };
        let of = if place.decompressed {
            " of the decompressed records"
        } else {
            ""
        };
        write!(f, " at byte {}{of}", place.position)?;
        match place.base_offset {
            Some(offset) => write!(f, " in the batch at offset {offset}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BatchTooSmall { declared, min } => {
                write!(f, "batch length {declared} is less than the minimum {min}")
            }
            Self::UnknownMagic(magic) => write!(f, "unknown magic {magic}"),
            Self::CrcMismatch { stored, computed } => {
                write!(
                    f,
                    "record batch is corrupt (stored crc {stored}, computed {computed})"
                )
            }
            Self::UnknownCompression(code) => write!(f, "unknown compression code {code}"),
            Self::CompressionNotInMagic { compression, magic } => {
                write!(f, "{compression} is not in magic {magic}")
            }
            Self::CodecNotCompiledIn(compression) => {
                write!(f, "{compression} is not compiled in")
            }
            Self::Decompression {
                compression,
                reason,
            } => {
                write!(f, "invalid {compression} data: {reason}")
            }
            Self::CompressionFailed {
                compression,
                reason,
            } => {
                write!(f, "could not compress with {compression}: {reason}")
            }
            Self::DecompressedTooLong { limit } => {
                write!(f, "records are longer than {limit} bytes when decompressed")
            }
            Self::RecordTooLong { len, limit } => {
                write!(f, "record of {len} bytes is over the limit of {limit}")
            }
            Self::NegativeRecordCount(count) => write!(f, "negative record count {count}"),
            Self::MissingRecords { declared, found } => {
                write!(
                    f,
                    "{declared} records declared, but there are at most {found}"
                )
            }
            Self::BytesAfterRecords(len) => write!(f, "{len} bytes left after the last record"),
            Self::NotEnoughBytes { needed, remaining } => {
                write!(f, "{needed} bytes needed, but only {remaining} remain")
            }
            Self::VarintTooLong => f.write_str("varint is too long"),
            Self::NegativeLength { field, len } => write!(f, "negative {field} {len}"),
            Self::TooManyHeaders {
                declared,
                remaining,
            } => {
                write!(
                    f,
                    "{declared} record headers declared, but only {remaining} bytes remain"
                )
            }
            Self::RecordLengthMismatch { declared, used } => {
                write!(f, "record of {declared} bytes has {used} bytes of fields")
            }
            Self::NullMessageSet => f.write_str("compressed message without a value"),
            Self::EmptyMessageSet => f.write_str("compressed message set without messages"),
            Self::NestedCompression => f.write_str("compressed message in a compressed message"),
            Self::WrapperOffset { wrapper, inner } => {
                write!(
                    f,
                    "wrapper offset {wrapper} is less than the last inner offset {inner}"
                )
            }
            Self::OffsetOutOfRange { offset, expected } => {
                write!(
                    f,
                    "offset {offset} cannot be in this batch, which continues at {expected}"
                )
            }
            Self::NegativeTimestamp(timestamp) => write!(f, "negative timestamp {timestamp}"),
            Self::NotInMagic { what, magic } => write!(f, "magic {magic} has no {what}"),
            Self::InvalidOptions(what) => f.write_str(what),
            Self::EmptyBatch => f.write_str("a batch without records was finished"),
            Self::InvalidControlRecord => f.write_str("control record without a valid key"),
            Self::UnknownFrameVersion(version) => {
                write!(f, "unknown frame version {version} of a metadata record")
            }
            Self::ValueOutOfRange { field, value } => {
                write!(f, "{field} {value} is out of range")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_small() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }

    #[test]
    fn the_message_says_what_and_where() {
        let place = Place {
            position: 65,
            decompressed: true,
            base_offset: Some(7),
        };
        let error = Error::new(ErrorKind::VarintTooLong, place);
        assert_eq!(
            error.to_string(),
            "varint is too long at byte 65 of the decompressed records in the batch at offset 7"
        );
        assert_eq!(
            Error::from(ErrorKind::UnknownMagic(9)).to_string(),
            "unknown magic 9"
        );
    }
}
