//! Files that no longer belong to the log, and are still to be removed.

use std::sync::{Arc, Mutex};

use super::barrier::{Shared, lock};
use super::error::LogError;
use super::files::Files;
use super::marks::State;
use super::recover::remove_segment;
use super::{names, small};
use crate::types::{Offset, OffsetAndEpoch};

/// The log starts later than it did: this removes what lies before.
///
/// The log's own thread does not wait for it. It may write to the log, cut it and install a snapshot
/// in its place meanwhile: those segments and snapshots lie before what is committed, to where no
/// log ever comes back.
pub(super) struct Removal<F: Files> {
    pub(super) files: Arc<F>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) shared: Arc<Shared<F::File>>,
    /// Where the log starts.
    pub(super) start: Offset,
    /// The base offsets of whole segments before that.
    pub(super) segments: Vec<Offset>,
    pub(super) snapshots: Vec<OffsetAndEpoch>,
}

impl<F: Files> Removal<F> {
    pub(super) fn run(self) -> Result<(), LogError> {
        let removed = self.remove();
        if let Err(error) = &removed {
            self.shared.progress().fail(error);
        }
        removed
    }

    fn remove(&self) -> Result<(), LogError> {
        let files = &*self.files;
        {
            let mut state = lock(&self.state);
            // Noted down first: segments below it are then removed whatever is left of them.
            if state.log_start < self.start {
                state.log_start = self.start;
                state.save(files)?;
            }
        }
        for base in &self.segments {
            remove_segment(files, *base)?;
        }
        for id in &self.snapshots {
            small::remove(files, &names::snapshot(*id))?;
        }
        let synced = files.sync_dir();
        synced.map_err(LogError::io(|| files.describe(""), "sync"))
    }
}
