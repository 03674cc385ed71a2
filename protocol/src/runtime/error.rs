//! What is wrong with bytes that were read, or with a value that was to be written.
//!
//! Both errors are one pointer, so that the good path carries no more than that. Generated code
//! knows only what went wrong and where in the bytes; the field's path is found afterwards by
//! walking the bytes along the schema's table.

use std::fmt;

/// Bytes that are not the message that they should be. The sender's fault.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<DecodeErrorParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct DecodeErrorParts {
    kind: DecodeErrorKind,
    offset: usize,
    message: &'static str,
    version: i16,
    path: String,
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the value does.
    Truncated {
        /// Bytes that the value takes at least.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes are left behind the message.
    TrailingBytes {
        /// How many.
        left: usize,
    },
    /// A variable-length number has more than five bytes.
    VarintTooLong,
    /// Null where the version does not allow it.
    UnexpectedNull,
    /// A string of more than 32767 bytes.
    StringTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A string that is not UTF-8. (Java replaces the bad bytes.)
    InvalidUtf8,
    /// An array that claims more elements than its bytes could hold.
    ArrayTooLong {
        /// The elements that it claims.
        len: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// An array with more elements than [`Limits::max_array_len`](super::Limits) allows.
    ArrayOverLimit {
        /// The elements that it claims.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// More tagged fields than [`Limits::max_tagged_fields`](super::Limits) allows.
    TagsOverLimit {
        /// The tagged fields that are claimed.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Decoding would allocate more than [`Limits::max_allocated_bytes`](super::Limits).
    OverBudget {
        /// The limit in bytes.
        limit: usize,
    },
    /// A tagged field that the message's version does not have.
    TagNotInVersion {
        /// The tag.
        tag: u32,
    },
    /// A tagged field whose size is not what its value takes. (Java ignores the size.)
    TagSize {
        /// The tag.
        tag: u32,
        /// The size that it claims.
        claimed: usize,
        /// The size of its value.
        taken: usize,
    },
    /// A version that the message does not have.
    UnsupportedVersion {
        /// The lowest that it has.
        lowest: i16,
        /// The highest that it has.
        highest: i16,
    },
    /// An API key that no schema has.
    UnknownApi {
        /// The key.
        api_key: i16,
    },
    /// A frame whose length prefix is negative or over the limit.
    FrameLength {
        /// The length as it came.
        len: i32,
        /// The limit in bytes.
        limit: usize,
        /// What the four bytes are in another protocol, where one is known (KIP-498).
        looks_like: Option<ForeignProtocol>,
    },
}

/// What a peer speaks that is not Kafka's protocol, as the first four bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignProtocol {
    /// A TLS record: one end of the connection uses TLS, and the other does not.
    Tls,
    /// An HTTP request or response.
    Http,
}

impl DecodeError {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: DecodeErrorKind, offset: usize) -> DecodeError {
        DecodeError(Box::new(DecodeErrorParts {
            kind,
            offset,
            message: "",
            version: -1,
            path: String::new(),
        }))
    }

    /// A key that no API has.
    #[cold]
    #[inline(never)]
    pub fn unknown_api(api_key: crate::ApiKey) -> DecodeError {
        DecodeError::new(DecodeErrorKind::UnknownApi { api_key: api_key.0 }, 0)
    }

    /// Says which message it was, and in which field of it the error lies.
    #[cold]
    #[inline(never)]
    pub(crate) fn located(
        mut self,
        message: &'static str,
        version: i16,
        path: String,
    ) -> DecodeError {
        self.0.message = message;
        self.0.version = version;
        self.0.path = path;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.0.kind
    }

    /// Where in the decoded bytes it was seen.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The message's name in Kafka's schemas.
    pub fn message(&self) -> &'static str {
        self.0.message
    }

    /// The version at which it was read; -1 if it did not come that far.
    pub fn version(&self) -> i16 {
        self.0.version
    }

    /// The field, such as `topics[3].partitions[0].leader`; empty for the message itself.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeErrorKind::Truncated { wanted, left } => {
                write!(f, "the bytes end: {wanted} wanted, {left} left")
            }
            DecodeErrorKind::TrailingBytes { left } => {
                let (bytes, are) = if *left == 1 {
                    ("byte", "is")
                } else {
                    ("bytes", "are")
                };
                write!(f, "{left} {bytes} {are} left behind the message")
            }
            DecodeErrorKind::VarintTooLong => f.write_str("a varint of more than 5 bytes"),
            DecodeErrorKind::UnexpectedNull => f.write_str("null is not allowed here"),
            DecodeErrorKind::StringTooLong { len } => {
                write!(f, "a string of {len} bytes, more than 32767")
            }
            DecodeErrorKind::InvalidUtf8 => f.write_str("a string that is not UTF-8"),
            DecodeErrorKind::ArrayTooLong { len, left } => {
                write!(f, "an array of {len} elements in {left} bytes")
            }
            DecodeErrorKind::ArrayOverLimit { len, limit } => {
                write!(
                    f,
                    "an array of {len} elements, more than the limit of {limit}"
                )
            }
            DecodeErrorKind::TagsOverLimit { count, limit } => {
                write!(f, "{count} tagged fields, more than the limit of {limit}")
            }
            DecodeErrorKind::OverBudget { limit } => {
                write!(f, "decoding would allocate more than {limit} bytes")
            }
            DecodeErrorKind::TagNotInVersion { tag } => {
                write!(f, "tag {tag} does not exist in this version")
            }
            DecodeErrorKind::TagSize {
                tag,
                claimed,
                taken,
            } => write!(
                f,
                "tag {tag} claims {claimed} bytes, its value takes {taken}"
            ),
            DecodeErrorKind::UnsupportedVersion { lowest, highest } => {
                write!(f, "no such version: there are {lowest} to {highest}")
            }
            DecodeErrorKind::UnknownApi { api_key } => write!(f, "unknown API key {api_key}"),
            DecodeErrorKind::FrameLength {
                len,
                limit,
                looks_like,
            } => {
                if *len < 0 {
                    write!(f, "a frame of {len} bytes")?;
                } else {
                    write!(f, "a frame of {len} bytes, more than the limit of {limit}")?;
                }
                match looks_like {
                    Some(ForeignProtocol::Tls) => f.write_str(
                        "; these are the first bytes of a TLS record: \
                         one end of the connection uses TLS, and the other does not",
                    ),
                    Some(ForeignProtocol::Http) => f.write_str(
                        "; these are the first bytes of an HTTP message: \
                         the peer does not speak Kafka's protocol",
                    ),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        write_place(f, parts.message, parts.version, &parts.path)?;
        write!(f, "{} (at byte {})", parts.kind, parts.offset)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DecodeError {}

/// A value that a version of a message cannot carry. The caller's fault.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError(Box<EncodeErrorParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct EncodeErrorParts {
    kind: EncodeErrorKind,
    message: &'static str,
    version: i16,
    path: String,
}

/// What is wrong with the value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// A field that the version lacks is not at its default, and must not be dropped.
    UnsupportedField {
        /// The struct that has the field.
        structure: &'static str,
        /// The field.
        field: &'static str,
    },
    /// Null where the version does not allow it.
    UnexpectedNull,
    /// A string of more than 32767 bytes.
    StringTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Bytes or an array of more than `i32::MAX` bytes or elements.
    TooLong {
        /// The length.
        len: usize,
    },
    /// Unknown tagged fields at a version without tagged fields.
    TagsNotInVersion,
    /// Unknown tagged fields that are not in strictly ascending order.
    TagOrder {
        /// The tag that should have come earlier, or once only.
        tag: u32,
    },
    /// An unknown tagged field whose tag the schema gives a meaning.
    KnownTag {
        /// The tag.
        tag: u32,
    },
    /// An unknown tagged field with a tag that Java does not write: `i32::MAX`, or above.
    TagTooHigh {
        /// The tag.
        tag: u32,
    },
    /// A version that the message does not have.
    UnsupportedVersion {
        /// The lowest that it has.
        lowest: i16,
        /// The highest that it has.
        highest: i16,
    },
    /// An API key that no schema has.
    UnknownApi {
        /// The key.
        api_key: i16,
    },
    /// A message that is no response, where only a response can be written.
    NotAResponse,
    /// A frame of more than `i32::MAX` bytes.
    FrameTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl EncodeError {
    /// An error that does not yet know its message.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: EncodeErrorKind) -> EncodeError {
        EncodeError(Box::new(EncodeErrorParts {
            kind,
            message: "",
            version: -1,
            path: String::new(),
        }))
    }

    /// A field that the version lacks holds something else than its default.
    #[cold]
    #[inline(never)]
    pub fn unsupported_field(structure: &'static str, field: &'static str) -> EncodeError {
        EncodeError::new(EncodeErrorKind::UnsupportedField { structure, field })
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn located(
        mut self,
        message: &'static str,
        version: i16,
        path: String,
    ) -> EncodeError {
        self.0.message = message;
        self.0.version = version;
        self.0.path = path;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &EncodeErrorKind {
        &self.0.kind
    }

    /// The message's name in Kafka's schemas.
    pub fn message(&self) -> &'static str {
        self.0.message
    }

    /// The version at which it was to be written.
    pub fn version(&self) -> i16 {
        self.0.version
    }

    /// The field, such as `topics[3].partitions[0].leader`; empty for the message itself.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl fmt::Display for EncodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeErrorKind::UnsupportedField { .. } => {
                f.write_str("the version lacks the field, and it is not at its default")
            }
            EncodeErrorKind::UnexpectedNull => f.write_str("null is not allowed here"),
            EncodeErrorKind::StringTooLong { len } => {
                write!(f, "a string of {len} bytes, more than 32767")
            }
            EncodeErrorKind::TooLong { len } => {
                write!(f, "a length of {len}, more than 2147483647")
            }
            EncodeErrorKind::TagsNotInVersion => {
                f.write_str("the version has no tagged fields, and there are unknown ones")
            }
            EncodeErrorKind::TagOrder { tag } => {
                write!(f, "unknown tag {tag} is not higher than the one before it")
            }
            EncodeErrorKind::KnownTag { tag } => {
                write!(f, "unknown tag {tag} belongs to a field of the schema")
            }
            EncodeErrorKind::TagTooHigh { tag } => {
                write!(f, "unknown tag {tag} is not below 2147483647")
            }
            EncodeErrorKind::UnsupportedVersion { lowest, highest } => {
                write!(f, "no such version: there are {lowest} to {highest}")
            }
            EncodeErrorKind::UnknownApi { api_key } => write!(f, "unknown API key {api_key}"),
            EncodeErrorKind::NotAResponse => f.write_str("the message is not a response"),
            EncodeErrorKind::FrameTooLong { len } => {
                write!(f, "a frame of {len} bytes, more than 2147483647")
            }
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        write_place(f, parts.message, parts.version, &parts.path)?;
        write!(f, "{}", parts.kind)
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for EncodeError {}

/// `VoteRequest v2: topics[0].name: `, as far as it is known.
fn write_place(f: &mut fmt::Formatter<'_>, message: &str, version: i16, path: &str) -> fmt::Result {
    if message.is_empty() {
        return Ok(());
    }
    write!(f, "{message} v{version}: ")?;
    if !path.is_empty() {
        write!(f, "{path}: ")?;
    }
    Ok(())
}
