//! One of Kafka's test raft servers among our voters, and snapshots between them. What else such
//! quorums have to stand is for `cargo xtask faults`.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Java starts slowly where much else runs.
const PATIENCE: Duration = Duration::from_secs(120);
const TOPIC: &str = "__raft_performance_test-0";

/// A voter: ours, or Java's if it has a variable that holds the command.
struct Voter {
    id: usize,
    dir: PathBuf,
    java: Option<&'static str>,
    child: Option<Child>,
    /// What it said last, if it is ours.
    status: Arc<Mutex<Option<Value>>>,
}

impl Voter {
    fn start(&mut self) {
        let properties = self.dir.join(format!("{}.properties", self.id));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join(format!("{}.log", self.id)))
            .expect("a log");
        let mut command = match self.java {
            Some(variable) => {
                let mut command = common::java(variable, "raft-server").expect("it was there");
                let id = format!("AAAAAAAAAAAAAAAAAAAAA{}", ["g", "w", "A"][self.id % 3]);
                command.args(["--replica-directory-id", &id]);
                // Its log belongs to nobody.
                command.stdout(log.try_clone().expect("the same log"));
                command
            }
            None => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kwire"));
                command.args(["server", "--status-ms", "100", "--stop-with-stdin"]);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                command
            }
        };
        command
            .arg("--config")
            .arg(properties)
            .args(["--throughput", "500", "--record-size", "100"])
            .current_dir(&self.dir)
            .stderr(log);
        let mut child = command.spawn().expect("it starts");
        if let Some(out) = child.stdout.take() {
            let status = self.status.clone();
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let line: Value = serde_json::from_str(&line).expect("JSON");
                    if let Some(said) = line.get("status") {
                        *status.lock().expect("no panic") = Some(said.clone());
                    }
                }
            });
        }
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
        *self.status.lock().expect("no panic") = None;
    }

    fn partition(&self) -> PathBuf {
        self.dir.join(self.id.to_string()).join(TOPIC)
    }

    /// Takes its disk, and starts it with an empty one.
    fn wipe(&mut self) {
        self.kill();
        let disk = self.dir.join(self.id.to_string());
        fs::remove_dir_all(&disk).expect("it had one");
        fs::create_dir(&disk).expect("an empty one");
        self.start();
    }

    /// Whether it has snapshots, where its first segment starts, and how long all of them are.
    fn files(&self) -> (bool, Option<i64>, u64) {
        let (mut has_snapshots, mut start, mut len) = (false, None, 0);
        let offset = |text: &str| text.get(..20)?.parse::<i64>().ok();
        for entry in fs::read_dir(self.partition())
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().into_string().expect("UTF-8");
            if let Some(base) = name.strip_suffix(".log").and_then(offset) {
                start = Some(start.map_or(base, |start: i64| start.min(base)));
                // It may be gone by now.
                len += entry.metadata().map_or(0, |metadata| metadata.len());
            }
            has_snapshots |= name.ends_with(".checkpoint") && offset(&name).is_some();
        }
        (has_snapshots, start, len)
    }
}

impl Drop for Voter {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Quorum {
    voters: Vec<Voter>,
    /// The highest watermark that one of ours knew.
    committed: i64,
}

impl Quorum {
    /// `properties` are for ours alone.
    fn start(dir: &Path, kinds: [Option<&'static str>; 3], properties: &str) -> Quorum {
        let listeners: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port"))
            .collect();
        let port = |l: &TcpListener| l.local_addr().expect("it is bound").port();
        let ports: Vec<u16> = listeners.iter().map(port).collect();
        drop(listeners);
        let names: Vec<String> = (1..)
            .zip(&ports)
            .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
            .collect();
        let mut voters = Vec::new();
        for ((id, port), java) in (1..).zip(&ports).zip(kinds) {
            let text = format!(
                "process.roles=controller\nnode.id={id}\nlisteners=CONTROLLER://127.0.0.1:{port}\n\
                 controller.listener.names=CONTROLLER\n\
                 listener.security.protocol.map=CONTROLLER:PLAINTEXT\n\
                 controller.quorum.voters={}\nlog.dirs={}\n{}",
                names.join(","),
                dir.join(id.to_string()).display(),
                if java.is_none() { properties } else { "" }
            );
            fs::write(dir.join(format!("{id}.properties")), text).expect("a file");
            fs::create_dir_all(dir.join(id.to_string())).expect("a directory");
            voters.push(Voter {
                id,
                dir: dir.to_owned(),
                java,
                child: None,
                status: Arc::default(),
            });
        }
        for voter in &mut voters {
            voter.start();
        }
        Quorum {
            voters,
            committed: 0,
        }
    }

    /// The leader, once one of ours knows it and more was committed than before.
    fn leader(&mut self) -> usize {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(50));
            for voter in &self.voters {
                let status = voter.status.lock().expect("no panic").clone();
                let Some(status) = status else { continue };
                let committed = status["highWatermark"].as_i64().unwrap_or(-1);
                let leader = status["leader"].as_u64();
                if let Some(leader) = leader
                    && committed >= self.committed + 500
                {
                    self.committed = committed;
                    return usize::try_from(leader).expect("an id");
                }
            }
        }
        panic!(
            "nothing more than {} is committed: see the logs in {}",
            self.committed,
            self.voters[0].dir.display()
        );
    }
    /// Waits for something that is so in a moment.
    fn wait(&self, what: &str, is_it: impl Fn(&Quorum) -> bool) {
        let began = Instant::now();
        while !is_it(self) {
            let dir = self.voters[0].dir.display();
            assert!(began.elapsed() < PATIENCE, "{what}: see the logs in {dir}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills leaders until one of Java's leads.
    fn until_java_leads(&mut self) -> usize {
        for _ in 0..24 {
            let leader = self.leader();
            let voter = &mut self.voters[leader - 1];
            if voter.java.is_some() {
                return leader;
            }
            voter.kill();
            thread::sleep(Duration::from_millis(300));
            voter.start();
        }
        panic!("none of Java's ever leads");
    }

    /// Waits until all logs have what is committed, kills everybody, and compares.
    fn compare(mut self) {
        self.leader();
        let until = self.committed;
        thread::sleep(Duration::from_secs(2));
        for voter in &mut self.voters {
            voter.kill();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_kwire"));
        command.args(["verify-log", "--until", &until.to_string()]);
        command.args(self.voters.iter().map(Voter::partition));
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        let ends: Vec<i64> = said
            .lines()
            .filter_map(|line| line.split(" to ").nth(1)?.split(',').next()?.parse().ok())
            .collect();
        assert_eq!(ends.len(), 3, "{said}");
        let behind = ends.iter().filter(|end| **end < until).count();
        assert!(behind <= 1, "up to {until} was committed: {said}");
    }
}

/// Java's test server makes no snapshots, but takes ours in, and gives them to others when it leads.
#[test]
fn snapshots_go_to_kafka_4_3_1_and_back() {
    const JAVA: &str = "KWIRE_RAFT_SERVER_4_3_1";
    if common::java(JAVA, "raft-server").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut quorum = Quorum::start(
        dir.path(),
        [None, None, Some(JAVA)],
        "metadata.log.max.record.bytes.between.snapshots=100000\n\
         metadata.max.retention.bytes=1\n",
    );
    quorum.leader();
    quorum.wait("ours make no snapshots", |quorum| {
        quorum.voters[..2].iter().all(|ours| ours.files().0)
    });
    quorum.voters[2].wipe();
    quorum.leader();
    quorum.wait("Java's does not catch up by snapshot", |quorum| {
        let (has_snapshots, start, len) = quorum.voters[2].files();
        has_snapshots && start > Some(0) && len > 100_000
    });

    // Now from Java, as long as it leads: what it has begins with that snapshot.
    for round in 0.. {
        assert!(round < 10, "Java never leads for long");
        let java = quorum.until_java_leads();
        quorum.voters[0].wipe();
        quorum.wait("ours does not catch up by snapshot", |quorum| {
            let (has_snapshots, start, len) = quorum.voters[0].files();
            has_snapshots && start > Some(0) && len > 10_000
        });
        if java == quorum.leader() {
            break;
        }
    }
    quorum.compare();
}
