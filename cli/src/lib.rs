//! `kwire`: reads, writes and explains Kafka protocol bytes.
//!
//! The program is `main`. The others are its commands without a command line, reading bytes that are
//! at hand: for tests and fuzzers, which are not to start a process for each input.

mod commands;
mod failure;
mod frames;
mod input;
mod interrupt;
mod messages;
mod nodes;
mod output;
mod progress;
pub mod status;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kwire_protocol::ApiKey;

use commands::{
    apis, batch, decode, describe, dump_log, encode, explain, frame, quickstart, quorum, records,
    server, storage, tail_metadata, verify_log,
};
use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  kwire apis
  kwire describe Fetch --version 17
  kwire decode VoteRequest 2 00ffffffff0100
  kwire encode VoteRequest 2 '{\"clusterId\": \"ABC\"}'

Exit codes: 0 all went well, 1 the input is faulty or could not be read, 2 the command line is
wrong. Colour is for terminals only, and never if NO_COLOR is set.";

/// Reads, writes and explains Kafka protocol bytes, and runs nodes of a KRaft quorum.
#[derive(Debug, Parser)]
#[command(name = "kwire", version, about, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Apis(apis::Args),
    Describe(describe::Args),
    Decode(decode::Args),
    Encode(encode::Args),
    Frame(frame::Args),
    Batch(batch::Args),
    Explain(explain::Args),
    Records(records::Args),
    Quorum(quorum::Args),
    Quickstart(quickstart::Args),
    DumpLog(dump_log::Args),
    TailMetadata(tail_metadata::Args),
    Server(server::Args),
    Storage(storage::Args),
    VerifyLog(verify_log::Args),
}

/// The program: reads its command line, does what that says, and tells how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = output::stdout();
    let result = match cli.command {
        Command::Apis(args) => apis::run(&args, &mut out),
        Command::Describe(args) => describe::run(&args, &mut out),
        Command::Decode(args) => decode::run(&args, &mut out),
        Command::Encode(args) => encode::run(&args, &mut out),
        Command::Frame(args) => frame::run(&args, &mut out),
        Command::Records(args) => records::run(&args, &mut out),
        Command::Explain(args) => explain::run(&args, &mut out),
        Command::Batch(args) => batch::run(&args, &mut out),
        Command::Quorum(args) => quorum::run(&args, &mut out),
        Command::Quickstart(args) => quickstart::run(&args, &mut out),
        Command::DumpLog(args) => dump_log::run(&args, &mut out),
        Command::TailMetadata(args) => tail_metadata::run(&args, &mut out),
        Command::Server(args) => server::run(&args, &mut out),
        Command::Storage(args) => storage::run(&args, &mut out),
        Command::VerifyLog(args) => verify_log::run(&args, &mut out),
    };
    // Also after a failure: what was found before it is worth having.
    let flushed = out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) | Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            output::error(&message);
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            output::error(&message);
            ExitCode::FAILURE
        }
    }
}

/// `kwire explain` of a recording.
///
/// # Errors
/// When a line of the recording is no frame, or `out` fails.
pub fn explain(recording: &[u8], full: bool, out: &mut dyn Write) -> Result<(), String> {
    explain::run_bytes(recording, full, out).map_err(text)
}

/// `kwire frame` of hex digits: a request, or a response to a request of this API and version.
///
/// # Errors
/// When the digits are no such frame, or `out` fails.
pub fn frame(hex: &str, answers: Option<(ApiKey, i16)>, out: &mut dyn Write) -> Result<(), String> {
    frame::run_hex(hex, answers, out).map_err(text)
}

/// `kwire batch` of one line.
///
/// # Errors
/// When `out` fails. What is wrong with the line is said in the answer.
pub fn batch(line: &[u8], out: &mut dyn Write) -> Result<(), String> {
    batch::run_line(line, out).map_err(text)
}

/// `kwire records` of the bytes of a log, as text or as JSON.
///
/// # Errors
/// When a batch is corrupt, or `out` fails.
pub fn records(
    bytes: &[u8],
    json: bool,
    metadata: bool,
    out: &mut dyn Write,
) -> Result<(), String> {
    records::run_bytes(bytes, json, metadata, out).map_err(text)
}

fn text(failure: Failure) -> String {
    match failure {
        Failure::Usage(message) | Failure::Failed(message) => message,
        Failure::BrokenPipe => "broken pipe".to_owned(),
    }
}
