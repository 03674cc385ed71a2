//! What connections may cost, and that one cannot take it from the others.

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Client, Cluster, TOPIC, batch, fetch, produce};
use kwire_protocol::messages::*;
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};
use kwire_protocol::{ApiKey, ErrorCode};
use kwire_raft::types::Topic;

#[test]
fn connections_have_bounds() {
    let bounds = [("max.connections", "2"), ("connections.max.idle.ms", "300")];
    let cluster = Cluster::start(1, Topic::performance_test(), &bounds);
    let mut first = cluster.client();
    let _: MetadataResponse<'static> = first.ask(9, &MetadataRequest::default());
    let mut silent = cluster.client();
    let mut third = cluster.client();
    let _: MetadataResponse<'static> = third.ask(9, &MetadataRequest::default());
    assert_eq!(silent.stream.read(&mut [0]).unwrap_or(0), 0, "it is closed");
    let began = Instant::now();
    let _: MetadataResponse<'static> = first.ask(9, &MetadataRequest::default());
    assert_eq!(first.stream.read(&mut [0]).unwrap_or(0), 0, "it is closed");
    let idle = began.elapsed();
    assert!(idle >= Duration::from_millis(250), "{idle:?}");
    let mut again = cluster.client();
    let _: MetadataResponse<'static> = again.ask(9, &MetadataRequest::default());
}

/// A node whose room for requests is a million bytes, with a record that takes a tenth of it.
fn narrow() -> (Cluster, Client) {
    let bounds = [
        ("queued.max.request.bytes", "1000000"),
        ("socket.request.max.bytes", "1000000"),
    ];
    let cluster = Cluster::start(1, Topic::performance_test(), &bounds);
    let mut client = cluster.client();
    let patience = Some(Duration::from_secs(10));
    client.stream.set_read_timeout(patience).expect("a timeout");
    write_large(&mut client);
    (cluster, client)
}

fn write_large(client: &mut Client) {
    let large = "x".repeat(100_000);
    let request = produce(-1, batch(-1, 0, 0, &[&large]));
    let response: ProduceResponse<'static> = client.ask(9, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// A Fetch of a node of the quorum, which is answered as followers are.
fn fetch_as_replica() -> FetchRequest<'static> {
    let mut request = fetch(1, 0, 0);
    request.replica_state.replica_id = 7;
    request.topics[0].partitions[0].last_fetched_epoch = 1;
    request.topics[0].partitions[0].current_leader_epoch = 1;
    request
}

fn read_as_replica(client: &mut Client) {
    let response: FetchResponse<'static> = client.ask(17, &fetch_as_replica());
    let records = response.responses[0].partitions[0].records.as_ref();
    assert!(records.is_some_and(|records| records.len() > 100_000));
}

#[test]
fn what_is_announced_and_does_not_come_takes_no_room() {
    let (cluster, mut client) = narrow();
    let mut silent = cluster.client();
    let all = 1_000_000_i32.to_be_bytes();
    silent.stream.write_all(&all).expect("written");
    // It has been read when the next connection is served.
    let _: MetadataResponse<'static> = cluster.client().ask(9, &MetadataRequest::default());
    write_large(&mut client);
    read_as_replica(&mut client);
}

/// The answers of replicas are long, and anybody may say that it is one.
#[test]
fn who_does_not_read_its_answers_takes_no_room_from_others() {
    let (cluster, mut client) = narrow();
    let mut slow = cluster.client();
    // More than the system takes by itself.
    for _ in 0..300 {
        slow.send(17, &fetch_as_replica());
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        read_as_replica(&mut client);
    }
    // And it is still served.
    for _ in 0..300 {
        let answer: FetchResponse<'static> = slow.receive::<FetchRequest<'_>, _>(17);
        assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    }
}

/// Answers repeat what they are asked about, so that it is not to be too much.
#[test]
fn who_asks_for_too_much_is_not_answered() {
    let cluster = Cluster::one();
    let named = |count: usize, len: usize| {
        let name = move |number| format!("{number:0len$}").into();
        let topics = (0..count).map(move |number| metadata_request::MetadataRequestTopic {
            name: Some(name(number)),
            ..Default::default()
        });
        MetadataRequest {
            topics: Some(topics.collect()),
            ..Default::default()
        }
    };
    for (request, is_answered) in [
        (named(1_000, 1_000), true),
        (named(1_001, 10), false),
        (named(1_000, 1_100), false),
    ] {
        let mut client = cluster.client();
        client.send(9, &request);
        let answer = client.receive_body(ApiKey::METADATA, 9);
        assert_eq!(answer.is_some(), is_answered);
    }
    for (count, is_answered) in [(1_000, true), (1_001, false)] {
        let topic = |number: usize| describe_topic_partitions_request::TopicRequest {
            name: number.to_string().into(),
            ..Default::default()
        };
        let request = DescribeTopicPartitionsRequest {
            topics: (0..count).map(topic).collect(),
            ..Default::default()
        };
        let mut client = cluster.client();
        client.send(0, &request);
        let answer = client.receive_body(ApiKey::DESCRIBE_TOPIC_PARTITIONS, 0);
        assert_eq!(answer.is_some(), is_answered);
    }
}

/// Followers are answered whatever clients do, or a leader would lose its quorum to a few of them.
#[test]
fn clients_that_do_not_read_keep_nothing_from_replicas() {
    let (cluster, mut client) = narrow();
    let resource = || describe_configs_request::DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        ..Default::default()
    };
    let request = DescribeConfigsRequest {
        resources: (0..80).map(|_| resource()).collect(),
        include_synonyms: true,
        ..Default::default()
    };
    let mut slow: Vec<Client> = (0..14).map(|_| cluster.client()).collect();
    for client in &mut slow {
        for _ in 0..100 {
            client.send(4, &request);
        }
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        read_as_replica(&mut client);
    }
}

#[test]
fn consumers_that_do_not_read_leave_room_for_others() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    let large = "x".repeat(1_000_000);
    for _ in 0..9 {
        assert_eq!(client.produce(batch(-1, 0, 0, &[&large])).0, 0);
    }
    let all = || {
        let mut request = fetch(1, 500, 1);
        request.max_bytes = 8 << 20;
        request.topics[0].partitions[0].partition_max_bytes = 8 << 20;
        request
    };
    let mut slow: Vec<Client> = (0..20).map(|_| cluster.client()).collect();
    for client in &mut slow {
        // The system takes one by itself.
        for _ in 0..4 {
            client.send(11, &all());
        }
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let response: FetchResponse<'static> = client.ask(11, &all());
        let records = response.responses[0].partitions[0].records.as_ref();
        assert!(records.is_some_and(|records| records.len() > 1_000_000));
    }
}

/// A batch with a record of a time.
fn batch_at(timestamp: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default()).expect("options");
    let record = NewRecord {
        timestamp,
        value: Some(b"v"),
        ..NewRecord::default()
    };
    let appended = builder.try_append(&record).expect("a record");
    assert!(matches!(appended, Append::Done { .. }));
    builder.finish().expect("a batch")
}

const HOUR_MS: i64 = 60 * 60 * 1000;

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("a while from now")
}

#[test]
fn timestamps_are_near_the_time() {
    let invalid = ErrorCode::INVALID_TIMESTAMP.0;
    let before = ("log.message.timestamp.before.max.ms", "3600000");
    let after = ("message.timestamp.after.max.ms", "86400000");
    for (set, expected) in [
        (vec![], [0, 0, invalid]),
        (vec![before], [invalid, 0, invalid]),
        (vec![after], [0, 0, 0]),
    ] {
        let cluster = Cluster::start(1, Topic::performance_test(), &set);
        let mut client = cluster.client();
        let ahead = [-2 * HOUR_MS, HOUR_MS / 2, 2 * HOUR_MS];
        let errors = ahead.map(|ahead| client.produce(batch_at(now_ms() + ahead)).0);
        assert_eq!(errors, expected, "{set:?}");
        assert_eq!(client.produce(batch_at(-1)).0, 0, "it has no time");
    }
}

/// Each segment is an open file.
#[test]
fn timestamps_of_clients_make_no_segments() {
    let set = [("metadata.log.segment.ms", "1")];
    let cluster = Cluster::start(1, Topic::performance_test(), &set);
    let mut client = cluster.client();
    for hour in 0..50 {
        assert_eq!(client.produce(batch_at(hour * HOUR_MS)).0, 0);
    }
    let partition = cluster.log_dir(0).join(format!("{TOPIC}-0"));
    let files = std::fs::read_dir(partition).expect("the log's");
    let names = files.map(|file| file.expect("a file").file_name());
    let segments = names.filter(|name| name.to_string_lossy().ends_with(".log"));
    assert_eq!(segments.count(), 1);
}
