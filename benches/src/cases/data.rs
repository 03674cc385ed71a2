//! What carries records, and asks for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use kwire_protocol::messages::{
    FetchRequest, FetchResponse, ProduceRequest, fetch_request, fetch_response as response,
    produce_request,
};
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, Compression, NewRecord};

use super::{CLUSTER_ID, id, mix, name};

/// A follower's fetch of one partition, as in a quorum.
pub fn fetch_one() -> FetchRequest<'static> {
    FetchRequest {
        cluster_id: Some(CLUSTER_ID.into()),
        replica_state: fetch_request::ReplicaState {
            replica_id: 2,
            replica_epoch: 5,
            ..Default::default()
        },
        ..fetch_of(1, 1)
    }
}

/// A consumer's fetch of many partitions.
pub fn fetch() -> FetchRequest<'static> {
    fetch_of(100, 20)
}

fn fetch_of(topics: u64, partitions: i32) -> FetchRequest<'static> {
    let partition = |index| fetch_request::FetchPartition {
        partition: index,
        current_leader_epoch: 5,
        fetch_offset: 1_000_000 + i64::from(index),
        last_fetched_epoch: 5,
        log_start_offset: 100,
        partition_max_bytes: 1 << 20,
        replica_directory_id: id(9),
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        session_id: 77,
        session_epoch: 3,
        topics: (0..topics)
            .map(|topic| fetch_request::FetchTopic {
                topic_id: id(topic),
                partitions: (0..partitions).map(partition).collect(),
                ..Default::default()
            })
            .collect(),
        rack_id: "rack-1".into(),
        ..Default::default()
    }
}

/// The records that a consumer gets.
pub fn fetch_response() -> FetchResponse<'static> {
    FetchResponse {
        session_id: 77,
        responses: vec![response::FetchableTopicResponse {
            topic_id: id(1),
            partitions: vec![response::PartitionData {
                partition_index: 3,
                high_watermark: 1_010_000,
                last_stable_offset: 1_010_000,
                log_start_offset: 100,
                records: Some(elsewhere(record_batch(Compression::None)).into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The records that a consumer of many partitions gets: 1 KiB of each.
pub fn fetch_response_of_many() -> FetchResponse<'static> {
    let batch = batch_of(&record_values()[..9], Compression::None);
    let partition = |partition_index| response::PartitionData {
        partition_index,
        high_watermark: 1_010_000,
        last_stable_offset: 1_010_000,
        log_start_offset: 100,
        records: Some(batch.clone().into()),
        ..Default::default()
    };
    FetchResponse {
        session_id: 77,
        responses: (0..10)
            .map(|topic| response::FetchableTopicResponse {
                topic_id: id(topic),
                partitions: (0..10).map(partition).collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// The records that a producer sends.
pub fn produce() -> ProduceRequest<'static> {
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![produce_request::TopicProduceData {
            name: name(1),
            partition_data: vec![produce_request::PartitionProduceData {
                index: 0,
                records: Some(elsewhere(record_batch(Compression::None)).into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The same bytes at another place in their page each time.
///
/// A block that begins a page is copied slowly to a little after the beginning of another: the
/// processor takes what it reads for what it has just written. What a peer encodes lies in the
/// frame as far from a page's beginning as in the copy, which the value that kwire is given would
/// not.
pub fn elsewhere(bytes: Vec<u8>) -> Bytes {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let start = NEXT.fetch_add(1, Ordering::Relaxed) * 1365 % 4096;
    let mut moved = vec![0; start];
    moved.extend_from_slice(&bytes);
    Bytes::from(moved).slice(start..)
}

/// How many records of [`RECORD_LEN`] bytes fill 1 MiB.
pub const RECORDS: usize = (1 << 20) / RECORD_LEN;
/// The length of a record's value.
pub const RECORD_LEN: usize = 100;

/// The values of the records: half text that repeats itself, half noise, so that compression has
/// something to do and cannot do it all.
pub fn record_values() -> Vec<[u8; RECORD_LEN]> {
    let value = |index: usize| {
        let mut value = *b"{\"user\":\"0000000000000000\",\"page\":\"/shop/item\",\"noise\":\"................................\",\"ok\":true}        ";
        let words = [
            mix(index as u64 % 100),
            mix(index as u64),
            mix(mix(index as u64)),
        ];
        value[9..25].copy_from_slice(format!("{:016x}", words[0]).as_bytes());
        value[56..72].copy_from_slice(format!("{:016x}", words[1]).as_bytes());
        value[72..88].copy_from_slice(format!("{:016x}", words[2]).as_bytes());
        let mut cut = [0; RECORD_LEN];
        cut.copy_from_slice(&value[..RECORD_LEN]);
        cut
    };
    (0..RECORDS).map(value).collect()
}

/// The time of the first record.
pub const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;

/// A batch of 1 MiB of records.
pub fn record_batch(compression: Compression) -> Vec<u8> {
    batch_of(&record_values(), compression)
}

fn batch_of(values: &[[u8; RECORD_LEN]], compression: Compression) -> Vec<u8> {
    let options = BatchOptions {
        compression,
        ..Default::default()
    };
    let mut builder = BatchBuilder::new(options).expect("the options are sound");
    for (index, value) in values.iter().enumerate() {
        let record = NewRecord {
            timestamp: FIRST_TIMESTAMP + index as i64,
            key: None,
            value: Some(value),
            headers: &[],
        };
        let appended = builder.try_append(&record).expect("the record is sound");
        assert!(matches!(appended, Append::Done { .. }), "the batch is full");
    }
    builder.finish().expect("the batch is sound")
}
