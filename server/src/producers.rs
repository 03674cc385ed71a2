//! Which batches of idempotent producers the log has (KIP-98): a state machine without I/O.
//!
//! It follows from the log alone. Whoever has the log tells it of every batch, in order
//! ([`add`](Producers::add)), of the high watermark ([`settle`](Producers::settle)) and of what was
//! cut off ([`cut`](Producers::cut)); then every replica knows the same, and a leader that takes
//! over refuses what an earlier one has appended already. Where the log's beginning is gone,
//! [`Settled`] stands for it.

use std::collections::{BTreeMap, VecDeque};

use kwire_protocol::records::BatchHeader;
use kwire_raft::types::{Epoch, Offset};

/// How many batches of a producer are remembered: as many as it may have in flight.
pub const REMEMBERED: usize = 5;
/// The most producers that are remembered. Those whose last batch is the oldest are forgotten, so
/// that all replicas forget the same.
const MAX_PRODUCERS: usize = 50_000;
/// The most batches that may wait to be committed: what may be cut off has to be kept twice.
const MAX_UNSETTLED: usize = 200_000;

/// A batch of an idempotent producer, and where it lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub first: i32,
    /// The sequence number of the last record.
    pub last: i32,
    /// The offset of the first record; without a meaning before the batch is appended.
    pub base: Offset,
    /// The offset of the last record.
    pub end: Offset,
}

impl Sequenced {
    /// What a batch's header says; `None` if its producer is not idempotent.
    #[must_use]
    pub fn of(header: &BatchHeader) -> Option<Sequenced> {
        let counts = header.producer_id >= 0 && header.base_sequence >= 0;
        counts.then(|| Sequenced {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            first: header.base_sequence,
            last: header.last_sequence(),
            base: header.base_offset,
            end: header.last_offset(),
        })
    }
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on where the last one ended.
    Append,
    /// The log has it.
    Duplicate {
        /// The offset of its first record.
        base: Offset,
        /// The offset of its last record.
        end: Offset,
    },
    /// Something is missing before it, or it is too old to be known.
    OutOfOrder,
    /// Its producer has a newer epoch.
    Fenced,
}

/// The last batches of one producer, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its epoch.
    pub epoch: i16,
    batches: [Span; REMEMBERED],
    len: usize,
}

/// A batch of a producer's: its sequence numbers, and where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The sequence number of the first record.
    pub first: i32,
    /// The sequence number of the last record.
    pub last: i32,
    /// The offset of the first record.
    pub base: Offset,
    /// The offset of the last record.
    pub end: Offset,
}

/// The producers of all that is committed, as a snapshot keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// In the order of their ids.
    pub producers: Vec<(i64, Producer)>,
    /// Others were forgotten, or never known.
    pub has_forgotten: bool,
}

impl Producer {
    /// A producer with the batches that it appended last, oldest first. `None` if there are none,
    /// or too many, or if they do not lie one after the other.
    #[must_use]
    pub fn with(epoch: i16, spans: &[Span]) -> Option<Producer> {
        let mut producer = Producer::new(epoch);
        producer
            .batches
            .get_mut(..spans.len())?
            .copy_from_slice(spans);
        producer.len = spans.len();
        let follow = |pair: &[Span]| matches!(pair, [a, b] if a.end < b.base);
        let is_whole = |span: &Span| span.base >= 0 && span.base <= span.end;
        let is_right = spans.iter().all(is_whole) && spans.windows(2).all(follow);
        (is_right && !spans.is_empty()).then_some(producer)
    }

    fn new(epoch: i16) -> Producer {
        Producer {
            epoch,
            batches: [Span::default(); REMEMBERED],
            len: 0,
        }
    }

    /// Its last batches, oldest first.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        self.batches.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, span: Span) {
        if self.len == REMEMBERED {
            self.batches.rotate_left(1);
            self.len -= 1;
        }
        if let Some(place) = self.batches.get_mut(self.len) {
            *place = span;
            self.len += 1;
        }
    }

    fn check(&self, batch: &Sequenced) -> Verdict {
        if batch.epoch < self.epoch {
            return Verdict::Fenced;
        }
        if batch.epoch > self.epoch {
            return if batch.first == 0 {
                Verdict::Append
            } else {
                Verdict::OutOfOrder
            };
        }
        let is_same = |span: &&Span| (span.first, span.last) == (batch.first, batch.last);
        if let Some(span) = self.spans().iter().find(is_same) {
            let Span { base, end, .. } = *span;
            return Verdict::Duplicate { base, end };
        }
        // After the largest sequence number comes 0.
        let next = |last: i32| last.checked_add(1).unwrap_or(0);
        match self.spans().last() {
            Some(span) if next(span.last) != batch.first => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }
}

/// Producers as they are at some offset of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    most: usize,
    producers: BTreeMap<i64, Producer>,
    /// By the end of each one's last batch.
    by_age: BTreeMap<Offset, i64>,
    /// Producers are missing: of a log that does not start at 0, or too many.
    has_forgotten: bool,
}

impl Table {
    fn new(most: usize) -> Table {
        Table {
            most,
            producers: BTreeMap::new(),
            by_age: BTreeMap::new(),
            has_forgotten: false,
        }
    }

    fn add(&mut self, batch: &Sequenced) {
        let new = || Producer::new(batch.epoch);
        let producer = self.producers.entry(batch.producer_id).or_insert_with(new);
        if let Some(span) = producer.spans().last() {
            self.by_age.remove(&span.end);
        }
        if producer.epoch != batch.epoch {
            *producer = new();
        }
        producer.push(Span {
            first: batch.first,
            last: batch.last,
            base: batch.base,
            end: batch.end,
        });
        self.by_age.insert(batch.end, batch.producer_id);
        if self.producers.len() > self.most
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.producers.remove(&oldest);
            self.has_forgotten = true;
        }
    }

    fn check(&self, batch: &Sequenced) -> Verdict {
        match self.producers.get(&batch.producer_id) {
            Some(producer) => producer.check(batch),
            // Nobody who is unknown has begun, unless somebody was forgotten.
            None if batch.first == 0 || self.has_forgotten => Verdict::Append,
            None => Verdict::OutOfOrder,
        }
    }
}

/// The producers of a log. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producers {
    /// As of what is committed, which nothing can undo.
    settled: Table,
    settled_to: Offset,
    /// As of everything that was told.
    current: Table,
    /// The batches between the two.
    unsettled: VecDeque<Sequenced>,
    next: Offset,
    /// The epoch in which ids were given out last, and how many.
    given: (Epoch, u32),
}

impl Default for Producers {
    fn default() -> Producers {
        Producers::new()
    }
}

impl Producers {
    /// The producers of an empty log.
    #[must_use]
    pub fn new() -> Producers {
        Producers::with_most(MAX_PRODUCERS)
    }

    /// The same, of which no more than so many are remembered.
    pub(crate) fn with_most(most: usize) -> Producers {
        Producers {
            settled: Table::new(most),
            settled_to: 0,
            current: Table::new(most),
            unsettled: VecDeque::new(),
            next: 0,
            given: (0, 0),
        }
    }

    /// The offset of the next record to hear of.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// Whether more would have to be remembered than there is room for, until something is
    /// committed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.unsettled.len() >= MAX_UNSETTLED
    }

    /// The log has this batch next.
    pub fn add(&mut self, header: &BatchHeader) {
        self.next = header.last_offset().saturating_add(1);
        if let Some(batch) = Sequenced::of(header) {
            self.current.add(&batch);
            self.unsettled.push_back(batch);
        }
    }

    /// The log is committed up to this offset.
    pub fn settle(&mut self, high_watermark: Offset) {
        while let Some(batch) = self.unsettled.front()
            && batch.end < high_watermark
        {
            self.settled.add(batch);
            self.unsettled.pop_front();
        }
        let settled = high_watermark.min(self.next);
        self.settled_to = self.settled_to.max(settled);
    }

    /// The log was cut: it ends at this offset. Returns whether what is left is known; if not, it
    /// has to be told from the log's start on.
    pub fn cut(&mut self, to: Offset) -> bool {
        if to >= self.next {
            return true;
        }
        if to < self.settled_to {
            return false;
        }
        self.unsettled.retain(|batch| batch.end < to);
        self.current = self.settled.clone();
        for batch in &self.unsettled {
            self.current.add(batch);
        }
        self.next = to;
        true
    }

    /// Forgets everything: the log starts at this offset, and is told anew.
    pub fn restart(&mut self, start: Offset) {
        let nobody = Settled {
            producers: Vec::new(),
            has_forgotten: start > 0,
        };
        self.restore(start, &nobody);
    }

    /// Forgets everything for what was settled at an offset, from which on the log is told.
    pub fn restore(&mut self, end: Offset, settled: &Settled) {
        let mut table = Table::new(self.settled.most);
        table.has_forgotten = settled.has_forgotten;
        for (id, producer) in &settled.producers {
            if let Some(last) = producer.spans().last() {
                table.by_age.insert(last.end, *id);
                table.producers.insert(*id, producer.clone());
            }
        }
        *self = Producers {
            current: table.clone(),
            settled: table,
            settled_to: end,
            unsettled: VecDeque::new(),
            next: end,
            given: self.given,
        };
    }

    /// The producers as of what was settled last.
    #[must_use]
    pub fn settled(&self) -> Settled {
        let producers = self.settled.producers.iter();
        Settled {
            producers: producers.map(|(id, p)| (*id, p.clone())).collect(),
            has_forgotten: self.settled.has_forgotten,
        }
    }

    /// What is to be done with a batch, given all that the log has.
    #[must_use]
    pub fn check(&self, batch: &Sequenced) -> Verdict {
        self.current.check(batch)
    }

    /// A producer id that nobody else has, given out by the leader of an epoch; `None` if there are
    /// no more in this epoch.
    ///
    /// It is the epoch, followed by a counter of 32 bits that starts anew with each epoch. An epoch
    /// has one leader at most, and a leader that is started again leads a later one: no two nodes,
    /// and no node twice, can give out the same.
    pub fn new_id(&mut self, epoch: Epoch) -> Option<i64> {
        if self.given.0 != epoch {
            self.given = (epoch, 0);
        }
        let count = self.given.1;
        self.given.1 = count.checked_add(1)?;
        Some((i64::from(epoch) << 32) | i64::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, epoch: i16, first: i32, records: i32, base: Offset) -> BatchHeader {
        BatchHeader {
            base_offset: base,
            producer_id,
            producer_epoch: epoch,
            base_sequence: first,
            last_offset_delta: records - 1,
            record_count: records,
            batch_length: 0,
            partition_leader_epoch: 0,
            crc: 0,
            attributes: kwire_protocol::records::Attributes(0),
            base_timestamp: 0,
            max_timestamp: 0,
        }
    }

    fn check(producers: &Producers, id: i64, epoch: i16, first: i32, records: i32) -> Verdict {
        let header = batch(id, epoch, first, records, 0);
        producers.check(&Sequenced::of(&header).expect("a sequence"))
    }

    #[test]
    fn duplicates_of_the_last_five_are_known() {
        let mut producers = Producers::new();
        for number in 0..6 {
            assert_eq!(check(&producers, 7, 0, number * 2, 2), Verdict::Append);
            producers.add(&batch(7, 0, number * 2, 2, 10 * Offset::from(number)));
        }
        for number in 1..6 {
            let base = 10 * Offset::from(number);
            let verdict = Verdict::Duplicate {
                base,
                end: base + 1,
            };
            assert_eq!(check(&producers, 7, 0, number * 2, 2), verdict);
        }
        assert_eq!(check(&producers, 7, 0, 0, 2), Verdict::OutOfOrder);
        assert_eq!(check(&producers, 7, 0, 2, 1), Verdict::OutOfOrder);
        assert_eq!(check(&producers, 7, 0, 14, 1), Verdict::OutOfOrder);
        assert_eq!(check(&producers, 7, 0, 12, 1), Verdict::Append);
    }

    #[test]
    fn epochs_fence_and_begin_anew() {
        let mut producers = Producers::new();
        producers.add(&batch(7, 3, 0, 1, 0));
        assert_eq!(check(&producers, 7, 2, 1, 1), Verdict::Fenced);
        assert_eq!(check(&producers, 7, 4, 1, 1), Verdict::OutOfOrder);
        assert_eq!(check(&producers, 7, 4, 0, 1), Verdict::Append);
        producers.add(&batch(7, 4, 0, 1, 1));
        assert_eq!(check(&producers, 7, 3, 1, 1), Verdict::Fenced);
    }

    #[test]
    fn after_the_largest_sequence_comes_zero() {
        let mut producers = Producers::new();
        producers.restart(5);
        assert_eq!(
            check(&producers, 7, 0, i32::MAX, 1),
            Verdict::Append,
            "what came before is not there"
        );
        producers.add(&batch(7, 0, i32::MAX, 1, 5));
        assert_eq!(check(&producers, 7, 0, 0, 1), Verdict::Append);
        assert_eq!(check(&producers, 7, 0, 1, 1), Verdict::OutOfOrder);
    }

    #[test]
    fn nobody_begins_in_the_middle() {
        let producers = Producers::new();
        assert_eq!(check(&producers, 7, 0, 3, 1), Verdict::OutOfOrder);
    }

    #[test]
    fn what_was_cut_off_was_never_there() {
        let mut producers = Producers::new();
        for number in 0..12 {
            producers.add(&batch(7, 0, number, 1, number.into()));
        }
        producers.settle(4);
        let mut expected = Producers::new();
        for number in 0..6 {
            expected.add(&batch(7, 0, number, 1, number.into()));
        }
        expected.settle(4);
        assert!(producers.cut(6));
        assert_eq!(producers, expected);
        assert_eq!(producers.next_offset(), 6);
        let duplicate = Verdict::Duplicate { base: 1, end: 1 };
        assert_eq!(check(&producers, 7, 0, 1, 1), duplicate);
        assert!(!producers.cut(3), "it was committed");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut producers = Producers::new();
        let count = i64::try_from(MAX_PRODUCERS).expect("few") + 1;
        for id in 0..count {
            producers.add(&batch(id, 0, 0, 1, id));
        }
        producers.settle(count);
        assert_eq!(producers.current.producers.len(), MAX_PRODUCERS);
        assert_eq!(producers.settled, producers.current);
        assert_eq!(producers.current.by_age.len(), MAX_PRODUCERS);
        assert_eq!(check(&producers, 0, 0, 9, 1), Verdict::Append);
        assert_eq!(check(&producers, 1, 0, 9, 1), Verdict::OutOfOrder);
    }

    #[test]
    fn ids_differ_between_epochs() {
        let mut producers = Producers::new();
        let ids = [1, 1, 2, 2].map(|epoch| producers.new_id(epoch));
        let epoch = 1_i64 << 32;
        assert_eq!(ids, [epoch, epoch + 1, 2 * epoch, 2 * epoch + 1].map(Some));
        producers.given = (3, u32::MAX);
        assert_eq!(producers.new_id(3), None);
    }

    #[test]
    fn batches_of_a_producer_lie_one_after_the_other() {
        let span = |base, end| Span {
            first: 0,
            last: 0,
            base,
            end,
        };
        let spans = |spans: &[Span]| Producer::with(0, spans).map(|p| p.spans().to_vec());
        let good = [span(0, 0), span(1, 5), span(7, 7)];
        assert_eq!(spans(&good), Some(good.to_vec()));
        assert_eq!(spans(&[]), None);
        assert_eq!(spans(&[span(3, 2)]), None);
        assert_eq!(spans(&[span(-1, 2)]), None);
        assert_eq!(spans(&[span(1, 5), span(5, 5)]), None);
        let six: Vec<Span> = (0..6).map(|at| span(at, at)).collect();
        assert_eq!(spans(&six), None);
    }
}
