//! Produce: batches of clients go to the log as they are.
//!
//! A request is done in two steps. First its batches are appended, before the next request of the
//! connection is taken, so that their order is that of the requests. Then its answer waits for the
//! commit, while more is appended.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kwire_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use kwire_protocol::messages::{ProduceRequest, ProduceResponse};
use kwire_protocol::records::{self, BatchHeader, Batches, Compression, TimestampType};
use kwire_protocol::{ErrorCode, Str, Uuid};
use kwire_raft::node::AppendError;
use kwire_raft::types::{Epoch, Instant as NodeInstant, Offset};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::cluster::{Cluster, is_topic};
use super::replay::catch_up;
use super::{Answer, Caller, Clients, Head, Options, PlainRecordsOnly, Shared};
use super::{check_count, check_len};
use crate::frame::Frame;
use crate::machine::Told;
use crate::producers::{Sequenced, Verdict};
use crate::runner::{FileDriver, FileDriverError, Gone, Status};

/// Nobody waits longer than this for a commit, whatever was asked for.
const MAX_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a full node is asked again, if nothing is heard of it.
const RETRY: Duration = Duration::from_millis(20);
/// Versions that name topics by id.
const IDS_SINCE: i16 = 13;
/// Versions whose errors name the leader.
const LEADERS_SINCE: i16 = 10;
/// The most bytes of a batch when decompressed. A request is short, and many may be looked at.
const MAX_DECOMPRESSED_BYTES: usize = 32 << 20;
/// Versions that may have zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;
/// The most bytes of the names of all topics.
const MAX_NAMES_BYTES: usize = 16 << 10;
/// The timestamp of a record that has none.
const NO_TIMESTAMP: i64 = -1;
/// The most records that are named when a batch is refused because of them.
const MAX_NAMED_RECORDS: usize = 10;
/// Why records have to be plain.
const NOT_PLAIN: &str = "only records without key and headers, and with a value, are taken: Kafka's \
    own nodes among the voters would end at any other (kwire.produce.plain.records.only)";

/// Where a batch came to lie, or lay already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    epoch: Epoch,
    base: Offset,
    /// The offset after its last record.
    end: Offset,
    log_start: Offset,
}

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    error: ErrorCode,
    message: Option<String>,
    /// The records that it is about, by their place in the batch; none if it is about all.
    records: Vec<i32>,
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
struct Checked {
    header: BatchHeader,
    /// Some of its records that are not plain.
    not_plain: Vec<i32>,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Refusal {
        Refusal {
            error,
            message: None,
            records: Vec::new(),
        }
    }
}

fn refusal(error: ErrorCode, message: impl Into<String>) -> Refusal {
    Refusal {
        error,
        message: Some(message.into()),
        records: Vec::new(),
    }
}

type Placement = Result<Placed, Refusal>;

/// What became of the partitions of a topic.
struct TopicOutcome {
    name: Str<'static>,
    id: Uuid,
    partitions: Vec<(i32, Placement)>,
}

impl Clients {
    pub(super) async fn produce(
        self: &Arc<Self>,
        caller: Caller,
        head: Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        let request: ProduceRequest<'static> = head.decode(body)?;
        check_named(&request)?;
        let asked = u64::try_from(request.timeout_ms).unwrap_or(0);
        let deadline = Instant::now() + Duration::from_millis(asked).min(MAX_TIMEOUT);
        let acks = request.acks;
        let outcomes = self.append_all(head.version, request, deadline).await;
        let mut outcomes = outcomes.map_err(io::Error::other)?;
        let mut placements = outcomes.iter().flat_map(|topic| &topic.partitions);
        if acks == 0 {
            // Who does not listen is told by the end of the connection, as in Kafka.
            return match placements.find_map(|(_, placement)| placement.as_ref().err()) {
                Some(refusal) => Err(io::Error::other(format!(
                    "a Produce that nobody waits for: {refusal:?}"
                ))),
                None => Ok(Answer::Nothing),
            };
        }
        let clients = Arc::clone(self);
        Ok(Answer::Later(Box::pin(async move {
            let mut status = clients.node.status();
            for (_, placement) in outcomes.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if let Ok(placed) = placement
                    && let Err(error) = wait(&mut status, *placed, acks, deadline).await?
                {
                    *placement = Err(error.into());
                }
            }
            clients.answer_produce(caller, &head, outcomes).await
        })))
    }

    async fn append_all(
        &self,
        version: i16,
        request: ProduceRequest<'static>,
        deadline: Instant,
    ) -> Result<Vec<TopicOutcome>, Gone> {
        let refused = if !(-1..=1).contains(&request.acks) {
            Some(ErrorCode::INVALID_REQUIRED_ACKS)
        } else if request.transactional_id.is_some() {
            Some(ErrorCode::INVALID_TXN_STATE)
        } else {
            None
        };
        let mut outcomes = Vec::new();
        for topic in request.topic_data {
            let by_id = version >= IDS_SINCE;
            let is_known = is_topic(&self.topic, by_id, &topic.name, topic.topic_id);
            let unknown = match by_id {
                true => ErrorCode::UNKNOWN_TOPIC_ID,
                false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            let mut partitions = Vec::new();
            for partition in topic.partition_data {
                let placement = match refused {
                    Some(error) => Err(error.into()),
                    None if !is_known => Err(unknown.into()),
                    None if partition.index != 0 => {
                        Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into())
                    }
                    None => {
                        let records = partition.records.unwrap_or_default().into_bytes();
                        self.append(version, &records, deadline).await?
                    }
                };
                partitions.push((partition.index, placement));
            }
            outcomes.push(TopicOutcome {
                name: topic.name,
                id: topic.topic_id,
                partitions,
            });
        }
        Ok(outcomes)
    }

    /// Looks at a batch. To decompress one takes long enough to be in the way of other connections,
    /// those of the quorum among them, so that threads of their own do it, only a few at a time.
    async fn check(&self, version: i16, records: &Bytes) -> Result<Checked, Refusal> {
        let now_ms = time_of_day_ms();
        if !may_be_compressed(records) {
            return check(records, version, &self.options, now_ms);
        }
        let turn = Arc::clone(&self.decompressing).acquire_owned().await;
        let (records, options) = (records.clone(), self.options.clone());
        let checked = tokio::task::spawn_blocking(move || {
            // Until it is done: the connection may be gone before.
            let _turn = turn;
            check(&records, version, &options, now_ms)
        });
        let failed = |_| Err(ErrorCode::UNKNOWN_SERVER_ERROR.into());
        checked.await.unwrap_or_else(failed)
    }

    /// Appends a batch. A node that is full is asked again, until the time is up.
    async fn append(
        &self,
        version: i16,
        records: &Bytes,
        deadline: Instant,
    ) -> Result<Placement, Gone> {
        let checked = match self.check(version, records).await {
            Ok(checked) => checked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut status = self.node.status();
        loop {
            status.mark_unchanged();
            // The one copy of the records: the node writes its own bytes into them.
            let batch = records.to_vec();
            let (shared, checked) = (self.shared.clone(), checked.clone());
            let plain_only = self.options.plain_records_only;
            let (answer, answered) = oneshot::channel();
            self.node.command(move |driver, now| {
                let placement = place(driver, now, &shared, plain_only, checked, batch)?;
                // The connection may be gone.
                let _ = answer.send(placement);
                Ok(())
            })?;
            match answered.await.map_err(|_| Gone)? {
                Some(placement) => return Ok(placement),
                None if Instant::now() >= deadline => {
                    return Ok(Err(ErrorCode::REQUEST_TIMED_OUT.into()));
                }
                None => {
                    let until = deadline.min(Instant::now() + RETRY);
                    // Whatever it is: try again.
                    let _ = timeout_at(until, status.changed()).await;
                }
            }
        }
    }

    async fn answer_produce(
        &self,
        caller: Caller,
        head: &Head,
        outcomes: Vec<TopicOutcome>,
    ) -> io::Result<Frame> {
        let mut placements = outcomes.iter().flat_map(|topic| &topic.partitions);
        let is_elsewhere = placements.any(|(_, placement)| {
            matches!(placement, Err(refusal) if refusal.error == ErrorCode::NOT_LEADER_OR_FOLLOWER)
        });
        let cluster = match is_elsewhere && head.version >= LEADERS_SINCE {
            true => Some(self.cluster(caller).await?),
            false => None,
        };
        let topics = outcomes.into_iter().map(|topic| TopicProduceResponse {
            name: topic.name,
            topic_id: topic.id,
            partition_responses: topic
                .partitions
                .into_iter()
                .map(|(index, placement)| partition_response(index, placement, cluster.as_ref()))
                .collect(),
            ..Default::default()
        });
        let mut response = ProduceResponse {
            responses: topics.collect(),
            ..Default::default()
        };
        if let Some(leader) = cluster.as_ref().and_then(Cluster::leader) {
            response.node_endpoints = vec![NodeEndpoint {
                node_id: leader.id,
                host: leader.host.clone().into(),
                port: leader.port,
                ..Default::default()
            }];
        }
        head.frame(&response)
    }
}

fn partition_response(
    index: i32,
    placement: Placement,
    cluster: Option<&Cluster>,
) -> PartitionProduceResponse<'static> {
    let response = PartitionProduceResponse {
        index,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        ..Default::default()
    };
    match placement {
        Ok(placed) => PartitionProduceResponse {
            base_offset: placed.base,
            log_start_offset: placed.log_start,
            ..response
        },
        Err(refusal) => {
            let current_leader = match cluster {
                Some(cluster) if refusal.error == ErrorCode::NOT_LEADER_OR_FOLLOWER => {
                    LeaderIdAndEpoch {
                        leader_id: cluster.leader.unwrap_or(-1),
                        leader_epoch: cluster.epoch,
                        ..Default::default()
                    }
                }
                _ => LeaderIdAndEpoch::default(),
            };
            PartitionProduceResponse {
                error_code: refusal.error.0,
                record_errors: record_errors(&refusal),
                error_message: refusal.message.map(Into::into),
                current_leader,
                ..response
            }
        }
    }
}

/// The records that a batch is refused for (KIP-467).
fn record_errors(refusal: &Refusal) -> Vec<BatchIndexAndErrorMessage<'static>> {
    let message = refusal.message.clone();
    let records = refusal.records.iter();
    records
        .map(|index| BatchIndexAndErrorMessage {
            batch_index: *index,
            batch_index_error_message: message.clone().map(Into::into),
            ..Default::default()
        })
        .collect()
}

/// Waits until a batch is as safe as was asked for.
async fn wait(
    status: &mut watch::Receiver<Status>,
    placed: Placed,
    acks: i16,
    deadline: Instant,
) -> io::Result<Result<(), ErrorCode>> {
    let safe_to = |status: &Status| match acks {
        -1 => status.high_watermark,
        _ => Some(status.flushed),
    };
    let leads = |status: &Status| status.epoch == placed.epoch && status.leads_from.is_some();
    let is_over = |status: &Status| !leads(status) || safe_to(status) >= Some(placed.end);
    match timeout_at(deadline, status.wait_for(is_over)).await {
        // In a later epoch another batch may lie there.
        Ok(Ok(status)) if !leads(&status) => Ok(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)),
        Ok(Ok(_)) => Ok(Ok(())),
        Ok(Err(_)) => Err(io::Error::other(Gone)),
        Err(_) => Ok(Err(ErrorCode::REQUEST_TIMED_OUT)),
    }
}

/// Whether a batch has records that are not for the voters that there are.
fn is_too_fancy(
    driver: &FileDriver,
    plain_only: PlainRecordsOnly,
    shared: &Shared,
    checked: &Checked,
) -> bool {
    !checked.not_plain.is_empty()
        && match plain_only {
            PlainRecordsOnly::Always => true,
            PlainRecordsOnly::Never => false,
            PlainRecordsOnly::WithKafkasVoters => shared.kafkas.are_among(driver.node().voters()),
        }
}

/// Appends a batch on the node's thread. `None` if there is no room now.
fn place(
    driver: &mut FileDriver,
    now: NodeInstant,
    shared: &Shared,
    plain_only: PlainRecordsOnly,
    checked: Checked,
    batch: Vec<u8>,
) -> Result<Option<Placement>, FileDriverError> {
    if driver.node().epoch_start().is_none() {
        return Ok(Some(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER.into())));
    }
    if is_too_fancy(driver, plain_only, shared, &checked) {
        return Ok(Some(Err(Refusal {
            records: checked.not_plain,
            ..refusal(ErrorCode::INVALID_RECORD, NOT_PLAIN)
        })));
    }
    let mut header = checked.header;
    let epoch = driver.node().epoch();
    let log_start = driver.node().log_start();
    let mut machine = shared.machine.lock();
    let sequenced = Sequenced::of(&header);
    if let Some(sequenced) = &sequenced {
        if !catch_up(&mut machine, driver)? || machine.producers.is_full() {
            return Ok(None);
        }
        let placed = |base, end| Placed {
            epoch,
            base,
            end,
            log_start,
        };
        match machine.producers.check(sequenced) {
            Verdict::Append => {}
            Verdict::Duplicate { base, end } => return Ok(Some(Ok(placed(base, end + 1)))),
            Verdict::OutOfOrder => {
                return Ok(Some(Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.into())));
            }
            Verdict::Fenced => return Ok(Some(Err(ErrorCode::INVALID_PRODUCER_EPOCH.into()))),
        }
    }
    let bytes = batch.len() as u64;
    let appended = driver.command(now, |node| node.append_batches(now, epoch, batch))?;
    let base = match appended {
        Ok(base) => base,
        Err(AppendError::Full { .. }) => return Ok(None),
        Err(AppendError::NotLeader { .. } | AppendError::WrongEpoch { .. }) => {
            return Ok(Some(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER.into())));
        }
        Err(error) => {
            let refused = refusal(ErrorCode::INVALID_RECORD, error.to_string());
            return Ok(Some(Err(refused)));
        }
    };
    header.base_offset = base;
    // Otherwise something lies between, or the records count as well, and the log is asked.
    if sequenced.is_some() && machine.next_offset() == base {
        machine.add(&Told {
            header,
            serial: None,
            bytes,
        });
    }
    Ok(Some(Ok(Placed {
        epoch,
        base,
        end: header.last_offset() + 1,
        log_start,
    })))
}

/// Whether the attributes of a batch of magic 2 name a codec.
fn may_be_compressed(records: &[u8]) -> bool {
    records.get(22).is_some_and(|low_byte| low_byte & 7 != 0)
}

/// Whether a timestamp is near enough to the time, if it is one.
fn check_timestamp(timestamp: i64, options: &Options, now_ms: i64) -> Result<(), Refusal> {
    let earliest = now_ms.saturating_sub(options.timestamp_before_max_ms);
    let latest = now_ms.saturating_add(options.timestamp_after_max_ms);
    if timestamp == NO_TIMESTAMP || (earliest..=latest).contains(&timestamp) {
        return Ok(());
    }
    let message = format!("timestamp {timestamp} is not within {earliest} and {latest}");
    Err(refusal(ErrorCode::INVALID_TIMESTAMP, message))
}

fn time_of_day_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Many requests wait for their commit at a time, and their answers repeat what they name.
fn check_named(request: &ProduceRequest<'_>) -> io::Result<()> {
    let topics = request.topic_data.iter();
    let partitions = topics.clone().map(|topic| 1 + topic.partition_data.len());
    // The names of some partitions cost what those of many things cost elsewhere.
    check_count("partitions", partitions.sum::<usize>().saturating_mul(10))?;
    let names = topics.map(|topic| topic.name.len());
    check_len("topic names", names.sum(), MAX_NAMES_BYTES)
}

/// Holds the records of a partition against what Kafka takes: one whole batch of magic 2, whose
/// records can be read. A compressed one may claim any number of records, and offsets for them: it
/// is decompressed to see that they are there.
fn check(records: &[u8], version: i16, options: &Options, now_ms: i64) -> Result<Checked, Refusal> {
    let max_len = options.max_batch_bytes;
    if records.len() > max_len {
        let message = format!(
            "{} bytes are more than the {max_len} of a batch",
            records.len()
        );
        return Err(refusal(ErrorCode::MESSAGE_TOO_LARGE, message));
    }
    let invalid = |message: &str| refusal(ErrorCode::INVALID_RECORD, message);
    let mut batches = Batches::validated(records);
    let corrupt = |error: records::Error| refusal(ErrorCode::CORRUPT_MESSAGE, error.to_string());
    let batch = match batches.next() {
        Some(batch) => batch.map_err(corrupt)?,
        None if records.is_empty() => return Err(invalid("there is no batch")),
        None => return Err(refusal(ErrorCode::CORRUPT_MESSAGE, "the batch is cut off")),
    };
    if batches.remainder() > 0 {
        return Err(invalid("there is more than one batch"));
    }
    let Some(header) = batch.header().copied() else {
        return Err(invalid("the magic is not 2"));
    };
    if header.attributes.is_control() || header.attributes.is_transactional() {
        return Err(invalid(
            "control records and transactions are not for clients",
        ));
    }
    if header.record_count <= 0 || header.last_offset_delta != header.record_count - 1 {
        return Err(invalid(
            "the last offset does not follow from the number of records",
        ));
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(invalid("a producer id without epoch or sequence"));
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        let message = "the log's time is not for clients to set";
        return Err(refusal(ErrorCode::INVALID_TIMESTAMP, message));
    }
    check_timestamp(header.max_timestamp, options, now_ms)?;
    match batch.compression() {
        Ok(Compression::Zstd) if version < ZSTD_SINCE => {
            return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE.into());
        }
        Ok(_) => {}
        Err(_) => return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE.into()),
    }
    let unreadable = |error: records::Error| invalid(&error.to_string());
    let mut scratch = Vec::new();
    let limits = records::Limits {
        max_decompressed_len: MAX_DECOMPRESSED_BYTES,
        ..records::Limits::default()
    };
    let all = batch.records(&mut scratch, &limits).map_err(unreadable)?;
    let mut not_plain = Vec::new();
    // Consumers go by the offsets: one that is out of line would be read twice, or never.
    for (expected, record) in (0..).zip(all) {
        let record = record.map_err(unreadable)?;
        if record.offset.wrapping_sub(header.base_offset) != expected {
            return Err(invalid("the records' offsets do not follow one another"));
        }
        check_timestamp(record.timestamp, options, now_ms).map_err(|refused| Refusal {
            records: vec![i32::try_from(expected).unwrap_or(i32::MAX)],
            ..refused
        })?;
        let is_plain = record.key.is_none() && record.value.is_some() && record.headers.is_empty();
        if !is_plain && not_plain.len() < MAX_NAMED_RECORDS {
            // There are no more of them than fit into the count of a batch.
            not_plain.push(i32::try_from(expected).unwrap_or(i32::MAX));
        }
    }
    Ok(Checked { header, not_plain })
}
