//! A node: a process of one kind or another, its directory, and what is done to it.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kwire::status::Line;
use kwire_server::verify::Promises;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::disk::{self, Syncs, Tracer};
use crate::failure::Failure;

/// The directory of the log that is replicated, in a node's own.
const PARTITION: &str = "__raft_performance_test-0";
/// How long a process may take to end after its disk failed.
const ENDING: Duration = Duration::from_secs(5);
/// Bytes of the records that nodes write themselves.
const RECORD_SIZE: usize = 100;

/// What runs as a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `kwire server`.
    Ours,
    /// Kafka's TestRaftServer of a release.
    Java(String),
}

/// How nodes are started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The words before each other argument.
    pub(crate) command: Vec<String>,
    /// The library that lets a clock jump.
    pub(crate) faketime: Option<PathBuf>,
    /// Records that a leader writes a second.
    pub(crate) throughput: u32,
}

pub(crate) struct Node {
    pub(crate) id: usize,
    pub(crate) kind: Kind,
    /// The directory of the whole quorum.
    home: PathBuf,
    start: Start,
    running: Option<Running>,
    /// Its log lies on a disk in memory, that can be full.
    has_own_disk: bool,
    is_full: bool,
    promises: Arc<Mutex<Promises>>,
}

/// A process.
struct Running {
    tracer: Option<Tracer>,
    child: Child,
    /// Ours ends when this does: with this program.
    _stdin: Option<ChildStdin>,
    is_stopping: bool,
    is_paused: bool,
    /// Until when it may end because of its disk.
    trouble_until: Option<Instant>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it was asked to.
    Stopped,
    /// Because of its disk, and what it said of that.
    Disk(String),
    /// For no reason that there was.
    Unasked(String),
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        match text.strip_prefix("java-") {
            Some(release) => Ok(Kind::Java(release.to_owned())),
            None if text == "ours" => Ok(Kind::Ours),
            None => Err(format!("{text}: ours or java-RELEASE is wanted")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Ours => write!(f, "ours"),
            Kind::Java(release) => write!(f, "java-{release}"),
        }
    }
}

impl Kind {
    /// Whether it is Kafka's.
    pub(crate) fn is_java(&self) -> bool {
        matches!(self, Kind::Java(_))
    }
}

impl Node {
    /// A node that does not run yet, in the directory of its quorum.
    pub(crate) fn new(
        id: usize,
        kind: Kind,
        home: &Path,
        start: Start,
        promises: Arc<Mutex<Promises>>,
    ) -> Result<Node, Failure> {
        let node = Node {
            id,
            kind,
            home: home.to_owned(),
            start,
            running: None,
            has_own_disk: false,
            is_full: false,
            promises,
        };
        fs::create_dir_all(node.log_dir()).map_err(Failure::file(&node.log_dir()))?;
        node.set_clock(0)?;
        Ok(node)
    }

    /// Where Kafka's `log.dirs` points to.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.home.join(format!("node-{}", self.id))
    }

    /// The directory of the log that is replicated.
    pub(crate) fn partition(&self) -> PathBuf {
        self.log_dir().join(PARTITION)
    }

    pub(crate) fn properties(&self) -> PathBuf {
        self.home.join(format!("node-{}.properties", self.id))
    }

    /// Where the process writes what it has to say.
    pub(crate) fn log(&self) -> PathBuf {
        self.home.join(format!("node-{}.log", self.id))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it runs, and nothing holds it.
    pub(crate) fn is_well(&self) -> bool {
        let well = |running: &Running| {
            !running.is_paused && !running.is_stopping && !running.is_in_trouble()
        };
        self.running.as_ref().is_some_and(well) && !self.is_full
    }

    /// Whether it was asked to stop, and has not yet.
    pub(crate) fn is_stopping(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.is_stopping)
    }

    /// Starts the process, if there is none.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        if self.running.is_some() {
            return Ok(());
        }
        let path = self.log();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(Failure::file(&path))?;
        let mut command = self.command(&log)?;
        let child = command.stderr(log).spawn();
        let mut child = child.map_err(|error| {
            let program = command.get_program().display();
            Failure::Harness(format!("{program}: {error}"))
        })?;
        let stdin = child.stdin.take();
        if let Some(out) = child.stdout.take() {
            let (id, promises) = (self.id, self.promises.clone());
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(Line::Status(status)) = serde_json::from_str(&line) {
                        lock(&promises).note(&status.claim(id));
                    }
                }
            });
        }
        self.running = Some(Running {
            tracer: None,
            child,
            _stdin: stdin,
            is_stopping: false,
            is_paused: false,
            trouble_until: None,
        });
        Ok(())
    }

    fn command(&self, log: &File) -> Result<Command, Failure> {
        let (program, words) =
            self.start.command.split_first().ok_or_else(|| {
                Failure::Harness(format!("there is no command for {}", self.kind))
            })?;
        let mut command = Command::new(program);
        command.args(words);
        match self.kind {
            Kind::Ours => {
                command.args(["server", "--status-ms", "50", "--stop-with-stdin"]);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
            }
            Kind::Java(_) => {
                // 22 characters of base64, and no two alike.
                let id = format!("B{}AAAAAAAAAAAAAAAAAAAA", self.id);
                command.args(["--replica-directory-id", &id]);
                let log = log.try_clone().map_err(Failure::file(&self.log()))?;
                command.stdin(Stdio::null()).stdout(log);
            }
        }
        command
            .arg("--config")
            .arg(self.properties())
            .args(["--throughput", &self.start.throughput.to_string()])
            .args(["--record-size", &RECORD_SIZE.to_string()])
            .current_dir(&self.home);
        if let Some(library) = &self.start.faketime {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock())
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1");
        }
        // Ctrl-C is for this program, which ends them.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }

    /// Ends the process as a failing machine would, but for what the system has still to write.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended by itself.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// Asks the process to end.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_stopping = true;
        }
        self.signal(Signal::SIGTERM);
    }

    pub(crate) fn pause(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_paused = true;
        }
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_paused = false;
        }
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.running.as_ref().map(|running| running.child.id());
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended by itself, which is found elsewhere.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Has its syncs go wrong from now on. Whether nothing held the process already.
    pub(crate) fn trace(&mut self, syncs: Syncs) -> Result<bool, Failure> {
        let output = self.home.join(format!("node-{}.strace", self.id));
        let Some(running) = self.running.as_mut().filter(|r| r.tracer.is_none()) else {
            return Ok(false);
        };
        running.tracer = Some(Tracer::attach(running.child.id(), syncs, &output)?);
        if syncs == Syncs::Failing {
            running.trouble_until = Some(far_away());
        }
        Ok(true)
    }

    /// Lets its syncs go. A process that was told of a failure and goes on is at fault.
    pub(crate) fn let_go(&mut self) -> Result<(), Failure> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let Some(tracer) = running.tracer.take() else {
            return Ok(());
        };
        let happened = tracer.detach();
        let Some(until) = &mut running.trouble_until else {
            return Ok(());
        };
        let ending = Instant::now() + ENDING;
        *until = ending;
        if running.is_paused || !happened {
            return Ok(());
        }
        while Instant::now() < ending {
            if !matches!(running.child.try_wait(), Ok(None)) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        let what = format!("node {} goes on after a sync failed", self.id);
        Err(Failure::broken(what))
    }

    /// Gives it a disk of its own, for its log.
    pub(crate) fn mount_disk(&mut self) -> Result<(), Failure> {
        disk::mount(&self.log_dir())?;
        self.has_own_disk = true;
        Ok(())
    }

    pub(crate) fn has_own_disk(&self) -> bool {
        self.has_own_disk
    }

    /// Leaves no room on its disk.
    pub(crate) fn fill_disk(&mut self) -> Result<(), Failure> {
        disk::fill(&self.log_dir())?;
        self.is_full = true;
        Ok(())
    }

    /// Makes room on its disk again.
    pub(crate) fn free_disk(&mut self) -> Result<(), Failure> {
        if self.is_full {
            disk::free(&self.log_dir())?;
            self.is_full = false;
            if self.kind.is_java() {
                // It may run on without doing anything any more: docs/faults.md.
                self.kill();
            }
            if let Some(running) = &mut self.running {
                running.trouble_until = Some(Instant::now() + ENDING);
            }
        }
        Ok(())
    }

    /// Moves its log to where the rest of its directory is, for others to look at.
    pub(crate) fn keep_disk(&mut self) -> Result<(), Failure> {
        if !self.has_own_disk {
            return Ok(());
        }
        let (from, to) = (self.log_dir(), self.home.join("kept"));
        crate::sandbox::run(Command::new("cp").arg("-a").arg(&from).arg(&to))?;
        self.drop_disk()?;
        fs::remove_dir(&from).map_err(Failure::file(&from))?;
        fs::rename(&to, &from).map_err(Failure::file(&to))
    }

    pub(crate) fn drop_disk(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.has_own_disk) {
            disk::unmount(&self.log_dir())?;
        }
        Ok(())
    }

    /// Removes all that a node that does not run has.
    pub(crate) fn wipe(&self) -> Result<(), Failure> {
        let dir = self.log_dir();
        let failed = Failure::file(&dir);
        for entry in fs::read_dir(&dir).map_err(&failed)? {
            let path = entry.map_err(&failed)?.path();
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.map_err(Failure::file(&path))?;
        }
        Ok(())
    }

    /// Lets its clock be wrong by so much, within about a second.
    pub(crate) fn set_clock(&self, seconds: i64) -> Result<(), Failure> {
        let path = self.clock();
        let new = path.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).map_err(Failure::file(&new))?;
        fs::rename(&new, &path).map_err(Failure::file(&path))
    }

    pub(crate) fn has_clock(&self) -> bool {
        self.start.faketime.is_some()
    }

    fn clock(&self) -> PathBuf {
        self.home.join(format!("node-{}.clock", self.id))
    }

    /// How the process ended, if it did since this was asked last.
    pub(crate) fn ended(&mut self) -> Option<End> {
        let running = self.running.as_mut()?;
        let status = running.child.try_wait().ok()??;
        let in_trouble = running.is_in_trouble();
        let end = if running.is_stopping && self.kind.stopped_well(status) {
            End::Stopped
        } else {
            let words = self.last_words();
            let what = format!(
                "node {} ({}) ended with {status}: {words}",
                self.id, self.kind
            );
            match in_trouble || self.is_full {
                // Java's test server has nothing to log with.
                true if !status.success() && (self.kind.is_java() || says_disk(&words)) => {
                    End::Disk(words)
                }
                _ => End::Unasked(what),
            }
        };
        self.running = None;
        Some(end)
    }

    /// The last line that the process wrote, for people.
    fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Running {
    fn is_in_trouble(&self) -> bool {
        self.trouble_until
            .is_some_and(|until| Instant::now() < until)
    }
}

impl Kind {
    fn stopped_well(&self, status: ExitStatus) -> bool {
        // Of a signal whose handler ran, Java says so.
        const BY_SIGTERM: i32 = 128 + Signal::SIGTERM as i32;
        status.success() || self.is_java() && status.code() == Some(BY_SIGTERM)
    }
}

/// Whether a line names what was done to the disk.
fn says_disk(words: &str) -> bool {
    ["Input/output error", "No space left on device"]
        .iter()
        .any(|error| words.contains(error))
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(24 * 3_600)
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
