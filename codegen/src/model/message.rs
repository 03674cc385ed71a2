//! The rules for a message as a whole: what Kafka's generator refuses, refused here too.

use super::Kind;
use super::fault::{Problem, problem};
use crate::parse::MessageSchema;
use crate::versions::Versions;

/// What the message is for.
pub(super) fn kind(schema: &MessageSchema) -> Result<Kind, Problem> {
    Ok(match schema.kind.as_str() {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        "data" => Kind::Data,
        "metadata" => Kind::Metadata,
        "coordinator-key" => Kind::CoordinatorKey,
        "coordinator-value" => Kind::CoordinatorValue,
        other => {
            return problem(
                format!("unknown type \"{other}\""),
                "use request, response, header, data, metadata, coordinator-key or coordinator-value",
            );
        }
    })
}

/// The message's flexible versions. One without versions needs none.
pub(super) fn flexible(schema: &MessageSchema) -> Result<Versions, Problem> {
    if schema.valid_versions.is_empty() {
        return Ok(Versions::NONE);
    }
    match schema.flexible_versions {
        None => problem(
            "`flexibleVersions` is missing",
            "add \"0+\" for a new message (before Kafka 3.0 nothing meant \"none\")",
        ),
        Some(flexible) if !flexible.is_empty() && !flexible.is_open_ended() => problem(
            format!("`flexibleVersions` {flexible} is not open-ended"),
            "write \"none\", or end it with a plus sign",
        ),
        Some(flexible) => Ok(flexible),
    }
}

/// Checks what needs nothing but the message's own attributes.
pub(super) fn check(schema: &MessageSchema, kind: Kind, flexible: Versions) -> Result<(), Problem> {
    check_name(schema)?;
    check_key(schema, kind)?;
    check_versions(schema)?;
    check_request_only(schema, kind)?;
    if kind == Kind::CoordinatorKey && !schema.valid_versions.is_empty() {
        check_coordinator_key(schema, flexible)?;
    }
    Ok(())
}

fn check_name(schema: &MessageSchema) -> Result<(), Problem> {
    if schema.name.starts_with(|c: char| c.is_ascii_uppercase())
        && schema.name.chars().all(|c| c.is_ascii_alphanumeric())
    {
        return Ok(());
    }
    problem(
        "a message's name must begin with a capital and have letters and digits only",
        "rename it",
    )
}

fn check_key(schema: &MessageSchema, kind: Kind) -> Result<(), Problem> {
    let needs_key = !matches!(kind, Kind::Header | Kind::Data);
    match schema.api_key {
        None if needs_key => problem(
            format!("a message of type {} needs an `apiKey`", schema.kind),
            "add it, or change the type to data",
        ),
        Some(key) if key < 0 => {
            problem(format!("`apiKey` is {key}"), "use a number from 0 to 32767")
        }
        _ => Ok(()),
    }
}

fn check_versions(schema: &MessageSchema) -> Result<(), Problem> {
    if schema.valid_versions.is_open_ended() {
        return problem(
            "`validVersions` is open-ended",
            "name the highest version, such as \"0-3\"",
        );
    }
    if let Some(deprecated) = schema.deprecated_versions
        && !schema.valid_versions.contains_all(deprecated)
    {
        return problem(
            format!(
                "`deprecatedVersions` {deprecated} is not within `validVersions` {}",
                schema.valid_versions
            ),
            "narrow it",
        );
    }
    Ok(())
}

fn check_request_only(schema: &MessageSchema, kind: Kind) -> Result<(), Problem> {
    if kind != Kind::Request {
        if !schema.listeners.is_empty() {
            return problem("`listeners` on a message that is no request", "remove it");
        }
        if schema.latest_version_unstable {
            return problem(
                "`latestVersionUnstable` on a message that is no request",
                "remove it",
            );
        }
    }
    // "zkBroker" is gone from 4.0 on, but older releases' schemas have it.
    let known = ["broker", "controller", "zkBroker"];
    match schema
        .listeners
        .iter()
        .find(|listener| !known.contains(&listener.as_str()))
    {
        None => Ok(()),
        Some(listener) => problem(
            format!("unknown listener \"{listener}\""),
            "use broker or controller",
        ),
    }
}

fn check_coordinator_key(schema: &MessageSchema, flexible: Versions) -> Result<(), Problem> {
    if schema.valid_versions != Versions::new(0, 0) {
        return problem(
            format!(
                "a coordinator-key has version 0 only, not {}",
                schema.valid_versions
            ),
            "write \"validVersions\": \"0\": the record type is the apiKey",
        );
    }
    if !flexible.is_empty() {
        return problem(
            "a coordinator-key is never flexible",
            "write \"flexibleVersions\": \"none\"",
        );
    }
    Ok(())
}
