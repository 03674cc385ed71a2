//! What is measured of a quorum: the same for every program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::COMFORTABLE;
use super::cluster::{Cluster, Load, Program};

/// No log becomes longer: three of them share a disk with others.
pub(super) const MAX_LOG_BYTES: u64 = 4 << 30;
/// Followers have connected by then.
const WARM_UP: Duration = Duration::from_secs(4);
/// A JVM has compiled what it uses most by then.
const WARM_UP_OF_JAVA: Duration = Duration::from_secs(10);
/// What Java reports of latency is of the last 30 seconds: they begin once it is warm.
const JAVAS_MEMORY: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

/// A quorum under load.
#[derive(Clone, Debug, Default)]
pub(super) struct Sustained {
    pub(super) rate: i64,
    pub(super) size: usize,
    /// Megabytes of log that a majority got each second.
    pub(super) megabytes: f64,
    /// How far the slowest log was behind the longest at the end, in megabytes.
    pub(super) behind: f64,
    /// Of the node that had most in memory at any time, in megabytes.
    pub(super) peak: f64,
    /// Of all nodes, for each committed gigabyte.
    pub(super) cpu_per_gigabyte: f64,
    pub(super) latency: Latency,
    /// Leaders that followed the first one.
    pub(super) elections: i64,
    /// What `kwire verify-log` says of the three logs.
    pub(super) verified: Option<String>,
}

/// Milliseconds, as the leader reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Latency {
    pub(super) p50: Option<f64>,
    pub(super) p75: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) p999: Option<f64>,
}

/// Puts three nodes under a load.
pub(super) fn sustain(
    program: &Program,
    dir: &Path,
    load: Load,
    time: Duration,
) -> Result<Sustained> {
    let mut cluster = Cluster::start(program, dir, 3, load)?;
    let first = cluster.wait_for_leader(0)?;
    sleep(warm_up(program, load));
    let (start, before, cpu) = (Instant::now(), cluster.logs(), cluster.cpu_seconds()?);
    while start.elapsed() < time && cluster.logs()[0] < MAX_LOG_BYTES {
        sleep(Duration::from_millis(20));
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), cluster.logs());
    let cpu = cluster.cpu_seconds()? - cpu;
    cluster.check()?;
    // A node that lost an election may have cut off more than was written meanwhile.
    let committed = after[1].saturating_sub(before[1]) as f64 / 1e6;
    let lines = cluster.lines_since(start);
    let memory = cluster.memory()?;
    let last = cluster.leader().unwrap_or(first);
    let verified = match program {
        Program::Kwire(binary) => Some(verify(binary, &mut cluster, &lines)?),
        Program::Java(_) => None,
    };
    Ok(Sustained {
        rate: load.rate,
        size: load.size,
        megabytes: committed / seconds,
        behind: (after[0] - after[2]) as f64 / 1e6,
        peak: memory.iter().map(|m| m.peak).fold(0.0, f64::max),
        cpu_per_gigabyte: cpu / (committed / 1e3),
        latency: match program {
            Program::Kwire(_) => reported(&lines),
            Program::Java(_) => reported_by_java(&lines),
        },
        elections: last.epoch - first.epoch,
        verified,
    })
}

fn warm_up(program: &Program, load: Load) -> Duration {
    match program {
        Program::Kwire(_) => WARM_UP,
        // Where its latency is to be compared, what was slow at the start is not to count.
        Program::Java(_) if load == COMFORTABLE => WARM_UP_OF_JAVA + JAVAS_MEMORY,
        Program::Java(_) => WARM_UP_OF_JAVA,
    }
}

/// What several reports of a second each come to: the median of halves and of 99 %, the worst of
/// 99.9 %.
fn reported(lines: &[String]) -> Latency {
    let reports: Vec<Value> = lines
        .iter()
        .filter_map(|line| {
            serde_json::from_str::<Value>(line)
                .ok()?
                .get("report")
                .cloned()
        })
        .collect();
    let all = |key: &str| -> Vec<f64> {
        reports
            .iter()
            .filter_map(|r| r.get(key)?.as_f64())
            .collect()
    };
    Latency {
        p50: median(all("p50Ms")),
        p75: median(all("p75Ms")),
        p99: median(all("p99Ms")),
        p999: all("p999Ms").into_iter().reduce(f64::max),
    }
}

/// Java's last line, which is of the 30 seconds before it.
fn reported_by_java(lines: &[String]) -> Latency {
    let of = |line: &String| {
        let (_, text) = line.split_once("Latency (ms): ")?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let value = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        Some(Latency {
            p50: None,
            p75: value("p75"),
            p99: value("p99"),
            p999: value("p999"),
        })
    };
    lines.iter().filter_map(of).next_back().unwrap_or_default()
}

/// The largest high watermark that a node of ours printed.
fn high_watermark(lines: &[String]) -> i64 {
    let of = |line: &String| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("status")?.get("highWatermark")?.as_i64()
    };
    lines.iter().filter_map(of).max().unwrap_or(0)
}

/// Stops the nodes and looks whether their logs have everything, and agree.
fn verify(binary: &PathBuf, cluster: &mut Cluster, lines: &[String]) -> Result<String> {
    verify_until(binary, cluster, high_watermark(lines))
}

/// The same up to an offset.
pub(super) fn verify_until(
    binary: &PathBuf,
    cluster: &mut Cluster,
    high_watermark: i64,
) -> Result<String> {
    cluster.stop();
    let mut command = Command::new(binary);
    command.arg("verify-log");
    command.args(["--until", &high_watermark.to_string()]);
    command.args((0..3).map(|node| cluster.partition(node)));
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("the logs are not what was written:\n{said}");
    }
    let records = said.lines().filter_map(|line| {
        let (_, rest) = line.split_once(" to ")?;
        rest.split(", ")
            .nth(1)?
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    let records: u64 = records.sum();
    Ok(format!("{records} records in three logs, no fault"))
}

/// Raises Java's rate until it is not kept up with, or its process ends under it, which is said in
/// `notes`.
pub(super) fn climb(
    program: &Program,
    dir: &Path,
    size: usize,
    rates: &[i64],
    time: Duration,
    notes: &mut Vec<String>,
) -> Result<Vec<Sustained>> {
    let mut rungs = Vec::new();
    for &rate in rates {
        let rung = match sustain(program, dir, Load { rate, size }, time) {
            Ok(rung) => rung,
            Err(error) => {
                let load = format!("at {rate} records of {size} bytes a second");
                notes.push(format!(
                    "Kafka's server was not measured {load}: {error:#}."
                ));
                break;
            }
        };
        let asked = (rate * i64::try_from(size)?) as f64 / 1e6;
        let is_kept = rung.megabytes >= asked * 0.9;
        rungs.push(rung);
        if !is_kept {
            break;
        }
    }
    Ok(rungs)
}

/// What each node has in memory when nothing is written, in megabytes.
pub(super) fn idle(program: &Program, dir: &Path, rate: i64) -> Result<f64> {
    let mut cluster = Cluster::start(program, dir, 3, Load { rate, size: 256 })?;
    cluster.wait_for_leader(0)?;
    sleep(WARM_UP);
    let memory = cluster.memory()?;
    Ok(memory.iter().map(|m| m.now).fold(0.0, f64::max))
}

/// Milliseconds from the start of the last process to a leader, of empty logs.
pub(super) fn start_to_leader(
    program: &Program,
    dir: &Path,
    nodes: usize,
    times: usize,
) -> Result<Vec<f64>> {
    let load = Load { rate: 1, size: 256 };
    let mut all = Vec::new();
    for _ in 0..times {
        let mut cluster = Cluster::start(program, dir, nodes, load)?;
        cluster.wait_for_leader(0)?;
        all.push(ms(cluster.started().elapsed()));
    }
    Ok(all)
}

/// Milliseconds from the end of the leader's process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failover {
    /// To when a node that is left says that somebody leads.
    pub(super) elected: f64,
    /// To when both nodes that are left got more records.
    pub(super) writing: f64,
}

/// Kills the leader again and again, and starts it again each time.
pub(super) fn failovers(program: &Program, dir: &Path, times: usize) -> Result<Vec<Failover>> {
    let load = Load {
        rate: 5_000,
        size: 256,
    };
    let mut cluster = Cluster::start(program, dir, 3, load)?;
    cluster.wait_for_leader(0)?;
    let mut all = Vec::new();
    for _ in 0..times {
        sleep(WARM_UP);
        let Some(old) = cluster.leader() else {
            bail!("there is no leader any more");
        };
        let killed = Instant::now();
        cluster.kill(old.node);
        cluster.wait_for_leader(old.epoch)?;
        let elected = ms(killed.elapsed());
        let left: Vec<usize> = (0..3).filter(|node| *node != old.node).collect();
        let before: Vec<u64> = left.iter().map(|node| cluster.log_bytes(*node)).collect();
        wait(|| (0..2).all(|at| cluster.log_bytes(left[at]) > before[at]))?;
        all.push(Failover {
            elected,
            writing: ms(killed.elapsed()),
        });
        let end = cluster.logs()[0];
        cluster.start_node(old.node)?;
        wait(|| cluster.log_bytes(old.node) >= end)?;
    }
    Ok(all)
}

fn wait(is_it: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_it() {
        if start.elapsed() > PATIENCE {
            bail!("a node is not caught up after {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The one in the middle; of an even number, the greater of the two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let lines = [
            r#"{"report":{"p50Ms":3.0,"p75Ms":4.0,"p99Ms":9.0,"p999Ms":10.5}}"#,
            r#"{"status":{"role":"leader","highWatermark":41}}"#,
            r#"{"report":{"p50Ms":1.0,"p75Ms":2.0,"p99Ms":4.0,"p999Ms":20.5}}"#,
            r#"{"report":{"p50Ms":2.0,"p75Ms":3.0,"p99Ms":5.0,"p999Ms":8.0}}"#,
        ]
        .map(str::to_owned);
        let latency = reported(&lines);
        let found = [latency.p50, latency.p75, latency.p99, latency.p999];
        assert_eq!(found, [2.0, 3.0, 5.0, 20.5].map(Some));
        assert_eq!(high_watermark(&lines), 41);
        assert_eq!(reported(&[]), Latency::default());
    }

    #[test]
    fn javas_last_line_counts() {
        let lines = [
            "Throughput (bytes/second): 1.00, Latency (ms): 1.0 p75 2.0 p99 3.0 p999",
            "something else",
            "Throughput (bytes/second): 2.00, Latency (ms): 4.0 p75 5.0 p99 6.5 p999",
        ]
        .map(str::to_owned);
        let latency = reported_by_java(&lines);
        assert_eq!(
            (latency.p75, latency.p99, latency.p999),
            (Some(4.0), Some(5.0), Some(6.5))
        );
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
