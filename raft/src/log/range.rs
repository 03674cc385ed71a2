//! Where bytes of a log lie, for whoever reads or sends them later.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::error::LogError;
use super::files::File;
use crate::driver::LogRange;
use crate::types::Offset;

/// Where some bytes of a log or a snapshot lie.
///
/// It keeps the file open: segments and snapshots that were removed meanwhile can be read all the
/// same. A segment that was truncated cannot: it is too short then, or has other batches there,
/// which are as whole as those that the range was made for. See [`LogRange`] for which ranges a
/// driver therefore hands out.
pub struct Range<F> {
    /// The file.
    pub file: Arc<F>,
    /// Its name, for people.
    pub name: String,
    /// The first byte.
    pub position: u64,
    /// How many bytes.
    pub len: u64,
    /// For a log, the offset after them.
    pub next_offset: Option<Offset>,
}

impl<F> Clone for Range<F> {
    fn clone(&self) -> Range<F> {
        Range {
            file: Arc::clone(&self.file),
            name: self.name.clone(),
            ..*self
        }
    }
}

impl<F> fmt::Debug for Range<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range")
            .field("file", &self.name)
            .field("position", &self.position)
            .field("len", &self.len)
            .field("next_offset", &self.next_offset)
            .finish()
    }
}

impl<F: File> LogRange for Range<F> {
    type Error = LogError;

    fn len(&self) -> u64 {
        self.len
    }

    fn next_offset(&self) -> Option<Offset> {
        self.next_offset
    }

    fn read(&self) -> Result<Bytes, LogError> {
        let io = |error| LogError::io(|| self.name.clone(), "read")(error);
        let mut bytes = vec![0; self.len as usize];
        let read = self.file.read_at(&mut bytes, self.position);
        if read.map_err(io)? < bytes.len() {
            return Err(io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes.into())
    }
}
