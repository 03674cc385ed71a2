//! Disks that are slow, fail, or are full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

use crate::failure::Failure;
use crate::sandbox::run;

/// What a process waits for when it makes its log durable.
const SYNCS: &str = "fsync,fdatasync";
/// More than any log of a run becomes.
const ROOMY: u64 = 1 << 30;
/// What is left of a disk that is to be full: a few batches.
const LEFT_BYTES: u64 = 16 << 10;

/// What becomes of a process's syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// They take so much longer.
    Late { ms: u64 },
    /// They fail with EIO.
    Failing,
}

/// `strace`, which holds on to a process as long as this value lives.
pub(crate) struct Tracer {
    strace: Child,
    output: PathBuf,
}

impl Tracer {
    /// Has a process's syncs go wrong. `output` is a file to write to.
    pub(crate) fn attach(pid: u32, syncs: Syncs, output: &Path) -> Result<Tracer, Failure> {
        let inject = match syncs {
            Syncs::Late { ms } => format!("inject={SYNCS}:delay_exit={}", ms * 1_000),
            Syncs::Failing => format!("inject={SYNCS}:error=EIO"),
        };
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-p", &pid.to_string()])
            .args(["-e", &format!("trace={SYNCS}"), "-e", &inject, "-o"])
            .arg(output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Ok(Tracer {
            strace: strace.map_err(|error| Failure::Harness(format!("strace: {error}")))?,
            output: output.to_owned(),
        })
    }

    /// Lets the process go. Whether any of its syncs went wrong.
    pub(crate) fn detach(mut self) -> bool {
        self.let_go();
        let output = fs::read_to_string(&self.output).unwrap_or_default();
        // It is no evidence: the journal says what was done.
        let _ = fs::remove_file(&self.output);
        output.contains("(INJECTED)")
    }

    fn let_go(&mut self) {
        if let Ok(pid) = i32::try_from(self.strace.id()) {
            // It may be gone, with the process that it held.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.strace.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Mounts a disk at an empty directory, in memory.
pub(crate) fn mount(at: &Path) -> Result<(), Failure> {
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={ROOMY}"), "tmpfs"])
        .arg(at))
}

/// Takes such a disk away, with what is on it.
pub(crate) fn unmount(at: &Path) -> Result<(), Failure> {
    run(Command::new("umount").arg(at))
}

/// Leaves hardly any room on such a disk.
pub(crate) fn fill(at: &Path) -> Result<(), Failure> {
    // What is written meanwhile may be more than what is left.
    let mut last = Ok(());
    for _ in 0..10 {
        let used =
            statvfs(at).map(|disk| (disk.blocks() - disk.blocks_free()) * disk.fragment_size());
        let used = used.map_err(|error| Failure::Harness(format!("{}: {error}", at.display())))?;
        last = resize(at, used + LEFT_BYTES);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Makes room again.
pub(crate) fn free(at: &Path) -> Result<(), Failure> {
    resize(at, ROOMY)
}

fn resize(at: &Path, bytes: u64) -> Result<(), Failure> {
    // The options that it has name users as they are outside of the sandbox.
    run(Command::new("mount")
        .args([
            "--options-mode=ignore",
            "-o",
            &format!("remount,size={bytes}"),
        ])
        .arg(at))
}
