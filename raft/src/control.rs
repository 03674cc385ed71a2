//! The control records that a node reads and writes: who votes, and by which rules.

use std::fmt;

use bytes::Bytes;
use kwire_protocol::messages::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    leader_change_message,
};
use kwire_protocol::records::control::{ControlMessage, ControlMessageError};
use kwire_protocol::records::{Append, Batch, BatchBuilder, BatchOptions, Error, Limits};

use crate::types::{Epoch, NodeId, Offset};
use crate::voters::VoterSet;

/// A control record that changes how the quorum works, from where it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// The feature `kraft.version`: 0 for static voters, 1 for those in the log (KIP-853).
    KRaftVersion(i16),
    /// The voters.
    Voters(VoterSet),
}

impl Control {
    fn message(&self) -> ControlMessage<'static> {
        match self {
            Control::KRaftVersion(level) => ControlMessage::KRaftVersion(KRaftVersionRecord {
                kraft_version: *level,
                ..Default::default()
            }),
            Control::Voters(voters) => ControlMessage::KRaftVoters(voters.to_record()),
        }
    }
}

/// A control batch that cannot be read: whoever wrote it is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// The batch is damaged.
    Batch(Error),
    /// A record in it is.
    Record {
        /// Where it stands.
        offset: Offset,
        /// What is wrong with it.
        error: ControlMessageError,
    },
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::Batch(error) => write!(f, "control batch: {error}"),
            ControlError::Record { offset, error } => {
                write!(f, "control record at offset {offset}: {error}")
            }
        }
    }
}

impl std::error::Error for ControlError {}

impl From<Error> for ControlError {
    fn from(error: Error) -> Self {
        ControlError::Batch(error)
    }
}

/// The voters and versions in a batch, each with its offset; nothing if it holds data.
///
/// # Errors
/// When it is a control batch that cannot be read.
pub fn read_controls(batch: &Batch<'_>) -> Result<Vec<(Offset, Control)>, ControlError> {
    if !batch.header().is_some_and(|h| h.attributes.is_control()) {
        return Ok(Vec::new());
    }
    let mut scratch = Vec::new();
    let mut controls = Vec::new();
    for record in batch.records(&mut scratch, &Limits::default())? {
        let record = record?;
        let offset = record.offset;
        let message = ControlMessage::read(&record)
            .map_err(|error| ControlError::Record { offset, error })?;
        match message {
            ControlMessage::KRaftVersion(record) => {
                controls.push((offset, Control::KRaftVersion(record.kraft_version)));
            }
            ControlMessage::KRaftVoters(record) => {
                controls.push((offset, Control::Voters(VoterSet::from_record(&record))));
            }
            _ => {}
        }
    }
    Ok(controls)
}

/// Who leads an epoch, and who made it so: the first record of every leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// The leader.
    pub leader: NodeId,
    /// The voters' ids.
    pub voters: Vec<NodeId>,
    /// The ids of those that voted for it, itself included.
    pub granting: Vec<NodeId>,
}

/// A record of a control batch to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewControl {
    /// The first record of a leader.
    LeaderChange(LeaderChange),
    /// Voters or versions.
    Control(Control),
    /// The first record of a snapshot, with the timestamp of the last record in it.
    SnapshotHeader(i64),
    /// The last record of a snapshot.
    SnapshotFooter,
}

impl From<Control> for NewControl {
    fn from(control: Control) -> NewControl {
        NewControl::Control(control)
    }
}

/// One control batch.
///
/// # Panics
/// If there is no record, or more than a batch may hold: both are the caller's doing.
#[must_use]
pub fn control_batch(
    base_offset: Offset,
    epoch: Epoch,
    timestamp_ms: i64,
    controls: &[NewControl],
) -> Bytes {
    let options = BatchOptions {
        base_offset,
        partition_leader_epoch: epoch,
        control: true,
        ..Default::default()
    };
    let write = || -> Result<Vec<u8>, Error> {
        let mut builder = BatchBuilder::new(options)?;
        for control in controls {
            let message = message_of(control);
            let mut value = Vec::new();
            message
                .write_value(&mut value)
                .expect("control messages have version 0 only");
            let appended =
                builder.try_append_control(timestamp_ms, message.record_type(), &value)?;
            assert!(appended != Append::Full, "control records fit in a batch");
        }
        builder.finish()
    };
    Bytes::from(write().expect("control records are within a batch's limits"))
}

fn message_of(control: &NewControl) -> ControlMessage<'static> {
    let voter = |&voter_id: &NodeId| leader_change_message::Voter {
        voter_id,
        ..Default::default()
    };
    match control {
        NewControl::LeaderChange(change) => ControlMessage::LeaderChange(LeaderChangeMessage {
            leader_id: change.leader,
            voters: change.voters.iter().map(voter).collect(),
            granting_voters: change.granting.iter().map(voter).collect(),
            ..Default::default()
        }),
        NewControl::Control(control) => control.message(),
        &NewControl::SnapshotHeader(last_contained_log_timestamp) => {
            ControlMessage::SnapshotHeader(SnapshotHeaderRecord {
                last_contained_log_timestamp,
                ..Default::default()
            })
        }
        NewControl::SnapshotFooter => {
            ControlMessage::SnapshotFooter(SnapshotFooterRecord::default())
        }
    }
}

#[cfg(test)]
mod tests {
    use kwire_protocol::records::{Batches, NewRecord};

    use super::*;
    use crate::types::{ReplicaKey, Uuid};
    use crate::voters::{Address, Endpoints, KRaftVersions, Voter};

    fn voters() -> VoterSet {
        let voter = |id: i32| Voter {
            key: ReplicaKey::new(id, Uuid::from_parts(3, 4)),
            endpoints: [
                ("CONTROLLER", Address::new("here", 1)),
                ("OTHER", Address::new("::1", 65_535)),
            ]
            .into_iter()
            .collect(),
            kraft_versions: KRaftVersions::SUPPORTED,
        };
        let mut voters: VoterSet = (0..3).map(voter).collect();
        voters = voters.with(Voter {
            endpoints: Endpoints::EMPTY,
            ..voter(7)
        });
        voters
    }

    fn read(bytes: &Bytes) -> Result<Vec<(Offset, Control)>, ControlError> {
        let batch = Batches::validated(bytes).next();
        read_controls(&batch.expect("one").expect("a batch"))
    }

    #[test]
    fn what_is_written_is_read_with_its_offsets() {
        let change = LeaderChange {
            leader: 1,
            voters: vec![0, 1],
            granting: vec![1],
        };
        let controls = [
            NewControl::LeaderChange(change),
            NewControl::Control(Control::KRaftVersion(1)),
            NewControl::Control(Control::Voters(voters())),
            NewControl::SnapshotHeader(77),
            NewControl::SnapshotFooter,
        ];
        let bytes = control_batch(100, 3, 5, &controls);
        let expected = vec![
            (101, Control::KRaftVersion(1)),
            (102, Control::Voters(voters())),
        ];
        assert_eq!(read(&bytes), Ok(expected));
        let batch = Batches::validated(&bytes).next().expect("one");
        let batch = batch.expect("a batch");
        let header = batch.header().expect("magic 2");
        assert_eq!(header.partition_leader_epoch, 3);
        assert_eq!((header.producer_id, header.base_sequence), (-1, -1));
        assert_eq!(header.base_timestamp, 5);
    }

    #[test]
    fn data_has_no_controls_even_if_it_looks_so() {
        let mut builder = BatchBuilder::new(BatchOptions::default()).expect("plain");
        let record = NewRecord {
            key: Some(&[0, 0, 0, 6]),
            value: Some(&[0]),
            ..Default::default()
        };
        let appended = builder.try_append(&record).expect("small");
        assert!(matches!(appended, Append::Done { .. }));
        let bytes = builder.finish().expect("a batch").into();
        assert_eq!(read(&bytes), Ok(Vec::new()));
    }

    #[test]
    fn other_types_are_left_and_damaged_ones_are_errors() {
        let control = |kind: u8, value: &[u8]| {
            let options = BatchOptions {
                base_offset: 9,
                control: true,
                ..Default::default()
            };
            let mut builder = BatchBuilder::new(options).expect("plain");
            let key = [0, 0, 0, kind];
            let record = NewRecord {
                key: Some(&key),
                value: Some(value),
                ..Default::default()
            };
            let appended = builder.try_append(&record);
            assert!(matches!(appended, Ok(Append::Done { .. })));
            Bytes::from(builder.finish().expect("a batch"))
        };
        let unknown = read(&control(99, &[1, 2, 3]));
        assert_eq!(unknown, Ok(Vec::new()), "of a later Kafka");
        for value in [&[][..], &[0, 0], &[0, 9, 0, 0], &[0, 0, 0x7f, 0xff]] {
            let damaged = read(&control(6, value));
            let error = damaged.expect_err("no voters");
            assert!(matches!(error, ControlError::Record { offset: 9, .. }));
            assert!(error.to_string().contains("offset 9"), "{error}");
        }
    }
}
