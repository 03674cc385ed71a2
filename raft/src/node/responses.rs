//! What all requests and all responses have in common.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::ApiVersionsResponse;
use kwire_protocol::runtime::Str;

use super::calls::Kind;
use super::output::{CallId, Token};
use super::{CallError, Node, Role};
use crate::message::Response;
use crate::mutation::{Mutation, is_off};
use crate::types::{Epoch, NodeId, Uuid};
use crate::voters::{Address, Endpoints, KRaftVersions};

/// The endpoint of the leader as a response of some API lists it, if the version can and both are
/// known.
macro_rules! leader_endpoints {
    ($node:expr, $version:expr, $module:ident) => {
        match $node.leader_address() {
            Some((node_id, address)) if $version >= 1 => vec![$module::NodeEndpoint {
                node_id,
                host: address.host.into(),
                port: address.port,
                ..Default::default()
            }],
            _ => Vec::new(),
        }
    };
}
pub(super) use leader_endpoints;

/// Endpoints as a message has them: in structs of a name, a host and a port.
macro_rules! wire_endpoints {
    ($endpoints:expr, $($struct:ident)::+) => {
        $endpoints
            .iter()
            .map(|(name, address)| $($struct)::+ {
                name: name.to_owned().into(),
                host: address.host.clone().into(),
                port: address.port,
                ..Default::default()
            })
            .collect()
    };
}
pub(super) use wire_endpoints;

/// The endpoints in a list of a message.
pub(super) fn endpoints_of<'e, E, S: AsRef<str> + 'e>(
    endpoints: &'e [E],
    parts: impl Fn(&'e E) -> (&'e S, &'e S, u16),
) -> Endpoints {
    endpoints
        .iter()
        .map(parts)
        .map(|(name, host, port)| (name.as_ref(), Address::new(host.as_ref(), port)))
        .collect()
}

/// What every response says: an error, and who leads which epoch as far as the sender knows.
pub(super) struct Head {
    pub(super) error: ErrorCode,
    /// Below 0 if there is none.
    pub(super) leader: NodeId,
    pub(super) epoch: Epoch,
    /// Where that leader listens; empty if the response does not say.
    pub(super) endpoints: Endpoints,
}

impl Node {
    pub(super) fn check_cluster_id(&self, named: Option<&str>) -> Result<(), ErrorCode> {
        match named {
            Some(named) if named != self.config.cluster_id => {
                Err(ErrorCode::INCONSISTENT_CLUSTER_ID)
            }
            _ => Ok(()),
        }
    }

    /// The only partition that there is, if a request is about that and nothing else: `parts` are
    /// the name and the partitions of its topics, `index` is that of a partition.
    pub(super) fn only_partition<'r, T, P>(
        &self,
        cluster_id: Option<&str>,
        topics: &'r [T],
        parts: impl Fn(&'r T) -> (&'r str, &'r [P]),
        index: impl Fn(&P) -> i32,
    ) -> Result<&'r P, ErrorCode> {
        self.check_cluster_id(cluster_id)?;
        let [topic] = topics else {
            return Err(ErrorCode::INVALID_REQUEST);
        };
        match parts(topic) {
            (name, [partition]) if name == self.config.topic.name && index(partition) == 0 => {
                Ok(partition)
            }
            _ => Err(ErrorCode::INVALID_REQUEST),
        }
    }

    /// Whether a request that names its receiver means this node and this directory (KIP-853).
    /// Id -1 names nobody.
    pub(super) fn is_for_this_voter(&self, id: NodeId, directory_id: Uuid) -> bool {
        if is_off(Mutation::VoterKeyNotChecked) {
            return true;
        }
        let is_own_directory = directory_id.is_zero() || directory_id == self.config.directory_id;
        id < 0 || (Some(id) == self.config.id && is_own_directory)
    }

    pub(super) fn wire_topic(&self) -> Str<'static> {
        self.config.topic.name.clone().into()
    }

    pub(super) fn wire_cluster_id(&self) -> Option<Str<'static>> {
        Some(self.config.cluster_id.clone().into())
    }

    pub(super) fn wire_leader(&self) -> NodeId {
        self.leader.unwrap_or(-1)
    }

    /// The leader and where it listens, if both are known.
    pub(super) fn leader_address(&self) -> Option<(NodeId, Address)> {
        let leader = self.leader?;
        let listener = &self.config.listener;
        let address = self.leader_endpoints.get(listener);
        let address = address.or_else(|| self.voters().address(leader, listener))?;
        Some((leader, address.clone()))
    }

    /// The endpoint of the leader among those in a response, on the listener of the quorum.
    pub(super) fn endpoints_in<'e, E>(
        &self,
        leader: NodeId,
        endpoints: &'e [E],
        parts: impl Fn(&'e E) -> (NodeId, &'e Str<'e>, i32),
    ) -> Endpoints {
        let found = endpoints.iter().map(parts).find(|(id, ..)| *id == leader);
        match found {
            Some((_, host, port)) => match u16::try_from(port) {
                Ok(port) => {
                    let address = Address::new(host.as_ref(), port);
                    Endpoints::one(&self.config.listener, address)
                }
                Err(_) => Endpoints::EMPTY,
            },
            None => self.voter_endpoints(leader).unwrap_or_default(),
        }
    }

    /// Sorts out an answer, or the lack of one.
    pub(super) fn answered(&mut self, call: CallId, answer: Result<Response, CallError>) {
        let Some((peer, kind)) = self.calls.answered(call) else {
            return;
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.call_failed(peer, kind, error),
        };
        self.note_gone(peer, false);
        match (kind, response) {
            (Kind::Vote | Kind::PreVote, Response::Vote(r)) => self.vote_answered(peer, kind, &r),
            (Kind::Begin, Response::BeginQuorumEpoch(r)) => self.begin_answered(peer, &r),
            (Kind::End, Response::EndQuorumEpoch(r)) => self.end_answered(peer, &r),
            (Kind::Fetch, Response::Fetch(r)) => self.fetch_answered(peer, r),
            (Kind::FetchSnapshot, Response::FetchSnapshot(r)) => self.snapshot_answered(peer, r),
            (Kind::Update, Response::UpdateRaftVoter(r)) => self.update_answered(peer, &r),
            (Kind::Join, Response::AddRaftVoter(r)) => self.join_answered(peer, r.error_code),
            (Kind::Join, Response::RemoveRaftVoter(r)) => self.join_answered(peer, r.error_code),
            (Kind::Versions, Response::ApiVersions(r)) => self.versions_answered(peer, &r),
            _ => {
                self.misbehaved(Some(peer), "answered something that it was not asked");
                self.back_off(peer);
            }
        }
    }

    fn call_failed(&mut self, peer: NodeId, kind: Kind, error: CallError) {
        self.back_off(peer);
        if error == CallError::Refused {
            self.refused_by(peer);
            self.note_gone(peer, true);
        }
        match kind {
            Kind::PreVote => self.pre_vote_failed(peer, error),
            Kind::Versions => self.versions_failed(),
            _ => {}
        }
    }

    pub(super) fn back_off(&mut self, peer: NodeId) {
        let until = self.now.plus(self.config.retry_backoff_ms);
        self.calls.back_off(peer, until);
    }

    /// The request as a whole was refused, or the response lacks its partition.
    pub(super) fn failed_answer(&mut self, peer: NodeId, error_code: i16) {
        let error = ErrorCode(error_code);
        if error != ErrorCode::BROKER_NOT_AVAILABLE {
            let what = if error == ErrorCode::NONE {
                "answered without the partition that it was asked about".to_owned()
            } else {
                let name = error.name().unwrap_or("an unknown error");
                format!("refused a request with {name} ({error_code})")
            };
            self.misbehaved(Some(peer), what);
        }
        self.back_off(peer);
    }

    /// Learns from a response who leads. Whether the body is to be looked at.
    ///
    /// Two differences from Kafka: a node that answers out of an older epoch is left alone for the
    /// retry backoff, where Kafka would ask it again at once (KAFKA-20514); and what Kafka dies of,
    /// INVALID_REQUEST, CLUSTER_AUTHORIZATION_FAILED and two leaders of one epoch, is an [`Event::PeerMisbehaved`].
    ///
    /// [`Event::PeerMisbehaved`]: super::Event::PeerMisbehaved
    pub(super) fn take_head(&mut self, peer: NodeId, head: Head) -> bool {
        if head.epoch < self.epoch || head.error == ErrorCode::UNKNOWN_LEADER_EPOCH {
            self.back_off(peer);
            return false;
        }
        let leader = (head.leader >= 0).then_some(head.leader);
        let news = head.epoch > self.epoch
            || head.error == ErrorCode::FENCED_LEADER_EPOCH
            || head.error == ErrorCode::NOT_LEADER_OR_FOLLOWER;
        if news {
            let can_be = self.learn_leader(Some(peer), head.epoch, leader, head.endpoints);
            if head.error != ErrorCode::NONE || !can_be {
                // Whom it names may not lead yet, or not any more.
                self.back_off_from_wrong_leader(peer);
            }
            return false;
        }
        if leader.is_some()
            && self.leader.is_none()
            && !self.learn_leader(Some(peer), head.epoch, leader, head.endpoints)
        {
            self.back_off(peer);
            return false;
        }
        match head.error {
            ErrorCode::NONE => true,
            // The voter has another directory now, or does not know which one it has: no news until
            // the voters change, and no reason to ask again at once.
            ErrorCode::INVALID_VOTER_KEY | ErrorCode::BROKER_NOT_AVAILABLE => {
                self.back_off(peer);
                false
            }
            error => {
                self.failed_answer(peer, error.0);
                false
            }
        }
    }

    fn back_off_from_wrong_leader(&mut self, peer: NodeId) {
        if self.calls.is_ready(peer) {
            self.back_off(peer);
        }
    }

    /// Somebody says who leads an epoch. Whether this can be.
    pub(super) fn learn_leader(
        &mut self,
        from: Option<NodeId>,
        epoch: Epoch,
        leader: Option<NodeId>,
        endpoints: Endpoints,
    ) -> bool {
        if epoch < self.epoch {
            return true;
        }
        if !self.may_lead(epoch, leader) {
            let what = format!(
                "says that {leader:?} leads epoch {epoch}, led by {:?}",
                self.leader
            );
            self.misbehaved(from, what);
            return false;
        }
        if epoch > self.epoch {
            self.enter_epoch(epoch);
            match leader {
                Some(leader) if !endpoints.is_empty() => self.become_follower(leader, endpoints),
                leader => self.become_unattached(leader),
            }
        } else if let Some(leader) = leader
            && Some(leader) != self.config.id
            && !endpoints.is_empty()
        {
            let knew_less = endpoints.len() > self.leader_endpoints.len();
            if self.leader.is_none() || knew_less {
                self.become_follower(leader, endpoints);
            }
        }
        true
    }

    /// There is one leader in an epoch, and a node knows whether it is itself.
    fn may_lead(&self, epoch: Epoch, leader: Option<NodeId>) -> bool {
        let Some(leader) = leader else {
            return true;
        };
        if epoch > self.epoch {
            return Some(leader) != self.config.id;
        }
        match self.role {
            Role::Leader(_) | Role::Resigned(_) => Some(leader) == self.config.id,
            _ => Some(leader) != self.config.id && self.leader.is_none_or(|known| known == leader),
        }
    }

    pub(super) fn serve_versions(&mut self, token: Token) {
        let response = ApiVersionsResponse {
            supported_features: vec![KRaftVersions::supported_feature()],
            ..Default::default()
        };
        self.reply(token, response);
    }
}
