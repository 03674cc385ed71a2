//! Leading: what each replica has, the high watermark, and whether a majority still follows.

use std::collections::{BTreeMap, BTreeSet};

use kwire_protocol::messages::{BeginQuorumEpochRequest, begin_quorum_epoch_request};

use super::accumulator::Accumulator;
use super::calls::Kind;
use super::changes::Change;
use super::output::Event;
use super::responses::wire_endpoints;
use super::serving::Parked;
use super::{Node, Role};
use crate::config::Config;
use crate::control::Control;
use crate::message::Request;
use crate::mutation::{Mutation, is_off};
use crate::types::{Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey};
use crate::voters::{Voter, VoterSet};

/// Replicas whose progress is kept at most: whoever can connect can call itself an observer.
const MAX_REPLICAS: usize = 1_000;

/// Observers that did not fetch for so long are forgotten.
const OBSERVER_SESSION_MS: u64 = 300_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    /// The offset of this leader's first record. The high watermark has to pass it before
    /// anything counts as committed.
    pub(super) epoch_start: Offset,
    /// The high watermark that the node knew before it led. Nobody hears of it now, but it is still
    /// committed when another one leads.
    pub(super) known_before: Option<Offset>,
    /// What each replica but this one has. Voters stand under their key in the voter set.
    pub(super) replicas: BTreeMap<ReplicaKey, Replica>,
    /// When voters that do not fetch are told again who leads.
    pub(super) begin_at: Instant,
    /// When this leader resigns, unless a majority fetches before.
    pub(super) quorum_until: Instant,
    /// Voters that fetched since that was last put off.
    fetched: BTreeSet<NodeId>,
    /// Fetches that wait for records.
    pub(super) parked: Vec<Parked>,
    pub(super) change: Option<Change>,
    /// What voters said of themselves under kraft.version 0, for an upgrade.
    pub(super) reported: BTreeMap<NodeId, Voter>,
    pub(super) accumulator: Accumulator,
    /// Appends that are not durable yet: the log end offset after each, and its bytes.
    unflushed: BTreeMap<Offset, usize>,
}

/// What the leader knows of another replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    /// Before this it has everything, durably, as it said last.
    pub(super) end: Option<Offset>,
    pub(super) fetched_at: Option<Instant>,
    /// The leader's log end offset at that time.
    leader_end: Offset,
    pub(super) caught_up_at: Option<Instant>,
    /// The snapshot that it is fetching, and when it asked for a part of it last. That is no
    /// progress in the log, and no time at which it can have caught up.
    pub(super) snapshot: Option<(OffsetAndEpoch, Instant)>,
}

impl Replica {
    /// When it asked for anything last.
    fn heard_at(&self) -> Option<Instant> {
        self.fetched_at.max(self.snapshot.map(|(_, at)| at))
    }
}

impl Leader {
    pub(super) fn new(now: Instant, config: &Config, log_end: Offset, voters: &VoterSet) -> Leader {
        let others = voters.iter().map(|voter| voter.key);
        Leader {
            epoch_start: log_end,
            replicas: others.map(|key| (key, Replica::default())).collect(),
            begin_at: now,
            quorum_until: now.plus(check_quorum_ms(config)),
            ..Default::default()
        }
    }

    /// A replica's progress; `None` if there are too many already to begin with another.
    pub(super) fn replica(&mut self, key: ReplicaKey) -> Option<&mut Replica> {
        if self.replicas.len() >= MAX_REPLICAS && !self.replicas.contains_key(&key) {
            return None;
        }
        Some(self.replicas.entry(key).or_default())
    }

    pub(super) fn appended(&mut self, end: Offset, bytes: usize) {
        self.unflushed.insert(end, bytes);
    }

    pub(super) fn unflushed_bytes(&self) -> usize {
        self.unflushed.values().sum()
    }

    /// The voters but this one, the furthest first.
    pub(super) fn successors(&self, own: Option<NodeId>, voters: &VoterSet) -> Vec<ReplicaKey> {
        let mut others: Vec<ReplicaKey> = voters
            .iter()
            .map(|voter| voter.key)
            .filter(|key| Some(key.id) != own)
            .collect();
        let end = |key: &ReplicaKey| self.replicas.get(key).and_then(|r| r.end).unwrap_or(-1);
        others.sort_by_key(|key| (std::cmp::Reverse(end(key)), *key));
        others
    }
}

/// A leader resigns when no majority fetched for one and a half fetch timeouts.
fn check_quorum_ms(config: &Config) -> u64 {
    config.fetch_timeout_ms + config.fetch_timeout_ms / 2
}

/// The offset that more than half of the voters have, given what each has.
pub(super) fn median(mut ends: Vec<Offset>) -> Option<Offset> {
    ends.sort_unstable_by(|a, b| b.cmp(a));
    let at = if is_off(Mutation::FastestVoterCommits) {
        0
    } else {
        ends.len() / 2
    };
    ends.get(at).copied()
}

impl Node {
    /// The first records of the epoch, and the voters if the log has them from its checkpoint only
    /// or this leader listens elsewhere by now.
    pub(super) fn start_leading(&mut self, granting: Vec<NodeId>) {
        let mut controls = Vec::new();
        if self.kraft_version() >= 1 {
            let own = self.own_voter();
            let known = own.as_ref().and_then(|own| self.voters().get(own.key.id));
            let moved = self.is_voter()
                && matches!((&own, known), (Some(own), Some(known)) if own != known);
            if moved || self.voters_offset() == Some(-1) {
                let mut voters = self.voters().clone();
                if let (Some(own), true) = (own, moved) {
                    voters = voters.with(own);
                }
                controls.push(Control::KRaftVersion(self.kraft_version()));
                controls.push(Control::Voters(voters));
            }
        }
        self.append_leader_change(granting, controls);
    }

    /// This node as it wants to stand in the voter set.
    pub(super) fn own_voter(&self) -> Option<Voter> {
        Some(Voter {
            key: self.config.key()?,
            endpoints: self.config.endpoints.clone(),
            kraft_versions: crate::voters::KRaftVersions::SUPPORTED,
        })
    }

    pub(super) fn pump_leader(&mut self) {
        self.drain_if_due();
        self.expire_parked();
        self.pump_change();
        // Its election may have been under way when it was told to shut down.
        if self.has_lost_its_majority() || self.shutdown.is_some() {
            self.resign_now();
            return;
        }
        self.remind_voters();
        self.forget_observers();
    }

    pub(super) fn leader_timeout(&self, leader: &Leader) -> Instant {
        let parked = leader.parked.iter().map(|parked| parked.until).min();
        let quorum = if self.others_needed() == 0 || is_off(Mutation::NoCheckQuorum) {
            Instant::NEVER
        } else {
            leader.quorum_until
        };
        let is_other = |id: NodeId| Some(id) != self.config.id;
        let begin = if self.voters().ids().any(is_other) {
            leader.begin_at
        } else {
            Instant::NEVER
        };
        let change = leader.change.as_ref().map_or(Instant::NEVER, |c| c.until);
        [
            parked.unwrap_or(Instant::NEVER),
            quorum,
            begin,
            change,
            self.linger_ends(),
        ]
        .into_iter()
        .min()
        .unwrap_or(Instant::NEVER)
    }

    /// How many other voters make a majority, with this one if it is a voter.
    fn others_needed(&self) -> usize {
        self.voters().majority() - usize::from(self.is_voter() && !self.voters().is_empty())
    }

    fn has_lost_its_majority(&self) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        !is_off(Mutation::NoCheckQuorum)
            && self.others_needed() > 0
            && leader.quorum_until <= self.now
    }

    /// A voter showed that it follows.
    pub(super) fn voter_fetched(&mut self, key: ReplicaKey) {
        let needed = self.others_needed();
        if !self.voters().contains(key) {
            return;
        }
        let until = self.now.plus(check_quorum_ms(&self.config));
        if let Role::Leader(leader) = &mut self.role {
            leader.fetched.insert(key.id);
            if leader.fetched.len() >= needed {
                leader.fetched.clear();
                leader.quorum_until = until;
            }
        }
    }

    /// The key under which a replica's progress stands: a voter's own, if it is one.
    pub(super) fn progress_key(&self, key: ReplicaKey) -> ReplicaKey {
        let voter = self.voters().get(key.id);
        match voter {
            Some(voter)
                if self.voters().contains(key) || is_off(Mutation::DirectoryNotCompared) =>
            {
                voter.key
            }
            _ => key,
        }
    }

    /// A replica fetched: it has everything before this offset, durably.
    pub(super) fn replica_fetched(&mut self, key: ReplicaKey, offset: Offset) {
        let (now, end) = (self.now, self.log.end());
        let progress = self.progress_key(key);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(replica) = leader.replica(progress) else {
            return;
        };
        if offset >= end {
            replica.caught_up_at = Some(now);
        } else if replica.fetched_at.is_some() && offset >= replica.leader_end {
            replica.caught_up_at = replica.fetched_at;
        }
        replica.end = Some(offset);
        replica.snapshot = None;
        replica.fetched_at = Some(now);
        replica.leader_end = end;
        self.voter_fetched(key);
        self.advance_high_watermark();
    }

    /// More of this node's own log is durable.
    pub(super) fn flushed_more(&mut self) {
        let flushed = self.disk.flushed();
        if let Role::Leader(leader) = &mut self.role {
            leader.unflushed = leader.unflushed.split_off(&(flushed + 1));
            self.advance_high_watermark();
        }
    }

    /// The voters are others than before: progress stands under their keys.
    pub(super) fn voters_changed(&mut self, before: &VoterSet) {
        let voters = self.membership.voters().clone();
        if voters == *before {
            return;
        }
        let until = self.now.plus(check_quorum_ms(&self.config));
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        for voter in voters.iter() {
            let key = voter.key;
            // A voter whose directory was not known is the same voter now that it is.
            let old = before.get(key.id).map(|voter| voter.key);
            let old = old.filter(|old| *old != key && old.directory_id.is_none());
            let known = old.and_then(|old| leader.replicas.remove(&old));
            leader
                .replicas
                .entry(key)
                .or_insert(known.unwrap_or_default());
        }
        leader.fetched.retain(|id| voters.get(*id).is_some());
        // Nobody had to fetch from a lone voter: whoever joins it gets its time to begin.
        leader.quorum_until = leader.quorum_until.max(until);
    }

    pub(super) fn advance_high_watermark(&mut self) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let own = self.config.key();
        let own_end = if is_off(Mutation::LeaderCountsUnflushed) {
            self.log.end()
        } else {
            self.disk.flushed()
        };
        let voters = self.committing_voters();
        let end = |voter: &Voter| {
            if own.is_some_and(|own| own.id == voter.key.id && voters.contains(own)) {
                own_end
            } else {
                leader
                    .replicas
                    .get(&voter.key)
                    .and_then(|r| r.end)
                    .unwrap_or(-1)
            }
        };
        let mut ends: Vec<Offset> = voters.iter().map(end).collect();
        if is_off(Mutation::ObserversCommit) {
            let observers = leader
                .replicas
                .iter()
                .filter(|(key, _)| voters.get(key.id).is_none());
            ends.extend(observers.filter_map(|(_, replica)| replica.end));
        }
        if is_off(Mutation::RemovedLeaderCounts) && own.is_some_and(|own| !voters.contains(own)) {
            ends.push(own_end);
        }
        let Some(committed) = median(ends) else {
            return;
        };
        let own_epoch = committed > leader.epoch_start || is_off(Mutation::CommitOldEpoch);
        let forward = self.high_watermark.is_none_or(|known| committed > known);
        let forward = forward
            || (is_off(Mutation::HighWatermarkGoesBack) && self.high_watermark != Some(committed));
        if own_epoch && forward && committed >= 0 {
            self.set_high_watermark(committed);
        }
    }

    /// How far the other voters are durable that fetched from this leader; none if it is no leader.
    /// Whoever has a choice of how much to append leaves nobody behind by it who keeps up.
    pub fn voter_ends(&self) -> impl Iterator<Item = Offset> {
        let leader = match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        };
        let keys = self.voters().iter().map(|voter| voter.key);
        keys.filter_map(move |key| leader?.replicas.get(&key)?.end)
    }

    /// The voters of the latest record, committed or not (KIP-853).
    fn committing_voters(&self) -> &VoterSet {
        if is_off(Mutation::VotersAfterCommit) {
            let committed = self.high_watermark.unwrap_or(0);
            if let (_, Some(voters)) = self.membership.before(committed) {
                return voters;
            }
        }
        self.voters()
    }

    pub(super) fn set_high_watermark(&mut self, committed: Offset) {
        self.high_watermark = Some(committed);
        self.notify(Event::Committed { upto: committed });
        if matches!(self.role, Role::Leader(_)) {
            self.answer_parked();
            self.change_committed(committed);
        }
    }

    /// Tells voters that do not fetch who leads: they may not have heard of it, or think that the
    /// leader is gone (KAFKA-16536).
    fn remind_voters(&mut self) {
        let half = self.config.fetch_timeout_ms / 2;
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.begin_at > now {
            return;
        }
        leader.begin_at = now.plus(half.max(1));
        let silent = |key: &ReplicaKey| {
            let heard_at = leader.replicas.get(key).and_then(Replica::heard_at);
            heard_at.is_none_or(|at| now.since(at) >= half)
        };
        let keys = self.membership.voters().iter().map(|voter| voter.key);
        let silent: Vec<ReplicaKey> = keys.filter(silent).collect();
        for key in silent {
            if Some(key.id) != self.config.id
                && self.calls.is_ready(key.id)
                && let Some(to) = self.voter_destination(key.id)
            {
                let request = self.begin_request(key);
                self.send(to, Kind::Begin, None, request);
            }
        }
    }

    fn begin_request(&self, voter: ReplicaKey) -> Request {
        let partition = begin_quorum_epoch_request::PartitionData {
            voter_directory_id: voter.wire_directory_id(),
            leader_id: self.wire_leader(),
            leader_epoch: self.epoch,
            ..Default::default()
        };
        Request::BeginQuorumEpoch(BeginQuorumEpochRequest {
            cluster_id: self.wire_cluster_id(),
            voter_id: voter.id,
            topics: vec![begin_quorum_epoch_request::TopicData {
                topic_name: self.wire_topic(),
                partitions: vec![partition],
                ..Default::default()
            }],
            leader_endpoints: wire_endpoints!(
                self.config.endpoints,
                begin_quorum_epoch_request::LeaderEndpoint
            ),
            ..Default::default()
        })
    }

    fn forget_observers(&mut self) {
        let (now, membership) = (self.now, &self.membership);
        let voters = membership.voters();
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        leader.replicas.retain(|key, replica| {
            let is_voter = voters.get(key.id).is_some_and(|voter| voter.key == *key);
            let recent = replica
                .heard_at()
                .is_some_and(|at| now.since(at) < OBSERVER_SESSION_MS);
            is_voter || recent
        });
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_high_watermark_is_what_a_majority_has() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![5]), Some(5));
        assert_eq!(median(vec![5, 3]), Some(3), "both of two");
        assert_eq!(median(vec![5, 3, 9]), Some(5));
        assert_eq!(median(vec![9, 7, 3, 1]), Some(3), "three of four");
        assert_eq!(median(vec![1, 9, 7, 3, 5]), Some(5));
        assert_eq!(median(vec![9, -1, -1]), Some(-1), "nothing is known of two");
    }
}
