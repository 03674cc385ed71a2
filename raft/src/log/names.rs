//! The names of the files in a partition's directory.

use crate::types::{Epoch, Offset, OffsetAndEpoch};

pub(super) const EPOCHS: &str = "leader-epoch-checkpoint";
pub(super) const PARTITION: &str = "partition.metadata";
pub(super) const STATE: &str = "kwire-log-state";
pub(super) const RECOVERY_POINT: &str = "kwire-recovery-point";
pub(super) const QUORUM_STATE: &str = "quorum-state";

/// What a file of the directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Log(Offset),
    Index(Offset),
    TimeIndex(Offset),
    Snapshot(OffsetAndEpoch),
    /// What an interrupted operation left: of this library or of Kafka's.
    Leftover,
    /// Whatever else there is.
    Other,
}

impl Name {
    pub(super) fn parse(name: &str) -> Name {
        let temporary = [EPOCHS, PARTITION, STATE];
        if let Some(stem) = name.strip_suffix(".tmp") {
            return if temporary.contains(&stem) {
                Name::Leftover
            } else {
                Name::Other
            };
        }
        let Some((stem, suffix)) = name.split_once('.') else {
            return Name::Other;
        };
        match (suffix, parse_snapshot(stem), parse_number(stem, 20)) {
            ("checkpoint", Some(id), _) => Name::Snapshot(id),
            ("log", _, Some(base)) => Name::Log(base),
            ("index", _, Some(base)) => Name::Index(base),
            ("timeindex", _, Some(base)) => Name::TimeIndex(base),
            // Kafka's parts have a random number after the id.
            ("checkpoint.part", _, _) if starts_with_snapshot(stem) => Name::Leftover,
            ("checkpoint.deleted", Some(_), _) => Name::Leftover,
            (
                "log.deleted" | "index.deleted" | "timeindex.deleted" | "snapshot.deleted"
                | "txnindex.deleted",
                _,
                Some(_),
            ) => Name::Leftover,
            _ => Name::Other,
        }
    }
}

pub(super) fn log(base: Offset) -> String {
    format!("{base:020}.log")
}

pub(super) fn index(base: Offset) -> String {
    format!("{base:020}.index")
}

pub(super) fn time_index(base: Offset) -> String {
    format!("{base:020}.timeindex")
}

pub(super) fn snapshot(id: OffsetAndEpoch) -> String {
    format!("{:020}-{:010}.checkpoint", id.offset, id.epoch)
}

pub(super) fn unfinished(id: OffsetAndEpoch) -> String {
    format!("{}.part", snapshot(id))
}

/// A snapshot that is not finished, but is none that is being fetched.
pub(super) fn beside(id: OffsetAndEpoch) -> String {
    format!("{:020}-{:010}-0.checkpoint.part", id.offset, id.epoch)
}

pub(super) fn temporary(name: &str) -> String {
    format!("{name}.tmp")
}

fn starts_with_snapshot(stem: &str) -> bool {
    stem.get(..31)
        .is_some_and(|id| parse_snapshot(id).is_some())
}

fn parse_snapshot(stem: &str) -> Option<OffsetAndEpoch> {
    let (offset, epoch) = stem.split_once('-')?;
    let epoch = Epoch::try_from(parse_number(epoch, 10)?).ok()?;
    Some(OffsetAndEpoch::new(parse_number(offset, 20)?, epoch))
}

fn parse_number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let id = OffsetAndEpoch::new(248, 1);
        for (name, expected) in [
            ("00000000000000000007.log", Name::Log(7)),
            ("00000000000000000007.index", Name::Index(7)),
            ("00000000000000000007.timeindex", Name::TimeIndex(7)),
            (
                "00000000000000000248-0000000001.checkpoint",
                Name::Snapshot(id),
            ),
            (
                "00000000000000000248-0000000001.checkpoint.part",
                Name::Leftover,
            ),
            (
                "00000000000000000248-0000000001-123.checkpoint.part",
                Name::Leftover,
            ),
            (
                "00000000000000000248-0000000001.checkpoint.deleted",
                Name::Leftover,
            ),
            ("00000000000000000007.log.deleted", Name::Leftover),
            ("leader-epoch-checkpoint.tmp", Name::Leftover),
            ("quorum-state.tmp", Name::Other),
            ("quorum-state", Name::Other),
            ("00000000000000023557.snapshot", Name::Other),
            ("7.log", Name::Other),
            ("99999999999999999999.log", Name::Other),
            ("00000000000000000248-9999999999.checkpoint", Name::Other),
            ("+0000000000000000007.log", Name::Other),
            ("notes.part", Name::Other),
            ("", Name::Other),
        ] {
            assert_eq!(Name::parse(name), expected, "{name}");
        }
        assert_eq!(Name::parse(&log(5)), Name::Log(5));
        assert_eq!(Name::parse(&index(5)), Name::Index(5));
        assert_eq!(Name::parse(&time_index(5)), Name::TimeIndex(5));
        assert_eq!(Name::parse(&snapshot(id)), Name::Snapshot(id));
        assert_eq!(Name::parse(&unfinished(id)), Name::Leftover);
        assert_eq!(Name::parse(&beside(id)), Name::Leftover);
        for name in [EPOCHS, PARTITION, STATE] {
            assert_eq!(Name::parse(&temporary(name)), Name::Leftover);
        }
    }
}
