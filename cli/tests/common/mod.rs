//! What several tests share: running the command, and the fixtures.
#![allow(dead_code, unreachable_pub)]

pub mod node;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use serde_json::Value;

/// What a run of the command left.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the command with a closed input.
pub fn kwire(args: &[&str]) -> Run {
    kwire_with(args, b"")
}

/// Runs the command with something on its standard input.
pub fn kwire_with(args: &[&str], input: &[u8]) -> Run {
    let (code, out, err) = kwire_raw(args, input);
    Run {
        code,
        out: String::from_utf8(out).expect("UTF-8"),
        err,
    }
}

/// Runs the command, whose output need not be text.
pub fn kwire_raw(args: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
    let mut child = command(args).spawn().expect("kwire runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // Who fails early does not read all.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("kwire ends");
    writer.join().expect("the input is written");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code().expect("no signal"), output.stdout, err)
}

/// The command with pipes, and nothing of the environment that changes its output.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kwire"));
    command
        .args(args)
        .env_remove("COLUMNS")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Run {
    /// What was printed, if all went well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What is wrong, which has to be one line.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        let error = self.err.trim_end().strip_prefix("error: ");
        error.expect("an error").to_owned()
    }
}

/// The path of a fixture of the protocol crate.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../protocol/tests/fixtures")
        .join(name)
}

/// The JSON lines of a gzipped fixture.
pub fn lines(name: &str) -> Vec<Value> {
    let file = std::fs::File::open(fixture(name)).expect("a fixture");
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
        .collect()
}

/// The text of a gzipped fixture.
pub fn unzipped(name: &str) -> Vec<u8> {
    let file = std::fs::File::open(fixture(name)).expect("a fixture");
    let mut text = Vec::new();
    GzDecoder::new(file)
        .read_to_end(&mut text)
        .expect("a gzip file");
    text
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}

/// The command in an environment variable, if Java is to be asked; a line on standard error if not.
/// `program` is what `cargo xtask kafka` calls it.
pub fn java(variable: &str, program: &str) -> Option<Command> {
    let Ok(words) = std::env::var(variable) else {
        let required = std::env::var("KWIRE_REQUIRE_JAVA").is_ok_and(|value| value == "1");
        let why = format!(
            "{variable} is not set; `cargo xtask kafka {program} --print-command` prints what to \
             set it to"
        );
        assert!(!required, "KWIRE_REQUIRE_JAVA is set, but {why}");
        // Past the test harness, which shows nothing of tests that pass.
        let _ = writeln!(std::io::stderr(), "what Java says: skipped: {why}");
        return None;
    };
    let words: Vec<String> = serde_json::from_str(&words).expect("a JSON array of words");
    let (program, arguments) = words.split_first().expect("an array that is not empty");
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}
