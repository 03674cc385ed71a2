//! Nodes whose log has lost its beginning to a snapshot.

mod common;

use std::fs;

use common::{Client, Cluster, TOPIC, batch};
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kwire_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kwire_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use kwire_protocol::records::Batches;
use kwire_raft::types::Topic;

/// Snapshots soon, and nothing is kept that the latest stands for.
const SOON: [(&str, &str); 2] = [
    ("metadata.log.max.record.bytes.between.snapshots", "20000"),
    ("metadata.max.retention.bytes", "1"),
];
/// A producer whose only batch is the log's first.
const PRODUCER: i64 = 70_000;

fn start(nodes: usize) -> Cluster {
    Cluster::start(nodes, Topic::performance_test(), &SOON)
}

fn first_batch() -> Vec<u8> {
    batch(PRODUCER, 0, 0, &["first", "second"])
}

/// Writes until the log starts behind an offset.
fn write_past(cluster: &Cluster, client: &mut Client, offset: i64) {
    let long = "x".repeat(9_000);
    for _ in 0..1_000 {
        let (error, _) = client.produce(batch(-1, 0, 0, &[&long]));
        assert_eq!(error, 0);
        if cluster.look(cluster.leader(), move |driver| {
            driver.node().log_start() > offset
        }) {
            return;
        }
    }
    panic!("the log starts where it did");
}

/// That a leader knows the producer, whose batch its log does not have any more.
fn assert_known(cluster: &Cluster, base: i64) {
    let mut client = cluster.client();
    assert_eq!(
        client.produce(first_batch()),
        (0, base),
        "it is a duplicate"
    );
    let gap = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0;
    let early = batch(PRODUCER, 0, 5, &["too early"]);
    assert_eq!(client.produce(early).0, gap);
    let stranger = batch(PRODUCER + 1, 0, 5, &["never seen"]);
    assert_eq!(client.produce(stranger).0, gap, "nobody was forgotten");
    let (error, next) = client.produce(batch(PRODUCER, 0, 2, &["third"]));
    assert!(error == 0 && next > base);
}

#[test]
fn a_node_starts_again_from_its_snapshot() {
    let mut cluster = start(1);
    let mut client = cluster.client();
    let (error, base) = client.produce(first_batch());
    assert_eq!(error, 0);
    write_past(&cluster, &mut client, base);
    cluster.kill(0);
    cluster.start_node(0);
    cluster.leader();
    assert!(cluster.look(0, move |driver| driver.node().log_start() > base));
    assert_known(&cluster, base);
}

#[test]
fn a_wiped_follower_catches_up_by_snapshot_and_leads_with_what_it_stands_for() {
    let mut cluster = start(3);
    let mut client = cluster.client();
    let (error, base) = client.produce(first_batch());
    assert_eq!(error, 0);
    write_past(&cluster, &mut client, base);
    let leader = cluster.leader();
    // Of those that are left when the leader dies, the first stands first.
    let wiped = usize::from(leader == 0);
    cluster.kill(wiped);
    cluster.wipe(wiped);
    write_past(&cluster, &mut client, base + 10);
    cluster.start_node(wiped);
    let end = cluster.look(leader, |driver| driver.node().high_watermark());
    cluster.wait_for(wiped, move |driver| driver.node().high_watermark() >= end);
    assert!(cluster.look(wiped, move |driver| driver.log().start() > base));
    // Whoever leads goes, until it is this one.
    for _ in 0..30 {
        let leader = cluster.leader();
        if leader == wiped {
            return assert_known(&cluster, base);
        }
        cluster.kill(leader);
        let next = cluster.leader();
        cluster.start_node(leader);
        let end = cluster.look(next, |driver| driver.node().high_watermark());
        cluster.wait_for(leader, move |driver| driver.node().high_watermark() >= end);
    }
    panic!("the node that was wiped never leads");
}

#[test]
fn clients_see_where_the_log_starts() {
    let cluster = start(1);
    let mut client = cluster.client();
    write_past(&cluster, &mut client, 5);
    let start = cluster.look(0, |driver| driver.node().log_start());
    let earliest = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![ListOffsetsPartition {
                current_leader_epoch: -1,
                timestamp: -2,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let found: ListOffsetsResponse<'static> = client.ask(7, &earliest);
    assert_eq!(found.topics[0].partitions[0].offset, start);
    let mut fetch = |offset| {
        let request = FetchRequest {
            replica_id: -1,
            max_bytes: 1 << 20,
            topics: vec![FetchTopic {
                topic: TOPIC.into(),
                partitions: vec![FetchPartition {
                    fetch_offset: offset,
                    current_leader_epoch: -1,
                    last_fetched_epoch: -1,
                    partition_max_bytes: 1 << 20,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let response: FetchResponse<'static> = client.ask(11, &request);
        let partition = &response.responses[0].partitions[0];
        let records = partition.records.clone().unwrap_or_default().into_bytes();
        let first = Batches::new(&records).next();
        let first = first.map(|batch| batch.expect("whole").base_offset());
        (ErrorCode(partition.error_code), first)
    };
    assert_eq!(fetch(start - 1), (ErrorCode::OFFSET_OUT_OF_RANGE, None));
    let (error, first) = fetch(start);
    assert_eq!(error, ErrorCode::NONE);
    // There may be nothing behind the snapshot yet.
    assert!(first.is_none_or(|first| first == Some(start)), "{first:?}");
}

/// Something that is in the way of a snapshot is no reason to stop.
#[test]
fn a_snapshot_that_cannot_be_made_is_tried_again() {
    let cluster = start(1);
    let mut client = cluster.client();
    let partition = cluster.log_dir(0).join(format!("{TOPIC}-0"));
    // The leader's own record has offset 0.
    let in_the_way = partition.join("00000000000000000002-0000000001-0.checkpoint.part");
    fs::create_dir(&in_the_way).expect("there is nothing of that name");
    let long = "x".repeat(30_000);
    assert_eq!(client.produce(batch(-1, 0, 0, &[&long])), (0, 1));
    assert_eq!(client.produce(batch(-1, 0, 0, &["goes on"])), (0, 2));
    cluster.wait_for(0, |driver| driver.node().snapshots().next().is_some());
    let second = cluster.look(0, |driver| driver.node().snapshots().last());
    assert_eq!(
        second.map(|id| id.offset),
        Some(3),
        "the first could not be made"
    );
}
