//! `kwire verify-log`: whether logs have every record, once and in order.

use std::io::Write;
use std::path::PathBuf;

use kwire_server::verify::{Found, compare, look_through};

use crate::failure::Failure;
use crate::output::counted;

const EXAMPLES: &str = "\
Examples:
  kwire verify-log /tmp/raft-1/__raft_performance_test-0
  kwire verify-log /tmp/raft-{1,2,3}/__raft_performance_test-0

Of several logs, each is held against the first, as far as both have something. What was not
committed may differ at their ends: --until names the offset to compare up to. What was deleted at a
log's beginning is not missing; its snapshots say how many records there were, and are held against
the log.
Exit code 1 if anything is missing, twice, out of order, damaged or different. Bytes of a batch that
is cut off at the end of the last segment are counted, and no fault: a node that stops leaves such.";

/// The most faults that are printed for each log.
const MOST: usize = 20;

/// Check the records that `kwire server` wrote: serial numbers, checksums, and that nodes agree
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Partition directories, with the segments
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Compare logs below this offset only
    #[arg(long, value_name = "OFFSET", default_value_t = i64::MAX)]
    until: i64,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut first: Option<Found> = None;
    let mut faults = 0;
    for directory in &args.directories {
        let mut found = look_through(directory)
            .map_err(|error| Failure::failed(format!("{}: {error}", directory.display())))?;
        if let Some(first) = &first {
            found.faults.extend(compare(&found, first, args.until));
        }
        writeln!(
            out,
            "{}: offsets {} to {}, {}, {} of others, {}, {}, {}",
            directory.display(),
            found.start,
            found.end,
            counted(found.records, "record"),
            found.foreign,
            counted(found.torn_bytes, "torn byte"),
            counted(found.snapshots as u64, "snapshot"),
            counted(found.faults.len() as u64, "fault"),
        )?;
        for fault in found.faults.iter().take(MOST) {
            writeln!(out, "  {fault}")?;
        }
        faults += found.faults.len();
        first.get_or_insert(found);
    }
    if faults > 0 {
        return Err(Failure::failed(counted(faults as u64, "fault")));
    }
    Ok(())
}
