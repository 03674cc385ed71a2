//! Opens a directory and makes one log of what a crash left in it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use kwire_protocol::records::Batches;

use super::barrier::{Progress, Shared};
use super::epochs::Epochs;
use super::error::LogError;
use super::file_log::FileLog;
use super::files::{File, Files};
use super::marks::{RecoveryPoint, State};
use super::names::{self, Name};
use super::segment::{Break, Segment};
use super::shelf::Shelf;
use super::tail::Tail;
use super::{LogOptions, Undone, metadata, small};
use crate::control::{Control, read_controls};
use crate::log::scan::Chain;
use crate::types::{Offset, OffsetAndEpoch, Recovered};

/// What was found and mended when a log was opened. Its text says it in a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How far the log was known to be durable; 0 if nothing said so.
    pub recovery_point: Offset,
    /// From where on every batch was held against its checksum.
    pub verified_from: Offset,
    /// What was cut off at the end of the log, because a crash left it in pieces.
    pub dropped: Option<Dropped>,
    /// The snapshot that took the place of the log.
    pub restarted_at: Option<OffsetAndEpoch>,
    /// The segments whose indexes were written anew.
    pub indexed: Vec<String>,
    /// Whether `leader-epoch-checkpoint` was written anew.
    pub epochs_rewritten: bool,
    /// The files that were removed: what an interrupted operation left, and what lies below the
    /// start of the log.
    pub removed: Vec<String>,
}

/// The end of a log that a crash left in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The segment.
    pub file: String,
    /// The byte from which on nothing is left.
    pub position: u64,
    /// The offset at which the log ends now.
    pub offset: Offset,
    /// The bytes that are gone.
    pub bytes: u64,
    /// What was wrong with them.
    pub flaw: super::Flaw,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (point, verified) = (self.recovery_point, self.verified_from);
        write!(
            f,
            "durable up to {point} at the least, verified from {verified} on"
        )?;
        if let Some(dropped) = &self.dropped {
            write!(
                f,
                "\ndropped {} bytes at byte {} of {}, offset {}: {}",
                dropped.bytes, dropped.position, dropped.file, dropped.offset, dropped.flaw
            )?;
        }
        if let Some(id) = self.restarted_at {
            write!(f, "\nthe log starts anew at the end of the snapshot, {id}")?;
        }
        for name in &self.indexed {
            write!(f, "\nwrote the indexes of {name} anew")?;
        }
        if self.epochs_rewritten {
            write!(f, "\nwrote {} anew", names::EPOCHS)?;
        }
        for name in &self.removed {
            write!(f, "\nremoved {name}")?;
        }
        Ok(())
    }
}

/// The state of opening a directory.
struct Opening<F: Files> {
    files: F,
    options: LogOptions,
    state: State,
    point: RecoveryPoint<F::File>,
    shelf: Shelf<F::File>,
    /// The base offsets of the segments.
    bases: Vec<Offset>,
    segments: Vec<Segment<F::File>>,
    epochs: Epochs,
    controls: Vec<(Offset, Control)>,
    report: Recovery,
}

pub(super) fn open<F: Files>(files: F, options: LogOptions) -> Result<FileLog<F>, LogError> {
    let state = State::load(&files)?;
    let point = RecoveryPoint::open(&files)?;
    metadata::check_or_write(&files, &options.topic)?;
    let (bases, snapshots, removed) = clean_up(&files)?;
    let mut opening = Opening {
        shelf: Shelf::open(&files, snapshots)?,
        report: Recovery {
            recovery_point: state.recovery_point.max(point.load(state.generation)),
            removed,
            ..Recovery::default()
        },
        files,
        options,
        state,
        point,
        bases,
        segments: Vec::new(),
        epochs: Epochs::default(),
        controls: Vec::new(),
    };
    opening.finish_install()?;
    let log_start = opening.find_start()?;
    opening.read_segments(log_start)?;
    let log_start = opening.follow_snapshot(log_start)?;
    opening.finish(log_start)
}

/// Removes what interrupted operations left; gives the segments, the snapshots, what was removed.
#[expect(clippy::type_complexity, reason = "three lists, taken apart at once")]
fn clean_up<F: Files>(
    files: &F,
) -> Result<(Vec<Offset>, Vec<OffsetAndEpoch>, Vec<String>), LogError> {
    let listed = files.list();
    let listed = listed.map_err(LogError::io(|| files.describe(""), "list"))?;
    let mut bases = BTreeSet::new();
    let mut indexes = Vec::new();
    let mut snapshots = Vec::new();
    let mut removed = Vec::new();
    for name in listed {
        match Name::parse(&name) {
            Name::Log(base) => {
                bases.insert(base);
            }
            Name::Snapshot(id) => snapshots.push(id),
            Name::Index(base) | Name::TimeIndex(base) => indexes.push((base, name)),
            Name::Leftover => removed.push(name),
            Name::Other => {}
        }
    }
    let orphans = indexes
        .into_iter()
        .filter(|(base, _)| !bases.contains(base));
    removed.extend(orphans.map(|(_, name)| name));
    for name in &removed {
        small::remove(files, name)?;
    }
    Ok((bases.into_iter().collect(), snapshots, removed))
}

impl<F: Files> Opening<F> {
    /// Goes on where a crash interrupted a snapshot's taking the place of the log.
    fn finish_install(&mut self) -> Result<(), LogError> {
        let Some(id) = self.state.installing else {
            return Ok(());
        };
        if self.shelf.contains(id) {
            self.restart_at(id)
        } else {
            // The crash came before the snapshot was there: nothing was removed yet.
            self.state.installing = None;
            self.state.save(&self.files)
        }
    }

    /// Removes the whole log and starts it anew at the end of a snapshot.
    fn restart_at(&mut self, id: OffsetAndEpoch) -> Result<(), LogError> {
        let (state, shelf) = (&mut self.state, &mut self.shelf);
        let (_, removed) = restart(&self.files, state, shelf, &self.bases, id)?;
        self.report.removed.extend(removed);
        self.report.restarted_at = Some(id);
        self.report.recovery_point = id.offset;
        self.bases = vec![id.offset];
        Ok(())
    }

    /// Where the log starts. Removes the segments below.
    fn find_start(&mut self) -> Result<Offset, LogError> {
        let ends = || self.shelf.ids().map(|id| id.offset);
        let Some(&first) = self.bases.first() else {
            let start = ends().max().unwrap_or(0);
            Segment::create(&self.files, start)?;
            self.bases.push(start);
            return Ok(start);
        };
        let floor = first.max(self.state.log_start);
        // Kafka's own mark lies in another directory, but a log that starts above 0 does so where
        // its earliest snapshot ends.
        let start = match ends().filter(|&end| end >= floor).min() {
            _ if floor == 0 => 0,
            Some(start) => start,
            None if first == 0 => 0,
            None => {
                let file = self.files.describe(&names::log(first));
                return Err(LogError::NoSnapshot { file, start: first });
            }
        };
        let below = self.bases.partition_point(|&base| base <= start);
        for base in self.bases.drain(..below.saturating_sub(1)) {
            self.report
                .removed
                .extend(remove_segment(&self.files, base)?);
        }
        Ok(start)
    }

    fn read_segments(&mut self, log_start: Offset) -> Result<(), LogError> {
        let snapshot = self.shelf.latest();
        // Control records are wanted from the latest snapshot on, and what may have been written
        // last is never believed unseen.
        let wanted = snapshot.map_or(0, |id| id.offset);
        let holds = self.bases.partition_point(|&base| base <= wanted);
        let active = self.bases.len().saturating_sub(1);
        let mut first_scanned = holds.saturating_sub(1).min(active);
        let known = Epochs::load(&self.files)?;
        if self.options.verify_all || known.is_none() {
            first_scanned = 0;
        }
        if let Some(id) = snapshot {
            let controls = self.shelf.verify(&self.files, id)?;
            let at = |control| (id.offset - 1, control);
            self.controls.extend(controls.into_iter().map(at));
        }
        if !self.load_closed(first_scanned, known.as_ref())? {
            self.segments.clear();
            first_scanned = 0;
        }
        self.take_over_epochs(first_scanned, known.as_ref());
        let first_base = self.bases.get(first_scanned).copied();
        self.report.verified_from = first_base.unwrap_or(log_start);
        self.scan_from(first_scanned, wanted)?;
        let end = self.segments.last().map_or(log_start, |last| last.end);
        self.epochs.cut_start(log_start, end);
        let differ = known.as_ref() != Some(&self.epochs);
        if differ {
            self.epochs.save(&self.files, true)?;
        }
        let expected = known.is_some() || end > 0;
        self.report.epochs_rewritten = differ && expected;
        Ok(())
    }

    /// The epochs before the segments that are scanned.
    fn take_over_epochs(&mut self, first_scanned: usize, known: Option<&Epochs>) {
        if let (Some(known), Some(&base)) = (known, self.bases.get(first_scanned))
            && first_scanned > 0
        {
            self.epochs = known.clone();
            self.epochs.cut_end(base);
        }
    }

    /// Opens the segments before the first that is scanned. False if they are not what the indexes
    /// and the epochs say, so that all have to be scanned.
    fn load_closed(&mut self, until: usize, known: Option<&Epochs>) -> Result<bool, LogError> {
        let pairs: Vec<_> = self.bases.windows(2).take(until).collect();
        for pair in pairs {
            let &[base, next] = pair else {
                return Ok(false);
            };
            let Some((segment, ends)) = Segment::load(&self.files, base, next)? else {
                return Ok(false);
            };
            let at = |offset| known.and_then(|epochs| epochs.at(offset));
            // What the epochs say of offsets below the log's start is nothing.
            let believed = ends.is_none_or(|(first, last)| {
                at(next - 1) == Some(last) && at(base).is_none_or(|epoch| epoch == first)
            });
            if !believed {
                return Ok(false);
            }
            self.segments.push(segment);
        }
        Ok(true)
    }

    fn scan_from(&mut self, first: usize, wanted: Offset) -> Result<(), LogError> {
        let bases: Vec<Offset> = self.bases.get(first..).unwrap_or_default().to_vec();
        let mut chain = Chain {
            next: bases.first().copied().unwrap_or(0),
            epoch: self.epochs.last(),
        };
        for (index, &base) in bases.iter().enumerate() {
            let later = bases.get(index + 1..).unwrap_or_default();
            let (segment, broken) = self.scan(base, &mut chain, wanted)?;
            let missing = later.first().filter(|&&next| next != segment.end);
            let broken = broken.or(missing.map(|&next| Break {
                position: segment.size,
                offset: segment.end,
                flaw: super::Flaw::Missing { next },
                len: segment.size,
            }));
            match broken {
                Some(broken) => return self.drop_end(segment, broken, later),
                None => self.keep(segment)?,
            }
        }
        Ok(())
    }

    fn scan(
        &mut self,
        base: Offset,
        chain: &mut Chain,
        wanted: Offset,
    ) -> Result<(Segment<F::File>, Option<Break>), LogError> {
        let (files, epochs, controls) = (&self.files, &mut self.epochs, &mut self.controls);
        let interval = self.options.index_interval_bytes;
        Segment::scan(files, base, chain, interval, &mut |batch, bytes| {
            let header = &batch.header;
            epochs.note(header.partition_leader_epoch, header.base_offset);
            if !header.attributes.is_control() || header.base_offset < wanted {
                return Ok(());
            }
            let explain = |error| LogError::Control {
                file: files.describe(&names::log(base)),
                position: batch.position,
                error,
            };
            for batch in Batches::new(bytes) {
                let found = batch.map_err(|error| explain(error.into()))?;
                controls.extend(read_controls(&found).map_err(explain)?);
            }
            Ok(())
        })
    }

    fn keep(&mut self, mut segment: Segment<F::File>) -> Result<(), LogError> {
        let closed = self.segments.len() + 1 < self.bases.len();
        if closed {
            segment.indexes.close();
        }
        let name = segment.name();
        let describe = || self.files.describe(&name);
        let saved = segment.indexes.save(&self.files);
        if saved.map_err(LogError::io(describe, "index"))? {
            self.report.indexed.push(name);
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Cuts off what a crash left in pieces, or refuses to, because it cannot have been a crash.
    fn drop_end(
        &mut self,
        segment: Segment<F::File>,
        broken: Break,
        later: &[Offset],
    ) -> Result<(), LogError> {
        let file = self.files.describe(&segment.name());
        let io = |error| LogError::io(|| file.clone(), "cut")(error);
        let mut followed = false;
        for &base in later {
            let mut chain = Chain {
                next: base,
                epoch: 0,
            };
            let (next, _) = self.scan(base, &mut chain, Offset::MAX)?;
            followed |= next.size > 0;
        }
        if followed || broken.offset < self.report.recovery_point {
            return Err(LogError::Corrupt {
                file,
                position: broken.position,
                offset: broken.offset,
                flaw: broken.flaw,
            });
        }
        for &base in later.iter().rev() {
            self.report
                .removed
                .extend(remove_segment(&self.files, base)?);
            self.files.sync_dir().map_err(io)?;
        }
        self.bases.retain(|base| !later.contains(base));
        segment.file.set_len(broken.position).map_err(io)?;
        self.report.dropped = Some(Dropped {
            file: file.clone(),
            position: broken.position,
            offset: broken.offset,
            bytes: broken.len - broken.position,
            flaw: broken.flaw,
        });
        self.keep(segment)
    }

    /// A snapshot that ends beyond the log stands for what the log has lost, or never had.
    /// Gives where the log starts.
    fn follow_snapshot(&mut self, log_start: Offset) -> Result<Offset, LogError> {
        let end = self.segments.last().map_or(log_start, |last| last.end);
        let end_id = OffsetAndEpoch::new(end, self.epochs.last());
        let beyond = self
            .shelf
            .latest()
            .filter(|id| id.offset > end || *id > end_id);
        // Where nothing is left to cut, the epoch of the last record is the snapshot's.
        let empty = |id: &OffsetAndEpoch| end == log_start && id.offset == end;
        if let Some(id) = beyond.filter(|id| !empty(id)) {
            self.restart_at(id)?;
            self.segments.clear();
            self.epochs = Epochs::default();
            self.controls.retain(|(offset, _)| *offset < id.offset);
            self.segments.push(Segment::create(&self.files, id.offset)?);
            return Ok(id.offset);
        }
        if end < self.report.recovery_point {
            let last = self.segments.last().map_or(0, |last| last.base);
            return Err(LogError::Lost {
                file: self.files.describe(&names::log(last)),
                end,
                recovery_point: self.report.recovery_point,
            });
        }
        Ok(log_start)
    }

    fn finish(mut self, log_start: Offset) -> Result<FileLog<F>, LogError> {
        let removed = self
            .shelf
            .retain(&self.files, |id| id.offset >= log_start)?;
        self.report.removed.extend(removed);
        let Some(active) = self.segments.last() else {
            let cause = "there is no segment".to_owned();
            return Err(LogError::Failed { cause });
        };
        let name = self.files.describe(&active.name());
        // Whatever is there was read, but may never have been durable.
        let synced = active.file.sync().and_then(|()| self.files.sync_dir());
        synced.map_err(LogError::io(|| name.clone(), "sync"))?;
        let generation = self.state.generation;
        let saved = self.point.save(generation, active.end);
        saved.map_err(LogError::io(|| name.clone(), "note how far it goes,"))?;
        let progress = Progress {
            file: active.file.clone(),
            name,
            generation,
            written: 0,
            end: active.end,
            synced: 0,
            failure: None,
        };
        let recovered = Recovered {
            quorum_state: None,
            log_start,
            log_end: active.end,
            epochs: self.epochs.0.clone(),
            snapshots: self.shelf.infos().collect(),
            controls: self.controls,
        };
        let shared = Shared::new(self.point, progress);
        let tail = Tail::new(self.options.tail_bytes);
        Ok(FileLog {
            files: Arc::new(self.files),
            options: self.options,
            state: Arc::new(Mutex::new(self.state)),
            log_start,
            segments: self.segments,
            epochs: self.epochs,
            tail,
            shelf: self.shelf,
            shared,
            recovered,
            recovery: self.report,
            removals: VecDeque::new(),
            undone: Undone::default(),
        })
    }
}

/// Removes a segment and its indexes; gives their names. The directory is to be synced afterwards.
pub(super) fn remove_segment<F: Files>(files: &F, base: Offset) -> Result<Vec<String>, LogError> {
    let mut removed = Vec::new();
    for name in [
        names::log(base),
        names::index(base),
        names::time_index(base),
    ] {
        if small::remove(files, &name)? {
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Removes all segments and starts anew at the end of a snapshot, in steps that opening the
/// directory takes again after a crash. Gives the new segment, and what was removed.
pub(super) fn restart<F: Files>(
    files: &F,
    state: &mut State,
    shelf: &mut Shelf<F::File>,
    bases: &[Offset],
    id: OffsetAndEpoch,
) -> Result<(Segment<F::File>, Vec<String>), LogError> {
    *state = State {
        generation: state.generation + 1,
        log_start: id.offset,
        recovery_point: id.offset,
        installing: Some(id),
    };
    state.save(files)?;
    let mut removed = Vec::new();
    for &base in bases {
        removed.extend(remove_segment(files, base)?);
    }
    let segment = Segment::create(files, id.offset)?;
    removed.extend(shelf.retain(files, |other| *other == id)?);
    Epochs::default().save(files, true)?;
    state.installing = None;
    state.save(files)?;
    Ok((segment, removed))
}
