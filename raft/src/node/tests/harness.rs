//! A node alone, spoken to as its peers would.

use kwire_protocol::messages::{VoteRequest, VoteResponse, vote_request, vote_response};

use crate::config::Config;
use crate::message::{Request, Response};
use crate::node::{CallId, DiskOp, Event, Incoming, IoId, Node, Output, Token};
use crate::types::{Epoch, Instant, NodeId, Recovered, ReplicaKey, Uuid};
use crate::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};

/// The listener of all nodes in tests.
pub(super) const LISTENER: &str = "CONTROLLER";

pub(super) fn directory(id: NodeId) -> Uuid {
    Uuid::from_parts(0xd1, u64::from(id.unsigned_abs()) + 1)
}

pub(super) fn key(id: NodeId) -> ReplicaKey {
    ReplicaKey::new(id, directory(id))
}

pub(super) fn endpoints(id: NodeId) -> Endpoints {
    let port = 9_000 + u16::try_from(id).expect("a small id");
    Endpoints::one(LISTENER, Address::new("localhost", port))
}

/// A voter of the log, with its directory.
pub(super) fn voter(id: NodeId) -> Voter {
    Voter {
        key: key(id),
        endpoints: endpoints(id),
        kraft_versions: KRaftVersions::SUPPORTED,
    }
}

/// Voters of the configuration: nobody knows their directories.
pub(super) fn static_voters(ids: &[NodeId]) -> VoterSet {
    let unknown = |&id: &NodeId| Voter {
        key: ReplicaKey {
            id,
            directory_id: None,
        },
        kraft_versions: KRaftVersions::default(),
        ..voter(id)
    };
    ids.iter().map(unknown).collect()
}

pub(super) fn config(id: NodeId, voters: &[NodeId]) -> Config {
    Config {
        cluster_id: "cluster".to_owned(),
        static_voters: static_voters(voters),
        endpoints: endpoints(id),
        seed: 7,
        ..Config::new(Some(id), directory(id))
    }
}

/// A node, its time, and what it asked for.
pub(super) struct Harness {
    pub(super) node: Node,
    pub(super) now: Instant,
    tokens: u64,
}

impl Harness {
    /// Node 0 of the voters, with an empty disk.
    pub(super) fn new(voters: &[NodeId]) -> Harness {
        Harness::with(config(0, voters), Recovered::default())
    }

    pub(super) fn with(config: Config, recovered: Recovered) -> Harness {
        let now = Instant(1_000);
        let node = Node::new(now, config, recovered).expect("it can start");
        Harness {
            node,
            now,
            tokens: 0,
        }
    }

    /// Everything that it asks for now.
    pub(super) fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.node.poll_output()).collect()
    }

    /// Everything that it asks for, until all of it is durable.
    pub(super) fn settle(&mut self) -> Vec<Output> {
        let mut all = Vec::new();
        loop {
            let outputs = self.drain();
            let last = outputs.iter().filter_map(|output| match output {
                Output::Disk { id, .. } => Some(*id),
                _ => None,
            });
            let last: Option<IoId> = last.max();
            all.extend(outputs);
            match last {
                Some(last) => self.node.handle_disk(self.now, last),
                None => return all,
            }
        }
    }

    /// Lets time pass to its next timeout.
    pub(super) fn time_out(&mut self) -> Vec<Output> {
        self.now = self.now.max(self.node.poll_timeout());
        self.node.handle_timeout(self.now);
        self.settle()
    }

    /// A request, and everything that it leads to.
    pub(super) fn request(&mut self, version: i16, request: Request) -> (Token, Vec<Output>) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let incoming = Incoming {
            token,
            version,
            request,
        };
        self.node.handle_request(self.now, incoming);
        (token, self.settle())
    }

    /// A request that is answered at once, and its answer.
    pub(super) fn ask(&mut self, version: i16, request: Request) -> Response {
        let (token, outputs) = self.request(version, request);
        reply_to(token, &outputs).expect("it answers at once")
    }

    pub(super) fn answer(&mut self, call: CallId, response: impl Into<Response>) -> Vec<Output> {
        self.node.handle_answer(self.now, call, Ok(response.into()));
        self.settle()
    }

    /// Leads, with the votes of everybody.
    pub(super) fn elect(&mut self) {
        for _ in 0..8 {
            let outputs = self.time_out();
            let mut calls = calls(&outputs);
            while let Some((call, to, request)) = calls.pop() {
                if let Request::Vote(_) = request {
                    let response = vote_response(self.node.epoch(), None, true);
                    let _ = to;
                    calls.extend(super::harness::calls(&self.answer(call, response)));
                }
            }
            if self.node.epoch_start().is_some() {
                return;
            }
        }
        panic!("it does not get elected: {:?}", self.node.role());
    }
}

/// The requests among the outputs.
pub(super) fn calls(outputs: &[Output]) -> Vec<(CallId, NodeId, Request)> {
    let call = |output: &Output| match output {
        Output::Send {
            call, to, request, ..
        } => Some((*call, to.id, request.clone())),
        _ => None,
    };
    outputs.iter().filter_map(call).collect()
}

/// The answer to a request among the outputs; of a Fetch, without records.
pub(super) fn reply_to(wanted: Token, outputs: &[Output]) -> Option<Response> {
    outputs.iter().find_map(|output| match output {
        Output::Reply {
            token, response, ..
        } if *token == wanted => Some(response.clone()),
        Output::ReplyWithLog {
            token, response, ..
        } if *token == wanted => Some(response.clone().into()),
        Output::ReplyWithSnapshot {
            token, response, ..
        } if *token == wanted => Some(response.clone().into()),
        _ => None,
    })
}

/// The disk operations among the outputs.
pub(super) fn disk_ops(outputs: &[Output]) -> Vec<DiskOp> {
    let op = |output: &Output| match output {
        Output::Disk { op, .. } => Some(op.clone()),
        _ => None,
    };
    outputs.iter().filter_map(op).collect()
}

/// The news among the outputs.
pub(super) fn events(outputs: &[Output]) -> Vec<Event> {
    let event = |output: &Output| match output {
        Output::Notify(event) => Some(event.clone()),
        _ => None,
    };
    outputs.iter().filter_map(event).collect()
}

/// A vote request of a candidate whose log is empty.
pub(super) fn vote_request(from: NodeId, epoch: Epoch, pre_vote: bool) -> VoteRequest<'static> {
    VoteRequest {
        cluster_id: Some("cluster".into()),
        voter_id: -1,
        topics: vec![vote_request::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![vote_request::PartitionData {
                replica_epoch: epoch,
                replica_id: from,
                replica_directory_id: directory(from),
                pre_vote,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn vote_response(
    epoch: Epoch,
    leader: Option<NodeId>,
    vote_granted: bool,
) -> VoteResponse<'static> {
    VoteResponse {
        topics: vec![vote_response::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![vote_response::PartitionData {
                leader_id: leader.unwrap_or(-1),
                leader_epoch: epoch,
                vote_granted,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}
