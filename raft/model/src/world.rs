//! All nodes together with the messages between them, and what can happen next.

use std::collections::HashMap;

use kwire_raft::node::{RoleName, Timer};
use kwire_raft::types::NodeId;

use crate::bounds::Bounds;
use crate::catalog::{Catalog, Key, LocalId, PacketId};
use crate::ghost::Ghost;
use crate::view::{View, mix};
use crate::witness::{Witness, Witnesses};

/// The most nodes.
pub const NODES: usize = 3;

/// The most messages on their way; one more fails the check.
const PACKETS: usize = 14;

/// Everything at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// The nodes' states.
    pub nodes: [LocalId; NODES],
    ghost: u32,
    used: Used,
    packets: [PacketId; PACKETS],
    count: u8,
}

/// How often happened what is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    timers: u8,
    appends: u8,
    crashes: u8,
    broken: u8,
    wipes: u8,
    removals: u8,
    adds: u8,
    shutdowns: u8,
    copies: u8,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message arrives.
    Deliver(PacketId),
    /// A message arrives, and will arrive once more.
    Copy(PacketId),
    /// A message arrives, and what it leads to cannot be saved.
    Broken(PacketId),
    /// Something happens to a node by itself.
    Node(usize, Key),
}

/// What came of an action.
#[derive(Default)]
pub struct Outcome {
    /// The worlds after it: more than one if some message had to be lost.
    pub worlds: Vec<World>,
    /// What was seen.
    pub witnesses: Witnesses,
    /// Whether it led beyond the bound of epochs.
    pub is_beyond: bool,
    /// Whether messages were lost for the bound of those that are late.
    pub lost: bool,
}

impl World {
    /// The messages on their way.
    #[must_use]
    pub fn packets(&self) -> &[PacketId] {
        &self.packets[..usize::from(self.count)]
    }

    /// A number that stands for this state.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let used = &self.used;
        let used = [
            used.timers,
            used.appends,
            used.crashes,
            used.broken,
            used.wipes,
            used.removals << 4 | used.adds,
            used.copies << 4 | used.shutdowns,
        ];
        let used = used.iter().fold(0_u64, |sum, n| sum << 8 | u64::from(*n));
        let mut hash = mix(mix(used) ^ u64::from(self.ghost));
        for part in self.nodes.iter().chain(self.packets()) {
            hash = mix(hash.rotate_left(17) ^ u64::from(*part));
        }
        mix(hash ^ u64::from(self.count))
    }

    fn add(&mut self, packet: PacketId) -> Result<(), String> {
        let at = usize::from(self.count);
        if at == PACKETS {
            return Err(format!("the model holds no more than {PACKETS} messages"));
        }
        self.packets[at] = packet;
        self.count += 1;
        Ok(())
    }

    fn remove(&mut self, packet: PacketId) {
        if let Some(at) = self.packets().iter().position(|p| *p == packet) {
            self.count -= 1;
            self.packets[at] = self.packets[usize::from(self.count)];
            self.packets[usize::from(self.count)] = 0;
        }
    }
}

/// The rules of what can happen.
pub struct Model {
    /// How far it goes.
    pub bounds: Bounds,
    /// What was come across.
    pub catalog: Catalog,
    ids: Vec<NodeId>,
    ghosts: Vec<Ghost>,
    ghost_ids: HashMap<Ghost, u32>,
    /// Whether the nodes differ in nothing but their ids at the start: it is node 0, then, that
    /// stands first.
    is_symmetric: bool,
}

impl Model {
    /// Starts these nodes.
    ///
    /// # Errors
    /// What is wrong with the start.
    pub fn new(
        bounds: Bounds,
        starts: Vec<crate::local::Stepped>,
    ) -> Result<(Model, World), String> {
        let ids: Vec<NodeId> = starts.iter().map(|start| start.after.id()).collect();
        let mut model = Model {
            bounds,
            catalog: Catalog::new(ids.clone()),
            ids,
            ghosts: Vec::new(),
            ghost_ids: HashMap::new(),
            is_symmetric: true,
        };
        let ghost = model.ghost_id(Ghost::new(NODES));
        let mut world = World {
            nodes: [0; NODES],
            ghost,
            used: Used::default(),
            packets: [0; PACKETS],
            count: 0,
        };
        for (node, start) in starts.into_iter().enumerate() {
            let step = model.catalog.start(start)?;
            world.nodes[node] = step.after;
            for &packet in &step.sent {
                model.send(&mut world, node, packet)?;
            }
        }
        world.packets[..usize::from(world.count)].sort_unstable();
        Ok((model, world))
    }

    /// A node as the properties see it.
    #[must_use]
    pub fn view(&self, world: &World, node: usize) -> &View {
        self.catalog.view(world.nodes[node])
    }

    /// What the properties remember.
    #[must_use]
    pub fn ghost(&self, world: &World) -> &Ghost {
        &self.ghosts[world.ghost as usize]
    }

    /// The same, with nothing on its way.
    #[must_use]
    pub fn without_packets(&self, world: &World) -> World {
        let mut world = *world;
        world.packets = [0; PACKETS];
        world.count = 0;
        world
    }

    /// Starts counting what is bounded anew.
    pub fn forget_used(&self, world: &mut World) {
        world.used = Used::default();
    }

    /// Everything that can happen next.
    #[must_use]
    pub fn actions(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        let (bounds, used) = (&self.bounds, &world.used);
        let mut last = None;
        for &packet in world.packets() {
            if last.replace(packet) == Some(packet) {
                continue;
            }
            actions.push(Action::Deliver(packet));
            let known = self.catalog.packet(packet);
            if known.packet.is_request && known.packet.is_live {
                if used.copies < bounds.copies && bounds.delayed > 0 {
                    actions.push(Action::Copy(packet));
                }
                if used.broken < bounds.broken {
                    actions.push(Action::Broken(packet));
                }
            }
        }
        for node in 0..NODES {
            self.actions_of(world, node, &mut actions);
        }
        actions
    }

    fn actions_of(&self, world: &World, node: usize, actions: &mut Vec<Action>) {
        let (bounds, used) = (&self.bounds, &world.used);
        let view = self.view(world, node);
        let mut act = |key| actions.push(Action::Node(node, key));
        for &timer in &view.timers {
            let is_tried = match timer {
                Timer::Call(peer) => bounds.timeouts || !view.awaits.contains(&peer),
                Timer::Parked => bounds.fetch_waits_end,
                Timer::Update => false,
                Timer::Linger | Timer::Change | Timer::Shutdown => true,
                _ => {
                    used.timers < bounds.timers
                        && (used.timers > 0 || node == 0 || !self.is_symmetric)
                }
            };
            if is_tried {
                act(Key::Fire(timer));
            }
        }
        let leads = view.role == RoleName::Leader;
        if leads && used.appends < bounds.appends {
            act(Key::Append);
        }
        if view.is_syncing {
            act(Key::Synced);
        }
        if used.crashes < bounds.crashes {
            for kept in 0..=view.pending {
                act(Key::Crash(u8::try_from(kept).unwrap_or(u8::MAX)));
            }
        }
        if used.wipes < bounds.wipes {
            act(Key::Wipe);
        }
        if leads && used.removals < bounds.removals {
            for &voter in &view.voters {
                act(Key::Remove(voter.id));
            }
        }
        if leads && used.adds < bounds.adds {
            let is_voter = |id: &NodeId| view.voters.iter().any(|voter| voter.id == *id);
            for &id in self.ids.iter().filter(|id| !is_voter(id)) {
                act(Key::Add(id));
            }
        }
        if used.shutdowns < bounds.shutdowns {
            act(Key::ShutDown);
        }
    }

    /// Lets something happen.
    ///
    /// # Errors
    /// The property that does not hold any more.
    pub fn apply(&mut self, world: &World, action: Action) -> Result<Outcome, String> {
        let mut next = *world;
        let mut outcome = Outcome::default();
        let (node, key) = self.begin(&mut next, action, &mut outcome.witnesses)?;
        if !self.run(&mut next, node, key, &mut outcome.witnesses)? {
            return Ok(outcome);
        }
        if !self.bounds.slow_answers {
            self.deliver_at_once(&mut next, &mut outcome.witnesses)?;
        }
        if (0..NODES).any(|node| self.view(&next, node).epoch > self.bounds.epochs) {
            outcome.is_beyond = true;
            return Ok(outcome);
        }
        self.drop_hopeless(&mut next);
        let mut ghost = self.ghost(&next).clone();
        ghost.forget(&self.views(&next));
        next.ghost = self.ghost_id(ghost);
        outcome.worlds = self.lose(next);
        outcome.lost = outcome.worlds.len() > 1 || outcome.worlds[0].count != next.count;
        Ok(outcome)
    }

    /// Takes the message out of the network, and counts what is bounded.
    fn begin(
        &mut self,
        world: &mut World,
        action: Action,
        seen: &mut Witnesses,
    ) -> Result<(usize, Key), String> {
        let used = &mut world.used;
        let (node, key) = match action {
            Action::Node(node, key) => {
                match key {
                    Key::Append => used.appends += 1,
                    Key::Fire(Timer::Election | Timer::Fetch | Timer::Begin | Timer::Quorum) => {
                        used.timers += 1;
                    }
                    Key::Crash(_) => used.crashes += 1,
                    Key::Wipe => used.wipes += 1,
                    Key::Remove(_) => used.removals += 1,
                    Key::Add(_) => used.adds += 1,
                    Key::ShutDown => used.shutdowns += 1,
                    _ => {}
                }
                if matches!(key, Key::Crash(_)) {
                    let from = self.ids[node];
                    let is_vote = |id: &&PacketId| {
                        let known = self.catalog.packet(**id);
                        known.grants && known.packet.from == from
                    };
                    let on_its_way = world.packets().iter().find(is_vote).is_some();
                    seen.add_if(on_its_way, Witness::RestartBeforeReply);
                }
                return Ok((node, key));
            }
            Action::Deliver(packet) => (self.receiver(packet), Key::Deliver(packet)),
            Action::Copy(packet) => {
                used.copies += 1;
                let copy = self.catalog.given_up(packet);
                world.add(copy)?;
                (self.receiver(packet), Key::Deliver(packet))
            }
            Action::Broken(packet) => {
                used.broken += 1;
                (self.receiver(packet), Key::Broken(packet))
            }
        };
        if let Key::Deliver(packet) | Key::Broken(packet) = key {
            world.remove(packet);
            let known = self.catalog.packet(packet);
            let view = self.view(world, node);
            let is_late = known.asks_for_vote
                && !known.packet.is_live
                && known.epoch == Some(view.epoch)
                && view.leader.is_some();
            seen.add_if(is_late, Witness::LateVoteRequest);
            let ends = known.packet.is_request
                && known.packet.api == kwire_protocol::ApiKey::END_QUORUM_EPOCH;
            seen.add_if(ends, Witness::EpochEnded);
        }
        Ok((node, key))
    }

    fn receiver(&self, packet: PacketId) -> usize {
        let to = self.catalog.packet(packet).packet.to;
        self.ids.iter().position(|id| *id == to).unwrap_or(0)
    }

    /// Whether it could happen.
    fn run(
        &mut self,
        world: &mut World,
        node: usize,
        key: Key,
        seen: &mut Witnesses,
    ) -> Result<bool, String> {
        let Some(step) = self.catalog.step(world.nodes[node], key)? else {
            return Ok(false);
        };
        if let Some(violation) = &step.violation {
            return Err(violation.clone());
        }
        // Who lost its disk may hear what it promised before; all others are honest.
        if let Some(accusation) = &step.accusation
            && self.bounds.wipes == 0
        {
            return Err(accusation.clone());
        }
        seen.merge(step.witnesses);
        let before = world.nodes[node];
        world.nodes[node] = step.after;
        for &peer in &step.ended {
            self.give_up(world, node, peer, seen)?;
        }
        for &packet in &step.sent {
            self.send(world, node, packet)?;
        }
        let mut ghost = self.ghost(world).clone();
        if key == Key::Wipe {
            ghost.forget_votes_of(node);
        }
        for &(epoch, candidate) in &step.votes {
            ghost.vote(node, epoch, candidate)?;
            let other = self.ids[node] != candidate;
            let is_new = world.used.adds > 0 && self.view(world, node).voters.len() == NODES;
            // The node that the scenario starts without.
            seen.add_if(other && is_new && node == NODES - 1, Witness::AddedVoted);
        }
        let end = ghost.committed_end();
        {
            let views = self.views(world);
            let (before, after) = (self.catalog.view(before), views[node]);
            ghost.look(before, after, &views)?;
            if self.bounds.wipes == 0 && !self.bounds.changes_voters() {
                ghost.majority_has(&after.voters, &views)?;
            }
            let took_over = after.role == RoleName::Leader && before.role != RoleName::Leader;
            seen.add_if(took_over && end > 0, Witness::CommittedSurvived);
            let later = took_over && after.epoch >= 2 && world.used.crashes > 0;
            seen.add_if(later, Witness::LaterLeaderAfterCrash);
            let candidates = views.iter().filter(|view| view.role == RoleName::Candidate);
            let rivals = candidates.filter(|view| view.epoch == after.epoch).count();
            seen.add_if(
                rivals > 1 && after.role == RoleName::Candidate,
                Witness::SplitVote,
            );
            let removed =
                after.high_watermark > before.high_watermark && after.voters.len() < NODES;
            let grew = after.high_watermark > before.high_watermark
                && self.bounds.adds > 0
                && after.voters.len() == NODES;
            seen.add_if(grew && after.role == RoleName::Leader, Witness::VoterAdded);
            seen.add_if(
                removed && after.role == RoleName::Leader,
                Witness::VoterRemoved,
            );
        }
        world.ghost = self.ghost_id(ghost);
        if !self.bounds.slow_disk && self.view(world, node).is_syncing {
            self.run(world, node, Key::Synced, seen)?;
        }
        Ok(true)
    }

    /// Delivers the answers that are not to take time.
    fn deliver_at_once(&mut self, world: &mut World, seen: &mut Witnesses) -> Result<(), String> {
        loop {
            let is_quick = |id: &&PacketId| self.catalog.packet(**id).is_quick;
            let Some(&packet) = world.packets().iter().find(is_quick) else {
                return Ok(());
            };
            world.remove(packet);
            self.run(world, self.receiver(packet), Key::Deliver(packet), seen)?;
        }
    }

    fn views(&self, world: &World) -> Vec<&View> {
        world
            .nodes
            .iter()
            .map(|node| self.catalog.view(*node))
            .collect()
    }

    fn send(&mut self, world: &mut World, node: usize, packet: PacketId) -> Result<(), String> {
        let known = self.catalog.packet(packet);
        let is_search = known.is_fetch && self.view(world, node).leader.is_none();
        let exists = self.ids.contains(&known.packet.to);
        if exists && (self.bounds.discovery || !is_search) {
            world.add(packet)?;
        }
        Ok(())
    }

    /// A node does not wait any more for a peer's answer.
    fn give_up(
        &mut self,
        world: &mut World,
        node: usize,
        peer: NodeId,
        seen: &mut Witnesses,
    ) -> Result<(), String> {
        let own = self.ids[node];
        for packet in world.packets().to_vec() {
            let known = &self.catalog.packet(packet).packet;
            let (from, to, live) = (known.from, known.to, known.is_live);
            if known.is_request && live && (from, to) == (own, peer) {
                let late = self.catalog.given_up(packet);
                world.remove(packet);
                world.add(late)?;
            } else if !known.is_request && (from, to) == (peer, own) {
                // A node knows its calls by their numbers: what it does not wait for is nothing.
                seen.add(Witness::StaleAnswer);
                world.remove(packet);
            }
        }
        let at = self.ids.iter().position(|id| *id == peer);
        if let Some(at) = at
            && self.view(world, at).waiting.contains(&own)
        {
            self.run(world, at, Key::Disown(own), seen)?;
        }
        Ok(())
    }

    /// A late request of an epoch that its receiver is past is refused, whenever it comes, and
    /// nobody waits for that.
    fn drop_hopeless(&self, world: &mut World) {
        for packet in world.packets().to_vec() {
            let known = self.catalog.packet(packet);
            let receiver = self.view(world, self.receiver(packet));
            if !known.packet.is_live && known.epoch.is_some_and(|epoch| epoch < receiver.epoch) {
                world.remove(packet);
            }
        }
        world.packets[..usize::from(world.count)].sort_unstable();
    }

    /// Every choice of the late requests that stay, as many as may be late at a time.
    fn lose(&self, world: World) -> Vec<World> {
        let is_late = |packet: &PacketId| !self.catalog.packet(*packet).packet.is_live;
        let late = world.packets().iter().filter(|p| is_late(p)).count();
        if late <= usize::from(self.bounds.delayed) {
            return vec![world];
        }
        let mut worlds: Vec<World> = Vec::new();
        for &packet in world.packets().iter().filter(|p| is_late(p)) {
            let mut without = world;
            without.remove(packet);
            without.packets[..usize::from(without.count)].sort_unstable();
            for world in self.lose(without) {
                if !worlds.contains(&world) {
                    worlds.push(world);
                }
            }
        }
        worlds
    }

    fn ghost_id(&mut self, ghost: Ghost) -> u32 {
        if let Some(&id) = self.ghost_ids.get(&ghost) {
            return id;
        }
        let id = self.ghosts.len() as u32;
        self.ghosts.push(ghost.clone());
        self.ghost_ids.insert(ghost, id);
        id
    }

    /// An action, for people.
    #[must_use]
    pub fn describe(&self, action: Action) -> String {
        let packet = |id: PacketId| self.catalog.packet(id).packet.to_string();
        match action {
            Action::Deliver(id) => packet(id),
            Action::Copy(id) => format!("{} (and will come once more)", packet(id)),
            Action::Broken(id) => format!("{} (and saving fails)", packet(id)),
            Action::Node(node, key) => match key {
                Key::Fire(timer) => format!("{node}: timer {timer:?} runs out"),
                Key::Append => format!("{node}: the application appends"),
                Key::Synced => format!("{node}: its disk is synced"),
                Key::Crash(kept) => {
                    format!("{node}: crashes, keeps {kept} unsynced operations, restarts")
                }
                other => format!("{node}: {other:?}"),
            },
        }
    }

    /// A scenario that starts elsewhere has no node that is to stand first.
    pub fn lift_symmetry(&mut self) {
        self.is_symmetric = false;
    }

    /// The nodes' states, for people.
    #[must_use]
    pub fn show(&self, world: &World) -> String {
        let node = |node: usize| self.view(world, node).to_string();
        let nodes: Vec<String> = (0..NODES).map(node).collect();
        nodes.join(" | ")
    }
}
