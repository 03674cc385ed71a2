//! The application on a node: it counts what is committed, and makes snapshots of the count.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use kwire_protocol::records::{Batches, Limits, NewRecord};
use kwire_raft::driver::{Driver, ErrorOf, Listener, ListenerEvent, LogStore, StateStore};
use kwire_raft::log::snapshot::{SnapshotOptions, SnapshotReader, SnapshotWriter};
use kwire_raft::node::SnapshotContext;
use kwire_raft::types::{Epoch, NodeId, Offset, OffsetAndEpoch};

use crate::oracle::{Oracle, next_state};

/// An application, which lives as long as its node.
#[derive(Debug, Default)]
pub struct App {
    listener: Listener,
    state: u64,
    /// The offset after what it applied.
    applied: Offset,
    /// The offset that a listener is to hear of next; `None` before it heard of any.
    expected: Option<Offset>,
    leader: (Epoch, Option<NodeId>),
    heard: u32,
    /// Snapshots that it loaded.
    pub loaded: u64,
    /// Bootstrap checkpoints that it loaded.
    pub bootstrapped: u64,
}

impl App {
    /// The offset after what it applied.
    #[must_use]
    pub fn applied(&self) -> Offset {
        self.applied
    }

    /// Takes in all there is to hear. The inner error is a rule that was broken.
    ///
    /// # Errors
    /// When the store fails.
    pub fn listen<L: LogStore, S: StateStore>(
        &mut self,
        driver: &Driver<L, S>,
        oracle: Option<&Oracle>,
    ) -> Result<Result<(), String>, ErrorOf<L, S>> {
        while let Some(event) = self.listener.poll(driver, 2_000)? {
            let heard = match event {
                ListenerEvent::Commit { base, end, batches } => {
                    self.apply(base, end, &batches, oracle)
                }
                ListenerEvent::LoadSnapshot { id } => {
                    let size = usize::MAX;
                    let bytes = driver.log().read_snapshot(id, 0, size);
                    let bytes = bytes.map_err(kwire_raft::driver::DriverError::Log)?;
                    self.load(id, &bytes, oracle)
                }
                ListenerEvent::LeaderChange { epoch, leader } => self.led(epoch, leader),
                ListenerEvent::LoadBootstrap { .. } => {
                    self.bootstrapped += 1;
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(what) = heard {
                return Ok(Err(what));
            }
        }
        Ok(Ok(()))
    }

    fn apply(
        &mut self,
        base: Offset,
        end: Offset,
        batches: &Bytes,
        oracle: Option<&Oracle>,
    ) -> Result<(), String> {
        if self.expected.is_some_and(|expected| expected != base) {
            return Err(format!("heard of {base} instead of {:?}", self.expected));
        }
        for batch in Batches::new(batches).filter_map(Result::ok) {
            let mut hasher = DefaultHasher::new();
            batches.slice_ref(batch.bytes()).hash(&mut hasher);
            self.state = next_state(self.state, hasher.finish());
        }
        self.expected = Some(end);
        self.applied = end;
        self.check(oracle)
    }

    fn load(
        &mut self,
        id: OffsetAndEpoch,
        bytes: &Bytes,
        oracle: Option<&Oracle>,
    ) -> Result<(), String> {
        if self.expected.is_some_and(|expected| expected >= id.offset) {
            return Err(format!("is to load {id} after {:?}", self.expected));
        }
        self.state = read_state(bytes).ok_or_else(|| format!("snapshot {id} has no state"))?;
        self.expected = Some(id.offset);
        self.applied = id.offset;
        self.loaded += 1;
        self.check(oracle)
    }

    fn check(&self, oracle: Option<&Oracle>) -> Result<(), String> {
        let Some(oracle) = oracle else { return Ok(()) };
        let expected = oracle.state_at(self.applied);
        if expected != Some(self.state) {
            return Err(format!(
                "the state after {} is {:x}, and ought to be {expected:x?}",
                self.applied, self.state
            ));
        }
        Ok(())
    }

    /// At most twice an epoch, and never back.
    fn led(&mut self, epoch: Epoch, leader: Option<NodeId>) -> Result<(), String> {
        let (last, known) = self.leader;
        self.heard = if epoch == last { self.heard + 1 } else { 1 };
        if epoch < last || self.heard > 2 || (epoch == last && known.is_some()) {
            return Err(format!(
                "heard that {leader:?} leads {epoch} after {known:?} of {last}"
            ));
        }
        self.leader = (epoch, leader);
        Ok(())
    }

    /// The bytes of a snapshot of the present state.
    #[must_use]
    pub fn snapshot(&self, context: &SnapshotContext, padding: usize) -> Vec<u8> {
        let mut options = SnapshotOptions::new(context.id, 0, 0);
        options.kraft_version = context.kraft_version;
        options.voters = context.voters.clone().unwrap_or_default();
        options.max_batch_size = 1_000;
        let mut writer = SnapshotWriter::new(options);
        let mut bytes = writer.take();
        let mut value = self.state.to_be_bytes().to_vec();
        let mut left = padding;
        loop {
            let part = left.min(500);
            value.resize(8 + part, b'.');
            let record = NewRecord {
                timestamp: 0,
                value: Some(&value),
                ..Default::default()
            };
            writer.append(&record).expect("a small record");
            left -= part;
            if left == 0 {
                break;
            }
        }
        bytes.extend(writer.take());
        bytes.extend(writer.finish().expect("whole batches"));
        bytes
    }
}

fn read_state(bytes: &Bytes) -> Option<u64> {
    let read = |position: u64, max: usize| {
        let start = (position as usize).min(bytes.len());
        let end = start.saturating_add(max).min(bytes.len());
        Ok::<_, std::convert::Infallible>(bytes.slice(start..end))
    };
    let mut reader = SnapshotReader::new(bytes.len() as u64, read);
    while let Some(batch) = reader.next_batch().ok()? {
        let batch = Batches::new(&batch).next()?.ok()?;
        if batch.header()?.attributes.is_control() {
            continue;
        }
        let mut scratch = Vec::new();
        let mut records = batch.records(&mut scratch, &Limits::default()).ok()?;
        let record = records.next()?.ok()?;
        return Some(u64::from_be_bytes(*record.value?.first_chunk()?));
    }
    None
}
