//! What Kafka's test raft server does while it leads: it writes records, steadily, and says how
//! fast they were committed.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant as Clock};

use hdrhistogram::Histogram;
use kwire_raft::node::AppendError;
use kwire_raft::types::{Epoch, Instant, Offset};

use crate::record::{self, Random, Serial};
use crate::runner::{FileDriver, FileDriverError};

/// The most bytes that may wait to be committed. The disk alone has a bound in the node's
/// configuration; this one is for followers that do not keep up. As much as a few syncs take: more
/// of it makes commits later and not faster.
const MAX_UNCOMMITTED_BYTES: usize = 8 << 20;
/// Voters that keep up are not left behind further than that either: a majority would do, and the
/// others would be served from files, further behind all the time. One that is behind by more is
/// catching up, or hopeless, and nobody waits for it.
const MAX_BEHIND_BYTES: usize = 2 * MAX_UNCOMMITTED_BYTES;
/// Nor for one that stands still for so long.
const STANDING_STILL: Duration = Duration::from_millis(200);
/// The most records of one turn, so that requests of others get theirs.
const MAX_TURN_BYTES: usize = 64 << 10;
/// The time between two reports of Kafka's test raft server.
pub const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The bytes that a record may have. One of the largest fits into a batch of any size that a node
/// is configured with here.
pub const RECORD_SIZES: RangeInclusive<usize> = record::MIN_SIZE..=1 << 20;

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Records a second; `None` for as many as go.
    pub records_per_second: Option<u64>,
    /// Bytes of a record: one of [`RECORD_SIZES`].
    pub record_size: usize,
    /// The time between two reports.
    pub report_every: Duration,
}

/// A load of records that no node can write: they are too short for their serial numbers, or longer
/// than a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongSize(pub usize);

impl fmt::Display for WrongSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (RECORD_SIZES.start(), RECORD_SIZES.end());
        write!(
            f,
            "records of {} bytes: from {least} to {most} are possible",
            self.0
        )
    }
}

impl std::error::Error for WrongSize {}

/// What a leader knows to be committed of its epoch's records: those with serial numbers below
/// `records`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The epoch.
    pub epoch: Epoch,
    /// How many records.
    pub records: u64,
}

/// Writes while this node leads.
pub struct Workload {
    load: Load,
    random: Random,
    epoch: Option<Leading>,
    committed: Committed,
    reported_at: Clock,
    buffer: Vec<u8>,
}

/// The epoch that this node leads.
struct Leading {
    epoch: Epoch,
    /// Records made in it: the next one's serial number.
    made: u64,
    /// Since when the rate is kept, and the records made since.
    rate_since: Clock,
    rate_made: u64,
    /// When it may write again. The node's thread wakes several times in a millisecond; a batch and a
    /// sync each time would cost several times as much, for a rate that is kept all the same.
    turn_at: Instant,
    /// How many of them are committed.
    acknowledged: u64,
    /// What is not committed yet, oldest first.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// How far the slowest voter is that keeps up, and since when.
    slowest: Option<(Offset, Clock)>,
}

struct Waiting {
    last: Offset,
    made_at: Clock,
    records: u64,
    bytes: usize,
}

/// What was committed since the last report.
struct Committed {
    /// Microseconds from making a record to its commit.
    latency: Histogram<u64>,
    bytes: u64,
    records: u64,
    since: Clock,
}

/// What a leader reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Committed bytes of records a second.
    pub bytes_per_second: f64,
    /// Committed records a second.
    pub records_per_second: f64,
    /// Milliseconds within which half of the records were committed.
    pub p50_ms: f64,
    /// Milliseconds within which three quarters were.
    pub p75_ms: f64,
    /// Milliseconds within which all but one of a hundred were.
    pub p99_ms: f64,
    /// Milliseconds within which all but one of a thousand were.
    pub p999_ms: f64,
}

impl fmt::Display for Report {
    /// The line of Kafka's test raft server, with the median before the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Throughput (bytes/second): {:.2}, Latency (ms): {:.1} p50 {:.1} p75 {:.1} p99 {:.1} p999",
            self.bytes_per_second, self.p50_ms, self.p75_ms, self.p99_ms, self.p999_ms
        )
    }
}

impl Committed {
    fn new() -> Committed {
        Committed {
            // Three digits, of any duration: it grows instead of counting the slowest as less slow.
            latency: Histogram::new(3).expect("three digits are in order"),
            bytes: 0,
            records: 0,
            since: Clock::now(),
        }
    }

    fn report(&self) -> Report {
        let seconds = self.since.elapsed().as_secs_f64().max(1e-3);
        let ms = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        Report {
            bytes_per_second: self.bytes as f64 / seconds,
            records_per_second: self.records as f64 / seconds,
            p50_ms: ms(0.5),
            p75_ms: ms(0.75),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
        }
    }
}

impl Workload {
    /// A workload; `seed` makes the records' contents.
    ///
    /// # Errors
    /// When there are no records of such a size.
    pub fn new(load: Load, seed: u64) -> Result<Workload, WrongSize> {
        if !RECORD_SIZES.contains(&load.record_size) {
            return Err(WrongSize(load.record_size));
        }
        Ok(Workload {
            load,
            random: Random::new(seed),
            epoch: None,
            committed: Committed::new(),
            reported_at: Clock::now(),
            buffer: Vec::new(),
        })
    }

    /// Writes what is due. Returns when to come back, at the latest.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn work(
        &mut self,
        driver: &mut FileDriver,
        now: Instant,
    ) -> Result<Instant, FileDriverError> {
        let leads = driver.node().epoch_start().map(|_| driver.node().epoch());
        if self.epoch.as_ref().map(|leading| leading.epoch) != leads {
            self.epoch = leads.map(Leading::new);
            self.committed = Committed::new();
            self.reported_at = Clock::now();
        }
        self.take_committed(driver);
        let Some(leading) = &mut self.epoch else {
            return Ok(Instant::NEVER);
        };
        if now < leading.turn_at {
            return Ok(leading.turn_at);
        }
        let node = driver.node();
        let behind = leading.behind(
            node.log_end().offset,
            node.voter_ends(),
            self.load.record_size,
        );
        let due = leading.due(self.load, behind);
        if due == 0 {
            return Ok(now.plus(1));
        }
        let records = due.min((MAX_TURN_BYTES / self.load.record_size).max(1) as u64);
        // Who is behind its rate, or has none, goes on at once.
        leading.turn_at = if records < due { now } else { now.plus(1) };
        let appended = leading.append(
            driver,
            now,
            self.load.record_size,
            records,
            &mut self.random,
            &mut self.buffer,
        )?;
        Ok(if appended {
            leading.turn_at
        } else {
            now.plus(1)
        })
    }

    /// The report that is due, if one is and something was committed since the last.
    pub fn report(&mut self) -> Option<Report> {
        if self.reported_at.elapsed() < self.load.report_every || self.committed.records == 0 {
            return None;
        }
        let report = self.committed.report();
        self.committed = Committed::new();
        self.reported_at = Clock::now();
        Some(report)
    }

    /// What is committed of the epoch that this node leads.
    #[must_use]
    pub fn acknowledged(&self) -> Option<Acknowledged> {
        let leading = self.epoch.as_ref()?;
        Some(Acknowledged {
            epoch: leading.epoch,
            records: leading.acknowledged,
        })
    }

    fn take_committed(&mut self, driver: &FileDriver) {
        let (Some(leading), Some(committed)) = (&mut self.epoch, driver.node().high_watermark())
        else {
            return;
        };
        while let Some(first) = leading.waiting.front()
            && first.last < committed
        {
            let micros = u64::try_from(first.made_at.elapsed().as_micros()).unwrap_or(u64::MAX);
            // A histogram without a limit takes any value.
            let _ = self
                .committed
                .latency
                .record_n(micros.max(1), first.records);
            self.committed.bytes += first.bytes as u64;
            self.committed.records += first.records;
            leading.acknowledged += first.records;
            leading.waiting_bytes -= first.bytes;
            leading.waiting.pop_front();
        }
    }
}

impl Leading {
    fn new(epoch: Epoch) -> Leading {
        Leading {
            epoch,
            made: 0,
            rate_since: Clock::now(),
            rate_made: 0,
            turn_at: Instant(0),
            acknowledged: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            slowest: None,
        }
    }

    /// About how many bytes the slowest of the voters lacks that keep up.
    fn behind(
        &mut self,
        log_end: Offset,
        voter_ends: impl Iterator<Item = Offset>,
        record_size: usize,
    ) -> usize {
        let lacks = |end: Offset| {
            let records = usize::try_from(log_end - end).unwrap_or(0);
            records.saturating_mul(record_size)
        };
        let keep_up = voter_ends.filter(|end| lacks(*end) <= MAX_BEHIND_BYTES);
        let Some(slowest) = keep_up.min() else {
            return 0;
        };
        let since = match self.slowest {
            Some((offset, since)) if offset == slowest => since,
            _ => self.slowest.insert((slowest, Clock::now())).1,
        };
        if since.elapsed() < STANDING_STILL {
            lacks(slowest)
        } else {
            0
        }
    }

    /// How many records to make now, while a voter that keeps up is behind by so many bytes.
    fn due(&mut self, load: Load, behind_bytes: usize) -> u64 {
        if self.waiting_bytes >= MAX_UNCOMMITTED_BYTES {
            return 0;
        }
        let Some(rate) = load.records_per_second else {
            // A rate that was asked for is kept, whoever falls behind by it.
            let is_behind = behind_bytes >= MAX_UNCOMMITTED_BYTES;
            return if is_behind { 0 } else { u64::MAX };
        };
        let elapsed = self.rate_since.elapsed().as_micros();
        let target = u64::try_from(elapsed * u128::from(rate) / 1_000_000).unwrap_or(u64::MAX);
        let due = target.saturating_sub(self.rate_made);
        if due <= rate {
            return due;
        }
        // More than a second behind: what a pause kept from being made does not follow as a flood.
        self.rate_since = Clock::now();
        self.rate_made = 0;
        0
    }

    /// Appends some records. Whether they were taken: not if the disk is behind.
    fn append(
        &mut self,
        driver: &mut FileDriver,
        now: Instant,
        size: usize,
        records: u64,
        random: &mut Random,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, FileDriverError> {
        buffer.clear();
        let epoch = self.epoch.unsigned_abs();
        for number in self.made..self.made + records {
            record::write(Serial { epoch, number }, size, random, buffer);
        }
        let new: Vec<&[u8]> = buffer.chunks_exact(size).collect();
        let last = match driver.append(now, self.epoch, &new)? {
            Ok(last) => last,
            Err(AppendError::Full { .. }) => return Ok(false),
            // Not the leader any more: the next turn sees that.
            Err(_) => return Ok(false),
        };
        self.made += records;
        self.rate_made += records;
        self.waiting_bytes += buffer.len();
        self.waiting.push_back(Waiting {
            last,
            made_at: Clock::now(),
            records,
            bytes: buffer.len(),
        });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_while_a_voter_that_follows_is_behind() {
        let load = Load {
            records_per_second: None,
            record_size: 100,
            report_every: REPORT_EVERY,
        };
        let mut leading = Leading::new(1);
        assert_eq!(leading.due(load, MAX_UNCOMMITTED_BYTES), 0);
        assert_eq!(leading.due(load, MAX_UNCOMMITTED_BYTES - 1), u64::MAX);
        let steady = Load {
            records_per_second: Some(1_000),
            ..load
        };
        leading.rate_since = Clock::now()
            .checked_sub(Duration::from_millis(500))
            .expect("a clock");
        assert!(
            leading.due(steady, MAX_UNCOMMITTED_BYTES) >= 500,
            "a rate is kept"
        );
        leading.waiting_bytes = MAX_UNCOMMITTED_BYTES;
        assert_eq!(leading.due(load, 0), 0, "nor while a majority is");
    }

    #[test]
    fn nobody_waits_for_a_voter_that_does_not_keep_up() {
        let mut leading = Leading::new(1);
        let mut behind = |ends: &[Offset]| leading.behind(1_000_000, ends.iter().copied(), 100);
        assert_eq!(behind(&[]), 0);
        assert_eq!(behind(&[1_000_000, 999_000]), 100_000);
        let far = 1_000_000 - Offset::try_from(MAX_BEHIND_BYTES / 100).expect("it fits") - 1;
        assert_eq!(behind(&[far, 999_500]), 50_000, "it catches up");
        let still = Clock::now()
            .checked_sub(STANDING_STILL)
            .expect("a clock that ran");
        leading.slowest = Some((999_500, still));
        let mut behind = |ends: &[Offset]| leading.behind(1_000_000, ends.iter().copied(), 100);
        assert_eq!(behind(&[999_500]), 0, "it stands still");
        assert_eq!(behind(&[999_501]), 49_900, "it goes on");
    }

    #[test]
    fn records_that_cannot_be_written_are_refused_at_once() {
        let load = |record_size| Load {
            records_per_second: None,
            record_size,
            report_every: REPORT_EVERY,
        };
        let (least, most) = RECORD_SIZES.into_inner();
        for size in [0, least - 1, most + 1, usize::MAX] {
            assert_eq!(Workload::new(load(size), 0).err(), Some(WrongSize(size)));
        }
        for size in [least, most] {
            assert!(Workload::new(load(size), 0).is_ok());
        }
    }
}
