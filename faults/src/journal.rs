//! What was done to a quorum, and when: kept beside its logs.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::failure::Failure;

pub(crate) struct Journal {
    file: File,
    began: Instant,
}

impl Journal {
    pub(crate) fn begin(path: &Path) -> Result<Journal, Failure> {
        Ok(Journal {
            file: File::create(path).map_err(Failure::file(path))?,
            began: Instant::now(),
        })
    }

    /// Writes a line.
    pub(crate) fn note(&mut self, what: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        // It is for people; nothing depends on it.
        let _ = writeln!(self.file, "{seconds:9.3} {what}");
    }
}
