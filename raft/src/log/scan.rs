//! Reads a segment batch by batch.

use std::io;

use kwire_protocol::records::{BatchHeader, Batches};

use super::error::Flaw;
use super::files::File;
use crate::types::{Epoch, Offset};

/// The least that is read at once.
const CHUNK: usize = 256 << 10;

/// The bytes before a batch's records.
pub(super) const HEADER_LEN: usize = 61;

/// The bytes up to the end of a batch's length field, which it does not count.
const LENGTH_END: usize = 12;

/// The batches of a file, each held against its checksum.
pub(super) struct Scan<'f, F> {
    file: &'f F,
    /// Where the next batch starts.
    position: u64,
    end: u64,
    chunk: Vec<u8>,
    /// What of the chunk lies before `position`.
    used: usize,
}

/// A batch of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    pub(super) position: u64,
    pub(super) len: usize,
    pub(super) header: BatchHeader,
}

impl<'f, F: File> Scan<'f, F> {
    pub(super) fn new(file: &'f F, position: u64, end: u64) -> Scan<'f, F> {
        Scan {
            file,
            position,
            end,
            chunk: Vec::new(),
            used: 0,
        }
    }

    /// Where the next batch starts, or the one that is flawed.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, `None` at the end of the file. After a flaw there is no going on.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<Scanned, Flaw>>> {
        if self.position >= self.end {
            return Ok(None);
        }
        if !self.fill(LENGTH_END)? {
            return Ok(Some(Err(Flaw::Partial)));
        }
        let declared = self
            .ahead(LENGTH_END)
            .get(8..)
            .and_then(|b| b.first_chunk());
        let declared = i32::from_be_bytes(*declared.unwrap_or(&[0; 4]));
        // What is too short is for the batch's reader to refuse.
        let whole = usize::try_from(declared).unwrap_or(0) + LENGTH_END;
        let whole = whole.max(LENGTH_END + 5);
        if !self.fill(whole)? {
            return Ok(Some(Err(Flaw::Partial)));
        }
        let header = match Batches::validated(self.ahead(whole)).next() {
            None => Err(Flaw::Partial),
            Some(Err(error)) => Err(Flaw::Batch(error)),
            Some(Ok(batch)) => match batch.header() {
                Some(header) => Ok(*header),
                None => Err(Flaw::Magic(batch.magic())),
            },
        };
        Ok(Some(header.map(|header| {
            let position = self.position;
            self.position += whole as u64;
            self.used += whole;
            Scanned {
                position,
                len: whole,
                header,
            }
        })))
    }

    /// The bytes of the batch that was given last.
    pub(super) fn last_bytes(&self, last: &Scanned) -> &[u8] {
        let start = self.used.saturating_sub(last.len);
        self.chunk.get(start..self.used).unwrap_or_default()
    }

    fn ahead(&self, len: usize) -> &[u8] {
        let rest = self.chunk.get(self.used..).unwrap_or_default();
        rest.get(..len).unwrap_or_default()
    }

    /// Has so many bytes in the chunk; false if the file has not.
    fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if (needed as u64) > self.end - self.position {
            return Ok(false);
        }
        if self.chunk.len() - self.used < needed {
            let left = self.end - self.position;
            let wanted = left.min(needed.max(CHUNK) as u64) as usize;
            self.chunk.resize(wanted, 0);
            self.used = 0;
            let read = self.file.read_at(&mut self.chunk, self.position)?;
            self.chunk.truncate(read);
        }
        Ok(self.chunk.len() - self.used >= needed)
    }
}

/// What the next batch of a log has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) next: Offset,
    pub(super) epoch: Epoch,
}

impl Chain {
    /// Takes a batch that follows on the last, and refuses any other.
    pub(super) fn follow(&mut self, header: &BatchHeader) -> Result<(), Flaw> {
        let found = header.base_offset;
        let last = found.checked_add(header.last_offset_delta.into());
        let next = last.and_then(|last| last.checked_add(1));
        match next {
            Some(next) if found == self.next && header.last_offset_delta >= 0 => {
                if header.partition_leader_epoch < self.epoch {
                    return Err(Flaw::Epoch {
                        found: header.partition_leader_epoch,
                        before: self.epoch,
                    });
                }
                self.next = next;
                self.epoch = header.partition_leader_epoch;
                Ok(())
            }
            _ => Err(Flaw::Offset { found }),
        }
    }
}

/// What a reader looks at in the headers of batches that were verified before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) epoch: Epoch,
    pub(super) len: u64,
}

impl Glance {
    pub(super) fn read(bytes: &[u8]) -> Option<Glance> {
        let base = i64::from_be_bytes(*bytes.first_chunk()?);
        let number = |at: usize| Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let len = u64::try_from(number(8)?).ok()? + LENGTH_END as u64;
        let delta = number(23)?;
        (len >= HEADER_LEN as u64 && delta >= 0).then_some(Glance {
            base,
            last: base.checked_add(delta.into())?,
            epoch: number(LENGTH_END)?,
            len,
        })
    }
}

/// Goes from header to header of a segment, reading a little at a time.
pub(super) struct Glances<'f, F> {
    file: &'f F,
    size: u64,
    window: [u8; 4096],
    start: u64,
    len: usize,
}

impl<'f, F: File> Glances<'f, F> {
    pub(super) fn new(file: &'f F, size: u64) -> Glances<'f, F> {
        Glances {
            file,
            size,
            window: [0; 4096],
            start: 0,
            len: 0,
        }
    }

    /// The batch at a position; `None` where there is none.
    pub(super) fn at(&mut self, position: u64) -> io::Result<Option<Glance>> {
        if position + HEADER_LEN as u64 > self.size {
            return Ok(None);
        }
        let inside =
            position >= self.start && position + HEADER_LEN as u64 <= self.start + self.len as u64;
        if !inside {
            self.len = self.file.read_at(&mut self.window, position)?;
            self.start = position;
        }
        let from = (position - self.start) as usize;
        let bytes = self.window.get(from..self.len).unwrap_or_default();
        let glance = Glance::read(bytes);
        Ok(glance.filter(|glance| glance.len <= self.size - position))
    }
}
