//! What clients say and hear, message by message.

mod common;

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Client, Cluster, TOPIC, batch, fetch, produce};
use kwire_protocol::api::AnyResponse;
use kwire_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kwire_protocol::messages::*;
use kwire_protocol::records::{
    Append, BatchBuilder, BatchOptions, Batches, Compression, NewRecord,
};
use kwire_protocol::runtime::Request;
use kwire_protocol::{ApiKey, ErrorCode, Limits, Message};
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::{FileLog, LogOptions};
use kwire_raft::types::Topic;

#[test]
fn answers_come_in_the_order_of_requests() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    for number in 0..20 {
        client.send(
            9,
            &produce(-1, batch(-1, 0, 0, &[&number.to_string(), "x"])),
        );
    }
    client.send(9, &produce(0, batch(-1, 0, 0, &["nobody waits"])));
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    client.send(12, &all);
    client.send(9, &produce(1, batch(-1, 0, 0, &["the leader has it"])));
    for number in 0..20 {
        let response = client.receive::<ProduceRequest<'_>, ProduceResponse<'static>>(9);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (0, 1 + 2 * number)
        );
    }
    client.skip_answer();
    let metadata = client.receive::<MetadataRequest<'_>, MetadataResponse<'static>>(12);
    assert_eq!(metadata.topics.len(), 1);
    let (topic, broker) = (&metadata.topics[0], &metadata.brokers[0]);
    assert_eq!(topic.name.as_deref(), Some(TOPIC));
    assert_eq!((topic.partitions[0].leader_id, broker.node_id), (1, 1));
    assert_eq!(
        (&*broker.host, broker.port),
        ("localhost", cluster.address(0).1.into())
    );
    let response = client.receive::<ProduceRequest<'_>, ProduceResponse<'static>>(9);
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 42);
}

#[test]
fn what_cannot_be_appended_is_refused() {
    let cluster = Cluster::start(
        1,
        Topic::performance_test(),
        &[("message.max.bytes", "1000")],
    );
    let mut client = cluster.client();
    let mut refused = |request: &ProduceRequest<'static>| {
        let response: ProduceResponse<'static> = client.ask(9, request);
        ErrorCode(response.responses[0].partition_responses[0].error_code)
    };
    let good = batch(-1, 0, 0, &["x"]);
    let mut request = produce(-1, good.clone());
    request.topic_data[0].name = "other".into();
    assert_eq!(refused(&request), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut request = produce(-1, good.clone());
    request.topic_data[0].partition_data[0].index = 1;
    assert_eq!(refused(&request), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(
        refused(&produce(2, good.clone())),
        ErrorCode::INVALID_REQUIRED_ACKS
    );
    let large = batch(-1, 0, 0, &[&"x".repeat(1_000)]);
    assert_eq!(refused(&produce(-1, large)), ErrorCode::MESSAGE_TOO_LARGE);
    let mut damaged = good.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    assert_eq!(refused(&produce(-1, damaged)), ErrorCode::CORRUPT_MESSAGE);
    let cut = good[..good.len() - 1].to_vec();
    assert_eq!(refused(&produce(-1, cut)), ErrorCode::CORRUPT_MESSAGE);
    assert_eq!(refused(&produce(-1, Vec::new())), ErrorCode::INVALID_RECORD);
    let twice = [good.clone(), good.clone()].concat();
    assert_eq!(refused(&produce(-1, twice)), ErrorCode::INVALID_RECORD);
    // Attributes, the offset of the last record, the number of records; and another checksum.
    let forged = |at: usize, bytes: &[u8]| {
        let mut batch = good.clone();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        let crc = crc_fast::crc32_iscsi(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        produce(-1, batch)
    };
    let (gzip, log_append_time, control) = ([0, 1], [0, 8], [0, 32]);
    assert_eq!(refused(&forged(21, &gzip)), ErrorCode::INVALID_RECORD);
    let time = forged(21, &log_append_time);
    assert_eq!(refused(&time), ErrorCode::INVALID_TIMESTAMP);
    assert_eq!(refused(&forged(21, &control)), ErrorCode::INVALID_RECORD);
    // The record's own offset, behind its length, attributes and timestamp.
    assert_eq!(refused(&forged(64, &[8])), ErrorCode::INVALID_RECORD);
    let compressed = compressed_batch(&["x", "y"]);
    assert_eq!(refused(&produce(-1, compressed)), ErrorCode::NONE);
    assert_eq!(refused(&produce(-1, good.clone())), ErrorCode::NONE);
    // Without an answer, the end of the connection says it.
    client.send(9, &produce(0, Vec::new()));
    assert_eq!(client.receive_body(ApiKey::PRODUCE, 9), None);
}

fn compressed_batch(values: &[&str]) -> Vec<u8> {
    let options = BatchOptions {
        compression: Compression::Lz4,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options).expect("options");
    for value in values {
        let record = NewRecord {
            timestamp: 1_000,
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        let appended = builder.try_append(&record).expect("a record");
        assert!(matches!(appended, Append::Done { .. }));
    }
    builder.finish().expect("a batch")
}

fn no_transactions() -> InitProducerIdRequest<'static> {
    InitProducerIdRequest {
        transactional_id: None,
        ..Default::default()
    }
}

#[test]
fn nothing_of_an_idempotent_producer_is_there_twice() {
    let mut cluster = Cluster::one();
    let mut client = cluster.client();
    let given: InitProducerIdResponse = client.ask(5, &no_transactions());
    let other: InitProducerIdResponse = client.ask(5, &no_transactions());
    assert_eq!((given.error_code, given.producer_epoch), (0, 0));
    assert_ne!(given.producer_id, other.producer_id);
    let id = given.producer_id;
    assert_eq!(client.produce(batch(id, 0, 0, &["a", "b"])), (0, 1));
    assert_eq!(client.produce(batch(id, 0, 2, &["c"])), (0, 3));
    assert_eq!(client.produce(batch(id, 0, 0, &["a", "b"])), (0, 1));
    let out_of_order = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0;
    assert_eq!(client.produce(batch(id, 0, 4, &["e"])), (out_of_order, -1));
    assert_eq!(
        client.produce(batch(other.producer_id, 0, 1, &["e"])),
        (out_of_order, -1)
    );
    assert_eq!(client.produce(batch(id, 1, 0, &["f"])), (0, 4));
    let fenced = ErrorCode::INVALID_PRODUCER_EPOCH.0;
    assert_eq!(client.produce(batch(id, 0, 3, &["d"])), (fenced, -1));
    // Who starts anew reads it in the log.
    cluster.kill(0);
    cluster.start_node(0);
    let mut client = cluster.client();
    assert_eq!(client.produce(batch(id, 1, 0, &["f"])), (0, 4));
    assert_eq!(client.produce(batch(id, 0, 3, &["d"])), (fenced, -1));
    let given: InitProducerIdResponse = client.ask(5, &no_transactions());
    assert!(given.producer_id > other.producer_id);
}

#[test]
fn a_leader_that_takes_over_knows_what_the_last_one_had() {
    let mut cluster = Cluster::start(3, Topic::performance_test(), &[]);
    let mut client = cluster.client();
    let given: InitProducerIdResponse = client.ask(5, &no_transactions());
    let id = given.producer_id;
    let (error, base) = client.produce(batch(id, 0, 0, &["a"]));
    assert_eq!(error, 0);
    let old = cluster.leader();
    let follower = (old + 1) % 3;
    let not_leader = ErrorCode::NOT_LEADER_OR_FOLLOWER.0;
    let mut elsewhere = Client::connect(cluster.address(follower));
    let mut request = produce(-1, batch(id, 0, 1, &["b"]));
    request.topic_data[0].topic_id = Topic::performance_test().id;
    let response: ProduceResponse<'static> = elsewhere.ask(13, &request);
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, not_leader);
    assert_eq!(
        usize::try_from(partition.current_leader.leader_id),
        Ok(old + 1)
    );
    assert_eq!(
        response.node_endpoints[0].port,
        i32::from(cluster.address(old).1)
    );
    cluster.kill(old);
    let mut client = cluster.client();
    assert_eq!(client.produce(batch(id, 0, 0, &["a"])), (0, base));
    let (error, next) = client.produce(batch(id, 0, 1, &["b"]));
    assert!(error == 0 && next > base);
    cluster.start_node(old);
    assert_eq!(client.produce(batch(id, 0, 1, &["b"])), (0, next));
}

#[test]
fn consumers_read_what_is_committed() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    client.produce(batch(-1, 0, 0, &["a", "b"]));
    for version in 4..=18 {
        let mut request = fetch(2, 0, 1);
        if version < 13 {
            request.topics[0].topic_id = Default::default();
        } else {
            request.topics[0].topic = Default::default();
        }
        let response: FetchResponse<'static> = client.ask(version, &request);
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark), (0, 3));
        let records = partition.records.as_ref().expect("records");
        let batches: Vec<_> = Batches::validated(records).map(Result::unwrap).collect();
        assert_eq!(batches.len(), 1, "the batch that has it");
        assert_eq!(
            (batches[0].base_offset(), batches[0].last_offset()),
            (Some(1), 2)
        );
    }
    let mut at = |offset| {
        let response: FetchResponse<'static> = client.ask(11, &fetch(offset, 100, 1));
        let partition = &response.responses[0].partitions[0];
        let len = partition
            .records
            .as_ref()
            .map_or(0, |records| records.len());
        (ErrorCode(partition.error_code), len)
    };
    assert_eq!(at(3), (ErrorCode::NONE, 0));
    assert_eq!(at(4), (ErrorCode::OFFSET_OUT_OF_RANGE, 0));
    assert_eq!(at(-1), (ErrorCode::OFFSET_OUT_OF_RANGE, 0));
    let mut session = fetch(0, 0, 0);
    session.session_id = 5;
    let response: FetchResponse<'static> = client.ask(11, &session);
    assert_eq!(response.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0);
    // One that waits is answered when something comes.
    let began = Instant::now();
    let mut waiting = cluster.client();
    waiting.send(11, &fetch(3, 20_000, 1));
    std::thread::sleep(Duration::from_millis(200));
    client.produce(batch(-1, 0, 0, &["c"]));
    let response = waiting.receive::<FetchRequest<'_>, FetchResponse<'static>>(11);
    let records = response.responses[0].partitions[0].records.as_ref();
    assert!(records.is_some_and(|records| !records.is_empty()));
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn offsets_are_found_by_name_and_by_time() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    // At 1000 to 1002, and none of them is as new as what the leader wrote first.
    client.produce(batch(-1, 0, 0, &["a", "b", "c"]));
    let mut find_at = |version, timestamp| {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: TOPIC.into(),
                partitions: vec![ListOffsetsPartition {
                    current_leader_epoch: -1,
                    timestamp,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let response: ListOffsetsResponse<'static> = client.ask(version, &request);
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        partition.offset
    };
    for version in 1..=11 {
        let mut find = |timestamp| find_at(version, timestamp);
        assert_eq!((find(-2), find(-1), find(0)), (0, 4, 0), "{version}");
    }
    let mut find = |timestamp| find_at(10, timestamp);
    assert_eq!((find(-2), find(-1), find(-3)), (0, 4, 0));
    assert_eq!((find(0), find(i64::MAX)), (0, -1));
    let epochs = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![offset_for_leader_epoch_request::OffsetForLeaderTopic {
            topic: TOPIC.into(),
            partitions: vec![offset_for_leader_epoch_request::OffsetForLeaderPartition {
                current_leader_epoch: -1,
                leader_epoch: 1,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let response: OffsetForLeaderEpochResponse<'static> = client.ask(4, &epochs);
    let end = &response.topics[0].partitions[0];
    assert_eq!(
        (end.error_code, end.leader_epoch, end.end_offset),
        (0, 1, 4)
    );
}

#[test]
fn every_version_that_is_advertised_is_answered() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    let versions: ApiVersionsResponse<'static> = client.ask(
        3,
        &ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        },
    );
    let mut answered = 0;
    for api in &versions.api_keys {
        let api_key = ApiKey(api.api_key);
        for version in api.min_version..=api.max_version {
            send_default(&mut client, api_key, version);
            let body = client.receive_body(api_key, version);
            let body = body.unwrap_or_else(|| panic!("{api_key} v{version} is not answered"));
            let response = AnyResponse::decode(api_key, version, &body, &Limits::DEFAULT);
            response.unwrap_or_else(|error| panic!("{api_key} v{version}: {error}"));
            answered += 1;
        }
    }
    assert!(answered > 120, "{answered}");
}

/// Sends a request that says as little as it can.
fn send_default(client: &mut Client, api_key: ApiKey, version: i16) {
    macro_rules! send {
        ($($request:ident)*) => {
            match api_key {
                ApiKey::PRODUCE => client.send(version, &ProduceRequest { acks: 1, ..Default::default() }),
                $(key if key == $request::API_KEY => client.send(version, &$request::default()),)*
                other => panic!("{other} is advertised, and not tested"),
            }
        };
    }
    send! {
        FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
        FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
        DescribeGroupsRequest ListGroupsRequest ApiVersionsRequest InitProducerIdRequest
        OffsetForLeaderEpochRequest DescribeConfigsRequest DescribeClusterRequest
        DescribeTopicPartitionsRequest DeleteGroupsRequest VoteRequest
        BeginQuorumEpochRequest EndQuorumEpochRequest FetchSnapshotRequest DescribeQuorumRequest
        AddRaftVoterRequest RemoveRaftVoterRequest UpdateRaftVoterRequest
    }
}

#[test]
fn nothing_that_comes_ends_the_server() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    let request = ApiVersionsRequest::default();
    let versions: ApiVersionsResponse<'static> = client.ask(0, &request);
    let mut random: u32 = 1;
    let mut next = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random as usize / 65_536 % below
    };
    for api in &versions.api_keys {
        for version in api.min_version..=api.max_version {
            for _ in 0..4 {
                let mut frame = vec![0, 0, 0, 0];
                frame.extend_from_slice(&api.api_key.to_be_bytes());
                frame.extend_from_slice(&version.to_be_bytes());
                frame.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
                let bytes = [0, 0, 0, 1, 1, 2, 3, 0x7f, 0xff];
                frame.extend((0..next(60)).map(|_| bytes[next(bytes.len())]));
                let len = u32::try_from(frame.len() - 4).expect("short");
                frame[..4].copy_from_slice(&len.to_be_bytes());
                let mut client = Client::connect(cluster.address(0));
                client.stream.write_all(&frame).expect("it is read");
                // Whatever becomes of it; some of it may wait.
                let patience = Some(Duration::from_millis(5));
                client.stream.set_read_timeout(patience).expect("a timeout");
                let _ = client.stream.read(&mut [0; 64]);
            }
        }
    }
    let mut client = cluster.client();
    let (error, base) = client.produce(batch(-1, 0, 0, &["still here"]));
    assert!(error == 0 && base > 0);
}

#[test]
fn what_is_not_served_is_refused_where_it_can_be() {
    let cluster = Cluster::one();
    let mut client = cluster.client();
    let refused: DescribeAclsResponse<'static> = client.ask(
        3,
        &DescribeAclsRequest {
            resource_type_filter: 1,
            pattern_type_filter: 1,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        },
    );
    assert_eq!(refused.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
    // A version of ApiVersions that is still to come is answered at 0.
    let request = [
        &[0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff][..],
        &[0],
    ];
    client
        .stream
        .write_all(&request.concat())
        .expect("it is read");
    let mut len = [0; 4];
    client.stream.read_exact(&mut len).expect("an answer");
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(len)).expect("a length")];
    client.stream.read_exact(&mut answer).expect("an answer");
    let response = ApiVersionsResponse::decode(&answer[4..], 0).expect("version 0");
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
    assert_eq!(response.api_keys.len(), 1);
    // Without a place for an error, the connection ends.
    let mut client = cluster.client();
    client.send(7, &CreateTopicsRequest::default());
    assert_eq!(client.receive_body(CreateTopicsRequest::API_KEY, 7), None);
}

#[test]
fn a_node_that_stops_leaves_a_log_that_need_not_be_mended() {
    let mut cluster = Cluster::one();
    let mut client = cluster.client();
    for _ in 0..20 {
        let records = batch(-1, 0, 0, &[&"x".repeat(1_000)]);
        let response: ProduceResponse<'static> = client.ask(9, &produce(-1, records));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    cluster.kill(0);
    let topic = Topic::performance_test();
    let files = StdFiles::partition(&cluster.log_dir(0), &topic).expect("a directory");
    let log = FileLog::open(files, LogOptions::new(topic)).expect("a log");
    assert_eq!(log.end(), 21);
    assert_eq!(log.recovery().recovery_point, 21, "all of it is durable");
    assert_eq!(log.recovery().indexed, [""; 0], "the indexes are whole");
}

/// Version 1 has no place for one error for all.
#[test]
fn who_does_not_coordinate_a_group_says_so_at_each_version() {
    let cluster = Cluster::start(3, Topic::performance_test(), &[]);
    let follower = (cluster.leader() + 1) % 3;
    let mut client = Client::connect(cluster.address(follower));
    let not_here = ErrorCode::NOT_COORDINATOR.0;
    for version in 1..=7 {
        let request = OffsetFetchRequest {
            group_id: "group".into(),
            topics: Some(vec![offset_fetch_request::OffsetFetchRequestTopic {
                name: TOPIC.into(),
                partition_indexes: vec![0].into(),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let response: OffsetFetchResponse<'static> = client.ask(version, &request);
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let said = match version {
            1 => partitions.next().map(|partition| partition.error_code),
            _ => Some(response.error_code),
        };
        assert_eq!(said, Some(not_here), "{version}");
    }
}

/// What is published of a node is not older than what a command finds, or a batch that was appended
/// right after an election would be taken for one whose leader is gone.
#[test]
fn who_hears_of_a_command_sees_the_node_as_the_command_did() {
    let cluster = Cluster::one();
    cluster.leader();
    let handle = cluster.handle(0);
    let (begin, begun) = mpsc::channel();
    let resign = handle.command(move |driver, now| {
        // Until the next command is there: both are taken in one turn.
        begun.recv().expect("it is told");
        driver.command(now, |node| node.resign(now, node.epoch()))
    });
    resign.expect("it runs");
    let (tell, told) = mpsc::channel();
    let status = handle.status();
    let look = handle.command(move |driver, _| {
        let node = driver.node();
        let published = *status.borrow();
        let found = (node.epoch(), node.epoch_start());
        tell.send((found, (published.epoch, published.leads_from)))
            .expect("somebody waits");
        Ok(())
    });
    look.expect("it runs");
    begin.send(()).expect("it waits");
    let (found, published) = told.recv().expect("it answers");
    assert_eq!(found, published);
}
