//! Where each epoch starts, and the file `leader-epoch-checkpoint` that says so.

use std::fmt::Write as _;

use super::error::LogError;
use super::files::Files;
use super::{names, small};
use crate::types::{Epoch, EpochStart, Offset};

/// The epochs of a log in ascending order, each with the offset of its first record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Epochs(pub(super) Vec<EpochStart>);

impl Epochs {
    /// Takes note of a batch; says whether its epoch is new.
    pub(super) fn note(&mut self, epoch: Epoch, offset: Offset) -> bool {
        let new = self.0.last().is_none_or(|last| last.epoch < epoch);
        if new {
            self.0.push(EpochStart { epoch, offset });
        }
        new
    }

    /// The last epoch, 0 if there is none.
    pub(super) fn last(&self) -> Epoch {
        self.0.last().map_or(0, |last| last.epoch)
    }

    /// Forgets what starts at or after an offset; says whether there was any.
    pub(super) fn cut_end(&mut self, end: Offset) -> bool {
        let before = self.0.len();
        self.0.retain(|start| start.offset < end);
        self.0.len() != before
    }

    /// Forgets what ends at or before an offset; says whether there was any. An epoch that reaches
    /// beyond it starts there from now on.
    pub(super) fn cut_start(&mut self, start: Offset, end: Offset) -> bool {
        let before = self.0.clone();
        if start >= end {
            self.0.clear();
        }
        let gone = self.0.partition_point(|entry| entry.offset <= start);
        self.0.drain(..gone.saturating_sub(1));
        if let Some(first) = self.0.first_mut() {
            first.offset = first.offset.max(start);
        }
        before != self.0
    }

    /// The epoch of the record at an offset.
    pub(super) fn at(&self, offset: Offset) -> Option<Epoch> {
        let after = self.0.partition_point(|entry| entry.offset <= offset);
        let entry = after.checked_sub(1).and_then(|at| self.0.get(at))?;
        Some(entry.epoch)
    }

    /// What the file says; `None` if it is missing or cannot be believed.
    pub(super) fn load<F: Files>(files: &F) -> Result<Option<Epochs>, LogError> {
        match small::read(files, names::EPOCHS) {
            Ok(text) => Ok(text.as_deref().and_then(Epochs::parse)),
            Err(LogError::Malformed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the file.
    pub(super) fn save<F: Files>(&self, files: &F, durable: bool) -> Result<(), LogError> {
        small::replace(files, names::EPOCHS, &self.text(), durable)
    }

    fn text(&self) -> String {
        let mut text = format!("0\n{}\n", self.0.len());
        for EpochStart { epoch, offset } in &self.0 {
            // To a string there is no error.
            let _ = writeln!(text, "{epoch} {offset}");
        }
        text
    }

    fn parse(text: &str) -> Option<Epochs> {
        let mut lines = text.lines();
        if lines.next()? != "0" {
            return None;
        }
        let count: usize = lines.next()?.parse().ok()?;
        let mut epochs = Vec::new();
        for line in lines {
            let (epoch, offset) = line.split_once(' ')?;
            epochs.push(EpochStart {
                epoch: epoch.parse().ok()?,
                offset: offset.parse().ok()?,
            });
        }
        let ascending =
            epochs.is_sorted_by(|a: &EpochStart, b| a.epoch < b.epoch && a.offset < b.offset);
        let natural = epochs.first().is_none_or(|e| e.epoch >= 0 && e.offset >= 0);
        (epochs.len() == count && ascending && natural).then_some(Epochs(epochs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(Epoch, Offset)]) -> Epochs {
        let start = |&(epoch, offset)| EpochStart { epoch, offset };
        Epochs(entries.iter().map(start).collect())
    }

    #[test]
    fn a_file_is_believed_only_if_it_is_whole() {
        let whole = epochs(&[(1, 0), (3, 10), (4, 25)]);
        let text = whole.text();
        assert_eq!(text, "0\n3\n1 0\n3 10\n4 25\n");
        assert_eq!(Epochs::parse(&text), Some(whole));
        assert_eq!(Epochs::parse("0\n0\n"), Some(Epochs::default()));
        for text in [
            "",
            "0\n",
            "1\n0\n",
            "0\n2\n1 0\n",
            "0\n1\n1\n",
            "0\n2\n2 0\n1 5\n",
            "0\n2\n1 5\n2 5\n",
            "0\n1\n-1 0\n",
        ] {
            assert_eq!(Epochs::parse(text), None, "{text}");
        }
    }

    #[test]
    fn both_ends_can_be_cut() {
        let whole = epochs(&[(1, 0), (3, 10), (4, 25)]);
        let mut cut = whole.clone();
        assert!(cut.cut_end(25));
        assert_eq!(cut, epochs(&[(1, 0), (3, 10)]));
        assert!(!cut.cut_end(25));
        let mut cut = whole.clone();
        assert!(cut.cut_start(12, 30));
        assert_eq!(cut, epochs(&[(3, 12), (4, 25)]));
        let mut cut = whole.clone();
        assert!(cut.cut_start(10, 30));
        assert_eq!(cut, epochs(&[(3, 10), (4, 25)]));
        let mut cut = whole.clone();
        assert!(cut.cut_start(30, 30));
        assert_eq!(cut, Epochs::default());
        assert_eq!(
            (whole.at(9), whole.at(10), whole.at(99)),
            (Some(1), Some(3), Some(4))
        );
    }
}
