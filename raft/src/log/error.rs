//! What can go wrong with a log on a disk.

use std::fmt;
use std::io;

use kwire_protocol::Uuid;
use kwire_protocol::records::Error as BatchError;

use crate::control::ControlError;
use crate::log::snapshot::Damage;
use crate::types::{Epoch, Offset, OffsetAndEpoch};

/// A log, a snapshot or one of the files beside them that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The system failed.
    Io {
        /// The file.
        file: String,
        /// What was being done.
        action: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A batch that was durable is damaged, or one that others follow on. Nothing is cut off: a copy
    /// of the file, or this node's log from another node, has what is missing.
    Corrupt {
        /// The segment.
        file: String,
        /// The byte at which the batch starts.
        position: u64,
        /// The offset that the batch ought to have.
        offset: Offset,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The log ends before an offset that was made durable.
    Lost {
        /// The last segment.
        file: String,
        /// Where the log ends.
        end: Offset,
        /// How far it was durable.
        recovery_point: Offset,
    },
    /// The log starts above 0, and no snapshot has what came before.
    NoSnapshot {
        /// The first segment.
        file: String,
        /// Where it starts.
        start: Offset,
    },
    /// A snapshot is damaged.
    Snapshot {
        /// The snapshot.
        file: String,
        /// What is wrong with it, and where.
        damage: Damage,
    },
    /// A small file is not what it ought to be.
    Malformed {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory belongs to another topic.
    OtherTopic {
        /// The file that says so.
        file: String,
        /// The topic it names.
        found: Uuid,
        /// The topic that was asked for.
        expected: Uuid,
    },
    /// A control record in the log cannot be read.
    Control {
        /// The segment.
        file: String,
        /// The byte at which the batch starts.
        position: u64,
        /// What is wrong with the record.
        error: ControlError,
    },
    /// Batches were to be appended that do not follow on the log.
    Append {
        /// Where the log ends.
        end: Offset,
        /// What is wrong with them.
        flaw: Flaw,
    },
    /// No batch starts at the offset that the log was to be cut at.
    NoBoundary {
        /// The offset.
        offset: Offset,
    },
    /// The log does not have the offset that was to be read.
    Outside {
        /// The offset.
        offset: Offset,
        /// Where the log starts.
        start: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// There is no such snapshot, or none that was begun.
    UnknownSnapshot {
        /// The snapshot.
        id: OffsetAndEpoch,
    },
    /// A part of a snapshot does not follow on the one before.
    SnapshotGap {
        /// The snapshot.
        id: OffsetAndEpoch,
        /// How many bytes there are.
        len: u64,
        /// Where the part starts.
        position: u64,
    },
    /// An earlier write or sync failed: what the disk holds is known when the log was opened anew.
    Failed {
        /// What was the first to fail, and why.
        cause: String,
    },
}

impl LogError {
    pub(super) fn io(
        file: impl FnOnce() -> String,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> LogError {
        move |error| LogError::Io {
            file: file(),
            action,
            error,
        }
    }
}

/// What is wrong with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The bytes end within it.
    Partial,
    /// It cannot be read, or has another checksum than it says.
    Batch(BatchError),
    /// It has a magic that KRaft has not.
    Magic(i8),
    /// It does not follow on the batch before.
    Offset {
        /// Where it starts.
        found: Offset,
    },
    /// Its epoch is below that of the batch before.
    Epoch {
        /// Its epoch.
        found: Epoch,
        /// That of the batch before.
        before: Epoch,
    },
    /// There is nothing, and the next segment starts later.
    Missing {
        /// Where the next segment starts.
        next: Offset,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Partial => f.write_str("the bytes end within the batch"),
            Flaw::Batch(error) => error.fmt(f),
            Flaw::Magic(magic) => write!(f, "a batch of magic {magic}, which KRaft has not"),
            Flaw::Offset { found } => write!(f, "a batch at offset {found} in its place"),
            Flaw::Epoch { found, before } => {
                write!(f, "a batch of epoch {found} after one of epoch {before}")
            }
            Flaw::Missing { next } => write!(f, "there is nothing before the next file, {next}"),
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Io {
                file,
                action,
                error,
            } => write!(f, "cannot {action} {file}: {error}"),
            LogError::Corrupt {
                file,
                position,
                offset,
                flaw,
            } => write!(
                f,
                "{file} is damaged at byte {position}, offset {offset}: {flaw}"
            ),
            LogError::Lost {
                file,
                end,
                recovery_point,
            } => write!(
                f,
                "{file} ends at offset {end}, but the log was durable up to {recovery_point}; if \
                 another program cut it on purpose, remove kwire-recovery-point and \
                 kwire-log-state beside it"
            ),
            LogError::NoSnapshot { file, start } => write!(
                f,
                "{file} is the first segment, and no snapshot ends at {start} or later"
            ),
            LogError::Snapshot { file, damage } => write!(f, "{file} is damaged {damage}"),
            LogError::Malformed { file, line, reason } => write!(f, "{file}:{line}: {reason}"),
            LogError::OtherTopic {
                file,
                found,
                expected,
            } => write!(f, "{file} is of topic {found}, not of {expected}"),
            LogError::Control {
                file,
                position,
                error,
            } => write!(f, "{file} at byte {position}: {error}"),
            LogError::Append { end, flaw } => {
                write!(f, "cannot append to a log that ends at {end}: {flaw}")
            }
            LogError::NoBoundary { offset } => write!(f, "no batch starts at {offset}"),
            LogError::Outside { offset, start, end } => {
                write!(f, "{offset} is not in a log of {start} to {end}")
            }
            LogError::UnknownSnapshot { id } => write!(f, "there is no snapshot at {id}"),
            LogError::SnapshotGap { id, len, position } => write!(
                f,
                "byte {position} does not follow on the {len} bytes of the snapshot at {id}"
            ),
            LogError::Failed { cause } => write!(f, "an earlier write or sync failed: {cause}"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Io { error, .. } => Some(error),
            LogError::Snapshot { damage, .. } => Some(damage),
            LogError::Control { error, .. } => Some(error),
            _ => None,
        }
    }
}
