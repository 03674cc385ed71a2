//! What the leader appends: records of the application, batches of clients, its own control
//! records.

use std::fmt;

use bytes::Bytes;
use kwire_protocol::records::{
    Batch, Batches, NewRecord, set_base_offset, set_partition_leader_epoch,
};

use super::output::DiskOp;
use super::{Node, Role};
use crate::control::{Control, LeaderChange, NewControl, control_batch};
use crate::types::{Epoch, Instant, NodeId, Offset};

/// Why nothing was appended. The log is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// This node does not lead.
    NotLeader {
        /// Its epoch.
        epoch: Epoch,
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
    /// The caller names an epoch that this leader is not in.
    WrongEpoch {
        /// The leader's.
        epoch: Epoch,
    },
    /// There is no record.
    Empty,
    /// The records do not fit in a batch.
    TooLarge {
        /// The bytes that they may need.
        needed: usize,
        /// The bytes that a batch has for records.
        limit: usize,
    },
    /// Too much waits for the disk already: try again later.
    Full {
        /// The bytes that wait.
        pending: usize,
    },
    /// A timestamp below -1.
    NegativeTimestamp(i64),
    /// The bytes are not whole batches of magic 2 with records and a right checksum, in which
    /// offsets follow one another.
    Batch(String),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::NotLeader { epoch, leader } => match leader {
                Some(leader) => write!(f, "node {leader} leads epoch {epoch}, not this node"),
                None => write!(
                    f,
                    "this node does not lead, and knows no leader of epoch {epoch}"
                ),
            },
            AppendError::WrongEpoch { epoch } => write!(f, "this node leads epoch {epoch} now"),
            AppendError::Empty => write!(f, "no records to append"),
            AppendError::TooLarge { needed, limit } => {
                write!(
                    f,
                    "records of up to {needed} bytes exceed the {limit} of a batch"
                )
            }
            AppendError::Full { pending } => {
                write!(f, "{pending} bytes wait for the disk: try again later")
            }
            AppendError::NegativeTimestamp(timestamp) => {
                write!(f, "timestamp {timestamp}: it has to be -1 (none) or above")
            }
            AppendError::Batch(what) => write!(f, "batch: {what}"),
        }
    }
}

impl std::error::Error for AppendError {}

impl Node {
    /// Appends records as one unit: all of them will be committed, or none. They may share a batch
    /// with others, and wait for a flush under way, `append_linger_ms` at most. Returns the offset
    /// of the last; it is committed once the high watermark is above, in the same epoch.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(
        &mut self,
        now: Instant,
        epoch: Epoch,
        records: &[NewRecord<'_>],
    ) -> Result<Offset, AppendError> {
        self.at(now);
        self.check_append(epoch)?;
        if records.is_empty() {
            return Err(AppendError::Empty);
        }
        let (now, max_batch_bytes) = (self.now, self.config.max_batch_bytes);
        let end = self.log.end();
        let Role::Leader(leader) = &mut self.role else {
            unreachable!("it was checked");
        };
        let next = end + leader.accumulator.count();
        leader
            .accumulator
            .append(now, epoch, next, records, max_batch_bytes)
    }

    /// Appends whole batches as a client made them: only their offsets and epochs change. Returns
    /// the first's base offset.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append_batches(
        &mut self,
        now: Instant,
        epoch: Epoch,
        batches: Vec<u8>,
    ) -> Result<Offset, AppendError> {
        self.at(now);
        self.check_append(epoch)?;
        self.drain_accumulator();
        let base = self.log.end();
        let (batches, end) = place_batches(batches, base, epoch)?;
        self.append_to_log(epoch, base, end, batches);
        self.pump();
        Ok(base)
    }

    fn check_append(&self, epoch: Epoch) -> Result<(), AppendError> {
        let Role::Leader(leader) = &self.role else {
            return Err(AppendError::NotLeader {
                epoch: self.epoch,
                leader: self.leader.filter(|leader| Some(*leader) != self.config.id),
            });
        };
        if epoch != self.epoch {
            return Err(AppendError::WrongEpoch { epoch: self.epoch });
        }
        let pending = leader.accumulator.bytes() + leader.unflushed_bytes();
        if pending >= self.config.max_pending_bytes {
            return Err(AppendError::Full { pending });
        }
        Ok(())
    }

    /// Appends what waits, if nothing is being flushed or it has waited long enough.
    pub(super) fn drain_if_due(&mut self) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let accumulator = &leader.accumulator;
        let idle = self.disk.append_under_way().is_none();
        if accumulator.is_empty()
            || !(idle || self.linger_ends() <= self.now || self.is_batch_full())
        {
            return;
        }
        self.drain_accumulator();
    }

    fn is_batch_full(&self) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        leader.accumulator.bytes() >= self.config.max_batch_bytes / 2
    }

    /// When records that wait are appended at the latest.
    pub(super) fn linger_ends(&self) -> Instant {
        match &self.role {
            Role::Leader(leader) if !leader.accumulator.is_empty() => {
                if self.disk.append_under_way().is_none() || self.is_batch_full() {
                    self.now
                } else {
                    leader
                        .accumulator
                        .since()
                        .plus(self.config.append_linger_ms)
                }
            }
            _ => Instant::NEVER,
        }
    }

    fn drain_accumulator(&mut self) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let batches = leader.accumulator.drain();
        let mut ends: Vec<Offset> = batches.iter().skip(1).map(|(base, _)| *base).collect();
        let last = batches
            .back()
            .map(|(base, batch)| base + record_count(batch));
        ends.extend(last);
        for ((base, batch), end) in batches.into_iter().zip(ends) {
            self.append_to_log(self.epoch, base, end, batch);
        }
    }

    /// Appends control records of this leader, behind everything that waits. Returns the offset of
    /// the last.
    pub(super) fn append_controls(&mut self, controls: &[NewControl]) -> Offset {
        self.drain_accumulator();
        let base = self.log.end();
        let batch = control_batch(base, self.epoch, self.wall_clock_ms(), controls);
        let end = base + Offset::try_from(controls.len()).expect("a few records");
        self.append_to_log(self.epoch, base, end, batch);
        for (offset, control) in (base..).zip(controls) {
            if let NewControl::Control(control) = control {
                self.add_control(offset, control.clone());
            }
        }
        end - 1
    }

    /// A record of the log that changes the quorum.
    pub(super) fn add_control(&mut self, offset: Offset, control: Control) {
        let before = self.voters().clone();
        self.membership.add(offset, control);
        self.voters_changed(&before);
    }

    /// The first records of a leader.
    pub(super) fn append_leader_change(&mut self, granting: Vec<NodeId>, more: Vec<Control>) {
        let change = LeaderChange {
            leader: self.wire_leader(),
            voters: self.voters().ids().collect(),
            granting,
        };
        let mut controls = vec![NewControl::LeaderChange(change)];
        controls.extend(more.into_iter().map(NewControl::Control));
        self.append_controls(&controls);
    }

    pub(super) fn append_to_log(
        &mut self,
        epoch: Epoch,
        base: Offset,
        end: Offset,
        batches: Bytes,
    ) {
        if let Role::Leader(leader) = &mut self.role {
            leader.appended(end, batches.len());
        }
        self.log.appended(epoch, base, end);
        let id = self.disk_op(DiskOp::Append { base, batches });
        self.disk.appending(id, end);
    }

    /// The time of day, for timestamps that others see.
    pub(super) fn wall_clock_ms(&self) -> i64 {
        let ms = i64::try_from(self.now.0).unwrap_or(i64::MAX);
        self.config.epoch_millis.saturating_add(ms)
    }
}

fn record_count(batch: &Bytes) -> Offset {
    let first = Batches::new(batch).next();
    let count = first.and_then(Result::ok).and_then(|b| b.record_count());
    Offset::from(count.expect("a batch of this node's own"))
}

/// Gives a client's batches their place in the log. Returns the log's end after them.
fn place_batches(
    mut bytes: Vec<u8>,
    base: Offset,
    epoch: Epoch,
) -> Result<(Bytes, Offset), AppendError> {
    let refused = |what: String| AppendError::Batch(what);
    let mut places = Vec::new();
    let mut next = base;
    let mut batches = Batches::validated(&bytes);
    for batch in batches.by_ref() {
        let batch = batch.map_err(|error| refused(error.to_string()))?;
        places.push((batch.position(), batch.bytes().len(), next));
        next += check_batch(&batch).map_err(refused)?;
    }
    if batches.remainder() > 0 {
        return Err(refused(format!(
            "{} bytes after the last batch",
            batches.remainder()
        )));
    }
    if places.is_empty() {
        return Err(AppendError::Empty);
    }
    for (at, len, offset) in places {
        let batch = &mut bytes[at..at + len];
        let placed = set_base_offset(batch, offset).and_then(|()| {
            // Not part of the checksum.
            set_partition_leader_epoch(batch, epoch)
        });
        placed.map_err(|error| refused(error.to_string()))?;
    }
    Ok((Bytes::from(bytes), next))
}

/// The records of a batch that a client may append.
fn check_batch(batch: &Batch<'_>) -> Result<Offset, String> {
    let Some(header) = batch.header() else {
        return Err(format!("magic {} instead of 2", batch.magic()));
    };
    if header.attributes.is_control() {
        return Err("control records from a client".to_owned());
    }
    if header.record_count <= 0 || header.last_offset_delta != header.record_count - 1 {
        return Err(format!(
            "{} records, but the last has offset delta {}",
            header.record_count, header.last_offset_delta
        ));
    }
    Ok(Offset::from(header.record_count))
}
