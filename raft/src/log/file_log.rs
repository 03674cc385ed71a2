//! The log of one partition in a directory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kwire_protocol::records::Batches;

use super::barrier::{FileBarrier, Shared, lock};
use super::beside::Beside;
use super::epochs::Epochs;
use super::error::{Flaw, LogError};
use super::files::{File, Files, StdFiles};
use super::marks::State;
use super::range::{Range, join};
use super::recover::{self, Recovery, remove_segment};
use super::removal::Removal;
use super::scan::Chain;
use super::segment::Segment;
use super::shelf::Shelf;
use super::tail::Tail;
use super::{LogOptions, Undone, names};
use crate::driver::{Barrier, Chore, Installed, LogRange, LogStore};
use crate::types::{Offset, OffsetAndEpoch, Recovered, SnapshotInfo};

/// A log in Kafka's format, with its snapshots, in a directory.
///
/// [The module](super) says what it writes and what it believes when it is opened.
pub struct FileLog<F: Files = StdFiles> {
    pub(super) files: Arc<F>,
    pub(super) options: LogOptions,
    /// Locked while the file is written, so that none that is older follows.
    pub(super) state: Arc<Mutex<State>>,
    pub(super) log_start: Offset,
    /// One at least; the last is appended to.
    pub(super) segments: Vec<Segment<F::File>>,
    pub(super) epochs: Epochs,
    pub(super) tail: Tail,
    pub(super) shelf: Shelf<F::File>,
    pub(super) shared: Arc<Shared<F::File>>,
    pub(super) recovered: Recovered,
    pub(super) recovery: Recovery,
    /// What was taken out of the log and is still in the directory.
    pub(super) removals: VecDeque<Removal<F>>,
    pub(super) undone: Undone,
}

impl<F: Files> fmt::Debug for FileLog<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLog")
            .field("directory", &self.files.describe(""))
            .field("start", &self.log_start)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

impl<F: Files> FileLog<F> {
    /// Opens a directory, makes it a log if it is empty, and mends what a crash left.
    ///
    /// # Errors
    /// When the system fails, when a batch is damaged that no crash can have damaged, when a small
    /// file cannot be read, or when the directory is another topic's.
    pub fn open(files: F, options: LogOptions) -> Result<FileLog<F>, LogError> {
        recover::open(files, options)
    }

    /// What was found and mended when the log was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The first offset.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.log_start
    }

    /// The offset after the last record.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.segments.last().map_or(self.log_start, |last| last.end)
    }

    /// What was taken back of the log since it was opened.
    #[must_use]
    pub fn undone(&self) -> Undone {
        self.undone
    }

    /// The bytes of all segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// The snapshots, in ascending order.
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = SnapshotInfo> {
        self.shelf.infos()
    }

    /// A way to make snapshots on another thread, which keeps nobody from writing to the log.
    #[must_use]
    pub fn beside(&self) -> Beside<F> {
        Beside::new(Arc::clone(&self.files))
    }

    /// Makes everything durable, and what opening the log anew would have to find out.
    ///
    /// # Errors
    /// When the system fails.
    pub fn close(mut self) -> Result<(), LogError> {
        self.alive()?;
        while let Some(chore) = self.chore() {
            chore.run()?;
        }
        self.flush_indexes(true)?;
        self.epochs.save(&self.files, true)?;
        self.barrier().sync()
    }

    pub(super) fn alive(&self) -> Result<(), LogError> {
        match &self.shared.progress().failure {
            Some(cause) => Err(LogError::Failed {
                cause: cause.clone(),
            }),
            None => Ok(()),
        }
    }

    /// What follows on an error: nothing.
    fn or_fail<T>(&self, done: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error) = &done {
            self.shared.progress().fail(error);
        }
        done
    }

    /// Holds batches against the end of the log before anything is written.
    fn check(&self, base: Offset, batches: &Bytes) -> Result<(), LogError> {
        let end = self.end();
        let refuse = |flaw| LogError::Append { end, flaw };
        let mut chain = Chain {
            next: end,
            epoch: self.epochs.last(),
        };
        if base != end {
            return Err(refuse(Flaw::Offset { found: base }));
        }
        let mut iter = Batches::new(batches);
        for batch in &mut iter {
            let batch = batch.map_err(|error| refuse(Flaw::Batch(error)))?;
            let magic = Flaw::Magic(batch.magic());
            let header = batch.header().ok_or(refuse(magic))?;
            chain.follow(header).map_err(refuse)?;
        }
        if iter.remainder() > 0 {
            return Err(refuse(Flaw::Partial));
        }
        Ok(())
    }

    /// Writes batches that were checked: in one go, but for where a segment is full.
    fn write(&mut self, batches: &Bytes) -> Result<(), LogError> {
        let interval = self.options.index_interval_bytes;
        let mut new_epoch = false;
        // What was noted but not written, as bytes of `batches` and a place in the segment.
        let mut run = 0..0;
        let mut place = self.segments.last().map_or(0, |active| active.size);
        for batch in Batches::new(batches) {
            let Ok(batch) = batch else { break };
            let Some(header) = batch.header() else { break };
            let (last, time) = (header.last_offset(), header.max_timestamp);
            let len = batch.bytes().len() as u64;
            let active = self.segments.last();
            if active.is_some_and(|active| self.options.is_full(active, last, time, len)) {
                self.write_run(batches, &run, place)?;
                self.roll()?;
                run.start = run.end;
                place = 0;
            }
            if let Some(active) = self.segments.last_mut() {
                active.note(last, time, len, interval);
            }
            new_epoch |= self
                .epochs
                .note(header.partition_leader_epoch, header.base_offset);
            run.end += batch.bytes().len();
        }
        self.write_run(batches, &run, place)?;
        if new_epoch {
            self.epochs.save(&self.files, false)?;
        }
        self.flush_indexes(false)?;
        let end = self.end();
        let mut progress = self.shared.progress();
        progress.written += 1;
        progress.end = end;
        Ok(())
    }

    fn write_run(
        &self,
        batches: &Bytes,
        run: &std::ops::Range<usize>,
        place: u64,
    ) -> Result<(), LogError> {
        let bytes = batches.get(run.clone()).unwrap_or_default();
        match self.segments.last() {
            Some(active) if !bytes.is_empty() => {
                let written = active.file.write_at(bytes, place);
                let name = || self.files.describe(&active.name());
                written.map_err(LogError::io(name, "append to"))
            }
            _ => Ok(()),
        }
    }

    fn flush_indexes(&mut self, all: bool) -> Result<(), LogError> {
        let Some(active) = self.segments.last_mut() else {
            return Ok(());
        };
        let flushed = active.indexes.flush(&self.files, all);
        let name = || self.files.describe(&names::index(active.base));
        flushed.map_err(LogError::io(name, "append to"))
    }

    /// Begins a new segment. What lies before it is durable first: only the last segment of a log
    /// may ever be torn.
    fn roll(&mut self) -> Result<(), LogError> {
        if let Some(active) = self.segments.last_mut() {
            active.indexes.close();
        }
        self.flush_indexes(true)?;
        let shared = Arc::clone(&self.shared);
        let _paused = shared.pause();
        if let Some(active) = self.segments.last() {
            let name = || self.files.describe(&active.name());
            let synced = active.file.sync();
            synced.map_err(LogError::io(name, "sync"))?;
        }
        self.epochs.save(&self.files, true)?;
        let segment = Segment::create(&self.files, self.end())?;
        let mut progress = shared.progress();
        progress.file = Arc::clone(&segment.file);
        progress.name = self.files.describe(&segment.name());
        progress.synced = progress.written;
        self.segments.push(segment);
        Ok(())
    }

    /// Cuts the log at a batch of a segment. Nothing is written behind the cut before it is
    /// durable, so that batches of two histories never lie side by side.
    fn cut(&mut self, index: usize, position: u64, to: Offset) -> Result<(), LogError> {
        let shared = Arc::clone(&self.shared);
        let point = shared.pause();
        let files = &self.files;
        let Some(segment) = self.segments.get(index) else {
            return Ok(());
        };
        let name = files.describe(&segment.name());
        let io = |error| LogError::io(|| name.clone(), "cut")(error);
        // Recovery points beyond the cut must not count any more when it is made.
        segment.file.sync().map_err(io)?;
        let generation = {
            let mut state = lock(&self.state);
            state.generation += 1;
            state.recovery_point = to;
            state.save(files)?;
            state.generation
        };
        for segment in self.segments.drain(index + 1..).rev() {
            // One after the other, so that a crash leaves no gap.
            remove_segment(files, segment.base)?;
            files.sync_dir().map_err(io)?;
        }
        let Some(segment) = self.segments.last_mut() else {
            return Ok(());
        };
        segment.file.set_len(position).map_err(io)?;
        segment.file.sync().map_err(io)?;
        segment
            .cut(position, to, self.options.index_interval_bytes)
            .map_err(io)?;
        segment.indexes.save(files).map_err(io)?;
        if self.epochs.cut_end(to) {
            self.epochs.save(files, true)?;
        }
        let mut progress = shared.progress();
        progress.file = Arc::clone(&segment.file);
        progress.name.clone_from(&name);
        progress.generation = generation;
        progress.written += 1;
        progress.synced = progress.written;
        progress.end = to;
        point.save(progress.generation, to).map_err(io)
    }

    /// Where the batch starts that is the first to go, and in which segment.
    fn boundary(&self, to: Offset) -> Result<(usize, u64), LogError> {
        let no_boundary = LogError::NoBoundary { offset: to };
        let at = self.segments.partition_point(|segment| segment.base <= to);
        let Some((index, segment)) = at
            .checked_sub(1)
            .and_then(|at| Some((at, self.segments.get(at)?)))
        else {
            return Err(no_boundary);
        };
        let found = segment.find(to);
        let name = || self.files.describe(&segment.name());
        match found.map_err(LogError::io(name, "read"))? {
            Some((position, base)) if base == to => Ok((index, position)),
            _ => Err(no_boundary),
        }
    }

    fn install(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, LogError> {
        let shared = Arc::clone(&self.shared);
        let point = shared.pause();
        let state = Arc::clone(&self.state);
        let mut state = lock(&state);
        // From when the snapshot has its name on, a crash no longer hinders it.
        state.installing = Some(id);
        state.save(&self.files)?;
        let info = self.shelf.finish(&self.files, id)?;
        let bases: Vec<Offset> = self
            .segments
            .drain(..)
            .map(|segment| segment.base)
            .collect();
        let (files, shelf) = (&self.files, &mut self.shelf);
        let (segment, _) = recover::restart(files, &mut state, shelf, &bases, id)?;
        self.log_start = id.offset;
        self.epochs = Epochs::default();
        let mut progress = shared.progress();
        progress.file = Arc::clone(&segment.file);
        progress.name = self.files.describe(&segment.name());
        progress.generation = state.generation;
        progress.written += 1;
        progress.synced = progress.written;
        progress.end = id.offset;
        self.segments.push(segment);
        let name = progress.name.clone();
        let saved = point.save(progress.generation, id.offset);
        saved.map_err(LogError::io(|| name, "note how far it goes,"))?;
        Ok(info)
    }

    /// The files go later: to note down durably where the log starts, and to remove what may be
    /// large, takes longer than whoever appends is to wait.
    fn delete(&mut self, id: OffsetAndEpoch) -> Result<(), LogError> {
        let start = self.log_start.max(id.offset);
        self.log_start = start;
        let whole = self
            .segments
            .partition_point(|segment| segment.base <= start);
        let segments = self.segments.drain(..whole.saturating_sub(1));
        self.removals.push_back(Removal {
            files: Arc::clone(&self.files),
            state: Arc::clone(&self.state),
            shared: Arc::clone(&self.shared),
            start,
            segments: segments.map(|segment| segment.base).collect(),
            snapshots: self.shelf.forget(|other| *other >= id),
        });
        let end = self.end();
        if self.epochs.cut_start(start, end) {
            self.epochs.save(&self.files, false)?;
        }
        Ok(())
    }
}

impl<F: Files> LogStore for FileLog<F> {
    type Error = LogError;
    type Barrier = FileBarrier<F::File>;
    type Range = Range<F::File>;

    fn recovered(&mut self) -> Result<Recovered, LogError> {
        Ok(self.recovered.clone())
    }

    fn append(&mut self, base: Offset, batches: &Bytes) -> Result<(), LogError> {
        self.alive()?;
        self.check(base, batches)?;
        let written = self.write(batches);
        self.or_fail(written)?;
        self.tail.append(base, self.end(), batches);
        Ok(())
    }

    /// What it did is durable when it returns.
    fn truncate(&mut self, to: Offset) -> Result<(), LogError> {
        self.alive()?;
        let to = to.max(self.log_start);
        if to == self.end() {
            return Ok(());
        }
        let (index, position) = self.boundary(to)?;
        self.tail.cut(to);
        self.undone.cuts += 1;
        self.undone.cut_to = to;
        let cut = self.cut(index, position, to);
        self.or_fail(cut)
    }

    fn barrier(&mut self) -> FileBarrier<F::File> {
        self.shared.barrier()
    }

    fn read(&self, from: Offset, until: Offset, max_bytes: usize) -> Result<Bytes, LogError> {
        let until = until.min(self.end());
        let (mut parts, mut len, mut next) = (Vec::new(), 0, from);
        // One segment after the other, or from where a file goes on that memory begins.
        loop {
            let left = max_bytes.saturating_sub(len);
            let range = self.range(next, until, left)?;
            // Empty if the next batch reaches beyond the limit; one that is too long may come first.
            if range.is_empty() || (len > 0 && range.len() > left as u64) {
                break;
            }
            len += range.len() as usize;
            next = range.next_offset().unwrap_or(until);
            parts.extend(range.parts()?);
            if next >= until {
                break;
            }
        }
        Ok(join(parts, len))
    }

    fn range(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Range<F::File>, LogError> {
        let (start, end) = (self.log_start, self.end());
        let outside = LogError::Outside {
            offset: from,
            start,
            end,
        };
        let until = until.min(end);
        if from >= start
            && let Some(found) = self.tail.find(from, until, max_bytes)
        {
            return Ok(Range::in_memory(found));
        }
        let at = self
            .segments
            .partition_point(|segment| segment.base <= from);
        let segment = at.checked_sub(1).and_then(|at| self.segments.get(at));
        let Some(segment) = segment.filter(|_| (start..=end).contains(&from)) else {
            return Err(outside);
        };
        let describe = || self.files.describe(&segment.name());
        let range = |position, len, next: Offset| {
            Range::in_file(&segment.file, describe(), position, len, Some(next))
        };
        if from >= until {
            return Ok(range(segment.size, 0, from));
        }
        let io = |error| LogError::io(describe, "read")(error);
        let Some((position, base)) = segment.find(from).map_err(io)? else {
            // The file is not what it was when it was opened.
            return Err(LogError::Corrupt {
                file: describe(),
                position: segment.indexes.position_before(from),
                offset: from,
                flaw: Flaw::Partial,
            });
        };
        let extent = segment
            .extent(position, until, max_bytes as u64)
            .map_err(io)?;
        let next = extent.next.unwrap_or(base);
        Ok(range(position, extent.end - position, next))
    }

    fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        self.alive()?;
        self.shelf.write(&self.files, id, position, bytes)
    }

    fn finish_snapshot(&mut self, id: OffsetAndEpoch) -> Result<SnapshotInfo, LogError> {
        self.alive()?;
        if self.shelf.is_unfinished(id) {
            return self.shelf.finish(&self.files, id);
        }
        self.shelf.take_in(&self.files, id)
    }

    fn install_snapshot(&mut self, id: OffsetAndEpoch) -> Result<Installed, LogError> {
        self.alive()?;
        let controls = match self.shelf.verify_unfinished(&self.files, id) {
            Ok(controls) => controls,
            Err(LogError::Snapshot { damage, .. }) => {
                self.shelf.drop_unfinished(&self.files, Some(id))?;
                let reason = damage.to_string();
                return Ok(Installed::Refused { reason });
            }
            Err(error) => return Err(error),
        };
        self.tail.clear();
        self.undone.installs += 1;
        let installed = self.install(id);
        let info = self.or_fail(installed)?;
        Ok(Installed::Done { info, controls })
    }

    fn drop_unfinished_snapshots(&mut self) -> Result<(), LogError> {
        self.alive()?;
        self.shelf.drop_unfinished(&self.files, None)
    }

    fn read_snapshot(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Bytes, LogError> {
        self.shelf.read(&self.files, id, position, max_bytes)
    }

    fn snapshot_range(
        &self,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Range<F::File>, LogError> {
        let (file, size) = self.shelf.get(id)?;
        let position = position.min(size);
        let name = self.files.describe(&names::snapshot(id));
        let len = (size - position).min(max_bytes as u64);
        Ok(Range::in_file(file, name, position, len, None))
    }

    fn delete_before(&mut self, id: OffsetAndEpoch) -> Result<(), LogError> {
        self.alive()?;
        if !self.shelf.contains(id) {
            return Err(LogError::UnknownSnapshot { id });
        }
        if id.offset > self.end() {
            return Err(LogError::Outside {
                offset: id.offset,
                start: self.log_start,
                end: self.end(),
            });
        }
        let deleted = self.delete(id);
        self.or_fail(deleted)
    }

    fn chore(&mut self) -> Option<Chore<LogError>> {
        let removal = self.removals.pop_front()?;
        Some(Chore::new(move || removal.run()))
    }
}
