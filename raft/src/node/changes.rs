//! Adding and removing voters, and the upgrade to voters in the log (KIP-853, KIP-1186).

use std::fmt;

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, ApiVersionsRequest, ApiVersionsResponse,
    RemoveRaftVoterRequest, RemoveRaftVoterResponse,
};

use super::calls::Kind;
use super::output::{Destination, Token};
use super::responses::endpoints_of;
use super::{Node, Role};
use crate::control::{Control, NewControl};
use crate::message::Request;
use crate::mutation::{Mutation, is_off};
use crate::types::{Instant, NodeId, Offset, ReplicaKey, Uuid};
use crate::voters::{KRaftVersions, Voter};

/// A new voter has to have fetched within this time.
const RECENT_FETCH_MS: u64 = 3_600_000;

/// A change of the voters that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Change {
    /// `None` once it is answered.
    pub(super) token: Option<Token>,
    kind: ChangeKind,
    /// When who asked gives up.
    pub(super) until: Instant,
    /// The offset of the record, once it is appended.
    offset: Option<Offset>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ChangeKind {
    /// The new voter is being asked what it understands.
    Add {
        voter: Voter,
        ack_when_committed: bool,
    },
    Remove,
}

/// Why `kraft.version` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// This node does not lead.
    NotLeader,
    /// There is no such version, or no way there from the present one.
    Unsupported {
        /// The present version.
        from: i16,
        /// The one that was asked for.
        to: i16,
    },
    /// Nothing of this epoch is committed yet, or a change of the voters is not: try again.
    Busy,
    /// A voter has not said which directory it has, or does not understand the version.
    Voter(NodeId),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpgradeError::NotLeader => write!(f, "this node does not lead"),
            UpgradeError::Unsupported { from, to } => {
                write!(f, "kraft.version cannot go from {from} to {to}")
            }
            UpgradeError::Busy => write!(f, "a change is not committed yet: try again"),
            UpgradeError::Voter(id) => write!(
                f,
                "voter {id} has not said its directory id, or does not understand the version"
            ),
        }
    }
}

impl std::error::Error for UpgradeError {}

/// An error and what it says to people.
type Refusal = (ErrorCode, &'static str);

impl Node {
    pub(super) fn serve_add(&mut self, token: Token, request: &AddRaftVoterRequest<'_>) {
        if let Err(refusal) = self.begin_add(token, request) {
            self.reply_added(token, refusal);
        }
    }

    fn begin_add(
        &mut self,
        token: Token,
        request: &AddRaftVoterRequest<'_>,
    ) -> Result<(), Refusal> {
        self.check_change(request.cluster_id.as_deref())?;
        let key = valid_key(request.voter_id, request.voter_directory_id)?;
        let endpoints = endpoints_of(&request.listeners, |l| (&l.name, &l.host, l.port));
        let Some(address) = endpoints.get(&self.config.listener).cloned() else {
            let what = "no endpoint for the quorum's listener";
            return Err((ErrorCode::INVALID_REQUEST, what));
        };
        self.check_no_change()?;
        if self.voters().get(key.id).is_some() {
            return Err((ErrorCode::DUPLICATE_VOTER, "there is a voter with this id"));
        }
        if !self.calls.is_ready(key.id) {
            return Err((
                ErrorCode::REQUEST_TIMED_OUT,
                "the new voter cannot be asked now",
            ));
        }
        let to = Destination {
            id: key.id,
            address,
        };
        let versions = ApiVersionsRequest {
            client_software_name: "kwire".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        self.send(to, Kind::Versions, None, Request::ApiVersions(versions));
        let kind = ChangeKind::Add {
            voter: Voter {
                key,
                endpoints,
                kraft_versions: KRaftVersions::default(),
            },
            ack_when_committed: request.ack_when_committed,
        };
        self.begin_change(token, kind, None);
        Ok(())
    }

    fn begin_change(&mut self, token: Token, kind: ChangeKind, offset: Option<Offset>) {
        let until = self.now.plus(self.config.request_timeout_ms);
        if let Role::Leader(leader) = &mut self.role {
            leader.change = Some(Change {
                token: Some(token),
                kind,
                until,
                offset,
            });
        }
    }

    /// The new voter said what it understands.
    pub(super) fn versions_answered(&mut self, peer: NodeId, response: &ApiVersionsResponse<'_>) {
        let Some(voter) = self.voter_to_add().filter(|voter| voter.key.id == peer) else {
            return;
        };
        let range = response
            .supported_features
            .iter()
            .find(|feature| feature.name == KRaftVersions::FEATURE)
            .map_or(KRaftVersions::default(), |feature| KRaftVersions {
                min: feature.min_version,
                max: feature.max_version,
            });
        let outcome = if response.error_code != 0 {
            Err((
                ErrorCode::REQUEST_TIMED_OUT,
                "the new voter did not say its versions",
            ))
        } else if !range.contains(self.kraft_version()) {
            let what = "the new voter does not understand the quorum's kraft.version";
            Err((ErrorCode::INVALID_REQUEST, what))
        } else if !self.is_caught_up(voter.key) {
            Err((
                ErrorCode::REQUEST_TIMED_OUT,
                "the new voter has not caught up",
            ))
        } else {
            Ok(Voter {
                kraft_versions: range,
                ..voter
            })
        };
        match outcome {
            Ok(voter) => self.append_added(voter),
            Err(refusal) => self.end_change(refusal),
        }
    }

    fn voter_to_add(&self) -> Option<Voter> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        match leader.change.as_ref()? {
            Change {
                kind: ChangeKind::Add { voter, .. },
                offset: None,
                ..
            } => Some(voter.clone()),
            _ => None,
        }
    }

    pub(super) fn versions_failed(&mut self) {
        if self.voter_to_add().is_some() {
            self.end_change((ErrorCode::REQUEST_TIMED_OUT, "the new voter did not answer"));
        }
    }

    fn is_caught_up(&self, key: ReplicaKey) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        leader.replicas.get(&key).is_some_and(|replica| {
            let recent = |at: Instant| self.now.since(at) < RECENT_FETCH_MS;
            replica.caught_up_at.is_some() && replica.fetched_at.is_some_and(recent)
        })
    }

    fn append_added(&mut self, voter: Voter) {
        let voters = self.voters().with(voter);
        let offset = self.append_controls(&[NewControl::Control(Control::Voters(voters))]);
        let mut acknowledged = None;
        if let Role::Leader(leader) = &mut self.role
            && let Some(change) = &mut leader.change
        {
            change.offset = Some(offset);
            if let ChangeKind::Add {
                ack_when_committed: false,
                ..
            } = change.kind
            {
                acknowledged = change.token.take();
            }
        }
        if let Some(token) = acknowledged {
            self.reply_added(token, (ErrorCode::NONE, ""));
        }
    }

    pub(super) fn serve_remove(&mut self, token: Token, request: &RemoveRaftVoterRequest<'_>) {
        if let Err(refusal) = self.begin_remove(token, request) {
            self.reply_removed(token, refusal);
        }
    }

    fn begin_remove(
        &mut self,
        token: Token,
        request: &RemoveRaftVoterRequest<'_>,
    ) -> Result<(), Refusal> {
        self.check_change(request.cluster_id.as_deref())?;
        let key = valid_key(request.voter_id, request.voter_directory_id)?;
        self.check_no_change()?;
        let is_voter = self
            .voters()
            .get(key.id)
            .is_some_and(|voter| voter.key == key);
        if !is_voter {
            return Err((ErrorCode::VOTER_NOT_FOUND, "there is no such voter"));
        }
        if self.voters().len() == 1 {
            return Err((ErrorCode::VOTER_NOT_FOUND, "it is the only voter"));
        }
        let voters = self.voters().without(key.id);
        let offset = self.append_controls(&[NewControl::Control(Control::Voters(voters))]);
        self.begin_change(token, ChangeKind::Remove, Some(offset));
        Ok(())
    }

    fn check_change(&self, cluster_id: Option<&str>) -> Result<(), Refusal> {
        self.check_cluster_id(cluster_id)
            .map_err(|error| (error, "another cluster is meant"))?;
        self.check_leader_epoch(self.epoch)
            .map_err(|error| (error, "this node does not lead"))
    }

    /// Whether nothing stands in the way of another voter set: majorities of sets that differ by
    /// one voter overlap, those of sets that differ by two may not (KAFKA-20740).
    fn check_no_change(&self) -> Result<(), Refusal> {
        let committed = self.check_idle()?;
        if self.kraft_version() == 0 {
            let what = "the voters are configured: kraft.version is 0";
            return Err((ErrorCode::UNSUPPORTED_VERSION, what));
        }
        self.check_voters_committed(committed)
    }

    pub(super) fn check_all_committed(&self) -> Result<(), Refusal> {
        let committed = self.check_idle()?;
        self.check_voters_committed(committed)
    }

    /// Whether no change is under way, and the leader has committed something in its epoch. What
    /// it has committed.
    fn check_idle(&self) -> Result<Offset, Refusal> {
        let busy = |what| Err((ErrorCode::REQUEST_TIMED_OUT, what));
        let Role::Leader(leader) = &self.role else {
            return Err((ErrorCode::NOT_LEADER_OR_FOLLOWER, "this node does not lead"));
        };
        if leader.change.is_some() && !is_off(Mutation::TwoVoterChanges) {
            return busy("another change is under way");
        }
        let Some(committed) = self.high_watermark else {
            if is_off(Mutation::VoterChangeBeforeCommit) {
                return Ok(Offset::MAX);
            }
            return busy("nothing of this epoch is committed yet");
        };
        Ok(committed)
    }

    fn check_voters_committed(&self, committed: Offset) -> Result<(), Refusal> {
        let pending = self
            .voters_offset()
            .is_some_and(|offset| offset >= committed);
        if pending && !is_off(Mutation::TwoVoterChanges) {
            let what = "the last change of the voters is not committed yet";
            return Err((ErrorCode::REQUEST_TIMED_OUT, what));
        }
        Ok(())
    }

    /// What is committed reaches so far now.
    pub(super) fn change_committed(&mut self, committed: Offset) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let done = leader.change.as_ref().and_then(|change| change.offset);
        if done.is_some_and(|offset| offset < committed) {
            self.end_change((ErrorCode::NONE, ""));
        }
        let removed = self
            .voters_offset()
            .is_some_and(|offset| offset < committed);
        if removed && !self.is_voter() && !is_off(Mutation::RemovedLeaderStays) {
            self.resign_now();
        }
    }

    pub(super) fn pump_change(&mut self) {
        if let Role::Leader(leader) = &self.role
            && leader
                .change
                .as_ref()
                .is_some_and(|change| change.until <= self.now)
        {
            self.end_change((ErrorCode::REQUEST_TIMED_OUT, "not committed in time"));
        }
    }

    fn end_change(&mut self, refusal: Refusal) {
        if let Role::Leader(leader) = &mut self.role
            && let Some(change) = leader.change.take()
        {
            self.reply_change(change, refusal);
        }
    }

    pub(super) fn answer_change(&mut self, change: Change, error: ErrorCode) {
        self.reply_change(change, (error, "this node leads no longer"));
    }

    fn reply_change(&mut self, change: Change, refusal: Refusal) {
        let Some(token) = change.token else { return };
        match change.kind {
            ChangeKind::Add { .. } => self.reply_added(token, refusal),
            ChangeKind::Remove => self.reply_removed(token, refusal),
        }
    }

    fn reply_added(&mut self, token: Token, (error, what): Refusal) {
        let response = AddRaftVoterResponse {
            error_code: error.0,
            error_message: (!what.is_empty()).then(|| what.into()),
            ..Default::default()
        };
        self.reply(token, response);
    }

    fn reply_removed(&mut self, token: Token, (error, what): Refusal) {
        let response = RemoveRaftVoterResponse {
            error_code: error.0,
            error_message: (!what.is_empty()).then(|| what.into()),
            ..Default::default()
        };
        self.reply(token, response);
    }

    /// Moves the voters from the configuration into the log: `kraft.version` 0 to 1. Returns the
    /// offset of the last record; the upgrade is done once that is committed.
    ///
    /// # Errors
    /// See [`UpgradeError`].
    pub fn upgrade_kraft_version(&mut self, now: Instant, to: i16) -> Result<Offset, UpgradeError> {
        self.at(now);
        let Role::Leader(leader) = &self.role else {
            return Err(UpgradeError::NotLeader);
        };
        let from = self.kraft_version();
        if from != 0 || to != 1 {
            return Err(UpgradeError::Unsupported { from, to });
        }
        self.check_all_committed().map_err(|_| UpgradeError::Busy)?;
        let mut voters = self.voters().clone();
        let own = self.own_voter();
        for id in self.voters().ids() {
            let own = own.as_ref().filter(|own| own.key.id == id);
            let reported = own.or(leader.reported.get(&id));
            let understands = |voter: &&Voter| {
                voter.kraft_versions.contains(to) && voter.key.directory_id.is_some()
            };
            let voter = reported
                .filter(understands)
                .ok_or(UpgradeError::Voter(id))?;
            voters = voters.with(voter.clone());
        }
        let offset = self.append_controls(&[
            NewControl::Control(Control::KRaftVersion(to)),
            NewControl::Control(Control::Voters(voters)),
        ]);
        self.pump();
        Ok(offset)
    }
}

/// The key of a voter that a request is about.
pub(super) fn valid_key(id: NodeId, directory_id: Uuid) -> Result<ReplicaKey, Refusal> {
    if id < 0 || directory_id.is_zero() {
        let what = "a voter needs an id of 0 or above and a directory id";
        return Err((ErrorCode::INVALID_REQUEST, what));
    }
    Ok(ReplicaKey::new(id, directory_id))
}
