//! What clients, tools and applications do.

use kwire_protocol::messages::{
    AddRaftVoterRequest, DescribeQuorumRequest, RemoveRaftVoterRequest, add_raft_voter_request,
    describe_quorum_request,
};
use kwire_protocol::records::{BatchBuilder, BatchOptions, NewRecord};
use kwire_protocol::{ErrorCode, Uuid};
use kwire_raft::message::{Request, Response};
use kwire_raft::node::{RoleName, SnapshotError};
use kwire_raft::types::{Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey};

use crate::clock::Micros;
use crate::disk::SimLog;
use crate::host::LISTENER;
use crate::marks::Mark;
use crate::oracle::{Group, value};
use crate::world::{Event, World};

/// An append that a leader took and did not commit yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    group: u64,
    host: usize,
    incarnation: u32,
    epoch: Epoch,
    last: Offset,
}

/// What clients wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    waiting: Vec<Waiting>,
    resigning: Option<usize>,
    /// The first group that was taken after all was well again.
    pub(crate) acked: u64,
}

/// Records that may wait for their commit before more are written.
const MAX_BACKLOG: Offset = 1_000;

impl Client {
    pub(crate) fn is_resigning(&self, host: usize) -> bool {
        self.resigning == Some(host)
    }
}

impl<L: SimLog> World<L> {
    fn again(&mut self, mean: Micros, event: Event<crate::world::BarrierOf<L>>) {
        let pause = self.work.exponential(mean).max(1_000);
        self.after(pause, event);
    }

    fn any_running(&mut self) -> Option<usize> {
        let on: Vec<usize> = (0..self.hosts.len())
            .filter(|host| self.hosts[*host].is_on() && self.hosts[*host].paused_until <= self.now)
            .collect();
        self.work.pick(&on).copied()
    }

    fn a_leader(&mut self) -> Option<usize> {
        let leaders = self.leaders();
        let leader = self.work.pick(&leaders).copied()?;
        (self.hosts[leader].paused_until <= self.now).then_some(leader)
    }

    /// A client appends.
    pub(crate) fn append(&mut self) -> Option<usize> {
        if self.recovery.is_quiet() {
            return None;
        }
        self.again(self.options.workload.append, Event::Append);
        let host = if self.work.permille(50) {
            self.any_running()?
        } else {
            self.a_leader()?
        };
        let records = self.work.between(1, self.options.workload.records) as u16;
        let padding = self.work.index(60);
        let as_batch = self.work.permille(200);
        let group = self.oracle.next_group();
        let values: Vec<Vec<u8>> = (0..records).map(|i| value(group, i, padding)).collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let node = self.hosts[host].driver()?.node();
        let (epoch, is_leader) = (node.epoch(), node.role() == RoleName::Leader);
        let committed = node.high_watermark().or(node.epoch_start());
        if node.log_end().offset - committed.unwrap_or(0) > MAX_BACKLOG && is_leader {
            // As any client, it waits for what it wrote: otherwise the quorum only catches up.
            return Some(host);
        }
        let last = if as_batch {
            self.append_batch(host, epoch, &values)?
        } else {
            self.input_append(host, epoch, &values)?
        };
        let Some(last) = last else {
            return Some(host);
        };
        if !is_leader {
            self.broken("roles", format!("machine {host} takes appends"));
        }
        self.took(host, epoch, last, values.len() as u16);
        Some(host)
    }

    fn input_append(
        &mut self,
        host: usize,
        epoch: Epoch,
        values: &[&[u8]],
    ) -> Option<Option<Offset>> {
        let now = self.now;
        let machine = &mut self.hosts[host];
        let local = machine.clock.read(now);
        let (driver, _) = machine.running()?;
        // The group is known before what comes of it is.
        let took = driver.command(local, |node| node.append(local, epoch, values).ok());
        match took {
            Ok(last) => Some(last),
            Err(_) => self.took_perhaps(host, epoch, values.len()),
        }
    }

    fn append_batch(
        &mut self,
        host: usize,
        epoch: Epoch,
        values: &[&[u8]],
    ) -> Option<Option<Offset>> {
        let mut builder = BatchBuilder::new(BatchOptions::default()).ok()?;
        for value in values {
            let record = NewRecord {
                timestamp: 0,
                value: Some(value),
                ..Default::default()
            };
            let appended = builder.try_append(&record).ok()?;
            debug_assert!(!matches!(appended, kwire_protocol::records::Append::Full));
        }
        let batch = builder.finish().ok()?;
        let count = values.len() as Offset;
        let now = self.now;
        let machine = &mut self.hosts[host];
        let local = machine.clock.read(now);
        let (driver, _) = machine.running()?;
        let took = driver.command(local, |node| node.append_batches(local, epoch, batch).ok());
        match took {
            Ok(base) => Some(base.map(|base| base + count - 1)),
            Err(_) => self.took_perhaps(host, epoch, values.len()),
        }
    }

    /// The disk failed: the records may be on it, or not.
    fn took_perhaps<T>(&mut self, host: usize, epoch: Epoch, records: usize) -> Option<T> {
        self.oracle.took(Group {
            records: records as u16,
            epoch,
            last: -1,
            is_acked: false,
            committed: None,
        });
        self.input(host, |driver, now| driver.timeout(now));
        None
    }

    fn took(&mut self, host: usize, epoch: Epoch, last: Offset, records: u16) {
        let group = self.oracle.next_group();
        self.oracle.took(Group {
            records,
            epoch,
            last,
            is_acked: false,
            committed: None,
        });
        let incarnation = self.hosts[host].incarnation;
        self.client.waiting.push(Waiting {
            group,
            host,
            incarnation,
            epoch,
            last,
        });
        self.note(Some(host), format_args!("takes group {group} up to {last}"));
        self.input(host, |driver, now| driver.timeout(now));
    }

    /// Tells clients what became of their appends.
    pub(crate) fn acknowledge(&mut self, host: usize) {
        let Some(driver) = self.hosts[host].driver() else {
            return;
        };
        let node = driver.node();
        let (epoch, committed) = (node.epoch(), node.high_watermark().unwrap_or(-1));
        let is_leader = node.role() == RoleName::Leader;
        let incarnation = self.hosts[host].incarnation;
        let (mut acked, mut lost) = (Vec::new(), 0);
        self.client.waiting.retain(|waiting| {
            if waiting.host != host {
                return true;
            }
            let leads = waiting.incarnation == incarnation && is_leader && waiting.epoch == epoch;
            if leads && committed > waiting.last {
                acked.push(waiting.group);
                return false;
            }
            lost += u32::from(!leads);
            leads
        });
        if lost > 0 {
            self.marks.hit(Mark::AppendLost);
        }
        for group in acked {
            self.marks.hit(Mark::Acked);
            self.client.acked = self.client.acked.max(group + 1);
            let is_lossy = self.options.scenario == crate::swarm::Scenario::LostDisk;
            if let Err(what) = self.oracle.acked(group)
                && !is_lossy
            {
                self.broken("acknowledged", what);
            }
        }
    }

    /// Some node's application makes a snapshot, and perhaps removes what is older.
    pub(crate) fn snapshot(&mut self) -> Option<usize> {
        if self.recovery.is_quiet() {
            return None;
        }
        self.again(self.options.workload.snapshot, Event::Snapshot);
        let host = self.any_running()?;
        let beyond = self.work.permille(100);
        let padding = self.work.below(self.options.workload.snapshot_padding + 1) as usize;
        let (driver, app) = self.hosts[host].running()?;
        let end = if beyond {
            driver.node().log_end().offset
        } else {
            app.applied()
        };
        // The application has no state but the one that it applied.
        let is_known = end == app.applied() || end > self.oracle.end();
        match driver.node().prepare_snapshot(end) {
            Ok(_) if !is_known => {}
            Ok(context) => {
                let bytes = app.snapshot(&context, padding);
                self.write_snapshot(host, context.id, &bytes)?;
            }
            Err(SnapshotError::BeyondHighWatermark { .. }) => self.marks.hit(Mark::SnapshotRefused),
            Err(_) => {}
        }
        if self.work.permille(500) {
            self.delete_log(host);
        }
        Some(host)
    }

    fn write_snapshot(&mut self, host: usize, id: OffsetAndEpoch, bytes: &[u8]) -> Option<()> {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        self.input(host, |driver, _| driver.write_snapshot(id, 0, first))?;
        let at = first.len() as u64;
        self.input(host, |driver, _| driver.write_snapshot(id, at, rest))?;
        let finished = self.input(host, |driver, now| driver.finish_snapshot(now, id))?;
        match finished {
            Ok(_) => {
                self.note(Some(host), format_args!("makes snapshot {id}"));
                self.marks.hit(Mark::SnapshotTaken);
            }
            Err(error) => self.broken("snapshots", format!("machine {host}: {error}")),
        }
        Some(())
    }

    fn delete_log(&mut self, host: usize) {
        let Some(driver) = self.hosts[host].driver() else {
            return;
        };
        let snapshots: Vec<OffsetAndEpoch> = driver
            .node()
            .snapshots()
            .filter(|id| *id != OffsetAndEpoch::BOOTSTRAP)
            .collect();
        let Some(&id) = self.work.pick(&snapshots) else {
            return;
        };
        let deleted = self.input(host, |driver, now| {
            driver.command(now, |node| node.delete_before(now, id))
        });
        match deleted {
            Some(Ok(())) => {
                self.note(Some(host), format_args!("deletes what is before {id}"));
                self.marks.hit(Mark::LogDeleted);
            }
            Some(Err(SnapshotError::InUse(_))) => self.marks.hit(Mark::SnapshotInUse),
            _ => {}
        }
    }

    /// A tool changes the voters.
    pub(crate) fn change(&mut self) -> Option<usize> {
        if self.recovery.is_healed() {
            return None;
        }
        self.again(self.options.workload.change, Event::Change);
        let host = self.a_leader()?;
        if self.hosts[host].driver()?.node().kraft_version() == 0 {
            if self.options.upgrades {
                self.upgrade(host);
            }
            return Some(host);
        }
        let count = if self.work.permille(300) { 2 } else { 1 };
        for _ in 0..count {
            if let Some(request) = self.draw_change(host) {
                self.ask(host, &request);
            }
        }
        Some(host)
    }

    fn upgrade(&mut self, host: usize) {
        let upgraded = self.input(host, |driver, now| {
            driver.command(now, |node| node.upgrade_kraft_version(now, 1))
        });
        if let Some(Ok(offset)) = upgraded {
            self.marks.hit(Mark::Upgraded);
            self.note(Some(host), format_args!("upgrades at {offset}"));
        }
    }

    fn draw_change(&mut self, leader: usize) -> Option<Request> {
        let adds = self.work.permille(600);
        let drawn = self.work.draw();
        let node = self.hosts[leader].driver()?.node();
        let voters = node.voters();
        if adds {
            let others: Vec<usize> = (0..self.hosts.len())
                .filter(|host| {
                    let id = self.hosts[*host].id();
                    id.is_some_and(|id| voters.get(id).is_none())
                })
                .collect();
            let at = drawn as usize % others.len().max(1);
            return self.add_request(*others.get(at)?);
        }
        if voters.len() < 2 {
            return None;
        }
        let at = drawn as usize % voters.len();
        let voter = voters.iter().nth(at)?.key;
        Some(remove_request(voter.id, voter.wire_directory_id()))
    }

    /// Whether whoever runs the quorum would do that: not if it needed voters whose disk is lost
    /// from then on, nor if a leader of two voters were removed. What only such a leader has makes
    /// it no voter, so that it does not stand, and its log longer than the other's, so that it does
    /// not vote for that one: with Kafka, too, both would wait for ever.
    pub(crate) fn is_sensible(&self, at: usize, request: &Request) -> bool {
        let Some(driver) = self.hosts[at].driver() else {
            return false;
        };
        let node = driver.node();
        let mut keys: Vec<ReplicaKey> = node.voters().iter().map(|voter| voter.key).collect();
        match request {
            Request::AddRaftVoter(r) => {
                let key = ReplicaKey::new(r.voter_id, r.voter_directory_id);
                if !self.is_intact(key) {
                    return false;
                }
                keys.push(key);
            }
            Request::RemoveRaftVoter(r) => {
                if keys.len() == 2 && Some(r.voter_id) == self.hosts[at].id() {
                    return false;
                }
                keys.retain(|key| key.id != r.voter_id);
            }
            _ => return true,
        }
        let intact = keys.iter().filter(|key| self.is_intact(**key)).count();
        intact > keys.len() / 2
    }

    /// Whether a machine has this replica's disk.
    pub(crate) fn is_intact(&self, key: ReplicaKey) -> bool {
        let mut keys = self.hosts.iter().filter_map(|host| host.key());
        keys.any(|own| {
            own.id == key.id && (key.directory_id.is_none() || key.directory_id == own.directory_id)
        })
    }

    fn add_request(&self, host: usize) -> Option<Request> {
        let config = &self.hosts[host].config;
        let address = config.endpoints.get(LISTENER)?;
        Some(Request::AddRaftVoter(AddRaftVoterRequest {
            cluster_id: Some(config.cluster_id.clone().into()),
            timeout_ms: 1_000,
            voter_id: config.id?,
            voter_directory_id: config.directory_id,
            listeners: vec![add_raft_voter_request::Listener {
                name: LISTENER.into(),
                host: address.host.clone().into(),
                port: address.port,
                ..Default::default()
            }],
            ack_when_committed: true,
            ..Default::default()
        }))
    }

    /// Now and then an application gives up as soon as it is elected, and more often while somebody
    /// who lost that election still stands in its epoch.
    pub(crate) fn lose_heart(&mut self, host: usize) {
        let is_stable = self.options.scenario == crate::swarm::Scenario::StableLeader;
        let Some(driver) = self.hosts[host].driver() else {
            return;
        };
        let epoch = driver.node().epoch();
        let nodes = self.hosts.iter().filter_map(|host| host.driver());
        let has_rival = nodes
            .map(|driver| driver.node())
            .any(|node| node.role() == RoleName::Candidate && node.epoch() == epoch);
        let chance = if has_rival { 700 } else { 50 };
        if self.recovery.is_healed() || is_stable || !self.work.permille(chance) {
            return;
        }
        let timeout = self.options.timers.election_timeout_ms * 1_000;
        // The rival's request may be under way: at once is the worst moment.
        let much = if has_rival && self.work.permille(500) {
            100
        } else {
            10
        };
        let pause = self.work.exponential(timeout / much + 1);
        self.after(pause, Event::Resign { host, epoch });
    }

    /// An application gives up leading an epoch.
    pub(crate) fn resign(&mut self, host: usize, epoch: Epoch) -> Option<usize> {
        self.hosts[host].driver()?;
        self.client.resigning = Some(host);
        self.input(host, |driver, now| {
            driver.command(now, |node| node.resign(now, epoch))
        });
        self.client.resigning = None;
        Some(host)
    }

    /// A tool asks something else.
    pub(crate) fn command(&mut self) -> Option<usize> {
        if self.recovery.is_healed() {
            return None;
        }
        self.again(self.options.workload.command, Event::Command);
        let is_stable = self.options.scenario == crate::swarm::Scenario::StableLeader;
        if self.work.permille(300) && !is_stable {
            let leader = self.a_leader()?;
            let epoch = self.hosts[leader].driver()?.node().epoch();
            return self.resign(leader, epoch);
        }
        let host = self.any_running()?;
        let topic = self.hosts[host].config.topic.name.clone();
        let request = DescribeQuorumRequest {
            topics: vec![describe_quorum_request::TopicData {
                topic_name: topic.into(),
                partitions: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.ask(host, &Request::DescribeQuorum(request));
        None
    }

    /// A tool is answered.
    pub(crate) fn client_answered(&mut self, _: usize, _: &Request, response: &Response) {
        if let Response::DescribeQuorum(described) = response
            && described.topics[0].partitions[0].error_code == 0
        {
            self.marks.hit(Mark::Described);
        }
    }

    /// Notes what an answer shows.
    pub(crate) fn mark_reply(&mut self, request: &Request, response: &Response) {
        if let Some(mark) = marks_of(request, response) {
            self.marks.hit(mark);
        }
    }
}

fn remove_request(id: NodeId, directory: Uuid) -> Request {
    Request::RemoveRaftVoter(RemoveRaftVoterRequest {
        cluster_id: Some("simulated".into()),
        voter_id: id,
        voter_directory_id: directory,
        ..Default::default()
    })
}

fn marks_of(request: &Request, response: &Response) -> Option<Mark> {
    match (request, response) {
        (Request::Vote(asked), Response::Vote(r)) => {
            let answer = r.topics.first()?.partitions.first()?;
            let pre_vote = asked.topics.first()?.partitions.first()?.pre_vote;
            match ErrorCode(answer.error_code) {
                ErrorCode::INVALID_VOTER_KEY => Some(Mark::WrongVoterKey),
                ErrorCode::NONE if !answer.vote_granted && pre_vote => Some(Mark::PreVoteRefused),
                ErrorCode::NONE if !answer.vote_granted => Some(Mark::VoteRefused),
                _ => None,
            }
        }
        (_, Response::Fetch(r)) => {
            let answer = r.responses.first()?.partitions.first()?;
            match ErrorCode(answer.error_code) {
                ErrorCode::NONE if answer.diverging_epoch.epoch >= 0 => Some(Mark::Diverged),
                ErrorCode::FENCED_LEADER_EPOCH => Some(Mark::FetchFenced),
                ErrorCode::UNKNOWN_LEADER_EPOCH => Some(Mark::FetchUnknownEpoch),
                ErrorCode::NOT_LEADER_OR_FOLLOWER => Some(Mark::FetchNotLeader),
                _ => None,
            }
        }
        (_, Response::FetchSnapshot(r)) => {
            let answer = r.topics.first()?.partitions.first()?;
            match ErrorCode(answer.error_code) {
                ErrorCode::NONE if answer.position > 0 => Some(Mark::SnapshotInParts),
                ErrorCode::SNAPSHOT_NOT_FOUND => Some(Mark::SnapshotGone),
                _ => None,
            }
        }
        (_, Response::EndQuorumEpoch(r)) => {
            let answer = r.topics.first()?.partitions.first()?;
            (answer.error_code == 0).then_some(Mark::Ended)
        }
        (_, Response::AddRaftVoter(r)) => change_mark(r.error_code, Mark::VoterAdded),
        (_, Response::RemoveRaftVoter(r)) => change_mark(r.error_code, Mark::VoterRemoved),
        (_, Response::UpdateRaftVoter(r)) => change_mark(r.error_code, Mark::VoterUpdated),
        _ => None,
    }
}

fn change_mark(error_code: i16, done: Mark) -> Option<Mark> {
    match ErrorCode(error_code) {
        ErrorCode::NONE => Some(done),
        ErrorCode::REQUEST_TIMED_OUT => Some(Mark::ChangeBusy),
        _ => None,
    }
}
