//! `kwire encode`: JSON to one message's bytes.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kwire_protocol::json::Mode;
use serde_json::Value;

use super::decode::MessageArgs;
use crate::failure::Failure;
use crate::input;
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
    #[command(flatten)]
    form: OutputForm,
}

/// In which form bytes are printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct OutputForm {
    /// Write the plain bytes, not hex
    #[arg(long, conflicts_with = "base64")]
    raw: bool,
    /// Print base64, not hex
    #[arg(long)]
    base64: bool,
}

impl OutputForm {
    /// Prints bytes.
    pub(crate) fn print(self, bytes: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
        if self.raw {
            return raw(bytes, out);
        }
        let text = if self.base64 {
            STANDARD.encode(bytes)
        } else {
            output::hex(bytes)
        };
        Ok(writeln!(out, "{text}")?)
    }
}

/// Past the filter that removes colours: it would take bytes for escape sequences.
fn raw(bytes: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
    out.flush()?;
    let mut stdout = std::io::stdout();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let (codec, version, input) = args.message.resolve(args.input.as_deref())?;
    let text = input::text(input, "JSON")?;
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::failed(format!("not JSON: {error}")))?;
    let bytes = (codec.encode_json)(&json, version, Mode::Defaults).map_err(Failure::failed)?;
    args.form.print(&bytes, out)
}
