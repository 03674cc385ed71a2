//! Fetching more while the disk is behind, and what a leader makes of it.

use kwire_protocol::ErrorCode;

use super::harness::{Harness, config, reply_to};
use super::messages::*;
use crate::extension;
use crate::message::{Request, Response};
use crate::node::{CallError, CallId, Incoming, IoId, Output, Token};
use crate::types::{Offset, Recovered};

/// A fetch that a follower sent: what it waits for, its offset, and what it says to be durable.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    after: Option<IoId>,
    offset: Offset,
    flushed: Offset,
}

/// Node 0 follows node 1 in epoch 5; its log ends at 20.
fn follower() -> (Harness, CallId) {
    let disk = with_log(Recovered::default(), &[(1, 0), (3, 10)], 20);
    let (h, call, _) = following(config(0, &[0, 1, 2]), disk, 1, 5);
    (h, call)
}

/// The leader answers with two records from an offset, and says where its log ends if it does.
/// Nothing becomes durable. What is written, and the next fetch.
fn take(
    h: &mut Harness,
    call: CallId,
    from: Offset,
    leaders_end: Option<Offset>,
) -> (IoId, CallId, Sent) {
    let response = fetched(1, 5, |partition| {
        partition.records = Some(batch(from, 4, &[b"a", b"b"]).into());
        if let Some(end) = leaders_end {
            extension::set_log_end(partition, end);
        }
    });
    h.node.handle_answer(h.now, call, Ok(response.into()));
    let outputs = h.drain();
    let written = outputs.iter().find_map(|output| match output {
        Output::Disk { id, .. } => Some(*id),
        _ => None,
    });
    let (call, sent) = fetch_in(&outputs);
    (written.expect("it writes"), call, sent)
}

fn fetch_in(outputs: &[Output]) -> (CallId, Sent) {
    let sent = outputs.iter().find_map(|output| match output {
        Output::Send {
            after,
            call,
            request: Request::Fetch(fetch),
            ..
        } => {
            let partition = &fetch.topics[0].partitions[0];
            let sent = Sent {
                after: *after,
                offset: partition.fetch_offset,
                flushed: extension::flushed(partition).expect("it is readable"),
            };
            Some((*call, sent))
        }
        _ => None,
    });
    sent.expect("it fetches")
}

#[test]
fn a_follower_asks_for_more_while_it_writes_and_acknowledges_what_is_durable() {
    let (mut h, call) = follower();
    let (first, call, sent) = take(&mut h, call, 20, Some(30));
    let expected = |after, offset, flushed| Sent {
        after,
        offset,
        flushed,
    };
    assert_eq!(sent, expected(None, 22, 20));
    h.node.handle_disk(h.now, first);
    let (_, call, sent) = take(&mut h, call, 22, Some(30));
    assert_eq!(
        sent,
        expected(None, 24, 22),
        "what became durable meanwhile"
    );
    // The disk is slower than the leader now: only one append goes ahead of it.
    let second = IoId(first.0 + 1);
    let (third, call, sent) = take(&mut h, call, 24, Some(30));
    assert_eq!(sent, expected(Some(second), 26, 24));
    h.node.handle_disk(h.now, third);
    let (last, _, sent) = take(&mut h, call, 26, Some(28));
    assert_eq!(sent, expected(Some(last), 28, 28), "there is no more");
}

#[test]
fn a_leader_that_does_not_say_where_it_ends_gets_acknowledgements_only() {
    let (mut h, call) = follower();
    let (first, call, sent) = take(&mut h, call, 20, None);
    assert_eq!((sent.after, sent.flushed), (Some(first), 22));
    h.node.handle_disk(h.now, first);
    // It said so once; what it says last counts.
    let (second, call, sent) = take(&mut h, call, 22, Some(30));
    assert_eq!((sent.after, sent.flushed), (None, 22));
    h.node.handle_disk(h.now, second);
    let (third, _, sent) = take(&mut h, call, 24, None);
    assert_eq!((sent.after, sent.flushed), (Some(third), 26));
}

#[test]
fn after_a_truncation_nothing_goes_ahead() {
    let (mut h, call) = follower();
    let (written, call, _) = take(&mut h, call, 20, Some(30));
    let response = fetched(1, 5, |partition| {
        partition.diverging_epoch.epoch = 3;
        partition.diverging_epoch.end_offset = 20;
    });
    h.node.handle_answer(h.now, call, Ok(response.into()));
    let (_, sent) = fetch_in(&h.drain());
    assert_eq!((sent.offset, sent.flushed), (20, 20));
    assert_eq!(sent.after, Some(written), "what is cut was on its way");
}

/// In another epoch somebody else leads, who may count what is before the offset.
#[test]
fn what_one_leader_said_is_nothing_that_the_next_one_did() {
    let (mut h, call) = follower();
    let (written, call, sent) = take(&mut h, call, 20, Some(30));
    assert_eq!(sent.after, None);
    h.node
        .handle_answer(h.now, call, Err(CallError::Disconnected));
    h.drain();
    let told = Incoming {
        token: Token(99),
        version: 1,
        request: begin(2, 6),
    };
    h.node.handle_request(h.now, told);
    let (_, sent) = fetch_in(&h.drain());
    assert_eq!(sent.offset, 22);
    // The epoch is saved behind it.
    assert!(sent.after > Some(written), "{sent:?}");
    assert_eq!(sent.flushed, 22);
}

#[test]
fn a_leader_sends_what_follows_the_offset_and_counts_what_is_durable() {
    at_each(12..=18, |version| {
        let mut h = static_leader(&[0, 1, 2]);
        h.caught_up(&[1]);
        let (now, epoch) = (h.now, h.node.epoch());
        h.node.append(now, epoch, &[b"v", b"w"]).expect("it leads");
        h.node.handle_timeout(now);
        h.settle();
        assert_eq!(h.node.log_end().offset, 3);
        let ahead = |offset, flushed| {
            let mut fetch = fetch(1, epoch, offset, epoch);
            extension::set_flushed(&mut fetch.topics[0].partitions[0], flushed);
            fetch
        };
        let (token, outputs) = h.send_at(version, ahead(2, 1));
        let Some(Response::Fetch(answer)) = reply_to(token, &outputs) else {
            panic!("it answers");
        };
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(extension::log_end(partition), Some(3), "version {version}");
        let from = outputs.iter().find_map(|output| match output {
            Output::ReplyWithLog { from, .. } => Some(*from),
            _ => None,
        });
        assert_eq!(from, Some(2));
        assert_eq!(h.node.high_watermark(), Some(1), "version {version}");
        h.send_at(version, ahead(3, 3));
        assert_eq!(h.node.high_watermark(), Some(3));
    });
}

#[test]
fn nothing_after_the_offset_can_be_durable() {
    let mut h = static_leader(&[0, 1, 2]);
    h.caught_up(&[1, 2]);
    let (epoch, known) = (h.node.epoch(), h.node.high_watermark());
    let mut wrong = fetch(1, epoch, 1, epoch);
    extension::set_flushed(&mut wrong.topics[0].partitions[0], 2);
    let answer = h.fetch_at(18, wrong);
    assert_eq!(answer.error_code, ErrorCode::INVALID_REQUEST.0);
    assert_eq!(h.node.high_watermark(), known);
}
