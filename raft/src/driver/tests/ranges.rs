//! What is offered as a range, and what is read at once.

use bytes::Bytes;
use kwire_protocol::messages::fetch_response::PartitionData;
use kwire_protocol::records::Batches;

use crate::driver::{Barrier, Disk, Driver, Effect, LogRange, LogStore, MemoryState};
use crate::log::files::Files;
use crate::log::files::memory::MemoryFiles;
use crate::log::{FileBarrier, FileLog, LogOptions, Range};
use crate::message::{Request, Response};
use crate::node::tests::messages::*;
use crate::node::{CallId, Incoming, IoId, Token};
use crate::types::{Epoch, Instant, Offset, OffsetAndEpoch, Topic};

type FileOf = <MemoryFiles as Files>::File;
type Offered = Option<Range<FileOf>>;

/// The only voter, on a log in files.
struct Machine {
    driver: Driver<FileLog<MemoryFiles>, MemoryState>,
    now: Instant,
    put_off: Option<(IoId, FileBarrier<FileOf>)>,
}

enum Did {
    Asked(CallId, Request),
    Answered(Response, Offered),
}

impl Machine {
    fn new() -> Machine {
        Machine::with_tail(0)
    }

    fn with_tail(tail_bytes: usize) -> Machine {
        let now = Instant(1_000);
        let options = LogOptions {
            tail_bytes,
            ..LogOptions::new(Topic::cluster_metadata())
        };
        let log = FileLog::open(MemoryFiles::new(), options).expect("an empty directory");
        let config = config_of(0, &[0]);
        let disk = Disk::Asynchronous;
        let driver = Driver::new(now, config, disk, log, MemoryState::new()).expect("it starts");
        let mut machine = Machine {
            driver,
            now,
            put_off: None,
        };
        machine.drain(true);
        machine
    }

    fn epoch(&self) -> Epoch {
        self.driver.node().epoch()
    }

    /// What it wants done; barriers are run or put off.
    fn drain(&mut self, syncs: bool) -> Vec<Did> {
        let mut did = Vec::new();
        if syncs && let Some(barrier) = self.put_off.take() {
            self.sync(barrier);
        }
        while let Some(effect) = self.driver.poll_effect() {
            match effect {
                Effect::Send { call, request, .. } => did.push(Did::Asked(call, request)),
                Effect::Reply {
                    response, records, ..
                } => did.push(Did::Answered(response, records)),
                Effect::Sync { id, barrier } if syncs => self.sync((id, barrier)),
                Effect::Sync { id, barrier } => self.put_off = Some((id, barrier)),
                Effect::Notify(_) => {}
            }
        }
        did
    }

    fn sync(&mut self, (id, barrier): (IoId, FileBarrier<FileOf>)) {
        let outcome = barrier.sync();
        self.driver.synced(self.now, id, outcome).expect("it works");
    }

    fn append(&mut self, value: &[u8]) {
        let epoch = self.epoch();
        let appended = self.driver.append(self.now, epoch, &[value]);
        appended.expect("it works").expect("it leads");
        self.now = self.now.plus(25);
        self.driver.timeout(self.now).expect("it works");
    }

    fn tell(&mut self, version: i16, request: impl Into<Request>) {
        let incoming = Incoming {
            token: Token(1),
            version,
            request: on_the_wire(version, &request.into()),
        };
        self.driver.request(self.now, incoming).expect("it works");
    }

    fn ask(&mut self, version: i16, request: impl Into<Request>) -> (Response, Offered) {
        self.tell(version, request);
        match self.drain(false).pop() {
            Some(Did::Answered(response, records)) => (response, records),
            _ => panic!("no answer"),
        }
    }

    /// Answers the Fetch that it has under way.
    fn follow(&mut self, answer: impl FnOnce(&mut PartitionData<'static>)) {
        let call = self.drain(true).into_iter().find_map(|did| match did {
            Did::Asked(call, request) if is_fetch(&request) => Some(call),
            _ => None,
        });
        let (call, response) = (call.expect("it fetches"), fetched(1, 3, answer));
        let answered = self.driver.answer(self.now, call, Ok(response.into()));
        answered.expect("it works");
    }

    /// Node 1 leads epoch 3, and has a record of epoch 2 at offset 1, where this node has one of
    /// epoch 1.
    fn lose_its_record(&mut self) {
        self.tell(1, begin(1, 3));
        self.follow(|partition| {
            partition.diverging_epoch.epoch = 1;
            partition.diverging_epoch.end_offset = 1;
        });
        let theirs = batch(1, 2, &[b"ours"]);
        self.follow(|partition| partition.records = Some(theirs.into()));
    }

    fn fetch(&mut self, from: Offset, max_bytes: i32) -> (Bytes, Offered) {
        let mut request = fetch(-1, self.epoch(), from, i32::from(from > 0));
        request.max_bytes = max_bytes;
        let (response, offered) = self.ask(18, request);
        (records_in(response), offered)
    }
}

fn records_in(response: Response) -> Bytes {
    let Response::Fetch(mut response) = response else {
        panic!("not the answer to a Fetch");
    };
    let partition = response.responses.remove(0).partitions.remove(0);
    partition.records.expect("never null").into_bytes()
}

fn epochs_of(bytes: &Bytes) -> Vec<Epoch> {
    let batches = Batches::validated(bytes).map(|batch| batch.expect("it is whole"));
    let epoch = |batch: kwire_protocol::records::Batch<'_>| {
        batch.header().expect("new format").partition_leader_epoch
    };
    batches.map(epoch).collect()
}

#[test]
fn what_is_committed_is_offered_and_what_is_not_is_read_at_once() {
    let mut leader = Machine::new();
    assert_eq!(leader.driver.node().high_watermark(), Some(1));
    let (bytes, offered) = leader.fetch(0, 1 << 20);
    assert!(bytes.is_empty(), "nobody read it");
    let range = offered.expect("it is committed");
    assert_eq!(range.next_offset(), Some(1));
    let first = range.read().expect("it works");
    assert_eq!(epochs_of(&first), [1]);

    leader.append(b"not committed before the barrier");
    assert_eq!(leader.driver.node().high_watermark(), Some(1));
    let (bytes, offered) = leader.fetch(1, 1 << 20);
    assert!(offered.is_none());
    assert_eq!(epochs_of(&bytes), [1]);
    let (bytes, offered) = leader.fetch(0, 1 << 20);
    assert!(offered.is_none(), "a part of it is not committed");
    assert_eq!(epochs_of(&bytes), [1, 1]);
    let (bytes, offered) = leader.fetch(0, 1);
    assert!(bytes.is_empty());
    assert_eq!(offered.expect("committed").read().expect("it works"), first);

    leader.drain(true);
    assert_eq!(leader.driver.node().high_watermark(), Some(2));
    let (bytes, offered) = leader.fetch(1, 1 << 20);
    assert!(bytes.is_empty() && offered.is_some(), "now it is");
}

/// What is in memory is offered at once: it stays what it is, though the log is rewritten.
#[test]
fn what_is_in_memory_is_offered_whether_it_is_committed_or_not() {
    let mut leader = Machine::with_tail(1 << 20);
    leader.append(b"mine");
    assert_eq!(leader.driver.node().high_watermark(), Some(1));
    let (bytes, offered) = leader.fetch(0, 1 << 20);
    assert!(bytes.is_empty(), "nobody read it");
    let range = offered.expect("it is in memory");
    assert!(range.is_in_memory());
    assert_eq!(
        range.parts().expect("memory").len(),
        2,
        "as it was appended"
    );
    let before = range.read().expect("memory");
    assert_eq!(epochs_of(&before), [1, 1]);

    leader.lose_its_record();
    assert_eq!(range.read().expect("memory"), before);
    let now = leader.driver.log().range(0, 2, 1 << 20).expect("both");
    assert!(now.is_in_memory());
    assert_eq!(epochs_of(&now.read().expect("memory")), [1, 2]);
}

#[test]
fn a_range_completes_its_answer() {
    let mut leader = Machine::new();
    let (response, offered) = leader.ask(18, fetch(-1, 1, 0, 0));
    let range = offered.expect("it is committed");
    let response = LogRange::complete(response, Some(range.clone())).expect("it works");
    let bytes = records_in(response);
    assert_eq!(bytes, range.read().expect("it works"));
    assert_eq!(bytes.len() as u64, range.len());
}

/// The case that ranges are not offered for: once the leader follows another, other batches lie
/// where those were that it served.
#[test]
fn an_answer_keeps_the_records_of_its_leader_though_the_log_is_rewritten() {
    let mut leader = Machine::new();
    let committed = leader.driver.committed_range(0, 1 << 20);
    let committed = committed.expect("it works").expect("there is a record");
    let before = committed.read().expect("it works");
    leader.append(b"mine");
    let raw = leader
        .driver
        .log()
        .range(1, 2, 1 << 20)
        .expect("it is there");
    let (bytes, offered) = leader.fetch(1, 1 << 20);
    assert!(offered.is_none());

    leader.lose_its_record();
    assert_eq!(leader.driver.node().log_end(), OffsetAndEpoch::new(2, 2));

    assert_eq!(epochs_of(&bytes), [1], "what it said as the leader");
    assert_eq!(committed.read().expect("it works"), before);
    // This is why: nothing about these bytes says that they are others.
    let now = raw.read().expect("it is as long as it was");
    assert_eq!(epochs_of(&now), [2]);
}

#[test]
fn what_is_committed_stays_when_the_log_is_deleted_or_replaced() {
    let mut leader = Machine::new();
    leader.append(b"a");
    leader.drain(true);
    let node = leader.driver.node();
    let id = node.prepare_snapshot(2).expect("it is committed").id;
    let range = leader.driver.committed_range(0, 1 << 20);
    let range = range.expect("it works").expect("there are records");
    let before = range.read().expect("it works");
    assert_eq!(
        leader.driver.read_committed(0, 1 << 20).expect("it works"),
        before
    );
    let bytes = super::stores::snapshot(id);
    let written = leader.driver.write_snapshot(id, 0, &bytes);
    written.expect("it works");
    let taken = leader.driver.finish_snapshot(leader.now, id);
    taken.expect("it works").expect("the node wants it");

    let (part, offered) = leader.ask(1, fetch_snapshot(7, 1, id, 3));
    let Response::FetchSnapshot(part) = part else {
        panic!("not the answer to a FetchSnapshot");
    };
    assert!(part.topics[0].partitions[0].unaligned_records.is_empty());
    let part = offered.expect("a snapshot stays what it is");

    let (mut log, _) = leader.driver.into_stores();
    log.delete_before(id).expect("it works");
    let later = OffsetAndEpoch::new(100, 3);
    let next = super::stores::snapshot(later);
    log.write_snapshot(later, 0, &next).expect("it works");
    log.install_snapshot(later).expect("it works");
    assert!(log.range(0, 2, 1).is_err() && log.read_snapshot(id, 0, 1).is_err());
    assert_eq!(range.read().expect("whoever has it open has it"), before);
    assert_eq!(part.read().expect("this too"), bytes.slice(3..));
}
