//! The end of a log in memory, so that followers that keep up are served without the disk.

use std::collections::VecDeque;

use bytes::Bytes;
use kwire_protocol::records::Batches;

use crate::types::Offset;

/// What a piece costs beside its bytes, so that small ones count for what they take.
const PIECE_OVERHEAD: usize = 128;

/// The batches that were appended last, as they were given. They are never written to, so that
/// whoever has a part of them has it for good, whatever becomes of the log.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// Without gaps between them; none is empty.
    pieces: VecDeque<Piece>,
    bytes: usize,
    max_bytes: usize,
}

/// The batches of one append.
#[derive(Clone, Debug)]
struct Piece {
    base: Offset,
    /// The offset after the last record.
    end: Offset,
    bytes: Bytes,
}

/// Whole batches that follow one another.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) parts: Vec<Bytes>,
    pub(super) len: usize,
    /// The offset after the last record.
    pub(super) next: Offset,
}

impl Tail {
    /// A tail that keeps so many bytes, and of 0 nothing.
    pub(super) fn new(max_bytes: usize) -> Tail {
        Tail {
            pieces: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// The log got these batches, which end before `end`.
    pub(super) fn append(&mut self, base: Offset, end: Offset, bytes: &Bytes) {
        if self.pieces.back().is_some_and(|last| last.end != base) {
            self.clear();
        }
        if bytes.is_empty() {
            return;
        }
        let bytes = bytes.clone();
        self.bytes += cost(&bytes);
        self.pieces.push_back(Piece { base, end, bytes });
        while self.bytes > self.max_bytes
            && let Some(first) = self.pieces.pop_front()
        {
            self.bytes -= cost(&first.bytes);
        }
    }

    /// The log was cut: it ends at this offset.
    pub(super) fn cut(&mut self, to: Offset) {
        while let Some(last) = self.pieces.back()
            && last.end > to
        {
            self.bytes -= cost(&last.bytes);
            self.pieces.pop_back();
        }
    }

    /// The log is another.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    /// The batches of `from..until`: from the one that has `from` on, none that reaches beyond
    /// `until`, and as many as `max_bytes` hold, but one at least. `None` if that is not all here.
    pub(super) fn find(&self, from: Offset, until: Offset, max_bytes: usize) -> Option<Found> {
        let first = self.pieces.partition_point(|piece| piece.end <= from);
        if self.pieces.get(first)?.base > from {
            return None;
        }
        let mut found = Found::default();
        for piece in self.pieces.range(first..) {
            let is_whole = piece.base >= from
                && piece.end <= until
                && found.len + piece.bytes.len() <= max_bytes;
            if is_whole {
                found.take(piece.bytes.clone(), piece.end);
            } else if !piece.add_batches(from..until, max_bytes, &mut found) {
                break;
            }
        }
        (found.len > 0).then_some(found)
    }
}

impl Piece {
    /// Adds those of its batches that are wanted; whether its last is among them.
    fn add_batches(
        &self,
        wanted: std::ops::Range<Offset>,
        max_bytes: usize,
        found: &mut Found,
    ) -> bool {
        let mut taken = 0..0;
        let mut next = self.base;
        let mut is_whole = true;
        for batch in Batches::new(&self.bytes).map_while(Result::ok) {
            let end = batch.last_offset() + 1;
            let place = batch.position()..batch.position() + batch.bytes().len();
            if end <= wanted.start {
                taken = place.end..place.end;
                continue;
            }
            let len = found.len + place.end - taken.start;
            let is_first = found.len == 0 && taken.is_empty();
            if end > wanted.end || (len > max_bytes && !is_first) {
                is_whole = false;
                break;
            }
            (taken.end, next) = (place.end, end);
        }
        if !taken.is_empty() {
            found.take(self.bytes.slice(taken), next);
        }
        is_whole
    }
}

impl Found {
    fn take(&mut self, bytes: Bytes, next: Offset) {
        self.len += bytes.len();
        self.parts.push(bytes);
        self.next = next;
    }
}

fn cost(bytes: &Bytes) -> usize {
    bytes.len() + PIECE_OVERHEAD
}
