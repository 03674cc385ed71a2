//! The state machine of a node: what follows from its log, up to what is committed and beyond.
//!
//! It does no I/O. Whoever has the log tells it of every batch, of what is settled and of what was
//! cut off. What is settled can be taken out as a [`State`], for a snapshot, and put in again where
//! the log goes on behind it: what comes of the two is what comes of the whole log.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use kwire_protocol::records::{Batch, BatchHeader};
use kwire_raft::log::Undone;
use kwire_raft::types::Offset;

use crate::producers::Producers;
use crate::record::Serial;
use crate::serials::{self, Serials};
use crate::state::State;

/// With more marks than these, they are set less often.
const FINE_MARKS: usize = 1_000;
/// Bytes between two of them then.
const COARSE_BYTES: u64 = 1 << 20;

/// A batch, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its header.
    pub header: BatchHeader,
    /// The serial number of its first record, if a workload wrote it.
    pub serial: Option<Serial>,
    /// Its length.
    pub bytes: u64,
}

impl Told {
    /// What there is to tell of a batch; `None` of one in an old format, which no quorum has.
    #[must_use]
    pub fn of(batch: &Batch<'_>) -> Option<Told> {
        Some(Told {
            header: *batch.header()?,
            serial: serials::first_of(batch),
            bytes: batch.bytes().len() as u64,
        })
    }
}

/// An offset at which a batch ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The offset.
    pub end: Offset,
    /// Bytes that were told before.
    bytes: u64,
}

/// Records of a workload that lie together: offsets and numbers rise alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    base: Offset,
    end: Offset,
    first: Serial,
}

/// What follows from the log. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The idempotent producers, also those of what is not settled.
    pub producers: Producers,
    /// What the log had given up when it was looked at last.
    pub(crate) undone: Undone,
    /// Of what is settled.
    serials: Serials,
    /// What is not.
    runs: VecDeque<Run>,
    marks: VecDeque<Mark>,
    settled: Mark,
    /// Bytes that were told before the end of the last snapshot.
    snapshot_bytes: u64,
    told_bytes: u64,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

impl Machine {
    /// That of an empty log.
    #[must_use]
    pub fn new() -> Machine {
        Machine {
            producers: Producers::new(),
            undone: Undone::default(),
            serials: Serials::new(true),
            runs: VecDeque::new(),
            marks: VecDeque::new(),
            settled: Mark::default(),
            snapshot_bytes: 0,
            told_bytes: 0,
        }
    }

    /// The offset of the next record to hear of.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.producers.next_offset()
    }

    /// The log has this batch next.
    pub fn add(&mut self, told: &Told) {
        let header = &told.header;
        self.producers.add(header);
        self.told_bytes += told.bytes;
        let end = self.next_offset();
        if let Some(first) = told.serial {
            self.add_run(Run {
                base: header.base_offset,
                end,
                first,
            });
        }
        let mark = Mark {
            end,
            bytes: self.told_bytes,
        };
        let before = self.marks.len().checked_sub(2);
        let before = before
            .and_then(|at| self.marks.get(at))
            .map_or(0, |mark| mark.bytes);
        let is_fine = self.marks.len() <= FINE_MARKS;
        match self.marks.back_mut() {
            Some(last) if !is_fine && mark.bytes - before <= COARSE_BYTES => *last = mark,
            _ => self.marks.push_back(mark),
        }
    }

    fn add_run(&mut self, run: Run) {
        let Serial { epoch, number } = run.first;
        let last = self.runs.back_mut();
        let next = match &last {
            Some(last) if last.first.epoch == epoch => {
                let records = (last.end - last.base).unsigned_abs();
                last.first.number.saturating_add(records)
            }
            _ => self.serials.next.get(&epoch).copied().unwrap_or(0),
        };
        match last {
            // A copy. What comes next would seem to go on where it ends.
            _ if number < next => {}
            Some(last) if number == next && last.end == run.base && last.first.epoch == epoch => {
                last.end = run.end;
            }
            _ => self.runs.push_back(run),
        }
    }

    /// The log before this offset stays as it is.
    pub fn settle(&mut self, to: Offset) {
        while let Some(mark) = self.marks.front()
            && mark.end <= to
        {
            self.settled = *mark;
            self.marks.pop_front();
        }
        let settled = self.settled.end;
        self.producers.settle(settled);
        while let Some(run) = self.runs.front_mut()
            && run.base < settled
        {
            let count = (run.end.min(settled) - run.base).unsigned_abs();
            self.serials.add(run.first, count);
            if run.end <= settled {
                self.runs.pop_front();
            } else {
                run.base = settled;
                run.first.number = run.first.number.saturating_add(count);
            }
        }
    }

    /// The log was cut: it ends at this offset. Returns whether what is left is known; if not, it
    /// has to be told anew.
    pub fn cut(&mut self, to: Offset) -> bool {
        if to >= self.next_offset() {
            return true;
        }
        if to < self.settled.end || !self.producers.cut(to) {
            return false;
        }
        while self.marks.back().is_some_and(|mark| mark.end > to) {
            self.marks.pop_back();
        }
        let last = self.marks.back().copied().unwrap_or(self.settled);
        // The log ends where a batch does.
        if last.end < to {
            self.marks.push_back(Mark { end: to, ..last });
        }
        self.told_bytes = last.bytes;
        while self.runs.back().is_some_and(|run| run.base >= to) {
            self.runs.pop_back();
        }
        if let Some(run) = self.runs.back_mut() {
            run.end = run.end.min(to);
        }
        true
    }

    /// Forgets everything: the log starts at this offset, and what lay before is not known.
    pub fn restart(&mut self, start: Offset) {
        self.producers.restart(start);
        self.begin(start, Serials::new(start == 0));
    }

    /// Forgets everything for what was known at an offset, from which on the log is told.
    pub fn restore(&mut self, end: Offset, state: &State) {
        self.producers.restore(end, &state.producers);
        self.begin(end, state.serials.clone());
    }

    fn begin(&mut self, end: Offset, serials: Serials) {
        self.serials = serials;
        self.runs.clear();
        self.marks.clear();
        self.settled = Mark { end, bytes: 0 };
        (self.snapshot_bytes, self.told_bytes) = (0, 0);
    }

    /// Up to where the log is settled: an offset at which a batch ends.
    #[must_use]
    pub fn settled(&self) -> Mark {
        self.settled
    }

    /// Bytes that were settled since the last snapshot, or since there was something to tell.
    #[must_use]
    pub fn bytes_since_snapshot(&self) -> u64 {
        self.settled.bytes.saturating_sub(self.snapshot_bytes)
    }

    /// What is known of all that is settled, for a snapshot that is made now.
    pub fn snapshot(&mut self) -> State {
        self.snapshot_bytes = self.settled.bytes;
        State {
            producers: self.producers.settled(),
            serials: self.serials.clone(),
        }
    }
}
