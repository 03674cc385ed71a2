//! The only places where epoch, leader, vote or role change, and how that is saved.

use super::candidate::Election;
use super::follower::Follower;
use super::leader::Leader;
use super::output::{CallId, Destination, DiskOp, Event, IoId, Output, Token};
use super::resigned::Resigned;
use super::{Node, Role};
use crate::message::{Request, Response};
use crate::mutation::{Mutation, is_off};
use crate::random;
use crate::types::{Epoch, Instant, NodeId, QuorumState, ReplicaKey};
use crate::voters::Endpoints;

impl Node {
    /// Chooses the state to start in from what was saved, and saves that.
    pub(super) fn start(&mut self, stored: QuorumState) {
        let own = self.config.id;
        let log_epoch = self.log.last_epoch();
        if stored.epoch < log_epoch && !is_off(Mutation::LogEpochIgnoredAtStart) {
            // The election state is older than the log: it was lost. So may be a vote of the log's
            // epoch, but whoever led that epoch was elected before.
            self.enter_epoch(log_epoch);
            self.become_unattached(None);
        } else if stored.leader.is_some() && stored.leader == own {
            self.voted = None;
            if is_off(Mutation::LeaderAgainAfterRestart) {
                self.become_leader(Vec::new());
            } else {
                self.resign_role(Vec::new());
            }
        } else if stored.leader.is_none()
            && stored.voted.is_some_and(|voted| self.is_own_key(voted))
        {
            self.voted = self.config.key();
            let votes = Election::new(self.election_deadline(), self.config.key());
            self.role = Role::Candidate(votes);
        } else if let Some(leader) = stored.leader {
            match self.voter_endpoints(leader) {
                Some(endpoints) => self.become_follower(leader, endpoints),
                None => self.become_unattached(Some(leader)),
            }
        } else {
            self.become_unattached(None);
        }
        self.shorten_first_wait();
        self.save();
        let alone = self
            .config
            .key()
            .is_some_and(|key| self.voters().is_only(key));
        if alone && !matches!(self.role, Role::Candidate(_) | Role::Leader(_)) {
            self.become_prospective();
        }
    }

    /// Whether a key is this node's, whose directory may not be known.
    pub(super) fn is_own_key(&self, key: ReplicaKey) -> bool {
        let own_directory = Some(self.config.directory_id);
        Some(key.id) == self.config.id
            && (key.directory_id.is_none() || key.directory_id == own_directory)
    }

    /// Moves to an epoch, in which nobody leads and no vote is given yet.
    pub(super) fn enter_epoch(&mut self, epoch: Epoch) {
        assert!(
            epoch >= self.epoch,
            "the epoch goes from {} to {epoch}",
            self.epoch
        );
        if epoch > self.epoch {
            self.epoch = epoch;
            self.voted = None;
            self.leader = None;
            self.leader_endpoints = Endpoints::EMPTY;
        }
    }

    /// Waits for a leader. Call [`enter_epoch`](Self::enter_epoch) before, if there is a new one.
    pub(super) fn become_unattached(&mut self, leader: Option<NodeId>) {
        let election_at = self.remaining_election_timer();
        let led = self.leave_role();
        self.leader = leader;
        self.leader_endpoints = Endpoints::EMPTY;
        self.role = Role::Unattached { election_at };
        self.save();
        self.answer_waiting(led);
    }

    /// Waits for a leader of this epoch, its timer drawn anew.
    pub(super) fn wait_anew(&mut self) {
        self.leave_former_role();
        let leader = self.leader.filter(|leader| Some(*leader) != self.config.id);
        self.role = Role::Unattached {
            election_at: Instant::NEVER,
        };
        self.become_unattached(leader);
    }

    /// Half the jitter of an election timer is enough for a node that starts: others do not start
    /// at the very same moment, and pre-votes that meet cost nobody an epoch. A quorum that starts
    /// as a whole has a leader within one and a half election timeouts.
    fn shorten_first_wait(&mut self) {
        let least = self.now.plus(self.config.election_timeout_ms);
        if let Role::Unattached { election_at } = &mut self.role
            && *election_at != Instant::NEVER
        {
            *election_at = least.plus(election_at.since(least) / 2);
        }
    }

    /// Asks the others whether they would vote for this node. The epoch stays.
    pub(super) fn become_prospective(&mut self) {
        self.leave_former_role();
        let election = Election::new(self.election_deadline(), self.config.key());
        self.role = Role::Prospective(election);
    }

    /// Stands for election in the next epoch. There is none after the greatest, which only a node
    /// that lies can bring about: then nobody is ever elected again.
    pub(super) fn become_candidate(&mut self) {
        let Some(next) = self.epoch.checked_add(1) else {
            return self.wait_anew();
        };
        self.leave_former_role();
        self.enter_epoch(next);
        let own = self.config.key();
        self.voted = own;
        let election = Election::new(self.election_deadline(), own);
        self.role = Role::Candidate(election);
        if !is_off(Mutation::EpochNotSaved) {
            self.save();
        }
    }

    /// Leads the epoch that it was elected in.
    pub(super) fn become_leader(&mut self, granting: Vec<NodeId>) {
        self.leave_former_role();
        self.voted = None;
        self.leader = self.config.id;
        self.leader_endpoints = self.config.endpoints.clone();
        let mut leader = Leader::new(self.now, &self.config, self.log.end(), self.voters());
        leader.known_before = self.high_watermark.take();
        self.role = Role::Leader(Box::new(leader));
        self.save();
        self.start_leading(granting);
    }

    /// Follows a leader of the present epoch.
    pub(super) fn become_follower(&mut self, leader: NodeId, endpoints: Endpoints) {
        let has_fetched = match &self.role {
            Role::Follower(follower) if self.leader == Some(leader) => follower.has_fetched,
            _ => false,
        };
        let led = self.leave_role();
        if is_off(Mutation::VoteForgottenWithLeader) {
            self.voted = None;
        }
        self.leader = Some(leader);
        self.leader_endpoints = endpoints;
        let mut follower = Follower::new(self.now, &self.config);
        follower.has_fetched = has_fetched;
        self.role = Role::Follower(follower);
        self.save();
        self.answer_waiting(led);
    }

    /// Leads no longer, and not again in this epoch; the successors are named best first. The file
    /// keeps saying that this node leads, so that a restart ends here again.
    pub(super) fn resign_role(&mut self, successors: Vec<ReplicaKey>) {
        let led = self.leave_role();
        self.leader = self.config.id;
        self.leader_endpoints = self.config.endpoints.clone();
        let ends_at = self.election_deadline();
        self.role = Role::Resigned(Resigned::new(ends_at, successors));
        self.answer_waiting(led);
    }

    /// Ends what belongs to the present role: answers to what was asked in it do not count any
    /// more. Who waits for the leader that this node was is to hear of it once the next state is
    /// saved.
    #[must_use]
    fn leave_role(&mut self) -> Leader {
        if !is_off(Mutation::StaleFetchesCount) && !is_off(Mutation::StaleVotesCount) {
            self.calls.reset();
        }
        match &mut self.role {
            Role::Leader(leader) => {
                self.high_watermark = self.high_watermark.or(leader.known_before);
                return std::mem::take(&mut **leader);
            }
            Role::Follower(follower) if follower.download.is_some() => {
                self.disk_op(DiskOp::DropUnfinishedSnapshots);
            }
            _ => {}
        }
        Leader::default()
    }

    /// Leaves a role in which nobody waits for this node.
    fn leave_former_role(&mut self) {
        let led = self.leave_role();
        debug_assert!(led.parked.is_empty() && led.change.is_none());
    }

    /// The timer that goes on when a higher epoch turns up, so that a stream of new epochs does
    /// not keep this node from standing.
    fn remaining_election_timer(&mut self) -> Instant {
        if !self.is_voter() && !is_off(Mutation::ObserversStand) {
            return Instant::NEVER;
        }
        let running = match &self.role {
            Role::Unattached { election_at } => Some(*election_at),
            Role::Candidate(election) => Some(election.ends_at),
            Role::Prospective(election) if !election.is_lost(self.voters()) => {
                Some(election.ends_at)
            }
            Role::Resigned(resigned) => Some(resigned.ends_at),
            _ => None,
        };
        match running {
            Some(at) if at != Instant::NEVER => at,
            _ => self.election_deadline(),
        }
    }

    /// Election timeout and jitter from now. The jitter depends on the node, the epoch and how
    /// often it was drawn, and on nothing else, so that nodes with equal states act alike.
    pub(super) fn election_deadline(&mut self) -> Instant {
        let timeout = self.config.election_timeout_ms;
        let jitter = if is_off(Mutation::NoElectionBackoff) {
            0
        } else {
            self.draw() % timeout
        };
        self.now.plus(timeout + jitter)
    }

    /// A number that depends on the seed, the node, its epoch and how many were drawn.
    pub(super) fn draw(&mut self) -> u64 {
        self.draws += 1;
        let id = u64::from(self.config.id.unwrap_or(-1).unsigned_abs());
        let epoch = u64::from(self.epoch.unsigned_abs());
        random::mix(self.config.seed ^ (id << 48) ^ (epoch << 20) ^ self.draws)
    }

    /// Saves the election state, if it is not what was saved last.
    pub(super) fn save(&mut self) {
        let state = QuorumState {
            epoch: self.epoch,
            leader: self.leader,
            voted: self.voted,
        };
        if state == self.saved {
            return;
        }
        self.saved = state;
        let op = DiskOp::SaveQuorumState {
            state,
            kraft_version: self.kraft_version(),
            voters: self.voters().ids().collect(),
        };
        let id = self.disk_op(op);
        self.disk.saving(id);
    }

    /// Where a voter listens.
    pub(super) fn voter_endpoints(&self, id: NodeId) -> Option<Endpoints> {
        let endpoints = &self.voters().get(id)?.endpoints;
        endpoints.get(&self.config.listener)?;
        Some(endpoints.clone())
    }

    // Emitting outputs.

    pub(super) fn disk_op(&mut self, op: DiskOp) -> IoId {
        let id = self.disk.next();
        self.outputs.push_back(Output::Disk { id, op });
        id
    }

    pub(super) fn notify(&mut self, event: Event) {
        self.outputs.push_back(Output::Notify(event));
    }

    pub(super) fn misbehaved(&mut self, peer: Option<NodeId>, what: impl Into<String>) {
        let what = what.into();
        self.notify(Event::PeerMisbehaved { peer, what });
    }

    /// What has to be durable before anybody may hear of the present election state.
    pub(super) fn gate(&self) -> Option<IoId> {
        if is_off(Mutation::AnswerBeforeStateIsDurable) {
            return None;
        }
        self.disk.save_under_way()
    }

    pub(super) fn reply(&mut self, token: Token, response: impl Into<Response>) {
        let after = self.gate();
        self.outputs.push_back(Output::Reply {
            after,
            token,
            response: response.into(),
        });
    }

    pub(super) fn send(
        &mut self,
        to: Destination,
        kind: super::calls::Kind,
        after: Option<IoId>,
        request: Request,
    ) -> CallId {
        let until = self.now.plus(self.config.request_timeout_ms);
        let call = self.calls.begin(to.id, kind, until);
        let after = after.max(self.gate());
        self.outputs.push_back(Output::Send {
            after,
            call,
            to,
            request,
        });
        call
    }

    /// A voter as a destination.
    pub(super) fn voter_destination(&self, id: NodeId) -> Option<Destination> {
        let address = self.voters().address(id, &self.config.listener)?.clone();
        Some(Destination { id, address })
    }
}
