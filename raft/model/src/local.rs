//! One node with its disk: what becomes of it, and what it sends, when something happens to it.
//!
//! This is the production [`Driver`] with the production [`Node`]. Its state after each step is
//! brought into a form in which neither time nor the numbers of calls tell states apart.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kwire_raft::driver::{Disk, Driver, Effect, LogRange, StateStore};
use kwire_raft::message::{Request, Response};
use kwire_raft::node::{Event, Incoming, Node, Normal, Timer, Token};
use kwire_raft::types::{Epoch, NodeId, ReplicaKey, Uuid};
use kwire_raft::voters::Address;
use kwire_raft::{Config, node::CallId};

use crate::packet::{Packet, newest};
use crate::scenario::endpoints;
use crate::store::{ModelLog, ModelState};

/// Who asks for changes of the voters, and hears no answer.
pub const CLIENT: NodeId = 100;

/// How long a shutdown may take. Its timer may run out at any moment.
const PATIENCE_MS: u64 = 5_000;

const NOW: kwire_raft::types::Instant = Node::MODEL_NOW;

/// A node with its disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// The node and what runs it.
    pub driver: Driver<ModelLog, ModelState>,
}

/// Something that happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message comes.
    Deliver(Packet),
    /// A message comes, and the election state cannot be saved: the node stops and is restarted.
    Broken(Packet),
    /// A timer runs out.
    Fire(Timer),
    /// The application appends a record.
    Append,
    /// The barrier under way is over.
    Synced,
    /// It crashes and restarts; so many operations that were not durable survive.
    Crash(usize),
    /// It crashes, loses its disk, and restarts with an empty directory of another id.
    Wipe,
    /// A voter is to be removed.
    Remove(ReplicaKey),
    /// A node is to be made a voter, with the directory that it started with.
    Add(NodeId),
    /// It is to stop. Once that is over, it starts again.
    ShutDown,
    /// A node does not wait any more for answers to what it asked.
    Disown(NodeId),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Stepped {
    /// The node afterwards.
    pub after: Local,
    /// What it sent, each with whether anybody waits for it.
    pub sent: Vec<Packet>,
    /// Answers that nobody waits for.
    pub stale_answers: usize,
    /// Those whose answers it does not wait for any more.
    pub ended: BTreeSet<NodeId>,
    /// Votes that others can know of now: the epoch, and for whom.
    pub votes: Vec<(Epoch, NodeId)>,
    /// Requests for votes and pre-votes that it refused.
    pub refused: (usize, usize),
    /// What it found wrong with others.
    pub accusations: Vec<String>,
    /// Its shutdown is over, in time or not.
    pub shut_down: Option<bool>,
}

/// A request's token: who asked, whether it waits, and whether a vote was asked for.
#[derive(Clone, Copy)]
struct Asked {
    by: NodeId,
    is_live: bool,
    is_vote: bool,
    is_pre_vote: bool,
}

impl Asked {
    fn token(self) -> Token {
        let by = u64::from(self.by.cast_unsigned()) << 8;
        Token(
            by | u64::from(self.is_live)
                | u64::from(self.is_vote) << 1
                | u64::from(self.is_pre_vote) << 2,
        )
    }

    fn of(token: Token) -> Asked {
        let bit = |n: u64| token.0 >> n & 1 == 1;
        Asked {
            by: NodeId::try_from(token.0 >> 8).unwrap_or(CLIENT),
            is_live: bit(0),
            is_vote: bit(1),
            is_pre_vote: bit(2),
        }
    }
}

/// Looks at tokens, and takes the life out of those of one asker.
#[derive(Default)]
struct Tokens {
    disowned: Option<NodeId>,
    live: BTreeSet<NodeId>,
}

impl Normal for Tokens {
    fn token(&mut self, token: &mut Token) {
        let mut asked = Asked::of(*token);
        if Some(asked.by) == self.disowned {
            asked.is_live = false;
            *token = asked.token();
        }
        if asked.is_live {
            self.live.insert(asked.by);
        }
    }

    fn is_awaited(&self, token: Token) -> bool {
        Asked::of(token).is_live
    }
}

/// The directory of a node: another one each time that it lost its disk.
#[must_use]
pub fn directory(id: NodeId, disks_lost: u64) -> Uuid {
    Uuid::from_parts(0xd1 + disks_lost, u64::from(id.unsigned_abs()) + 1)
}

impl Local {
    /// A node that starts with these stores.
    ///
    /// # Errors
    /// What went wrong.
    pub fn start(config: Config, log: ModelLog, state: ModelState) -> Result<Stepped, String> {
        let driver = Driver::new(NOW, config, Disk::Asynchronous, log, state);
        let driver = driver.map_err(|error| format!("the node does not start: {error}"))?;
        Ok(Local { driver }.finish(&BTreeSet::new(), None))
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.driver.node()
    }

    /// Its id.
    ///
    /// # Panics
    /// Never: all nodes of the model have one.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.node().config().id.expect("voters have ids")
    }

    /// The askers that wait for an answer which this node has not given yet.
    #[must_use]
    pub fn waiting(&self) -> BTreeSet<NodeId> {
        let mut tokens = Tokens::default();
        self.driver.clone().model_normalise(&mut tokens);
        tokens.live
    }

    /// Whose answers it waits for.
    #[must_use]
    pub fn awaits(&self, peers: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let awaits = |peer: &NodeId| self.node().model_awaits(*peer).is_some();
        peers.into_iter().filter(awaits).collect()
    }

    /// Lets something happen to the node. `None` if it cannot.
    ///
    /// # Errors
    /// What the node did wrong: it panicked, or stopped.
    pub fn step(&self, peers: &[NodeId], input: &Input) -> Result<Option<Stepped>, String> {
        let awaited = self.awaits(peers.iter().copied());
        let run = || self.clone().run(input, &awaited);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(outcome) => outcome,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                Err(format!(
                    "node {} panicked: {}",
                    self.id(),
                    text.unwrap_or_default()
                ))
            }
        }
    }

    fn run(mut self, input: &Input, awaited: &BTreeSet<NodeId>) -> Result<Option<Stepped>, String> {
        let id = self.id();
        let stopped = |error: &dyn std::fmt::Display| format!("node {id} stopped: {error}");
        match input {
            Input::Deliver(packet) => self.deliver(packet).map_err(|e| stopped(&e))?,
            Input::Broken(packet) => {
                self.driver.model_stores().1.is_broken = true;
                let failed = self.deliver(packet).is_err();
                self.driver.model_stores().1.is_broken = false;
                if failed {
                    return self.restart(0, false, awaited).map(Some);
                }
                if !saves_differ(&mut self) {
                    return Ok(None);
                }
            }
            Input::Fire(timer) => {
                let fire = |node: &mut Node| node.model_fire(*timer);
                self.driver.command(NOW, fire).map_err(|e| stopped(&e))?;
            }
            Input::Append => {
                let value = [u8::try_from(id).unwrap_or(0)];
                let epoch = self.node().epoch();
                let appended = self.driver.append(NOW, epoch, &[&value]);
                if appended.map_err(|e| stopped(&e))?.is_err() {
                    return Ok(None);
                }
                // What its surroundings do at once: the accumulator wants to be drained.
                let pump = |node: &mut Node| node.handle_timeout(NOW);
                self.driver.command(NOW, pump).map_err(|e| stopped(&e))?;
            }
            Input::Synced => {
                let Some(io) = self.driver.model_syncing() else {
                    return Ok(None);
                };
                self.driver.model_stores().0.settle();
                let synced = self.driver.synced(NOW, io, Ok(()));
                synced.map_err(|e| stopped(&e))?;
            }
            Input::Crash(kept) => return self.restart(*kept, false, awaited).map(Some),
            Input::Wipe => return self.restart(0, true, awaited).map(Some),
            Input::Remove(voter) => {
                let request = remove_request(*voter, &self.node().config().cluster_id);
                let packet = Packet::request(CLIENT, id, false, &request);
                self.deliver(&packet).map_err(|e| stopped(&e))?;
            }
            Input::Add(voter) => {
                let request = add_request(*voter, &self.node().config().cluster_id);
                let packet = Packet::request(CLIENT, id, false, &request);
                self.deliver(&packet).map_err(|e| stopped(&e))?;
            }
            Input::ShutDown => {
                let shut_down = |node: &mut Node| node.shut_down(NOW, PATIENCE_MS);
                self.driver
                    .command(NOW, shut_down)
                    .map_err(|e| stopped(&e))?;
            }
            Input::Disown(asker) => return self.disown(*asker, awaited).map(Some),
        }
        let stepped = self.finish(awaited, None);
        if stepped.shut_down.is_some() {
            return stepped.start_again(awaited).map(Some);
        }
        Ok(Some(stepped))
    }

    fn deliver(&mut self, packet: &Packet) -> Result<(), String> {
        let done = if let Some(request) = packet.to_request() {
            let is_vote = packet.asks_for_vote();
            let asked = Asked {
                by: packet.from,
                is_live: packet.is_live,
                is_vote,
                is_pre_vote: !is_vote && matches!(request, Request::Vote(_)),
            };
            let incoming = Incoming {
                token: asked.token(),
                version: newest(packet.api),
                request,
            };
            self.driver.request(NOW, incoming)
        } else {
            let response = packet.to_response().ok_or("an answer cannot be read")?;
            let call = if packet.is_live {
                Node::model_call(packet.from)
            } else {
                CallId(0)
            };
            self.driver.answer(NOW, call, Ok(response))
        };
        done.map_err(|error| error.to_string())
    }

    fn disown(mut self, asker: NodeId, awaited: &BTreeSet<NodeId>) -> Result<Stepped, String> {
        let mut tokens = Tokens {
            disowned: Some(asker),
            ..Tokens::default()
        };
        self.driver.model_normalise(&mut tokens);
        let gone = |token: Token| {
            let asked = Asked::of(token);
            asked.by == asker && !asked.is_live
        };
        let expire = |node: &mut Node| node.model_expire_fetches(gone);
        let done = self.driver.command(NOW, expire);
        done.map_err(|error| format!("node {} stopped: {error}", self.id()))?;
        Ok(self.finish(awaited, Some(asker)))
    }

    fn restart(
        self,
        kept: usize,
        wiped: bool,
        awaited: &BTreeSet<NodeId>,
    ) -> Result<Stepped, String> {
        let mut config = self.node().config().clone();
        let (mut log, mut state) = self.driver.into_stores();
        log.crash(kept);
        if wiped {
            log = ModelLog::formatted(log.bootstrap().unwrap_or_default());
            state = ModelState::default();
            let lost = 1;
            config.directory_id = directory(config.id.unwrap_or(0), lost);
        }
        let mut stepped = Local::start(config, log, state)?;
        stepped.ended = awaited.clone();
        Ok(stepped)
    }

    /// Takes what the node wants to be done, and makes its state comparable.
    fn finish(mut self, awaited: &BTreeSet<NodeId>, disowned: Option<NodeId>) -> Stepped {
        let id = self.id();
        let mut sends = Vec::new();
        let mut stepped = Stepped {
            after: self.clone(),
            sent: Vec::new(),
            stale_answers: 0,
            ended: BTreeSet::new(),
            votes: Vec::new(),
            refused: (0, 0),
            accusations: Vec::new(),
            shut_down: None,
        };
        while let Some(effect) = self.driver.poll_effect() {
            match effect {
                Effect::Send { call, to, request } => sends.push((call, to.id, request)),
                Effect::Reply {
                    token,
                    response,
                    records,
                } => {
                    let Ok(response) = LogRange::complete(response, records);
                    stepped.replied(id, token, &response);
                }
                Effect::Notify(Event::PeerMisbehaved { peer, what }) => {
                    let text = format!("node {id} accuses node {peer:?}: it {what}");
                    stepped.accusations.push(text);
                }
                Effect::Notify(Event::ShutdownComplete { in_time }) => {
                    stepped.shut_down = Some(in_time);
                }
                _ => {}
            }
        }
        for (call, to, request) in sends {
            let is_live = self.node().model_awaits(to) == Some(call);
            let packet = Packet::request(id, to, is_live, &request);
            if packet.asks_for_vote()
                && let Some(epoch) = packet.epoch()
            {
                stepped.votes.push((epoch, id));
            }
            stepped.sent.push(packet);
        }
        let over =
            |peer: &&NodeId| self.node().model_awaits(**peer) != Some(Node::model_call(**peer));
        stepped.ended = awaited.iter().filter(over).copied().collect();
        let mut tokens = Tokens {
            disowned,
            ..Tokens::default()
        };
        self.driver.model_normalise(&mut tokens);
        stepped.after = self;
        stepped
    }

    /// What is wrong with a node that is left alone: nothing may happen without a reason.
    #[must_use]
    pub fn restlessness(&self) -> Option<String> {
        let mut again = self.clone();
        let pump = |node: &mut Node| node.handle_timeout(NOW);
        again.driver.command(NOW, pump).ok()?;
        let stepped = again.finish(&BTreeSet::new(), None);
        let calm = stepped.sent.is_empty() && stepped.after == *self;
        (!calm).then(|| format!("node {} acts though nothing happened", self.id()))
    }
}

/// Whether the node thinks that something was saved which was not.
fn saves_differ(local: &mut Local) -> bool {
    let node = local.driver.node().clone();
    let saved = local.driver.model_stores().1.load().ok().flatten();
    let saved = saved.unwrap_or_default();
    (saved.epoch, saved.voted) != (node.epoch(), node.voted())
}

impl Stepped {
    /// The node stopped, with its disk in order. Nobody waits for what it asked any more.
    fn start_again(self, awaited: &BTreeSet<NodeId>) -> Result<Stepped, String> {
        let started = self.after.restart(usize::MAX, false, awaited)?;
        let mut sent = self.sent;
        for packet in sent.iter_mut().filter(|packet| packet.is_request) {
            packet.is_live = false;
        }
        sent.extend(started.sent);
        let mut votes = self.votes;
        votes.extend(started.votes);
        Ok(Stepped {
            after: started.after,
            sent,
            votes,
            ended: started.ended,
            stale_answers: self.stale_answers,
            refused: self.refused,
            accusations: self.accusations,
            shut_down: self.shut_down,
        })
    }

    fn replied(&mut self, id: NodeId, token: Token, response: &Response) {
        let asked = Asked::of(token);
        if let Response::Vote(vote) = response
            && let Some(answer) = vote.topics.first().and_then(|t| t.partitions.first())
        {
            if answer.vote_granted && asked.is_vote {
                self.votes.push((answer.leader_epoch, asked.by));
            }
            let refused = !answer.vote_granted && answer.error_code == 0;
            self.refused.0 += usize::from(refused && asked.is_vote);
            self.refused.1 += usize::from(refused && asked.is_pre_vote);
        }
        if asked.is_live {
            self.sent
                .push(Packet::answer(id, asked.by, asked.is_vote, response));
        } else {
            self.stale_answers += 1;
        }
    }
}

fn add_request(voter: NodeId, cluster_id: &str) -> Request {
    use kwire_protocol::messages::{AddRaftVoterRequest, add_raft_voter_request::Listener};
    let listeners = endpoints(voter);
    let listener = |(name, address): (&str, &Address)| Listener {
        name: name.to_owned().into(),
        host: address.host.clone().into(),
        port: address.port,
        ..Default::default()
    };
    Request::AddRaftVoter(AddRaftVoterRequest {
        cluster_id: Some(cluster_id.to_owned().into()),
        voter_id: voter,
        voter_directory_id: directory(voter, 0),
        listeners: listeners.iter().map(listener).collect(),
        ack_when_committed: true,
        ..Default::default()
    })
}

fn remove_request(voter: ReplicaKey, cluster_id: &str) -> Request {
    Request::RemoveRaftVoter(kwire_protocol::messages::RemoveRaftVoterRequest {
        cluster_id: Some(cluster_id.to_owned().into()),
        voter_id: voter.id,
        voter_directory_id: voter.wire_directory_id(),
        ..Default::default()
    })
}
