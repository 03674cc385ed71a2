//! What was measured, as a part of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use super::cluster::Load;
use super::measure::{MAX_LOG_BYTES, Sustained, median};
use super::produce::{Produced, SENDS};
use super::{COMFORTABLE, Figures, Limit, Quorum, RELEASE, SIZES};
use crate::bench::machine;

pub(super) struct Run<'a> {
    pub(super) figures: &'a Figures,
    pub(super) seconds: f64,
    pub(super) minutes: f64,
    pub(super) java: Option<String>,
}

pub(super) fn text(run: &Run<'_>) -> Result<String> {
    let mut text = head(run)?;
    let figures = run.figures;
    text += "\n### As much as goes\n\n";
    text += &full(figures)?;
    write!(
        text,
        "\n### {} records of {} bytes a second\n\n",
        grouped(COMFORTABLE.rate),
        COMFORTABLE.size
    )?;
    text += &comfortable(figures)?;
    if !figures.java.loads.is_empty() {
        text += "\n### The rates that Kafka's server was asked for\n\n";
        text += &rungs(&figures.java)?;
    }
    text += "\n### Starting, failing over, and memory\n\n";
    text += &rest(figures)?;
    text += &produced(figures)?;
    Ok(text)
}

fn head(run: &Run<'_>) -> Result<String> {
    let rustc = machine::first_line(Command::new("rustc").arg("--version"));
    let java = run.java.as_ref();
    let versions = [
        rustc,
        java.map(|java| format!("Kafka {RELEASE} ({java}, -Xmx1g)")),
    ];
    let versions: Vec<String> = versions.into_iter().flatten().collect();
    let mut text = format!(
        "## Three servers\n\n\
         Measured by `cargo xtask bench server --seconds {} --write` in {:.0} minutes.\n\
         Only ratios carry over to another machine, and what else runs there meanwhile counts for everybody.\n\n\
         - Machine: {}.\n- Date: {}.\n- Versions: {}.\n\n",
        run.seconds,
        run.minutes,
        machine::describe(),
        machine::today(),
        versions.join(", ")
    );
    write!(
        text,
        "`limit`: a bare loop of the same work without a protocol (`server/benches/limit.rs`): records, checksums, one file and two copies over loopback, in threads of one process.\n\
         `kwire`: three `kwire server` processes; `Kafka`: three of Kafka's TestRaftServer; both with Kafka's default timeouts, on the same disk, seen from outside in the same way.\n\
         All three sync before they count a record as theirs: the limit and kwire by `fdatasync`, where what is appended during a sync shares the next; Kafka by `fsync` after each append.\n\
         `MB/s` is how fast the second longest of the three logs grows: a majority has so much. Latency is from making a record to its commit, which is a majority's sync.\n\
         A load runs for {} seconds, or until a log has {} GiB, after 4 seconds to warm up; 10 for Kafka, and 40 where its latency is compared, because it reports that of the last 30 seconds.\n\n",
        run.seconds,
        MAX_LOG_BYTES >> 30
    )?;
    for missing in &run.figures.missing {
        writeln!(text, "{missing}")?;
    }
    Ok(text)
}

/// Java's best of a size.
fn best(java: &Quorum, size: usize) -> Option<&Sustained> {
    let rungs = java.loads.iter().filter(|rung| rung.size == size);
    rungs.max_by(|a, b| a.megabytes.total_cmp(&b.megabytes))
}

fn of_load(loads: &[Sustained], load: Load) -> Option<&Sustained> {
    loads
        .iter()
        .find(|l| l.rate == load.rate && l.size == load.size)
}

fn limit_of(figures: &Figures, load: Load) -> Option<&Limit> {
    figures.limits.iter().find(|limit| limit.load == load)
}

fn full(figures: &Figures) -> Result<String> {
    let mut text = "MB/s are those of the log, and what kwire has of the others'. Kafka's is its best of the rates below. \
         Whoever writes as much as goes has 8 MiB uncommitted at any time, which its latency is made of.\n\n\
         | record | | MB/s | kwire has | p50 ms | p99 ms | p999 ms | peak MB a node | CPU s/GB | behind, MB |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for size in SIZES {
        let load = Load { rate: -1, size };
        let ours = of_load(&figures.kwire.loads, load);
        let of = |other: f64| fine(ours.map(|ours| ours.megabytes / other));
        if let Some(limit) = limit_of(figures, load) {
            writeln!(
                text,
                "| {size} B | limit | {:.0} | {} | {:.1} | {:.1} | | | {:.2} | |",
                limit.megabytes,
                of(limit.megabytes),
                limit.p50,
                limit.p99,
                limit.cpu_per_gigabyte
            )?;
        }
        let java = best(&figures.java, size);
        for (name, found) in [("kwire", ours), ("Kafka", java)] {
            let Some(found) = found else { continue };
            let ratio = if name == "kwire" {
                String::new()
            } else {
                of(found.megabytes)
            };
            let latency = found.latency;
            writeln!(
                text,
                "| {size} B | {name} | {:.0} | {ratio} | {} | {} | {} | {:.0} | {:.2} | {:.1} |",
                found.megabytes,
                tenth(latency.p50),
                tenth(latency.p99),
                tenth(latency.p999),
                found.peak,
                found.cpu_per_gigabyte,
                found.behind
            )?;
        }
    }
    let verified: Vec<&str> = figures
        .kwire
        .loads
        .iter()
        .filter_map(|load| load.verified.as_deref())
        .collect();
    write!(
        text,
        "\n`kwire verify-log` of the three nodes' logs after each load of kwire's: {}.\n",
        verified.join("; ")
    )?;
    Ok(text)
}

fn comfortable(figures: &Figures) -> Result<String> {
    let mut text = "Milliseconds from making a record to its commit. Kafka's own report has no p50, and ends at 249 ms.\n\
         kwire reports each second: p50, p75 and p99 are the medians of those reports, p999 the worst.\n\n\
         | | MB/s | p50 ms | p75 ms | p99 ms | p999 ms | peak MB a node | CPU s/GB | behind, MB | elections |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    if let Some(limit) = limit_of(figures, COMFORTABLE) {
        writeln!(
            text,
            "| limit | {:.1} | {:.1} | | {:.1} | | | {:.2} | | |",
            limit.megabytes, limit.p50, limit.p99, limit.cpu_per_gigabyte
        )?;
    }
    for (name, quorum) in [("kwire", &figures.kwire), ("Kafka", &figures.java)] {
        if let Some(found) = of_load(&quorum.loads, COMFORTABLE) {
            writeln!(text, "| {name} | {} |", cells(found).join(" | "))?;
        }
    }
    Ok(text)
}

fn cells(found: &Sustained) -> [String; 9] {
    let latency = found.latency;
    [
        format!("{:.1}", found.megabytes),
        tenth(latency.p50),
        tenth(latency.p75),
        tenth(latency.p99),
        tenth(latency.p999),
        format!("{:.0}", found.peak),
        format!("{:.2}", found.cpu_per_gigabyte),
        format!("{:.1}", found.behind),
        found.elections.to_string(),
    ]
}

fn rungs(java: &Quorum) -> Result<String> {
    let mut text = "Until one is not kept up with by a tenth. Latencies include those of the start, but for 60,000 records of 256 bytes.\n\n| record | asked for, records/s | asked for, MB/s | MB/s | p50 ms | p75 ms | p99 ms | p999 ms | peak MB a node | CPU s/GB | behind, MB | elections |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for rung in &java.loads {
        writeln!(
            text,
            "| {} B | {} | {:.1} | {} |",
            rung.size,
            grouped(rung.rate),
            rung.rate as f64 * rung.size as f64 / 1e6,
            cells(rung).join(" | ")
        )?;
    }
    Ok(text)
}

fn rest(figures: &Figures) -> Result<String> {
    let mut text = "Medians, and in brackets the least and the most, of milliseconds until a node's `quorum-state` names a leader: after the start of the last process, logs being empty, or after `kill -9` of the leader at 5,000 records of 256 bytes a second.\n\
         `writing`: until the logs of both nodes that are left grow again.\n\
         Memory is the resident one, in millions of bytes, of the node that has most; idle is without records (for Kafka's, one a second).\n\n\
         | | one node, start to leader | three nodes | failover | writing | idle MB a node |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for (name, quorum) in [("kwire", &figures.kwire), ("Kafka", &figures.java)] {
        if quorum.single.is_empty() {
            continue;
        }
        let failovers = &quorum.failovers;
        let cells = [
            spread(quorum.single.clone()),
            spread(quorum.three.clone()),
            spread(failovers.iter().map(|f| f.elected).collect()),
            spread(failovers.iter().map(|f| f.writing).collect()),
            tenth(quorum.idle),
        ];
        writeln!(text, "| {name} | {} |", cells.join(" | "))?;
    }
    if let Some(bytes) = figures.binary {
        let megabytes = bytes as f64 / 1e6;
        write!(
            text,
            "\nThe binary `kwire` has {megabytes:.1} MB, stripped.\n"
        )?;
    }
    Ok(text)
}

fn produced(figures: &Figures) -> Result<String> {
    let Some(Produced { sink, kwire, kafka }) = &figures.produced else {
        return Ok(String::new());
    };
    let (our_peak, their_peak) = (kwire.peak, kafka.peak);
    let mut text = format!(
        "\n### Kafka's ProducerPerformance\n\n\
         {RELEASE}, 500,000 records as fast as they go, `acks=all`, to one partition with three replicas: three `kwire server`, and three Kafka {RELEASE} nodes, brokers and controllers in one (`-Xmx1g`).\n\
         kwire answers once a majority has synced; Kafka's brokers once all replicas have the records, and leave their log to the page cache.\n\
         `nobody` is one process that answers at once and does nothing (`server/benches/sink.rs`): what the tool can do by itself, and so with any server that shares the machine with it.\n\
         A node had at most {our_peak:.0} MB in memory with kwire, {their_peak:.0} MB with Kafka.\n\n\
         | record | batch.size | kwire, records/s | Kafka, records/s | of Kafka | nobody, records/s | nobody of Kafka | kwire, mean / p99 ms | Kafka, mean / p99 ms |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    let quorums = kwire.sent.iter().zip(&kafka.sent).zip(sink);
    for (what, ((ours, theirs), nobody)) in SENDS.iter().zip(quorums) {
        let batch = what
            .batch
            .map_or("default".to_owned(), |b| format!("{} KiB", b >> 10));
        writeln!(
            text,
            "| {} B | {batch} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} / {:.0} | {:.1} / {:.0} |",
            what.size,
            ours.records_per_second,
            theirs.records_per_second,
            ours.records_per_second / theirs.records_per_second,
            nobody.records_per_second,
            nobody.records_per_second / theirs.records_per_second,
            ours.average_ms,
            ours.p99_ms,
            theirs.average_ms,
            theirs.p99_ms
        )?;
    }
    Ok(text)
}

fn spread(values: Vec<f64>) -> String {
    let least = values.iter().copied().reduce(f64::min);
    let most = values.iter().copied().reduce(f64::max);
    match (median(values), least, most) {
        (Some(middle), Some(least), Some(most)) => {
            format!("{} ({} to {})", ms(middle), ms(least), ms(most))
        }
        _ => String::new(),
    }
}

fn ms(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn tenth(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.1}"))
}

fn fine(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.2}"))
}

fn grouped(number: i64) -> String {
    let text = number.to_string();
    let chunks: Vec<&str> = text
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .collect();
    chunks.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_spread() {
        assert_eq!(grouped(5), "5");
        assert_eq!(grouped(60_000), "60,000");
        assert_eq!(spread(vec![3.0, 250.0, 1.0]), "3.0 (1.0 to 250)");
        assert_eq!(spread(Vec::new()), "");
    }
}
