//! Control records: what batches with the control attribute hold.
//!
//! The key says what a record is; the value is a message of its own: plain bytes in
//! [`ControlRecord`], taken apart in `ControlMessage` (feature `raft`).

#[cfg(feature = "raft")]
mod message;

#[cfg(feature = "raft")]
pub use message::{ControlMessage, ControlMessageError};

use super::error::{Error, ErrorKind};
use super::record::Record;
use super::varint::Cursor;

/// The version of the key that this crate writes. Others have the same layout.
const KEY_VERSION: i16 = 0;

/// What a control record is. Types that are not known are kept: a reader is to pass over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlRecordType {
    /// A transaction was aborted; the value is an [`EndTxnMarker`].
    Abort,
    /// A transaction was committed; the value is an [`EndTxnMarker`].
    Commit,
    /// A KRaft leader's first record: a `LeaderChangeMessage`.
    LeaderChange,
    /// The start of a KRaft snapshot: a `SnapshotHeaderRecord`.
    SnapshotHeader,
    /// The end of a KRaft snapshot: a `SnapshotFooterRecord`.
    SnapshotFooter,
    /// The KRaft version in use: a `KRaftVersionRecord`.
    KRaftVersion,
    /// The KRaft voters: a `VotersRecord`.
    KRaftVoters,
    /// Another type.
    Unknown(i16),
}

impl ControlRecordType {
    /// The type of a number.
    #[must_use]
    pub fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            other => Self::Unknown(other),
        }
    }

    /// The number in the key.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(code) => code,
        }
    }

    /// The key of a record of this type, at version 0.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        let [version_high, version_low] = KEY_VERSION.to_be_bytes();
        let [high, low] = self.code().to_be_bytes();
        [version_high, version_low, high, low]
    }
}

/// A control record taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlRecord<'a> {
    /// The version of the key.
    pub key_version: i16,
    /// What the record is.
    pub record_type: ControlRecordType,
    /// The message that belongs to the type, at version 0.
    pub value: Option<&'a [u8]>,
}

impl<'a> ControlRecord<'a> {
    /// Takes a record of a control batch apart. Later versions of the key are read as version 0,
    /// and bytes after it are passed over, as Kafka does.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidControlRecord`] if there is no key, one of less than 4 bytes or one
    /// with a negative version.
    pub fn read(record: &Record<'a>) -> Result<Self, Error> {
        let mut key = Cursor::new(record.key.unwrap_or_default());
        match (key.i16(), key.i16()) {
            (Ok(key_version @ 0..), Ok(code)) => Ok(Self {
                key_version,
                record_type: ControlRecordType::from_code(code),
                value: record.value,
            }),
            _ => Err(ErrorKind::InvalidControlRecord.into()),
        }
    }
}

/// The value of an abort or commit marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// The epoch of the transaction coordinator that wrote the marker.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads version 0, or of a later version the part it has in common with it.
    ///
    /// # Errors
    /// [`ErrorKind::NegativeLength`] for a negative version, [`ErrorKind::NotEnoughBytes`].
    pub fn read(value: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(value);
        let version = cursor.i16()?;
        if version < 0 {
            let field = "version of an end transaction marker";
            return Err(ErrorKind::NegativeLength {
                field,
                len: version.into(),
            }
            .into());
        }
        Ok(Self {
            coordinator_epoch: cursor.i32()?,
        })
    }

    /// The value's bytes, at version 0.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_keys() {
        for code in [-1, 0, 1, 2, 3, 4, 5, 6, 7, i16::MAX] {
            assert_eq!(ControlRecordType::from_code(code).code(), code);
        }
        assert_eq!(
            ControlRecordType::from_code(7),
            ControlRecordType::Unknown(7)
        );
        assert_eq!(ControlRecordType::KRaftVoters.key(), [0, 0, 0, 6]);
        assert_eq!(ControlRecordType::Unknown(0x1234).key(), [0, 0, 0x12, 0x34]);
    }

    #[test]
    fn markers() {
        let marker = EndTxnMarker {
            coordinator_epoch: 31,
        };
        assert_eq!(marker.to_bytes(), [0, 0, 0, 0, 0, 31]);
        assert_eq!(EndTxnMarker::read(&marker.to_bytes()), Ok(marker));
        assert_eq!(EndTxnMarker::read(&[0, 1, 0, 0, 0, 31, 9]), Ok(marker));
        for bytes in [&[0xff, 0xff, 0, 0, 0, 31][..], &[0, 0, 0, 0, 0], &[]] {
            assert!(EndTxnMarker::read(bytes).is_err(), "{bytes:?}");
        }
    }
}
