//! The nodes of a quickstart: a process each, so that they can really be killed.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::status::Line;

/// The bytes that a node keeps of its log, and of the snapshots in place of what it does not.
const KEPT_BYTES: u64 = 1 << 30;
/// The bytes of a segment, and between two snapshots: what is deleted at once.
const PART_BYTES: u64 = 64 << 20;

/// What says that a directory is a quickstart's.
const MARK: &str = "quickstart";

/// What every node is started with.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) directory: PathBuf,
    pub(super) nodes: usize,
    pub(super) throughput: i64,
    pub(super) record_size: usize,
}

/// A node, running or not.
pub(super) struct Node {
    pub(super) id: usize,
    plan: Plan,
    process: Option<(Child, ChildStdin)>,
    lines: mpsc::Sender<(usize, Line)>,
}

/// Makes a directory for this many nodes, or takes it up again, with ports that are free now. It is
/// this process's as long as the file lives that is returned.
pub(super) fn prepare(plan: &Plan) -> Result<(Vec<u16>, File), Failure> {
    let directory = &plan.directory;
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    let mark = directory.join(MARK);
    match fs::read_to_string(&mark) {
        Ok(text) if text.trim() == plan.nodes.to_string() => {}
        Ok(text) => {
            let count = text.trim();
            let directory = directory.display();
            return Err(Failure::usage(format!(
                "{directory} holds a quickstart of {count} nodes: run it with --nodes {count}, or \
                 name another --dir"
            )));
        }
        Err(_) if fs::read_dir(directory).map_err(failed)?.next().is_some() => {
            let what = "is not empty, and no quickstart made it: name another --dir";
            return Err(Failure::usage(format!("{} {what}", directory.display())));
        }
        Err(_) => fs::write(&mark, format!("{}\n", plan.nodes)).map_err(failed)?,
    }
    // Before the properties are written: nodes of another quickstart read them when they start
    // again, and would join this one.
    let lock = File::open(&mark).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let what = "another quickstart is running there: name another --dir";
            return Err(Failure::usage(format!("{}: {what}", directory.display())));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // All at once, so that they differ; the nodes bind them in a moment.
    let listeners: Result<Vec<_>, _> = (0..plan.nodes)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect();
    let ports: Result<Vec<_>, io::Error> = listeners
        .map_err(failed)?
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect();
    let ports = ports.map_err(failed)?;
    let voters: Vec<String> = (1..)
        .zip(&ports)
        .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
        .collect();
    for (id, port) in (1..).zip(&ports) {
        let text = format!(
            "# Made anew by each kwire quickstart.\nnode.id={id}\nprocess.roles=controller\n\
             listeners=CONTROLLER://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.voters={}\nlog.dirs=node-{id}\n\
             metadata.log.segment.bytes={PART_BYTES}\n\
             metadata.log.max.record.bytes.between.snapshots={PART_BYTES}\n\
             metadata.max.retention.bytes={KEPT_BYTES}\n",
            voters.join(",")
        );
        fs::write(properties(directory, id), text).map_err(failed)?;
    }
    Ok((ports, lock))
}

fn properties(directory: &Path, id: usize) -> PathBuf {
    directory.join(format!("node-{id}.properties"))
}

impl Node {
    pub(super) fn new(id: usize, plan: &Plan, lines: mpsc::Sender<(usize, Line)>) -> Node {
        Node {
            id,
            plan: plan.clone(),
            process: None,
            lines,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Where the process writes what it has to say.
    pub(super) fn log(&self) -> PathBuf {
        self.plan.directory.join(format!("node-{}.log", self.id))
    }

    /// The directory of the log that is replicated.
    pub(super) fn partition(&self) -> PathBuf {
        let directory = self.plan.directory.join(format!("node-{}", self.id));
        directory.join("__raft_performance_test-0")
    }

    /// Starts the process.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::failed(format!("node {}: {error}", self.id));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .current_dir(&self.plan.directory)
            .arg("server")
            .arg("--config")
            .arg(format!("node-{}.properties", self.id))
            .args(["--throughput", &self.plan.throughput.to_string()])
            .args(["--record-size", &self.plan.record_size.to_string()])
            .args(["--status-ms", "50", "--report-ms", "1000"])
            .arg("--stop-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        // Ctrl-C is for this process, which stops them one by one.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("they are pipes");
        };
        let (id, lines) = (self.id, self.lines.clone());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line)
                    && lines.send((id, line)).is_err()
                {
                    return;
                }
            }
        });
        self.process = Some((child, stdin));
        Ok(())
    }

    /// Ends the process as a power failure would, but for what the system has still to write.
    pub(super) fn kill(&mut self) {
        if let Some((mut child, _stdin)) = self.process.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The end of a process that nobody ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let (child, _) = self.process.as_mut()?;
        let status = child.try_wait().ok()??;
        self.process = None;
        Some(status)
    }

    /// The last line that the process wrote, for people.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

/// Stops the processes gracefully, one after the other, so that each can hand over to those that
/// still run; those that do not stop in time are killed.
pub(super) fn stop(nodes: &mut [Node]) {
    for node in nodes {
        let Some((mut child, stdin)) = node.process.take() else {
            continue;
        };
        drop(stdin);
        let until = Instant::now() + Duration::from_secs(15);
        while Instant::now() < until && !matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
