//! Feeds a corpus to the oracle and compares: the corpus and the jars must tell the same story.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use crate::jars::Release;
use crate::oracle::{Answer, Input, Oracle, Question};

/// How many disagreements are printed before the rest is only counted.
const SHOWN: usize = 20;

/// A line of a corpus, positive or negative.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    kafka: String,
    schema: String,
    version: i16,
    kind: String,
    hex: Option<String>,
    json: Option<Value>,
    full: Option<Value>,
    error: Option<String>,
    decode_error: Option<String>,
}

/// What a line lets us expect of the answer to one question.
enum Expected<'a> {
    /// These bytes, and the values where the line knows them.
    Bytes {
        hex: &'a str,
        json: Option<&'a Value>,
        full: Option<&'a Value>,
    },
    /// This error at this step.
    Error { at: &'a str, error: &'a str },
}

/// Asks about every line in every form that it has, and fails if any answer disagrees with the line.
pub(crate) fn run(oracle: &mut Oracle, release: &Release, file: &Path) -> Result<()> {
    let lines = read(file)?;
    let mut questions = Vec::new();
    let mut expectations = Vec::new();
    for line in &lines {
        ensure!(
            line.kafka == release.to_string(),
            "{} was written by Kafka {}, not {release}",
            file.display(),
            line.kafka
        );
        for (input, expected) in line.cases(release) {
            questions.push(Question {
                schema: line.schema.clone(),
                version: line.version,
                input,
            });
            expectations.push(expected);
        }
    }
    let answers = oracle.ask(&questions)?;
    let mut wrong = 0;
    for ((question, expected), answer) in questions.iter().zip(&expectations).zip(&answers) {
        if let Err(complaint) = expected.check(answer) {
            wrong += 1;
            if wrong <= SHOWN {
                eprintln!(
                    "{complaint}: {} asked with {}",
                    question.schema,
                    serde_json::to_string(question)?
                );
            }
        }
    }
    println!(
        "{}: {} lines, {} questions, {wrong} answered otherwise",
        file.display(),
        lines.len(),
        questions.len()
    );
    if wrong > 0 {
        bail!("Kafka {release} disagrees with {}", file.display());
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Line>> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let reader: Box<dyn Read> = if file.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(opened))
    } else {
        Box::new(opened)
    };
    let mut lines = Vec::new();
    for (number, text) in BufReader::new(reader).lines().enumerate() {
        let place = || format!("{}:{}", file.display(), number + 1);
        lines.push(serde_json::from_str(&text.with_context(place)?).with_context(place)?);
    }
    Ok(lines)
}

impl Line {
    /// The questions that the line answers.
    fn cases(&self, release: &Release) -> Vec<(Input, Expected<'_>)> {
        let mut cases = Vec::new();
        if let (Some(error), Some(full)) = (&self.error, &self.full) {
            cases.push((
                Input::Full(full.clone()),
                Expected::Error {
                    at: "encode",
                    error,
                },
            ));
        }
        let Some(hex) = &self.hex else { return cases };
        if let Some(error) = &self.decode_error {
            cases.push((
                Input::Hex(hex.clone()),
                Expected::Error {
                    at: "decode",
                    error,
                },
            ));
            return cases;
        }
        let Some(full) = self.full.as_ref().or(self.json.as_ref()) else {
            return cases;
        };
        let json = self.json.as_ref();
        // Fields that the version lacks do not survive the bytes.
        let survives = self.kind != "ignorable";
        let decoded = Expected::Bytes {
            hex,
            json: json.filter(|_| survives),
            full: Some(full).filter(|_| survives),
        };
        cases.push((Input::Hex(hex.clone()), decoded));
        cases.push((
            Input::Full(full.clone()),
            Expected::Bytes {
                hex,
                json,
                full: Some(full),
            },
        ));
        // Older converters do not read all that they write.
        if let (Some(json), None, true) = (json, &self.full, release.is_at_least(3, 0)) {
            cases.push((
                Input::Json(json.clone()),
                Expected::Bytes {
                    hex,
                    json: Some(json),
                    full: Some(json),
                },
            ));
        }
        cases
    }
}

impl Expected<'_> {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        match (self, answer) {
            (
                Self::Bytes { hex, json, full },
                Answer::Accepted {
                    hex: got,
                    json: got_json,
                    full: got_full,
                    remaining,
                },
            ) => {
                if hex != got {
                    Err(format!("other bytes, {got} and not {hex}"))
                } else if *remaining != 0 {
                    Err(format!("{remaining} bytes left over"))
                } else if full.is_some_and(|full| full != got_full) {
                    Err(format!("another value, {got_full}"))
                } else if let (Some(json), Some(got)) = (json, got_json)
                    && *json != got
                {
                    Err(format!("other JSON, {got}"))
                } else {
                    Ok(())
                }
            }
            (
                Self::Error { at, error },
                Answer::Refused {
                    at: got_at,
                    error: got,
                    ..
                },
            ) if at == got_at && error == got => Ok(()),
            (Self::Error { at, error }, Answer::Accepted { .. }) => {
                Err(format!("accepted, not refused with {error} at {at}"))
            }
            (_, Answer::Refused { at, error, message }) => Err(format!(
                "refused with {error} at {at} ({})",
                message.as_deref().unwrap_or("no message")
            )),
        }
    }
}
