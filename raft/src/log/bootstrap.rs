//! The checkpoint at offset 0 of epoch 0, with which formatting gives a quorum its first voters
//! (KIP-853). It is never replicated: the first leader writes what is in it into the log.

use kwire_protocol::records::{Error, NewRecord};

use super::error::LogError;
use super::files::{File, Files, Open};
use super::names;
use super::snapshot::{SnapshotOptions, SnapshotWriter};
use crate::types::OffsetAndEpoch;

/// The file of the first metadata records in a log directory, before Kafka 4.4 put them into the
/// checkpoint (KIP-1170).
pub const RECORDS_FILE_NAME: &str = "bootstrap.checkpoint";

/// The name of the checkpoint in the directory of the partition.
#[must_use]
pub fn file_name() -> String {
    names::snapshot(OffsetAndEpoch::BOOTSTRAP)
}

/// The bytes of a checkpoint with these records in one batch, which has the time of the options.
///
/// # Errors
/// When the records have no room in one batch.
pub fn checkpoint(options: SnapshotOptions, records: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let timestamp = options.now_ms;
    let mut writer = SnapshotWriter::new(options);
    for record in records {
        writer.append(&NewRecord {
            timestamp,
            value: Some(record),
            ..Default::default()
        })?;
    }
    let mut bytes = writer.take();
    bytes.extend(writer.finish()?);
    Ok(bytes)
}

/// Puts a checkpoint into a directory, in one step. Durable when it returns.
///
/// # Errors
/// When the system fails.
pub fn write<F: Files>(
    files: &F,
    name: &str,
    bytes: &[u8],
    read_only: bool,
) -> Result<(), LogError> {
    // The name of a part: a log that is opened removes what was left behind.
    let part = format!("{name}.part");
    let write = || -> std::io::Result<()> {
        let file = files.open(&part, Open::Empty)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        files.rename(&part, name)?;
        // Not before: nobody could empty the part that a crash left.
        if read_only {
            files.set_read_only(name)?;
        }
        files.sync_dir()
    };
    write().map_err(LogError::io(|| files.describe(name), "write"))
}
