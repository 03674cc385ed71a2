//! `kwire quorum` with our own nodes and with Kafka's.

mod common;

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use common::node::{CLUSTER, Node, until};
use common::{java, kwire};
use insta::assert_snapshot;
use serde_json::Value;

/// The text with what is different each time replaced: ports, ids and all numbers of two digits or
/// more.
fn plain(text: &str, nodes: &[&Node]) -> String {
    let mut text = text.to_owned();
    for (at, node) in (1..).zip(nodes) {
        text = text.replace(
            &node.directory_id(),
            &format!("DIRECTORY-OF-{at}-22-LONG")[..22],
        );
        text = text.replace(&node.port.to_string(), &format!("PORT-{at}"));
    }
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        match digits.len() {
            0 | 1 => out.push_str(&digits),
            _ => out.push('N'),
        }
        digits.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// The words alone: columns are as wide as numbers are.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn voters_come_and_go() {
    let mut first = Node::formatted(1, None, &["--standalone"]);
    let mut second = Node::formatted(2, Some(first.port), &["--no-initial-controllers"]);
    first.start("0");
    second.start("0");
    let (leader, observer) = (first.address(), second.address());
    let status = ["quorum", "status", "--bootstrap", &leader];
    until(&status, |out| {
        out.contains("CurrentObservers:       [{\"id\": 2")
    });
    let nodes = [&first, &second];
    let mut text = String::new();
    let mut say = |arguments: &[&str]| {
        let run = kwire(arguments);
        let run = format!("{}{}exit code {}\n", run.out, run.err, run.code);
        write!(text, "{}", plain(&run, &nodes)).unwrap();
    };
    // Asked of one that does not lead, with one before it that is not there.
    let asked = format!("127.0.0.1:1,{observer}");
    let config = second.config();
    let add = ["quorum", "add", "--bootstrap", &asked, "--config", &config];
    say(&[&add[..], &["--dry-run"]].concat());
    say(&add);
    say(&[&add[..], &["--timeout-ms", "3000"]].concat());
    until(&status, |out| out.contains("MaxFollowerLag:         0"));
    say(&["quorum", "status", "--bootstrap", &leader]);
    say(&[
        "quorum",
        "status",
        "--bootstrap-controller",
        &observer,
        "--json",
    ]);
    let id = second.directory_id();
    let remove = ["quorum", "remove", "--bootstrap", &asked, "-i", "2", "-d"];
    say(&[&remove[..], &["AAAAAAAAAAAAAAAAAAAAAg"]].concat());
    say(&[&remove[..], &[&id]].concat());
    say(&[&remove[..], &[&id, "--json", "--dry-run"]].concat());
    say(&["quorum", "status", "--bootstrap", &leader]);
    let other = ["--topic", "__raft_performance_test"];
    say(&[&status[..], &other].concat());
    say(&["quorum", "status", "--bootstrap", "127.0.0.1:1"]);
    assert_snapshot!("quorum", text);

    let table = kwire(&["quorum", "replication", "--bootstrap", &observer]).ok();
    let table = words(&table).into_iter();
    let rows: Vec<String> = table
        .map(|row| format!("{} {}", row[0], row[row.len() - 1]))
        .collect();
    assert_eq!(rows, ["NodeId Status", "1 Leader", "2 Observer"]);
    let lines = kwire(&["quorum", "replication", "--json", "--bootstrap", &observer]).ok();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[1]["directoryId"], id);
    assert_eq!(lines[0]["lag"], 0);
}

#[test]
fn the_topic_that_there_is_is_found() {
    let mut node = Node::formatted(1, None, &["--standalone"]);
    node.start_with(&["--throughput", "0"]);
    let address = node.address();
    let status = ["quorum", "status", "--bootstrap", &address];
    until(&status, |out| out.contains("LeaderId:               1"));
    let named = kwire(&[&status[..], &["--topic", "__cluster_metadata"]].concat());
    assert_eq!(named.code, 1);
    assert!(named.err.contains("without --topic"), "{named:?}");
}

/// Kafka's node in our directory, and Kafka's tool beside ours.
#[test]
fn as_kafkas_tool_says() {
    let (Some(program), Some(_)) = (
        java("KWIRE_NODE", "node"),
        java("KWIRE_METADATA_QUORUM", "metadata-quorum"),
    ) else {
        return;
    };
    let mut node = Node::formatted(1, None, &["--standalone", "--release-version", "4.3"]);
    node.start_java(program);
    let address = node.address();
    until(
        &[
            "quorum",
            "status",
            "--bootstrap",
            &address,
            "--timeout-ms",
            "1000",
        ],
        |out| !out.contains("HighWatermark:          -1"),
    );
    for (ours, theirs) in [
        (&["status"][..], &["--status"][..]),
        (&["replication"], &["--replication"]),
        (
            &["replication", "--human-readable"],
            &["--replication", "--human-readable"],
        ),
    ] {
        let ours = [&["quorum"], ours, &["--bootstrap", &address]].concat();
        let ours = plain(&kwire(&ours).ok(), &[&node]);
        let mut tool = java("KWIRE_METADATA_QUORUM", "metadata-quorum").unwrap();
        tool.args(["--bootstrap-controller", &address, "describe"]);
        let output = tool.args(theirs).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said = plain(&said, &[&node]);
        // How long ago something was may have one digit.
        let said = said.replace(" 0 ms", " N ms");
        let is_number = |word: &&str| **word != *"N" && word.parse::<u64>().is_err();
        let kept = |text: &str| -> Vec<Vec<String>> {
            let rows = words(text).into_iter();
            rows.map(|row| {
                row.into_iter()
                    .filter(is_number)
                    .map(str::to_owned)
                    .collect()
            })
            .collect()
        };
        assert_eq!(kept(&ours), kept(&said));
    }
}

/// The ids of the voters, once Kafka's tool says these.
fn until_voters_are(asked: &Node, expected: &[u64]) {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let mut tool = java("KWIRE_METADATA_QUORUM", "metadata-quorum").unwrap();
        let address = asked.address();
        tool.args(["--bootstrap-controller", &address, "describe", "--status"]);
        let output = tool.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let voters = said.lines().find_map(|l| l.strip_prefix("CurrentVoters:"));
        let voters: Option<Value> = voters.and_then(|text| serde_json::from_str(text).ok());
        let voters = voters.as_ref().and_then(Value::as_array);
        let ids: Vec<u64> = voters
            .into_iter()
            .flatten()
            .filter_map(|voter| voter["id"].as_u64())
            .collect();
        if ids == expected {
            return;
        }
        assert!(Instant::now() < end, "{said}");
    }
}

/// Our command changes the voters of a quorum of Kafka's own nodes, and Kafka's tool sees it.
#[test]
fn kafkas_controllers_come_and_go() {
    let program = || java("KWIRE_NODE", "node");
    let (Some(one), Some(two), Some(_)) = (
        program(),
        program(),
        java("KWIRE_METADATA_QUORUM", "metadata-quorum"),
    ) else {
        return;
    };
    let release = ["--release-version", "4.3"];
    let mut first = Node::formatted(1, None, &[&["--standalone"], &release[..]].concat());
    let joins = [&["--no-initial-controllers"], &release[..]].concat();
    let mut second = Node::formatted(2, Some(first.port), &joins);
    first.start_java(one);
    second.start_java(two);
    let (leader, observer) = (first.address(), second.address());
    let status = [
        "quorum",
        "status",
        "--bootstrap",
        &leader,
        "--timeout-ms",
        "2000",
    ];
    until(&status, |out| {
        out.contains("CurrentObservers:       [{\"id\": 2")
    });
    until_voters_are(&first, &[1]);

    let config = second.config();
    let add = ["quorum", "add", "--bootstrap", &leader, "--config", &config];
    // A directory of another cluster is none of theirs.
    let meta = second.dir.path().join("logs/meta.properties");
    let own = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, own.replace(CLUSTER, "AAAAAAAAAAAAAAAAAAAAAQ")).unwrap();
    let refused = kwire(&add);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("INCONSISTENT_CLUSTER_ID"),
        "{refused:?}"
    );
    fs::write(&meta, own).unwrap();
    until_voters_are(&first, &[1]);

    until(&add, |out| out.contains("Added controller 2"));
    until_voters_are(&second, &[1, 2]);
    let again = kwire(&add);
    assert!(
        again.code == 1 && again.err.contains("DUPLICATE_VOTER"),
        "{again:?}"
    );
    let id = second.directory_id();
    let remove = [
        "quorum",
        "remove",
        "--bootstrap",
        &observer,
        "-i",
        "2",
        "-d",
    ];
    let other = kwire(&[&remove[..], &["AAAAAAAAAAAAAAAAAAAAAg"]].concat());
    assert!(
        other.code == 1 && other.err.contains("VOTER_NOT_FOUND"),
        "{other:?}"
    );
    let removed = kwire(&[&remove[..], &[&id]].concat()).ok();
    assert!(removed.contains("Removed  KRaft controller 2"), "{removed}");
    until_voters_are(&first, &[1]);

    // The one that leads goes, and the other takes over.
    until(&add, |out| out.contains("Added controller 2"));
    let id = first.directory_id();
    let both = format!("{leader},{observer}");
    kwire(&[
        "quorum",
        "remove",
        "--bootstrap",
        &both,
        "-i",
        "1",
        "-d",
        &id,
    ])
    .ok();
    until_voters_are(&second, &[2]);
}
