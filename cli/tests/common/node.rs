//! Nodes that run while a test does.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{command, kwire};

pub const CLUSTER: &str = "4L6g3nShT-eMCtK--X86sw";

/// A controller with a directory and a port of its own. Its process ends with it.
pub struct Node {
    pub dir: TempDir,
    pub port: u16,
    process: Option<Child>,
}

impl Node {
    /// One that is formatted with some flags. `bootstrap` is the port of a node that it asks, or
    /// its own.
    pub fn formatted(id: u32, bootstrap: Option<u16>, flags: &[&str]) -> Node {
        let node = Node::with_properties(id, bootstrap);
        node.format(flags);
        node
    }

    /// The voters of a quorum, with these directory ids.
    pub fn quorum(directory_ids: &[&str]) -> Vec<Node> {
        let first = Node::with_properties(1, None);
        let port = first.port;
        let others = (2..).zip(&directory_ids[1..]);
        let others = others.map(|(id, _)| Node::with_properties(id, Some(port)));
        let nodes: Vec<Node> = [first].into_iter().chain(others).collect();
        let voters = (1..).zip(&nodes).zip(directory_ids);
        let voters: Vec<String> = voters
            .map(|((id, node), directory)| format!("{id}@{}:{directory}", node.address()))
            .collect();
        for node in &nodes {
            node.format(&["--initial-controllers", &voters.join(",")]);
        }
        nodes
    }

    fn with_properties(id: u32, bootstrap: Option<u16>) -> Node {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let asked = bootstrap.unwrap_or(port);
        let text = format!(
            "process.roles=controller\nnode.id={id}\n\
             listeners=CONTROLLER://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{asked}\nlog.dirs={}\n",
            dir.path().join("logs").display()
        );
        fs::write(dir.path().join("properties"), text).expect("written");
        Node {
            dir,
            port,
            process: None,
        }
    }

    fn format(&self, flags: &[&str]) {
        let config = self.config();
        let mut arguments = vec!["storage", "format", "-t", CLUSTER, "-c", &config];
        arguments.extend(flags);
        kwire(&arguments).ok();
    }

    pub fn config(&self) -> String {
        self.dir.path().join("properties").display().to_string()
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The id of its directory.
    pub fn directory_id(&self) -> String {
        let meta = self.dir.path().join("logs/meta.properties");
        let text = fs::read_to_string(meta).expect("formatted");
        let id = text.lines().find_map(|l| l.strip_prefix("directory.id="));
        id.expect("it has one").to_owned()
    }

    /// Runs our server in it, which writes so many records a second while it leads.
    pub fn start(&mut self, throughput: &str) {
        self.start_with(&["--topic", "__cluster_metadata", "--throughput", throughput]);
    }

    /// Runs our server in it, with these arguments besides.
    pub fn start_with(&mut self, arguments: &[&str]) {
        let config = self.config();
        let mut server = command(&["server", "--config", &config]);
        server.args(arguments);
        self.spawn(&mut server);
    }

    /// Runs a program in it, with the properties file as its argument.
    pub fn start_java(&mut self, mut program: Command) {
        let config = self.config();
        let dir: &Path = self.dir.path();
        program.arg(config).current_dir(dir);
        self.spawn(&mut program);
    }

    fn spawn(&mut self, program: &mut Command) {
        program.stdin(Stdio::null());
        program.stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(program.spawn().expect("it starts"));
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Runs the command until it says what is waited for.
#[track_caller]
pub fn until(arguments: &[&str], is_it: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let run = kwire(arguments);
        if run.code == 0 && is_it(&run.out) {
            return run.out;
        }
        assert!(Instant::now() < end, "{run:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
