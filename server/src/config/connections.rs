//! What connections may cost, and what is taken of clients.

use std::time::Duration;

use kwire_protocol::frame::DEFAULT_MAX_LEN;

use super::{ConfigError, Properties, millis, pause};
use crate::clients;
use crate::listen::Limits;

pub(super) fn max_request_bytes(properties: &Properties) -> Result<usize, ConfigError> {
    let allowed = "a number of bytes, 1 at least";
    let name = "socket.request.max.bytes";
    properties.value(&[name], DEFAULT_MAX_LEN, allowed, |bytes| *bytes >= 1)
}

pub(super) fn limits(properties: &Properties) -> Result<Limits, ConfigError> {
    let default = Limits::new(max_request_bytes(properties)?);
    let idle = default.idle.as_millis();
    let idle = u64::try_from(idle).unwrap_or(u64::MAX);
    let held = properties.value(
        &["queued.max.request.bytes"],
        -1_i64,
        "a number of bytes, 1 at least, or -1",
        |bytes| *bytes == -1 || *bytes >= 1,
    )?;
    Ok(Limits {
        max_connections: properties.value(
            &["max.connections"],
            default.max_connections,
            "a number, 1 at least",
            |connections| *connections >= 1,
        )?,
        idle: Duration::from_millis(millis(properties, &["connections.max.idle.ms"], idle)?),
        held_bytes: usize::try_from(held).unwrap_or(default.held_bytes),
        ..default
    })
}

/// Kafka's names for a broker and for a topic.
pub(super) const TIMESTAMP_BEFORE: [&str; 2] = [
    "log.message.timestamp.before.max.ms",
    "message.timestamp.before.max.ms",
];
pub(super) const TIMESTAMP_AFTER: [&str; 2] = [
    "log.message.timestamp.after.max.ms",
    "message.timestamp.after.max.ms",
];

/// How far a timestamp may be from the time.
fn apart(properties: &Properties, names: &[&str], default: i64) -> Result<i64, ConfigError> {
    let allowed = "a number of milliseconds, 0 at least";
    properties.value(names, default, allowed, |ms| *ms >= 0)
}

pub(super) fn clients(properties: &Properties) -> Result<clients::Options, ConfigError> {
    let default = clients::Options::default();
    Ok(clients::Options {
        max_batch_bytes: properties.value(
            &["message.max.bytes"],
            default.max_batch_bytes,
            "a number of bytes from 0 to 8388608 (8 MiB)",
            |bytes| *bytes <= 8 << 20,
        )?,
        initial_rebalance_delay_ms: pause(
            properties,
            &["group.initial.rebalance.delay.ms"],
            default.initial_rebalance_delay_ms,
        )?,
        plain_records_only: properties.value(
            &["kwire.produce.plain.records.only"],
            default.plain_records_only,
            "auto, true or false",
            |_| true,
        )?,
        timestamp_before_max_ms: apart(
            properties,
            &TIMESTAMP_BEFORE,
            default.timestamp_before_max_ms,
        )?,
        timestamp_after_max_ms: apart(
            properties,
            &TIMESTAMP_AFTER,
            default.timestamp_after_max_ms,
        )?,
    })
}
