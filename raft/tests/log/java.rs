//! Directories that Java wrote, and Java's reading of ours.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use kwire_protocol::records::Batches;
use kwire_raft::control::{Control, LeaderChange, NewControl, control_batch};
use kwire_raft::driver::{LogStore, StateStore};
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::files::memory::MemoryFiles;
use kwire_raft::log::meta::MetaProperties;
use kwire_raft::log::{FileLog, FileStateStore, LogOptions, RetentionPolicy};
use kwire_raft::types::{EpochStart, Offset, OffsetAndEpoch, Topic};

use crate::common::{batch, contents, snapshot, sync, voters};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The files of a directory that Java wrote, those that are compressed here unpacked.
fn java_wrote(dir: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(fixtures().join(dir)).unwrap();
    let files = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file());
    files
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            match name.strip_suffix(".gz") {
                None => (name, bytes),
                Some(name) => {
                    let mut plain = Vec::new();
                    let mut reader = flate2::read::GzDecoder::new(bytes.as_slice());
                    reader.read_to_end(&mut plain).unwrap();
                    (name.to_owned(), plain)
                }
            }
        })
        .collect()
}

fn in_memory(dir: &str) -> MemoryFiles {
    let files = MemoryFiles::new();
    for (name, bytes) in java_wrote(dir) {
        files.put(&name, bytes);
    }
    files
}

const CLUSTER: &str = "c1-with-snapshots-4.3.1/__cluster_metadata-0";
const SINGLE: &str = "testraft-single-4.3.1/__raft_performance_test-0";

#[test]
fn the_log_of_a_controller() {
    let files = in_memory(CLUSTER);
    let written = files.bytes("00000000000000000000.log").unwrap();
    let mut log = FileLog::open(files.clone(), LogOptions::new(Topic::cluster_metadata())).unwrap();
    let found = log.recovered().unwrap();
    let batches: Vec<_> = Batches::validated(&written).map(Result::unwrap).collect();
    let end = batches.last().unwrap().last_offset() + 1;
    assert_eq!((found.log_start, found.log_end), (0, end));
    assert_eq!(
        found.epochs,
        [EpochStart {
            epoch: 1,
            offset: 0
        }]
    );
    let ends: Vec<_> = found.snapshots.iter().map(|info| info.id.offset).collect();
    assert_eq!(ends, [0, 47, 81, 123, 165, 204, 248]);
    let [
        (247, Control::KRaftVersion(1)),
        (247, Control::Voters(voters)),
    ] = &found.controls[..]
    else {
        panic!("{:?}", found.controls);
    };
    assert_eq!(voters.ids().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(contents(&log, 0, end), written);
    assert_eq!(log.recovery().dropped, None);
    // Java's checkpoint says the same.
    assert!(!log.recovery().epochs_rewritten);
    // Every read gives whole batches that lie where they ought to.
    for from in 0..end {
        let bytes = log.read(from, end, 1).unwrap();
        let batch = Batches::validated(&bytes).next().unwrap().unwrap();
        assert!((batch.base_offset().unwrap()..=batch.last_offset()).contains(&from));
    }
    // And the log goes on, and is cleaned as Java's is.
    log.append(end, &batch(end, 2, 1, 10)).unwrap();
    sync(&mut log);
    let policy = RetentionPolicy {
        bytes: Some(20_000),
        ms: None,
    };
    let mut cleaned = Vec::new();
    while let Some(id) = log.cleanable(&policy, 0).unwrap() {
        log.delete_before(id).unwrap();
        log.chore().expect("files to remove").run().unwrap();
        cleaned.push(id.offset);
    }
    assert_eq!(cleaned, [47, 81, 123, 165, 204, 248]);
    assert_eq!(log.cleanable(&policy, i64::MAX).unwrap(), None);
    let mut again =
        FileLog::open(files.crash(0), LogOptions::new(Topic::cluster_metadata())).unwrap();
    let found = again.recovered().unwrap();
    assert_eq!((found.log_start, found.log_end), (248, end + 1));
    assert_eq!(found.snapshots.len(), 1);
}

#[test]
fn the_age_of_a_snapshot_counts() {
    let options = LogOptions::new(Topic::cluster_metadata());
    let log = FileLog::open(in_memory(CLUSTER), options).unwrap();
    let policy = RetentionPolicy {
        bytes: None,
        ms: Some(1000),
    };
    assert_eq!(log.cleanable(&policy, 0).unwrap(), None);
    let next = log.cleanable(&policy, i64::MAX).unwrap();
    assert_eq!(next, Some(OffsetAndEpoch::new(47, 1)));
}

#[test]
fn the_directory_that_java_formatted() {
    let files = in_memory("c1-formatted-4.3.1/__cluster_metadata-0");
    let mut log = FileLog::open(files, LogOptions::new(Topic::cluster_metadata())).unwrap();
    let found = log.recovered().unwrap();
    assert_eq!((found.log_start, found.log_end), (0, 0));
    assert_eq!(found.snapshots[0].id, OffsetAndEpoch::BOOTSTRAP);
    let offsets: Vec<_> = found.controls.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [-1, -1]);
    let meta = MetaProperties::load(&in_memory("c1-formatted-4.3.1"))
        .unwrap()
        .unwrap();
    assert_eq!(meta.node_id, Some(1));
    let Control::Voters(voters) = &found.controls[1].1 else {
        panic!("no voters");
    };
    assert_eq!(voters.get(1).unwrap().key.directory_id, meta.directory_id);
}

#[test]
fn the_indexes_that_java_wrote_are_those_that_are_made_anew() {
    let files = in_memory(SINGLE);
    let java = java_wrote(SINGLE);
    let options = LogOptions::new(Topic::performance_test());
    let mut log = FileLog::open(files.clone(), options.clone()).unwrap();
    let found = log.recovered().unwrap();
    assert_eq!((found.log_start, found.log_end), (0, 23557));
    let index = "00000000000000000000.index";
    assert_eq!(files.bytes(index).as_ref(), java.get(index));
    // When Java closes a segment, it adds the last timestamp. This library does so when it rolls.
    let times = "00000000000000000000.timeindex";
    let ours = files.bytes(times).unwrap();
    assert_eq!(java[times][..ours.len()], ours);
    assert!(java[times].len() - ours.len() <= 12);
    for from in (0..23557).step_by(501) {
        let bytes = log.read(from, 23557, 20_000).unwrap();
        assert!(bytes.len() <= 20_000);
        let batches: Vec<_> = Batches::validated(&bytes).map(Result::unwrap).collect();
        assert!(batches[0].last_offset() >= from);
        assert!(batches[0].base_offset().unwrap() <= from);
        let whole = log.read(from, 23557, usize::MAX / 2).unwrap();
        assert_eq!(whole[..bytes.len()], bytes);
    }
}

#[test]
fn the_election_states_that_java_wrote() {
    for (dir, kraft_version, voters) in [(CLUSTER, 1, &[][..]), (SINGLE, 0, &[0])] {
        let files = in_memory(dir);
        let java = files.bytes("quorum-state").unwrap();
        let mut store = FileStateStore::new(files.clone());
        let state = store.load().unwrap().unwrap();
        assert_eq!(state.epoch, 1);
        assert!(state.leader.is_some() && state.voted.is_none());
        store.save(&state, kraft_version, voters).unwrap();
        assert_eq!(files.bytes("quorum-state").unwrap(), java);
    }
}

/// The command in an environment variable, if Java is to be asked.
fn java(variable: &str, program: &str) -> Option<Command> {
    let Ok(words) = std::env::var(variable) else {
        let required = std::env::var("KWIRE_REQUIRE_JAVA").is_ok_and(|value| value == "1");
        let why = format!(
            "{variable} is not set; `cargo xtask kafka {program} --print-command` prints what to \
             set it to"
        );
        assert!(!required, "KWIRE_REQUIRE_JAVA is set, but {why}");
        // Past the test harness, which shows nothing of tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "what Java says of our log: skipped: {why}"
        );
        return None;
    };
    let words: Vec<String> = serde_json::from_str(&words).expect("a JSON array of words");
    let (program, arguments) = words.split_first().expect("an array that is not empty");
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

fn run(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{complaints}");
    (said, complaints)
}

/// What the tool says of some files, which it must not complain about.
fn dump(dir: &Path, names: &[String], flags: &[&str]) -> Option<String> {
    let mut command = java("KWIRE_DUMP_LOG", "dump-log")?;
    let paths: Vec<_> = names
        .iter()
        .map(|name| dir.join(name).display().to_string())
        .collect();
    let (said, complaints) = run(command.args(["--files", &paths.join(",")]).args(flags));
    for word in [
        "Mismatch",
        "mismatch",
        "isvalid: false",
        "invalid",
        "rror",
        "Found",
        "corrupt",
    ] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    // The tool takes it amiss that a file does not start at offset 0, whoever wrote it.
    let start = |line: &&str| !line.starts_with("Non-consecutive offsets in ");
    for line in complaints
        .lines()
        .filter(|line| !line.is_empty())
        .filter(start)
    {
        let base = line.strip_prefix("  -1 is followed by ").expect(line);
        let base: Offset = base.parse().unwrap();
        assert!(names.contains(&format!("{base:020}.log")), "{complaints}");
    }
    Some(said)
}

/// A log with control batches, several epochs, small and large batches, in several segments.
fn write(dir: &Path, topic: Topic) -> (Vec<Bytes>, Offset) {
    let options = LogOptions {
        segment_bytes: 60_000,
        ..LogOptions::new(topic)
    };
    let files = StdFiles::new(dir).unwrap();
    let mut log = FileLog::open(files, options).unwrap();
    let mut all = Vec::new();
    for round in 0..60 {
        let epoch = 1 + round / 7;
        let mut batches = Vec::new();
        if round % 7 == 0 {
            let change = LeaderChange {
                leader: 1,
                voters: vec![1, 2],
                granting: vec![1],
            };
            let mut controls = vec![NewControl::LeaderChange(change)];
            if round == 14 {
                controls.push(Control::KRaftVersion(1).into());
                controls.push(Control::Voters(voters()).into());
            }
            batches.push(control_batch(log.end(), epoch, 1000 + log.end(), &controls));
            let batch = batches.last().unwrap();
            log.append(log.end(), batch).unwrap();
        }
        for _ in 0..3 {
            let batch = batch(log.end(), epoch, 1 + i64::from(round), 60);
            log.append(log.end(), &batch).unwrap();
            batches.push(batch);
        }
        all.extend(batches);
        if round % 5 == 0 {
            sync(&mut log);
        }
    }
    let id = OffsetAndEpoch::new(log.end(), 9);
    log.write_snapshot(id, 0, &snapshot(id)).unwrap();
    log.finish_snapshot(id).unwrap();
    let end = log.end();
    log.close().unwrap();
    (all, end)
}

fn names_in(dir: &Path, suffix: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(suffix))
        .collect();
    names.sort();
    names
}

fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!("{name}: ")).expect(name);
    rest.split_once(' ').map_or(rest, |(value, _)| value)
}

#[test]
fn java_reads_what_was_written() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("__raft_performance_test-0");
    let (batches, end) = write(&dir, Topic::performance_test());
    let logs = names_in(&dir, ".log");
    assert!(logs.len() > 5, "{logs:?}");
    let Some(said) = dump(&dir, &logs, &["--print-data-log", "--deep-iteration"]) else {
        return;
    };
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("baseOffset:"))
        .collect();
    assert_eq!(lines.len(), batches.len());
    for (line, bytes) in lines.iter().zip(&batches) {
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        let header = batch.header().unwrap();
        assert_eq!(field(line, "baseOffset"), header.base_offset.to_string());
        assert_eq!(field(line, "lastOffset"), header.last_offset().to_string());
        assert_eq!(field(line, "count"), header.record_count.to_string());
        let epoch = header.partition_leader_epoch.to_string();
        assert_eq!(field(line, "partitionLeaderEpoch"), epoch);
        assert_eq!(field(line, "crc"), header.crc.to_string());
        assert_eq!(field(line, "isvalid"), "true");
        let control = header.attributes.is_control().to_string();
        assert_eq!(field(line, "isControl"), control);
    }
    let records: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("| offset:"))
        .collect();
    assert_eq!(records.len() as Offset, end);
    for (offset, line) in records.iter().enumerate() {
        assert_eq!(field(line, "offset"), offset.to_string());
        let control = line.contains("Change") || line.contains("KRaft");
        assert!(
            control || field(line, "payload").starts_with(&format!("{offset}/")),
            "{line}"
        );
    }
    let indexes = [names_in(&dir, ".index"), names_in(&dir, ".timeindex")].concat();
    let said = dump(&dir, &indexes, &[]).unwrap();
    let entries = said
        .lines()
        .filter(|line| line.starts_with("offset: "))
        .count();
    assert!(entries > 20, "{said}");
    dump(&dir, &indexes, &["--verify-index-only"]).unwrap();
    let said = dump(&dir, &indexes, &["--index-sanity-check"]).unwrap();
    assert_eq!(
        said.matches("passed sanity check").count(),
        indexes.len(),
        "{said}"
    );
    let snapshots = names_in(&dir, ".checkpoint");
    let said = dump(&dir, &snapshots, &["--print-data-log", "--deep-iteration"]).unwrap();
    for word in [
        "SnapshotHeader",
        "KRaftVersion",
        "KRaftVoters",
        "SnapshotFooter",
        "state",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(said.contains("partitionLeaderEpoch: 9"));
}

/// The log goes on after its snapshot, and what came before an earlier one is deleted.
fn write_more(dir: &Path) -> OffsetAndEpoch {
    let options = LogOptions {
        segment_bytes: 60_000,
        ..LogOptions::new(Topic::cluster_metadata())
    };
    let mut log = FileLog::open(StdFiles::new(dir).unwrap(), options).unwrap();
    let id = log.snapshots().next_back().unwrap().id;
    for _ in 0..20 {
        let batch = batch(log.end(), 12, 50, 60);
        log.append(log.end(), &batch).unwrap();
    }
    log.delete_before(id).unwrap();
    log.chore().expect("files to remove").run().unwrap();
    // Not closed: as a process that was killed leaves it.
    sync(&mut log);
    id
}

#[test]
fn a_controller_opens_what_was_written() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("__cluster_metadata-0");
    write(&dir, Topic::cluster_metadata());
    let id = write_more(&dir);
    let options = LogOptions::new(Topic::cluster_metadata());
    let ours = |options| FileLog::open(StdFiles::new(&dir).unwrap(), options).unwrap();
    let mut log = ours(options.clone());
    let found = log.recovered().unwrap();
    let bytes = contents(&log, found.log_start, found.log_end);
    drop(log);
    let Some(mut command) = java("KWIRE_OPEN_LOG", "open-log") else {
        return;
    };
    let (said, complaints) = run(command.arg(&dir));
    assert_eq!(complaints, "");
    let has = |line: String| assert!(said.lines().any(|l| l == line), "{line}: {said}");
    has(format!("end {}", found.log_end));
    has("epoch 12".to_owned());
    has(format!("latest {} {}", id.offset, id.epoch));
    let ends = found.epochs.iter().skip(1).map(|start| start.offset);
    for (start, end) in found.epochs.iter().zip(ends.chain([found.log_end])) {
        has(format!("epoch {0} ends {end} {0}", start.epoch));
    }
    for batch in Batches::new(&bytes) {
        let batch = batch.unwrap();
        let header = batch.header().unwrap();
        let (base, last) = (header.base_offset, header.last_offset());
        let epoch = header.partition_leader_epoch;
        has(format!("batch {base} {last} {epoch} {}", header.crc));
    }
    // And it is ours again.
    let mut log = ours(options);
    assert_eq!(log.recovered().unwrap(), found);
    assert_eq!(log.recovery().dropped, None);
}

#[test]
fn java_reads_its_own_directories_the_same_way() {
    let temporary = tempfile::tempdir().unwrap();
    for (name, bytes) in java_wrote(SINGLE) {
        fs::write(temporary.path().join(name), bytes).unwrap();
    }
    let files = StdFiles::new(temporary.path()).unwrap();
    let log = FileLog::open(files, LogOptions::new(Topic::performance_test())).unwrap();
    let bytes = contents(&log, 0, log.end());
    drop(log);
    // Java's files, after this library has opened the directory.
    let logs = names_in(temporary.path(), ".log");
    let Some(said) = dump(temporary.path(), &logs, &["--deep-iteration"]) else {
        return;
    };
    let java: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("baseOffset:"))
        .map(|line| {
            (
                field(line, "baseOffset"),
                field(line, "position"),
                field(line, "crc"),
            )
        })
        .collect();
    let ours: Vec<_> = Batches::validated(&bytes)
        .map(|batch| {
            let batch = batch.unwrap();
            let base = batch.base_offset().unwrap().to_string();
            (base, batch.position().to_string(), batch.crc().to_string())
        })
        .collect();
    let ours: Vec<_> = ours.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
    assert_eq!(java, ours);
    let indexes = [
        names_in(temporary.path(), ".index"),
        names_in(temporary.path(), ".timeindex"),
    ];
    dump(temporary.path(), &indexes.concat(), &[]).unwrap();
}
