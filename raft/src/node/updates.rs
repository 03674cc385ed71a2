//! UpdateRaftVoter, and voters that join by themselves (KIP-853, KIP-1186).

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{
    AddRaftVoterRequest, RemoveRaftVoterRequest, UpdateRaftVoterRequest, UpdateRaftVoterResponse,
    add_raft_voter_request, update_raft_voter_request, update_raft_voter_response,
};

use super::calls::Kind;
use super::changes::valid_key;
use super::output::{Destination, Token};
use super::responses::{Head, endpoints_of, wire_endpoints};
use super::{Node, Role};
use crate::control::{Control, NewControl};
use crate::message::Request;
use crate::types::{NodeId, ReplicaKey};
use crate::voters::{Address, Endpoints, KRaftVersions, Voter};

impl Node {
    pub(super) fn serve_update(&mut self, token: Token, request: &UpdateRaftVoterRequest<'_>) {
        let error = self.update(request).err().unwrap_or(ErrorCode::NONE);
        let mut current_leader = update_raft_voter_response::CurrentLeader {
            leader_id: self.wire_leader(),
            leader_epoch: self.epoch,
            ..Default::default()
        };
        if let Some((_, address)) = self.leader_address() {
            current_leader.host = address.host.into();
            current_leader.port = address.port.into();
        }
        let response = UpdateRaftVoterResponse {
            error_code: error.0,
            current_leader,
            ..Default::default()
        };
        self.reply(token, response);
    }

    fn update(&mut self, request: &UpdateRaftVoterRequest<'_>) -> Result<(), ErrorCode> {
        self.check_cluster_id(request.cluster_id.as_deref())?;
        self.check_leader_epoch(request.current_leader_epoch)?;
        let key = valid_key(request.voter_id, request.voter_directory_id);
        let key = key.map_err(|(error, _)| error)?;
        if Some(key.id) == self.config.id {
            // The leader knows itself best.
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let endpoints = endpoints_of(&request.listeners, |l| (&l.name, &l.host, l.port));
        if endpoints.get(&self.config.listener).is_none() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let feature = &request.kraft_version_feature;
        let (min, max) = (feature.min_supported_version, feature.max_supported_version);
        let kraft_versions = KRaftVersions { min, max };
        if min < 0 || max < min {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.check_all_committed().map_err(|(error, _)| error)?;
        if !kraft_versions.contains(self.kraft_version()) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if !self.voters().contains(key) {
            return Err(ErrorCode::VOTER_NOT_FOUND);
        }
        let voter = Voter {
            key,
            endpoints,
            kraft_versions,
        };
        self.take_update(voter);
        self.voter_fetched(key);
        Ok(())
    }

    fn take_update(&mut self, voter: Voter) {
        if self.kraft_version() == 0 {
            if let Role::Leader(leader) = &mut self.role {
                leader.reported.insert(voter.key.id, voter);
            }
        } else if self.voters().get(voter.key.id) != Some(&voter) {
            let voters = self.voters().with(voter);
            self.append_controls(&[NewControl::Control(Control::Voters(voters))]);
        }
    }

    /// Whether this follower has something to tell its leader.
    pub(super) fn wants_update(&self) -> bool {
        let Role::Follower(follower) = &self.role else {
            return false;
        };
        let Some(own) = self.own_voter() else {
            return false;
        };
        if own.endpoints.get(&self.config.listener).is_none() {
            return false;
        }
        if self.is_voter() {
            return match self.kraft_version() {
                0 => !follower.has_updated,
                _ => self.voters().get(own.key.id) != Some(&own),
            };
        }
        self.config.auto_join && self.config.can_become_voter && self.kraft_version() >= 1
    }

    /// The leader, if it works and nothing else is being asked of it.
    pub(super) fn update_destination(&self) -> Option<Destination> {
        let Role::Follower(follower) = &self.role else {
            return None;
        };
        let (id, address) = self.leader_address()?;
        (follower.has_fetched && self.calls.is_ready(id)).then_some(Destination { id, address })
    }

    /// Tells the leader, if it is time and there is something to tell.
    pub(super) fn pump_update(&mut self) -> bool {
        let Role::Follower(follower) = &self.role else {
            return false;
        };
        if follower.update_at > self.now || !self.wants_update() {
            return false;
        }
        let Some(to) = self.update_destination() else {
            return false;
        };
        let Some(own) = self.own_voter() else {
            return false;
        };
        if self.is_voter() {
            let request = self.update_request(&own);
            self.send(to, Kind::Update, None, request);
        } else {
            let request = self.join_request(&own);
            self.send(to, Kind::Join, None, request);
        }
        self.put_off_update();
        true
    }

    fn put_off_update(&mut self) {
        let at = self.now.plus(self.config.fetch_timeout_ms);
        if let Role::Follower(follower) = &mut self.role {
            follower.update_at = at;
        }
    }

    fn update_request(&self, own: &Voter) -> Request {
        Request::UpdateRaftVoter(UpdateRaftVoterRequest {
            cluster_id: self.wire_cluster_id(),
            current_leader_epoch: self.epoch,
            voter_id: own.key.id,
            voter_directory_id: own.key.wire_directory_id(),
            listeners: wire_endpoints!(own.endpoints, update_raft_voter_request::Listener),
            kraft_version_feature: update_raft_voter_request::KRaftVersionFeature {
                min_supported_version: own.kraft_versions.min,
                max_supported_version: own.kraft_versions.max,
                ..Default::default()
            },
            ..Default::default()
        })
    }

    /// Takes the place of this node with its old directory first, then its own.
    fn join_request(&self, own: &Voter) -> Request {
        let old: Option<ReplicaKey> = self.voters().get(own.key.id).map(|voter| voter.key);
        if let Some(old) = old {
            return Request::RemoveRaftVoter(RemoveRaftVoterRequest {
                cluster_id: self.wire_cluster_id(),
                voter_id: old.id,
                voter_directory_id: old.wire_directory_id(),
                ..Default::default()
            });
        }
        Request::AddRaftVoter(AddRaftVoterRequest {
            cluster_id: self.wire_cluster_id(),
            timeout_ms: i32::try_from(self.config.request_timeout_ms).unwrap_or(i32::MAX),
            voter_id: own.key.id,
            voter_directory_id: own.key.wire_directory_id(),
            listeners: wire_endpoints!(own.endpoints, add_raft_voter_request::Listener),
            ack_when_committed: false,
            ..Default::default()
        })
    }

    pub(super) fn update_answered(&mut self, peer: NodeId, response: &UpdateRaftVoterResponse<'_>) {
        let leader = &response.current_leader;
        let endpoints = match u16::try_from(leader.port) {
            Ok(port) if !leader.host.is_empty() => {
                let address = Address::new(leader.host.as_ref(), port);
                Endpoints::one(&self.config.listener, address)
            }
            _ => self.voter_endpoints(leader.leader_id).unwrap_or_default(),
        };
        let head = Head {
            error: ErrorCode::NONE,
            leader: leader.leader_id,
            epoch: leader.leader_epoch,
            endpoints,
        };
        if !self.take_head(peer, head) {
            return;
        }
        // Whatever it said, it is told again when it is time: under kraft.version 0 once only.
        if response.error_code == 0
            && let Role::Follower(follower) = &mut self.role
        {
            follower.has_updated = true;
        }
    }

    pub(super) fn join_answered(&mut self, peer: NodeId, error_code: i16) {
        let expected = [
            ErrorCode::NONE,
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::DUPLICATE_VOTER,
            ErrorCode::VOTER_NOT_FOUND,
        ];
        match ErrorCode(error_code) {
            error if expected.contains(&error) => {}
            // Leaders change; whoever is next will be asked.
            ErrorCode::NOT_LEADER_OR_FOLLOWER => self.back_off(peer),
            _ => self.failed_answer(peer, error_code),
        }
    }
}
