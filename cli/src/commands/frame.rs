//! `kwire frame`: a whole request or response, with its header.

use std::io::Write;

use clap::Subcommand;
use kwire_protocol::ApiKey;
use kwire_protocol::api::ApiInfo;
use kwire_protocol::schema::Kind;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::frames::{self, Frame, FrameError};
use crate::input::{self, Form};
use crate::messages;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kwire frame request 001200040000000100047261667400066b77697265023100
  kwire frame response --api Vote --version 2 000001440000000100
  kwire frame request --raw request.bin | kwire frame request --encode --length

A length prefix of four bytes is recognised when it matches the rest.";

const REQUEST_EXAMPLES: &str = "\
Examples:
  kwire frame request 0012000300000001000561646d696e00066b77697265023100
  kwire frame request --raw captured.bin --compact
  kwire frame request --encode '{\"api\": \"Vote\", \"version\": 2, \"header\": {\"correlationId\": 7}}'

With --encode, api and version may also stand in the header, as requestApiKey and
requestApiVersion; what is missing in header and body takes its default.";

const RESPONSE_EXAMPLES: &str = "\
Examples:
  kwire frame response --api Vote --version 2 000001440000000100
  kwire frame response --api 52 --version 2 --base64 AAABRAAAAAEA
  kwire frame response --encode '{\"api\": \"Vote\", \"version\": 2, \"header\": {\"correlationId\": 7}}'

A response does not say what it answers, so --api and --version must; with --encode the JSON may.";

/// Take whole frames apart, header and message, or put them together
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    direction: Direction,
}

#[derive(Debug, Subcommand)]
enum Direction {
    /// A request, whose header says what it is
    #[command(after_help = REQUEST_EXAMPLES)]
    Request {
        #[command(flatten)]
        what: What,
    },
    /// A response, of an API and version that must be known
    #[command(after_help = RESPONSE_EXAMPLES)]
    Response {
        /// The API that it answers, by name or key
        #[arg(long, required_unless_present = "encode")]
        api: Option<String>,
        /// The version of the request that it answers
        #[arg(long, required_unless_present = "encode")]
        version: Option<i16>,
        #[command(flatten)]
        what: What,
    },
}

#[derive(Debug, clap::Args)]
struct What {
    /// Hex, @FILE with hex in it, or - for standard input; with --encode, JSON likewise
    #[arg(value_name = "HEX|-")]
    input: Option<String>,
    /// The bytes are base64, not hex
    #[arg(long, conflicts_with = "raw")]
    base64: bool,
    /// The bytes are plain: read from a file or standard input, or written to standard output
    #[arg(long)]
    raw: bool,
    /// Print the JSON on one line
    #[arg(long, conflicts_with = "encode")]
    compact: bool,
    /// The other way round: JSON in, bytes out
    #[arg(long)]
    encode: bool,
    /// Put the length before the frame, as on a connection
    #[arg(long, requires = "encode")]
    length: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let (kind, api, version, what) = match &args.direction {
        Direction::Request { what } => (Kind::Request, None, None, what),
        Direction::Response { api, version, what } => {
            let info = api.as_deref().map(api_named).transpose()?;
            (Kind::Response, info, *version, what)
        }
    };
    let form = Form {
        base64: what.base64,
        raw: what.raw,
    };
    if what.encode {
        let bytes = encode(kind, api, version, what)?;
        return output::bytes(out, &bytes, form);
    }
    let bytes = input::bytes(what.input.as_deref(), form)?;
    let answers = match (kind, api, version) {
        (Kind::Request, ..) => None,
        (_, Some(info), Some(version)) => Some((info.key, version)),
        _ => return Err(Failure::usage("a response needs --api and --version")),
    };
    show(&bytes, answers, what.compact, out)
}

/// A frame of hex digits on one line: a request, unless it answers one.
pub(crate) fn run_hex(
    hex: &str,
    answers: Option<(ApiKey, i16)>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let bytes = input::unhex(hex.as_bytes()).map_err(Failure::failed)?;
    show(&bytes, answers, true, out)
}

fn show(
    bytes: &[u8],
    answers: Option<(ApiKey, i16)>,
    compact: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let frame = match answers {
        None => prefixed(bytes, frames::request),
        Some((api, version)) => prefixed(bytes, |bytes| frames::response(bytes, api, version)),
    };
    let frame = frame.map_err(Failure::failed)?;
    let json = json!({
        "header": frame.header,
        "headerVersion": frame.header_version,
        "api": frame.info.name,
        "version": frame.version,
        "body": frame.body,
    });
    output::json(out, &json, compact)
}

/// Reads a frame that may have its length before it. What looks like a length may be another
/// number by chance, so what is no frame without it is tried as it came.
fn prefixed(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<Frame, FrameError>,
) -> Result<Frame, FrameError> {
    let Some(rest) = frames::behind_length(bytes) else {
        return read(bytes).map_err(|error| match bytes.get(4..) {
            Some(rest) if read(rest).is_ok() => error.behind_wrong_length(bytes),
            _ => error,
        });
    };
    read(rest).or_else(|error| read(bytes).map_err(|_| error))
}

fn encode(
    kind: Kind,
    api: Option<&'static ApiInfo>,
    version: Option<i16>,
    what: &What,
) -> Result<Vec<u8>, Failure> {
    let input = what.input.as_deref();
    let text = input::text(input, "JSON")?;
    let not_json = |error| Failure::failed(format!("not JSON: {error}"));
    let mut json: Map<String, Value> = serde_json::from_str(&text).map_err(not_json)?;
    let known = ["header", "headerVersion", "api", "version", "body"];
    if let Some(key) = json.keys().find(|key| !known.contains(&key.as_str())) {
        let message = format!("{key}: a frame has only {}", known.join(", "));
        return Err(Failure::failed(message));
    }
    let empty = || Value::Object(Map::new());
    let mut header = json.remove("header").unwrap_or_else(empty);
    let body = json.remove("body").unwrap_or_else(empty);
    let info = match (api, json.get("api").or_else(|| header.get("requestApiKey"))) {
        (Some(info), _) => info,
        (None, Some(Value::String(name))) => api_named(name)?,
        (None, Some(Value::Number(key))) => api_named(&key.to_string())?,
        (None, Some(_)) => return Err(Failure::failed("api: a name or a key is wanted")),
        (None, None) => return Err(Failure::failed("api is missing")),
    };
    let given = json
        .get("version")
        .or_else(|| header.get("requestApiVersion"));
    let version = match (version, given) {
        (Some(version), _) => version,
        (None, Some(value)) => number(value, "version")?,
        (None, None) => return Err(Failure::failed("version is missing")),
    };
    let header_version = frames::header_version(info, kind, version).map_err(Failure::failed)?;
    if let Some(given) = json.get("headerVersion")
        && number(given, "headerVersion")? != header_version
    {
        let name = info.name;
        let message = format!("headerVersion: {given}, but {name} v{version} has {header_version}");
        return Err(Failure::failed(message));
    }
    if kind == Kind::Request {
        complete(&mut header, "requestApiKey", info.key.0)?;
        complete(&mut header, "requestApiVersion", version)?;
    }
    let bytes = frames::encode(info, kind, version, &header, &body);
    let bytes = match what.length {
        true => bytes.and_then(|bytes| frames::with_length(&bytes)),
        false => bytes,
    };
    bytes.map_err(Failure::failed)
}

/// Puts the number into the header, unless it is there; another one there is an error.
fn complete(header: &mut Value, field: &str, number: i16) -> Result<(), Failure> {
    let Some(fields) = header.as_object_mut() else {
        return Err(Failure::failed("header: an object is wanted"));
    };
    match fields.get(field) {
        Some(given) if *given != json!(number) => Err(Failure::failed(format!(
            "header.{field}: {given}, but the frame says {number}"
        ))),
        _ => {
            fields.insert(field.to_owned(), number.into());
            Ok(())
        }
    }
}

fn number(value: &Value, name: &str) -> Result<i16, Failure> {
    let number = value.as_i64().and_then(|number| i16::try_from(number).ok());
    number.ok_or_else(|| Failure::failed(format!("{name}: a number of 16 bits is wanted")))
}

/// The API with this name or key.
fn api_named(name: &str) -> Result<&'static ApiInfo, Failure> {
    messages::api(name).ok_or_else(|| messages::unknown_api(name))
}
