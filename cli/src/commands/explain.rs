//! `kwire explain`: a recorded conversation as a dialogue.

mod fields;
mod gist;
mod order;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use crate::failure::Failure;
use crate::frames::Frame;
use crate::input;
use crate::messages;
use crate::output::{self, BAD, DIM, NAME, TITLE, counted};
use fields::Fields;
use recording::{Direction, Exchange, MAX_BAD_LINES, Recorded, Recording};

const EXAMPLES: &str = "\
Examples:
  kwire explain captures.jsonl.gz --phase tr-graceful
  kwire explain captures.jsonl.gz --api Vote,BeginQuorumEpoch,EndQuorumEpoch
  kwire explain captures.jsonl.gz --phase 'real-*' --limit 20
  zcat captures.jsonl.gz | kwire explain - --api Fetch --full

A recording is JSON lines, gzipped or not, each with a frame: conn, client (who asks), link (who is
asked), dir (req or resp), corr, apiKey, apiVersion, len, hex, and maybe src, phase and truncated.
Each request has its response below it. Of a message, the fields are shown that differ from their
defaults. Where phases interleave or a connection counts backwards, the file is not in the order of
time: it is restored then, from phases, correlation ids and the epochs of KRaft.";

/// Show a recorded conversation as a readable dialogue
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The recording, or - for standard input
    file: String,
    /// Only these phases (comma-separated; a * at the end stands for anything)
    #[arg(long, value_delimiter = ',', value_name = "PHASE,...")]
    phase: Vec<String>,
    /// Only these APIs, by name or key (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    api: Vec<String>,
    /// Leave the frames as the file has them, also if that is not the order of time
    #[arg(long)]
    file_order: bool,
    /// No more than so many requests
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show all fields, and all of each
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut apis = Vec::new();
    for name in &args.api {
        let info = messages::api(name).ok_or_else(|| messages::unknown_api(name))?;
        apis.push(info.key.0);
    }
    let bytes = match args.file.as_str() {
        "-" => input::read_stdin("a recording")?,
        path => input::read_file(path)?,
    };
    explain(args, &apis, &bytes, out)
}

/// The whole recording, in the order of time.
pub(crate) fn run_bytes(bytes: &[u8], full: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let args = Args {
        file: "-".to_owned(),
        phase: Vec::new(),
        api: Vec::new(),
        file_order: false,
        limit: None,
        full,
    };
    explain(&args, &[], bytes, out)
}

fn explain(args: &Args, apis: &[i16], bytes: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
    let mut recording = Recording::read(bytes);
    let reordered = !args.file_order && order::is_lost(&recording.exchanges);
    if reordered {
        recording.exchanges = order::restored(recording.exchanges);
    }
    check_phases(&args.phase, &recording)?;
    let chosen: Vec<&Exchange> = recording
        .exchanges
        .iter()
        .filter(|exchange| {
            exchange.first().is_some_and(|frame| {
                (apis.is_empty() || apis.contains(&frame.api_key))
                    && (args.phase.is_empty() || args.phase.iter().any(|p| is_phase(p, frame)))
            })
        })
        .collect();
    let shown = &chosen[..args.limit.unwrap_or(chosen.len()).min(chosen.len())];
    let mut dialogue = Dialogue {
        full: args.full,
        width: output::width(),
        out,
    };
    let file = match args.file.as_str() {
        "-" => "standard input",
        path => path,
    };
    dialogue.summary(file, &recording, shown)?;
    if chosen.is_empty() && !recording.exchanges.is_empty() {
        dialogue.remark("Nothing in it is of these APIs in these phases.")?;
    }
    if reordered && !shown.is_empty() {
        dialogue.remark(
            "The file has lost the order of time; here it is restored, as far as it can be.",
        )?;
    }
    dialogue.all(shown)?;
    let Some((line, why)) = recording.bad_line else {
        return Ok(());
    };
    let more = match recording.more_bad_lines {
        0 => String::new(),
        MAX_BAD_LINES => format!(", and at least {MAX_BAD_LINES} more such lines"),
        more => format!(", and {more} more such lines"),
    };
    let message = format!("{file}: line {line} is no frame: {why}{more}");
    Err(Failure::failed(message))
}

fn is_phase(pattern: &str, frame: &Recorded) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => frame.phase.starts_with(start),
        None => frame.phase == pattern,
    }
}

/// A phase that nothing has is a mistake, and showing nothing would hide it.
fn check_phases(patterns: &[String], recording: &Recording) -> Result<(), Failure> {
    for pattern in patterns {
        let mut frames = recording.exchanges.iter().flat_map(Exchange::frames);
        if !frames.any(|frame| is_phase(pattern, frame)) {
            let frames = recording.exchanges.iter().flat_map(Exchange::frames);
            let phases: BTreeSet<&str> = frames.map(|frame| frame.phase.as_str()).collect();
            let phases: Vec<&str> = phases.into_iter().collect();
            let message = format!("there is no phase '{pattern}', only {}", phases.join(", "));
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

struct Dialogue<'a> {
    full: bool,
    width: usize,
    out: &'a mut dyn Write,
}

impl Dialogue<'_> {
    /// How much there is, who talks, and about what.
    fn summary(
        &mut self,
        file: &str,
        recording: &Recording,
        shown: &[&Exchange],
    ) -> Result<(), Failure> {
        let all = recording.exchanges.iter().flat_map(Exchange::frames);
        let all = all.count();
        let frames: Vec<&Recorded> = shown.iter().flat_map(|e| e.frames()).collect();
        let requests = frames.iter().filter(|f| f.dir == Direction::Req).count();
        let responses = frames.len() - requests;
        let of = if frames.len() == all {
            String::new()
        } else {
            format!(" of {all}")
        };
        writeln!(
            self.out,
            "{TITLE}{}{TITLE:#}: {}{of} frames, {} and {}",
            output::one_line(file),
            frames.len(),
            counted(requests as u64, "request"),
            counted(responses as u64, "response"),
        )?;
        if frames.is_empty() {
            return Ok(());
        }
        let clients: BTreeSet<&str> = frames.iter().map(|f| f.client.as_str()).collect();
        let nodes: BTreeSet<&str> = frames.iter().map(|f| f.link.as_str()).collect();
        let mut apis: BTreeMap<i16, usize> = BTreeMap::new();
        for frame in frames.iter().filter(|f| f.dir == Direction::Req) {
            *apis.entry(frame.api_key).or_default() += 1;
        }
        let apis = apis
            .iter()
            .map(|(key, count)| format!("{} {count}", kwire_protocol::ApiKey(*key)));
        let lists = [
            ("clients", clients.into_iter().map(str::to_owned).collect()),
            ("nodes", nodes.into_iter().map(str::to_owned).collect()),
            ("requests", apis.collect::<Vec<String>>()),
        ];
        for (title, list) in lists {
            let text = output::one_line(&list.join(", "));
            let text = output::wrapped(&text, 11, self.width);
            let text = text.trim_start();
            writeln!(self.out, "  {title:<8} {text}")?;
        }
        Ok(())
    }

    fn remark(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "  {DIM}{text}{DIM:#}")?)
    }

    fn all(&mut self, exchanges: &[&Exchange]) -> Result<(), Failure> {
        let mut phase = None;
        for exchange in exchanges {
            let Some(first) = exchange.first() else {
                continue;
            };
            if phase != Some(&first.phase) {
                phase = Some(&first.phase);
                if !first.phase.is_empty() {
                    let name = output::one_line(&first.phase);
                    let line = "-".repeat(self.width.saturating_sub(name.len() + 4));
                    writeln!(self.out, "\n{TITLE}-- {name} {line}{TITLE:#}")?;
                }
            }
            writeln!(self.out)?;
            self.exchange(exchange)?;
        }
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<(), Failure> {
        match &exchange.request {
            Some(request) => {
                let (client, link) = (
                    output::one_line(&request.client),
                    output::one_line(&request.link),
                );
                let who = format!("{client} -> {link}");
                self.frame(request, &who, 0)?;
            }
            None => writeln!(self.out, "{DIM}a request that was not recorded{DIM:#}")?,
        }
        match &exchange.response {
            Some(response) => self.frame(response, "<-", 2),
            None => Ok(writeln!(
                self.out,
                "  <- {DIM}no response was recorded{DIM:#}"
            )?),
        }
    }

    /// A frame: who, what and in a few words, then its fields.
    fn frame(&mut self, frame: &Recorded, who: &str, indent: usize) -> Result<(), Failure> {
        let decoded = frame.decode();
        let margin = " ".repeat(indent);
        let (api, version) = (frame.api(), frame.api_version);
        write!(
            self.out,
            "{margin}{TITLE}{who}{TITLE:#} {NAME}{api} v{version}{NAME:#}"
        )?;
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(why) => {
                let why = output::one_line(&why);
                return Ok(writeln!(self.out, "  {BAD}{why}{BAD:#}")?);
            }
        };
        let gist = gist::gist(&decoded, frame.dir);
        if !gist.is_empty() {
            let bad = frame.dir == Direction::Resp && gist::first_error(&decoded.body).is_some();
            let style = if bad { BAD } else { TITLE };
            write!(self.out, "  {style}{gist}{style:#}")?;
        }
        for note in notes(frame, &decoded) {
            write!(self.out, "  {BAD}({note}){BAD:#}")?;
        }
        writeln!(self.out)?;
        let mut fields = Fields {
            schema: decoded.codec.schema,
            full: self.full,
            width: self.width,
            out: self.out,
        };
        fields.message(&decoded.body, indent + 4)
    }
}

/// Where the frame is not what the recording says.
fn notes(frame: &Recorded, decoded: &Frame) -> Vec<String> {
    let mut notes = Vec::new();
    let corr = decoded.header.get("correlationId");
    if corr.and_then(serde_json::Value::as_i64) != Some(frame.corr.into()) {
        let corr = corr.map_or_else(|| "none".to_owned(), ToString::to_string);
        notes.push(format!(
            "correlation id {corr} in the frame, {} in the recording",
            frame.corr
        ));
    }
    if decoded.info.key.0 != frame.api_key {
        notes.push(format!("{} in the frame", decoded.info.name));
    }
    if decoded.version != frame.api_version {
        notes.push(format!("at version {}", decoded.version));
    }
    notes
}
