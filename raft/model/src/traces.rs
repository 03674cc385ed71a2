//! Ways through the model that once went wrong somewhere, told step by step.
//!
//! Each is a test, and also shows that the properties notice when a rule of the node is switched
//! off.

use kwire_protocol::ApiKey;
use kwire_raft::node::Timer;

use crate::scenario::Quorum;
use crate::script::Script;

/// A trace: its name, and what happens.
pub type Trace = (&'static str, fn() -> Script);

/// All of them.
pub const ALL: &[Trace] = &[
    ("a delayed vote request", delayed_vote),
    ("a restart between vote and reply", restart_before_reply),
    ("a stale vote", stale_vote),
    ("a diverging follower", diverging_follower),
    ("a leader with an unflushed record", unflushed_leader),
    ("a follower with an unflushed record", unflushed_follower),
    ("an old leader's late answer", late_answer),
    ("a record of an old epoch", old_epoch),
    ("a candidate whose log is shorter", shorter_log),
    ("a candidate whose log is older", older_log),
    ("a leader that restarts", leader_restarts),
];

const FETCH: ApiKey = ApiKey::FETCH;
const VOTE: ApiKey = ApiKey::VOTE;
const BEGIN: ApiKey = ApiKey::BEGIN_QUORUM_EPOCH;

/// Node 0 leads epoch 1, and everybody has its first record.
fn led() -> Script {
    let mut script = Script::with_quick_disks(Quorum::Static);
    script.elect(0, 1);
    script.settle(&[0, 1, 2]);
    script
}

/// Two candidates of one epoch; the voter follows the one, loses it, and is asked by the other.
pub fn delayed_vote() -> Script {
    let mut script = Script::with_quick_disks(Quorum::Static);
    script.fire(2, Timer::Election);
    script.call(2, 1, VOTE);
    // Node 2 stands in epoch 1; its request to node 1 takes its time.
    script.fire(0, Timer::Election);
    script.call(0, 1, VOTE);
    script.call(0, 1, VOTE);
    script.call(0, 1, BEGIN);
    script.call(1, 0, FETCH);
    script.fire(1, Timer::Fetch);
    script.call(2, 1, VOTE);
    // Nor does it get the vote once the voter stands itself, or is back at its leader.
    script.fire(1, Timer::Election);
    script.call(2, 1, VOTE);
    script
}

/// The voter crashes after its vote left, and is asked by another candidate of the epoch.
pub fn restart_before_reply() -> Script {
    let mut script = Script::with_quick_disks(Quorum::Static);
    script.fire(2, Timer::Election);
    script.call(2, 1, VOTE);
    script.fire(0, Timer::Election);
    script.call(0, 1, VOTE);
    script.ask(0, 1, VOTE);
    script.crash(1, 0);
    script.call(2, 1, VOTE);
    script.answer(1, 0, VOTE);
    script
}

/// A vote comes when its candidate has given that election up.
pub fn stale_vote() -> Script {
    let mut script = Script::with_quick_disks(Quorum::Static);
    script.fire(0, Timer::Election);
    script.call(0, 1, VOTE);
    script.ask(0, 1, VOTE);
    script.fire(0, Timer::Election);
    script.answer(1, 0, VOTE);
    script
}

/// A leader's record reaches nobody; under the next leader it gives way.
pub fn diverging_follower() -> Script {
    let mut script = led();
    script.append(0);
    script.lose_everything();
    script.elect(1, 2);
    script.settle(&[1, 2]);
    script.append(1);
    script.settle(&[0, 1, 2]);
    script.call(1, 0, BEGIN);
    script.settle(&[0, 1, 2]);
    // What an earlier step lost is asked for again.
    script.fire(1, Timer::Begin);
    script.settle(&[0, 1, 2]);
    script
}

/// A leader whose disk takes its time: one follower is no majority.
pub fn unflushed_leader() -> Script {
    let mut script = Script::new(Quorum::Static);
    script.elect_with_slow_disk(0, 1);
    script.call_begin_and_fetch(0, 1);
    script.settle(&[1, 2]);
    script.ask(1, 0, FETCH);
    script
}

/// A follower that fetches on before its disk has what it got acknowledges nothing.
pub fn unflushed_follower() -> Script {
    let mut script = Script::new(Quorum::Static);
    script.elect_with_slow_disk(0, 1);
    script.sync(0);
    script.ask(0, 1, BEGIN);
    script.ask(1, 0, FETCH);
    script.answer(0, 1, FETCH);
    script.ask(1, 0, FETCH);
    script
}

/// A leader answered a Fetch before it was deposed; the follower has another leader by then.
pub fn late_answer() -> Script {
    let mut script = led();
    script.append(0);
    script.ask(1, 0, FETCH);
    script.elect(2, 1);
    script.answer(0, 1, FETCH);
    script.settle(&[1, 2]);
    script.answer(0, 1, FETCH);
    script
}

/// A majority has a record of epoch 1, under a leader of epoch 3 whose own record it lacks: a
/// leader of epoch 4 may still lack both (figure 8 of the Raft paper).
pub fn old_epoch() -> Script {
    let mut script = Script::with_quick_disks(Quorum::Static);
    script.elect(0, 1);
    script.lose_everything();
    script.elect(2, 1);
    script.lose_everything();
    script.elect(0, 1);
    script.ask(0, 1, BEGIN);
    script.call(1, 0, FETCH);
    // The next fetch went ahead of its disk, and does not say that the record is durable.
    script.lose_everything();
    script.fire(1, Timer::Fetch);
    script.fire(1, Timer::Election);
    script.ask(1, 0, FETCH);
    script.lose_everything();
    script.elect(2, 1);
    script
}

/// A candidate lacks a committed record.
pub fn shorter_log() -> Script {
    let mut script = led();
    script.append(0);
    script.settle(&[0, 1]);
    script.elect(2, 1);
    script
}

/// A candidate's log is as long as the voter's, of an older epoch.
pub fn older_log() -> Script {
    let mut script = led();
    script.append(0);
    script.append(0);
    script.lose_everything();
    script.elect(1, 2);
    script.settle(&[1, 2]);
    script.elect(0, 2);
    script
}

/// A leader crashes before its disk has its record, which a follower got.
pub fn leader_restarts() -> Script {
    let mut script = Script::new(Quorum::Static);
    script.elect_with_slow_disk(0, 1);
    script.call_begin_and_fetch(0, 1);
    script.sync(1);
    script.crash(0, 0);
    script.settle(&[0, 1, 2]);
    script.append(0);
    script.settle(&[0, 1, 2]);
    script
}
