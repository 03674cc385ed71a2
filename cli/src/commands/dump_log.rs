//! `kwire dump-log`: the files of a partition, in the lines of Kafka's `kafka-dump-log`.

mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use kwire_protocol::records::Batches;
use kwire_raft::log::bootstrap;
use kwire_raft::log::inspect::{Entry, FileKind, Place, check_index, offset_index, time_index};
use kwire_raft::log::snapshot;
use serde::Serialize;

use super::records::view::{BatchView, What};
use crate::failure::Failure;
use crate::input;

const EXAMPLES: &str = "\
Examples:
  kwire dump-log /var/kafka/__cluster_metadata-0/00000000000000000000.log --print-data-log
  kwire dump-log /var/kafka/__cluster_metadata-0/*.checkpoint --json | jq .records[].message
  kwire dump-log --index-sanity-check /var/kafka/__cluster_metadata-0/*index

Records of a directory __cluster_metadata-0 and of bootstrap.checkpoint are decoded, and so are
snapshots of kwire's own servers. Indexes are held against the segment beside them. Exit code 1 if anything is damaged; what was found before is
printed.";

/// Print segments, indexes and snapshots of a partition, and check them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files: .log, .index, .timeindex, .checkpoint
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the records too, control records decoded
    #[arg(long)]
    print_data_log: bool,
    /// The records are those of a KRaft metadata log, whatever the directory is called
    #[arg(long)]
    cluster_metadata_decoder: bool,
    /// Check indexes without printing their entries
    #[arg(long)]
    index_sanity_check: bool,
    /// Print JSON, a line for each batch, with its records, and for each entry of an index
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut dump = Dump {
        args,
        faults: Vec::new(),
        scratch: Vec::new(),
        out,
    };
    for file in &args.files {
        dump.file(file)?;
    }
    match &dump.faults[..] {
        [] => Ok(()),
        [fault] => Err(Failure::failed(fault)),
        [first, rest @ ..] => Err(Failure::failed(format!(
            "{first} (and {} more faults)",
            rest.len()
        ))),
    }
}

struct Dump<'a> {
    args: &'a Args,
    /// What is damaged: file, byte, offset and why.
    faults: Vec<String>,
    scratch: Vec<u8>,
    out: &'a mut dyn Write,
}

/// A line of JSON for a batch.
#[derive(Serialize)]
struct BatchLine<'a> {
    file: String,
    #[serde(flatten)]
    batch: &'a BatchView,
}

impl Dump<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let kind = FileKind::of(name);
        let shown = path.display();
        if kind == FileKind::Other && name != bootstrap::RECORDS_FILE_NAME {
            return Err(Failure::failed(format!(
                "{shown}: it is named neither as a segment (20 digits, .log), nor as an index or a \
                 snapshot of one"
            )));
        }
        let bytes = input::read_file(&shown.to_string())?;
        self.title(&format!("Dumping {shown}"))?;
        match kind {
            FileKind::Index(base) => self.index(path, base, &offset_index(base, &bytes)),
            FileKind::TimeIndex(base) => self.index(path, base, &time_index(base, &bytes)),
            FileKind::Log(base) => {
                self.title(&format!("Log starting offset: {base}"))?;
                self.batches(path, &bytes, base)
            }
            _ => {
                if let FileKind::Snapshot(id) = kind {
                    let (offset, epoch) = (id.offset, id.epoch);
                    self.title(&format!("Snapshot end offset: {offset}, epoch: {epoch}"))?;
                }
                let before = self.faults.len();
                self.batches(path, &bytes, 0)?;
                // What is wrong with a batch was said.
                if self.faults.len() == before
                    && let Err(damage) = snapshot::verify_bytes(&bytes)
                {
                    self.fault(format!("{shown} is damaged {damage}"))?;
                }
                Ok(())
            }
        }
    }

    fn title(&mut self, text: &str) -> Result<(), Failure> {
        if !self.args.json {
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    fn fault(&mut self, what: String) -> Result<(), Failure> {
        self.title(&what)?;
        self.faults.push(what);
        Ok(())
    }

    fn batches(&mut self, path: &Path, bytes: &[u8], start: i64) -> Result<(), Failure> {
        let what = What {
            records: self.args.print_data_log || self.args.json,
            metadata: self.args.cluster_metadata_decoder || has_metadata(path),
            state: path
                .extension()
                .is_some_and(|suffix| suffix == "checkpoint"),
        };
        let shown = path.display();
        let mut position = 0;
        let mut next = start;
        while position < bytes.len() {
            let rest = bytes.get(position..).unwrap_or_default();
            let why = match Batches::new(rest).next() {
                Some(Ok(batch)) => {
                    let view = BatchView::new(&batch, position, what, &mut self.scratch);
                    self.batch(path, &view)?;
                    let base = view.base_offset.unwrap_or(next);
                    if let Some(error) = &view.error {
                        self.fault(format!(
                            "{shown} is damaged at byte {position}, offset {base}: {error}"
                        ))?;
                    } else if base != next {
                        self.fault(format!(
                            "{shown} at byte {position}: a batch at offset {base}, and {next} \
                             would be next"
                        ))?;
                    }
                    next = batch.last_offset().saturating_add(1);
                    position += batch.bytes().len();
                    continue;
                }
                // A segment whose file was made long in advance.
                _ if rest.iter().all(|byte| *byte == 0) => {
                    return self.title(&format!("{} zero bytes at the end", rest.len()));
                }
                Some(Err(error)) => error.kind().to_string(),
                None => format!("{} bytes are part of a batch", rest.len()),
            };
            // Behind it nobody knows where a batch would begin.
            return self.fault(format!(
                "{shown} is damaged at byte {position}, offset {next}: {why}"
            ));
        }
        Ok(())
    }

    fn batch(&mut self, path: &Path, view: &BatchView) -> Result<(), Failure> {
        if self.args.json {
            let file = path.display().to_string();
            let line = BatchLine { file, batch: view };
            serde_json::to_writer(&mut *self.out, &line)?;
            return Ok(writeln!(self.out)?);
        }
        text::batch(view, self.out)
    }

    fn index(&mut self, path: &Path, base: i64, entries: &[Entry]) -> Result<(), Failure> {
        if !self.args.index_sanity_check {
            for entry in entries {
                self.entry(path, *entry)?;
            }
        }
        let log = path.with_file_name(FileKind::log_name(base));
        let places = log.exists().then(|| places(&log)).transpose()?;
        let flaws = check_index(entries, places.as_deref());
        let shown = path.display();
        if flaws.is_empty() && self.args.index_sanity_check {
            self.title(&format!("{shown} passed sanity check."))?;
        }
        for flaw in flaws {
            self.fault(format!("{shown} is wrong {flaw}"))?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, entry: Entry) -> Result<(), Failure> {
        let file = path.display().to_string();
        let (text, json) = match entry {
            Entry::Position { offset, position } => (
                format!("offset: {offset} position: {position}"),
                serde_json::json!({"file": file, "offset": offset, "position": position}),
            ),
            Entry::Time { timestamp, offset } => (
                format!("timestamp: {timestamp} offset: {offset}"),
                serde_json::json!({"file": file, "timestamp": timestamp, "offset": offset}),
            ),
            _ => return Ok(()),
        };
        if self.args.json {
            return crate::output::json(self.out, &json, true);
        }
        Ok(writeln!(self.out, "{text}")?)
    }
}

/// Whether the file has records of a metadata log, by its name and that of its directory.
fn has_metadata(path: &Path) -> bool {
    let absolute = std::path::absolute(path);
    let path = absolute.as_deref().unwrap_or(path);
    let directory = path.parent().and_then(Path::file_name);
    path.ends_with(bootstrap::RECORDS_FILE_NAME)
        || directory.is_some_and(|name| name == "__cluster_metadata-0")
}

/// Where the batches of a segment are, up to the first that cannot be read.
fn places(log: &Path) -> Result<Vec<Place>, Failure> {
    let bytes = input::read_file(&log.display().to_string())?;
    let mut position = 0;
    let batches = Batches::new(&bytes).map_while(Result::ok);
    let place = batches.map(|batch| {
        let place = Place::of(&batch, position);
        position += batch.bytes().len() as u64;
        place
    });
    Ok(place.collect())
}
