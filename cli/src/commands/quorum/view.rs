//! The state of a quorum as text, with the labels of Kafka's tool, and as JSON.

use std::io::Write;

use kwire_raft::voters::Endpoints;
use kwire_server::client::{QuorumState, Replica};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;

/// How far the voter that is farthest behind is: in records, and in milliseconds since it had all;
/// -1 where that is not known.
fn max_lag(state: &QuorumState) -> (i64, i64) {
    let leader = state.voters.iter().find(|v| v.key.id == state.leader_id);
    let last = state.voters.iter().min_by_key(|v| v.log_end_offset);
    let (Some(leader), Some(last)) = (leader, last) else {
        return (-1, -1);
    };
    let lag = leader.log_end_offset - last.log_end_offset;
    let lag_ms = if leader == last {
        0
    } else {
        match (leader.last_caught_up_ms, last.last_caught_up_ms) {
            (Some(leader), Some(last)) => leader - last,
            _ => -1,
        }
    };
    (lag, lag_ms)
}

pub(super) fn endpoints(endpoints: &Endpoints) -> Vec<String> {
    let endpoint = |(name, address)| format!("{name}://{address}");
    endpoints.iter().map(endpoint).collect()
}

fn member(replica: &Replica) -> Value {
    let mut member = Map::new();
    member.insert("id".to_owned(), replica.key.id.into());
    if let Some(id) = replica.key.directory_id {
        member.insert("directoryId".to_owned(), id.to_string().into());
    }
    if !replica.endpoints.is_empty() {
        member.insert("endpoints".to_owned(), endpoints(&replica.endpoints).into());
    }
    member.into()
}

/// As Kafka's tool prints it: JSON with spaces after colons and commas.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(spaced).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value)| format!("\"{name}\": {}", spaced(value));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

pub(super) fn status(
    state: &QuorumState,
    cluster_id: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (lag, lag_ms) = max_lag(state);
    let voters: Value = state.voters.iter().map(member).collect();
    let observers: Value = state.observers.iter().map(member).collect();
    if json {
        let value = json!({
            "clusterId": cluster_id,
            "leaderId": state.leader_id,
            "leaderEpoch": state.leader_epoch,
            "highWatermark": state.high_watermark,
            "maxFollowerLag": lag,
            "maxFollowerLagTimeMs": lag_ms,
            "currentVoters": voters,
            "currentObservers": observers,
        });
        return output::json(out, &value, true);
    }
    for (label, value) in [
        ("ClusterId:", cluster_id.unwrap_or("unknown").to_owned()),
        ("LeaderId:", state.leader_id.to_string()),
        ("LeaderEpoch:", state.leader_epoch.to_string()),
        ("HighWatermark:", state.high_watermark.to_string()),
        ("MaxFollowerLag:", lag.to_string()),
        ("MaxFollowerLagTimeMs:", lag_ms.to_string()),
        ("CurrentVoters:", spaced(&voters)),
        ("CurrentObservers:", spaced(&observers)),
    ] {
        writeln!(out, "{label:<24}{value}")?;
    }
    Ok(())
}

/// The replicas: the leader, those who follow, those who observe.
fn rows(state: &QuorumState) -> Vec<(&'static str, &Replica)> {
    let leads = |replica: &&Replica| replica.key.id == state.leader_id;
    let leader = state.voters.iter().filter(leads).map(|r| ("Leader", r));
    let followers = state.voters.iter().filter(|r| !leads(r));
    let followers = followers.map(|r| ("Follower", r));
    let observers = state.observers.iter().map(|r| ("Observer", r));
    leader.chain(followers).chain(observers).collect()
}

/// Times are shown as such, or as how long before `now_ms` they were.
pub(super) fn replication(
    state: &QuorumState,
    now_ms: Option<i64>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let rows = rows(state);
    let end = rows.first().map_or(-1, |(_, leader)| leader.log_end_offset);
    if json {
        for (status, replica) in rows {
            let value = json!({
                "nodeId": replica.key.id,
                "directoryId": replica.key.directory_id.map(|id| id.to_string()),
                "logEndOffset": replica.log_end_offset,
                "lag": end - replica.log_end_offset,
                "lastFetchTimestamp": replica.last_fetch_ms,
                "lastCaughtUpTimestamp": replica.last_caught_up_ms,
                "status": status,
            });
            output::json(out, &value, true)?;
        }
        return Ok(());
    }
    let time = |ms: Option<i64>| match (ms, now_ms) {
        (Some(ms), Some(now)) => format!("{} ms ago", now - ms),
        (Some(ms), None) => ms.to_string(),
        (None, Some(_)) => "unknown".to_owned(),
        (None, None) => "-1".to_owned(),
    };
    let titles = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    let mut table = vec![titles.map(str::to_owned)];
    for (status, replica) in rows {
        table.push([
            replica.key.id.to_string(),
            replica.key.wire_directory_id().to_string(),
            replica.log_end_offset.to_string(),
            (end - replica.log_end_offset).to_string(),
            time(replica.last_fetch_ms),
            time(replica.last_caught_up_ms),
            status.to_owned(),
        ]);
    }
    for row in &table {
        for (at, cell) in row.iter().enumerate() {
            let lens = table.iter().filter_map(|row| row.get(at)).map(String::len);
            write!(out, "{cell:<width$}\t", width = lens.max().unwrap_or(0))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
