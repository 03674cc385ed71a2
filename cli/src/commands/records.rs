//! `kwire records`: record batches and their records.

mod text;
pub(crate) mod view;

use std::io::Write;
use std::path::Path;

use kwire_protocol::records::{Batches, ErrorKind};
use serde_json::json;

use crate::failure::Failure;
use crate::input;
use crate::output;
use crate::progress::Progress;
use text::Text;
use view::{BatchView, What};

const EXAMPLES: &str = "\
Examples:
  kwire records 00000000000000000000.log
  kwire records __cluster_metadata-0/00000000000000000000.log --metadata
  kwire decode ProduceRequest 9 @produce.hex | jq -r .topicData[].partitionData[].records |
    base64 -d | kwire records -
  kwire records 00000000000000000000.log --json | jq .records[].offset

The argument is the name of a file, or hex. A file and standard input may hold plain bytes or hex;
nothing that begins with a record batch is hex. A batch whose checksum is wrong is reported and its
records are not read; the next ones are. The exit code is 1 then.";

/// List record batches and their records, from a log segment or hex
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A file, hex, or - for standard input
    #[arg(value_name = "HEX|FILE|-")]
    input: Option<String>,
    /// Print JSON, one line for each batch
    #[arg(long)]
    json: bool,
    /// The records are those of a KRaft metadata log: decode them
    #[arg(long)]
    metadata: bool,
    /// Only the batches, not their records
    #[arg(long)]
    batches: bool,
    /// Print long keys and values in full
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = bytes(args.input.as_deref())?;
    list(args, &bytes, true, out)
}

/// The batches of a log and their records.
pub(crate) fn run_bytes(
    bytes: &[u8],
    json: bool,
    metadata: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let args = Args {
        input: None,
        json,
        metadata,
        batches: false,
        full: true,
    };
    list(&args, bytes, false, out)
}

fn list(args: &Args, bytes: &[u8], notes: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut walk = Walk {
        json: args.json,
        bytes,
        what: What {
            records: !args.batches,
            metadata: args.metadata,
            state: false,
        },
        text: Text { full: args.full },
        scratch: Vec::new(),
        corrupt: 0,
        notes,
        out,
    };
    walk.all()?;
    match walk.corrupt {
        0 => Ok(()),
        1 => Err(Failure::failed("1 batch is corrupt")),
        many => Err(Failure::failed(format!("{many} batches are corrupt"))),
    }
}

/// The bytes of a file, of hex, or of standard input.
fn bytes(argument: Option<&str>) -> Result<Vec<u8>, Failure> {
    let bytes = match argument {
        None | Some("-") => input::read_stdin("records")?,
        Some(path) if Path::new(path).is_file() => input::read_file(path)?,
        Some(text) => {
            return input::unhex(text.as_bytes())
                .map_err(|error| Failure::failed(format!("no such file, and {error}")));
        }
    };
    // The magic, at byte 16 of any batch, is no hex digit.
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace();
    let digits = bytes.strip_prefix(b"0x").unwrap_or(&bytes);
    if digits.iter().all(is_hex) {
        return input::unhex(&bytes).map_err(Failure::failed);
    }
    Ok(bytes)
}

struct Walk<'a> {
    json: bool,
    bytes: &'a [u8],
    what: What,
    text: Text,
    scratch: Vec<u8>,
    /// How many batches are.
    corrupt: usize,
    /// Whether standard error is to be written to.
    notes: bool,
    out: &'a mut dyn Write,
}

impl Walk<'_> {
    fn all(&mut self) -> Result<(), Failure> {
        let progress = Progress::bytes(self.bytes.len());
        let mut start = 0;
        while start < self.bytes.len() {
            let rest = self.bytes.get(start..).unwrap_or_default();
            // One at a time: after an error there may be more batches behind the one with it.
            match Batches::new(rest).next() {
                Some(Ok(batch)) => {
                    let view = BatchView::new(&batch, start, self.what, &mut self.scratch);
                    self.corrupt += usize::from(view.error.is_some());
                    self.batch(&view)?;
                    start += batch.bytes().len();
                }
                Some(Err(_)) if rest.iter().all(|byte| *byte == 0) => {
                    // A segment whose file was made long in advance.
                    return self.note(&format!("{} zero bytes at the end", rest.len()));
                }
                Some(Err(error)) => {
                    self.corrupt += 1;
                    self.unreadable(start, &error.kind().to_string())?;
                    match next_batch(rest, error.kind()) {
                        Some(next) => start += next,
                        None => {
                            let left = rest.len();
                            return self.note(&format!("the last {left} bytes are not read"));
                        }
                    }
                }
                None => {
                    let left = rest.len();
                    return self.note(&format!("the last {left} bytes are part of a batch"));
                }
            }
            progress.at(start);
        }
        Ok(())
    }

    fn batch(&mut self, view: &BatchView) -> Result<(), Failure> {
        if self.json {
            serde_json::to_writer(&mut *self.out, view)?;
            return Ok(writeln!(self.out)?);
        }
        self.text.batch(view, self.out)
    }

    fn unreadable(&mut self, position: usize, why: &str) -> Result<(), Failure> {
        if self.json {
            let json = json!({"position": position, "error": why});
            return output::json(self.out, &json, true);
        }
        self.text.unreadable(position, why, self.out)
    }

    /// Says something on standard error, where it stands in nobody's way.
    fn note(&mut self, text: &str) -> Result<(), Failure> {
        if !self.notes {
            return Ok(());
        }
        self.out.flush()?;
        let _ = writeln!(anstream::stderr(), "note: {text}");
        Ok(())
    }
}

/// How long an unreadable batch is, if its length can be trusted.
fn next_batch(rest: &[u8], kind: ErrorKind) -> Option<usize> {
    if !matches!(kind, ErrorKind::UnknownMagic(_)) {
        return None;
    }
    let (length, _) = rest.get(8..)?.split_first_chunk()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    let next = length.checked_add(12)?;
    (next <= rest.len()).then_some(next)
}
