//! Tells the producers' state machine what the log has.

use kwire_protocol::records::Batches;
use kwire_raft::driver::{DriverError, LogRange, LogStore};
use kwire_raft::types::Instant;

use super::SharedProducers;
use crate::producers::Producers;
use crate::runner::{FileDriver, FileDriverError};

/// The most bytes of the log that are read in a turn, so that requests of others get theirs.
const TURN_BYTES: usize = 1 << 20;

/// Keeps the producers in step with the log: a part of what a node's thread does in its turns.
///
/// A follower does so too, so that it knows them at once when it leads. After a start all of the
/// log is read; until that is done, idempotent producers wait.
pub struct Replay {
    producers: SharedProducers,
}

impl Replay {
    /// Tells `producers` what the log has.
    #[must_use]
    pub fn new(producers: SharedProducers) -> Replay {
        Replay { producers }
    }

    /// Reads some of what was appended, or notes what was cut. Returns when to come back.
    ///
    /// It has to be called after each round of inputs: between two rounds a log is cut or grows, but
    /// never both, as a follower has to fetch again before it appends in place of what it cut.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn turn(&mut self, driver: &FileDriver, now: Instant) -> Result<Instant, FileDriverError> {
        let is_done = catch_up(&mut self.producers.lock(), driver)?;
        Ok(if is_done { Instant::NEVER } else { now })
    }
}

/// Whether the producers have heard of all that the log has now.
pub(super) fn catch_up(
    producers: &mut Producers,
    driver: &FileDriver,
) -> Result<bool, FileDriverError> {
    let log = driver.log();
    let (start, end) = (log.start(), log.end());
    if producers.next_offset() < start || !producers.cut(end) {
        producers.restart(start);
    }
    let next = producers.next_offset();
    if next < end {
        // What was just appended is still in memory, and not copied.
        let range = log.range(next, end, TURN_BYTES);
        let parts = range.and_then(|range| range.parts());
        for part in parts.map_err(DriverError::Log)? {
            for batch in Batches::new(&part).map_while(Result::ok) {
                // The log may start within a batch.
                if let Some(header) = batch.header()
                    && header.last_offset() >= next
                {
                    producers.add(header);
                }
            }
        }
    }
    if let Some(high_watermark) = driver.node().high_watermark() {
        producers.settle(high_watermark);
    }
    Ok(producers.next_offset() >= end)
}
