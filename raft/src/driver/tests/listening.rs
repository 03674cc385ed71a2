//! What a listener hears.

use kwire_protocol::records::NewRecord;

use super::stores::*;
use crate::driver::{Disk, Listener, ListenerEvent, MemoryLog, MemoryState};
use crate::node::RoleName;
use crate::node::tests::messages::*;
use crate::types::{NodeId, Offset, OffsetAndEpoch};

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Load(Offset),
    Bootstrap,
    Commit(Offset, Offset),
    Leader(i32, Option<NodeId>),
    Shutdown,
}

fn hear(listener: &mut Listener, machine: &Machine) -> Vec<Heard> {
    let mut all = Vec::new();
    while let Some(event) = listener.poll(&machine.driver, 1).expect("it works") {
        all.push(match event {
            ListenerEvent::LoadSnapshot { id } => Heard::Load(id.offset),
            ListenerEvent::LoadBootstrap { .. } => Heard::Bootstrap,
            ListenerEvent::Commit { base, end, .. } => Heard::Commit(base, end),
            ListenerEvent::LeaderChange { epoch, leader } => Heard::Leader(epoch, leader),
            ListenerEvent::BeginShutdown => Heard::Shutdown,
        });
    }
    all
}

fn append(machine: &mut Machine, value: &[u8]) {
    let epoch = machine.driver.node().epoch();
    let record = NewRecord {
        value: Some(value),
        ..Default::default()
    };
    let appended = machine.driver.append(machine.now, epoch, &[record]);
    appended.expect("it works").expect("it leads");
    machine.driver.timeout(machine.now).expect("it works");
}

fn lone_leader(disk: Disk) -> Machine {
    let mut machine = Machine::new(config_of(0, &[0]), disk);
    if disk == Disk::Synchronous {
        machine.settle();
    }
    machine
}

#[test]
fn a_leader_hears_of_itself_once_it_has_heard_of_everything_before() {
    let mut machine = lone_leader(Disk::Asynchronous);
    let mut listener = Listener::new();
    assert_eq!(machine.driver.node().role(), RoleName::Leader);
    assert_eq!(
        hear(&mut listener, &machine),
        [Heard::Leader(1, None)],
        "its first record is not committed"
    );
    machine.settle();
    let expected = [Heard::Commit(0, 1), Heard::Leader(1, Some(0))];
    assert_eq!(hear(&mut listener, &machine), expected);
    assert_eq!(hear(&mut listener, &machine), []);
}

#[test]
fn every_batch_comes_once_and_in_order() {
    let mut machine = lone_leader(Disk::Synchronous);
    let mut listener = Listener::new();
    hear(&mut listener, &machine);
    for value in 0..3_u8 {
        append(&mut machine, &[value]);
    }
    let expected = [
        Heard::Commit(1, 2),
        Heard::Commit(2, 3),
        Heard::Commit(3, 4),
    ];
    assert_eq!(hear(&mut listener, &machine), expected);
    assert_eq!(listener.next_offset(), 4);
    // Who comes late, or comes again, begins at the beginning.
    let mut late = Listener::new();
    assert_eq!(hear(&mut late, &machine).len(), 5);
    assert_eq!(late.next_offset(), 4);
}

#[test]
fn several_batches_come_together_if_they_may() {
    let mut machine = lone_leader(Disk::Synchronous);
    append(&mut machine, b"a");
    let mut listener = Listener::new();
    let event = listener.poll(&machine.driver, 1 << 20).expect("it works");
    let Some(ListenerEvent::Commit { base, end, .. }) = event else {
        panic!("{event:?}");
    };
    assert_eq!((base, end), (0, 2));
}

/// Node 0 of three voters follows node 1 in epoch 5, and its Fetch is under way.
fn follower() -> (Machine, crate::node::CallId) {
    let mut machine = Machine::new(config_of(0, &[0, 1, 2]), Disk::Synchronous);
    machine.settle();
    machine.request(1, begin(1, 5));
    let (call, _) = fetch_in(&machine.settle()).expect("it fetches");
    (machine, call)
}

#[test]
fn a_follower_hears_of_what_is_committed() {
    let (mut machine, call) = follower();
    let mut listener = Listener::new();
    assert_eq!(hear(&mut listener, &machine), [Heard::Leader(5, Some(1))]);
    let records = [batch(0, 5, &[b"a", b"b"]), batch(2, 5, &[b"c"])].concat();
    let response = fetched(1, 5, |partition| {
        partition.records = Some(bytes::Bytes::from(records).into());
        partition.high_watermark = 2;
    });
    machine.answer(call, response);
    assert_eq!(hear(&mut listener, &machine), [Heard::Commit(0, 2)]);
    let (call, _) = fetch_in(&machine.said()).expect("it fetches on");
    machine.answer(
        call,
        fetched(1, 5, |partition| partition.high_watermark = 3),
    );
    assert_eq!(hear(&mut listener, &machine), [Heard::Commit(2, 3)]);
    // What is committed stays so whoever leads.
    machine.request(1, begin(2, 6));
    let expected = [Heard::Leader(6, Some(2))];
    assert_eq!(hear(&mut listener, &machine), expected);
    let mut late = Listener::new();
    let expected = [
        Heard::Commit(0, 2),
        Heard::Commit(2, 3),
        Heard::Leader(6, Some(2)),
    ];
    assert_eq!(hear(&mut late, &machine), expected);
}

#[test]
fn an_epoch_without_leader_is_news_and_each_epoch_at_most_twice() {
    let (mut machine, call) = follower();
    let mut listener = Listener::new();
    hear(&mut listener, &machine);
    let unknown = fetched(-1, 7, |partition| partition.error_code = 74);
    machine.answer(call, unknown);
    assert_eq!(hear(&mut listener, &machine), [Heard::Leader(7, None)]);
    machine.request(1, begin(2, 7));
    assert_eq!(hear(&mut listener, &machine), [Heard::Leader(7, Some(2))]);
    machine.request(1, begin(2, 7));
    assert_eq!(hear(&mut listener, &machine), []);
}

#[test]
fn a_leader_that_resigned_says_nothing_until_it_is_something_else() {
    let mut machine = lone_leader(Disk::Synchronous);
    let mut listener = Listener::new();
    hear(&mut listener, &machine);
    append(&mut machine, b"a");
    let now = machine.now;
    let resign = |node: &mut crate::node::Node| node.resign(now, node.epoch());
    machine.driver.command(now, resign).expect("it works");
    assert_eq!(machine.driver.node().role(), RoleName::Resigned);
    assert_eq!(hear(&mut listener, &machine), []);
    while machine.driver.node().role() != RoleName::Leader {
        machine.now = machine.now.max(machine.driver.poll_timeout());
        machine.driver.timeout(machine.now).expect("it works");
        machine.settle();
    }
    let epoch = machine.driver.node().epoch();
    let expected = [
        Heard::Commit(1, 2),
        Heard::Commit(2, 3),
        Heard::Leader(epoch, Some(0)),
    ];
    assert_eq!(hear(&mut listener, &machine), expected);
}

#[test]
fn a_snapshot_is_loaded_by_who_needs_it() {
    let id = OffsetAndEpoch::new(10, 1);
    let log = MemoryLog::with_snapshot(id, snapshot(id)).expect("a snapshot");
    let config = config_of(0, &[0]);
    let mut machine = Machine::on(config, Disk::Synchronous, log, MemoryState::new());
    let mut new = Listener::new();
    let expected = [
        Heard::Load(10),
        Heard::Commit(10, 11),
        Heard::Leader(2, Some(0)),
    ];
    assert_eq!(hear(&mut new, &machine), expected);
    append(&mut machine, b"a");
    // A later snapshot is for those who are behind its log alone.
    let mut behind = Listener::new();
    behind.poll(&machine.driver, 1).expect("it works");
    assert_eq!(behind.next_offset(), 10);
    let context = machine.driver.node().prepare_snapshot(12);
    let later = context.expect("it is committed").id;
    let bytes = snapshot(later);
    let now = machine.now;
    machine
        .driver
        .write_snapshot(later, 0, &bytes)
        .expect("it works");
    let finished = machine.driver.finish_snapshot(now, later);
    finished.expect("it works").expect("the node wants it");
    assert_eq!(hear(&mut new, &machine), [Heard::Commit(11, 12)]);
    let delete = |node: &mut crate::node::Node| node.delete_before(now, later);
    let deleted = machine.driver.command(now, delete).expect("it works");
    deleted.expect("there is one");
    assert_eq!(hear(&mut new, &machine), [], "it knows all of it");
    assert_eq!(
        hear(&mut behind, &machine),
        [Heard::Load(12), Heard::Leader(2, Some(0))]
    );
}

#[test]
fn the_bootstrap_checkpoint_is_no_snapshot_of_the_log() {
    let id = OffsetAndEpoch::BOOTSTRAP;
    let log = MemoryLog::with_snapshot(id, snapshot(id)).expect("a snapshot");
    let config = config_of(0, &[0]);
    let machine = Machine::on(config, Disk::Synchronous, log, MemoryState::new());
    let mut listener = Listener::new();
    let expected = [
        Heard::Bootstrap,
        Heard::Commit(0, 1),
        Heard::Leader(1, Some(0)),
    ];
    assert_eq!(hear(&mut listener, &machine), expected);
}

#[test]
fn everybody_hears_once_that_the_node_stops() {
    let (mut machine, _) = follower();
    let mut listener = Listener::new();
    hear(&mut listener, &machine);
    let now = machine.now;
    let stop = |node: &mut crate::node::Node| node.shut_down(now, 1_000);
    machine.driver.command(now, stop).expect("it works");
    assert_eq!(hear(&mut listener, &machine), [Heard::Shutdown]);
    assert_eq!(hear(&mut listener, &machine), []);
}
