//! Whatever peers say, in whatever role: the node does not panic, its log stays in one piece, and
//! each request is answered once at the most.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kwire_protocol::messages::{AddRaftVoterResponse, RemoveRaftVoterResponse};
use kwire_protocol::records::{Batches, NewRecord};

use super::harness::{config, directory, vote_request, vote_response, voter};
use super::messages::*;
use crate::control::{Control, NewControl, control_batch};
use crate::log::files::Seed;
use crate::message::{Request, Response};
use crate::node::{
    CallError, CallId, DiskOp, Event, Incoming, IoId, Node, Output, RoleName, Token,
};
use crate::types::{Installed, Instant, OffsetAndEpoch, Recovered, SnapshotInfo};

/// A node, what it waits for, and what its disk is to hold.
struct Fuzz {
    seed: Seed,
    node: Node,
    now: Instant,
    start: i64,
    end: i64,
    written: IoId,
    open: Vec<(CallId, Request)>,
    tokens: u64,
    unanswered: BTreeSet<Token>,
    committed: i64,
    roles: BTreeSet<&'static str>,
    appended: BTreeMap<&'static str, u32>,
}

impl Fuzz {
    fn new(seed: u64) -> Fuzz {
        let mut seed = Seed::new(seed);
        let plain = || with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
        let id = OffsetAndEpoch::new(15, 3);
        let (config, disk) = match seed.up_to(7) {
            0 => (config(0, &[0]), Recovered::default()),
            1 => (config(0, &[]), formatted(&[0])),
            2 => (config(0, &[]), formatted(&[0, 1, 2])),
            3 => (config(0, &[1, 2]), plain()),
            4 => (config(0, &[0, 1, 2]), with_snapshot(plain(), id, 9, 15)),
            5 => (config(0, &[0, 1]), with_snapshot(plain(), id, 9, 0)),
            6 => {
                let mut config = config(0, &[]);
                config.auto_join = true;
                config.bootstrap_servers = vec![crate::voters::Address::new("boot", 1)];
                (config, formatted(&[1, 2]))
            }
            _ => (config(0, &[0, 1, 2]), plain()),
        };
        let (start, end) = (disk.log_start, disk.log_end);
        let node = Node::new(Instant(1), config, disk).expect("it starts");
        Fuzz {
            seed,
            node,
            now: Instant(1),
            start,
            end,
            written: IoId(0),
            open: Vec::new(),
            tokens: 0,
            unanswered: BTreeSet::new(),
            committed: 0,
            roles: BTreeSet::new(),
            appended: BTreeMap::new(),
        }
    }

    fn chance(&mut self, of: usize) -> bool {
        self.seed.up_to(of) == 0
    }

    /// A number near one that matters, or one that nobody would send.
    fn near(&mut self, of: i64) -> i64 {
        match self.seed.up_to(12) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => -1,
            3 => 0,
            4 => of.saturating_add(1),
            5 => of.saturating_sub(1),
            6 => self.end.min(of).max(0) / 2,
            _ => of,
        }
    }

    fn epoch(&mut self) -> i32 {
        let own = self.node.epoch();
        match self.seed.up_to(60) {
            0 => i32::MAX,
            1 => -1,
            2 => own.saturating_add(1),
            3 => own.saturating_sub(1),
            _ => own,
        }
    }

    fn id(&mut self) -> i32 {
        i32::try_from(self.seed.up_to(4)).expect("a small id") - i32::from(self.chance(9))
    }

    fn leader(&mut self) -> i32 {
        match self.node.leader() {
            Some(leader) if !self.chance(20) => leader,
            _ => self.id(),
        }
    }

    fn records(&mut self) -> Bytes {
        let mut all = Vec::new();
        let mut base = self.end;
        for _ in 0..self.seed.up_to(3) {
            let epoch = self.node.log_end().epoch.max(self.node.epoch());
            let controls = self.chance(4);
            let mut batch = if controls {
                let voters = (0..4).filter(|_| self.seed.up_to(2) > 0);
                let voters = voters.map(voter).collect();
                let version = i16::try_from(self.seed.up_to(2)).expect("0 to 2");
                let controls = [
                    NewControl::Control(Control::KRaftVersion(version)),
                    NewControl::Control(Control::Voters(voters)),
                ];
                control_batch(base, epoch, 0, &controls).to_vec()
            } else {
                batch(base, epoch, &[b"a", b"b"]).to_vec()
            };
            base += 2;
            if self.chance(6) {
                let at = self.seed.up_to(batch.len() - 1);
                batch[at] ^= 1 << self.seed.up_to(7);
            }
            if self.chance(20) {
                let len = self.seed.up_to(batch.len());
                batch.truncate(len);
            }
            all.extend(batch);
        }
        all.into()
    }

    fn snapshot_id(&mut self) -> OffsetAndEpoch {
        let known: Vec<OffsetAndEpoch> = self.node.snapshots().collect();
        if !known.is_empty() && self.chance(2) {
            return known[self.seed.up_to(known.len() - 1)];
        }
        let offset = self.near(self.end + 5);
        let epoch = self.epoch();
        OffsetAndEpoch::new(offset, epoch)
    }

    fn request(&mut self) -> (i16, Request) {
        let (id, epoch) = (self.id(), self.epoch());
        let mut version = i16::try_from(12 + self.seed.up_to(6)).expect("a version");
        let mut request: Request = match self.seed.up_to(10) {
            0..=3 => {
                let end = self.node.log_end();
                let offset = self.near(end.offset);
                let last = i32::try_from(self.near(end.epoch.into())).unwrap_or(-1);
                let mut request = fetch(id, epoch, offset, last);
                request.max_bytes = i32::try_from(self.near(100)).unwrap_or(i32::MIN);
                request.max_wait_ms = i32::try_from(self.near(100)).unwrap_or(i32::MAX);
                let partition = &mut request.topics[0].partitions[0];
                partition.high_watermark = self.near(offset);
                request.into()
            }
            4 => {
                let (id, snapshot) = (self.id(), self.snapshot_id());
                let position = self.near(5);
                fetch_snapshot(id.max(0), epoch, snapshot, position).into()
            }
            5 => add(id).into(),
            6 => remove(id).into(),
            7 => {
                let range = (self.near(0), self.near(1));
                let short = |n: i64| i16::try_from(n).unwrap_or(i16::MIN);
                update(id, epoch, (short(range.0), short(range.1))).into()
            }
            8 => describe(TOPIC, i32::from(self.chance(3))).into(),
            9 => begin(self.leader().max(0), epoch),
            _ => Request::Vote(vote_request(id, epoch, self.chance(1))),
        };
        if !matches!(request, Request::Fetch(_)) {
            version = i16::from(self.chance(1));
        }
        if self.chance(30) {
            break_request(&mut request);
        }
        (version, request)
    }

    fn response(&mut self, to: &Request) -> Response {
        let (leader, epoch) = (self.leader(), self.epoch());
        let error = match self.seed.up_to(12) {
            0 => 74,
            1 => 6,
            2 => 75,
            3 => 98,
            4 => -1,
            5 => 7,
            _ => 0,
        };
        match to {
            Request::Fetch(_) => {
                let records = self.records();
                let id = self.snapshot_id();
                let (kind, other) = (self.seed.up_to(6), self.near(self.end));
                let known = self.near(self.end);
                fetched(leader, epoch, |partition| {
                    partition.error_code = error;
                    partition.high_watermark = known;
                    partition.records = Some(records.into());
                    if kind == 0 {
                        partition.diverging_epoch.epoch = id.epoch;
                        partition.diverging_epoch.end_offset = other;
                    } else if kind == 1 {
                        partition.snapshot_id.epoch = id.epoch;
                        partition.snapshot_id.end_offset = id.offset;
                    }
                })
                .into()
            }
            Request::FetchSnapshot(request) => {
                let asked = &request.topics[0].partitions[0];
                let id = &asked.snapshot_id;
                let mut id = OffsetAndEpoch::new(id.end_offset, id.epoch);
                if self.chance(10) {
                    id = self.snapshot_id();
                }
                let position = if self.chance(10) {
                    self.near(asked.position)
                } else {
                    asked.position
                };
                let size = self.near(6);
                let mut part = snapshot_part(leader, epoch, (id, size), position, b"abc");
                part.error_code = error;
                snapshot_fetched(part).into()
            }
            Request::Vote(_) => {
                let granted = !self.chance(4);
                let known = self.chance(4).then_some(leader);
                vote_response(epoch, known, granted).into()
            }
            Request::AddRaftVoter(_) => AddRaftVoterResponse {
                error_code: error,
                ..Default::default()
            }
            .into(),
            Request::RemoveRaftVoter(_) => RemoveRaftVoterResponse {
                error_code: error,
                ..Default::default()
            }
            .into(),
            Request::UpdateRaftVoter(_) => {
                let mut response = kwire_protocol::messages::UpdateRaftVoterResponse {
                    error_code: error,
                    ..Default::default()
                };
                response.current_leader.leader_id = leader;
                response.current_leader.leader_epoch = epoch;
                response.current_leader.port = i32::from(epoch > 3) * 70_000;
                response.into()
            }
            Request::ApiVersions(_) => {
                let mut response = versions(0, 1);
                response.error_code = if self.chance(4) { error } else { 0 };
                response.into()
            }
            _ => versions(-1, 5).into(),
        }
    }

    fn step(&mut self) {
        match self.seed.up_to(11) {
            0..=3 => {
                let (version, request) = self.request();
                self.tokens += 1;
                let token = Token(self.tokens);
                self.unanswered.insert(token);
                let incoming = Incoming {
                    token,
                    version,
                    request,
                };
                self.node.handle_request(self.now, incoming);
            }
            4..=7 if !self.open.is_empty() => {
                let at = self.seed.up_to(self.open.len() - 1);
                let (call, request) = self.open.swap_remove(at);
                let answer = if self.chance(20) {
                    Err(CallError::Disconnected)
                } else {
                    Ok(self.response(&request))
                };
                self.node.handle_answer(self.now, call, answer);
                if self.chance(30) {
                    // Twice, or late.
                    self.open.push((call, request));
                }
            }
            8 => self.node.handle_disk(self.now, self.written),
            9 => self.command(),
            _ => {
                let next = self.node.poll_timeout();
                let soon = self.now.plus(self.seed.up_to(300) as u64);
                self.now = if self.chance(1) { soon } else { next.min(soon) }.max(self.now);
                self.node.handle_timeout(self.now);
            }
        }
        self.drain();
    }

    fn command(&mut self) {
        let (now, epoch) = (self.now, self.node.epoch());
        match self.seed.up_to(6) {
            0 => self.node.resign(now, epoch),
            1 => {
                // It refuses what it cannot do.
                let _ = self.node.upgrade_kraft_version(now, 1);
            }
            2 => {
                let _ = self
                    .node
                    .append_batches(now, epoch, batch(0, 0, &[b"x"]).into());
            }
            3 => {
                let end = self.node.high_watermark().unwrap_or(0);
                if let Ok(context) = self.node.prepare_snapshot(end) {
                    let info = SnapshotInfo {
                        id: context.id,
                        size: 6,
                    };
                    self.node.snapshot_taken(now, info).expect("it is allowed");
                }
            }
            4 => {
                let id = self.snapshot_id();
                let _ = self.node.delete_before(now, id);
            }
            _ => {
                let record = NewRecord {
                    value: Some(b"value"),
                    ..Default::default()
                };
                let _ = self.node.append(now, epoch, &[record]);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Disk { id, op } => {
                    assert!(id > self.written, "operations have an order");
                    self.written = id;
                    self.execute(op);
                }
                Output::Send { call, request, .. } => self.open.push((call, request)),
                Output::Reply { token, .. } | Output::ReplyWithSnapshot { token, .. } => {
                    assert!(self.unanswered.remove(&token), "once");
                }
                Output::ReplyWithLog {
                    token, from, until, ..
                } => {
                    assert!(self.unanswered.remove(&token), "once");
                    assert_eq!(until, self.end);
                    assert!(from >= self.start && from <= until, "{from} of {until}");
                }
                Output::Notify(Event::Committed { upto }) => {
                    assert!(upto <= self.end, "{upto} beyond {}", self.end);
                    self.committed = self.committed.max(upto);
                }
                Output::Notify(_) => {}
            }
        }
        assert_eq!(self.node.log_end().offset, self.end);
        assert_eq!(self.node.log_start(), self.start);
        assert!(self.node.flushed() <= self.end);
        let committed = self.node.high_watermark().unwrap_or(0);
        assert!(committed <= self.end, "{committed} beyond {}", self.end);
        if self.node.role() != RoleName::Leader {
            // Only a leader has somebody wait.
            assert!(self.unanswered.is_empty(), "{:?}", self.unanswered);
        }
        self.roles.insert(name(self.node.role()));
    }

    fn execute(&mut self, op: DiskOp) {
        match op {
            DiskOp::Append { base, batches } => {
                assert_eq!(base, self.end, "the log has no gap");
                for batch in Batches::validated(&batches) {
                    let batch = batch.expect("whole batches");
                    assert_eq!(batch.header().expect("magic 2").base_offset, self.end);
                    self.end = batch.last_offset() + 1;
                }
                *self.appended.entry(name(self.node.role())).or_default() += 1;
            }
            DiskOp::Truncate { to } => {
                assert!(to >= self.start && to < self.end);
                assert!(to >= self.committed, "{to} below {}", self.committed);
                self.end = to;
            }
            DiskOp::InstallSnapshot { id } => {
                assert!(id.offset >= self.committed);
                let outcome = if self.chance(3) {
                    Installed::Refused {
                        reason: "damaged".to_owned(),
                    }
                } else {
                    (self.start, self.end) = (id.offset, id.offset);
                    Installed::Done {
                        info: SnapshotInfo { id, size: 6 },
                        controls: vec![Control::Voters((0..2).map(voter).collect())],
                    }
                };
                self.node.handle_installed(self.now, id, outcome);
            }
            DiskOp::DeleteBefore { id } => self.start = id.offset,
            _ => {}
        }
    }
}

fn name(role: RoleName) -> &'static str {
    match role {
        RoleName::Unattached => "unattached",
        RoleName::Prospective => "prospective",
        RoleName::Candidate => "candidate",
        RoleName::Leader => "leader",
        RoleName::Follower => "follower",
        RoleName::Resigned => "resigned",
    }
}

/// What the generators above do not vary.
fn break_request(request: &mut Request) {
    match request {
        Request::Fetch(request) => request.topics[0].partitions.clear(),
        Request::FetchSnapshot(request) => request.topics.clear(),
        Request::AddRaftVoter(request) => request.listeners.clear(),
        Request::RemoveRaftVoter(request) => request.voter_directory_id = directory(77),
        Request::UpdateRaftVoter(request) => request.voter_directory_id = directory(77),
        Request::DescribeQuorum(request) => request.topics.clear(),
        Request::BeginQuorumEpoch(request) => request.leader_endpoints.clear(),
        Request::Vote(request) => request.topics.clear(),
        _ => {}
    }
}

#[test]
fn nothing_that_peers_say_breaks_the_node() {
    let mut roles = BTreeSet::new();
    let mut appended: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in 0..400 {
        let mut fuzz = Fuzz::new(seed);
        fuzz.drain();
        for _ in 0..400 {
            fuzz.step();
        }
        roles.extend(fuzz.roles);
        for (role, count) in fuzz.appended {
            *appended.entry(role).or_default() += count;
        }
    }
    assert_eq!(roles.len(), 6, "every role was there: {roles:?}");
    assert!(appended["leader"] > 100, "{appended:?}");
    assert!(appended["follower"] > 100, "{appended:?}");
}
