//! The order of time, restored for a recording that lost it, as when samples were taken by API.
//!
//! Two things are certain: a phase comes before the next, and on one connection requests are
//! numbered. Between connections only the epochs of KRaft tell what was before what, and in one
//! epoch, that it begins with a vote and ends with a resignation or with pre-votes for the next.

use std::collections::{BTreeMap, VecDeque};

use kwire_protocol::ApiKey;
use serde_json::Value;

use super::recording::{Exchange, Recorded};

/// Where in the course of elections a request belongs.
type Place = (i64, u8);

/// Whether the exchanges cannot be in the order of time: a phase goes on after another began, or
/// a connection counts backwards.
pub(super) fn is_lost(exchanges: &[Exchange]) -> bool {
    let mut phases: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<(&str, i64), i32> = BTreeMap::new();
    exchanges.iter().filter_map(Exchange::first).any(|frame| {
        let interleaved = match phases.iter().position(|phase| *phase == frame.phase) {
            Some(at) => at + 1 != phases.len(),
            None => {
                phases.push(&frame.phase);
                false
            }
        };
        // It is sent before what was numbered earlier and waits for it.
        if frame.api_key == ApiKey::API_VERSIONS.0 {
            return interleaved;
        }
        let before = counts.insert((&frame.src, frame.conn), frame.corr);
        interleaved || before.is_some_and(|before| before > frame.corr)
    })
}

/// The exchanges in order: by phase, and in a phase as the module says.
pub(super) fn restored(exchanges: Vec<Exchange>) -> Vec<Exchange> {
    let mut phases: Vec<(String, Vec<Exchange>)> = Vec::new();
    for exchange in exchanges {
        let phase = exchange.first().map_or("", |frame| &frame.phase);
        match phases.iter_mut().find(|(name, _)| name == phase) {
            Some((_, list)) => list.push(exchange),
            None => phases.push((phase.to_owned(), vec![exchange])),
        }
    }
    let phases = phases.into_iter();
    phases.flat_map(|(_, list)| merged(list)).collect()
}

/// Takes from each connection in turn what belongs earliest.
fn merged(exchanges: Vec<Exchange>) -> Vec<Exchange> {
    let count = exchanges.len();
    let mut connections: BTreeMap<(String, i64), Vec<Exchange>> = BTreeMap::new();
    let mut order = Vec::new();
    for exchange in exchanges {
        let key = exchange
            .first()
            .map(|frame| (frame.src.clone(), frame.conn))
            .unwrap_or_default();
        if !connections.contains_key(&key) {
            order.push(key.clone());
        }
        connections.entry(key).or_default().push(exchange);
    }
    let mut queues: Vec<VecDeque<(Place, Exchange)>> = order
        .iter()
        .filter_map(|key| connections.remove(key))
        .map(placed)
        .collect();
    let mut merged = Vec::with_capacity(count);
    while let Some(next) = earliest(&queues) {
        if let Some((_, exchange)) = queues.get_mut(next).and_then(VecDeque::pop_front) {
            merged.push(exchange);
        }
    }
    merged
}

/// The queue with the earliest head; of several, the one that the file has first.
fn earliest(queues: &[VecDeque<(Place, Exchange)>]) -> Option<usize> {
    let heads = queues.iter().enumerate();
    let heads = heads.filter_map(|(at, queue)| Some((queue.front()?.0, at)));
    heads.min().map(|(_, at)| at)
}

/// One connection's requests in order, with their places.
fn placed(mut exchanges: Vec<Exchange>) -> VecDeque<(Place, Exchange)> {
    exchanges.sort_by_key(|exchange| {
        exchange.first().map(|frame| {
            // A connection begins with it, though it is numbered after what waits for it.
            let greeting = frame.api_key == ApiKey::API_VERSIONS.0;
            (!greeting, frame.corr)
        })
    });
    // What has no place of its own goes before what follows it, or after all.
    let mut following = (i64::MAX, 0);
    let mut queue = VecDeque::new();
    for exchange in exchanges.into_iter().rev() {
        let own = exchange.request.as_ref().and_then(place);
        let answered = exchange.response.as_ref().and_then(epoch_of_answer);
        // Who is answered out of a later epoch has asked in it, unaware.
        let own = match (own, answered) {
            (Some((epoch, _)), Some(later)) if later > epoch => Some((later, 2)),
            _ => own,
        };
        following = own.unwrap_or(following);
        queue.push_front((following, exchange));
    }
    queue
}

fn place(request: &Recorded) -> Option<Place> {
    let body = request.decode().ok()?.body;
    let partition = |field: &str| -> Option<&Value> {
        body.get("topics")?
            .get(0)?
            .get("partitions")?
            .get(0)?
            .get(field)
    };
    Some(match ApiKey(request.api_key) {
        ApiKey::VOTE => {
            let pre_vote = partition("preVote").and_then(Value::as_bool) == Some(true);
            let rank = if pre_vote { 4 } else { 0 };
            (partition("replicaEpoch")?.as_i64()?, rank)
        }
        ApiKey::BEGIN_QUORUM_EPOCH => (partition("leaderEpoch")?.as_i64()?, 1),
        ApiKey::END_QUORUM_EPOCH => (partition("leaderEpoch")?.as_i64()?, 3),
        ApiKey::FETCH | ApiKey::FETCH_SNAPSHOT => (partition("currentLeaderEpoch")?.as_i64()?, 2),
        ApiKey::UPDATE_RAFT_VOTER => (body.get("currentLeaderEpoch")?.as_i64()?, 2),
        _ => return None,
    })
}

/// The epoch in which the node that answered was.
fn epoch_of_answer(response: &Recorded) -> Option<i64> {
    let body = response.decode().ok()?.body;
    let topics = body.get("topics").or_else(|| body.get("responses"))?;
    let partition = topics.get(0)?.get("partitions")?.get(0)?;
    let leader = partition.get("currentLeader").unwrap_or(partition);
    leader.get("leaderEpoch")?.as_i64()
}
