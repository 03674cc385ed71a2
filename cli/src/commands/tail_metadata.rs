//! `kwire tail-metadata`: a quorum's log as it grows, seen by an observer without an id.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use kwire_protocol::records::Batches;
use kwire_raft::log::snapshot::SnapshotReader;
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch, Topic};
use kwire_server::client::{ClientError, Fetched, QuorumClient};
use serde_json::{Map, Value, json};

use super::records::view::{BatchView, RecordView, What};
use crate::failure::Failure;
use crate::interrupt;
use crate::nodes::Quorum;
use crate::output::{self, DIM, NAME};

const EXAMPLES: &str = "\
Examples:
  kwire tail-metadata --bootstrap localhost:9093
  kwire tail-metadata --bootstrap a:9093,b:9093 --from latest --json | jq .data.name

Only what is committed is printed, which is what controllers go by. If the log begins with a
snapshot, so does what is printed; \"snapshot\" says so in its lines. Ctrl-C ends it.";

/// How long the leader is to hold back an answer without records.
const WAIT: Duration = Duration::from_millis(500);

/// The pause before the quorum is asked again when nobody leads.
const PAUSE: Duration = Duration::from_millis(300);

/// The pause while there are records that are not committed.
const UNCOMMITTED: Duration = Duration::from_millis(20);

/// Follow the metadata log of a quorum, and print its records as they are committed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    quorum: Quorum,
    /// Where to begin
    #[arg(long, value_enum, default_value_t = From::Beginning)]
    from: From,
    /// Print JSON alone; without it, the offset and the type stand before the data
    #[arg(long)]
    json: bool,
    /// Stop once everything that is committed when the command starts was printed
    #[arg(long)]
    no_follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum From {
    /// At the first record that there is
    Beginning,
    /// At what is committed from now on
    Latest,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let stop = interrupt::flag()?;
    // Finds out which topic there is, if none is named.
    let (mut client, _) = args.quorum.describe()?;
    let (mut tail, committed) = Tail::begin(args, &mut client, out)?;
    let mut is_lost = false;
    while !stop.load(Ordering::SeqCst) {
        if args.no_follow && tail.next >= committed {
            break;
        }
        match client.fetch(tail.next, tail.last_epoch, WAIT) {
            Ok(fetched) => {
                is_lost = false;
                tail.take(&mut client, fetched)?;
            }
            Err(error) if comes_back(&error) => {
                // Once for each time: it is asked over and over.
                if !is_lost {
                    tail.out.flush()?;
                    let _ = writeln!(anstream::stderr(), "note: {error}; asking again");
                }
                is_lost = true;
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(Failure::failed(error)),
        }
        tail.out.flush()?;
    }
    Ok(())
}

/// Whether a quorum that has answered before may do so again.
fn comes_back(error: &ClientError) -> bool {
    match error {
        ClientError::NoLeader { .. } => true,
        ClientError::Refused { error, .. } => error.is_retriable(),
        _ => false,
    }
}

/// What was printed so far, and where to.
struct Tail<'a> {
    json: bool,
    /// The offset that comes next.
    next: Offset,
    /// The epoch of the record before it.
    last_epoch: Epoch,
    /// What comes before is not printed.
    from: Offset,
    what: What,
    out: &'a mut dyn Write,
}

impl<'a> Tail<'a> {
    /// Where to begin, and up to where the log is committed now.
    fn begin(
        args: &Args,
        client: &mut QuorumClient,
        out: &'a mut dyn Write,
    ) -> Result<(Tail<'a>, Offset), Failure> {
        let first = client.fetch(0, 0, Duration::ZERO);
        let committed = first.map_err(Failure::failed)?.high_watermark();
        let committed = committed.unwrap_or(0);
        let mut tail = Tail {
            json: args.json,
            next: 0,
            last_epoch: 0,
            from: 0,
            what: What {
                records: true,
                metadata: *client.topic() == Topic::cluster_metadata(),
                state: false,
            },
            out,
        };
        if args.from == From::Latest {
            tail.from = committed;
            // What a leader knows to be committed ends with a record of its own epoch. If there is
            // another leader by now, all is read, and what comes before is not printed.
            let epoch = client.leader_epoch();
            if committed > 0 && client.fetch(committed, epoch, Duration::ZERO).is_ok() {
                (tail.next, tail.last_epoch) = (committed, epoch);
            }
        }
        Ok((tail, committed))
    }

    fn take(&mut self, client: &mut QuorumClient, fetched: Fetched) -> Result<(), Failure> {
        match fetched {
            Fetched::Snapshot { id, .. } => self.snapshot(client, id),
            Fetched::Records {
                batches,
                high_watermark,
            } => {
                let before = self.next;
                self.records(&batches, high_watermark.unwrap_or(0))?;
                if self.next == before && !batches.is_empty() {
                    // The leader holds an answer back only while it has no records.
                    thread::sleep(UNCOMMITTED);
                }
                Ok(())
            }
        }
    }

    /// Prints the batches that are committed. The others come again.
    fn records(&mut self, bytes: &Bytes, committed: Offset) -> Result<(), Failure> {
        let mut scratch = Vec::new();
        for batch in Batches::validated(bytes) {
            let batch = batch.map_err(|error| {
                let next = self.next;
                Failure::failed(format!("what the leader sent for offset {next}: {error}"))
            })?;
            let last = batch.last_offset();
            if last >= committed {
                break;
            }
            if last < self.next {
                continue;
            }
            let view = BatchView::new(&batch, 0, self.what, &mut scratch);
            let epoch = batch.header().map_or(0, |h| h.partition_leader_epoch);
            let new = |record: &&RecordView| record.offset >= self.from.max(self.next);
            let records: Vec<&RecordView> = view.records.iter().flatten().filter(new).collect();
            for record in records {
                self.record(record, epoch, None)?;
            }
            if let Some(error) = view.error {
                return Err(Failure::failed(format!(
                    "the batch that ends with offset {last}: {error}"
                )));
            }
            self.next = last + 1;
            self.last_epoch = epoch;
        }
        Ok(())
    }

    /// Prints what a snapshot holds, and goes on behind it.
    fn snapshot(&mut self, client: &mut QuorumClient, id: OffsetAndEpoch) -> Result<(), Failure> {
        if id.offset > self.from {
            let failed = |error: &dyn std::fmt::Display| {
                Failure::failed(format!("the snapshot at {id}: {error}"))
            };
            let mut stream = client.snapshot(id).map_err(|error| failed(&error))?;
            let size = stream.size();
            let mut reader = SnapshotReader::new(size, |position, max| stream.read(position, max));
            let mut scratch = Vec::new();
            let what = What {
                state: true,
                ..self.what
            };
            while let Some(bytes) = reader.next_batch().map_err(|error| failed(&error))? {
                for batch in Batches::new(&bytes) {
                    let batch = batch.map_err(|error| failed(&error))?;
                    let view = BatchView::new(&batch, 0, what, &mut scratch);
                    for record in view.records.iter().flatten() {
                        self.record(record, id.epoch, Some(id))?;
                    }
                }
            }
        }
        self.next = id.offset;
        self.last_epoch = id.epoch;
        Ok(())
    }

    /// Prints a record. Offsets inside a snapshot say nothing.
    fn record(
        &mut self,
        record: &RecordView,
        epoch: Epoch,
        snapshot: Option<OffsetAndEpoch>,
    ) -> Result<(), Failure> {
        let (kind, data) = describe(record);
        if !self.json {
            match snapshot {
                Some(id) => write!(self.out, "{DIM}snapshot {}{DIM:#}  ", id.offset)?,
                None => write!(self.out, "{DIM}{}{DIM:#}  ", record.offset)?,
            }
            write!(self.out, "{NAME}{kind}{NAME:#} ")?;
            return output::json(self.out, &data, true);
        }
        let mut line = Map::new();
        match snapshot {
            Some(id) => {
                let id = json!({"endOffset": id.offset, "epoch": id.epoch});
                line.insert("snapshot".to_owned(), id)
            }
            None => line.insert("offset".to_owned(), record.offset.into()),
        };
        line.insert("epoch".to_owned(), epoch.into());
        line.insert("timestamp".to_owned(), record.timestamp.into());
        line.insert("type".to_owned(), kind.into());
        let version = record.message.as_ref().and_then(|m| m.version);
        if let Some(version) = version {
            line.insert("version".to_owned(), version.into());
        }
        line.insert("data".to_owned(), data);
        output::json(self.out, &line.into(), true)
    }
}

/// The type of a record and what is in it. Of one that is no metadata, the value as it is.
fn describe(record: &RecordView) -> (String, Value) {
    let message = record.message.as_ref();
    match message.and_then(|message| Some((message, message.data.as_ref()?))) {
        Some((message, data)) => (message.name.clone(), data.clone()),
        None => {
            let mut data = json!({"value": record.value});
            match message.and_then(|message| message.error.as_deref()) {
                Some(error) => {
                    data["error"] = error.into();
                    ("unknown".to_owned(), data)
                }
                None => ("record".to_owned(), data),
            }
        }
    }
}
