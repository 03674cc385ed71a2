//! A live Java process with the classes of one Kafka release, asked about single messages.
//!
//! What goes over the line is described in `xtask/java/README.md`.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};

/// A JVM that starts on a busy machine takes seconds; a single answer takes far less.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What Kafka says to a question.
#[derive(Debug)]
pub enum Answer {
    /// It took the message.
    Accepted {
        /// The message encoded, or encoded again, in hexadecimal.
        hex: String,
        /// As Kafka's own converter prints it, where the release has one.
        json: Option<Value>,
        /// As the converter would, but with nothing lost.
        full: Value,
        /// How many bytes the decoder left over.
        remaining: u64,
    },
    /// It refused the message.
    Refused {
        /// The step that failed: `line` if the release lacks the message or the version.
        at: String,
        /// The exception and what it says.
        error: String,
    },
}

impl Answer {
    /// Whether the message is refused for what it is, rather than for the release lacking it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Answer::Refused { at, .. } if at != "line")
    }

    fn parse(mut answer: Value) -> Option<Answer> {
        if answer["ok"] == true {
            return Some(Answer::Accepted {
                hex: answer["hex"].as_str()?.to_owned(),
                remaining: answer["remaining"].as_u64()?,
                json: answer.get_mut("json").map(Value::take),
                full: answer.get_mut("full")?.take(),
            });
        }
        Some(Answer::Refused {
            at: answer["at"].as_str()?.to_owned(),
            error: format!("{}: {}", answer["error"], answer["message"]),
        })
    }
}

/// A question: a message at a version, given under one of `hex`, `full` and `json`.
pub fn question(schema: &str, version: i16, form: &str, message: impl Into<Value>) -> Value {
    let mut question = Map::new();
    question.insert("schema".to_owned(), schema.into());
    question.insert("version".to_owned(), version.into());
    question.insert(form.to_owned(), message.into());
    question.into()
}

/// A running process. Dropping it kills the process.
pub struct Oracle {
    release: &'static str,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<io::Result<String>>,
}

impl Oracle {
    /// Starts the process that the release's environment variable describes, or says why not.
    pub fn start(release: &'static str) -> Result<Oracle, String> {
        let variable = format!("KWIRE_ORACLE_{}", release.replace('.', "_"));
        let words = std::env::var(&variable).map_err(|_| {
            format!(
                "{variable} is not set; `cargo xtask oracle --release {release} --print-command` \
                 prints what to set it to"
            )
        })?;
        let words: Vec<String> = serde_json::from_str(&words)
            .unwrap_or_else(|e| panic!("{variable} is no JSON array of words: {e}"));
        let (program, arguments) = words
            .split_first()
            .unwrap_or_else(|| panic!("{variable} is an empty array"));
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{variable}: cannot run {program}: {e}"));
        let stdin = child.stdin.take().expect("a pipe was asked for");
        let stdout = child.stdout.take().expect("a pipe was asked for");
        // Reading on a thread of its own is what makes a timeout possible. The channel is bounded
        // so that a batch of large answers waits in the pipe rather than in memory.
        let (sender, lines) = sync_channel(256);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Oracle {
            release,
            child,
            stdin,
            lines,
        })
    }

    /// The release whose classes answer.
    pub fn release(&self) -> &'static str {
        self.release
    }

    /// Asks all the questions and gives the answers in the same order.
    ///
    /// Questions are written while answers are read: neither pipe holds a whole batch.
    pub fn ask(&mut self, questions: &[Value]) -> Vec<Answer> {
        let Oracle {
            child,
            stdin,
            lines,
            release,
        } = self;
        thread::scope(|scope| {
            let writer = scope.spawn(move || write(stdin, questions));
            let mut answers = Vec::with_capacity(questions.len());
            while let Some(question) = questions.get(answers.len()) {
                let answer = read(lines, answers.len()).unwrap_or_else(|problem| {
                    // The writer may be waiting for a process that will never read on.
                    let _ = child.kill();
                    let question: String = question.to_string().chars().take(2000).collect();
                    panic!("Kafka {release}: {problem}, asked {question}")
                });
                answers.push(answer);
            }
            writer
                .join()
                .expect("the writer does not panic")
                .expect("all questions were answered, so all were written");
            answers
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may be stuck; nothing is lost by not waiting for the end of its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(stdin: &mut ChildStdin, questions: &[Value]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, stdin);
    for (id, question) in questions.iter().enumerate() {
        let mut question = question.clone();
        question["id"] = id.into();
        serde_json::to_writer(&mut out, &question)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn read(lines: &Receiver<io::Result<String>>, id: usize) -> Result<Answer, String> {
    let line = match lines.recv_timeout(TIMEOUT) {
        Ok(line) => line.map_err(|e| format!("the answer cannot be read: {e}"))?,
        Err(RecvTimeoutError::Timeout) => return Err(format!("no answer within {TIMEOUT:?}")),
        Err(RecvTimeoutError::Disconnected) => return Err("the process has ended".to_owned()),
    };
    let answer: Value = serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?;
    if answer["id"] != id {
        return Err(format!("an answer to another question: {line}"));
    }
    Answer::parse(answer).ok_or_else(|| format!("no answer: {line}"))
}
