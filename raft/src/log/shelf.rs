//! The snapshots in a directory, those that are finished and those that are not.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::error::LogError;
use super::files::{File, Files, Open};
use super::names;
use super::small;
use super::snapshot::{self, SnapshotError, SnapshotReader};
use crate::control::Control;
use crate::types::{OffsetAndEpoch, SnapshotInfo};

/// Snapshots, by where they end.
#[derive(Debug)]
pub(super) struct Shelf<F> {
    finished: BTreeMap<OffsetAndEpoch, Finished<F>>,
    unfinished: BTreeMap<OffsetAndEpoch, Unfinished<F>>,
}

#[derive(Debug)]
struct Finished<F> {
    file: Arc<F>,
    size: u64,
}

#[derive(Debug)]
struct Unfinished<F> {
    file: F,
    len: u64,
}

impl<F: File> Shelf<F> {
    /// Opens those that are finished.
    pub(super) fn open(
        files: &impl Files<File = F>,
        ids: impl IntoIterator<Item = OffsetAndEpoch>,
    ) -> Result<Shelf<F>, LogError> {
        let mut shelf = Shelf {
            finished: BTreeMap::new(),
            unfinished: BTreeMap::new(),
        };
        for id in ids {
            shelf.put(files, id)?;
        }
        Ok(shelf)
    }

    pub(super) fn infos(&self) -> impl DoubleEndedIterator<Item = SnapshotInfo> {
        let info = |(&id, finished): (&OffsetAndEpoch, &Finished<F>)| SnapshotInfo {
            id,
            size: finished.size,
        };
        self.finished.iter().map(info)
    }

    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = OffsetAndEpoch> {
        self.finished.keys().copied()
    }

    pub(super) fn latest(&self) -> Option<OffsetAndEpoch> {
        self.ids().next_back()
    }

    pub(super) fn contains(&self, id: OffsetAndEpoch) -> bool {
        self.finished.contains_key(&id)
    }

    /// The file of a finished snapshot, and its size.
    pub(super) fn get(&self, id: OffsetAndEpoch) -> Result<(&Arc<F>, u64), LogError> {
        let finished = self.finished.get(&id);
        let finished = finished.ok_or(LogError::UnknownSnapshot { id })?;
        Ok((&finished.file, finished.size))
    }

    pub(super) fn write(
        &mut self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        let name = names::unfinished(id);
        let describe = || files.describe(&name);
        if position == 0 {
            let file = files.open(&name, Open::Empty);
            let file = file.map_err(LogError::io(describe, "create"))?;
            self.unfinished.insert(id, Unfinished { file, len: 0 });
        }
        let unfinished = self.unfinished.get_mut(&id);
        let unfinished = unfinished.ok_or(LogError::UnknownSnapshot { id })?;
        let len = unfinished.len;
        if position != len {
            return Err(LogError::SnapshotGap { id, len, position });
        }
        let written = unfinished.file.write_at(bytes, position);
        written.map_err(LogError::io(describe, "write"))?;
        unfinished.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes a snapshot whole and durable, under its name.
    pub(super) fn finish(
        &mut self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
    ) -> Result<SnapshotInfo, LogError> {
        let unfinished = self.unfinished.remove(&id);
        let Unfinished { file, len } = unfinished.ok_or(LogError::UnknownSnapshot { id })?;
        let part = names::unfinished(id);
        let freeze = || -> io::Result<()> {
            file.sync()?;
            files.set_read_only(&part)?;
            files.rename(&part, &names::snapshot(id))?;
            files.sync_dir()
        };
        freeze().map_err(LogError::io(|| files.describe(&part), "finish"))?;
        let file = Arc::new(file);
        self.finished.insert(id, Finished { file, size: len });
        Ok(SnapshotInfo { id, size: len })
    }

    /// Whether there are parts of it, and no more.
    pub(super) fn is_unfinished(&self, id: OffsetAndEpoch) -> bool {
        self.unfinished.contains_key(&id)
    }

    /// Opens one that was made whole beside the log.
    pub(super) fn take_in(
        &mut self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
    ) -> Result<SnapshotInfo, LogError> {
        self.put(files, id)?;
        let (_, size) = self.get(id)?;
        Ok(SnapshotInfo { id, size })
    }

    /// Reads all of a snapshot that is not finished.
    pub(super) fn verify_unfinished(
        &self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
    ) -> Result<Vec<Control>, LogError> {
        let unfinished = self.unfinished.get(&id);
        let unfinished = unfinished.ok_or(LogError::UnknownSnapshot { id })?;
        let name = names::unfinished(id);
        verify(files, &name, &unfinished.file, unfinished.len)
    }

    /// Reads all of a finished snapshot.
    pub(super) fn verify(
        &self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
    ) -> Result<Vec<Control>, LogError> {
        let (file, size) = self.get(id)?;
        verify(files, &names::snapshot(id), &**file, size)
    }

    /// The timestamp of the last record that a snapshot stands for, from its header.
    pub(super) fn timestamp_ms(
        &self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
    ) -> Result<Option<i64>, LogError> {
        let (file, size) = self.get(id)?;
        let mut reader = SnapshotReader::new(size, |position, max| read(&**file, position, max));
        match reader.next_batch() {
            Ok(_) => Ok(reader.last_contained_log_timestamp_ms()),
            Err(error) => Err(explain(files, &names::snapshot(id), error)),
        }
    }

    pub(super) fn read(
        &self,
        files: &impl Files<File = F>,
        id: OffsetAndEpoch,
        position: u64,
        max_bytes: usize,
    ) -> Result<Bytes, LogError> {
        let (file, size) = self.get(id)?;
        let left = size.saturating_sub(position);
        let len = left.min(max_bytes as u64) as usize;
        let name = || files.describe(&names::snapshot(id));
        read(&**file, position, len).map_err(LogError::io(name, "read"))
    }

    /// Forgets one that is not finished, and its file.
    pub(super) fn drop_unfinished(
        &mut self,
        files: &impl Files<File = F>,
        only: Option<OffsetAndEpoch>,
    ) -> Result<(), LogError> {
        let ids: Vec<_> = self.unfinished.keys().copied().collect();
        for id in ids {
            if only.is_none_or(|only| only == id) {
                self.unfinished.remove(&id);
                small::remove(files, &names::unfinished(id))?;
            }
        }
        Ok(())
    }

    /// Removes those that have gone out of use. Gives their names. It is durable when the directory
    /// was synced.
    pub(super) fn retain(
        &mut self,
        files: &impl Files<File = F>,
        keep: impl Fn(&OffsetAndEpoch) -> bool,
    ) -> Result<Vec<String>, LogError> {
        let name = |id| {
            let name = names::snapshot(id);
            small::remove(files, &name)?;
            Ok(name)
        };
        self.forget(keep).into_iter().map(name).collect()
    }

    /// Forgets those that have gone out of use. Their files stay.
    pub(super) fn forget(&mut self, keep: impl Fn(&OffsetAndEpoch) -> bool) -> Vec<OffsetAndEpoch> {
        let ids: Vec<_> = self.ids().filter(|id| !keep(id)).collect();
        for id in &ids {
            self.finished.remove(id);
        }
        ids
    }

    fn put(&mut self, files: &impl Files<File = F>, id: OffsetAndEpoch) -> Result<(), LogError> {
        let name = names::snapshot(id);
        let open = || -> io::Result<(F, u64)> {
            let file = files.open(&name, Open::Read)?;
            let size = file.len()?;
            Ok((file, size))
        };
        let (file, size) = open().map_err(LogError::io(|| files.describe(&name), "open"))?;
        let file = Arc::new(file);
        self.finished.insert(id, Finished { file, size });
        Ok(())
    }
}

fn verify<F: File>(
    files: &impl Files<File = F>,
    name: &str,
    file: &F,
    size: u64,
) -> Result<Vec<Control>, LogError> {
    let read = |position, max| read(file, position, max);
    snapshot::verify(size, read).map_err(|error| explain(files, name, error))
}

fn explain(files: &impl Files, name: &str, error: SnapshotError<io::Error>) -> LogError {
    let file = files.describe(name);
    match error {
        SnapshotError::Read(error) => LogError::io(|| file, "read")(error),
        SnapshotError::Damaged(damage) => LogError::Snapshot { file, damage },
    }
}

fn read<F: File>(file: &F, position: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, position)?;
    bytes.truncate(read);
    Ok(bytes.into())
}
