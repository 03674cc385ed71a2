//! Nothing leaves before what it depends on is durable, or after that failed.

use kwire_protocol::records::NewRecord;

use super::stores::*;
use crate::driver::{Barrier, Disk, DriverError, MemoryLog, MemoryState};
use crate::message::Response;
use crate::node::tests::messages::*;
use crate::node::{Event, RoleName};
use crate::types::{OffsetAndEpoch, QuorumState};

const BOTH: [Disk; 2] = [Disk::Synchronous, Disk::Asynchronous];

/// Node 0 of three voters follows node 1 in epoch 5, and its Fetch is under way.
fn follower(disk: Disk) -> (Machine, crate::node::CallId) {
    let mut machine = Machine::new(config_of(0, &[0, 1, 2]), disk);
    machine.settle();
    machine.request(1, begin(1, 5));
    let said = machine.settle();
    let (call, offset) = fetch_in(&said).expect("it fetches");
    assert_eq!(offset, 0);
    (machine, call)
}

fn records(machine: &mut Machine, call: crate::node::CallId) -> bool {
    let records = batch(0, 5, &[b"a"]);
    let response = fetched(1, 5, |partition| partition.records = Some(records.into()));
    machine.answer(call, response)
}

#[test]
fn an_answer_names_an_epoch_that_is_saved() {
    for disk in BOTH {
        let mut machine = Machine::new(config_of(0, &[0, 1, 2]), disk);
        machine.settle();
        let (token, _) = machine.request(1, begin(1, 5));
        let said = machine.said();
        let answered = |said: &Said| matches!(said, Said::Answered(of, _) if *of == token);
        assert!(said.iter().any(answered));
        let saved = machine.driver.state().memory.saved().expect("it saved");
        assert_eq!((saved.epoch, saved.leader), (5, Some(1)));
    }
}

#[test]
fn nothing_leaves_when_saving_fails() {
    for disk in BOTH {
        let mut machine = Machine::new(config_of(0, &[0, 1, 2]), disk);
        machine.settle();
        machine.switch.fail(Fault::Save);
        let (_, is_stored) = machine.request(1, begin(1, 5));
        assert!(!is_stored);
        let (said, sync, news) = machine.effects();
        assert!(said.is_empty() && sync.is_none() && news.is_empty());
        let stopped = machine.driver.timeout(machine.now);
        assert!(matches!(stopped, Err(DriverError::Stopped)));
        let (_, is_stored) = machine.request(1, begin(1, 6));
        assert!(!is_stored, "not even what needs no disk");
        let refused = machine.driver.command(machine.now, |_| ());
        assert!(matches!(refused, Err(DriverError::Stopped)));
    }
}

/// KAFKA-10533, KAFKA-13884.
#[test]
fn nothing_leaves_when_appending_or_syncing_fails() {
    for fault in [Fault::Append, Fault::Sync] {
        let (mut machine, call) = follower(Disk::Synchronous);
        machine.switch.fail(fault);
        assert!(!records(&mut machine, call), "{fault:?}");
        assert!(machine.said().is_empty(), "no acknowledgement");
    }
    let (mut machine, call) = follower(Disk::Asynchronous);
    machine.switch.fail(Fault::Append);
    assert!(!records(&mut machine, call));
    assert!(machine.said().is_empty());

    let (mut machine, call) = follower(Disk::Asynchronous);
    machine.switch.fail(Fault::Sync);
    assert!(records(&mut machine, call), "nobody knows yet");
    let (said, sync, _) = machine.effects();
    assert!(said.is_empty());
    let (id, barrier) = sync.expect("it syncs");
    let outcome = machine.driver.synced(machine.now, id, barrier.sync());
    assert!(matches!(outcome, Err(DriverError::Log(Failure))));
    assert!(machine.said().is_empty());
}

#[test]
fn other_failures_of_the_log_stop_the_driver_as_well() {
    let (mut machine, call) = follower(Disk::Synchronous);
    records(&mut machine, call);
    let (call, _) = fetch_in(&machine.said()).expect("it fetches on");
    machine.switch.fail(Fault::Truncate);
    let diverging = fetched(1, 5, |partition| {
        partition.diverging_epoch.epoch = 0;
        partition.diverging_epoch.end_offset = 0;
    });
    assert!(!machine.answer(call, diverging));
    assert!(machine.said().is_empty());

    let mut leader = Machine::new(config_of(0, &[0]), Disk::Synchronous);
    leader.settle();
    leader.switch.fail(Fault::Read);
    let epoch = leader.driver.node().epoch();
    let (_, is_read) = leader.request(18, fetch(-1, epoch, 0, 0).into());
    assert!(!is_read);
    assert!(leader.said().is_empty());
}

/// A leader that lies does not stop the node.
#[test]
fn a_log_is_not_cut_within_a_batch() {
    let (mut machine, call) = follower(Disk::Synchronous);
    let two = batch(0, 5, &[b"a", b"b"]);
    machine.answer(call, fetched(1, 5, |p| p.records = Some(two.into())));
    let (call, _) = fetch_in(&machine.said()).expect("it fetches on");
    let cut = |to| {
        fetched(1, 5, |partition| {
            partition.diverging_epoch.epoch = 5;
            partition.diverging_epoch.end_offset = to;
        })
    };
    assert!(machine.answer(call, cut(1)));
    assert_eq!(machine.driver.node().log_end().offset, 2);
    machine.now = machine.now.plus(20);
    machine.driver.timeout(machine.now).expect("it works");
    let (call, _) = fetch_in(&machine.said()).expect("it asks again");
    assert!(machine.answer(call, cut(0)));
    assert_eq!(machine.driver.node().log_end().offset, 0);
}

#[test]
fn an_acknowledgement_waits_for_its_barrier() {
    let (mut machine, call) = follower(Disk::Asynchronous);
    assert!(records(&mut machine, call));
    let (said, sync, _) = machine.effects();
    assert!(said.is_empty(), "the next fetch acknowledges the record");
    let (id, barrier) = sync.expect("it syncs");
    assert_eq!(machine.driver.node().flushed(), 0);
    machine
        .driver
        .synced(machine.now, id, barrier.sync())
        .expect("it works");
    assert_eq!(fetch_in(&machine.said()).map(|(_, from)| from), Some(1));
    assert_eq!(machine.driver.node().flushed(), 1);

    let (mut machine, call) = follower(Disk::Synchronous);
    assert!(records(&mut machine, call));
    let (said, sync, _) = machine.effects();
    assert!(sync.is_none());
    assert_eq!(fetch_in(&said).map(|(_, from)| from), Some(1));
    let (mut log, _) = machine.driver.into_stores();
    assert_eq!(log.memory.durable_end(), 1, "already");
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

#[test]
fn one_barrier_at_a_time_and_what_comes_meanwhile_shares_the_next() {
    let mut leader = Machine::new(config_of(0, &[0]), Disk::Asynchronous);
    leader.settle();
    append(&mut leader, b"a");
    let (_, first, _) = leader.effects();
    let (id, barrier) = first.expect("it syncs");
    append(&mut leader, b"b");
    leader.now = leader.now.plus(25);
    leader.driver.timeout(leader.now).expect("it works");
    append(&mut leader, b"c");
    leader.now = leader.now.plus(25);
    leader.driver.timeout(leader.now).expect("it works");
    assert_eq!(leader.driver.node().log_end().offset, 4);
    let (_, sync, _) = leader.effects();
    assert!(sync.is_none(), "one is being run");
    leader
        .driver
        .synced(leader.now, id, barrier.sync())
        .expect("it works");
    let committed = |machine: &Machine| machine.driver.node().high_watermark();
    assert_eq!(committed(&leader), Some(2), "no more than it covered");
    let (_, second, _) = leader.effects();
    let (id, barrier) = second.expect("there is more");
    leader
        .driver
        .synced(leader.now, id, barrier.sync())
        .expect("it works");
    assert_eq!(committed(&leader), Some(4));
    assert!(leader.effects().1.is_none());
}

#[test]
fn what_needs_no_disk_leaves_while_a_barrier_is_run() {
    let mut leader = Machine::new(config_of(0, &[0]), Disk::Asynchronous);
    leader.settle();
    append(&mut leader, b"a");
    let (_, sync, _) = leader.effects();
    sync.expect("it syncs");
    let (token, _) = leader.request(2, describe(TOPIC, 0).into());
    assert!(matches!(leader.said()[..], [Said::Answered(of, _)] if of == token));
}

#[test]
fn answers_with_records_have_them() {
    for disk in BOTH {
        let mut leader = Machine::new(config_of(0, &[0]), disk);
        leader.settle();
        append(&mut leader, b"a");
        leader.settle();
        let epoch = leader.driver.node().epoch();
        let read = |leader: &mut Machine, max_bytes| {
            let mut request = fetch(-1, epoch, 0, 0);
            request.max_bytes = max_bytes;
            leader.request(18, request.into());
            match leader.settle().pop() {
                Some(Said::Answered(_, Response::Fetch(mut response))) => {
                    let partition = response.responses.remove(0).partitions.remove(0);
                    partition.records.expect("records").into_bytes().len()
                }
                other => panic!("{other:?}"),
            }
        };
        let one = read(&mut leader, 0);
        assert!(one > 0, "at least one batch");
        let all = read(&mut leader, 1 << 20);
        assert!(all > one);
        assert_eq!(
            read(&mut leader, i32::try_from(all).expect("small") - 1),
            one
        );
    }
}

fn download(machine: &mut Machine, call: crate::node::CallId, bytes: bytes::Bytes) -> bool {
    let id = OffsetAndEpoch::new(10, 3);
    let size = i64::try_from(bytes.len()).expect("small");
    let named = fetched(1, 5, |partition| {
        partition.snapshot_id.end_offset = id.offset;
        partition.snapshot_id.epoch = id.epoch;
    });
    machine.answer(call, named);
    let call = machine.said().into_iter().find_map(|said| match said {
        Said::Asked(call, crate::message::Request::FetchSnapshot(_)) => Some(call),
        _ => None,
    });
    let mut part = snapshot_part(1, 5, (id, size), 0, b"");
    part.unaligned_records = bytes.into();
    machine.answer(call.expect("it asks"), snapshot_fetched(part))
}

#[test]
fn a_snapshot_is_installed_or_refused_or_the_end() {
    let id = OffsetAndEpoch::new(10, 3);
    let (mut machine, call) = follower(Disk::Synchronous);
    assert!(download(&mut machine, call, snapshot(id)));
    let (said, _, news) = machine.effects();
    assert_eq!(fetch_in(&said).map(|(_, from)| from), Some(10));
    assert!(news.contains(&Event::SnapshotInstalled { id }));
    assert_eq!(machine.driver.log().memory.start(), 10);

    let (mut machine, call) = follower(Disk::Synchronous);
    let mut damaged = snapshot(id).to_vec();
    damaged[70] ^= 1;
    assert!(download(&mut machine, call, damaged.into()), "it goes on");
    let (_, _, news) = machine.effects();
    assert!(matches!(news[..], [Event::PeerMisbehaved { .. }]));
    assert_eq!(machine.driver.node().log_end().offset, 0);

    let (mut machine, call) = follower(Disk::Synchronous);
    machine.switch.fail(Fault::Install);
    assert!(!download(&mut machine, call, snapshot(id)));
    assert!(machine.said().is_empty());
}

#[test]
fn a_snapshot_of_ones_own_is_served_once_it_is_finished() {
    let mut leader = Machine::new(config_of(0, &[0]), Disk::Synchronous);
    leader.settle();
    let context = leader.driver.node().prepare_snapshot(1);
    let id = context.expect("it is committed").id;
    let bytes = snapshot(id);
    leader
        .driver
        .write_snapshot(id, 0, &bytes)
        .expect("it works");
    let epoch = leader.driver.node().epoch();
    let ask = |leader: &mut Machine| {
        leader.request(1, fetch_snapshot(7, epoch, id, 0).into());
        match leader.said().pop() {
            Some(Said::Answered(_, Response::FetchSnapshot(mut response))) => {
                response.topics.remove(0).partitions.remove(0)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(ask(&mut leader).error_code, 0, "not yet");
    let finished = leader.driver.finish_snapshot(leader.now, id);
    let info = finished.expect("it works").expect("the node wants it");
    assert_eq!(info.size, bytes.len() as u64);
    let part = ask(&mut leader);
    assert_eq!(part.unaligned_records.into_bytes(), bytes);

    leader.switch.fail(Fault::Finish);
    let failed = leader.driver.finish_snapshot(leader.now, id);
    assert!(matches!(failed, Err(DriverError::Log(Failure))));
    let stopped = leader.driver.write_snapshot(id, 0, &bytes);
    assert!(matches!(stopped, Err(DriverError::Stopped)));
}

/// KAFKA-10527.
#[test]
fn a_restart_begins_where_the_stores_are() {
    let mut leader = Machine::new(config_of(0, &[0]), Disk::Synchronous);
    leader.settle();
    append(&mut leader, b"a");
    let epoch = leader.driver.node().epoch();
    let (log, state) = leader.driver.into_stores();
    let (mut log, state): (MemoryLog, MemoryState) = (log.memory, state.memory);
    let saved: Option<QuorumState> = state.saved();
    assert_eq!(saved.map(|s| (s.epoch, s.leader)), Some((epoch, Some(0))));
    log.crash(0);
    let again = Machine::on(config_of(0, &[0]), Disk::Synchronous, log, state);
    let node = again.driver.node();
    assert_eq!(node.role(), RoleName::Leader);
    assert_eq!(node.epoch(), epoch + 1, "never twice in one epoch");
    assert_eq!(node.log_end().offset, 3, "what was committed, and its own");
}
