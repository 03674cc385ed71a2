//! ListOffsets: where the log starts and ends, and what was written when.

use std::io;

use bytes::Bytes;
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kwire_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kwire_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use kwire_protocol::records::{self, Batch, Batches, TimestampType};
use kwire_raft::driver::{LogRange, LogStore};
use kwire_raft::log::{FileLog, LogError};
use kwire_raft::types::{Epoch, Offset};

use super::fetch::{Found, check_leader, read};
use super::{Answer, Clients, Head, check_count};
use crate::runner::Gone;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Versions that say of which epoch a record is (KIP-320).
const EPOCHS_SINCE: i16 = 4;
/// Versions that can say that the leader does not know yet (KIP-207).
const NOT_AVAILABLE_SINCE: i16 = 5;
/// How much of the log is searched at a time.
const SEARCH_BYTES: usize = 1 << 20;
/// The most that a batch is decompressed to for the offset of a record in it.
const MAX_DECOMPRESSED: usize = 32 << 20;

/// The log, as far as it is committed.
#[derive(Clone, Copy)]
struct Committed {
    epoch: Epoch,
    start: Offset,
    end: Offset,
    /// Whether the end is where the leader's own epoch is, and not somewhere before it.
    is_current: bool,
}

/// What was found for a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hit {
    timestamp: i64,
    offset: Offset,
    epoch: Epoch,
}

const NOTHING: Hit = Hit {
    timestamp: -1,
    offset: -1,
    epoch: -1,
};

impl Clients {
    pub(super) async fn list_offsets(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: ListOffsetsRequest<'static> = head.decode(body)?;
        let topics = request.topics.iter();
        check_count(
            "partitions",
            topics.map(|topic| 1 + topic.partitions.len()).sum(),
        )?;
        let mut response = ListOffsetsResponse::default();
        let mut searches = 0;
        for topic in request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let is_known = topic.name == self.topic.name && asked.partition_index == 0;
                // There is one partition: whoever asks for it again and again asks for too much.
                searches += u32::from(is_known);
                let found = match () {
                    () if !is_known => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                    () if searches > 1 => Err(ErrorCode::INVALID_REQUEST),
                    () => self.find(head.version, asked).await?,
                };
                let (error, hit) = match found {
                    Ok(hit) => (ErrorCode::NONE, hit),
                    Err(error) => (error, NOTHING),
                };
                partitions.push(ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    error_code: error.0,
                    timestamp: hit.timestamp,
                    offset: hit.offset,
                    leader_epoch: match head.version {
                        EPOCHS_SINCE.. => hit.epoch,
                        _ => -1,
                    },
                    ..Default::default()
                });
            }
            response.topics.push(ListOffsetsTopicResponse {
                name: topic.name,
                partitions,
                ..Default::default()
            });
        }
        head.answer(&response)
    }

    async fn find(
        &self,
        version: i16,
        asked: &ListOffsetsPartition,
    ) -> io::Result<Result<Hit, ErrorCode>> {
        let epoch = asked.current_leader_epoch;
        let log = self.node.ask(move |driver| {
            let node = driver.node();
            check_leader(node, epoch)?;
            let end = node.high_watermark();
            Ok(Committed {
                epoch: node.epoch(),
                start: node.log_start(),
                end: end.unwrap_or(0),
                is_current: end > node.epoch_start(),
            })
        });
        let log = match log.await.map_err(io::Error::other)? {
            Ok(log) => log,
            Err(error) => return Ok(Err(error)),
        };
        let at = |offset| Hit {
            offset,
            epoch: log.epoch,
            ..NOTHING
        };
        Ok(match asked.timestamp {
            // Before that, the end may be one that clients have seen beyond already.
            LATEST if !log.is_current => Err(match version {
                NOT_AVAILABLE_SINCE.. => ErrorCode::OFFSET_NOT_AVAILABLE,
                _ => ErrorCode::LEADER_NOT_AVAILABLE,
            }),
            LATEST => Ok(at(log.end)),
            EARLIEST | EARLIEST_LOCAL => Ok(Hit {
                epoch: -1,
                ..at(log.start)
            }),
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(NOTHING),
            MAX_TIMESTAMP => self.search(log, None).await,
            timestamp if timestamp >= 0 => self.search(log, Some(timestamp)).await,
            _ => Err(ErrorCode::INVALID_REQUEST),
        })
    }

    /// The first record that is not older than a timestamp, or the first of the newest ones.
    async fn search(&self, log: Committed, timestamp: Option<i64>) -> Result<Hit, ErrorCode> {
        let failed = |_| ErrorCode::KAFKA_STORAGE_ERROR;
        let mut best = NOTHING;
        let mut next = log.start;
        while next < log.end {
            let found = self
                .node
                .ask(move |driver| part(driver.log(), next, log.end));
            let found = found.await.map_err(|Gone| ErrorCode::KAFKA_STORAGE_ERROR)?;
            let found = found.map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
            let after = found.next_offset().unwrap_or(log.end);
            let bytes = read(found).await.map_err(failed)?;
            for batch in Batches::new(&bytes).filter_map(Result::ok) {
                let newest = batch.max_timestamp();
                match timestamp {
                    Some(timestamp) if newest >= timestamp => return Ok(hit(&batch, timestamp)),
                    None if newest > best.timestamp => best = hit(&batch, newest),
                    _ => {}
                }
            }
            if after <= next {
                break;
            }
            next = after;
        }
        Ok(best)
    }
}

/// A part of the log, from an offset on or from where the log starts by now.
fn part(log: &FileLog, from: Offset, until: Offset) -> Result<Found, LogError> {
    log.range(from.max(log.start()), until, SEARCH_BYTES)
}

/// The first record of a batch that is not older than a timestamp; its first, if its records cannot
/// be read.
fn hit(batch: &Batch<'_>, timestamp: i64) -> Hit {
    let epoch = batch
        .header()
        .map_or(-1, |header| header.partition_leader_epoch);
    let whole = Hit {
        timestamp: batch.max_timestamp(),
        offset: batch.base_offset().unwrap_or(-1),
        epoch,
    };
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return whole;
    }
    let limits = records::Limits {
        max_decompressed_len: MAX_DECOMPRESSED,
        ..Default::default()
    };
    let mut scratch = Vec::new();
    let Ok(mut records) = batch.records(&mut scratch, &limits) else {
        return whole;
    };
    let found = records.find_map(|record| record.ok().filter(|r| r.timestamp >= timestamp));
    found.map_or(whole, |record| Hit {
        timestamp: record.timestamp,
        offset: record.offset,
        epoch,
    })
}

#[cfg(test)]
mod tests {
    use super::super::logs::{append, install, open};
    use super::*;
    use crate::machine::Machine;

    /// As the log's start moves while it is searched.
    #[test]
    fn a_search_goes_on_where_the_log_starts_by_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = open(dir.path());
        install(&mut log, 4, 1, &Machine::new().snapshot());
        append(&mut log, 1, -1, 3);
        for from in [0, 3, 4] {
            let found = part(&log, from, 7).expect("it is there");
            assert_eq!(found.next_offset(), Some(7));
            let bytes = found.read().expect("it is read");
            let first = Batches::new(&bytes).next().expect("a batch");
            assert_eq!(first.expect("whole").base_offset(), Some(4));
        }
        let found = part(&log, 0, 2).expect("nothing of it is there");
        assert!(found.is_empty());
    }
}
