//! Batches and records in the lines of Kafka's tool, which scripts know.

use std::io::Write;

use crate::commands::records::view::{BatchView, Content, MessageView, RecordView};
use crate::failure::Failure;
use crate::output;

pub(super) fn batch(view: &BatchView, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(base) = view.base_offset {
        write!(out, "baseOffset: {base} ")?;
    }
    write!(out, "lastOffset: {} ", view.last_offset)?;
    let base_sequence = view.header.as_ref().map_or(-1, |h| h.base_sequence);
    if let Some(header) = &view.header {
        let last = match base_sequence {
            -1 => -1,
            base => sequence(base, i64::from(header.record_count) - 1),
        };
        let horizon = header.delete_horizon;
        let horizon = horizon.map_or(".empty".to_owned(), |ms| format!("[{ms}]"));
        write!(
            out,
            "count: {} baseSequence: {base_sequence} lastSequence: {last} producerId: {} \
             producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} \
             deleteHorizonMs: OptionalLong{horizon} ",
            header.record_count,
            header.producer_id,
            header.producer_epoch,
            header.partition_leader_epoch,
            header.transactional,
            header.control,
        )?;
    }
    writeln!(
        out,
        "position: {} {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {}",
        view.position,
        view.timestamp_type,
        view.max_timestamp,
        view.size,
        view.magic,
        view.compression,
        view.crc,
        view.crc_ok
    )?;
    for (at, record) in (0..).zip(view.records.iter().flatten()) {
        let sequence = match base_sequence {
            -1 => -1,
            base => sequence(base, at),
        };
        self::record(record, sequence, view.timestamp_type, out)?;
    }
    Ok(())
}

/// Sequence numbers go on at 0 after the largest.
fn sequence(base: i32, more: i64) -> i64 {
    (i64::from(base) + more) & i64::from(i32::MAX)
}

fn record(
    record: &RecordView,
    sequence: i64,
    timestamp_type: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let len = |content: &Content| content.len().map_or(-1, |len| len as i64);
    let keys: Vec<String> = record.headers.iter().map(|(key, _)| text(key)).collect();
    write!(
        out,
        "| offset: {} {timestamp_type}: {} keySize: {} valueSize: {} sequence: {sequence} \
         headerKeys: [{}]",
        record.offset,
        record.timestamp,
        len(&record.key),
        len(&record.value),
        keys.join(",")
    )?;
    match &record.message {
        Some(message) => self::message(message, out)?,
        None => {
            if !matches!(record.key, Content::Null) {
                write!(out, " key: {}", text(&record.key))?;
            }
            write!(out, " payload: {}", text(&record.value))?;
        }
    }
    Ok(writeln!(out)?)
}

fn message(message: &MessageView, out: &mut dyn Write) -> Result<(), Failure> {
    let name = &message.name;
    match (&message.data, message.version) {
        (Some(data), _) if name == "Commit" || name == "Abort" => {
            let epoch = data.get("coordinatorEpoch").unwrap_or(data);
            let name = name.to_uppercase();
            write!(out, " endTxnMarker: {name} coordinatorEpoch: {epoch}")?;
        }
        // The colon of this one is Kafka's.
        (Some(data), _) if name == "LeaderChange" => write!(out, " {name}: {data}")?,
        (Some(data), Some(version)) if name.ends_with("Record") => {
            let name = constant(name);
            write!(
                out,
                " payload: {{\"type\":\"{name}\",\"version\":{version},\"data\":{data}}}"
            )?;
        }
        (Some(data), _) => write!(out, " {name} {data}")?,
        (None, _) => {
            let error = message.error.as_deref().unwrap_or_default();
            write!(out, " {name}: {}", output::one_line(error))?;
        }
    }
    Ok(())
}

/// The name of Java's constant: `FEATURE_LEVEL_RECORD` of `FeatureLevelRecord`.
pub(super) fn constant(name: &str) -> String {
    let mut constant = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !constant.is_empty() {
            constant.push('_');
        }
        constant.push(c.to_ascii_uppercase());
    }
    constant
}

/// Text as it is, and what is none as digits: a terminal is not to be told what to do.
fn text(content: &Content) -> String {
    match content {
        Content::Null => "null".to_owned(),
        Content::Text(text) => text.clone(),
        Content::Bytes(bytes) => format!("0x{}", output::hex(bytes)),
    }
}
