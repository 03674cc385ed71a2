//! Where bytes of a log are, for whoever reads or sends them later.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::error::LogError;
use super::files::File;
use super::tail::Found;
use crate::driver::LogRange;
use crate::types::Offset;

/// Where some bytes of a log or a snapshot are: in a file, or still in memory.
///
/// One in a file keeps it open: segments and snapshots that were removed meanwhile can be read all
/// the same. A segment that was truncated cannot: it is too short then, or has other batches there,
/// which are as whole as those that the range was made for. See [`LogRange`] for which ranges a
/// driver therefore hands out.
pub struct Range<F> {
    place: Place<F>,
    len: u64,
    /// For a log, the offset after them.
    next_offset: Option<Offset>,
}

enum Place<F> {
    /// Whole batches.
    Memory(Vec<Bytes>),
    File {
        file: Arc<F>,
        /// Its name, for people.
        name: String,
        /// The first byte.
        position: u64,
    },
}

impl<F> Range<F> {
    pub(super) fn in_file(
        file: &Arc<F>,
        name: String,
        position: u64,
        len: u64,
        next_offset: Option<Offset>,
    ) -> Range<F> {
        let file = Arc::clone(file);
        Range {
            place: Place::File {
                file,
                name,
                position,
            },
            len,
            next_offset,
        }
    }

    pub(super) fn in_memory(found: Found) -> Range<F> {
        Range {
            place: Place::Memory(found.parts),
            len: found.len as u64,
            next_offset: Some(found.next),
        }
    }
}

impl<F> Range<F> {
    /// The file and the position of the first byte in it, for whoever has the system send it; `None`
    /// if the bytes are in memory.
    #[must_use]
    pub fn file(&self) -> Option<(&F, u64)> {
        match &self.place {
            Place::Memory(_) => None,
            Place::File { file, position, .. } => Some((file, *position)),
        }
    }
}

impl<F> Clone for Range<F> {
    fn clone(&self) -> Range<F> {
        let place = match &self.place {
            Place::Memory(parts) => Place::Memory(parts.clone()),
            Place::File {
                file,
                name,
                position,
            } => Place::File {
                file: Arc::clone(file),
                name: name.clone(),
                position: *position,
            },
        };
        Range { place, ..*self }
    }
}

impl<F> fmt::Debug for Range<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Range");
        match &self.place {
            Place::Memory(parts) => out.field("parts", &parts.len()),
            Place::File { name, position, .. } => {
                out.field("file", name).field("position", position)
            }
        };
        out.field("len", &self.len)
            .field("next_offset", &self.next_offset)
            .finish()
    }
}

/// Parts of so many bytes as one; a single one is not copied.
pub(super) fn join(mut parts: Vec<Bytes>, len: usize) -> Bytes {
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut bytes = BytesMut::with_capacity(len);
    for part in parts {
        bytes.extend_from_slice(&part);
    }
    bytes.freeze()
}

impl<F: File> LogRange for Range<F> {
    type Error = LogError;

    fn len(&self) -> u64 {
        self.len
    }

    fn next_offset(&self) -> Option<Offset> {
        self.next_offset
    }

    fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    fn read(&self) -> Result<Bytes, LogError> {
        Ok(join(self.parts()?, self.len as usize))
    }

    fn parts(&self) -> Result<Vec<Bytes>, LogError> {
        let (file, name, position) = match &self.place {
            Place::Memory(parts) => return Ok(parts.clone()),
            Place::File {
                file,
                name,
                position,
            } => (file, name, *position),
        };
        let io = |error| LogError::io(|| name.clone(), "read")(error);
        let mut bytes = vec![0; self.len as usize];
        let read = file.read_at(&mut bytes, position);
        if read.map_err(io)? < bytes.len() {
            return Err(io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(vec![bytes.into()])
    }
}
