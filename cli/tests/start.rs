//! What `kwire server` says, and what it refuses, when it starts.

mod common;

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::command;
use common::node::Node;

const OTHER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

/// A server whose words are kept. Its process ends with it.
struct Server {
    child: Child,
    log: std::path::PathBuf,
}

impl Server {
    fn start(node: &Node, more: &[&str]) -> Server {
        let log = node.dir.path().join("said");
        let file = File::create(&log).expect("a file");
        let config = node.config();
        let mut server = command(&[
            "server",
            "--topic",
            "__cluster_metadata",
            "--config",
            &config,
        ]);
        server.args(more).stdin(Stdio::null()).stdout(Stdio::null());
        let child = server.stderr(file).spawn().expect("it starts");
        Server { child, log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("text")
    }

    /// Waits until it says something.
    fn until(&mut self, what: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.said().contains(what) {
            assert!(Instant::now() < end, "{what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// It ends by itself, and says why.
    fn refuses(mut self) -> String {
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(1), "{}", self.said());
        self.said()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A voter that has led, and written a log.
fn written() -> Node {
    let node = Node::formatted(1, None, &["--standalone"]);
    let mut server = Server::start(&node, &["--throughput", "0"]);
    server.until("the leader is known");
    drop(server);
    node
}

#[test]
fn a_lost_vote_is_noticed() {
    let node = written();
    let state = node
        .dir
        .path()
        .join("logs/__cluster_metadata-0/quorum-state");
    fs::remove_file(&state).expect("it is there");
    let said = Server::start(&node, &["--throughput", "0"]).refuses();
    assert!(said.contains("quorum-state: it is not there"), "{said}");
    assert!(!state.exists());
    let flags = ["--throughput", "0", "--accept-lost-quorum-state"];
    Server::start(&node, &flags).until("the leader is known");
    Server::start(&node, &["--throughput", "0"]).until("the leader is known");
}

#[test]
fn a_log_without_meta_properties_is_noticed() {
    let node = written();
    let meta = node.dir.path().join("logs/meta.properties");
    let id = node.directory_id();
    fs::remove_file(&meta).expect("it is there");
    // Static voters do without a format.
    let voters = format!("controller.quorum.voters=1@{}", node.address());
    let flags = ["--throughput", "0", "--override", &voters];
    let said = Server::start(&node, &flags).refuses();
    assert!(
        said.contains("there is no meta.properties, and a log in"),
        "{said}"
    );
    assert!(!meta.exists());
    let flags = [&flags[..], &["--replica-directory-id", &id]].concat();
    Server::start(&node, &flags).until("the leader is known");
    assert_eq!(node.directory_id(), id);
}

/// Once, and not each time that it asks.
#[test]
fn another_cluster_is_told_of_once() {
    let leader = Node::formatted(1, None, &["--standalone"]);
    let mut first = Server::start(&leader, &["--throughput", "0"]);
    first.until("the leader is known");
    let node = Node::formatted(2, Some(leader.port), &["--no-initial-controllers"]);
    let meta = node.dir.path().join("logs/meta.properties");
    let text = fs::read_to_string(&meta).expect("formatted");
    let text = text.replace(common::node::CLUSTER, OTHER);
    fs::write(&meta, text).expect("written");
    let mut server = Server::start(&node, &["--throughput", "0", "--verbose"]);
    let ids = format!(
        "cluster id is {OTHER}, and the node that it asks is {}",
        common::node::CLUSTER
    );
    server.until(&ids);
    // It has asked again and again meanwhile.
    std::thread::sleep(Duration::from_secs(1));
    let said = server.said();
    assert_eq!(said.matches(&ids).count(), 1, "{said}");
    let warnings = said.lines().filter(|line| line.contains("WARN"));
    assert!(warnings.count() <= 3, "{said}");
}

#[test]
fn a_controller_that_does_not_vote_says_so() {
    let leader = Node::formatted(1, None, &["--standalone"]);
    let mut first = Server::start(&leader, &["--throughput", "0"]);
    first.until("the leader is known");
    assert!(!first.said().contains("vote"), "{}", first.said());
    let node = Node::formatted(2, Some(leader.port), &["--no-initial-controllers"]);
    let mut second = Server::start(&node, &["--throughput", "0"]);
    second.until("node 2 knows no voters yet");
    second.until("the leader is known");
    // Who votes is in the log, which comes after that.
    let segment = node
        .dir
        .path()
        .join("logs/__cluster_metadata-0/00000000000000000000.log");
    let end = Instant::now() + Duration::from_secs(30);
    while fs::metadata(&segment).map_or(0, |segment| segment.len()) == 0 {
        assert!(Instant::now() < end, "{}", second.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(second);
    let mut second = Server::start(&node, &["--throughput", "0"]);
    second.until("node 2 is not among the voters (1): it does not vote until");
    drop(second);
    let node = Node::formatted(3, Some(leader.port), &["--no-initial-controllers"]);
    let voters = format!("controller.quorum.voters=1@{}", leader.address());
    let flags = ["--throughput", "0", "--override", &voters];
    let mut third = Server::start(&node, &flags);
    third.until("controller.quorum.voters does not name node 3, only 1");
}

/// Whatever the shell says: connections are open files, and so are segments.
#[cfg(target_os = "linux")]
#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let node = Node::formatted(1, None, &["--standalone"]);
    let config = node.config();
    let server = command(&["server", "--config", &config]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\""]);
    shell.arg(server.get_program()).args(server.get_args());
    shell.stdin(Stdio::null()).stdout(Stdio::null());
    let log = node.dir.path().join("said");
    let file = File::create(&log).expect("a file");
    let child = shell.stderr(file).spawn().expect("it starts");
    let limits = format!("/proc/{}/limits", child.id());
    let mut server = Server { child, log };
    server.until("listening on");
    let text = fs::read_to_string(limits).expect("it runs");
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.expect("a limit").split_whitespace().collect();
    assert_eq!(words[3], words[4], "{words:?}");
    assert_ne!(words[3], "64");
}
