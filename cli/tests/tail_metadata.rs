//! `kwire tail-metadata` of our own nodes, and of Kafka's.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use common::node::{Node, until};
use common::{command, java, kwire};
use kwire_protocol::records::{Append, BatchBuilder, BatchOptions, NewRecord};
use kwire_raft::driver::{Barrier, LogStore, StateStore};
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::snapshot::{SnapshotOptions, SnapshotWriter};
use kwire_raft::log::{FileLog, FileStateStore, LogOptions};
use kwire_raft::types::{OffsetAndEpoch, QuorumState, ReplicaKey, Topic};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter, VoterSet};
use serde_json::Value;

/// FeatureLevelRecord: metadata.version is 30.
const FEATURE: &[u8] = b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00";

const RECORD: NewRecord<'_> = NewRecord {
    timestamp: 7,
    key: None,
    value: Some(FEATURE),
    headers: &[],
};

/// A log of ten records, and a snapshot of them that has three.
fn write_log(node: &Node) {
    let files = StdFiles::partition(&node.dir.path().join("logs"), &Topic::cluster_metadata());
    let options = LogOptions::new(Topic::cluster_metadata());
    let files = files.unwrap();
    let state = QuorumState {
        epoch: 1,
        leader: None,
        voted: None,
    };
    let mut store = FileStateStore::new(files.clone());
    store.save(&state, 1, &[1]).unwrap();
    let mut log = FileLog::open(files, options).unwrap();
    let options = BatchOptions {
        partition_leader_epoch: 1,
        ..Default::default()
    };
    let mut batch = BatchBuilder::new(options).unwrap();
    for _ in 0..10 {
        let appended = batch.try_append(&RECORD).unwrap();
        assert!(matches!(appended, Append::Done { .. }));
    }
    log.append(0, &batch.finish().unwrap().into()).unwrap();
    assert!(log.barrier().sync().is_ok());
    let voter = Voter {
        key: ReplicaKey::new(1, node.directory_id().parse().unwrap()),
        endpoints: Endpoints::one("CONTROLLER", Address::new("127.0.0.1", node.port)),
        kraft_versions: KRaftVersions::SUPPORTED,
    };
    let voters: VoterSet = [voter].into_iter().collect();
    let id = OffsetAndEpoch::new(10, 1);
    let mut writer = SnapshotWriter::new(SnapshotOptions::new(id, 7, 8).with_voters(voters));
    for _ in 0..3 {
        writer.append(&RECORD).unwrap();
    }
    let mut bytes = writer.take();
    bytes.extend(writer.finish().unwrap());
    log.write_snapshot(id, 0, &bytes).unwrap();
    log.finish_snapshot(id).unwrap();
    log.close().unwrap();
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

fn wait_for_leader(address: &str) {
    until(
        &[
            "quorum",
            "status",
            "--bootstrap",
            address,
            "--timeout-ms",
            "1000",
        ],
        |out| !out.contains("HighWatermark:          -1"),
    );
}

#[test]
fn the_topic_that_there_is_is_found() {
    let mut node = Node::formatted(1, None, &["--standalone"]);
    node.start_with(&["--throughput", "0"]);
    let address = node.address();
    wait_for_leader(&address);
    let tail = ["tail-metadata", "--bootstrap", &address, "--no-follow"];
    let found = lines(&kwire(&[&tail[..], &["--json"]].concat()).ok());
    assert!(
        found.iter().any(|line| line["type"] == "LeaderChange"),
        "{found:?}"
    );
    let named = kwire(&[&tail[..], &["--topic", "__cluster_metadata"]].concat()).fails(1);
    assert!(named.contains("without --topic"), "{named}");
}

#[test]
fn a_log_with_a_snapshot() {
    let mut node = Node::formatted(1, None, &["--standalone"]);
    write_log(&node);
    node.start("0");
    let address = node.address();
    wait_for_leader(&address);
    let tail = ["tail-metadata", "--bootstrap", &address, "--no-follow"];
    let found = lines(&kwire(&[&tail[..], &["--json"]].concat()).ok());
    let kinds: Vec<&str> = found.iter().map(|l| l["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "SnapshotHeader",
            "KRaftVersion",
            "KRaftVoters",
            "FeatureLevelRecord",
            "FeatureLevelRecord",
            "FeatureLevelRecord",
            "SnapshotFooter",
            "LeaderChange"
        ]
    );
    assert_eq!(found[3]["snapshot"]["endOffset"], 10);
    assert_eq!(found[3]["data"]["featureLevel"], 30);
    assert_eq!(found[7]["offset"], 10);
    let text = kwire(&tail).ok();
    let feature = "snapshot 10  FeatureLevelRecord \
        {\"name\":\"metadata.version\",\"featureLevel\":30}\n";
    assert!(text.contains(feature), "{text}");
    let late = kwire(&[&tail[..], &["--from", "latest"]].concat()).ok();
    assert_eq!(late, "");
}

#[test]
fn nobody_there() {
    let error = kwire(&["tail-metadata", "--bootstrap", "127.0.0.1:1"]).fails(1);
    assert!(
        error.starts_with("no leader of the quorum answered: 127.0.0.1:1: "),
        "{error}"
    );
    let run = kwire(&["tail-metadata", "--bootstrap", "127.0.0.1"]);
    assert_eq!(run.code, 2, "{run:?}");
}

/// The command with its lines as they come. It ends with this.
struct Following(Child, Receiver<Value>);

impl Following {
    fn start(arguments: &[&str]) -> Following {
        let mut child = command(arguments).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if to.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Following(child, lines)
    }

    /// The offset and the epoch of the next record.
    fn next(&self) -> Option<(i64, i64)> {
        match self.1.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => Some((line["offset"].as_i64()?, line["epoch"].as_i64()?)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_leader_goes_on() {
    let ids = [
        "AAAAAAAAAAAAAAAAAAAAAQ",
        "AAAAAAAAAAAAAAAAAAAAAg",
        "AAAAAAAAAAAAAAAAAAAAAw",
    ];
    let mut nodes = Node::quorum(&ids);
    for node in &mut nodes {
        node.start("20");
    }
    let bootstrap: Vec<String> = nodes.iter().map(Node::address).collect();
    let bootstrap = bootstrap.join(",");
    wait_for_leader(&bootstrap);
    let tail = ["tail-metadata", "--json", "--bootstrap", &bootstrap];
    let following = Following::start(&tail);
    let (mut offset, mut epoch) = following.next().expect("a first record");
    assert_eq!(offset, 0);
    let mut killed = None;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (next, of) = following.next().expect("another record");
        assert_eq!(next, offset + 1, "none is missing, none comes twice");
        assert!(of >= epoch);
        (offset, epoch) = (next, of);
        match killed {
            None if offset > 20 => {
                let status = ["quorum", "status", "--json", "--bootstrap", &bootstrap];
                let status: Value = serde_json::from_str(&kwire(&status).ok()).unwrap();
                let leader = status["leaderId"].as_u64().unwrap();
                nodes[usize::try_from(leader).unwrap() - 1].stop();
                killed = Some(epoch);
            }
            Some(before) if epoch > before => break,
            _ => {}
        }
        assert!(Instant::now() < end, "nobody else leads");
    }
}

/// Whether Java has made a snapshot in a node's directory.
fn has_snapshot(dir: &Path) -> bool {
    let entries = fs::read_dir(dir.join("logs/__cluster_metadata-0"));
    let names = entries.into_iter().flatten().flatten();
    let mut names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.any(|name| name.ends_with(".checkpoint") && !name.starts_with("00000000000000000000-"))
}

/// A controller of Kafka, in a directory that we formatted, with snapshots of its own.
#[test]
fn kafkas_controller() {
    let Some(program) = java("KWIRE_NODE", "node") else {
        return;
    };
    let mut node = Node::formatted(1, None, &["--standalone", "--release-version", "4.3"]);
    let text = fs::read_to_string(node.config()).unwrap();
    let more = "metadata.log.max.snapshot.interval.ms=1000\n";
    fs::write(node.config(), text + more).unwrap();
    node.start_java(program);
    let address = node.address();
    wait_for_leader(&address);
    let end = Instant::now() + Duration::from_secs(60);
    while !has_snapshot(node.dir.path()) {
        assert!(Instant::now() < end, "no snapshot");
        std::thread::sleep(Duration::from_millis(100));
    }
    let tail = [
        "tail-metadata",
        "--bootstrap",
        &address,
        "--no-follow",
        "--json",
    ];
    let found = lines(&kwire(&tail).ok());
    assert_eq!(found[0]["type"], "SnapshotHeader");
    let types: Vec<&str> = found.iter().map(|l| l["type"].as_str().unwrap()).collect();
    for expected in ["FeatureLevelRecord", "RegisterControllerRecord"] {
        assert!(types.contains(&expected), "{expected}: {types:?}");
    }
    assert!(!types.contains(&"unknown"), "{found:?}");
}
