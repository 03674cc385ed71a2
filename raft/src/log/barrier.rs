//! Makes a log durable, on whatever thread it is asked to.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::LogError;
use super::files::File;
use super::marks::RecoveryPoint;
use crate::driver::Barrier;
use crate::types::Offset;

/// Makes durable what was appended to a [`FileLog`](super::FileLog) before it was taken.
///
/// One sync serves all barriers that waited for it, and those taken while it ran wait for the next.
pub struct FileBarrier<F: File> {
    number: u64,
    shared: Arc<Shared<F>>,
}

impl<F: File> fmt::Debug for FileBarrier<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBarrier")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl<F: File> Barrier for FileBarrier<F> {
    type Error = LogError;

    fn sync(self) -> Result<(), LogError> {
        self.shared.sync(self.number)
    }
}

/// What a log and its barriers have in common.
pub(super) struct Shared<F> {
    /// Held while the log is synced, cut or rolled, so that a recovery point is written by one at a
    /// time and never after the log was cut below it.
    syncing: Mutex<RecoveryPoint<F>>,
    progress: Mutex<Progress<F>>,
}

/// How far the log is written and durable.
pub(super) struct Progress<F> {
    /// The segment that is appended to; those before it are durable.
    pub(super) file: Arc<F>,
    /// Its name for people.
    pub(super) name: String,
    /// The generation of the log, for the recovery point.
    pub(super) generation: u64,
    /// The number of the last operation.
    pub(super) written: u64,
    /// The log end offset after it.
    pub(super) end: Offset,
    /// The number of the last operation that is durable.
    pub(super) synced: u64,
    /// What was the first to fail: nothing is certain any more, and nothing is to be written.
    pub(super) failure: Option<String>,
}

impl<F> Progress<F> {
    /// Notes what failed. Whoever hears of it later is told of that, too: it may be the one that says
    /// why the node stops.
    pub(super) fn fail(&mut self, error: &LogError) {
        self.failure.get_or_insert_with(|| error.to_string());
    }
}

impl<F: File> Shared<F> {
    pub(super) fn new(point: RecoveryPoint<F>, progress: Progress<F>) -> Arc<Shared<F>> {
        Arc::new(Shared {
            syncing: Mutex::new(point),
            progress: Mutex::new(progress),
        })
    }

    pub(super) fn barrier(self: &Arc<Self>) -> FileBarrier<F> {
        FileBarrier {
            number: self.progress().written,
            shared: Arc::clone(self),
        }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress<F>> {
        lock(&self.progress)
    }

    /// Waits for a sync that runs, and lets none begin as long as the guard lives.
    pub(super) fn pause(&self) -> MutexGuard<'_, RecoveryPoint<F>> {
        lock(&self.syncing)
    }

    fn sync(&self, number: u64) -> Result<(), LogError> {
        if self.is_done(number)? {
            return Ok(());
        }
        let point = self.pause();
        // Whoever had the lock before may have done it.
        if self.is_done(number)? {
            return Ok(());
        }
        let (file, written, end, generation) = {
            let progress = self.progress();
            let file = Arc::clone(&progress.file);
            (file, progress.written, progress.end, progress.generation)
        };
        let synced = file.sync();
        // Written after the log was synced, so that it never says more than is true.
        let synced = synced.and_then(|()| point.save(generation, end));
        let mut progress = self.progress();
        if let Err(error) = synced {
            let name = progress.name.clone();
            let error = LogError::io(|| name, "sync")(error);
            progress.fail(&error);
            return Err(error);
        }
        progress.synced = progress.synced.max(written);
        Ok(())
    }

    fn is_done(&self, number: u64) -> Result<bool, LogError> {
        let progress = self.progress();
        if progress.synced >= number {
            Ok(true)
        } else if let Some(cause) = progress.failure.clone() {
            Err(LogError::Failed { cause })
        } else {
            Ok(false)
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
