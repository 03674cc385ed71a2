//! `cargo xtask oracle`, and a client of the line server that it runs: Kafka's own codec, asked one message at a time.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::jars::{self, NEWEST, Release};
use crate::java::{self, Java};
use crate::replay;

/// Ask Kafka's own codec: answers JSON lines from standard input on standard output.
///
/// A question is {"id"?, "schema", "version"} with one of "hex", "full" and "json";
/// the answer is {"id", "ok": true, "hex", "json", "full", "remaining"}
/// or {"id", "ok": false, "at": "line|decode|build|encode|json", "error", "message"}.
/// Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Kafka release.
    #[arg(long, value_name = "VERSION", default_value = NEWEST)]
    release: Release,
    /// Print the command that runs the server, as a JSON array, instead of running it.
    #[arg(long, conflicts_with = "replay")]
    print_command: bool,
    /// Instead of standard input, feed the lines of a corpus, positive or negative, and compare the answers; may be given several times.
    #[arg(long, value_name = "FILE")]
    replay: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let java = Java::for_release(&args.release)?;
    if args.print_command {
        println!("{}", command_line(&java)?);
        return Ok(());
    }
    if args.replay.is_empty() {
        return java.run("Oracle", [] as [&str; 0]);
    }
    let mut oracle = Oracle::start(&java)?;
    args.replay
        .iter()
        .try_for_each(|file| replay::run(&mut oracle, &args.release, file))
}

/// The words of the command that runs the server, as a JSON array.
pub(crate) fn command_line(java: &Java) -> Result<String> {
    java::command_line(&java.command("Oracle"))
}

/// A message to ask about.
#[derive(Debug, Serialize)]
pub(crate) struct Question {
    /// The schema's name, such as `FetchRequest`.
    pub(crate) schema: String,
    /// The version to decode and encode at.
    pub(crate) version: i16,
    /// The message itself.
    #[serde(flatten)]
    pub(crate) input: Input,
}

/// How a question gives its message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Input {
    /// Bytes to decode, in hexadecimal.
    Hex(String),
    /// The corpora's lossless form.
    Full(Value),
    /// What Kafka's own JSON converter reads.
    Json(Value),
}

/// What Kafka says to a question.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// It took the message.
    Accepted {
        /// The message encoded, or encoded again, in hexadecimal.
        hex: String,
        /// As Kafka's JSON converter prints it: without unknown tags and what `records` hold.
        json: Option<Value>,
        /// In the corpora's lossless form.
        full: Value,
        /// How many bytes the decoder left over.
        remaining: usize,
    },
    /// It refused the message.
    Refused {
        /// The step that failed: `line`, `decode`, `build`, `encode` or `json`.
        at: String,
        /// The exception's name, without `Exception`.
        error: String,
        /// What the exception says.
        message: Option<String>,
    },
}

/// A running line server. Dropping it ends the server.
pub(crate) struct Oracle {
    child: Child,
    // An option only so that drop can close it before it waits.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the server of a release.
    pub(crate) fn start(java: &Java) -> Result<Self> {
        let mut command = java.command("Oracle");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| jars::explain(error, command.get_program()))?;
        let stdin = child.stdin.take();
        let stdout = child
            .stdout
            .take()
            .context("the oracle has no standard output")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// Asks all the questions and gives the answers in the same order.
    ///
    /// Questions are written while answers are read, so a batch may be larger than what the pipes hold.
    pub(crate) fn ask(&mut self, questions: &[Question]) -> Result<Vec<Answer>> {
        let Self {
            child,
            stdin,
            stdout,
        } = self;
        let stdin = stdin.as_mut().context("the oracle has no standard input")?;
        thread::scope(|scope| {
            let writer = scope.spawn(|| write_questions(stdin, questions));
            let answers = read_answers(stdout, questions);
            if answers.is_err() {
                // The writer may be waiting for a server that will never read on.
                let _ = child.kill();
            }
            let written = writer
                .join()
                .unwrap_or_else(|_| bail!("the thread that writes questions panicked"));
            // Why there are no answers says more than that the server is gone.
            let answers = answers?;
            written?;
            Ok(answers)
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // At the end of its input the server ends by itself.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// A question as it goes over the line.
#[derive(Serialize)]
struct Numbered<'a> {
    id: usize,
    #[serde(flatten)]
    question: &'a Question,
}

fn write_questions(stdin: &mut ChildStdin, questions: &[Question]) -> Result<()> {
    let mut out = BufWriter::new(stdin);
    for (id, question) in questions.iter().enumerate() {
        serde_json::to_writer(&mut out, &Numbered { id, question })?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn read_answers(
    stdout: &mut BufReader<ChildStdout>,
    questions: &[Question],
) -> Result<Vec<Answer>> {
    let mut answers = Vec::with_capacity(questions.len());
    let mut line = String::new();
    while answers.len() < questions.len() {
        line.clear();
        let read = stdout
            .read_line(&mut line)
            .context("cannot read the oracle's answers")?;
        ensure!(
            read > 0,
            "the oracle ended after {} of {} answers",
            answers.len(),
            questions.len()
        );
        let malformed = || format!("the oracle answered {}", line.trim_end());
        let answer: Value = serde_json::from_str(&line).with_context(malformed)?;
        ensure!(
            answer["id"] == answers.len(),
            "the oracle answered out of order: {line}"
        );
        answers.push(serde_json::from_value(answer).with_context(malformed)?);
    }
    Ok(answers)
}
