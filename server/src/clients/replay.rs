//! Tells the state machine what the log has.

use kwire_protocol::records::Batches;
use kwire_raft::driver::{DriverError, LogRange, LogStore};
use kwire_raft::log::snapshot::{SnapshotError, SnapshotReader};
use kwire_raft::log::{FileLog, LogError};
use kwire_raft::types::{Instant, OffsetAndEpoch, SnapshotInfo};
use tracing::{info, warn};

use crate::machine::{Machine, Told};
use crate::runner::{FileDriver, FileDriverError};
use crate::state::{LoadError, State};

/// The most bytes of the log that are read in a turn, so that requests of others get theirs.
const TURN_BYTES: usize = 1 << 20;

/// Keeps the state machine in step with the log: a part of what a node's thread does in its turns.
/// Returns when to come back.
///
/// A follower does so too, so that it knows the producers at once when it leads. After a start the
/// log is read from the latest snapshot on; until that is done, idempotent producers wait.
///
/// It has to be called after each round of inputs: between two rounds a log is cut or grows, but
/// never both, as a follower has to fetch again before it appends in place of what it cut.
///
/// # Errors
/// When the log cannot be read.
pub fn replay(
    machine: &mut Machine,
    driver: &FileDriver,
    now: Instant,
) -> Result<Instant, FileDriverError> {
    let is_done = catch_up(machine, driver)?;
    Ok(if is_done { Instant::NEVER } else { now })
}

/// Whether the state machine has heard of all that the log has now.
pub(super) fn catch_up(
    machine: &mut Machine,
    driver: &FileDriver,
) -> Result<bool, FileDriverError> {
    let log = driver.log();
    let (start, end) = (log.start(), log.end());
    if machine.next_offset() < start || !machine.cut(end) {
        restore(machine, log).map_err(DriverError::Log)?;
    }
    let next = machine.next_offset();
    if next < end {
        // What was just appended is still in memory, and not copied.
        let range = log.range(next, end, TURN_BYTES);
        let parts = range.and_then(|range| range.parts());
        for part in parts.map_err(DriverError::Log)? {
            for batch in Batches::new(&part).map_while(Result::ok) {
                // The log may start within a batch.
                if let Some(told) = Told::of(&batch)
                    && told.header.last_offset() >= next
                {
                    machine.add(&told);
                }
            }
        }
    }
    if let Some(high_watermark) = driver.node().high_watermark() {
        // A snapshot is not to speak of what a crash may still take from this log.
        machine.settle(high_watermark.min(driver.node().flushed()));
    }
    Ok(machine.next_offset() >= end)
}

/// Begins with the latest snapshot that has a state, or else where the log does.
///
/// # Errors
/// When the disk fails. A snapshot that makes no sense is told of and passed over: what it knew is
/// not known then, as if the log's beginning had been removed without one.
pub fn restore(machine: &mut Machine, log: &FileLog) -> Result<(), LogError> {
    for info in log.snapshots().rev() {
        let id = info.id;
        let is_usable = (log.start()..=log.end()).contains(&id.offset);
        if !is_usable || id == OffsetAndEpoch::BOOTSTRAP {
            continue;
        }
        match load(log, info) {
            Ok(Some(state)) => {
                machine.restore(id.offset, &state);
                info!(%id, producers = state.producers.producers.len(), "restored what is known from a snapshot");
                return Ok(());
            }
            Ok(None) => warn!(%id, "a snapshot of another program's says nothing of producers"),
            Err(LoadError::Snapshot(SnapshotError::Read(error))) => return Err(error),
            Err(error) => warn!(%id, "a snapshot cannot be loaded: {error}"),
        }
    }
    machine.restart(log.start());
    Ok(())
}

fn load(log: &FileLog, info: SnapshotInfo) -> Result<Option<State>, LoadError<LogError>> {
    let read = |position, max| log.read_snapshot(info.id, position, max);
    State::from_snapshot(SnapshotReader::new(info.size, read))
}
