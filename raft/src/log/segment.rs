//! A stretch of the log in one file, with its indexes.

use std::io;
use std::sync::Arc;

use super::error::{Flaw, LogError};
use super::files::{File, Files, Open};
use super::index::{Indexes, Noted};
use super::names;
use super::scan::{Chain, Glances, Scan, Scanned};
use crate::types::{Epoch, Offset};

/// A segment that is whole as far as it goes.
#[derive(Debug)]
pub(super) struct Segment<F> {
    pub(super) base: Offset,
    /// The offset after the last record.
    pub(super) end: Offset,
    pub(super) size: u64,
    pub(super) file: Arc<F>,
    pub(super) indexes: Indexes,
    /// The largest timestamp of the first batch that has one.
    pub(super) first_timestamp: Option<i64>,
}

/// Where a segment stops being whole.
#[derive(Clone, Debug)]
pub(super) struct Break {
    pub(super) position: u64,
    pub(super) offset: Offset,
    pub(super) flaw: Flaw,
    /// The bytes in the file.
    pub(super) len: u64,
}

/// Is told of each batch that is read, and of its bytes.
pub(super) type See<'a> = dyn FnMut(&Scanned, &[u8]) -> Result<(), LogError> + 'a;

/// The epochs at both ends of a segment that has any batch.
pub(super) type Ends = Option<(Epoch, Epoch)>;

impl<F: File> Segment<F> {
    /// A new segment without batches.
    pub(super) fn create(
        files: &impl Files<File = F>,
        base: Offset,
    ) -> Result<Segment<F>, LogError> {
        let create = || -> io::Result<F> {
            let file = files.open(&names::log(base), Open::Empty)?;
            files.open(&names::index(base), Open::Empty)?;
            files.open(&names::time_index(base), Open::Empty)?;
            files.sync_dir()?;
            Ok(file)
        };
        let file =
            create().map_err(LogError::io(|| files.describe(&names::log(base)), "create"))?;
        Ok(Segment {
            base,
            end: base,
            size: 0,
            file: Arc::new(file),
            indexes: Indexes::new(base),
            first_timestamp: None,
        })
    }

    /// Opens a segment and reads all of it, telling `see` of each batch, up to its end or where it
    /// is broken. The indexes are those that its batches call for.
    pub(super) fn scan(
        files: &impl Files<File = F>,
        base: Offset,
        chain: &mut Chain,
        interval: u32,
        see: &mut See<'_>,
    ) -> Result<(Segment<F>, Option<Break>), LogError> {
        let name = names::log(base);
        let describe = || files.describe(&name);
        let file = files.open(&name, Open::Write);
        let file = file.map_err(LogError::io(describe, "open"))?;
        let len = file.len().map_err(LogError::io(describe, "read"))?;
        let mut scan = Scan::new(&file, 0, len);
        let mut indexes = Indexes::new(base);
        let mut first_timestamp = None;
        let broken = loop {
            let flaw = match scan.next().map_err(LogError::io(describe, "read"))? {
                None => break None,
                Some(Err(flaw)) => Some(flaw),
                Some(Ok(batch)) => match chain.follow(&batch.header) {
                    Ok(()) => {
                        indexes.note(noted(&batch), interval);
                        first_timestamp = first_timestamp.or(timestamp(&batch));
                        see(&batch, scan.last_bytes(&batch))?;
                        continue;
                    }
                    // The scan has gone past it.
                    Err(flaw) => {
                        break Some(Break {
                            position: batch.position,
                            offset: chain.next,
                            flaw,
                            len,
                        });
                    }
                },
            };
            break flaw.map(|flaw| Break {
                position: scan.position(),
                offset: chain.next,
                flaw,
                len,
            });
        };
        let size = broken.as_ref().map_or(len, |broken| broken.position);
        let segment = Segment {
            base,
            end: chain.next,
            size,
            file: Arc::new(file),
            indexes,
            first_timestamp,
        };
        Ok((segment, broken))
    }

    /// Opens a segment that nothing was appended to any more, by its indexes; `None` if something
    /// about them or its last batches is odd, so that it has to be read as a whole.
    pub(super) fn load(
        files: &impl Files<File = F>,
        base: Offset,
        next_base: Offset,
    ) -> Result<Option<(Segment<F>, Ends)>, LogError> {
        let name = names::log(base);
        let load = || -> io::Result<Option<(Segment<F>, Ends)>> {
            let file = files.open(&name, Open::Write)?;
            let size = file.len()?;
            let Some(indexes) = Indexes::load(files, base, size)? else {
                return Ok(None);
            };
            let Some(first) = Glances::new(&file, size).at(0)? else {
                return Ok(None);
            };
            let start = indexes.offsets.last();
            let mut scan = Scan::new(&file, start.map_or(0, |last| last.position.into()), size);
            let mut chain = None;
            while let Some(batch) = scan.next()? {
                let Ok(batch) = batch else { return Ok(None) };
                let header = &batch.header;
                let chain = chain.get_or_insert(Chain {
                    next: header.base_offset,
                    epoch: header.partition_leader_epoch,
                });
                let expected = start.map(|last| base + i64::from(last.relative));
                let indexed = start.is_some_and(|last| u64::from(last.position) == batch.position);
                let follows = chain.follow(header).is_ok();
                if !follows || (indexed && expected != Some(header.last_offset())) {
                    return Ok(None);
                }
            }
            let Some(chain) = chain.filter(|chain| chain.next == next_base) else {
                return Ok(None);
            };
            if first.base != base {
                return Ok(None);
            }
            let segment = Segment {
                base,
                end: chain.next,
                size,
                file: Arc::new(file),
                indexes,
                first_timestamp: None,
            };
            Ok(Some((segment, Some((first.epoch, chain.epoch)))))
        };
        load().map_err(LogError::io(|| files.describe(&name), "read"))
    }

    /// The name of its file.
    pub(super) fn name(&self) -> String {
        names::log(self.base)
    }

    /// Takes note of a batch that was written at the end.
    pub(super) fn note(&mut self, last: Offset, max_timestamp: i64, len: u64, interval: u32) {
        let noted = Noted {
            last,
            max_timestamp,
            position: self.size,
            len,
        };
        self.indexes.note(noted, interval);
        if self.first_timestamp.is_none() && max_timestamp >= 0 {
            self.first_timestamp = Some(max_timestamp);
        }
        self.size += len;
        self.end = last + 1;
    }

    /// Where the batch with an offset starts, and what offset it has. `None` if the segment has no
    /// such batch, or is not what it was when it was opened.
    pub(super) fn find(&self, offset: Offset) -> io::Result<Option<(u64, Offset)>> {
        let mut position = self.indexes.position_before(offset);
        let mut glances = Glances::new(&*self.file, self.size);
        while let Some(glance) = glances.at(position)? {
            if glance.last >= offset {
                return Ok((glance.base <= offset).then_some((position, glance.base)));
            }
            position += glance.len;
        }
        Ok(None)
    }

    /// Where the batches end that start at a position, end before an offset and have so many bytes,
    /// or are the first. Says the offset after them, too.
    pub(super) fn extent(&self, start: u64, until: Offset, max_bytes: u64) -> io::Result<Extent> {
        if until >= self.end && self.size - start <= max_bytes {
            return Ok(Extent {
                end: self.size,
                next: Some(self.end),
            });
        }
        let limit = start.saturating_add(max_bytes);
        // Everything before a batch that has an entry and starts within the limits is within them.
        let indexed = self.indexes.last_within(limit, until).unwrap_or(0);
        let mut end = start.max(indexed);
        let mut next = None;
        let mut glances = Glances::new(&*self.file, self.size);
        while let Some(glance) = glances.at(end)? {
            let fits = end + glance.len <= limit || end == start;
            if glance.last >= until || !fits {
                next = Some(glance.base);
                break;
            }
            end += glance.len;
            next = Some(glance.last + 1);
        }
        Ok(Extent { end, next })
    }

    /// Forgets what lies at and after a batch, once the file was cut there.
    pub(super) fn cut(&mut self, position: u64, offset: Offset, interval: u32) -> io::Result<()> {
        let old = std::mem::replace(&mut self.indexes, Indexes::new(self.base));
        self.size = position;
        self.end = offset;
        if position == 0 {
            self.first_timestamp = None;
            return Ok(());
        }
        let from = self.indexes.restart(old, offset);
        let mut scan = Scan::new(&*self.file, from, position);
        while let Some(batch) = scan.next()? {
            let Ok(batch) = batch else { break };
            self.indexes.note_again(noted(&batch), interval);
        }
        if self.first_timestamp.is_none()
            && let Some(Ok(batch)) = Scan::new(&*self.file, 0, position).next()?
        {
            self.first_timestamp = timestamp(&batch);
        }
        Ok(())
    }
}

/// Where some batches end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) end: u64,
    /// The offset after them, if there is a batch at all.
    pub(super) next: Option<Offset>,
}

fn noted(batch: &Scanned) -> Noted {
    Noted {
        last: batch.header.last_offset(),
        max_timestamp: batch.header.max_timestamp,
        position: batch.position,
        len: batch.len as u64,
    }
}

fn timestamp(batch: &Scanned) -> Option<i64> {
    Some(batch.header.max_timestamp).filter(|&timestamp| timestamp >= 0)
}
