//! Makes snapshots of the state machine, and deletes what they stand for (KIP-630).
//!
//! Every node does so on its own, leader or not, as in Kafka. A snapshot is written on a thread of
//! its own; the node's thread only copies what is known, and takes the snapshot in when it is whole.

use std::error::Error;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use kwire_raft::driver::DriverError;
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::snapshot::SnapshotOptions;
use kwire_raft::log::{Beside, LogError};
use kwire_raft::node::{SnapshotContext, SnapshotError};
use kwire_raft::types::{Instant, OffsetAndEpoch};
use tracing::{debug, info, warn};

use crate::config::Retention;
use crate::machine::Machine;
use crate::runner::{FileDriver, FileDriverError, Handle, time_of_day_ms};
use crate::state::State;

/// The pause after a snapshot that could not be made.
const RETRY_MS: u64 = 5_000;
/// How often what is old is looked for. What is too much is looked for after each snapshot.
const CLEAN_MS: u64 = 60_000;
/// The same while a follower is fetching what would go.
const CLEAN_IN_USE_MS: u64 = 1_000;

/// A snapshot that is to be made.
struct Job {
    beside: Beside<StdFiles>,
    context: SnapshotContext,
    state: State,
}

/// What became of it.
struct Made {
    id: OffsetAndEpoch,
    outcome: Result<(), Box<dyn Error + Send + Sync>>,
}

/// Makes snapshots and deletes: a part of what a node's thread does in its turns.
pub struct Snapshots {
    retention: Retention,
    jobs: Option<mpsc::Sender<Job>>,
    made: mpsc::Receiver<Made>,
    thread: Option<JoinHandle<()>>,
    is_making: bool,
    /// The last one could not be made.
    is_owed: bool,
    last_at: Instant,
    retry_at: Instant,
    clean_at: Instant,
}

impl Snapshots {
    /// Starts the thread that writes them.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start(retention: Retention, node: Handle) -> io::Result<Snapshots> {
        let (jobs, received) = mpsc::channel::<Job>();
        let (sender, made) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || {
                for job in received {
                    if sender.send(job.run()).is_err() {
                        return;
                    }
                    // So that it has its turn. It may be gone.
                    let _ = node.command(|_, _| Ok(()));
                }
            })?;
        Ok(Snapshots {
            retention,
            jobs: Some(jobs),
            made,
            thread: Some(thread),
            is_making: false,
            is_owed: false,
            last_at: Instant(0),
            retry_at: Instant(0),
            clean_at: Instant(0),
        })
    }

    /// Does what is due. Returns when to come back.
    ///
    /// # Errors
    /// When the log failed. That a snapshot cannot be made is no such error: it is tried again.
    pub fn turn(
        &mut self,
        machine: &mut Machine,
        driver: &mut FileDriver,
        now: Instant,
    ) -> Result<Instant, FileDriverError> {
        while let Ok(made) = self.made.try_recv() {
            self.take_in(driver, now, made)?;
        }
        if !self.is_making && now >= self.retry_at && self.is_due(machine, driver, now) {
            self.begin(machine, driver, now);
        }
        if now >= self.clean_at {
            self.clean(driver, now)?;
        }
        Ok(self.again(now))
    }

    fn is_due(&self, machine: &Machine, driver: &FileDriver, now: Instant) -> bool {
        let latest = driver.node().snapshots().last().map_or(0, |id| id.offset);
        if machine.settled().end <= latest {
            return false;
        }
        let interval = self.retention.snapshot_interval_ms;
        self.is_owed
            || machine.bytes_since_snapshot() >= self.retention.snapshot_bytes
            || interval.is_some_and(|ms| now.since(self.last_at) >= ms)
    }

    fn begin(&mut self, machine: &mut Machine, driver: &FileDriver, now: Instant) {
        let settled = machine.settled();
        let context = match driver.node().prepare_snapshot(settled.end) {
            Ok(context) => context,
            Err(error) => {
                debug!(end = settled.end, "no snapshot now: {error}");
                self.retry_at = now.plus(RETRY_MS);
                return;
            }
        };
        let job = Job {
            beside: driver.log().beside(),
            context,
            state: machine.snapshot(),
        };
        self.is_making = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        self.last_at = now;
    }

    fn take_in(
        &mut self,
        driver: &mut FileDriver,
        now: Instant,
        made: Made,
    ) -> Result<(), FileDriverError> {
        let id = made.id;
        self.is_making = false;
        self.is_owed = made.outcome.is_err();
        if let Err(error) = made.outcome {
            warn!(%id, "a snapshot cannot be made, which is tried again: {error}");
            self.retry_at = now.plus(RETRY_MS);
            return Ok(());
        }
        match driver.finish_snapshot(now, id)? {
            Ok(info) => debug!(%id, bytes = info.size, "made a snapshot"),
            // The leader's own took the place of the log meanwhile.
            Err(error) => info!(%id, "made a snapshot in vain: {error}"),
        }
        self.clean_at = now;
        Ok(())
    }

    /// Deletes what there is too much of, the oldest first.
    fn clean(&mut self, driver: &mut FileDriver, now: Instant) -> Result<(), FileDriverError> {
        self.clean_at = now.plus(CLEAN_MS);
        loop {
            let next = driver
                .log()
                .cleanable(&self.retention.policy, time_of_day_ms());
            let id = match next {
                Ok(Some(id)) => id,
                Ok(None) => return Ok(()),
                Err(error @ LogError::Snapshot { .. }) => {
                    warn!("nothing can be deleted: {error}");
                    return Ok(());
                }
                Err(error) => return Err(DriverError::Log(error)),
            };
            match driver.command(now, |node| node.delete_before(now, id))? {
                Ok(()) => debug!(%id, "deleted what is before a snapshot"),
                Err(error) => {
                    debug!(%id, "deletes nothing now: {error}");
                    if matches!(error, SnapshotError::InUse(_)) {
                        self.clean_at = now.plus(CLEAN_IN_USE_MS);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn again(&self, now: Instant) -> Instant {
        let interval = self.retention.snapshot_interval_ms;
        let next = interval.map_or(Instant::NEVER, |ms| self.last_at.plus(ms));
        let next = match () {
            () if self.is_making => Instant::NEVER,
            () if self.is_owed => self.retry_at,
            // Once it is time and there is nothing new, a commit brings the next turn.
            () if next <= now => Instant::NEVER,
            () => next,
        };
        next.min(self.clean_at)
    }
}

impl Drop for Snapshots {
    /// Leaves no thread behind that writes to the directory.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Job {
    fn run(self) -> Made {
        let id = self.context.id;
        let now = time_of_day_ms();
        // Records count as old as this: their own timestamps are whatever clients say.
        let mut options = SnapshotOptions::new(id, now, now);
        options.kraft_version = self.context.kraft_version;
        options.voters = self.context.voters.unwrap_or_default();
        let outcome = match self.state.to_snapshot(options) {
            Ok(bytes) => self.beside.write_snapshot(id, &bytes).map_err(Into::into),
            Err(error) => Err(error.into()),
        };
        Made { id, outcome }
    }
}

#[cfg(test)]
mod tests {
    use kwire_raft::driver::LogStore;
    use kwire_raft::log::{FileLog, LogOptions, RetentionPolicy};
    use kwire_raft::types::Topic;

    use super::*;

    /// What was written after the oldest snapshot is as old as the next.
    #[test]
    fn nothing_is_deleted_before_its_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let topic = Topic::performance_test();
        let files = StdFiles::partition(dir.path(), &topic).expect("a directory");
        let mut log = FileLog::open(files, LogOptions::new(topic)).expect("a log");
        let ids = [1, 2].map(|end| OffsetAndEpoch::new(end, 1));
        for (id, made_at) in ids.into_iter().zip([0, 10_000]) {
            let state = Machine::new().snapshot();
            let bytes = state.to_snapshot(SnapshotOptions::new(id, made_at, made_at));
            let bytes = bytes.expect("short records");
            log.write_snapshot(id, 0, &bytes).expect("it is written");
            log.finish_snapshot(id).expect("it is whole");
        }
        let policy = RetentionPolicy {
            bytes: None,
            ms: Some(1_000),
        };
        let cleanable = |now_ms| log.cleanable(&policy, now_ms).expect("it is read");
        assert_eq!(cleanable(11_000), None);
        assert_eq!(cleanable(11_001), Some(ids[1]));
    }
}
