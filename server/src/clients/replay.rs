//! Tells the state machine what the log has.

use kwire_protocol::records::Batches;
use kwire_raft::driver::{DriverError, LogRange, LogStore};
use kwire_raft::log::snapshot::{SnapshotError, SnapshotReader};
use kwire_raft::log::{FileLog, LogError};
use kwire_raft::types::{Instant, Offset, OffsetAndEpoch, SnapshotInfo};
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
    let node = driver.node();
    // A snapshot is not to speak of what a crash may still take from this log.
    let settled = node.high_watermark().map(|to| to.min(node.flushed()));
    follow(machine, driver.log(), settled).map_err(DriverError::Log)
}

/// The same of a log, which stays as it is before an offset.
fn follow(machine: &mut Machine, log: &FileLog, settled: Option<Offset>) -> Result<bool, LogError> {
    if !take_back(machine, log) {
        restore(machine, log)?;
    }
    let end = log.end();
    let next = machine.next_offset();
    if next < end {
        // What was just appended is still in memory, and not copied.
        let range = log.range(next, end, TURN_BYTES);
        for part in range.and_then(|range| range.parts())? {
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
    if let Some(settled) = settled {
        machine.settle(settled);
    }
    Ok(machine.next_offset() >= end)
}

/// Takes back what the log has given up. Returns whether the rest is what the log has, as far as
/// was told; if not, it has to be told anew.
///
/// The log is asked, and not only where it starts and ends: a snapshot may take its place that ends
/// within what was told, and what follows a cut may reach as far as what was cut off.
fn take_back(machine: &mut Machine, log: &FileLog) -> bool {
    let (before, now) = (machine.undone, log.undone());
    machine.undone = now;
    if before.installs != now.installs || machine.next_offset() < log.start() {
        return false;
    }
    match now.cuts.wrapping_sub(before.cuts) {
        0 => true,
        1 => machine.cut(now.cut_to),
        // The last may not have been the lowest. What is settled is never cut off.
        _ => machine.cut(machine.settled().end),
    }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::logs::{append, install, open};
    use super::*;
    use crate::producers::{Sequenced, Verdict};

    /// Producers of the first batch, of the one that is lost, and of the one in its place.
    const FIRST: i64 = 1;
    const LOST: i64 = 7;
    const OTHER: i64 = 8;

    /// What is known of a producer's first batch.
    fn check(machine: &Machine, producer_id: i64) -> Verdict {
        machine.producers.check(&Sequenced {
            producer_id,
            epoch: 0,
            first: 0,
            last: 0,
            base: 0,
            end: 0,
        })
    }

    fn follow_all(machine: &mut Machine, log: &FileLog, settled: Offset) {
        assert!(follow(machine, log, Some(settled)).expect("it is read"));
    }

    /// A leader's log that goes on after offset 1, where nothing of it was committed.
    fn with_lost_tail(dir: &Path) -> (FileLog, Machine) {
        let (mut log, mut machine) = (open(dir), Machine::new());
        append(&mut log, 1, FIRST, 1);
        append(&mut log, 1, LOST, 1);
        append(&mut log, 1, -1, 20);
        follow_all(&mut machine, &log, 1);
        let lost = Verdict::Duplicate { base: 1, end: 1 };
        assert_eq!(check(&machine, LOST), lost);
        (log, machine)
    }

    /// What others went on with from offset 1 to 4.
    fn state_of_others() -> State {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut log, mut machine) = (open(dir.path()), Machine::new());
        append(&mut log, 1, FIRST, 1);
        append(&mut log, 2, OTHER, 1);
        append(&mut log, 2, -1, 2);
        follow_all(&mut machine, &log, 4);
        machine.snapshot()
    }

    fn assert_others(machine: &Machine) {
        assert_eq!(check(machine, LOST), Verdict::Append);
        for (producer, at) in [(FIRST, 0), (OTHER, 1)] {
            let known = Verdict::Duplicate { base: at, end: at };
            assert_eq!(check(machine, producer), known);
        }
    }

    #[test]
    fn a_snapshot_that_ends_within_a_lost_tail_takes_its_place() {
        let state = state_of_others();
        // What is fetched behind it, before anybody looks.
        for behind in [0, 1, 18, 19, 30] {
            let dir = tempfile::tempdir().expect("a directory");
            let (mut log, mut machine) = with_lost_tail(dir.path());
            install(&mut log, 4, 2, &state);
            if behind > 0 {
                append(&mut log, 2, -1, behind);
            }
            let end = log.end();
            follow_all(&mut machine, &log, end);
            assert_eq!(machine.next_offset(), end);
            assert_others(&machine);
            // A node that starts now knows the same.
            let mut started = Machine::new();
            restore(&mut started, &log).expect("it is read");
            follow_all(&mut started, &log, end);
            assert_eq!(machine.snapshot(), started.snapshot());
        }
    }

    #[test]
    fn a_tail_may_be_cut_off_and_replaced_before_anybody_looks() {
        for (cuts, behind) in [(1, 1), (1, 20), (1, 30), (2, 1), (2, 20), (2, 30)] {
            let dir = tempfile::tempdir().expect("a directory");
            let (mut log, mut machine) = with_lost_tail(dir.path());
            log.truncate(1).expect("a batch begins there");
            append(&mut log, 2, OTHER, 1);
            if cuts == 2 {
                append(&mut log, 2, -1, 9);
                log.truncate(2).expect("a batch begins there");
            }
            append(&mut log, 3, -1, behind);
            let end = log.end();
            follow_all(&mut machine, &log, end);
            assert_eq!(machine.next_offset(), end);
            assert_others(&machine);
        }
    }

    #[test]
    fn what_is_cut_off_is_not_known() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut log, mut machine) = with_lost_tail(dir.path());
        log.truncate(1).expect("a batch begins there");
        follow_all(&mut machine, &log, 1);
        assert_eq!((machine.next_offset(), log.end()), (1, 1));
        assert_eq!(check(&machine, LOST), Verdict::Append);
    }

    /// Own snapshots change nothing of what is known.
    #[test]
    fn a_log_whose_beginning_is_deleted_is_known_as_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut log, mut machine) = with_lost_tail(dir.path());
        let id = OffsetAndEpoch::new(2, 1);
        machine.settle(2);
        let options = kwire_raft::log::snapshot::SnapshotOptions::new(id, 0, 0);
        let bytes = machine.snapshot().to_snapshot(options).expect("short");
        log.write_snapshot(id, 0, &bytes).expect("it is written");
        log.finish_snapshot(id).expect("it is whole");
        log.delete_before(id).expect("it is there");
        let before = machine.clone();
        follow_all(&mut machine, &log, 2);
        assert_eq!(machine, before);
    }
}
