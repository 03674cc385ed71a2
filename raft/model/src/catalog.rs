//! Every state of a node, every message and every step that the exploration came across, once each.
//!
//! Whole states repeat the states of their nodes in ever new combinations. A node's step is run
//! once, by the production driver, and looked up from then on.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use kwire_raft::node::{RoleName, Timer};
use kwire_raft::types::{Epoch, NodeId};

use crate::local::{Input, Local, Stepped};
use crate::packet::Packet;
use crate::view::{View, mix};
use crate::witness::{Witness, Witnesses};

/// The number of a node's state.
pub type LocalId = u32;

/// The number of a message.
pub type PacketId = u32;

/// Something that happens to a node, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A message comes.
    Deliver(PacketId),
    /// A message comes, and saving fails.
    Broken(PacketId),
    /// A timer runs out.
    Fire(Timer),
    /// The application appends a record.
    Append,
    /// The barrier under way is over.
    Synced,
    /// A crash; so many operations that were not durable survive.
    Crash(u8),
    /// A crash that takes the disk along.
    Wipe,
    /// This voter is to be removed.
    Remove(NodeId),
    /// This node is to be made a voter.
    Add(NodeId),
    /// It is asked to stop.
    ShutDown,
    /// This node waits for no answers any more.
    Disown(NodeId),
}

/// What a step does, by numbers.
#[derive(Debug)]
pub struct Step {
    /// The node's state afterwards.
    pub after: LocalId,
    /// What it sends.
    pub sent: Vec<PacketId>,
    /// Those whose answers it does not wait for any more.
    pub ended: Vec<NodeId>,
    /// Votes that others can know of now.
    pub votes: Vec<(Epoch, NodeId)>,
    /// What was seen.
    pub witnesses: Witnesses,
    /// What was wrong.
    pub violation: Option<String>,
    /// What it says that another node did wrong.
    pub accusation: Option<String>,
}

/// A message and what the exploration asks of it often.
#[derive(Debug)]
pub struct Known {
    /// The message.
    pub packet: Packet,
    /// The epoch that it is about.
    pub epoch: Option<Epoch>,
    /// Whether it asks for a vote.
    pub asks_for_vote: bool,
    /// Whether it is an answer that may be delivered at once.
    pub is_quick: bool,
    /// Whether it asks for records.
    pub is_fetch: bool,
    /// Whether it is an answer that grants a vote.
    pub grants: bool,
    given_up: Option<PacketId>,
}

/// See the [module](self).
#[derive(Default)]
pub struct Catalog {
    ids: Vec<NodeId>,
    locals: Vec<(Arc<Local>, View)>,
    local_ids: HashMap<Arc<Local>, LocalId, Quick>,
    packets: Vec<Known>,
    packet_ids: HashMap<Packet, PacketId, Quick>,
    steps: HashMap<(LocalId, Key), Option<Arc<Step>>, Quick>,
}

type Quick = BuildHasherDefault<QuickHasher>;

/// A hasher for tables that nobody attacks.
#[derive(Default)]
pub struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, i: u8) {
        self.write_u64(u64::from(i));
    }

    fn write_u32(&mut self, i: u32) {
        self.write_u64(u64::from(i));
    }

    fn write_u64(&mut self, i: u64) {
        self.0 = (self.0.rotate_left(23) ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, i: usize) {
        self.write_u64(i as u64);
    }
}

impl Catalog {
    /// An empty catalog for these nodes.
    #[must_use]
    pub fn new(ids: Vec<NodeId>) -> Catalog {
        Catalog {
            ids,
            ..Catalog::default()
        }
    }

    /// How many states of nodes, messages and steps there are.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.locals.len(), self.packets.len(), self.steps.len())
    }

    /// A node's state.
    #[must_use]
    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id as usize].0
    }

    /// A node's state as the properties see it.
    #[must_use]
    pub fn view(&self, id: LocalId) -> &View {
        &self.locals[id as usize].1
    }

    /// A message.
    #[must_use]
    pub fn packet(&self, id: PacketId) -> &Known {
        &self.packets[id as usize]
    }

    /// The number of a message.
    pub fn packet_id(&mut self, packet: Packet) -> PacketId {
        if let Some(&id) = self.packet_ids.get(&packet) {
            return id;
        }
        let id = self.packets.len() as PacketId;
        self.packets.push(Known {
            epoch: packet.epoch(),
            asks_for_vote: packet.asks_for_vote(),
            is_fetch: packet.is_request && packet.api == kwire_protocol::ApiKey::FETCH,
            is_quick: packet.is_quick,
            grants: grants(&packet),
            packet: packet.clone(),
            given_up: None,
        });
        self.packet_ids.insert(packet, id);
        id
    }

    /// The same message, for whose answer nobody waits any more.
    pub fn given_up(&mut self, id: PacketId) -> PacketId {
        if let Some(known) = self.packets[id as usize].given_up {
            return known;
        }
        let packet = self.packets[id as usize].packet.given_up();
        let given_up = self.packet_id(packet);
        self.packets[id as usize].given_up = Some(given_up);
        given_up
    }

    /// A node that just started. Returns its first step.
    ///
    /// # Errors
    /// What is wrong with its state.
    pub fn start(&mut self, stepped: Stepped) -> Result<Arc<Step>, String> {
        let step = self.record(None, &Key::Synced, stepped);
        step.violation.clone().map_or(Ok(Arc::new(step)), Err)
    }

    /// What comes of something. `None` if it cannot happen in that state.
    ///
    /// # Errors
    /// What the node did wrong without there being a state after it.
    pub fn step(&mut self, before: LocalId, key: Key) -> Result<Option<Arc<Step>>, String> {
        if let Some(known) = self.steps.get(&(before, key)) {
            return Ok(known.clone());
        }
        let input = self.input(before, key);
        let local = Arc::clone(&self.locals[before as usize].0);
        let stepped = match input {
            Some(input) => local.step(&self.ids, &input)?,
            None => None,
        };
        let step = stepped.map(|stepped| Arc::new(self.record(Some(before), &key, stepped)));
        self.steps.insert((before, key), step.clone());
        Ok(step)
    }

    fn input(&self, before: LocalId, key: Key) -> Option<Input> {
        let packet = |id: PacketId| self.packet(id).packet.clone();
        Some(match key {
            Key::Deliver(id) => Input::Deliver(packet(id)),
            Key::Broken(id) => Input::Broken(packet(id)),
            Key::Fire(timer) => Input::Fire(timer),
            Key::Append => Input::Append,
            Key::Synced => Input::Synced,
            Key::Crash(kept) => Input::Crash(usize::from(kept)),
            Key::Wipe => Input::Wipe,
            Key::Remove(id) => {
                let voters = &self.view(before).voters;
                Input::Remove(*voters.iter().find(|voter| voter.id == id)?)
            }
            Key::Add(id) => Input::Add(id),
            Key::ShutDown => Input::ShutDown,
            Key::Disown(id) => Input::Disown(id),
        })
    }

    fn record(&mut self, before: Option<LocalId>, key: &Key, stepped: Stepped) -> Step {
        let Stepped {
            after,
            sent,
            stale_answers,
            ended,
            votes,
            refused,
            accusations,
            shut_down,
        } = stepped;
        let (after, mut violation) = self.local_id(after);
        let mut witnesses = Witnesses::default();
        witnesses.add_if(stale_answers > 0, Witness::StaleAnswer);
        witnesses.add_if(refused.0 > 0, Witness::VoteRefused);
        witnesses.add_if(refused.1 > 0, Witness::PreVoteRefused);
        witnesses.add_if(shut_down == Some(false), Witness::ShutDownLate);
        if let Some(before) = before {
            let (before, after) = (self.view(before), self.view(after));
            witnesses.merge(seen(before, key, after));
            let succeeded = shut_down == Some(true) && before.role == RoleName::Resigned;
            witnesses.add_if(succeeded, Witness::ShutDownInTime);
            violation = violation.or_else(|| wrong_step(before, key, after));
            if self.is_for_another_directory(key) {
                witnesses.add(Witness::WrongVoterKey);
            }
        }
        Step {
            after,
            sent: sent.into_iter().map(|p| self.packet_id(p)).collect(),
            ended: ended.into_iter().collect(),
            votes,
            witnesses,
            violation,
            accusation: accusations.into_iter().next(),
        }
    }

    fn is_for_another_directory(&self, key: &Key) -> bool {
        use kwire_raft::message::Response;
        let Key::Deliver(id) = key else { return false };
        let code = kwire_protocol::ErrorCode::INVALID_VOTER_KEY.0;
        match self.packet(*id).packet.to_response() {
            Some(Response::Vote(vote)) => vote.topics[0].partitions[0].error_code == code,
            Some(Response::BeginQuorumEpoch(begin)) => {
                begin.topics[0].partitions[0].error_code == code
            }
            _ => false,
        }
    }

    fn local_id(&mut self, local: Local) -> (LocalId, Option<String>) {
        if let Some(&id) = self.local_ids.get(&local) {
            return (id, None);
        }
        let view = View::of(&local, &self.ids);
        let wrong = view
            .contradiction()
            .map(|what| format!("node {}: {what}", view.key.id));
        let wrong = wrong.or_else(|| local.restlessness());
        let local = Arc::new(local);
        let id = self.locals.len() as LocalId;
        self.locals.push((Arc::clone(&local), view));
        self.local_ids.insert(local, id);
        (id, wrong)
    }
}

fn grants(packet: &Packet) -> bool {
    use kwire_raft::message::Response;
    match packet.to_response() {
        Some(Response::Vote(vote)) => {
            let partition = vote
                .topics
                .first()
                .and_then(|topic| topic.partitions.first());
            partition.is_some_and(|partition| partition.vote_granted)
        }
        _ => false,
    }
}

fn is_restart(key: &Key) -> bool {
    matches!(key, Key::Crash(_) | Key::Wipe | Key::Broken(_))
}

/// What about a step cannot be.
fn wrong_step(before: &View, key: &Key, after: &View) -> Option<String> {
    let id = before.key.id;
    if after.epoch < before.epoch && *key != Key::Wipe {
        let (from, to) = (before.epoch, after.epoch);
        return Some(format!(
            "node {id}: its epoch went back from {from} to {to}"
        ));
    }
    let leads = |view: &View| view.role == RoleName::Leader;
    if leads(before) && leads(after) && before.epoch == after.epoch && !is_restart(key) {
        if !after.log.starts_with(&before.log) {
            return Some(format!("node {id}: a leader removed records of its log"));
        }
        if after.high_watermark < before.high_watermark {
            return Some(format!("node {id}: the leader's high watermark went back"));
        }
    }
    if leads(after) && before.epoch == after.epoch && before.role == RoleName::Resigned {
        return Some(format!("node {id}: it leads again after it resigned"));
    }
    let truncated = !after.log.starts_with(&before.log) && !is_restart(key);
    if truncated
        && let Some(committed) = before.high_watermark
        && after.content(committed) != before.content(committed)
    {
        return Some(format!(
            "node {id}: it truncated below its high watermark {committed}"
        ));
    }
    None
}

fn seen(before: &View, key: &Key, after: &View) -> Witnesses {
    let mut seen = Witnesses::default();
    let restart = is_restart(key);
    let truncated = !after.log.starts_with(&before.log) && !restart;
    seen.add_if(truncated, Witness::Truncated);
    seen.add_if(
        truncated && before.voters != after.voters,
        Witness::VotersRolledBack,
    );
    seen.add_if(!after.waiting.is_empty(), Witness::Parked);
    let (was, is) = (before.role, after.role);
    seen.add_if(
        is == RoleName::Leader
            && after.high_watermark > before.high_watermark
            && after.durable.len() < after.log.len(),
        Witness::LeaderUnflushed,
    );
    seen.add_if(
        *key == Key::Fire(Timer::Quorum) && is == RoleName::Resigned,
        Witness::CheckQuorum,
    );
    seen.add_if(
        restart && after.log.len() < before.log.len(),
        Witness::LostInCrash,
    );
    seen.add_if(
        is == RoleName::Follower && after.high_watermark > before.high_watermark,
        Witness::FollowerCommitted,
    );
    if let Key::Fire(Timer::Call(peer)) = key {
        let waits = |view: &View| view.awaits.contains(peer);
        seen.add_if(!waits(before) && waits(after), Witness::Repeated);
    }
    let deposed = was == RoleName::Leader && after.epoch > before.epoch;
    seen.add_if(deposed, Witness::Deposed);
    seen.add_if(matches!(key, Key::Broken(_)), Witness::SaveFailed);
    seen.add_if(*key == Key::Wipe, Witness::Wiped);
    if was == RoleName::Leader && !restart {
        let is_voter = |view: &View| view.voters.contains(&view.key);
        let alone = before
            .voters
            .iter()
            .all(|voter| voter.directory_id.is_none());
        let left = !alone && !is_voter(before);
        seen.add_if(
            left && is == RoleName::Resigned,
            Witness::RemovedLeaderResigned,
        );
    }
    seen
}
