//! What a node's state machine knows at an offset of the log, and how that stands in a snapshot.
//!
//! Each record's value begins with a tag, the version and the kind; there is no key and no header,
//! which Kafka's reader of snapshots refuses. Numbers are big-endian:
//!
//! | kind | what | how often |
//! |---|---|---|
//! | 0 | flags (1: producers were forgotten, 2: the serial numbers are whole), breaks (8 bytes), producers (4), epochs (4) | once, first |
//! | 1 | producer id (8), its epoch (2), batches (1), and of each batch: first and last sequence number (4 each), first and last offset (8 each) | for each producer, in the order of ids |
//! | 2 | epoch (4), the serial number that comes next in it (8) | for each epoch, in their order |

use std::collections::BTreeSet;
use std::fmt;

use bytes::{Buf, BufMut};
use kwire_protocol::records::{self, Batches, Limits, NewRecord};
use kwire_raft::log::snapshot::{SnapshotError, SnapshotOptions, SnapshotReader, SnapshotWriter};

use crate::producers::{Producer, Settled, Span};
use crate::serials::Serials;

/// What every value begins with.
const TAG: &[u8; 4] = b"kwst";
const VERSION: u8 = 1;

const FORGOTTEN: u8 = 1;
const WHOLE: u8 = 2;

/// What is known at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The idempotent producers.
    pub producers: Settled,
    /// The records of workloads.
    pub serials: Serials,
}

/// A part of it: what a record of a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// What there is.
    Head {
        /// Producers are missing.
        has_forgotten: bool,
        /// The serial numbers are those of the whole log.
        is_whole: bool,
        /// How often they did not follow on one another.
        breaks: u64,
        /// How many producers follow.
        producers: u32,
        /// How many epochs follow.
        epochs: u32,
    },
    /// A producer.
    Producer(i64, Producer),
    /// An epoch in which a workload wrote, and its next number.
    Epoch(u32, u64),
}

/// Why a record of a snapshot is none of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// A later version wrote it.
    Version(u8),
    /// There is no such kind of record in this version.
    Kind(u8),
    /// The value is too short or too long, or says what cannot be.
    Malformed(&'static str),
    /// A record that belongs elsewhere, or to somebody else.
    Unexpected,
    /// There are fewer or more producers or epochs than the first record says.
    Count {
        /// How many there are to be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}

/// Why a snapshot's state cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The snapshot cannot be read, or is damaged.
    Snapshot(SnapshotError<E>),
    /// Records of it cannot be read.
    Records(records::Error),
    /// A record is not what it ought to be.
    State {
        /// Which, counted from 0 without control records.
        record: usize,
        /// Why.
        error: StateError,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Version(version) => {
                write!(
                    f,
                    "a state of version {version}, which is newer than {VERSION}"
                )
            }
            StateError::Kind(kind) => write!(f, "there is no kind {kind}"),
            StateError::Malformed(what) => f.write_str(what),
            StateError::Unexpected => f.write_str("the record does not belong there"),
            StateError::Count { expected, found } => {
                write!(
                    f,
                    "{expected} producers or epochs were to come, and there are {found}"
                )
            }
        }
    }
}

impl std::error::Error for StateError {}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Snapshot(error) => write!(f, "{error}"),
            LoadError::Records(error) => write!(f, "{error}"),
            LoadError::State { record, error } => write!(f, "record {record}: {error}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for LoadError<E> {}

impl State {
    /// The bytes of a snapshot of this.
    ///
    /// # Errors
    /// When a record cannot be written, which is not to be expected of records that are so short.
    pub fn to_snapshot(&self, options: SnapshotOptions) -> Result<Vec<u8>, records::Error> {
        let timestamp = options.last_contained_log_timestamp_ms;
        let mut writer = SnapshotWriter::new(options);
        let mut value = Vec::new();
        for entry in self.entries() {
            value.clear();
            entry.write(&mut value);
            writer.append(&NewRecord {
                timestamp,
                value: Some(&value),
                ..Default::default()
            })?;
        }
        writer.finish()
    }

    /// Reads a snapshot to its end. `None` if it holds no state: it was made by another program.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub fn from_snapshot<R, E>(mut reader: SnapshotReader<R>) -> Result<Option<State>, LoadError<E>>
    where
        R: FnMut(u64, usize) -> Result<bytes::Bytes, E>,
    {
        let mut builder: Option<Builder> = None;
        let mut count = 0;
        let mut scratch = Vec::new();
        while let Some(bytes) = reader.next_batch().map_err(LoadError::Snapshot)? {
            let batches = Batches::new(&bytes).filter_map(Result::ok);
            let is_control = |h: &records::BatchHeader| h.attributes.is_control();
            for batch in batches.filter(|batch| !batch.header().is_some_and(is_control)) {
                let found = batch.records(&mut scratch, &Limits::default());
                for record in found.map_err(LoadError::Records)? {
                    let record = record.map_err(LoadError::Records)?;
                    let at = |error| LoadError::State {
                        record: count,
                        error,
                    };
                    match (
                        Entry::read(record.value.unwrap_or_default()).map_err(at)?,
                        &mut builder,
                    ) {
                        (None, None) if count == 0 => return Ok(None),
                        (Some(entry), None) if count == 0 => {
                            builder = Some(Builder::new(entry).map_err(at)?);
                        }
                        (Some(entry), Some(builder)) => builder.add(entry).map_err(at)?,
                        _ => return Err(at(StateError::Unexpected)),
                    }
                    count += 1;
                }
            }
        }
        let state = builder.map(Builder::finish).transpose();
        state.map_err(|error| LoadError::State {
            record: count,
            error,
        })
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let Settled {
            producers,
            has_forgotten,
        } = &self.producers;
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let head = Entry::Head {
            has_forgotten: *has_forgotten,
            is_whole: self.serials.is_whole,
            breaks: self.serials.breaks,
            producers: count(producers.len()),
            epochs: count(self.serials.next.len()),
        };
        let epochs = self.serials.next.iter();
        std::iter::once(head)
            .chain(
                producers
                    .iter()
                    .map(|(id, p)| Entry::Producer(*id, p.clone())),
            )
            .chain(epochs.map(|(epoch, next)| Entry::Epoch(*epoch, *next)))
    }
}

impl Entry {
    /// Reads a record's value. `None` if it belongs to another program.
    ///
    /// # Errors
    /// When it is not what this version writes.
    pub fn read(value: &[u8]) -> Result<Option<Entry>, StateError> {
        const SHORT: StateError = StateError::Malformed("the value ends too early");
        let Some(mut rest) = value.strip_prefix(TAG) else {
            return Ok(None);
        };
        let short = |_| SHORT;
        match rest.try_get_u8().map_err(short)? {
            VERSION => {}
            version => return Err(StateError::Version(version)),
        }
        let entry = match rest.try_get_u8().map_err(short)? {
            0 => {
                let flags = rest.try_get_u8().map_err(short)?;
                if flags & !(FORGOTTEN | WHOLE) != 0 {
                    return Err(StateError::Malformed("there is a flag that is not known"));
                }
                Entry::Head {
                    has_forgotten: flags & FORGOTTEN != 0,
                    is_whole: flags & WHOLE != 0,
                    breaks: rest.try_get_u64().map_err(short)?,
                    producers: rest.try_get_u32().map_err(short)?,
                    epochs: rest.try_get_u32().map_err(short)?,
                }
            }
            1 => {
                let id = rest.try_get_i64().map_err(short)?;
                let epoch = rest.try_get_i16().map_err(short)?;
                let mut spans = Vec::new();
                for _ in 0..rest.try_get_u8().map_err(short)? {
                    spans.push(Span {
                        first: rest.try_get_i32().map_err(short)?,
                        last: rest.try_get_i32().map_err(short)?,
                        base: rest.try_get_i64().map_err(short)?,
                        end: rest.try_get_i64().map_err(short)?,
                    });
                }
                let producer = Producer::with(epoch, &spans);
                let wrong = "a producer's batches are none, too many, or out of order";
                Entry::Producer(id, producer.ok_or(StateError::Malformed(wrong))?)
            }
            2 => {
                let epoch = rest.try_get_u32().map_err(short)?;
                Entry::Epoch(epoch, rest.try_get_u64().map_err(short)?)
            }
            kind => return Err(StateError::Kind(kind)),
        };
        if rest.has_remaining() {
            return Err(StateError::Malformed("the value goes on after its end"));
        }
        Ok(Some(entry))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_slice(TAG);
        out.put_u8(VERSION);
        match self {
            Entry::Head {
                has_forgotten,
                is_whole,
                breaks,
                producers,
                epochs,
            } => {
                out.put_u8(0);
                let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
                out.put_u8(flag(*has_forgotten, FORGOTTEN) | flag(*is_whole, WHOLE));
                out.put_u64(*breaks);
                out.put_u32(*producers);
                out.put_u32(*epochs);
            }
            Entry::Producer(id, producer) => {
                out.put_u8(1);
                out.put_i64(*id);
                out.put_i16(producer.epoch);
                // Five at most.
                out.put_u8(producer.spans().len() as u8);
                for span in producer.spans() {
                    out.put_i32(span.first);
                    out.put_i32(span.last);
                    out.put_i64(span.base);
                    out.put_i64(span.end);
                }
            }
            Entry::Epoch(epoch, next) => {
                out.put_u8(2);
                out.put_u32(*epoch);
                out.put_u64(*next);
            }
        }
    }
}

/// A state of which the records come one by one.
struct Builder {
    state: State,
    producers: usize,
    epochs: usize,
    /// The ends of the producers' last batches: no two can have the same.
    ends: BTreeSet<i64>,
}

impl Builder {
    fn new(head: Entry) -> Result<Builder, StateError> {
        let Entry::Head {
            has_forgotten,
            is_whole,
            breaks,
            producers,
            epochs,
        } = head
        else {
            return Err(StateError::Unexpected);
        };
        let mut serials = Serials::new(is_whole);
        serials.breaks = breaks;
        Ok(Builder {
            state: State {
                producers: Settled {
                    producers: Vec::new(),
                    has_forgotten,
                },
                serials,
            },
            producers: producers as usize,
            epochs: epochs as usize,
            ends: BTreeSet::new(),
        })
    }

    fn add(&mut self, entry: Entry) -> Result<(), StateError> {
        let State { producers, serials } = &mut self.state;
        let is_next = match &entry {
            Entry::Head { .. } => false,
            Entry::Producer(id, producer) => {
                let last = producers.producers.last();
                let end = producer.spans().last().map_or(-1, |span| span.end);
                serials.next.is_empty()
                    && last.is_none_or(|(last, _)| last < id)
                    && self.ends.insert(end)
            }
            Entry::Epoch(epoch, _) => serials
                .next
                .last_key_value()
                .is_none_or(|(last, _)| last < epoch),
        };
        match entry {
            Entry::Producer(id, producer) if is_next => producers.producers.push((id, producer)),
            Entry::Epoch(epoch, next) if is_next => {
                serials.next.insert(epoch, next);
            }
            _ => return Err(StateError::Unexpected),
        }
        Ok(())
    }

    fn finish(self) -> Result<State, StateError> {
        let counts = [
            (self.producers, self.state.producers.producers.len()),
            (self.epochs, self.state.serials.next.len()),
        ];
        match counts
            .into_iter()
            .find(|(expected, found)| expected != found)
        {
            Some((expected, found)) => Err(StateError::Count { expected, found }),
            None => Ok(self.state),
        }
    }
}

#[cfg(test)]
mod tests;
