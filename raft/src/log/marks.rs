//! What this library notes down beside Kafka's files: how far the log is durable, where it starts,
//! and whether a snapshot is about to take its place.

use super::error::LogError;
use super::files::{File, Files, Open};
use super::{names, small};
use crate::types::{Offset, OffsetAndEpoch};

/// The file `kwire-log-state`: replaced as a whole and durable at once, before anything is done that
/// it speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Counts how often the log was cut at its end: a recovery point of an earlier generation
    /// may lie beyond.
    pub(super) generation: u64,
    /// The first offset.
    pub(super) log_start: Offset,
    /// How far the log was durable when the file was written.
    pub(super) recovery_point: Offset,
    /// The snapshot that takes the place of the whole log.
    pub(super) installing: Option<OffsetAndEpoch>,
}

impl State {
    /// What the file says, the default if there is none.
    pub(super) fn load<F: Files>(files: &F) -> Result<State, LogError> {
        let Some(text) = small::read(files, names::STATE)? else {
            return Ok(State::default());
        };
        State::parse(&text).ok_or_else(|| LogError::Malformed {
            file: files.describe(names::STATE),
            line: 1,
            reason: "not a state of version 0 with the checksum that it ought to have".to_owned(),
        })
    }

    /// Replaces the file.
    pub(super) fn save<F: Files>(&self, files: &F) -> Result<(), LogError> {
        small::replace(files, names::STATE, &self.text(), true)
    }

    fn text(&self) -> String {
        let id = self.installing.unwrap_or(OffsetAndEpoch::new(-1, -1));
        sealed(&format!(
            "0 {} {} {} {} {}",
            self.generation, self.log_start, self.recovery_point, id.offset, id.epoch
        ))
    }

    fn parse(text: &str) -> Option<State> {
        let mut words = unsealed(text)?.split(' ');
        let mut next = || words.next()?.parse::<i64>().ok();
        if next()? != 0 {
            return None;
        }
        let generation = u64::try_from(next()?).ok()?;
        let (log_start, recovery_point) = (next()?, next()?);
        let id = OffsetAndEpoch::new(next()?, i32::try_from(next()?).ok()?);
        Some(State {
            generation,
            log_start,
            recovery_point,
            installing: (id.offset >= 0).then_some(id),
        })
    }
}

/// The file `kwire-recovery-point`: written in place after each sync of the log and never synced
/// itself, so that it costs a microsecond. What it says is true whenever it can be read.
#[derive(Debug)]
pub(super) struct RecoveryPoint<F> {
    file: F,
}

impl<F: File> RecoveryPoint<F> {
    pub(super) fn open(files: &impl Files<File = F>) -> Result<RecoveryPoint<F>, LogError> {
        let file = files.open(names::RECOVERY_POINT, Open::Create);
        let describe = || files.describe(names::RECOVERY_POINT);
        let file = file.map_err(LogError::io(describe, "open"))?;
        Ok(RecoveryPoint { file })
    }

    /// How far the log was durable; 0 if that was noted down in another generation, or not at all.
    pub(super) fn load(&self, generation: u64) -> Offset {
        let mut bytes = [0; LINE];
        // A line that cannot be read says nothing: the log is looked through from its beginning.
        let read = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        let line = bytes.get(..read).and_then(|line| str::from_utf8(line).ok());
        let parse = |line: &str| {
            let mut words = unsealed(line)?.split(' ');
            let version: u64 = words.next()?.parse().ok()?;
            let found: u64 = words.next()?.parse().ok()?;
            let offset = words.next()?.parse().ok()?;
            (version == 0 && found == generation).then_some(offset)
        };
        line.and_then(parse).unwrap_or(0)
    }

    pub(super) fn save(&self, generation: u64, offset: Offset) -> std::io::Result<()> {
        let line = sealed(&format!("0 {generation:020} {offset:020}"));
        self.file.write_at(line.as_bytes(), 0)
    }
}

/// The bytes of a recovery point: a version, two numbers, a checksum.
const LINE: usize = 1 + 21 + 21 + 10;

/// A line with the checksum of what comes before it.
fn sealed(text: &str) -> String {
    let crc = crc_fast::crc32_iscsi(text.as_bytes());
    format!("{text} {crc:08x}\n")
}

fn unsealed(line: &str) -> Option<&str> {
    let (text, _) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    (sealed(text) == line).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::files::memory::MemoryFiles;

    #[test]
    fn a_state_comes_back() {
        for installing in [None, Some(OffsetAndEpoch::new(100, 3))] {
            let state = State {
                generation: 7,
                log_start: 50,
                recovery_point: 90,
                installing,
            };
            let text = state.text();
            assert_eq!(State::parse(&text), Some(state));
            for end in 0..text.len() {
                assert_eq!(State::parse(&text[..end]), None);
            }
        }
    }

    #[test]
    fn a_recovery_point_counts_only_in_its_generation() {
        let files = MemoryFiles::new();
        let point = RecoveryPoint::open(&files).unwrap();
        assert_eq!(point.load(0), 0);
        point.save(3, i64::MAX).unwrap();
        assert_eq!(files.bytes(names::RECOVERY_POINT).unwrap().len(), LINE);
        assert_eq!((point.load(3), point.load(4)), (i64::MAX, 0));
        files
            .open(names::RECOVERY_POINT, Open::Write)
            .unwrap()
            .write_at(b"1", 30)
            .unwrap();
        assert_eq!(point.load(3), 0);
    }
}
