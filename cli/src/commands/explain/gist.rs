//! What a message means, in a few words.

use kwire_protocol::{ApiKey, ErrorCode};
use serde_json::Value;

use super::recording::Direction;
use crate::frames::Frame;

/// What the frame says, in words; empty if its fields say it better.
pub(super) fn gist(frame: &Frame, direction: Direction) -> String {
    let body = &frame.body;
    match direction {
        Direction::Req => request(frame.info.key, body).unwrap_or_default(),
        Direction::Resp => {
            let error = first_error(body);
            let said = match error {
                Some(_) => None,
                None => response(frame.info.key, body),
            };
            said.unwrap_or_else(|| error.map_or_else(|| "ok".to_owned(), |e| e.to_string()))
        }
    }
}

/// The first error in the response, in whatever depth.
pub(super) fn first_error(body: &Value) -> Option<ErrorCode> {
    match body {
        Value::Object(fields) => {
            let code = fields.get("errorCode").and_then(Value::as_i64);
            match code.and_then(|code| i16::try_from(code).ok()) {
                Some(code) if code != 0 => Some(ErrorCode(code)),
                _ => fields.values().find_map(first_error),
            }
        }
        Value::Array(elements) => elements.iter().find_map(first_error),
        _ => None,
    }
}

fn number(value: &Value, field: &str) -> Option<i64> {
    value.get(field)?.as_i64()
}

/// The only partition of the message, if there is but one.
fn partition<'v>(body: &'v Value, topics: &str, partitions: &str) -> Option<&'v Value> {
    let [topic] = body.get(topics)?.as_array()?.as_slice() else {
        return None;
    };
    let [partition] = topic.get(partitions)?.as_array()?.as_slice() else {
        return None;
    };
    Some(partition)
}

fn request(api: ApiKey, body: &Value) -> Option<String> {
    Some(match api {
        ApiKey::VOTE => {
            let of = partition(body, "topics", "partitions")?;
            let (node, epoch) = (number(of, "replicaId")?, number(of, "replicaEpoch")?);
            match of.get("preVote").and_then(Value::as_bool) {
                Some(true) => format!("would node {node} get a vote? (pre-vote in epoch {epoch})"),
                _ => format!("node {node} asks for a vote in epoch {epoch}"),
            }
        }
        ApiKey::BEGIN_QUORUM_EPOCH => {
            let of = partition(body, "topics", "partitions")?;
            let (node, epoch) = (number(of, "leaderId")?, number(of, "leaderEpoch")?);
            format!("node {node} leads epoch {epoch}")
        }
        ApiKey::END_QUORUM_EPOCH => {
            let of = partition(body, "topics", "partitions")?;
            let (node, epoch) = (number(of, "leaderId")?, number(of, "leaderEpoch")?);
            format!("node {node} resigns from epoch {epoch}")
        }
        ApiKey::FETCH => {
            let of = partition(body, "topics", "partitions")?;
            format!("from offset {}", number(of, "fetchOffset")?)
        }
        ApiKey::FETCH_SNAPSHOT => {
            let of = partition(body, "topics", "partitions")?;
            let snapshot = snapshot(of.get("snapshotId")?)?;
            format!("{snapshot} from byte {}", number(of, "position")?)
        }
        ApiKey::ADD_RAFT_VOTER => format!("add node {} to the voters", number(body, "voterId")?),
        ApiKey::REMOVE_RAFT_VOTER => {
            format!("remove node {} from the voters", number(body, "voterId")?)
        }
        ApiKey::UPDATE_RAFT_VOTER => {
            format!("node {} tells its endpoints", number(body, "voterId")?)
        }
        _ => return None,
    })
}

fn response(api: ApiKey, body: &Value) -> Option<String> {
    Some(match api {
        ApiKey::VOTE => {
            let of = partition(body, "topics", "partitions")?;
            match of.get("voteGranted")?.as_bool()? {
                true => "yes".to_owned(),
                false => "no".to_owned(),
            }
        }
        ApiKey::FETCH => {
            let of = partition(body, "responses", "partitions")?;
            let diverging = of.get("divergingEpoch");
            if let Some(offset) = diverging.and_then(|at| number(at, "endOffset"))
                && offset >= 0
            {
                let epoch = number(diverging?, "epoch")?;
                return Some(format!(
                    "the logs part: epoch {epoch} ends at offset {offset}"
                ));
            }
            let instead = of.get("snapshotId");
            if let Some(id) = instead
                && number(id, "endOffset")? >= 0
            {
                return Some(format!("fetch {} instead", snapshot(id)?));
            }
            match number(of, "highWatermark")? {
                known @ 0.. => format!("ok, high watermark {known}"),
                _ => "ok, high watermark not known yet".to_owned(),
            }
        }
        ApiKey::DESCRIBE_QUORUM => {
            let of = partition(body, "topics", "partitions")?;
            let (leader, epoch) = (number(of, "leaderId")?, number(of, "leaderEpoch")?);
            format!("node {leader} leads epoch {epoch}")
        }
        _ => return None,
    })
}

fn snapshot(id: &Value) -> Option<String> {
    let (offset, epoch) = (number(id, "endOffset")?, number(id, "epoch")?);
    Some(format!("the snapshot of offset {offset}, epoch {epoch}"))
}
