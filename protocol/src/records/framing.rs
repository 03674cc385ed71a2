//! What comes before the message in the records of Kafka's internal topics.

use super::error::{Error, ErrorKind};
use super::varint::{Cursor, put_uvarint};

/// The only frame version of metadata records.
const FRAME_VERSION: u32 = 1;

/// The value of a record of the KRaft metadata log: unsigned varints for the frame version (1),
/// the message's key and its version, then the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataFrame<'a> {
    /// Which metadata record it is.
    pub api_key: i16,
    /// The version of the message.
    pub version: i16,
    /// The message. All of it: bytes left after the message are for its reader to refuse.
    pub message: &'a [u8],
}

impl<'a> MetadataFrame<'a> {
    /// Takes a record's value apart.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownFrameVersion`] for others than 1, [`ErrorKind::ValueOutOfRange`] for
    /// key or version above 32767, [`ErrorKind::NotEnoughBytes`], [`ErrorKind::VarintTooLong`].
    pub fn read(value: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(value);
        let frame_version = cursor.uvarint()?;
        if frame_version != FRAME_VERSION {
            return Err(ErrorKind::UnknownFrameVersion(frame_version).into());
        }
        let mut number = |field| {
            let value = cursor.uvarint()?;
            i16::try_from(value).map_err(|_| ErrorKind::ValueOutOfRange { field, value })
        };
        let api_key = number("metadata record key")?;
        let version = number("metadata record version")?;
        Ok(Self {
            api_key,
            version,
            message: cursor.rest(),
        })
    }

    /// Appends frame and message to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::NegativeLength`] if key or version is negative; nothing is written then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let number = |field, value: i16| {
            let negative = ErrorKind::NegativeLength {
                field,
                len: value.into(),
            };
            u64::try_from(value).map_err(|_| negative)
        };
        let api_key = number("metadata record key", self.api_key)?;
        let version = number("metadata record version", self.version)?;
        put_uvarint(FRAME_VERSION.into(), out);
        put_uvarint(api_key, out);
        put_uvarint(version, out);
        out.extend_from_slice(self.message);
        Ok(())
    }
}

/// The key of a coordinator's record (`__consumer_offsets`, `__transaction_state`,
/// `__share_group_state`): a number for what it is, then the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorKey<'a> {
    /// Which record it is. Kafka once called it the key's version.
    pub record_type: i16,
    /// The message, of version 0.
    pub message: &'a [u8],
}

impl<'a> CoordinatorKey<'a> {
    /// Takes a record's key apart.
    ///
    /// # Errors
    /// [`ErrorKind::NotEnoughBytes`].
    pub fn read(key: &'a [u8]) -> Result<Self, Error> {
        let (record_type, message) = split(key)?;
        Ok(Self {
            record_type,
            message,
        })
    }

    /// Appends type and message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        join(self.record_type, self.message, out);
    }
}

/// The value of a coordinator's record: the version of the message, then the message. A tombstone
/// is a record without a value, and has none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorValue<'a> {
    /// The version of the message.
    pub version: i16,
    /// The message.
    pub message: &'a [u8],
}

impl<'a> CoordinatorValue<'a> {
    /// Takes a record's value apart.
    ///
    /// # Errors
    /// [`ErrorKind::NotEnoughBytes`].
    pub fn read(value: &'a [u8]) -> Result<Self, Error> {
        let (version, message) = split(value)?;
        Ok(Self { version, message })
    }

    /// Appends version and message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        join(self.version, self.message, out);
    }
}

fn split(bytes: &[u8]) -> Result<(i16, &[u8]), Error> {
    let mut cursor = Cursor::new(bytes);
    Ok((cursor.i16()?, cursor.rest()))
}

fn join(number: i16, message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_frames() {
        for (api_key, version, bytes) in [
            (0, 0, &b"\x01\x00\x00rest"[..]),
            (25, 3, b"\x01\x19\x03rest"),
            (i16::MAX, 300, b"\x01\xff\xff\x01\xac\x02rest"),
        ] {
            let frame = MetadataFrame {
                api_key,
                version,
                message: b"rest",
            };
            assert_eq!(MetadataFrame::read(bytes), Ok(frame));
            let mut out = Vec::new();
            frame.write(&mut out).unwrap();
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn bad_metadata_frames() {
        let key = "metadata record key";
        let version = "metadata record version";
        for (bytes, kind) in [
            (
                &b""[..],
                ErrorKind::NotEnoughBytes {
                    needed: 1,
                    remaining: 0,
                },
            ),
            (b"\x00\x01\x00", ErrorKind::UnknownFrameVersion(0)),
            (b"\x02\x01\x00", ErrorKind::UnknownFrameVersion(2)),
            (
                b"\x01",
                ErrorKind::NotEnoughBytes {
                    needed: 1,
                    remaining: 0,
                },
            ),
            (
                b"\x01\x80",
                ErrorKind::NotEnoughBytes {
                    needed: 2,
                    remaining: 1,
                },
            ),
            (
                b"\x01\x80\x80\x02\x00",
                ErrorKind::ValueOutOfRange {
                    field: key,
                    value: 32768,
                },
            ),
            (
                b"\x01\x00\x80\x80\x02",
                ErrorKind::ValueOutOfRange {
                    field: version,
                    value: 32768,
                },
            ),
            (b"\x01\x80\x80\x80\x80\x80\x00", ErrorKind::VarintTooLong),
        ] {
            assert_eq!(
                MetadataFrame::read(bytes).map_err(|e| e.kind()),
                Err(kind),
                "{bytes:?}"
            );
        }
        let mut out = Vec::new();
        let negative = MetadataFrame {
            api_key: 0,
            version: -1,
            message: b"",
        };
        let error = negative.write(&mut out).unwrap_err().kind();
        assert_eq!(
            error,
            ErrorKind::NegativeLength {
                field: version,
                len: -1
            }
        );
        assert!(out.is_empty());
    }

    #[test]
    fn coordinator_records() {
        let key = CoordinatorKey {
            record_type: 2,
            message: b"group",
        };
        let mut out = Vec::new();
        key.write(&mut out);
        assert_eq!(out, b"\x00\x02group");
        assert_eq!(CoordinatorKey::read(&out), Ok(key));

        let value = CoordinatorValue {
            version: 4,
            message: b"",
        };
        let mut out = Vec::new();
        value.write(&mut out);
        assert_eq!(out, b"\x00\x04");
        assert_eq!(CoordinatorValue::read(&out), Ok(value));
        let short = CoordinatorValue::read(b"\x00").unwrap_err().kind();
        assert_eq!(
            short,
            ErrorKind::NotEnoughBytes {
                needed: 2,
                remaining: 1
            }
        );
    }
}
