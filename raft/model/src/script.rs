//! One way through the model, told step by step.

use kwire_protocol::ApiKey;
use kwire_raft::node::{RoleName, Timer};
use kwire_raft::types::NodeId;

use crate::bounds::Bounds;
use crate::catalog::{Key, PacketId};
use crate::scenario::{Quorum, starts};
use crate::view::View;
use crate::witness::Witnesses;
use crate::world::{Action, Model, World};

/// A way through the model. The properties are looked at after each step; the first that does not
/// hold is remembered, and nothing happens any more.
pub struct Script {
    /// The rules.
    pub model: Model,
    /// Where it is.
    pub world: World,
    /// What was seen.
    pub witnesses: Witnesses,
    /// The property that did not hold.
    pub violation: Option<String>,
    told: Vec<String>,
}

impl Script {
    /// Three nodes that never ran, and hardly any bounds.
    ///
    /// # Panics
    /// If they do not start.
    #[must_use]
    pub fn new(quorum: Quorum) -> Script {
        let bounds = Bounds {
            epochs: 99,
            delayed: 6,
            slow_answers: true,
            slow_disk: true,
            ..Bounds::CALM
        };
        let starts = starts(quorum).expect("they start");
        let (model, world) = Model::new(bounds, starts).expect("they start");
        Script {
            model,
            world,
            witnesses: Witnesses::default(),
            violation: None,
            told: Vec::new(),
        }
    }

    /// The same, with barriers that are over at once.
    #[must_use]
    pub fn with_quick_disks(quorum: Quorum) -> Script {
        let mut script = Script::new(quorum);
        script.model.bounds.slow_disk = false;
        script
    }

    /// A node.
    #[must_use]
    pub fn view(&self, node: usize) -> &View {
        self.model.view(&self.world, node)
    }

    /// What happened so far.
    #[must_use]
    pub fn told(&self) -> String {
        self.told.join("\n")
    }

    /// Something happens. Whether it could.
    pub fn act(&mut self, action: Action) -> bool {
        if self.violation.is_some() {
            return false;
        }
        self.told.push(self.model.describe(action));
        match self.model.apply(&self.world, action) {
            Ok(outcome) => {
                self.witnesses.merge(outcome.witnesses);
                let Some(world) = outcome.worlds.first() else {
                    return false;
                };
                self.world = *world;
                self.told.push(self.model.show(&self.world));
                true
            }
            Err(violation) => {
                self.violation = Some(violation);
                false
            }
        }
    }

    /// A timer runs out.
    pub fn fire(&mut self, node: usize, timer: Timer) {
        self.act(Action::Node(node, Key::Fire(timer)));
    }

    /// The application appends a record.
    pub fn append(&mut self, node: usize) {
        self.act(Action::Node(node, Key::Append));
    }

    /// A node's barriers are over, all that it asks for.
    pub fn sync(&mut self, node: usize) {
        while self.view(node).is_syncing && self.act(Action::Node(node, Key::Synced)) {}
    }

    /// A node crashes and restarts; so many unsynced operations survive.
    pub fn crash(&mut self, node: usize, kept: u8) {
        self.act(Action::Node(node, Key::Crash(kept)));
    }

    /// The leader is asked to remove a voter.
    pub fn remove(&mut self, leader: usize, voter: NodeId) {
        self.act(Action::Node(leader, Key::Remove(voter)));
    }

    /// A message on its way: a request, or an answer. The newest, if there are some.
    #[must_use]
    pub fn find(&self, from: usize, to: usize, api: ApiKey, is_request: bool) -> Option<PacketId> {
        let is = |id: &&PacketId| {
            let packet = &self.model.catalog.packet(**id).packet;
            (packet.from, packet.to) == (from as NodeId, to as NodeId)
                && packet.api == api
                && packet.is_request == is_request
        };
        let found = self.world.packets().iter().filter(is);
        found
            .max_by_key(|id| self.model.catalog.packet(**id).packet.is_live)
            .copied()
    }

    /// A request arrives, if it is on its way.
    pub fn ask(&mut self, from: usize, to: usize, api: ApiKey) -> bool {
        let packet = self.find(from, to, api, true);
        packet.is_some_and(|packet| self.act(Action::Deliver(packet)))
    }

    /// An answer arrives, if it is on its way.
    pub fn answer(&mut self, from: usize, to: usize, api: ApiKey) -> bool {
        let packet = self.find(from, to, api, false);
        packet.is_some_and(|packet| self.act(Action::Deliver(packet)))
    }

    /// A request arrives, and then its answer.
    pub fn call(&mut self, from: usize, to: usize, api: ApiKey) {
        if self.ask(from, to, api) {
            self.sync(to);
            self.answer(to, from, api);
            self.sync(from);
        }
    }

    /// Everything live arrives between these nodes, and their disks are synced, until nothing more
    /// happens.
    pub fn settle(&mut self, nodes: &[usize]) {
        for _ in 0..200 {
            for &node in nodes {
                self.sync(node);
            }
            let among = |id: NodeId| nodes.iter().any(|node| *node as NodeId == id);
            let next = self.world.packets().iter().copied().find(|id| {
                let packet = &self.model.catalog.packet(*id).packet;
                packet.is_live && among(packet.from) && among(packet.to)
            });
            match next {
                Some(packet) if self.act(Action::Deliver(packet)) => {}
                _ => return,
            }
        }
    }

    /// A node stands for election, with another one to vote for it, and leads if that one lets it.
    pub fn elect(&mut self, node: usize, with: usize) {
        if self.view(with).role == RoleName::Follower {
            self.fire(with, Timer::Fetch);
        }
        if self.view(node).role == RoleName::Leader {
            self.fire(node, Timer::Quorum);
        }
        for _ in 0..4 {
            let timer = match self.view(node).role {
                RoleName::Leader => return,
                RoleName::Follower => Timer::Fetch,
                _ => Timer::Election,
            };
            self.fire(node, timer);
            self.call(node, with, ApiKey::VOTE);
            self.call(node, with, ApiKey::VOTE);
        }
    }

    /// The same, with nothing that it writes as leader synced.
    pub fn elect_with_slow_disk(&mut self, node: usize, with: usize) {
        self.fire(node, Timer::Election);
        for _ in 0..2 {
            self.ask(node, with, ApiKey::VOTE);
            self.answer(with, node, ApiKey::VOTE);
        }
    }

    /// A follower hears of its leader, and fetches what that has.
    pub fn call_begin_and_fetch(&mut self, leader: usize, follower: usize) {
        self.ask(leader, follower, ApiKey::BEGIN_QUORUM_EPOCH);
        self.ask(follower, leader, ApiKey::FETCH);
        self.answer(leader, follower, ApiKey::FETCH);
    }

    /// What is on its way is lost.
    pub fn lose_everything(&mut self) {
        self.world = self.model.without_packets(&self.world);
    }
}
