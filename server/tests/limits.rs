//! What connections may cost, and that one cannot take it from the others.

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use common::{Client, Cluster, batch, fetch, produce};
use kwire_protocol::messages::*;
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

/// A node whose room for requests, and that for answers, is a million bytes, with a record that
/// takes a tenth of it.
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
