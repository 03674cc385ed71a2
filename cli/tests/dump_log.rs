//! `kwire dump-log` of what Java wrote, beside what Kafka's own tool prints.

mod common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use common::{java, kwire};
use flate2::read::GzDecoder;
use insta::assert_snapshot;
use kwire_raft::log::snapshot::SnapshotOptions;
use kwire_raft::types::OffsetAndEpoch;
use kwire_server::producers::{Producer, Settled, Span};
use kwire_server::record::Serial;
use kwire_server::serials::Serials;
use kwire_server::state::State;
use serde_json::Value;
use tempfile::TempDir;

const CLUSTER: &str = "c1-with-snapshots-4.3.1/__cluster_metadata-0";
const SINGLE: &str = "testraft-single-4.3.1/__raft_performance_test-0";

/// A copy of a directory that Java wrote, with what is compressed there unpacked.
fn copy(dir: &str) -> (TempDir, PathBuf) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../raft/tests/fixtures")
        .join(dir);
    let temporary = tempfile::tempdir().unwrap();
    let to = temporary.path().join(from.file_name().unwrap());
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let mut name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some(plain) = name.strip_suffix(".gz") {
            let mut unpacked = Vec::new();
            GzDecoder::new(&bytes[..])
                .read_to_end(&mut unpacked)
                .unwrap();
            (bytes, name) = (unpacked, plain.to_owned());
        }
        fs::write(to.join(name), bytes).unwrap();
    }
    (temporary, to)
}

/// The files of a directory with a suffix, in order.
fn files(dir: &Path, suffix: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path().display().to_string());
    let mut paths: Vec<String> = paths.filter(|path| path.ends_with(suffix)).collect();
    paths.sort();
    paths
}

/// What the command says, without the directory's name.
fn dump(dir: &Path, arguments: &[&str]) -> String {
    let arguments = [&["dump-log"], arguments].concat();
    let run = kwire(&arguments);
    let text = format!("{}{}exit code {}\n", run.out, run.err, run.code);
    let parent = format!("{}/", dir.parent().unwrap().display());
    text.replace(&parent, "")
}

fn first_lines(text: &str) -> String {
    let line = |line: &str| {
        let short: String = line.chars().take(320).collect();
        short + "\n"
    };
    text.lines().take(5).map(line).collect()
}

#[test]
fn what_is_printed() {
    let (_dir, cluster) = copy(CLUSTER);
    let (_other, single) = copy(SINGLE);
    let mut text = String::new();
    let log = &files(&cluster, ".log")[0];
    let snapshot = &files(&cluster, ".checkpoint")[2];
    for flags in [&[][..], &["--print-data-log"], &["--json"]] {
        for file in [log, snapshot] {
            let said = dump(&cluster, &[&[file.as_str()], flags].concat());
            text.push_str(&format!("# {flags:?}\n{}", first_lines(&said)));
        }
    }
    for suffix in [".log", ".index", ".timeindex"] {
        let file = &files(&single, suffix)[0];
        text.push_str(&first_lines(&dump(&single, &["--print-data-log", file])));
        text.push_str(&first_lines(&dump(
            &single,
            &["--json", "--index-sanity-check", file],
        )));
    }
    assert_snapshot!("dump_log", text);
}

#[test]
fn every_record_is_decoded() {
    let (_dir, cluster) = copy(CLUSTER);
    let files = [files(&cluster, ".log"), files(&cluster, ".checkpoint")].concat();
    let arguments: Vec<&str> = ["dump-log", "--json"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let mut records = 0;
    for line in kwire(&arguments).ok().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        for record in line["records"].as_array().unwrap() {
            assert!(record["message"]["data"].is_object(), "{record}");
            records += 1;
        }
    }
    assert!(records > 450, "{records}");
}

#[test]
fn damage_is_found() {
    let (_dir, single) = copy(SINGLE);
    let [log, index, times] = [".log", ".index", ".timeindex"].map(|s| files(&single, s).remove(0));
    let damage = |file: &str, at: usize| {
        let mut bytes = fs::read(file).unwrap();
        bytes[at] ^= 0x55;
        fs::write(file, bytes).unwrap();
    };
    let mut text = String::new();
    let mut last = |said: String| {
        let lines: Vec<&str> = said.lines().collect();
        for line in &lines[lines.len().saturating_sub(3)..] {
            text.push_str(line);
            text.push('\n');
        }
    };
    let check = |file: &str| dump(&single, &["--index-sanity-check", file]);
    last(check(&index));
    last(check(&times));
    damage(&index, 12);
    damage(&times, 21);
    last(check(&index));
    last(check(&times));
    let whole = fs::read(&log).unwrap();
    damage(&log, 5000);
    last(dump(&single, &[&log]));
    last(
        dump(&single, &[&log, "--json"])
            .lines()
            .last()
            .unwrap()
            .to_owned(),
    );
    fs::write(&log, &whole[..9000]).unwrap();
    last(dump(&single, &[&log]));
    fs::write(&log, [&whole[..3204], &[0; 50]].concat()).unwrap();
    last(dump(&single, &[&log]));
    fs::write(&log, [&whole[..91], &whole[3204..]].concat()).unwrap();
    last(dump(&single, &[&log]));
    let (_dir, cluster) = copy(CLUSTER);
    let snapshot = &files(&cluster, ".checkpoint")[2];
    let whole = fs::read(snapshot).unwrap();
    fs::write(snapshot, &whole[..whole.len() - 75]).unwrap();
    last(dump(&cluster, &[snapshot]));
    last(dump(&cluster, &[&files(&cluster, "quorum-state")[0]]));
    last(dump(&cluster, &["00000000000000000009.log"]));
    assert_snapshot!("dump_log_damage", text);
}

/// The lines of Kafka's tool are ours, but for payloads that are no text.
#[test]
fn as_kafkas_tool_prints() {
    let (_dir, cluster) = copy(CLUSTER);
    let (_other, single) = copy(SINGLE);
    for (dir, suffix, ours, theirs) in [
        (
            &cluster,
            ".log",
            "--print-data-log",
            "--cluster-metadata-decoder",
        ),
        (
            &cluster,
            ".checkpoint",
            "--print-data-log",
            "--cluster-metadata-decoder",
        ),
        (
            &cluster,
            ".checkpoint",
            "--cluster-metadata-decoder",
            "--files",
        ),
        (&single, ".log", "--cluster-metadata-decoder", "--files"),
        (&single, ".index", "--cluster-metadata-decoder", "--files"),
        (
            &single,
            ".timeindex",
            "--cluster-metadata-decoder",
            "--files",
        ),
        (
            &single,
            "index",
            "--index-sanity-check",
            "--index-sanity-check",
        ),
    ] {
        let names = files(dir, suffix);
        let Ok(_) = std::env::var("KWIRE_DUMP_LOG") else {
            // Says why, or fails.
            java("KWIRE_DUMP_LOG", "node");
            return;
        };
        let mut tool = java("KWIRE_DUMP_LOG", "node").unwrap();
        tool.args(["--files", &names.join(",")]);
        if theirs != "--files" {
            tool.arg(theirs);
        }
        let output = tool.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let mut arguments = vec!["dump-log", ours];
        arguments.extend(names.iter().map(String::as_str));
        let ours = kwire(&arguments).ok();
        assert_eq!(ours.lines().count(), said.lines().count());
        for (ours, theirs) in ours.lines().zip(said.lines()) {
            assert_eq!(ours, theirs);
        }
    }
}

/// What our own servers keep in place of what they deleted.
#[test]
fn snapshots_of_our_servers() {
    let dir = tempfile::tempdir().unwrap();
    let span = |first, base| Span {
        first,
        last: first + 1,
        base,
        end: base + 1,
    };
    let producer = Producer::with(3, &[span(0, 10), span(2, 20)]).unwrap();
    let mut serials = Serials::new(true);
    serials.add(
        Serial {
            epoch: 4,
            number: 0,
        },
        90,
    );
    let state = State {
        producers: Settled {
            producers: vec![(7, producer)],
            has_forgotten: false,
        },
        serials,
    };
    let options = SnapshotOptions::new(OffsetAndEpoch::new(100, 4), 1_000, 2_000);
    let mut bytes = state.to_snapshot(options).unwrap();
    let file = dir
        .path()
        .join("00000000000000000100-0000000004.checkpoint");
    fs::write(&file, &bytes).unwrap();
    let file = file.display().to_string();
    let text = dump(dir.path(), &[&file, "--print-data-log"]);
    for line in [
        "headerKeys: [] KwireState {\"producers\":1,\"epochs\":1,\"forgotten\":false,\"whole\":true,\"breaks\":0}",
        "headerKeys: [] KwireProducer {\"producerId\":7,\"producerEpoch\":3,\"batches\":[{\"firstSequence\":0,\"lastSequence\":1,\"firstOffset\":10,\"lastOffset\":11},",
        "headerKeys: [] KwireEpoch {\"epoch\":4,\"nextNumber\":90}",
        "exit code 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, &bytes).unwrap();
    let damaged = dump(dir.path(), &[&file]);
    assert!(damaged.ends_with("exit code 1\n"), "{damaged}");
}
