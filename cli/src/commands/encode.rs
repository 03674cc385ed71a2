//! `kwire encode`: JSON to one message's bytes.

use std::io::Write;

use kwire_protocol::json::Mode;
use serde_json::Value;

use super::decode::MessageArgs;
use crate::failure::Failure;
use crate::input::{self, Form};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kwire encode VoteRequest 2 '{\"clusterId\": \"ABC\", \"voterId\": 2}'
  kwire encode ApiVersionsRequest latest '{}'
  kwire encode FetchRequest 17 @request.json --raw > body.bin
  kwire decode VoteRequest 2 00ffffffff0100 | kwire encode VoteRequest 2

A field that is missing takes its default; a key that is no field is an error. A field that the
version lacks is dropped if the schema calls it ignorable, and refused unless at its default.";

/// Turn JSON into the bytes of one message
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    message: MessageArgs,
    /// JSON, @FILE with JSON in it, or - for standard input
    #[arg(value_name = "JSON|-")]
    input: Option<String>,
    /// Write the plain bytes, not hex
    #[arg(long, conflicts_with = "base64")]
    raw: bool,
    /// Print base64, not hex
    #[arg(long)]
    base64: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let (codec, version, input) = args.message.resolve(args.input.as_deref())?;
    let text = input::text(input, "JSON")?;
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::failed(format!("not JSON: {error}")))?;
    let bytes = (codec.encode_json)(&json, version, Mode::Defaults).map_err(Failure::failed)?;
    let form = Form {
        base64: args.base64,
        raw: args.raw,
    };
    output::bytes(out, &bytes, form)
}
