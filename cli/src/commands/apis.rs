//! `kwire apis`: what APIs there are.

use std::io::Write;

use kwire_protocol::ApiKey;
use kwire_protocol::api::{APIS, ApiInfo};
use kwire_protocol::schema::{Kind, VersionRange};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::messages::{self, CODECS};
use crate::output::{self, DIM, NAME, PLAIN, Paint, TITLE};

const EXAMPLES: &str = "\
Examples:
  kwire apis
  kwire apis fetch
  kwire apis 52
  kwire apis --json | jq '.[] | select(.listeners | index(\"controller\")) | .name'

Columns: the versions that can be read and written; the lowest flexible one (compact encodings and
tagged fields); the versions of the request's and of the response's header; the versions that
Kafka 4 no longer speaks; the highest version where brokers hide it as unstable.";

/// List the APIs with their keys, versions and headers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// One API, by name or key
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(name) = &args.name else {
        if args.json {
            return output::json(out, &APIS.iter().map(as_json).collect(), false);
        }
        return table(out);
    };
    match messages::api(name).or_else(|| of_message(name)) {
        Some(info) => detail(info, args.json, out),
        None => Err(messages::unknown_api(name)),
    }
}

/// The API whose request or response has this name: who names that, means it.
fn of_message(name: &str) -> Option<&'static ApiInfo> {
    let mut schemas = CODECS.iter().map(|codec| codec.schema);
    let schema = schemas.find(|schema| schema.name.eq_ignore_ascii_case(name))?;
    match schema.kind {
        Kind::Request | Kind::Response => ApiKey(schema.api_key?).info(),
        _ => None,
    }
}

fn detail(info: &ApiInfo, as_json_value: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if as_json_value {
        return output::json(out, &as_json(info), false);
    }
    writeln!(out, "{TITLE}{}{TITLE:#}, API key {}", info.name, info.key.0)?;
    if let Some(doc) = doc(info) {
        writeln!(out, "{}", output::wrapped(doc, 2, output::width()))?;
    }
    let mut line = |label: &str, value: &str| {
        let padded = format!("{label:<18}");
        writeln!(out, "  {NAME}{padded}{NAME:#} {value}")
    };
    line("versions", &info.versions.to_string())?;
    line("flexible", &info.flexible.to_string())?;
    line("request header", &headers_at_length(info.request_headers))?;
    line("response header", &headers_at_length(info.response_headers))?;
    line("dropped by Kafka 4", &info.deprecated.to_string())?;
    line(
        "unstable",
        &unstable(info).map_or("none".into(), |v| v.to_string()),
    )?;
    line("listeners", &info.listeners.join(", "))?;
    Ok(writeln!(
        out,
        "{DIM}Fields: kwire describe {}{DIM:#}",
        info.name
    )?)
}

fn table(out: &mut dyn Write) -> Result<(), Failure> {
    let titles = [
        "KEY",
        "NAME",
        "VERSIONS",
        "FLEXIBLE",
        "REQUEST",
        "RESPONSE",
        "DROPPED",
        "UNSTABLE",
        "LISTENERS",
    ];
    let rows: Vec<[String; 9]> = APIS.iter().map(row).collect();
    let mut widths = titles.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut line = |cells: &[&str], style: Paint, name: Paint| {
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let cell_style = if at == 1 { name } else { style };
            // Numbers stand to the right; the last column needs no filling.
            let text = match at {
                0 => format!("{cell:>width$}"),
                8 => (*cell).to_owned(),
                _ => format!("{cell:<width$}  "),
            };
            let gap = if at == 0 { "  " } else { "" };
            write!(out, "{cell_style}{text}{cell_style:#}{gap}")?;
        }
        writeln!(out)
    };
    line(&titles, TITLE, TITLE)?;
    for row in &rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells, PLAIN, NAME)?;
    }
    Ok(())
}

fn row(info: &ApiInfo) -> [String; 9] {
    let or_dash = |range: VersionRange| match range.is_empty() {
        true => "-".to_owned(),
        false => range.to_string(),
    };
    let flexible = match info.flexible.is_empty() {
        true => "-".to_owned(),
        false => format!("{}+", info.flexible.lowest),
    };
    [
        info.key.0.to_string(),
        info.name.to_owned(),
        info.versions.to_string(),
        flexible,
        headers(info.request_headers),
        headers(info.response_headers),
        or_dash(info.deprecated),
        unstable(info).map_or("-".to_owned(), |version| version.to_string()),
        info.listeners.join(","),
    ]
}

/// The highest version, if brokers hide it.
fn unstable(info: &ApiInfo) -> Option<i16> {
    info.latest_version_unstable
        .then_some(info.versions.highest)
}

fn headers(headers: &[(VersionRange, i16)]) -> String {
    let versions: Vec<String> = headers.iter().map(|(_, v)| v.to_string()).collect();
    versions.join(",")
}

fn headers_at_length(headers: &[(VersionRange, i16)]) -> String {
    let parts: Vec<String> = headers
        .iter()
        .map(|(range, header)| {
            let plural = if range.lowest == range.highest {
                ""
            } else {
                "s"
            };
            format!("{header} (version{plural} {range})")
        })
        .collect();
    parts.join(", ")
}

/// What the request's description says.
fn doc(info: &ApiInfo) -> Option<&'static str> {
    let schema = messages::of_api(info, Kind::Request)?.schema;
    let doc = schema.structs.first()?.doc;
    (!doc.is_empty()).then_some(doc)
}

fn as_json(info: &ApiInfo) -> Value {
    let range = |range: VersionRange| match range.is_empty() {
        true => Value::Null,
        false => json!([range.lowest, range.highest]),
    };
    let headers = |headers: &[(VersionRange, i16)]| -> Value {
        let part = |(versions, header): &(VersionRange, i16)| json!({"versions": range(*versions), "header": header});
        headers.iter().map(part).collect()
    };
    json!({
        "key": info.key.0,
        "name": info.name,
        "versions": range(info.versions),
        "flexible": range(info.flexible),
        "requestHeaders": headers(info.request_headers),
        "responseHeaders": headers(info.response_headers),
        "dropped": range(info.deprecated),
        "unstable": unstable(info),
        "listeners": info.listeners,
        "doc": doc(info),
    })
}
