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

use common::{Cluster, TOPIC, skip};
use kwire_raft::types::Topic;

/// No tool takes longer, be the machine busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The tools of a release, if they are there.
struct Tools(Vec<String>);

impl Tools {
    fn of(release: &str) -> Option<Tools> {
        let variable = format!("KWIRE_TOOLS_{}", release.replace('.', "_"));
        let words = common::java(&variable, &format!("tool --release {release}"))?;
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
    let (is_well, said) = ended(command, input);
    assert!(is_well, "{command:?}: {said}");
    said
}

/// Whether a command succeeds, and what it says.
fn ended(command: &mut Command, input: Option<&str>) -> (bool, String) {
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
    (is_well, said)
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

/// What Kafka's tools for administrators say of three nodes.
fn administrate(tools: &Tools, is_new: bool) {
    let set = [("message.max.bytes", "5000")];
    let cluster = Cluster::start(3, Topic::performance_test(), &set);
    let leader = format!("Leader: {}", cluster.leader() + 1);
    let servers = cluster.bootstrap();
    let ask = |class: &str, arguments: &[&str]| {
        let class = match is_new {
            true => format!("org.apache.kafka.tools.{class}"),
            false => {
                let name = class.rsplit('.').next().expect("a name");
                format!("kafka.admin.{name}")
            }
        };
        let to = ["--bootstrap-server", &servers];
        tools.run(&class, &[&to, arguments].concat())
    };
    assert_eq!(count(&ask("TopicCommand", &["--list"]), TOPIC), 1);
    let said = ask("TopicCommand", &["--describe"]);
    for word in [
        "PartitionCount: 1",
        "ReplicationFactor: 3",
        "max.message.bytes=5000",
        "min.insync.replicas=2",
        &leader,
        "Replicas: 1,2,3",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said = ask(
        "TopicCommand",
        &["--describe", "--under-min-isr-partitions"],
    );
    assert_eq!(count(&said, TOPIC), 0, "{said}");
    let group = "consumer.group.ConsumerGroupCommand";
    assert_eq!(count(&ask(group, &["--list"]), "some-group"), 0);
    let said = ask("BrokerApiVersionsCommand", &[]);
    assert_eq!(count(&said, "DescribeConfigs(32): 0 to 4"), 3, "{said}");
    if !is_new {
        let topic = ["--entity-type", "topics", "--entity-name", TOPIC];
        let said = ask("ConfigCommand", &[&["--describe"], &topic[..]].concat());
        assert_eq!(count(&said, "retention.ms=-1"), 1, "{said}");
        let node = ["--entity-type", "brokers", "--entity-name", "2", "--all"];
        let said = ask("ConfigCommand", &[&["--describe"], &node[..]].concat());
        assert_eq!(count(&said, "  node.id=2 "), 1, "{said}");
        assert_eq!(count(&said, "  message.max.bytes=5000 "), 1, "{said}");
        return;
    }
    // What is not there is refused, and no tool waits for it.
    for (class, arguments, api) in [
        ("LogDirsCommand", &["--describe"][..], "DESCRIBE_LOG_DIRS"),
        (
            "TopicCommand",
            &["--create", "--topic", "x"],
            "CREATE_TOPICS",
        ),
        (
            "LeaderElectionCommand",
            &["--election-type", "PREFERRED", "--all-topic-partitions"],
            "ELECT_LEADERS",
        ),
    ] {
        let class = format!("org.apache.kafka.tools.{class}");
        let to = ["--bootstrap-server", &servers];
        let (is_well, said) = ended(&mut tools.command(&class, &[&to, arguments].concat()), None);
        assert!(!is_well && said.contains(api), "{said}");
    }
    let said = tools.run(
        "org.apache.kafka.tools.ClusterTool",
        &["cluster-id", "--bootstrap-server", &servers],
    );
    assert!(said.contains("Cluster ID: "), "{said}");
}

/// A group while it has a member, and without.
fn describe_groups(tools: &Tools) {
    let cluster = Cluster::start(3, Topic::performance_test(), &[]);
    cluster.leader();
    let servers = cluster.bootstrap();
    let consume = [
        "--bootstrap-server",
        &servers,
        "--topic",
        TOPIC,
        "--group-id",
        "some-group",
    ];
    let class = "org.apache.kafka.tools.VerifiableConsumer";
    let mut consumer = tools.command(class, &consume);
    let mut consumer = consumer.stdout(Stdio::null()).spawn().expect("it starts");
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let ask = |arguments: &[&str]| {
        let to = ["--bootstrap-server", &servers];
        tools.run(class, &[&to, arguments].concat())
    };
    let described = |host: &str| {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let said = ask(&["--describe", "--group", "some-group"]);
            if count(&said, host) == 1 {
                return said;
            }
        }
        panic!("{host} does not appear")
    };
    let said = described("/127.0.0.1");
    assert_eq!(count(&said, TOPIC), 1, "{said}");
    assert_eq!(count(&ask(&["--list"]), "some-group"), 1);
    consumer.kill().expect("it runs");
    consumer.wait().expect("it ends");
}

#[test]
fn what_tools_of_4_3_1_say() {
    if let Some(tools) = Tools::of("4.3.1") {
        administrate(&tools, true);
        describe_groups(&tools);
    }
}

#[test]
fn what_tools_of_2_8_2_say() {
    if let Some(tools) = Tools::of("2.8.2") {
        administrate(&tools, false);
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
        // The end, and the first record that is not older than some time.
        let end = kcat(&["-Q", "-t", &format!("{TOPIC}:0:-1")], None);
        assert!(end.contains("offset 2001"), "{end}");
        let first = kcat(&["-Q", "-t", &format!("{TOPIC}:0:1")], None);
        assert!(first.contains("offset 0"), "{first}");
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
