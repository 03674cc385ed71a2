//! Kafka's own tools, and librdkafka's, against nodes of ours.
//!
//! `KWIRE_TOOLS_4_3_1` and `KWIRE_TOOLS_2_8_2` have the commands that
//! `cargo xtask kafka tool --release 4.3.1 --print-command` prints, and `kcat` is looked for on the
//! path. Without them, the tests are skipped; `KWIRE_REQUIRE_JAVA=1` makes that a failure.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Cluster, TOPIC};
use kwire_raft::types::Topic;

/// No tool takes longer, be the machine busy.
const PATIENCE: Duration = Duration::from_secs(120);

fn skip(what: &str, why: &str) {
    let required = std::env::var("KWIRE_REQUIRE_JAVA").is_ok_and(|value| value == "1");
    assert!(!required, "KWIRE_REQUIRE_JAVA is set, but {why}");
    // Past the test harness, which shows nothing of tests that pass.
    let _ = writeln!(std::io::stderr(), "{what}: skipped: {why}");
}

/// The tools of a release, if they are there.
struct Tools(Vec<String>);

impl Tools {
    fn of(release: &str) -> Option<Tools> {
        let variable = format!("KWIRE_TOOLS_{}", release.replace('.', "_"));
        let Ok(words) = std::env::var(&variable) else {
            let what = format!("Kafka {release}'s tools against our nodes");
            let why = format!(
                "{variable} is not set; `cargo xtask kafka tool --release {release} \
                 --print-command` prints what to set it to"
            );
            skip(&what, &why);
            return None;
        };
        let words: Vec<String> = serde_json::from_str(&words).expect("a JSON array of words");
        Some(Tools(words))
    }

    fn command(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]).arg(class).args(arguments);
        command
    }

    fn run(&self, class: &str, arguments: &[&str]) -> String {
        output(&mut self.command(class, arguments), None)
    }
}

fn wait(child: &mut Child) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("it can be ended");
    false
}

/// What a command says. It has to succeed, and in time.
fn output(command: &mut Command, input: Option<&str>) -> String {
    let said = tempfile::NamedTempFile::new().expect("a file");
    let to = || said.as_file().try_clone().expect("a file");
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let command = command.stdin(stdin).stdout(to()).stderr(to());
    let mut child = command.spawn().expect("it starts");
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).expect("it reads");
    }
    let is_well = wait(&mut child);
    let said = std::fs::read_to_string(said.path()).expect("text");
    assert!(is_well, "{command:?}: {said}");
    said
}

/// How many lines have a word.
fn count(said: &str, word: &str) -> usize {
    said.lines().filter(|line| line.contains(word)).count()
}

/// Producers and consumers of a release: 4,000 records in, and out again.
fn write_and_read(tools: &Tools, cluster: &Cluster, is_new: bool) {
    let servers = cluster.bootstrap();
    let to = if is_new {
        "--bootstrap-server"
    } else {
        "--broker-list"
    };
    let produced = tools.run(
        "org.apache.kafka.tools.VerifiableProducer",
        &[
            "--topic",
            TOPIC,
            "--max-messages",
            "2000",
            "--acks",
            "-1",
            to,
            &servers,
        ],
    );
    assert_eq!(
        count(&produced, "producer_send_success"),
        2_000,
        "{produced}"
    );
    assert_eq!(count(&produced, "producer_send_error"), 0, "{produced}");
    let bootstrap = format!("bootstrap.servers={servers}");
    let performed = tools.run(
        "org.apache.kafka.tools.ProducerPerformance",
        &[
            "--topic",
            TOPIC,
            "--num-records",
            "2000",
            "--record-size",
            "10",
            "--throughput",
            "-1",
            "--producer-props",
            &bootstrap,
            "acks=all",
            "enable.idempotence=true",
        ],
    );
    assert!(performed.contains("2000 records sent"), "{performed}");
    let to = if is_new {
        "--bootstrap-server"
    } else {
        "--broker-list"
    };
    let read = tools.run(
        "org.apache.kafka.tools.VerifiableConsumer",
        &[
            "--topic",
            TOPIC,
            "--group-id",
            "verifiable",
            "--max-messages",
            "4000",
            "--reset-policy",
            "earliest",
            to,
            &servers,
        ],
    );
    let counts = read
        .lines()
        .filter(|line| line.contains("records_consumed"));
    let counts = counts.filter_map(|line| {
        line.split("\"count\":")
            .nth(1)?
            .split(',')
            .next()?
            .parse::<usize>()
            .ok()
    });
    assert_eq!(counts.sum::<usize>(), 4_000, "{read}");
    assert!(
        read.contains("offsets_committed") && !read.contains("\"success\":false"),
        "{read}"
    );
    let console = if is_new {
        "org.apache.kafka.tools.consumer.ConsoleConsumer"
    } else {
        "kafka.tools.ConsoleConsumer"
    };
    let read = tools.run(
        console,
        &[
            "--topic",
            TOPIC,
            "--from-beginning",
            "--max-messages",
            "4000",
            "--timeout-ms",
            "60000",
            "--bootstrap-server",
            &servers,
        ],
    );
    assert!(
        read.contains("Processed a total of 4000 messages"),
        "{read}"
    );
    let numbers: BTreeSet<u32> = read.lines().filter_map(|line| line.parse().ok()).collect();
    assert!((0..2_000).all(|number| numbers.contains(&number)), "{read}");
}

#[test]
fn the_tools_of_4_3_1() {
    let Some(tools) = Tools::of("4.3.1") else {
        return;
    };
    for nodes in [1, 3] {
        let cluster = Cluster::start(nodes, Topic::performance_test(), &[]);
        cluster.leader();
        write_and_read(&tools, &cluster, true);
        let servers = cluster.bootstrap();
        let offsets = tools.run(
            "org.apache.kafka.tools.GetOffsetShell",
            &["--bootstrap-server", &servers, "--topic", TOPIC],
        );
        let end = offsets
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{TOPIC}:0:")));
        let end: Option<i64> = end.and_then(|end| end.trim().parse().ok());
        assert!(end > Some(4_000), "{offsets}");
    }
}

#[test]
fn the_tools_of_2_8_2() {
    let Some(tools) = Tools::of("2.8.2") else {
        return;
    };
    for nodes in [1, 3] {
        let cluster = Cluster::start(nodes, Topic::performance_test(), &[]);
        cluster.leader();
        write_and_read(&tools, &cluster, false);
    }
}

#[test]
fn the_quorum_as_kafkas_tool_sees_it() {
    let Some(tools) = Tools::of("4.3.1") else {
        return;
    };
    for nodes in [1, 3] {
        let cluster = Cluster::start(nodes, Topic::cluster_metadata(), &[]);
        let leader = cluster.leader() + 1;
        let servers = cluster.bootstrap();
        for flag in ["--bootstrap-server", "--bootstrap-controller"] {
            let class = "org.apache.kafka.tools.MetadataQuorumCommand";
            let said = tools.run(class, &[flag, &servers, "describe", "--status"]);
            let line = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
            let named = line("LeaderId:").map(str::trim);
            assert_eq!(named, Some(leader.to_string().as_str()), "{said}");
            let said = tools.run(class, &[flag, &servers, "describe", "--replication"]);
            assert_eq!(count(&said, "Leader"), 1, "{said}");
            assert_eq!(count(&said, "Follower"), nodes - 1, "{said}");
        }
    }
}

#[test]
fn nothing_is_there_twice_after_the_leader_is_gone() {
    let Some(tools) = Tools::of("4.3.1") else {
        return;
    };
    const RECORDS: usize = 20_000;
    let mut cluster = Cluster::start(3, Topic::performance_test(), &[]);
    let leader = cluster.leader();
    let servers = cluster.bootstrap();
    let (records, bootstrap) = (RECORDS.to_string(), format!("bootstrap.servers={servers}"));
    let mut producer = tools.command(
        "org.apache.kafka.tools.ProducerPerformance",
        &[
            "--topic",
            TOPIC,
            "--num-records",
            &records,
            "--payload-monotonic",
            "--throughput",
            "3000",
            "--producer-props",
            &bootstrap,
            "acks=all",
            "linger.ms=0",
        ],
    );
    let mut producer = producer.stdout(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_secs(3));
    cluster.kill(leader);
    std::thread::sleep(Duration::from_secs(2));
    cluster.start_node(leader);
    assert!(wait(&mut producer), "it wrote all of them");
    let read = tools.run(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            "--topic",
            TOPIC,
            "--from-beginning",
            "--timeout-ms",
            "5000",
            "--bootstrap-server",
            &servers,
            "--formatter-property",
            "print.value=true",
        ],
    );
    let numbers: Vec<usize> = read.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers.len(), RECORDS, "each once");
    assert!(numbers.iter().copied().eq(0..RECORDS), "and in order");
}

#[test]
fn kcat_writes_and_reads() {
    if Command::new("kcat").arg("-V").output().is_err() {
        return skip(
            "kcat against our nodes",
            "there is no kcat (apt-get install kcat)",
        );
    }
    for nodes in [1, 3] {
        let cluster = Cluster::start(nodes, Topic::performance_test(), &[]);
        cluster.leader();
        let servers = cluster.bootstrap();
        let kcat = |arguments: &[&str], input: Option<&str>| {
            let mut command = Command::new("kcat");
            output(command.args(["-b", &servers]).args(arguments), input)
        };
        let listed = kcat(&["-L"], None);
        assert_eq!(count(&listed, "  broker "), nodes, "{listed}");
        assert!(
            listed.contains(&format!("topic \"{TOPIC}\" with 1 partitions")),
            "{listed}"
        );
        let mut lines = String::new();
        for number in 0..1_000 {
            writeln!(lines, "line {number}").expect("a string takes all");
        }
        kcat(&["-P", "-t", TOPIC], Some(&lines));
        let zstd = [
            "-P",
            "-t",
            TOPIC,
            "-z",
            "zstd",
            "-X",
            "enable.idempotence=true",
        ];
        kcat(&zstd, Some(&lines));
        let read = kcat(&["-C", "-q", "-t", TOPIC, "-o", "beginning", "-e"], None);
        assert_eq!(read, format!("{lines}{lines}"));
        let read = kcat(
            &[
                "-q",
                "-e",
                "-X",
                "auto.offset.reset=earliest",
                "-G",
                "group",
                TOPIC,
            ],
            None,
        );
        assert_eq!(count(&read, "line "), 2_000, "{read}");
    }
}
        // The end, and the first record that is not older than some time.
        let end = kcat(&["-Q", "-t", &format!("{TOPIC}:0:-1")], None);
        assert!(end.contains("offset 2001"), "{end}");
        let first = kcat(&["-Q", "-t", &format!("{TOPIC}:0:1")], None);
        assert!(first.contains("offset 0"), "{first}");
