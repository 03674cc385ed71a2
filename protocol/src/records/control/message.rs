//! The messages inside control records, read and written by their generated structs.

use std::fmt;

use super::{ControlRecord, ControlRecordType, EndTxnMarker};
use crate::messages::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use crate::records::error::Error;
use crate::records::record::Record;
use crate::runtime::{DecodeError, EncodeError, Limits, Message, Read};

/// The version at which Kafka writes and reads these messages, whatever their own field called
/// `Version` says.
const VERSION: i16 = 0;

/// What a control record says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlMessage<'a> {
    /// A transaction was aborted.
    Abort(EndTxnMarker),
    /// A transaction was committed.
    Commit(EndTxnMarker),
    /// A KRaft leader's first record (KIP-595).
    LeaderChange(LeaderChangeMessage),
    /// The start of a KRaft snapshot (KIP-630).
    SnapshotHeader(SnapshotHeaderRecord),
    /// The end of a KRaft snapshot (KIP-630).
    SnapshotFooter(SnapshotFooterRecord),
    /// The KRaft version from here on (KIP-853).
    KRaftVersion(KRaftVersionRecord),
    /// The KRaft voters from here on (KIP-853).
    KRaftVoters(VotersRecord<'a>),
    /// A type that is not known: a reader is to pass over it.
    Unknown {
        /// The type's number.
        code: i16,
        /// The value as it came.
        value: Option<&'a [u8]>,
    },
}

impl<'a> ControlMessage<'a> {
    /// Reads a record of a control batch.
    ///
    /// # Errors
    /// When the key is no control record's, or the value not the message of its type.
    pub fn read(record: &Record<'a>) -> Result<ControlMessage<'a>, ControlMessageError> {
        let ControlRecord {
            record_type, value, ..
        } = ControlRecord::read(record)?;
        let bytes = value.unwrap_or_default();
        Ok(match record_type {
            ControlRecordType::Abort => Self::Abort(EndTxnMarker::read(bytes)?),
            ControlRecordType::Commit => Self::Commit(EndTxnMarker::read(bytes)?),
            ControlRecordType::LeaderChange => Self::LeaderChange(message(bytes)?),
            ControlRecordType::SnapshotHeader => Self::SnapshotHeader(message(bytes)?),
            ControlRecordType::SnapshotFooter => Self::SnapshotFooter(message(bytes)?),
            ControlRecordType::KRaftVersion => Self::KRaftVersion(message(bytes)?),
            ControlRecordType::KRaftVoters => Self::KRaftVoters(message(bytes)?),
            ControlRecordType::Unknown(code) => Self::Unknown { code, value },
        })
    }

    /// The record's type.
    pub fn record_type(&self) -> ControlRecordType {
        match self {
            Self::Abort(_) => ControlRecordType::Abort,
            Self::Commit(_) => ControlRecordType::Commit,
            Self::LeaderChange(_) => ControlRecordType::LeaderChange,
            Self::SnapshotHeader(_) => ControlRecordType::SnapshotHeader,
            Self::SnapshotFooter(_) => ControlRecordType::SnapshotFooter,
            Self::KRaftVersion(_) => ControlRecordType::KRaftVersion,
            Self::KRaftVoters(_) => ControlRecordType::KRaftVoters,
            Self::Unknown { code, .. } => ControlRecordType::Unknown(*code),
        }
    }

    /// Appends the record's value to `out`, for
    /// [`try_append_control`](crate::records::BatchBuilder::try_append_control).
    ///
    /// # Errors
    /// When version 0 of the message cannot carry the value: directory ids of a leader change.
    pub fn write_value(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Abort(marker) | Self::Commit(marker) => {
                out.extend_from_slice(&marker.to_bytes());
                Ok(())
            }
            Self::LeaderChange(message) => message.encode(VERSION, out),
            Self::SnapshotHeader(message) => message.encode(VERSION, out),
            Self::SnapshotFooter(message) => message.encode(VERSION, out),
            Self::KRaftVersion(message) => message.encode(VERSION, out),
            Self::KRaftVoters(message) => message.encode(VERSION, out),
            Self::Unknown { value, .. } => {
                out.extend_from_slice(value.unwrap_or_default());
                Ok(())
            }
        }
    }
}

/// A message at the start of the bytes; Kafka passes over what follows it.
fn message<'a, M: Message + Read<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    M::decode_prefix(bytes, VERSION, &Limits::DEFAULT).map(|(message, _)| message)
}

/// A control record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlMessageError {
    /// The record is no control record, or its marker is damaged.
    Record(Error),
    /// The value is not the message of its type.
    Message(DecodeError),
}

impl From<Error> for ControlMessageError {
    fn from(error: Error) -> Self {
        Self::Record(error)
    }
}

impl From<DecodeError> for ControlMessageError {
    fn from(error: DecodeError) -> Self {
        Self::Message(error)
    }
}

impl fmt::Display for ControlMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Message(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ControlMessageError {}
