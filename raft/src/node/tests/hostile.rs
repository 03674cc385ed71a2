//! Whatever peers say, in every state: the node goes on, and stays within its own rules.

use kwire_protocol::messages::{
    begin_quorum_epoch_request, begin_quorum_epoch_response, end_quorum_epoch_response,
    fetch_response, vote_response,
};
use kwire_protocol::{ErrorCode, Uuid};

use super::harness::*;
use super::states::*;
use crate::config::Config;
use crate::message::{Request, Response};
use crate::node::{CallError, CallId, Output, RoleName};
use crate::types::{Epoch, Instant, NodeId, Offset};

/// SplitMix64: the same numbers in every run of a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        crate::random::next(&mut self.0)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll()).unwrap_or(usize::MAX) % from.len()]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }

    fn id(&mut self) -> NodeId {
        self.pick(&[0, 1, 2, 3, 7, 9, -1, -2, i32::MIN, i32::MAX])
    }

    fn epoch(&mut self, own: Epoch) -> Epoch {
        let near = [-1, 0, 0, 0, 1].map(|by: i32| own.saturating_add(by));
        if self.one_in(40) {
            self.pick(&[i32::MIN, -1, 0, i32::MAX - 1, i32::MAX])
        } else {
            self.pick(&near)
        }
    }

    fn offset(&mut self) -> Offset {
        self.pick(&[
            -1,
            0,
            3,
            5,
            END - 1,
            END,
            END + 1,
            END + 2,
            i64::MIN,
            i64::MAX,
        ])
    }

    fn directory(&mut self) -> Uuid {
        self.pick(&[Uuid::ZERO, directory(0), directory(1), directory(2)])
    }

    fn error(&mut self) -> ErrorCode {
        self.pick(&[
            ErrorCode::NONE,
            ErrorCode::NONE,
            ErrorCode::NONE,
            ErrorCode::FENCED_LEADER_EPOCH,
            ErrorCode::UNKNOWN_LEADER_EPOCH,
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::BROKER_NOT_AVAILABLE,
            ErrorCode::INVALID_REQUEST,
            ErrorCode::INVALID_VOTER_KEY,
            ErrorCode::INCONSISTENT_CLUSTER_ID,
            ErrorCode::UNSUPPORTED_VERSION,
            ErrorCode(-1),
            ErrorCode(i16::MAX),
        ])
    }

    fn request(&mut self, own: Epoch) -> (i16, Request) {
        let (from, epoch) = (self.id(), self.epoch(own));
        match self.roll() % 4 {
            0 => {
                let pre_vote = self.one_in(2);
                let mut request = vote(from, epoch, pre_vote);
                request.voter_id = self.pick(&[-1, 0, 1]);
                let ask = &mut request.topics[0].partitions[0];
                ask.last_offset = self.offset();
                ask.last_offset_epoch = self.pick(&[-1, 0, LAST_EPOCH, EPOCH, epoch]);
                ask.voter_directory_id = self.directory();
                ask.replica_directory_id = self.directory();
                self.spoil(&mut request.topics);
                (self.pick(&[0, 1, 2]), Request::Vote(request))
            }
            1 => {
                let mut request = begin(from, epoch);
                request.voter_id = self.pick(&[-1, 0, 1]);
                let news = &mut request.topics[0].partitions[0];
                news.voter_directory_id = self.directory();
                if self.one_in(2) {
                    request.leader_endpoints = vec![begin_quorum_epoch_request::LeaderEndpoint {
                        name: self.pick(&[LISTENER, "controller", "", "OTHER"]).into(),
                        host: "".into(),
                        port: self.pick(&[0, 9_001, u16::MAX]),
                        ..Default::default()
                    }];
                }
                self.spoil(&mut request.topics);
                (self.pick(&[0, 1]), Request::BeginQuorumEpoch(request))
            }
            2 => {
                let version = self.pick(&[0, 1]);
                let count = self.roll() % 100;
                let successors: Vec<NodeId> = (0..count).map(|_| self.id()).collect();
                let mut request = end(version, from, epoch, &[]);
                if version == 0 {
                    let news = &mut request.topics[0].partitions[0];
                    news.preferred_successors = successors.into();
                } else {
                    let small: Vec<NodeId> = successors.into_iter().map(|id| id & 7).collect();
                    request = end(version, from, epoch, &small);
                }
                self.spoil(&mut request.topics);
                (version, Request::EndQuorumEpoch(request))
            }
            _ => {
                let replica = crate::types::ReplicaKey::new(from, self.directory());
                let last_epoch = self.pick(&[-1, 0, 1, LAST_EPOCH, EPOCH, epoch]);
                let wait = self.pick(&[-1, 0, 500, i32::MAX]);
                let offset = self.offset();
                (17, fetch(replica, epoch, offset, last_epoch, wait))
            }
        }
    }

    /// Now and then a message is about something else, or about nothing.
    fn spoil<T: Clone>(&mut self, topics: &mut Vec<T>) {
        match self.roll() % 30 {
            0 => topics.clear(),
            1 => topics.extend(topics.clone()),
            _ => {}
        }
    }

    fn answer(&mut self, own: Epoch, to: &Request) -> Result<Response, CallError> {
        if self.one_in(6) {
            return Err(self.pick(&[
                CallError::Disconnected,
                CallError::UnsupportedVersion,
                CallError::Malformed,
            ]));
        }
        let (leader, epoch, error) = (self.id(), self.epoch(own), self.error());
        let leader = Some(leader);
        let kind = if self.one_in(20) {
            self.roll() % 4
        } else {
            match to {
                Request::Vote(_) => 0,
                Request::BeginQuorumEpoch(_) => 1,
                Request::EndQuorumEpoch(_) => 2,
                _ => 3,
            }
        };
        let (node_id, host) = (self.id(), "host");
        let port = self.pick(&[-1, 0, 9_001, 70_000]);
        let narrow = u16::try_from(port).unwrap_or(0);
        let whole = if self.one_in(10) { self.error().0 } else { 0 };
        Ok(match kind {
            0 => {
                let mut response = vote_refused(epoch, leader, error);
                response.topics[0].partitions[0].vote_granted = self.one_in(2);
                response.error_code = whole;
                response.node_endpoints = vec![vote_response::NodeEndpoint {
                    node_id,
                    host: host.into(),
                    port: narrow,
                    ..Default::default()
                }];
                self.spoil(&mut response.topics);
                response.into()
            }
            1 => {
                let mut response = begun(epoch, leader, error);
                response.error_code = whole;
                response.node_endpoints = vec![begin_quorum_epoch_response::NodeEndpoint {
                    node_id,
                    host: host.into(),
                    port: narrow,
                    ..Default::default()
                }];
                self.spoil(&mut response.topics);
                response.into()
            }
            2 => {
                let mut response = ended(epoch, leader, error);
                response.error_code = whole;
                response.node_endpoints = vec![end_quorum_epoch_response::NodeEndpoint {
                    node_id,
                    host: host.into(),
                    port: narrow,
                    ..Default::default()
                }];
                self.spoil(&mut response.topics);
                response.into()
            }
            _ => self.fetched(epoch, leader, error, whole).into(),
        })
    }

    fn fetched(
        &mut self,
        epoch: Epoch,
        leader: Option<NodeId>,
        error: ErrorCode,
        whole: i16,
    ) -> kwire_protocol::messages::FetchResponse<'static> {
        let mut response = super::states::fetch_response(epoch, leader, error);
        let high_watermark = self.offset();
        let partition = &mut response.responses[0].partitions[0];
        partition.high_watermark = high_watermark;
        if self.one_in(4) {
            partition.diverging_epoch = fetch_response::EpochEndOffset {
                epoch: self.pick(&[-1, 0, 1, LAST_EPOCH, EPOCH, i32::MAX]),
                end_offset: self.offset(),
                ..Default::default()
            };
        }
        if self.one_in(4) {
            partition.snapshot_id = fetch_response::SnapshotId {
                epoch: self.pick(&[-1, 0, 1, LAST_EPOCH, EPOCH, i32::MAX]),
                end_offset: self.offset(),
                ..Default::default()
            };
        }
        if self.one_in(4) {
            let bytes: Vec<u8> = (0..self.roll() % 200).map(|_| self.roll() as u8).collect();
            partition.records = Some(bytes.into());
        }
        response.error_code = whole;
        self.spoil(&mut response.responses);
        response
    }
}

/// What has to hold after every input.
struct Watch {
    epoch: Epoch,
    voted: Option<NodeId>,
    led: Option<(Epoch, NodeId)>,
    high_watermark: Offset,
}

impl Watch {
    fn check(&mut self, h: &Harness) {
        let node = &h.node;
        assert!(node.epoch() >= self.epoch, "its epoch goes back");
        let voted = node.voted().map(|voted| voted.id);
        if node.epoch() == self.epoch && self.voted.is_some() && voted.is_some() {
            assert_eq!(voted, self.voted, "a second vote in one epoch");
        }
        if let (Some(leader), Some((epoch, known))) = (node.leader(), self.led)
            && epoch == node.epoch()
        {
            assert_eq!(leader, known, "a second leader in one epoch");
        }
        if node.epoch() > self.epoch {
            self.voted = None;
        }
        self.epoch = node.epoch();
        self.voted = self.voted.or(voted);
        self.led = node
            .leader()
            .map(|leader| (self.epoch, leader))
            .or(self.led);
        if let Some(high_watermark) = node.high_watermark() {
            assert!(high_watermark >= self.high_watermark, "it uncommits");
            assert!(high_watermark <= node.log_end().offset);
            self.high_watermark = high_watermark;
        }
        assert_eq!(node.saved.epoch, node.epoch(), "its epoch is saved");
        assert!(node.poll_timeout() > Instant(0));
    }
}

fn play(state: State, seed: u64) {
    let mut dice = Dice(seed);
    let (mut h, mut open) = state.reach_asking(&[0, 1, 2]);
    let mut watch = Watch {
        epoch: EPOCH,
        voted: h.node.voted().map(|voted| voted.id),
        led: h.node.leader().map(|leader| (EPOCH, leader)),
        high_watermark: 0,
    };
    if dice.one_in(8) {
        h.node.shut_down(h.now, 1_000);
        h.settle();
    }
    for _ in 0..60 {
        let own = h.node.epoch();
        let outputs = match dice.roll() % 5 {
            0 | 1 => {
                let (version, request) = dice.request(own);
                let (token, outputs) = h.request(version, request);
                let response = reply_to(token, &outputs);
                if let Some(response) = response {
                    response
                        .encode(version, &mut Vec::new())
                        .expect("it can be said");
                }
                outputs
            }
            2 | 3 if !open.is_empty() => {
                let at = usize::try_from(dice.roll()).unwrap_or(0) % open.len();
                let (call, _, request) = open.swap_remove(at);
                let answer = dice.answer(own, &request);
                h.node.handle_answer(h.now, call, answer);
                h.settle()
            }
            2 | 3 => h.answer(CallId(dice.roll()), begun(own, None, ErrorCode::NONE)),
            _ => {
                h.now = h.now.plus(dice.roll() % 700);
                h.node.handle_timeout(h.now);
                h.settle()
            }
        };
        open.extend(calls(&outputs));
        watch.check(&h);
    }
}

#[test]
fn nothing_that_peers_say_breaks_a_node() {
    for state in State::ALL {
        for seed in 0..300 {
            play(state, seed);
        }
    }
}

/// The last epoch that there is: no election leads out of it, and no sum overflows.
#[test]
fn the_greatest_epoch_ends_elections_and_nothing_else() {
    for state in State::ALL {
        let mut h = state.reach();
        h.request(2, vote(1, i32::MAX, false).into());
        assert_eq!(h.node.epoch(), i32::MAX, "{state:?}");
        for _ in 0..200 {
            let before = h.now;
            let outputs = h.time_out();
            if h.node.poll_timeout() == Instant::NEVER {
                break;
            }
            assert!(h.node.poll_timeout() > before, "{state:?}");
            for (call, _, request) in calls(&outputs) {
                if let Request::Vote(_) = request {
                    h.answer(call, super::harness::vote_response(i32::MAX, None, true));
                }
            }
        }
        assert_eq!(h.node.epoch(), i32::MAX, "{state:?}");
        assert_ne!(h.node.role(), RoleName::Leader);
    }
    // Who led or stood in it before it started.
    for (leader, voted) in [(Some(0), None), (None, Some(key(0)))] {
        for voters in [&[0, 1, 2][..], &[0]] {
            let configs: Config = config(0, voters);
            let mut h = Harness::with(configs, stored(i32::MAX, leader, voted));
            let outputs: Vec<Output> = h.settle();
            assert!(!outputs.is_empty());
            for _ in 0..20 {
                h.time_out();
            }
            assert_eq!(h.node.epoch(), i32::MAX);
        }
    }
}
