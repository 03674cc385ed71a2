//! Snapshots that are written while the log is.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::error::LogError;
use super::files::{File, Files, Open};
use super::names;
use crate::types::OffsetAndEpoch;

/// Makes snapshots of a [`FileLog`](super::FileLog) on a thread of the application's. Once one is
/// made, [`finish_snapshot`](crate::driver::Driver::finish_snapshot) takes it in.
///
/// If that never happens, because the process ends, it is there all the same when the log is opened
/// anew: what is in it has to be committed, and durable in the log.
pub struct Beside<F: Files> {
    files: Arc<F>,
}

impl<F: Files> fmt::Debug for Beside<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside")
            .field("directory", &self.files.describe(""))
            .finish()
    }
}

impl<F: Files> Beside<F> {
    pub(super) fn new(files: Arc<F>) -> Beside<F> {
        Beside { files }
    }

    /// Writes a whole snapshot, durably and under its name.
    ///
    /// # Errors
    /// When the system fails. Then there is no such snapshot, and the log is as good as before.
    pub fn write_snapshot(&self, id: OffsetAndEpoch, bytes: &[u8]) -> Result<(), LogError> {
        let part = names::beside(id);
        let written = self.write(id, &part, bytes);
        if written.is_err() {
            // It may not be there, and opening the log would remove it.
            let _ = self.files.remove(&part);
        }
        written.map_err(LogError::io(|| self.files.describe(&part), "write"))
    }

    fn write(&self, id: OffsetAndEpoch, part: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.open(part, Open::Empty)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        self.files.set_read_only(part)?;
        self.files.rename(part, &names::snapshot(id))?;
        self.files.sync_dir()
    }
}
