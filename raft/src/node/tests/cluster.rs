//! Some nodes with memory for disks and a network that loses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use kwire_protocol::records::{Batches, Limits};

use super::harness::config;
use crate::config::Config;
use crate::driver::{Disk, Driver, Effect, LogRange, MemoryLog, MemoryState};
use crate::message::{Request, Response};
use crate::node::{CallError, CallId, Incoming, RoleName, Token};
use crate::types::{Instant, NodeId, Offset};

type MemoryDriver = Driver<MemoryLog, MemoryState>;

enum Packet {
    Request {
        from: NodeId,
        to: NodeId,
        call: CallId,
        request: Request,
    },
    Answer {
        from: NodeId,
        to: NodeId,
        call: CallId,
        answer: Result<Response, CallError>,
    },
}

struct Cluster {
    now: Instant,
    drivers: BTreeMap<NodeId, MemoryDriver>,
    packets: VecDeque<Packet>,
    waiting: BTreeMap<(NodeId, Token), (NodeId, CallId)>,
    tokens: u64,
    cut_off: BTreeSet<NodeId>,
}

impl Cluster {
    fn new(ids: &[NodeId]) -> Cluster {
        let configs = ids.iter().map(|&id| config(id, ids));
        Cluster::of(configs.collect())
    }

    fn of(configs: Vec<Config>) -> Cluster {
        let now = Instant(0);
        let start = |config: Config| {
            let id = config.id.expect("a voter");
            let driver = Driver::new(
                now,
                config,
                Disk::Synchronous,
                MemoryLog::new(),
                MemoryState::new(),
            );
            (id, driver.expect("it starts"))
        };
        let mut cluster = Cluster {
            now,
            drivers: configs.into_iter().map(start).collect(),
            packets: VecDeque::new(),
            waiting: BTreeMap::new(),
            tokens: 0,
            cut_off: BTreeSet::new(),
        };
        let ids: Vec<NodeId> = cluster.drivers.keys().copied().collect();
        for id in ids {
            cluster.flush(id);
        }
        cluster
    }

    fn flush(&mut self, id: NodeId) {
        let driver = self.drivers.get_mut(&id).expect("a node");
        while let Some(effect) = driver.poll_effect() {
            match effect {
                Effect::Send { call, to, request } => self.packets.push_back(Packet::Request {
                    from: id,
                    to: to.id,
                    call,
                    request,
                }),
                Effect::Reply {
                    token,
                    response,
                    records,
                } => {
                    let response = LogRange::complete(response, records).expect("memory");
                    let (to, call) = self.waiting.remove(&(id, token)).expect("asked once");
                    let answer = Ok(response);
                    let from = id;
                    self.packets.push_back(Packet::Answer {
                        from,
                        to,
                        call,
                        answer,
                    });
                }
                Effect::Sync { .. } => unreachable!("the disk is synchronous"),
                Effect::Notify(_) => {}
            }
        }
    }

    /// Delivers what is under way, and what comes of it.
    fn deliver(&mut self) {
        for _ in 0..10_000 {
            let Some(packet) = self.packets.pop_front() else {
                return;
            };
            match packet {
                Packet::Request {
                    from,
                    to,
                    call,
                    request,
                } => {
                    if self.cut_off.contains(&from) || self.cut_off.contains(&to) {
                        self.packets.push_back(Packet::Answer {
                            from,
                            to: from,
                            call,
                            answer: Err(CallError::Disconnected),
                        });
                        continue;
                    }
                    self.tokens += 1;
                    let token = Token(self.tokens);
                    self.waiting.insert((to, token), (from, call));
                    let version = newest(&request);
                    let incoming = Incoming {
                        token,
                        version,
                        request,
                    };
                    let driver = self.drivers.get_mut(&to).expect("a node");
                    driver.request(self.now, incoming).expect("its disk works");
                    self.flush(to);
                }
                Packet::Answer {
                    from,
                    to,
                    call,
                    mut answer,
                } => {
                    if self.cut_off.contains(&from) || self.cut_off.contains(&to) {
                        answer = Err(CallError::Disconnected);
                    }
                    let driver = self.drivers.get_mut(&to).expect("a node");
                    driver
                        .answer(self.now, call, answer)
                        .expect("its disk works");
                    self.flush(to);
                }
            }
        }
        panic!("they do not stop talking");
    }

    /// Lets some time pass.
    fn run(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        loop {
            self.deliver();
            let (&id, next) = self
                .drivers
                .iter()
                .map(|(id, driver)| (id, driver.poll_timeout()))
                .min_by_key(|(_, at)| *at)
                .expect("a node");
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            let driver = self.drivers.get_mut(&id).expect("a node");
            driver.timeout(self.now).expect("its disk works");
            self.flush(id);
        }
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |driver: &&MemoryDriver| driver.node().role() == RoleName::Leader;
        let newest = self.drivers.values().filter(leads);
        let newest = newest.max_by_key(|driver| driver.node().epoch())?;
        newest.node().config().id
    }

    fn append(&mut self, value: &[u8]) -> Offset {
        let leader = self.leader().expect("a leader");
        let now = self.now;
        let driver = self.drivers.get_mut(&leader).expect("a node");
        let epoch = driver.node().epoch();
        let appended = driver.append(now, epoch, &[value]).expect("its disk works");
        let offset = appended.expect("it leads");
        self.flush(leader);
        offset
    }

    /// The values of a node's committed records.
    fn committed(&self, id: NodeId) -> Vec<Vec<u8>> {
        let driver = &self.drivers[&id];
        let mut from = driver.node().log_start();
        let mut values = Vec::new();
        loop {
            let bytes: Bytes = driver.read_committed(from, 1 << 20).expect("memory");
            if bytes.is_empty() {
                return values;
            }
            for batch in Batches::validated(&bytes) {
                let batch = batch.expect("a batch");
                from = batch.last_offset() + 1;
                if batch.header().is_some_and(|h| h.attributes.is_control()) {
                    continue;
                }
                let mut scratch = Vec::new();
                for record in batch
                    .records(&mut scratch, &Limits::default())
                    .expect("plain")
                {
                    values.push(record.expect("a record").value.unwrap_or_default().to_vec());
                }
            }
        }
    }
}

fn newest(request: &Request) -> i16 {
    let info = request.api_key().info().expect("a known API");
    info.versions.highest
}

#[test]
fn a_lone_voter_leads_at_once() {
    let mut cluster = Cluster::new(&[0]);
    assert_eq!(cluster.leader(), Some(0));
    cluster.append(b"one");
    cluster.run(100);
    assert_eq!(cluster.committed(0), [b"one"]);
}

#[test]
fn three_nodes_elect_a_leader_and_commit() {
    let mut cluster = Cluster::new(&[0, 1, 2]);
    cluster.run(10_000);
    let leader = cluster.leader().expect("a leader");
    let epoch = cluster.drivers[&leader].node().epoch();
    for value in 0..10_u8 {
        cluster.append(&[value]);
        cluster.run(100);
    }
    cluster.run(2_000);
    let expected: Vec<Vec<u8>> = (0..10).map(|value| vec![value]).collect();
    for id in 0..3 {
        assert_eq!(cluster.committed(id), expected, "node {id}");
    }
    cluster.run(60_000);
    assert_eq!(cluster.leader(), Some(leader), "it stays");
    assert_eq!(cluster.drivers[&leader].node().epoch(), epoch);
}

#[test]
fn a_leader_that_is_cut_off_resigns_and_follows_the_next() {
    let mut cluster = Cluster::new(&[0, 1, 2]);
    cluster.run(10_000);
    let old = cluster.leader().expect("a leader");
    cluster.append(b"kept");
    cluster.run(1_000);
    cluster.cut_off.insert(old);
    cluster.append(b"lost");
    cluster.run(10_000);
    let new = cluster.leader().expect("another leader");
    assert_ne!(new, old);
    assert_ne!(cluster.drivers[&old].node().role(), RoleName::Leader);
    cluster.append(b"after");
    cluster.run(1_000);
    cluster.cut_off.clear();
    cluster.run(10_000);
    for id in 0..3 {
        assert_eq!(cluster.committed(id), [&b"kept"[..], b"after"], "node {id}");
    }
}

#[test]
fn a_leader_that_stops_hands_over() {
    let mut cluster = Cluster::new(&[0, 1, 2]);
    cluster.run(10_000);
    let old = cluster.leader().expect("a leader");
    let now = cluster.now;
    let driver = cluster.drivers.get_mut(&old).expect("a node");
    driver
        .command(now, |node| node.shut_down(now, 5_000))
        .expect("its disk works");
    cluster.flush(old);
    cluster.run(300);
    let new = cluster
        .leader()
        .expect("the next leader, without waiting for a timer");
    assert_ne!(new, old);
}
