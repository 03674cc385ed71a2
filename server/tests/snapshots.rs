//! Nodes whose log has lost its beginning to a snapshot.

mod common;

use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Client, Cluster, TOPIC, batch, batch_of, produce};
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

/// Writes until the leader's log starts behind an offset.
fn write_past(cluster: &Cluster, client: &mut Client, offset: i64) {
    write_until(cluster, client, 1_000, |cluster| {
        cluster.look(cluster.leader(), move |driver| {
            driver.node().log_start() > offset
        })
    });
}

/// Writes records of a time until something is so.
fn write_until(
    cluster: &Cluster,
    client: &mut Client,
    timestamp: i64,
    is_so: impl Fn(&Cluster) -> bool,
) {
    let long = "x".repeat(9_000);
    for _ in 0..1_000 {
        let (error, _) = client.produce(batch_of(timestamp, -1, 0, 0, &[&long]));
        assert_eq!(error, 0);
        if is_so(cluster) {
            return;
        }
    }
    panic!("it never is as it ought to be");
}

/// Kills whoever leads until it is this node.
fn make_lead(cluster: &mut Cluster, node: usize) {
    for _ in 0..30 {
        let leader = cluster.leader();
        if leader == node {
            return;
        }
        cluster.kill(leader);
        let next = cluster.leader();
        cluster.start_node(leader);
        let end = cluster.look(next, |driver| driver.node().high_watermark());
        cluster.wait_for(leader, move |driver| driver.node().high_watermark() >= end);
    }
    panic!("node {node} never leads");
}

/// Which of some nodes leads.
fn leader_among(cluster: &Cluster, nodes: &[usize]) -> usize {
    let patience = Instant::now() + Duration::from_secs(30);
    while Instant::now() < patience {
        let leads = |node: &&usize| {
            let status = *cluster.handle(**node).status().borrow();
            status.leads_from.is_some() && status.high_watermark > status.leads_from
        };
        if let Some(leader) = nodes.iter().find(leads) {
            return *leader;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("none of them leads");
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
    make_lead(&mut cluster, wiped);
    assert_known(&cluster, base);
}

/// A leader writes alone, stands still, and goes on when a snapshot has taken the place of what
/// others wrote meanwhile: one that ends before its own tail does.
#[test]
fn a_leader_that_others_went_on_without_knows_what_they_wrote() {
    let mut cluster = start(3);
    let mut client = cluster.client();
    assert_eq!(client.produce(first_batch()).0, 0);
    let old = cluster.leader();
    let others: Vec<usize> = (0..3).filter(|node| *node != old).collect();
    for other in &others {
        cluster.kill(*other);
    }
    let lost = || batch(PRODUCER + 1, 0, 0, &["nobody else has it"]);
    client.send(9, &produce(-1, lost()));
    client.send(9, &produce(-1, batch(-1, 0, 0, &["x"; 5_000])));
    cluster.wait_for(old, |driver| driver.log().end() > 5_000);
    let (go_on, stand_still) = mpsc::channel::<()>();
    let stopped = cluster.handle(old).command(move |_, _| {
        // Also when the test fails before it says so.
        let _ = stand_still.recv();
        Ok(())
    });
    stopped.expect("it runs");
    for other in &others {
        cluster.start_node(*other);
    }
    let next = leader_among(&cluster, &others);
    let mut client = Client::connect(cluster.address(next));
    let kept = || batch(PRODUCER + 2, 0, 0, &["acknowledged"]);
    let (error, base) = client.produce(kept());
    assert_eq!(error, 0);
    write_until(&cluster, &mut client, 1_000, |cluster| {
        cluster.look(next, move |driver| driver.node().log_start() > base)
    });
    drop(go_on);
    cluster.wait_for(old, move |driver| driver.log().start() > base);
    assert!(cluster.look(old, |driver| driver.log().start() < 5_000));
    make_lead(&mut cluster, old);
    let mut client = cluster.client();
    assert_eq!(client.produce(kept()), (0, base), "it is a duplicate");
    let (error, written) = client.produce(lost());
    assert_eq!(error, 0);
    assert!(written > base, "no log has what was there at {written}");
}

/// By the time of snapshots, not by what clients say of their records.
#[test]
fn retention_goes_by_the_nodes_own_clock() {
    const HOUR: &str = "3600000";
    let start = |retention_ms| {
        let properties = [
            ("metadata.log.max.record.bytes.between.snapshots", "20000"),
            ("metadata.max.retention.bytes", "-1"),
            ("metadata.max.retention.ms", retention_ms),
            // Any time is taken.
            ("log.message.timestamp.after.max.ms", "9223372036854775807"),
        ];
        Cluster::start(1, Topic::performance_test(), &properties)
    };
    let (of_1970, of_3000) = (1_000, 32_503_680_000_000);
    let cluster = start(HOUR);
    write_until(&cluster, &mut cluster.client(), of_1970, |cluster| {
        cluster.look(0, |driver| driver.node().snapshots().count() >= 3)
    });
    assert_eq!(cluster.look(0, |driver| driver.node().log_start()), 0);
    let cluster = start("1");
    write_until(&cluster, &mut cluster.client(), of_3000, |cluster| {
        cluster.look(0, |driver| driver.node().log_start() > 0)
    });
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
