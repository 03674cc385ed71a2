//! What is true, kept beside the nodes: which records there can be, which were acknowledged, what
//! is committed for good.

use std::collections::BTreeMap;

use kwire_protocol::records::{Batches, Limits};
use kwire_raft::types::{Epoch, Offset};

use crate::shadow::{Entry, Shadow};

/// The records of one append: all of them are committed together, or none.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many there are.
    pub records: u16,
    /// The epoch in which a leader took them.
    pub epoch: Epoch,
    /// The offset of the last, as that leader said.
    pub last: Offset,
    /// Whether the client was told that they are committed.
    pub is_acked: bool,
    /// The offset of the last where it was committed.
    pub committed: Option<Offset>,
}

/// A batch that is committed for good.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// Its epoch.
    pub epoch: Epoch,
    /// A hash of its bytes.
    pub hash: u64,
    /// The application's state after it.
    pub state: u64,
}

/// What is true.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    groups: Vec<Group>,
    committed: Vec<Committed>,
    /// The last group that was committed, by epoch: what a leader took first comes first.
    order: BTreeMap<Epoch, u64>,
}

/// The application's state after one more batch.
#[must_use]
pub fn next_state(state: u64, hash: u64) -> u64 {
    let mixed = state.rotate_left(5) ^ hash;
    mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The value of a record: its group, its place in it, and something to carry.
#[must_use]
pub fn value(group: u64, index: u16, padding: usize) -> Vec<u8> {
    let mut value = group.to_be_bytes().to_vec();
    value.extend(index.to_be_bytes());
    value.resize(10 + padding, b'.');
    value
}

fn read_value(value: &[u8]) -> Option<(u64, u16)> {
    let group = u64::from_be_bytes(*value.first_chunk()?);
    let index = u16::from_be_bytes(*value.get(8..)?.first_chunk()?);
    Some((group, index))
}

impl Oracle {
    /// The id that the next group will have.
    #[must_use]
    pub fn next_group(&self) -> u64 {
        self.groups.len() as u64
    }

    /// A leader took a group.
    pub fn took(&mut self, group: Group) {
        self.groups.push(group);
    }

    /// The groups, in the order in which they were taken.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The offset after what is committed for good, as far as any node knows.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.committed.last().map_or(0, |batch| batch.last + 1)
    }

    /// The committed batch that has an offset.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<&Committed> {
        let index = self.committed.partition_point(|batch| batch.last < offset);
        let batch = self.committed.get(index)?;
        (batch.base <= offset).then_some(batch)
    }

    /// The last committed batch.
    #[must_use]
    pub fn last(&self) -> Option<&Committed> {
        self.committed.last()
    }

    /// The application's state after everything below an offset.
    #[must_use]
    pub fn state_at(&self, end: Offset) -> Option<u64> {
        if end == 0 {
            return Some(0);
        }
        let batch = self.at(end - 1)?;
        (batch.last + 1 == end).then_some(batch.state)
    }

    /// A client was told that a group is committed.
    ///
    /// # Errors
    /// When it is not there.
    pub fn acked(&mut self, group: u64) -> Result<(), String> {
        let known = &mut self.groups[group as usize];
        known.is_acked = true;
        if known.committed != Some(known.last) {
            let (last, found) = (known.last, known.committed);
            return Err(format!(
                "group {group} was acknowledged at {last}, but is committed at {found:?}"
            ));
        }
        Ok(())
    }

    /// A node knows that its log is committed up to here.
    ///
    /// # Errors
    /// When that cannot be: what it has is not what was committed, or not what clients sent.
    pub fn committed(&mut self, log: &Shadow, high_watermark: Offset) -> Result<(), String> {
        let end = self.end();
        if high_watermark <= end {
            return self.agrees(log, high_watermark);
        }
        if end > log.start() {
            self.agrees(log, end)?;
        }
        let first = log.from(end).next().map(|entry| entry.base);
        if first.is_none_or(|base| base > end) {
            return Err(format!(
                "the log begins at {first:?}, and {end} is the next to be committed"
            ));
        }
        for entry in log.from(end) {
            if entry.base >= high_watermark {
                break;
            }
            if entry.last >= high_watermark {
                return Err(format!(
                    "{high_watermark} is within the batch {}..={}",
                    entry.base, entry.last
                ));
            }
            self.extend(entry)?;
        }
        Ok(())
    }

    fn agrees(&self, log: &Shadow, end: Offset) -> Result<(), String> {
        if end <= log.start() {
            return Ok(());
        }
        let (own, true_one) = (log.at(end - 1), self.at(end - 1));
        match (own, true_one) {
            (Some(own), Some(true_one)) if own.hash == true_one.hash => Ok(()),
            _ => Err(format!(
                "what is committed at {} is of epoch {:?}, the node has epoch {:?}",
                end - 1,
                true_one.map(|batch| batch.epoch),
                own.map(|entry| entry.epoch)
            )),
        }
    }

    fn extend(&mut self, entry: &Entry) -> Result<(), String> {
        let state = self.last().map_or(0, |batch| batch.state);
        self.check_records(entry)?;
        self.committed.push(Committed {
            base: entry.base,
            last: entry.last,
            epoch: entry.epoch,
            hash: entry.hash,
            state: next_state(state, entry.hash),
        });
        Ok(())
    }

    /// No record that nobody sent, none twice, no group in parts or in two batches, none before an
    /// older one of the same leader.
    fn check_records(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(Ok(batch)) = Batches::new(&entry.bytes).next() else {
            return Err(format!("the batch at {} cannot be read", entry.base));
        };
        if batch.header().is_some_and(|h| h.attributes.is_control()) {
            return Ok(());
        }
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &Limits::default());
        let records = records.map_err(|error| error.to_string())?;
        let mut open: Option<(u64, u16)> = None;
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let read = record.value.and_then(read_value);
            let Some((group, index)) = read else {
                return Err(format!("the record at {} is nobody's", record.offset));
            };
            if index != open.map_or(0, |(_, next)| next) || open.is_some_and(|(g, _)| g != group) {
                return Err(format!("record {index} of group {group} follows {open:?}"));
            }
            open = self.check_record(entry.epoch, group, index, record.offset)?;
        }
        match open {
            Some((group, _)) => Err(format!("group {group} is not whole in its batch")),
            None => Ok(()),
        }
    }

    /// Returns the group and the index that have to follow in the batch.
    fn check_record(
        &mut self,
        epoch: Epoch,
        group: u64,
        index: u16,
        offset: Offset,
    ) -> Result<Option<(u64, u16)>, String> {
        let Some(known) = self.groups.get_mut(group as usize) else {
            return Err(format!("nobody sent group {group}, at {offset}"));
        };
        if known.epoch != epoch {
            return Err(format!(
                "group {group} was taken in epoch {}, and is committed at {offset} in {epoch}",
                known.epoch
            ));
        }
        if index + 1 < known.records {
            return Ok(Some((group, index + 1)));
        }
        if known.committed.is_some() {
            return Err(format!("group {group} is committed twice"));
        }
        known.committed = Some(offset);
        let last = self.order.insert(epoch, group);
        if last.is_some_and(|last| last >= group) {
            return Err(format!("group {group} follows group {last:?}"));
        }
        Ok(None)
    }
}
