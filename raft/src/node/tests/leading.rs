//! The leader: how far the log is committed, whether a majority follows, and giving up.

use kwire_protocol::ErrorCode;
use kwire_protocol::messages::leader_change_message;
use kwire_protocol::records::control::ControlMessage;

use super::harness::*;
use super::states::*;
use crate::config::Config;
use crate::control::Control;
use crate::node::{AppendError, DiskOp, Event, Incoming, IoId, Node, Output, RoleName, Token};
use crate::types::{NodeId, Offset, Recovered};
use crate::voters::VoterSet;

const NONE: ErrorCode = ErrorCode::NONE;

/// A leader of some voters, and where its log ended before its first record.
fn leader(voters: &[NodeId]) -> Harness {
    State::Leader.reach_with(voters)
}

/// A voter fetches from an offset: it has what is before.
fn fetches(h: &mut Harness, id: NodeId, offset: Offset) -> ErrorCode {
    let last_epoch = if offset > END { EPOCH } else { LAST_EPOCH };
    let (token, outputs) = h.request(17, fetch(key(id), EPOCH, offset, last_epoch, 0));
    fetch_error(&reply_to(token, &outputs).expect("an answer"))
}

/// KAFKA-12619: nothing counts as committed before a record of the leader's own epoch.
#[test]
fn the_high_watermark_waits_for_the_leaders_first_record() {
    let mut h = leader(&[0, 1, 2]);
    assert_eq!(h.node.epoch_start(), Some(END));
    for offset in [END - 1, END] {
        assert_eq!(fetches(&mut h, 1, offset), NONE);
        assert_eq!(h.node.high_watermark(), None, "{offset}");
    }
    fetches(&mut h, 1, END + 1);
    assert_eq!(h.node.high_watermark(), Some(END + 1));
}

#[test]
fn the_high_watermark_is_what_a_majority_of_each_size_has() {
    for size in 1..=5 {
        let voters: Vec<NodeId> = (0..size).collect();
        let mut h = leader(&voters);
        for id in 1..=size / 2 {
            assert_eq!(h.node.high_watermark(), None, "{id} of {size}");
            fetches(&mut h, id, END + 1);
        }
        assert_eq!(h.node.high_watermark(), Some(END + 1), "{size}");
    }
}

#[test]
fn observers_and_other_directories_commit_nothing() {
    let voters: VoterSet = [voter(0), voter(1), voter(2)].into_iter().collect();
    let mut recovered = stored(EPOCH - 1, None, None);
    recovered.controls = vec![(1, Control::KRaftVersion(1)), (2, Control::Voters(voters))];
    let mut h = Harness::with(config(0, &[]), recovered);
    h.settle();
    h.elect_asking();
    fetches(&mut h, 7, END + 1);
    fetches(&mut h, 8, END + 1);
    let mut other_disk = key(1);
    other_disk.directory_id = Some(directory(50));
    h.request(17, fetch(other_disk, EPOCH, END + 1, EPOCH, 0));
    let nobody = fetch(
        crate::types::ReplicaKey {
            id: -1,
            directory_id: None,
        },
        EPOCH,
        END + 1,
        EPOCH,
        0,
    );
    h.request(17, nobody);
    assert_eq!(h.node.high_watermark(), None);
    fetches(&mut h, 1, END + 1);
    assert_eq!(h.node.high_watermark(), Some(END + 1));
}

#[test]
fn the_high_watermark_never_goes_back() {
    let mut h = leader(&[0, 1, 2]);
    h.node
        .append(h.now, EPOCH, &[&b"v"[..]; 3])
        .expect("it leads");
    h.node.handle_timeout(h.now);
    h.settle();
    fetches(&mut h, 1, END + 4);
    assert_eq!(h.node.high_watermark(), Some(END + 4));
    // KAFKA-15312: it lost its disk, or the end of it.
    for offset in [END + 2, 3] {
        fetches(&mut h, 1, offset);
        assert_eq!(h.node.high_watermark(), Some(END + 4), "{offset}");
    }
}

/// KAFKA-12181: a voter that lost its disk is served again, and counts for what it has now, not for
/// what it once had.
#[test]
fn a_voter_that_fell_back_is_served_and_counts_for_what_it_has() {
    let mut h = leader(&[0, 1, 2, 3, 4]);
    assert_eq!(fetches(&mut h, 1, END + 1), NONE);
    assert_eq!(fetches(&mut h, 1, 3), NONE);
    fetches(&mut h, 2, END + 1);
    assert_eq!(h.node.high_watermark(), None, "two of five have it");
    assert_eq!(fetches(&mut h, 1, END + 1), NONE);
    assert_eq!(h.node.high_watermark(), Some(END + 1));
}

/// The leader counts its own records once they are durable.
#[test]
fn the_leaders_own_records_count_once_they_are_durable() {
    let mut h = Harness::with(config(0, &[0]), stored(EPOCH - 1, None, None));
    assert_eq!(h.node.role(), RoleName::Leader);
    assert_eq!(h.node.high_watermark(), None, "nothing was synced yet");
    h.settle();
    assert_eq!(h.node.high_watermark(), Some(END + 1));

    // Of three, one other has it: that is one.
    let mut h = leader(&[0, 1, 2]);
    fetches(&mut h, 1, END + 1);
    h.node.append(h.now, EPOCH, &[b"v"]).expect("it leads");
    h.node.handle_timeout(h.now);
    let outputs = h.drain();
    let append = outputs.iter().find_map(|output| match output {
        Output::Disk { id, .. } => Some(*id),
        _ => None,
    });
    let incoming = Incoming {
        token: Token(55),
        version: 17,
        request: fetch(key(1), EPOCH, END + 2, EPOCH, 500),
    };
    h.node.handle_request(h.now, incoming);
    assert_eq!(h.node.high_watermark(), Some(END + 1));
    h.node.handle_disk(h.now, append.expect("an append"));
    assert_eq!(h.node.high_watermark(), Some(END + 2));
}

/// KAFKA-16530: a leader that is no voter counts the voters alone.
#[test]
fn a_leader_outside_the_voter_set_does_not_count_itself() {
    let mut h = leader(&[0, 1, 2]);
    fetches(&mut h, 1, END + 1);
    let others = [voter(1), voter(2)].into_iter().collect();
    let change = crate::control::NewControl::Control(Control::Voters(others));
    h.node.append_controls(&[change]);
    h.settle();
    assert_eq!(h.node.log_end().offset, END + 2);
    fetches(&mut h, 1, END + 2);
    assert_eq!(h.node.high_watermark(), Some(END + 1), "one of two");
    let (_, outputs) = h.request(17, fetch(key(2), EPOCH, END + 2, EPOCH, 0));
    let committed = Event::Committed { upto: END + 2 };
    assert!(events(&outputs).contains(&committed), "both: {outputs:?}");
    assert_eq!(
        h.node.role(),
        RoleName::Resigned,
        "it is not needed any more"
    );
}

#[test]
fn all_who_wait_hear_of_a_new_high_watermark() {
    let mut h = leader(&[0, 1, 2, 3, 4]);
    let (first, outputs) = h.request(17, fetch(key(1), EPOCH, END + 1, EPOCH, 500));
    assert_eq!(reply_to(first, &outputs), None, "two of five");
    let (second, outputs) = h.request(17, fetch(key(2), EPOCH, END + 1, EPOCH, 500));
    let reply = reply_to(first, &outputs).expect("three of five");
    assert_eq!(fetch_error(&reply), NONE);
    assert_eq!(reply_to(second, &outputs), None, "it says what it knows");
    let outputs = h.pass(500);
    assert!(
        reply_to(second, &outputs).is_some(),
        "it waited long enough"
    );
}

/// KAFKA-15489: a leader that no majority fetches from gives up after one and a half fetch
/// timeouts.
#[test]
fn a_leader_without_a_majority_resigns() {
    let mut h = leader(&[0, 1, 2]);
    h.pass(2_999);
    assert_eq!(h.node.role(), RoleName::Leader);
    h.pass(1);
    assert_eq!(h.state(), (RoleName::Resigned, EPOCH, Some(0), None));
}

#[test]
fn who_keeps_a_leader_leading() {
    /// Which voters fetch, every second, and whether the leader stays.
    const CASES: [(&[NodeId], &[NodeId], bool); 7] = [
        (&[0], &[], true),
        (&[0, 1], &[], false),
        (&[0, 1], &[1], true),
        (&[0, 1, 2], &[2], true),
        (&[0, 1, 2], &[7, 8], false),
        (&[0, 1, 2, 3, 4], &[1], false),
        (&[0, 1, 2, 3, 4], &[1, 4], true),
    ];
    for (voters, fetching, stays) in CASES {
        let mut h = leader(voters);
        for _ in 0..8 {
            h.pass(1_000);
            if h.node.role() == RoleName::Leader {
                for &id in fetching {
                    fetches(&mut h, id, 0);
                }
            }
        }
        let is_leader = h.node.role() == RoleName::Leader;
        assert_eq!(is_leader, stays, "{voters:?} {fetching:?}");
    }
}

#[test]
fn the_same_voter_twice_is_no_majority() {
    let mut h = leader(&[0, 1, 2, 3, 4]);
    for _ in 0..5 {
        fetches(&mut h, 1, 0);
        h.pass(600);
    }
    assert_eq!(h.node.role(), RoleName::Resigned);
}

#[test]
fn a_fetch_that_fails_keeps_nobody_leading() {
    let mut h = leader(&[0, 1, 2]);
    for _ in 0..3 {
        h.request(17, fetch(key(1), EPOCH - 1, 0, 0, 0));
        h.request(17, fetch(key(1), EPOCH + 1, 0, 0, 0));
        h.pass(1_000);
    }
    assert_eq!(h.node.role(), RoleName::Resigned);
}

#[test]
fn who_waits_for_a_leader_hears_of_its_end_once_that_is_saved() {
    type End = fn(&mut Node, crate::types::Instant);
    let resign: End = |node, now| node.resign(now, EPOCH);
    let newer_leader: End = |node, now| {
        let request = super::states::begin(2, EPOCH + 1).into();
        let token = Token(77);
        let version = 1;
        node.handle_request(
            now,
            Incoming {
                token,
                version,
                request,
            },
        );
    };
    let newer_vote: End = |node, now| {
        let request = vote(2, EPOCH + 1, false).into();
        let token = Token(77);
        let version = 2;
        node.handle_request(
            now,
            Incoming {
                token,
                version,
                request,
            },
        );
    };
    for (end, epoch, leader_after) in [
        (resign, EPOCH, 0),
        (newer_leader, EPOCH + 1, 2),
        (newer_vote, EPOCH + 1, -1),
    ] {
        let mut h = leader(&[0, 1, 2]);
        fetches(&mut h, 1, END + 1);
        let (token, outputs) = h.request(17, fetch(key(1), EPOCH, END + 1, EPOCH, 5_000));
        assert_eq!(reply_to(token, &outputs), None);
        end(&mut h.node, h.now);
        let outputs = h.drain();
        let saved: Option<IoId> = outputs.iter().find_map(|output| match output {
            Output::Disk {
                id,
                op: DiskOp::SaveQuorumState { .. },
            } => Some(*id),
            _ => None,
        });
        assert_eq!(saved.is_some(), epoch > EPOCH);
        let gate = outputs.iter().find_map(|output| match output {
            Output::Reply {
                after, token: of, ..
            } if *of == token => Some(*after),
            _ => None,
        });
        assert_eq!(gate, Some(saved));
        let crate::message::Response::Fetch(reply) = reply_to(token, &outputs).expect("told")
        else {
            panic!("not a fetch");
        };
        let partition = &reply.responses[0].partitions[0];
        assert_eq!(
            ErrorCode(partition.error_code),
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        );
        let named = &partition.current_leader;
        assert_eq!((named.leader_id, named.leader_epoch), (leader_after, epoch));
    }
}

/// The commit of its own removal ends a leader in the middle of a fetch, which is answered.
#[test]
fn the_fetch_that_ends_a_leader_is_answered() {
    let voters: VoterSet = [voter(0), voter(1), voter(2)].into_iter().collect();
    let mut recovered = stored(EPOCH - 1, None, None);
    recovered.controls = vec![(1, Control::KRaftVersion(1)), (2, Control::Voters(voters))];
    let mut h = Harness::with(config(0, &[]), recovered);
    h.settle();
    h.elect_asking();
    fetches(&mut h, 1, END + 1);
    let remove = kwire_protocol::messages::RemoveRaftVoterRequest {
        cluster_id: Some("cluster".into()),
        voter_id: 0,
        voter_directory_id: directory(0),
        ..Default::default()
    };
    h.request(0, crate::message::Request::RemoveRaftVoter(remove));
    assert_eq!(
        h.node.log_end().offset,
        END + 2,
        "the removal is in the log"
    );
    fetches(&mut h, 1, END + 2);
    assert_eq!(h.node.role(), RoleName::Leader, "one of two");
    let (token, outputs) = h.request(17, fetch(key(2), EPOCH, END + 2, EPOCH, 500));
    assert_eq!(h.node.role(), RoleName::Resigned);
    let reply = reply_to(token, &outputs).expect("an answer");
    assert_eq!(fetch_error(&reply), ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn an_application_resigns_its_own_epoch_only() {
    for state in State::ALL {
        for epoch in [EPOCH - 1, EPOCH, EPOCH + 1] {
            let mut h = state.reach();
            h.node.resign(h.now, epoch);
            h.settle();
            let expected = if state == State::Leader && epoch == EPOCH {
                RoleName::Resigned
            } else {
                state.role()
            };
            assert_eq!(h.node.role(), expected, "{state:?} {epoch}");
            assert_eq!(h.node.epoch(), EPOCH);
        }
    }
}

#[test]
fn a_lone_voter_that_resigns_leads_again_but_another_epoch() {
    let mut h = Harness::with(config(0, &[0]), Recovered::default());
    h.settle();
    let epoch = h.node.epoch();
    h.node.resign(h.now, epoch);
    h.settle();
    assert_eq!(h.node.role(), RoleName::Resigned);
    h.pass_election_timer();
    assert_eq!(h.state(), (RoleName::Leader, epoch + 2, Some(0), None));
}

#[test]
fn the_first_batch_names_who_voted() {
    let mut h = Harness::with(
        Config {
            epoch_millis: 1_000_000,
            ..config(0, &[0, 1, 2])
        },
        stored(EPOCH, None, Some(key(0))),
    );
    let outputs = h.settle();
    let (call, _, _) = calls(&outputs).remove(1);
    let outputs = h.answer(call, vote_response(EPOCH, None, true));
    let batch = disk_ops(&outputs).into_iter().find_map(|op| match op {
        DiskOp::Append { base, batches } => Some((base, batches)),
        _ => None,
    });
    let (base, bytes) = batch.expect("its first record");
    assert_eq!(base, END);
    let mut batches = kwire_protocol::records::Batches::validated(&bytes);
    let batch = batches.next().expect("one").expect("whole");
    let header = batch.header().expect("of magic 2");
    assert_eq!(
        (header.base_offset, header.partition_leader_epoch),
        (END, EPOCH)
    );
    assert!(header.attributes.is_control());
    let mut scratch = Vec::new();
    let records = batch.records(&mut scratch, &kwire_protocol::records::Limits::default());
    let record = records.expect("plain").next().expect("one").expect("good");
    let Ok(ControlMessage::LeaderChange(change)) = ControlMessage::read(&record) else {
        panic!("not a leader change");
    };
    let ids = |voters: &[leader_change_message::Voter]| {
        voters.iter().map(|v| v.voter_id).collect::<Vec<_>>()
    };
    assert_eq!(change.leader_id, 0);
    assert_eq!(ids(&change.voters), [0, 1, 2]);
    assert_eq!(ids(&change.granting_voters), [0, 2]);
    let told = Event::Leader {
        epoch: EPOCH,
        leader: Some(0),
    };
    assert!(events(&outputs).contains(&told));
}

#[test]
fn a_leader_says_so_once_it_is_saved() {
    let (mut h, calls) = State::Candidate.reach_asking(&[0, 1, 2]);
    let response = vote_response(EPOCH, None, true);
    h.node.handle_answer(h.now, calls[0].0, Ok(response.into()));
    let outputs = h.drain();
    let saved = outputs.iter().find_map(|output| match output {
        Output::Disk {
            id,
            op: DiskOp::SaveQuorumState { .. },
        } => Some(*id),
        _ => None,
    });
    assert!(saved.is_some());
    for output in &outputs {
        if let Output::Send { after, .. } = output {
            assert_eq!(*after, saved);
        }
    }
    assert_eq!(asked(&outputs), [(1, "begin"), (2, "begin")]);
    let incoming = Incoming {
        token: Token(55),
        version: 17,
        request: fetch(key(1), EPOCH, END, LAST_EPOCH, 0),
    };
    h.node.handle_request(h.now, incoming);
    let gate = h.drain().into_iter().find_map(|output| match output {
        Output::ReplyWithLog { after, .. } => Some(after),
        _ => None,
    });
    assert_eq!(gate, Some(saved), "its records neither");
}

#[test]
fn who_led_takes_no_records_any_more() {
    let mut h = leader(&[0, 1, 2]);
    let record: [&[u8]; 1] = [b"v"];
    let wrong = h.node.append(h.now, EPOCH + 1, &record);
    assert_eq!(wrong, Err(AppendError::WrongEpoch { epoch: EPOCH }));
    h.node.append(h.now, EPOCH, &record).expect("it leads");
    h.request(1, begin(2, EPOCH + 1).into());
    let (epoch, leader) = (EPOCH + 1, Some(2));
    let refused = h.node.append(h.now, EPOCH, &record);
    assert_eq!(refused, Err(AppendError::NotLeader { epoch, leader }));
    assert_eq!(h.node.log_end().offset, END + 1, "what waited is gone");
}
