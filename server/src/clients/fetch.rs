//! Fetch: of consumers here, of raft nodes by the node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kwire_protocol::messages::fetch_response::{
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kwire_protocol::messages::{FetchRequest, FetchResponse};
use kwire_raft::driver::{LogRange, LogStore};
use kwire_raft::log::FileLog;
use kwire_raft::message::Request;
use kwire_raft::node::Node;
use kwire_raft::types::{Epoch, NodeId, Offset};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::cluster::{Broker, is_topic};
use super::{Answer, Caller, Clients, Head, check_count};
use crate::room::FREE_BYTES;
use crate::runner::{FileDriver, Gone, Status};

/// The first version that raft nodes speak.
const RAFT_SINCE: i16 = 12;
/// Versions whose errors name the leader.
const LEADERS_SINCE: i16 = 12;
/// Versions that name topics by id.
const IDS_SINCE: i16 = 13;
/// Versions that have the replica's id in a struct.
const REPLICA_STATE_SINCE: i16 = 15;
/// Versions whose errors name the leader's endpoint (KIP-951).
const ENDPOINTS_SINCE: i16 = 16;

/// The most bytes of an answer, whatever was asked for.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// What part of the room that is left an answer may have.
const ROOM_PARTS: usize = 16;
/// How often a consumer looks whether there is room.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The longest that an answer waits for records.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The bytes of a log that are still in their file.
pub(super) type Found = <FileLog as LogStore>::Range;

/// What the node says about a partition.
struct Look {
    error: ErrorCode,
    epoch: Epoch,
    leader: i32,
    high_watermark: Offset,
    log_start: Offset,
    found: Option<Found>,
}

impl Clients {
    pub(super) async fn fetch(
        &self,
        caller: Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: FetchRequest<'static> = head.decode(body)?;
        let topics = request.topics.iter();
        check_count(
            "partitions",
            topics.map(|topic| 1 + topic.partitions.len()).sum(),
        )?;
        if is_raft(head.version, &request) {
            if let Some(is_kafkas) = caller.is_kafkas {
                let id = replica(head.version, &request);
                self.shared.kafkas.note(id, is_kafkas);
            }
            return self.ask_raft_for(head, Request::Fetch(request)).await;
        }
        // No session is ever given out, so that every Fetch names all that it wants.
        if request.session_id != 0 {
            let response = FetchResponse {
                error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0,
                ..Default::default()
            };
            return head.answer(&response);
        }
        let (looks, room) = self.look_for_records(head.version, &request).await?;
        self.answer_fetch(caller, head, request, looks, room).await
    }

    /// Looks until there is enough, or something to say, or the time is up. What is found has room
    /// until it is written, lest slow readers fill the memory.
    async fn look_for_records(
        &self,
        version: i16,
        request: &FetchRequest<'static>,
    ) -> io::Result<(Vec<Vec<Look>>, Option<OwnedSemaphorePermit>)> {
        let ms = |ms: i32| u64::try_from(ms).unwrap_or(0);
        let wait = Duration::from_millis(ms(request.max_wait_ms)).min(MAX_WAIT);
        let deadline = Instant::now() + wait;
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
        let max_bytes = max_bytes.min(MAX_ANSWER_BYTES);
        let min_bytes = ms(request.min_bytes).min(max_bytes as u64);
        let mut status = self.node.status();
        loop {
            let seen = *status.borrow_and_update();
            let max_bytes = max_bytes.min(self.share_of_room());
            let min_bytes = min_bytes.min(max_bytes as u64);
            let topics = request.topics.clone();
            let mut looks = self
                .node
                .ask(move |driver| look_at_all(driver, version, &topics, max_bytes))
                .await
                .map_err(io::Error::other)?;
            let mut all = looks.iter().flatten();
            let has_error = all.clone().any(|look| look.error.is_error());
            let len: u64 = all
                .by_ref()
                .map(|look| look.found.as_ref().map_or(0, LogRange::len))
                .sum();
            let is_enough = len >= min_bytes || has_error || looks.is_empty();
            let is_late = Instant::now() >= deadline;
            if is_enough || is_late {
                if let Some(room) = self.take_room(len) {
                    return Ok((looks, room));
                }
                if is_late {
                    looks
                        .iter_mut()
                        .flatten()
                        .for_each(|look| look.found = None);
                    return Ok((looks, None));
                }
                sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)).await;
                continue;
            }
            let is_new = |status: &Status| {
                (status.high_watermark, status.leader, status.epoch)
                    != (seen.high_watermark, seen.leader, seen.epoch)
            };
            if let Ok(Err(_)) = timeout_at(deadline, status.wait_for(is_new)).await {
                return Err(io::Error::other(Gone));
            }
        }
    }

    /// The most bytes that a consumer is given now: the more are held, the fewer. So a few that do
    /// not read never hold all that there is.
    fn share_of_room(&self) -> usize {
        let share = self.room.available_permits() / ROOM_PARTS;
        share.clamp(FREE_BYTES, MAX_ANSWER_BYTES)
    }

    /// Room for so many bytes; `None` if there is none now. Short answers need none.
    fn take_room(&self, len: u64) -> Option<Option<OwnedSemaphorePermit>> {
        if len <= FREE_BYTES as u64 {
            return Some(None);
        }
        let len = u32::try_from(len).ok()?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(len);
        room.ok().map(Some)
    }

    async fn answer_fetch(
        &self,
        caller: Caller,
        head: &Head,
        request: FetchRequest<'static>,
        looks: Vec<Vec<Look>>,
        room: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Answer> {
        let mut response = FetchResponse::default();
        let is_elsewhere =
            |look: &Look| look.error == ErrorCode::NOT_LEADER_OR_FOLLOWER && look.leader >= 0;
        if head.version >= ENDPOINTS_SINCE && looks.iter().flatten().any(is_elsewhere) {
            let cluster = self.cluster(caller).await?;
            response.node_endpoints = cluster.leader().map(endpoint).into_iter().collect();
        }
        for (topic, looks) in request.topics.into_iter().zip(looks) {
            let mut partitions = Vec::new();
            for (asked, look) in topic.partitions.iter().zip(looks) {
                partitions.push(partition(head.version, asked, look).await?);
            }
            response.responses.push(FetchableTopicResponse {
                topic: topic.topic,
                topic_id: topic.topic_id,
                partitions,
                ..Default::default()
            });
        }
        let frame = head.frame_of_records(&response)?;
        Ok(match room {
            Some(room) => Answer::Held(frame, room),
            None => Answer::Frame(frame),
        })
    }
}

fn endpoint(leader: &Broker) -> NodeEndpoint<'static> {
    NodeEndpoint {
        node_id: leader.id,
        host: leader.host.clone().into(),
        port: leader.port,
        ..Default::default()
    }
}

/// Whether a raft node asks: it names itself, or at least the epoch that its log ends with.
fn is_raft(version: i16, request: &FetchRequest<'_>) -> bool {
    let mut partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    version >= RAFT_SINCE
        && (replica(version, request) >= 0
            || partitions.any(|partition| partition.last_fetched_epoch >= 0))
}

/// The replica that asks; below 0 if it is none, or one without an id.
fn replica(version: i16, request: &FetchRequest<'_>) -> NodeId {
    if version >= REPLICA_STATE_SINCE {
        request.replica_state.replica_id
    } else {
        request.replica_id
    }
}

fn look_at_all(
    driver: &FileDriver,
    version: i16,
    topics: &[FetchTopic<'static>],
    max_bytes: usize,
) -> Vec<Vec<Look>> {
    let by_id = version >= IDS_SINCE;
    let mut left = max_bytes;
    let mut looks = Vec::new();
    for topic in topics {
        let own = &driver.node().config().topic;
        let is_known = is_topic(own, by_id, &topic.topic, topic.topic_id);
        let unknown = match by_id {
            true => ErrorCode::UNKNOWN_TOPIC_ID,
            false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        };
        let partitions = topic.partitions.iter().map(|asked| {
            let checked = match () {
                () if !is_known => Err(unknown),
                () if asked.partition != 0 => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                () => check_leader(driver.node(), asked.current_leader_epoch),
            };
            let look = look_at(driver, asked, checked, left);
            left -= look.found.as_ref().map_or(0, |found| {
                usize::try_from(found.len()).unwrap_or(left).min(left)
            });
            look
        });
        looks.push(partitions.collect());
    }
    looks
}

/// Whether this node leads, in the epoch that a client names, if it names one.
pub(super) fn check_leader(node: &Node, epoch: Epoch) -> Result<(), ErrorCode> {
    if epoch >= 0 && epoch < node.epoch() {
        Err(ErrorCode::FENCED_LEADER_EPOCH)
    } else if epoch > node.epoch() {
        Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
    } else if node.epoch_start().is_none() {
        Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
    } else {
        Ok(())
    }
}

fn look_at(
    driver: &FileDriver,
    asked: &FetchPartition,
    checked: Result<(), ErrorCode>,
    left: usize,
) -> Look {
    let node = driver.node();
    let mut look = Look {
        error: ErrorCode::NONE,
        epoch: node.epoch(),
        leader: node.leader().unwrap_or(-1),
        high_watermark: -1,
        log_start: -1,
        found: None,
    };
    let from = asked.fetch_offset;
    let is_inside = (node.log_start()..=node.log_end().offset).contains(&from);
    let checked = checked.and(match is_inside {
        true => Ok(()),
        false => Err(ErrorCode::OFFSET_OUT_OF_RANGE),
    });
    if let Err(error) = checked {
        look.error = error;
        return look;
    }
    look.log_start = node.log_start();
    // A new leader does not know it yet. What the log does not have any more was committed.
    look.high_watermark = node.high_watermark().unwrap_or(look.log_start);
    let max = usize::try_from(asked.partition_max_bytes)
        .unwrap_or(0)
        .min(left);
    // With nothing left the first batch is not for this partition either.
    if from < look.high_watermark && left > 0 {
        match driver.log().range(from, look.high_watermark, max) {
            Ok(found) => look.found = Some(found),
            Err(_) => look.error = ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
    look
}

async fn partition(
    version: i16,
    asked: &FetchPartition,
    look: Look,
) -> io::Result<PartitionData<'static>> {
    let records = match look.found {
        Some(found) if !found.is_empty() => read(found).await?,
        _ => Bytes::new(),
    };
    let mut partition = PartitionData {
        partition_index: asked.partition,
        error_code: look.error.0,
        high_watermark: look.high_watermark,
        last_stable_offset: look.high_watermark,
        log_start_offset: look.log_start,
        preferred_read_replica: -1,
        records: Some(records.into()),
        ..Default::default()
    };
    if look.error.is_error() && version >= LEADERS_SINCE {
        partition.current_leader = LeaderIdAndEpoch {
            leader_id: look.leader,
            leader_epoch: look.epoch,
            ..Default::default()
        };
    }
    Ok(partition)
}

/// Reads what was found, where it keeps nobody from working. It is committed, so that it does not
/// change meanwhile.
pub(super) async fn read(found: Found) -> io::Result<Bytes> {
    if found.is_in_memory() {
        return found.read().map_err(io::Error::other);
    }
    let read = tokio::task::spawn_blocking(move || found.read().map_err(io::Error::other));
    read.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use kwire_protocol::Uuid;
    use kwire_raft::Config;
    use kwire_raft::driver::{Disk, Driver};
    use kwire_raft::log::FileStateStore;
    use kwire_raft::log::files::StdFiles;
    use kwire_raft::types::{Instant, Topic};

    use super::super::logs::{append, install, open};
    use super::*;
    use crate::machine::Machine;

    #[test]
    fn what_is_committed_ends_nowhere_before_the_log_starts() {
        let dir = tempfile::tempdir().expect("a directory");
        install(&mut open(dir.path()), 4, 1, &Machine::new().snapshot());
        let mut log = open(dir.path());
        append(&mut log, 1, -1, 3);
        drop(log);
        let topic = Topic::performance_test();
        let files = StdFiles::partition(dir.path(), &topic).expect("a directory");
        let config = Config {
            topic,
            ..Config::new(Some(1), Uuid::from_parts(0, 1))
        };
        let (log, state) = (open(dir.path()), FileStateStore::new(files));
        let driver = Driver::new(Instant(0), config, Disk::Synchronous, log, state);
        let driver = driver.expect("it starts");
        assert_eq!(driver.node().high_watermark(), None);
        let asked = FetchPartition {
            fetch_offset: 4,
            partition_max_bytes: 1_000,
            ..Default::default()
        };
        let look = look_at(&driver, &asked, Ok(()), 1_000);
        assert_eq!(look.error, ErrorCode::NONE);
        assert_eq!((look.log_start, look.high_watermark), (4, 4));
        assert!(look.found.is_none());
    }
}
