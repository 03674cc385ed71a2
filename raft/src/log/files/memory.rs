//! A directory in memory that can stop at any operation, and show what a crash leaves.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, Files, Open, Seed};

/// A directory in memory.
///
/// Clones are handles of the same directory. [`fork`](Self::fork) makes one that shares nothing
/// with it, and [`crash`](Self::crash) one as a crash leaves it.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    names: BTreeMap<String, Shared>,
    /// What a crash leaves at the least.
    durable_names: BTreeMap<String, Shared>,
    /// What was done to the names since they were synced.
    changes: Vec<Change>,
    operations: u64,
    stop_at: Option<u64>,
    stopped: bool,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a crash leaves at the least.
    durable: Vec<u8>,
    /// What was done to the bytes since they were synced.
    writes: Vec<Write>,
    read_only: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, Shared),
    Rename(String, String, Shared),
    Remove(String),
}

#[derive(Clone, Debug)]
enum Write {
    At(usize, Vec<u8>),
    Len(usize),
}

/// What a crash does to things that were not synced.
#[derive(Clone, Copy, Debug)]
enum Keep {
    Nothing,
    All,
    Prefix,
    Any,
}

impl MemoryFiles {
    /// An empty directory.
    #[must_use]
    pub fn new() -> MemoryFiles {
        MemoryFiles::default()
    }

    /// How many operations have changed something, or made it durable.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.0).operations
    }

    /// Fails the operation with this number, counted from 1 as [`operations`](Self::operations)
    /// counts, and all that come later, reads too. It may have been done in part.
    pub fn stop_at(&self, operation: u64) {
        lock(&self.0).stop_at = Some(operation);
    }

    /// Whether it has stopped.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        lock(&self.0).stopped
    }

    /// A directory with the same content, and the same about it not durable.
    #[must_use]
    pub fn fork(&self) -> MemoryFiles {
        let disk = lock(&self.0);
        let mut copies = Copies::default();
        let change = |copies: &mut Copies, change: &Change| match change {
            Change::Link(name, content) => Change::Link(name.clone(), copies.of(content)),
            Change::Rename(from, to, content) => {
                Change::Rename(from.clone(), to.clone(), copies.of(content))
            }
            Change::Remove(name) => Change::Remove(name.clone()),
        };
        let copy = Disk {
            names: copies.of_all(&disk.names),
            durable_names: copies.of_all(&disk.durable_names),
            changes: disk
                .changes
                .iter()
                .map(|one| change(&mut copies, one))
                .collect(),
            operations: disk.operations,
            stop_at: disk.stop_at,
            stopped: disk.stopped,
        };
        MemoryFiles(Arc::new(Mutex::new(copy)))
    }

    /// The directory as a crash leaves it, which the seed decides; 0 keeps nothing that was not
    /// synced, and `u64::MAX` everything. This one stops.
    ///
    /// Of a file, all or none of what was written since it was synced may be there, or a part: the
    /// earlier writes and a piece of the next, or some with zeros in the place of others. Of names,
    /// each change may be there or not.
    #[must_use]
    pub fn crash(&self, seed: u64) -> MemoryFiles {
        let mut disk = lock(&self.0);
        disk.stopped = true;
        let mut draw = Seed::new(seed);
        let mut keep = |max: usize| match seed {
            0 => Keep::Nothing,
            u64::MAX => Keep::All,
            _ => [Keep::Nothing, Keep::All, Keep::Prefix, Keep::Any]
                .get(draw.up_to(3))
                .copied()
                .filter(|_| max > 0)
                .unwrap_or(Keep::Nothing),
        };
        let how = keep(disk.changes.len());
        let mut names = disk.durable_names.clone();
        let mut dice = Seed::new(seed ^ 0x6e61_6d65);
        let kept = kept(how, disk.changes.len(), &mut dice);
        for (change, kept) in disk.changes.iter().zip(kept) {
            if kept {
                change.apply(&mut names);
            }
        }
        let mut left = BTreeMap::new();
        for (name, content) in &names {
            let content = lock(content);
            let how = keep(content.writes.len());
            let bytes = content.after_crash(how, &mut dice);
            let content = Content {
                durable: bytes.clone(),
                bytes,
                writes: Vec::new(),
                read_only: content.read_only,
            };
            left.insert(name.clone(), Arc::new(Mutex::new(content)));
        }
        MemoryFiles(Arc::new(Mutex::new(Disk {
            names: left.clone(),
            durable_names: left,
            ..Disk::default()
        })))
    }

    /// The bytes of a file, if it is there.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = lock(&self.0);
        disk.names
            .get(name)
            .map(|content| lock(content).bytes.clone())
    }

    /// Puts a file there, durable at once and whatever was said about stopping; in place of the one
    /// that has the name.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let content = Content {
            durable: bytes.clone(),
            bytes,
            ..Content::default()
        };
        let content = Arc::new(Mutex::new(content));
        let mut disk = lock(&self.0);
        disk.names.insert(name.to_owned(), Arc::clone(&content));
        disk.durable_names.insert(name.to_owned(), content);
    }

    /// Whether the file was closed to writers.
    #[must_use]
    pub fn is_read_only(&self, name: &str) -> bool {
        let disk = lock(&self.0);
        disk.names
            .get(name)
            .is_some_and(|content| lock(content).read_only)
    }

    /// Does one change to the names, and stops there if it is to.
    fn change(&self, change: Change) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let stop = disk.count()?;
        change.apply(&mut disk.names);
        disk.changes.push(change);
        stop
    }
}

impl Disk {
    /// Counts an operation. The outer error is one after the stop, the inner one is the stop.
    fn count(&mut self) -> io::Result<io::Result<()>> {
        self.alive()?;
        self.operations += 1;
        if self.stop_at.is_some_and(|stop| self.operations >= stop) {
            self.stopped = true;
        }
        Ok(self.alive())
    }

    fn alive(&self) -> io::Result<()> {
        if self.stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        Ok(())
    }

    fn get(&self, name: &str) -> io::Result<&Shared> {
        self.names
            .get(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Shared>) {
        match self {
            Change::Link(name, content) => {
                names.insert(name.clone(), Arc::clone(content));
            }
            // It is a file that is renamed: another may have the old name, if what gave it away
            // was lost.
            Change::Rename(from, to, content) => {
                if names
                    .get(from)
                    .is_some_and(|found| Arc::ptr_eq(found, content))
                {
                    names.remove(from);
                }
                names.insert(to.clone(), Arc::clone(content));
            }
            Change::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Write {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Write::At(position, written) => put(bytes, *position, written),
            Write::Len(len) => bytes.resize(*len, 0),
        }
    }
}

fn put(bytes: &mut Vec<u8>, position: usize, written: &[u8]) {
    let end = position + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(position..end) {
        place.copy_from_slice(written);
    }
}

impl Content {
    fn after_crash(&self, how: Keep, dice: &mut Seed) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let kept = kept(how, self.writes.len(), dice);
        let torn = kept.iter().position(|kept| !kept);
        for (index, (write, kept)) in self.writes.iter().zip(&kept).enumerate() {
            match (write, kept) {
                (write, true) => write.apply(&mut bytes),
                // The first that is missing may be there in part.
                (Write::At(position, written), false)
                    if matches!(how, Keep::Prefix) && torn == Some(index) =>
                {
                    let part = dice.up_to(written.len());
                    put(
                        &mut bytes,
                        *position,
                        written.get(..part).unwrap_or_default(),
                    );
                }
                _ => {}
            }
        }
        bytes
    }
}

/// Which of some changes are there.
fn kept(how: Keep, count: usize, dice: &mut Seed) -> Vec<bool> {
    match how {
        Keep::Nothing => vec![false; count],
        Keep::All => vec![true; count],
        Keep::Prefix => {
            let end = dice.up_to(count);
            (0..count).map(|index| index < end).collect()
        }
        Keep::Any => (0..count).map(|_| dice.up_to(1) == 1).collect(),
    }
}

/// Copies of files, so that two names of one file are two names of one copy.
#[derive(Default)]
struct Copies(BTreeMap<usize, Shared>);

impl Copies {
    fn of(&mut self, content: &Shared) -> Shared {
        let copy = || Arc::new(Mutex::new(lock(content).clone()));
        let key = Arc::as_ptr(content).addr();
        Arc::clone(self.0.entry(key).or_insert_with(copy))
    }

    fn of_all(&mut self, names: &BTreeMap<String, Shared>) -> BTreeMap<String, Shared> {
        names
            .iter()
            .map(|(name, content)| (name.clone(), self.of(content)))
            .collect()
    }
}

impl Files for MemoryFiles {
    type File = MemoryFile;

    fn open(&self, name: &str, how: Open) -> io::Result<MemoryFile> {
        let file = |content: &Shared| MemoryFile {
            disk: self.clone(),
            content: Arc::clone(content),
        };
        let found = {
            let disk = lock(&self.0);
            disk.alive()?;
            disk.get(name).map(file)
        };
        match (found, how) {
            (Ok(file), Open::Read | Open::Write | Open::Create) => {
                if how != Open::Read && lock(&file.content).read_only {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                Ok(file)
            }
            (Ok(file), Open::Empty) => {
                file.set_len(0)?;
                Ok(file)
            }
            (Err(_), Open::Create | Open::Empty) => {
                let content = Shared::default();
                self.change(Change::Link(name.to_owned(), Arc::clone(&content)))?;
                Ok(file(&content))
            }
            (Err(error), Open::Read | Open::Write) => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let content = Arc::clone(lock(&self.0).get(from)?);
        self.change(Change::Rename(from.to_owned(), to.to_owned(), content))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.0).get(name)?;
        self.change(Change::Remove(name.to_owned()))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let disk = lock(&self.0);
        disk.alive()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.count()??;
        disk.durable_names = disk.names.clone();
        disk.changes.clear();
        Ok(())
    }

    fn set_read_only(&self, name: &str) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let stop = disk.count()?;
        lock(disk.get(name)?).read_only = true;
        stop
    }

    fn describe(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// An open file of a [`MemoryFiles`].
#[derive(Clone, Debug)]
pub struct MemoryFile {
    disk: MemoryFiles,
    content: Shared,
}

impl MemoryFile {
    fn write(&self, write: Write) -> io::Result<()> {
        let stop = lock(&self.disk.0).count()?;
        let mut content = lock(&self.content);
        write.apply(&mut content.bytes);
        content.writes.push(write);
        stop
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        lock(&self.disk.0).alive()?;
        let content = lock(&self.content);
        let start = index(position).min(content.bytes.len());
        let rest = content.bytes.get(start..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..read), rest.get(..read)) {
            to.copy_from_slice(from);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write(Write::At(index(position), bytes.to_vec()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(Write::Len(index(len)))
    }

    fn len(&self) -> io::Result<u64> {
        lock(&self.disk.0).alive()?;
        Ok(lock(&self.content).bytes.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        lock(&self.disk.0).count()??;
        let mut content = lock(&self.content);
        for write in std::mem::take(&mut content.writes) {
            write.apply(&mut content.durable);
        }
        Ok(())
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
