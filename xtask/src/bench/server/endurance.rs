//! Whether three nodes can write as much as goes, for as long as one likes, in a bounded space.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::cluster::{Cluster, Extra, Load, Program};
use super::measure::verify_until;
use super::{Args, say};
use crate::bench::{machine, write_part};
use crate::paths;

const LOAD: Load = Load {
    rate: -1,
    size: 256,
};
/// What is kept of a log. The segments and the stretches between snapshots are what is deleted at
/// once.
const EXTRA: Extra = Extra {
    properties: "metadata.log.segment.bytes=67108864\n\
                 metadata.log.max.record.bytes.between.snapshots=67108864\n\
                 metadata.max.retention.bytes=1073741824\n",
    status_ms: 10,
};
const RETENTION_BYTES: u64 = 1 << 30;
/// Nodes that take more than this from the disk are not let go on.
const MAX_DISK_BYTES: u64 = 4 * RETENTION_BYTES;
/// How often it is looked at what the nodes take.
const TICK: Duration = Duration::from_millis(100);

/// What was seen.
#[derive(Debug, Default)]
struct Endured {
    seconds: f64,
    /// Records that were committed.
    records: i64,
    /// The longest time without a commit.
    stall: Duration,
    elections: i64,
    /// Megabytes of memory of the node that had most, in the first half of the time and in all of
    /// it.
    memory: [f64; 2],
    /// Bytes on disk of the node that had most, in the first half of the time and in all of it.
    disk: [u64; 2],
    verified: String,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let binary = super::build_kwire()?;
    let dir = paths::target_dir().join("bench-server/endurance");
    say(&format!("{} minutes of as much as goes", args.minutes));
    let program = Program::Kwire(binary.clone());
    let mut cluster = Cluster::start_with(&program, &dir, 3, LOAD, EXTRA)?;
    let first = cluster.wait_for_leader(0)?;
    let mut commits = Commits::default();
    let mut endured = endure(
        &mut cluster,
        &mut commits,
        Duration::from_secs_f64(args.minutes * 60.0),
    )?;
    endured.elections = cluster.leader().unwrap_or(first).epoch - first.epoch;
    endured.verified = verify_until(&binary, &mut cluster, commits.high_watermark)?;
    let text = text(args, &endured);
    println!("{text}");
    if args.write {
        write_part("endurance", &text)?;
    }
    Ok(())
}

/// The commits that nodes told of.
#[derive(Debug, Default)]
struct Commits {
    high_watermark: i64,
    last: Option<Instant>,
    longest: Duration,
}

impl Commits {
    fn note(&mut self, at: Instant, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return;
        };
        let status = line.get("status");
        let committed = status.and_then(|status| status.get("highWatermark")?.as_i64());
        let Some(committed) = committed.filter(|committed| *committed > self.high_watermark) else {
            return;
        };
        self.high_watermark = committed;
        self.wait_until(at);
        self.last = Some(at);
    }

    /// There was no commit until now, since the last.
    fn wait_until(&mut self, at: Instant) {
        let waited = self
            .last
            .map_or(Duration::ZERO, |last| at.saturating_duration_since(last));
        self.longest = self.longest.max(waited);
    }
}

fn endure(cluster: &mut Cluster, commits: &mut Commits, time: Duration) -> Result<Endured> {
    let mut endured = Endured::default();
    let start = Instant::now();
    while start.elapsed() < time {
        sleep(TICK);
        cluster.check()?;
        for (at, line) in cluster.take_lines() {
            commits.note(at, &line);
        }
        let memory = cluster.memory()?;
        let memory = memory.iter().map(|m| m.peak).fold(0.0, f64::max);
        let disk = cluster.disk_bytes().into_iter().max().unwrap_or(0);
        let is_first_half = start.elapsed() < time / 2;
        for half in usize::from(!is_first_half)..2 {
            endured.memory[half] = endured.memory[half].max(memory);
            endured.disk[half] = endured.disk[half].max(disk);
        }
        if disk > MAX_DISK_BYTES {
            bail!(
                "a node has {} MB on the disk, and is to keep {}",
                disk / 1_000_000,
                RETENTION_BYTES / 1_000_000
            );
        }
    }
    commits.wait_until(Instant::now());
    endured.seconds = start.elapsed().as_secs_f64();
    endured.records = commits.high_watermark;
    endured.stall = commits.longest;
    Ok(endured)
}

fn text(args: &Args, endured: &Endured) -> String {
    let bytes = endured.records as f64 * LOAD.size as f64;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let [memory_half, memory] = endured.memory;
    let [disk_half, disk] = endured.disk.map(megabytes);
    format!(
        "## Without end\n\n\
         Measured by `cargo xtask bench server --only endurance --minutes {} --write`.\n\
         Three `kwire server` processes on one machine write records of {} bytes as fast as they go, each with `metadata.max.retention.bytes` of {} MB, and segments and stretches between snapshots of {} MB.\n\n\
         - Machine: {}.\n- Date: {}.\n\n\
         | | |\n|---|---|\n\
         | committed | {:.1} GB of records in {:.0} s, {:.0} MB/s |\n\
         | longest time without a commit | {} ms |\n\
         | leaders after the first | {} |\n\
         | most memory of a node, in the first half of the time and in all of it | {memory_half:.0} MB, {memory:.0} MB |\n\
         | most disk of a node, likewise | {disk_half:.0} MB, {disk:.0} MB |\n\
         | afterwards | {} |\n",
        args.minutes,
        LOAD.size,
        RETENTION_BYTES / 1_000_000,
        (64 << 20) / 1_000_000,
        machine::describe(),
        machine::today(),
        bytes / 1e9,
        endured.seconds,
        bytes / 1e6 / endured.seconds,
        endured.stall.as_millis(),
        endured.elections,
        endured.verified,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stall_is_between_two_commits_of_whichever_node() {
        let start = Instant::now();
        let mut commits = Commits::default();
        for (ms, high_watermark) in [(5, 1), (10, 2), (20, 2), (40, 3), (45, 2), (50, 4)] {
            let line = format!(r#"{{"status":{{"highWatermark":{high_watermark}}}}}"#);
            commits.note(start + Duration::from_millis(ms), &line);
        }
        commits.note(start + Duration::from_millis(99), "no JSON");
        assert_eq!(commits.longest, Duration::from_millis(30));
        assert_eq!(commits.high_watermark, 4);
        commits.wait_until(start + Duration::from_millis(90));
        assert_eq!(commits.longest, Duration::from_millis(40));
    }
}
