//! Records with keys, with headers or without a value, which Kafka's own nodes end themselves over.

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Client, Cluster, TOPIC, batch, fetch, produce};
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    FetchResponse, ProduceResponse, describe_quorum_request,
};
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, Header, NewRecord};
use kwire_raft::types::Topic;

/// A batch with a plain record, and one with what Kafka's own nodes do not take.
fn not_plain(what: &str) -> Vec<u8> {
    let headers = [Header {
        key: b"h",
        value: None,
    }];
    let plain = NewRecord {
        value: Some(b"v"),
        ..NewRecord::default()
    };
    let other = match what {
        "key" => NewRecord {
            key: Some(b"k"),
            ..plain
        },
        "headers" => NewRecord {
            headers: &headers,
            ..plain
        },
        _ => NewRecord::default(),
    };
    let mut builder = BatchBuilder::new(BatchOptions::default()).expect("options");
    for record in [plain, other] {
        let appended = builder.try_append(&record).expect("a record");
        assert!(matches!(appended, Append::Done { .. }));
    }
    builder.finish().expect("a batch")
}

#[test]
fn records_that_end_kafkas_own_nodes_can_be_refused() {
    for (value, is_refused) in [("true", true), ("false", false), ("auto", false)] {
        let set = [("kwire.produce.plain.records.only", value)];
        let cluster = Cluster::start(1, Topic::performance_test(), &set);
        let mut client = cluster.client();
        for what in ["key", "headers", "null"] {
            let request = produce(-1, not_plain(what));
            let response: ProduceResponse<'static> = client.ask(9, &request);
            let partition = &response.responses[0].partition_responses[0];
            if !is_refused {
                assert_eq!(partition.error_code, 0, "{value}: {what}");
                continue;
            }
            assert_eq!(partition.error_code, ErrorCode::INVALID_RECORD.0, "{what}");
            let why = partition.error_message.as_deref().expect("a reason");
            assert!(why.contains("Kafka's own nodes"), "{why}");
            let records = partition.record_errors.iter();
            let records: Vec<i32> = records.map(|record| record.batch_index).collect();
            assert_eq!(records, [1]);
        }
        assert_eq!(client.produce(batch(-1, 0, 0, &["plain"])).0, 0);
    }
}

/// Says what software it is, and fetches as a voter.
fn follow(client: &mut Client, software: &'static str, id: i32) {
    let request = ApiVersionsRequest {
        client_software_name: software.into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let versions: ApiVersionsResponse<'static> = client.ask(3, &request);
    assert_eq!(versions.error_code, 0);
    let mut request = fetch(0, 0, 0);
    request.replica_state.replica_id = id;
    request.topics[0].partitions[0].last_fetched_epoch = 0;
    request.topics[0].partitions[0].current_leader_epoch = 1;
    let response: FetchResponse<'static> = client.ask(17, &request);
    assert_eq!(response.error_code, 0);
}

#[test]
fn they_are_refused_by_themselves_while_kafkas_own_nodes_vote() {
    let mut cluster = Cluster::start(3, Topic::performance_test(), &[]);
    let mut client = cluster.client();
    let leader = cluster.leader();
    // Another takes its place.
    let gone = (leader + 1) % 3;
    cluster.kill(gone);
    let voter = i32::try_from(gone + 1).expect("small");
    let mut other = Client::connect(cluster.address(leader));
    let mut write = || client.produce(not_plain("key")).0;
    let refused = ErrorCode::INVALID_RECORD.0;
    follow(&mut other, "apache-kafka-java", 9);
    assert_eq!(write(), 0, "it is no voter");
    follow(&mut other, "apache-kafka-java", voter);
    assert_eq!(write(), refused);
    follow(&mut other, "kwire", voter);
    assert_eq!(write(), 0);
}

/// Kafka's test server comes to the quorum in the place of one of ours, and stays in it.
#[test]
fn kafkas_own_node_outlives_what_clients_write() {
    let program = "raft-server --release 4.3.1";
    let Some(words) = common::java("KWIRE_RAFT_SERVER_4_3_1", program) else {
        return;
    };
    let mut cluster = Cluster::start(3, Topic::performance_test(), &[]);
    let leader = cluster.leader();
    let place = (leader + 1) % 3;
    cluster.kill(place);
    let mut client = cluster.client();
    until(|| end_of(&mut client, place) < 0);
    let mut kafkas = Command::new(&words[0]);
    kafkas.args(&words[1..]);
    kafkas.args(["--replica-directory-id", "AAAAAAAAAAAAAAAAAAAAAg"]);
    kafkas.args(["--throughput", "1", "--config"]);
    kafkas.arg(cluster.properties_elsewhere(place));
    kafkas.stdout(Stdio::null()).stderr(Stdio::null());
    let mut kafkas = Ended(kafkas.spawn().expect("it starts"));
    let before = end_of(&mut client, leader);
    until(|| end_of(&mut client, place) == before);
    assert_eq!(
        client.produce(not_plain("key")).0,
        ErrorCode::INVALID_RECORD.0
    );
    let (error, offset) = client.produce(batch(-1, 0, 0, &["plain"]));
    assert_eq!(error, 0);
    until(|| end_of(&mut client, place) > offset);
    assert_eq!(kafkas.0.try_wait().expect("it can be asked"), None);
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(mut is_it: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_it() {
        assert!(Instant::now() < end, "it never was");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where a voter's log ends, if it fetched within the last second.
fn end_of(client: &mut Client, index: usize) -> i64 {
    let request = DescribeQuorumRequest {
        topics: vec![describe_quorum_request::TopicData {
            topic_name: TOPIC.into(),
            partitions: vec![Default::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let response: DescribeQuorumResponse<'static> = client.ask(2, &request);
    let partition = &response.topics[0].partitions[0];
    let id = i32::try_from(index + 1).expect("small");
    let own = partition
        .current_voters
        .iter()
        .find(|v| v.replica_id == partition.leader_id);
    let now = own.expect("it leads").last_fetch_timestamp;
    let voter = partition.current_voters.iter().find(|v| v.replica_id == id);
    let voter = voter.expect("it votes");
    match now - voter.last_fetch_timestamp < 1_000 {
        true => voter.log_end_offset,
        false => -1,
    }
}
