//! `kwire decode`: one message's bytes to JSON.

use std::io::Write;

use kwire_protocol::codec::Codec;

use crate::failure::Failure;
use crate::input::{self, Form};
use crate::messages::{self, Version};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kwire decode VoteRequest 2 00ffffffff0100
  kwire decode VoteRequest 2 '0x00 ff ff ff ff 01 00' --compact
  xxd -p body.bin | kwire decode FetchRequest 17
  kwire decode FetchRequest latest --raw body.bin
  echo AP////8BAA== | kwire decode VoteRequest --latest --base64

The bytes are the message alone, without a frame's header: for that there is `kwire frame`. JSON is
in the form of Kafka's own converters; records and other bytes are base64, and tagged fields that
the schema does not know stand under `_unknownTaggedFields` as [tag, hex].";

/// Turn the bytes of one message into JSON
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    message: MessageArgs,
    /// Hex (spaces and a leading 0x are fine), @FILE with hex in it, or - for standard input
    #[arg(value_name = "HEX|-")]
    input: Option<String>,
    #[command(flatten)]
    form: Form,
    /// Print the JSON on one line
    #[arg(long)]
    compact: bool,
}

/// Which message at which version.
#[derive(Debug, clap::Args)]
pub(crate) struct MessageArgs {
    /// The message, such as FetchRequest, in upper or lower case
    name: String,
    /// Its version: a number, or `latest` for the newest stable one
    #[arg(required_unless_present = "latest")]
    version: Option<String>,
    /// The newest stable version; VERSION is left out then
    #[arg(long)]
    latest: bool,
}

impl MessageArgs {
    /// The message, the version, and the input: with `--latest`, that stands where the version
    /// would.
    pub(crate) fn resolve<'a>(
        &'a self,
        input: Option<&'a str>,
    ) -> Result<(&'static Codec, i16, Option<&'a str>), Failure> {
        let (version, input) = match (self.latest, self.version.as_deref()) {
            (true, Some(_)) if input.is_some() => {
                return Err(Failure::usage("give either VERSION or --latest, not both"));
            }
            (true, input) => (Version::Latest, input),
            (false, version) => {
                let version = version.unwrap_or_default().parse();
                (version.map_err(Failure::Usage)?, input)
            }
        };
        let (codec, version) = messages::message(&self.name, version)?;
        Ok((codec, version, input))
    }
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let (codec, version, input) = args.message.resolve(args.input.as_deref())?;
    let bytes = input::bytes(input, args.form)?;
    let (json, _) = codec
        .to_json(&bytes, version, &messages::LIMITS)
        .map_err(Failure::failed)?;
    output::json(out, &json, args.compact)
}
