//! The few things that a log asks of a file system, so that it can run on one that breaks.

pub mod memory;
mod seed;
mod std;

use ::std::io;
use ::std::sync::Arc;

pub(crate) use seed::Seed;

pub use self::std::{StdFile, StdFiles};

/// One directory.
///
/// What is created, renamed or removed is durable after [`sync_dir`](Self::sync_dir), and before
/// that may or may not be, each for itself.
pub trait Files: Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file.
    ///
    /// # Errors
    /// When there is none, and [`Open`] does not say that it is to be made; or whatever the system
    /// says.
    fn open(&self, name: &str, how: Open) -> io::Result<Self::File>;

    /// Gives a file another name, and takes that from the file that had it.
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name. Those who have it open still have it.
    ///
    /// # Errors
    /// Whatever the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of the files, in order. Directories are left out.
    ///
    /// # Errors
    /// Whatever the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// Lets nobody write to the file any more.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_read_only(&self, name: &str) -> io::Result<()>;

    /// A file's name as people are to see it.
    fn describe(&self, name: &str) -> String;
}

/// One directory for several threads.
impl<F: Files> Files for Arc<F> {
    type File = F::File;

    fn open(&self, name: &str, how: Open) -> io::Result<F::File> {
        (**self).open(name, how)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        (**self).sync_dir()
    }

    fn set_read_only(&self, name: &str) -> io::Result<()> {
        (**self).set_read_only(name)
    }

    fn describe(&self, name: &str) -> String {
        (**self).describe(name)
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To read one that is there.
    Read,
    /// To read and write one that is there.
    Write,
    /// To read and write one that is made if it is not there.
    Create,
    /// To read and write one that is made, or emptied if it is there.
    Empty,
}

/// An open file.
///
/// What is written, and its length, are durable after [`sync`](Self::sync).
#[expect(
    clippy::len_without_is_empty,
    reason = "the length of a file is asked of the system, and may fail"
)]
pub trait File: Send + Sync + 'static {
    /// Reads until the buffer is full or the file ends, and says how much was read.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all of the bytes. Beyond the end of the file, zeros fill the gap.
    ///
    /// # Errors
    /// Whatever the system says; then some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Cuts the file, or makes it longer by zeros.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The length.
    ///
    /// # Errors
    /// Whatever the system says.
    fn len(&self) -> io::Result<u64>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// Whatever the system says. What of it is durable is not known then, and to try again does
    /// not tell.
    fn sync(&self) -> io::Result<()>;
}
