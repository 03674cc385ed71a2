//! The file system of a Unix machine.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{File, Files, Open};
use crate::types::Topic;

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct StdFiles {
    dir: PathBuf,
}

impl StdFiles {
    /// A directory, which is made if it is not there.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(dir: impl Into<PathBuf>) -> io::Result<StdFiles> {
        let dir = dir.into();
        make_durably(&dir)?;
        Ok(StdFiles { dir })
    }

    /// The directory of partition 0 of a topic, under one of Kafka's `log.dirs`.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn partition(log_dir: &Path, topic: &Topic) -> io::Result<StdFiles> {
        StdFiles::new(log_dir.join(format!("{}-0", topic.name)))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

/// Makes a directory and those above it, each with its name synced: what is in it would be lost with
/// it.
fn make_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_durably(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Files for StdFiles {
    type File = StdFile;

    fn open(&self, name: &str, how: Open) -> io::Result<StdFile> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(how != Open::Read);
        options.create(matches!(how, Open::Create | Open::Empty));
        options.truncate(how == Open::Empty);
        Ok(StdFile(options.open(self.dir.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // The log's own names are ASCII: whatever is not UTF-8 is not the log's.
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type()?.is_file()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }

    fn set_read_only(&self, name: &str) -> io::Result<()> {
        fs::set_permissions(self.dir.join(name), fs::Permissions::from_mode(0o400))
    }

    fn describe(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// An open file of the file system.
#[derive(Debug)]
pub struct StdFile(fs::File);

impl AsRef<fs::File> for StdFile {
    /// The file itself, for a server that sends it without copying.
    fn as_ref(&self) -> &fs::File {
        &self.0
    }
}

impl File for StdFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, position + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
