//! Small files that are read and replaced as a whole.

use std::io;

use super::error::LogError;
use super::files::{File, Files, Open};
use super::names;

/// The most bytes of a small file.
const LIMIT: u64 = 16 << 20;

/// The text of a file, if it is there.
pub(super) fn read<F: Files>(files: &F, name: &str) -> Result<Option<String>, LogError> {
    let file = match files.open(name, Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(LogError::io(|| files.describe(name), "open"))?,
    };
    let read = || -> io::Result<Vec<u8>> {
        let len = file.len()?;
        if len > LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{len} bytes"),
            ));
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    let bytes = read().map_err(LogError::io(|| files.describe(name), "read"))?;
    let text = String::from_utf8(bytes);
    Ok(Some(text.map_err(|error| LogError::Malformed {
        file: files.describe(name),
        line: 1,
        reason: error.to_string(),
    })?))
}

/// Puts a text in place of a file, in one step. If it is to be durable, it is when this returns.
pub(super) fn replace<F: Files>(
    files: &F,
    name: &str,
    text: &str,
    durable: bool,
) -> Result<(), LogError> {
    let temporary = names::temporary(name);
    let write = || -> io::Result<()> {
        let file = files.open(&temporary, Open::Empty)?;
        file.write_at(text.as_bytes(), 0)?;
        if durable {
            file.sync()?;
        }
        files.rename(&temporary, name)?;
        if durable {
            files.sync_dir()?;
        }
        Ok(())
    };
    write().map_err(LogError::io(|| files.describe(name), "write"))
}

/// Removes a file, if it is there.
pub(super) fn remove<F: Files>(files: &F, name: &str) -> Result<bool, LogError> {
    match files.remove(name) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LogError::io(|| files.describe(name), "remove")(error)),
    }
}
