//! A consumer that reads the quorum's log as it is committed, and never reads anything twice: what
//! it has seen is not to change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kwire_protocol::records::{Batch, Batches, Limits};
use kwire_raft::types::{Epoch, Offset, Topic};
use kwire_raft::voters::Address;
use kwire_server::client::{ClientError, Fetched, QuorumClient};

use crate::clients::{Acknowledged, Made};
use crate::node::lock;

const TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long the leader may wait for records.
const WAIT: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The batches, in order and without a gap.
    pub(crate) batches: Vec<Read>,
    /// Where each record of a client lies.
    pub(crate) records: HashMap<Made, Offset>,
    /// Of each producer, the sequence number that comes next.
    sequences: HashMap<i64, i32>,
    /// What there must not be.
    pub(crate) broken: Vec<String>,
}

/// A batch that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) base: Offset,
    /// The offset after its last record.
    pub(crate) end: Offset,
    pub(crate) epoch: Epoch,
    pub(crate) crc: u32,
    /// Bytes of the log up to its end.
    pub(crate) bytes: u64,
}

impl Seen {
    /// The offset that is read next.
    pub(crate) fn next(&self) -> Offset {
        self.batches.last().map_or(0, |read| read.end)
    }

    /// Bytes of the log that were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.batches.last().map_or(0, |read| read.bytes)
    }

    /// The epoch of what was read last.
    pub(crate) fn epoch(&self) -> Epoch {
        self.batches.last().map_or(0, |read| read.epoch)
    }

    /// Of what was acknowledged and lies before what is read next, all that does not lie where it
    /// was said to.
    pub(crate) fn misplaced(&self, acknowledged: &[Acknowledged]) -> Vec<String> {
        let mut wrong = Vec::new();
        for batch in acknowledged {
            for (number, offset) in (batch.first..batch.first + batch.count).zip(batch.base..) {
                let client = batch.client;
                let found = self.records.get(&Made { client, number }).copied();
                if offset < self.next() && found != Some(offset) {
                    let found = found.map_or("nowhere".to_owned(), |at| format!("at {at}"));
                    wrong.push(format!(
                        "record {number} of client {client} was acknowledged at offset {offset}, \
                         and is {found}"
                    ));
                }
            }
        }
        wrong
    }

    /// Takes the next batch.
    pub(crate) fn take(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let header = batch.header().ok_or("a batch of an old magic")?;
        let base = header.base_offset;
        if base != self.next() {
            return Err(format!("offset {base} where {} was to follow", self.next()));
        }
        if header.partition_leader_epoch < self.epoch() {
            return Err(format!("offset {base}: an epoch below the one before it"));
        }
        self.batches.push(Read {
            base,
            end: batch.last_offset() + 1,
            epoch: header.partition_leader_epoch,
            crc: header.crc,
            bytes: self.bytes() + batch.bytes().len() as u64,
        });
        if header.attributes.is_control() {
            return Ok(());
        }
        if header.producer_id >= 0 {
            let sequence = self.sequences.entry(header.producer_id).or_default();
            if *sequence != header.base_sequence {
                return Err(format!(
                    "offset {base}: sequence number {} of producer {} where {sequence} was to follow",
                    header.base_sequence, header.producer_id
                ));
            }
            *sequence = header.last_sequence().saturating_add(1);
        }
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &Limits::default());
        for record in records.map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            let Some(made) = record.value.and_then(Made::parse) else {
                continue;
            };
            if let Some(before) = self.records.insert(made, record.offset) {
                return Err(format!(
                    "record {} of client {} is at offset {before}, and again at {}",
                    made.number, made.client, record.offset
                ));
            }
        }
        Ok(())
    }
}

impl Reader {
    pub(crate) fn start(addresses: &[Address]) -> Reader {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let thread = {
            let (stop, seen, addresses) = (stop.clone(), seen.clone(), addresses.to_vec());
            thread::spawn(move || {
                if let Err(what) = read(addresses, &stop, &seen) {
                    lock(&seen).broken.push(format!("the consumer: {what}"));
                }
            })
        };
        Reader {
            stop,
            seen,
            thread: Some(thread),
        }
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn read(mut addresses: Vec<Address>, stop: &AtomicBool, seen: &Mutex<Seen>) -> Result<(), String> {
    let connect = |addresses: &[Address]| {
        let client = QuorumClient::new(addresses.to_vec(), Topic::performance_test(), TIMEOUT);
        client.map_err(|error| error.to_string())
    };
    let mut client = connect(&addresses)?;
    while !stop.load(Ordering::SeqCst) {
        let (next, epoch) = {
            let seen = lock(seen);
            (seen.next(), seen.epoch())
        };
        match client.fetch(next, epoch, WAIT) {
            Ok(Fetched::Records {
                batches,
                high_watermark,
            }) => {
                let committed = high_watermark.unwrap_or(0);
                let mut seen = lock(seen);
                for batch in Batches::validated(&batches) {
                    let batch = batch.map_err(|error| error.to_string())?;
                    let last = batch.last_offset();
                    if last >= committed {
                        break;
                    }
                    // The first may begin before what was asked for.
                    if last >= next {
                        seen.take(&batch)?;
                    }
                }
                let is_new = seen.next() > next;
                drop(seen);
                if !is_new {
                    thread::sleep(PAUSE);
                }
            }
            Ok(Fetched::Snapshot { id, .. }) => {
                return Err(format!("a snapshot at {id}, which nobody made"));
            }
            Err(ClientError::NoLeader { .. }) => {
                // The first may be the one that does not answer.
                addresses.rotate_left(1);
                client = connect(&addresses)?;
                thread::sleep(PAUSE);
            }
            Err(ClientError::Refused { error, .. }) if error.is_retriable() => {
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_elsewhere_or_nowhere_is_told() {
        let read = Read {
            base: 0,
            end: 10,
            epoch: 1,
            crc: 0,
            bytes: 100,
        };
        let mut seen = Seen {
            batches: vec![read],
            ..Seen::default()
        };
        let acknowledged = |first, base| Acknowledged {
            client: 1,
            first,
            count: 2,
            base,
        };
        for (number, offset) in [(0, 4), (1, 5), (2, 7)] {
            seen.records.insert(Made { client: 1, number }, offset);
        }
        assert_eq!(seen.misplaced(&[acknowledged(0, 4)]), [""; 0]);
        assert_eq!(
            seen.misplaced(&[acknowledged(2, 10)]),
            [""; 0],
            "not read yet"
        );
        let wrong = seen.misplaced(&[acknowledged(2, 8)]);
        let expected = [
            "record 2 of client 1 was acknowledged at offset 8, and is at 7",
            "record 3 of client 1 was acknowledged at offset 9, and is nowhere",
        ];
        assert_eq!(wrong, expected);
    }
}
