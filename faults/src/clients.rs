//! Idempotent producers, which note every record that was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};
use kwire_raft::types::{Offset, Topic};
use kwire_raft::voters::Address;
use kwire_server::client::{ClientError, ProducerId, QuorumClient};
use kwire_server::record::Random;

use crate::failure::Failure;
use crate::node::lock;

/// For each call: shorter than the faults, so that clients look elsewhere while there is one.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// The most records of a batch.
const MAX_RECORDS: u64 = 5;

/// The clients of a quorum, a thread each.
pub(crate) struct Clients {
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    /// No new batches.
    finish: AtomicBool,
    /// The batch that nobody answered is given up, too.
    give_up: AtomicBool,
    /// Batches that were answered, of each client.
    answered: Vec<AtomicU64>,
    ledger: Mutex<Ledger>,
}

/// What clients know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Answers that there must not be.
    pub(crate) broken: Vec<String>,
}

/// A batch that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) client: u32,
    /// The number of the first record.
    pub(crate) first: u64,
    /// How many records.
    pub(crate) count: u64,
    /// The offset of the first record.
    pub(crate) base: Offset,
}

/// Who made a record, and as the how manyth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Made {
    pub(crate) client: u32,
    pub(crate) number: u64,
}

impl Made {
    /// A record's value.
    pub(crate) fn value(self) -> String {
        format!("kwire-faults client {} record {}", self.client, self.number)
    }

    /// Reads a record's value. `None` if no client made it.
    pub(crate) fn parse(value: &[u8]) -> Option<Made> {
        let text = std::str::from_utf8(value).ok()?;
        let rest = text.strip_prefix("kwire-faults client ")?;
        let (client, number) = rest.split_once(" record ")?;
        Some(Made {
            client: client.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl Clients {
    /// Starts so many.
    pub(crate) fn start(count: u32, addresses: &[Address], seed: u64) -> Clients {
        let shared = Arc::new(Shared {
            finish: AtomicBool::new(false),
            give_up: AtomicBool::new(false),
            answered: (0..count).map(|_| AtomicU64::new(0)).collect(),
            ledger: Mutex::new(Ledger::default()),
        });
        let start = |client: u32| {
            let mut producer = Producer {
                client,
                addresses: addresses.to_vec(),
                connection: None,
                random: Random::new(seed ^ u64::from(client)),
                shared: shared.clone(),
            };
            thread::spawn(move || {
                if let Err(what) = producer.run() {
                    let what = format!("client {client}: {what}");
                    lock(&producer.shared.ledger).broken.push(what);
                }
            })
        };
        Clients {
            threads: (0..count).map(start).collect(),
            shared,
        }
    }

    /// How many batches of each client were answered.
    pub(crate) fn answered(&self) -> Vec<u64> {
        let answered = self.shared.answered.iter();
        answered.map(|count| count.load(Ordering::SeqCst)).collect()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        lock(&self.shared.ledger).clone()
    }

    /// What went wrong so far.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let broken = lock(&self.shared.ledger).broken.clone();
        match broken.is_empty() {
            true => Ok(()),
            false => Err(Failure::Broken(broken)),
        }
    }

    /// Lets each end with the batch that it sends. Whether all have.
    pub(crate) fn finish(&self) -> bool {
        self.shared.finish.store(true, Ordering::SeqCst);
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.finish.store(true, Ordering::SeqCst);
        self.shared.give_up.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Producer {
    client: u32,
    /// Those that are asked, in this order.
    addresses: Vec<Address>,
    connection: Option<QuorumClient>,
    random: Random,
    shared: Arc<Shared>,
}

impl Producer {
    fn run(&mut self) -> Result<(), String> {
        let Some(id) = self.ask(QuorumClient::init_producer_id)? else {
            return Ok(());
        };
        let mut number = 0;
        while !self.shared.finish.load(Ordering::SeqCst) {
            let count = 1 + self.random.number() % MAX_RECORDS;
            let batch = batch(self.client, id, number, count)?;
            let Some(base) = self.ask(|client| client.produce(batch.clone()))? else {
                return Ok(());
            };
            lock(&self.shared.ledger).acknowledged.push(Acknowledged {
                client: self.client,
                first: number,
                count,
                base,
            });
            number += count;
            if let Some(answered) = self.shared.answered.get(self.client as usize) {
                answered.fetch_add(1, Ordering::SeqCst);
            }
            thread::sleep(Duration::from_millis(self.random.number() % 30));
        }
        Ok(())
    }

    /// Asks until there is an answer. `None` if it is to give up before.
    fn ask<T>(
        &mut self,
        mut what: impl FnMut(&mut QuorumClient) -> Result<T, ClientError>,
    ) -> Result<Option<T>, String> {
        while !self.shared.give_up.load(Ordering::SeqCst) {
            let mut client = match self.connection.take() {
                Some(client) => client,
                None => {
                    let addresses = self.addresses.clone();
                    let client = QuorumClient::new(addresses, Topic::performance_test(), TIMEOUT);
                    client.map_err(|error| error.to_string())?
                }
            };
            match what(&mut client) {
                Ok(answer) => {
                    self.connection = Some(client);
                    return Ok(Some(answer));
                }
                Err(error) if is_passing(&error) => {
                    // The first may be the one that does not answer.
                    self.addresses.rotate_left(1);
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(None)
    }
}

/// Whether a request may be made again: it was done or not, and is done once in the end.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::NoLeader { .. } => true,
        ClientError::Refused { error, .. } => [
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ]
        .contains(error),
        _ => false,
    }
}

/// Records without keys: Kafka's test raft server ends on others.
fn batch(client: u32, id: ProducerId, first: u64, count: u64) -> Result<Bytes, String> {
    let options = BatchOptions {
        producer_id: id.id,
        producer_epoch: id.epoch,
        base_sequence: i32::try_from(first).map_err(|error| error.to_string())?,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options).map_err(|error| error.to_string())?;
    for number in first..first + count {
        let value = Made { client, number }.value();
        let record = NewRecord {
            timestamp: 1_000,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        let appended = builder.try_append(&record);
        match appended.map_err(|error| error.to_string())? {
            Append::Done { .. } => {}
            Append::Full => return Err("a batch of some records is full".to_owned()),
        }
    }
    let batch = builder.finish().map_err(|error| error.to_string())?;
    Ok(batch.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_who_made_them() {
        let made = Made {
            client: 2,
            number: 71,
        };
        assert_eq!(Made::parse(made.value().as_bytes()), Some(made));
        assert_eq!(Made::parse(b"kwire-faults client 2 record"), None);
    }
}
