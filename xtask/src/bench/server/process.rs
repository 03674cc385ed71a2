//! A process that is measured from outside, as Linux counts in `/proc`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

/// Clock ticks a second in `/proc`, which Linux fixed for programs long ago.
const TICKS: f64 = 100.0;

/// A process whose lines are kept. It ends with this value.
pub(super) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
}

/// Megabytes (of a million bytes) that are resident.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) now: f64,
    pub(super) peak: f64,
}

impl Process {
    /// Starts a program that reads nothing and complains to a file.
    pub(super) fn start(command: &mut Command, complaints: fs::File) -> Result<Process> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let stdout = child.stdout.take().context("the output is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push((Instant::now(), line));
            }
        });
        Ok(Process { child, lines })
    }

    /// The lines that it printed since a moment.
    pub(super) fn lines_since(&self, since: Instant) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let new = lines.iter().filter(|(at, _)| *at >= since);
        new.map(|(_, line)| line.clone()).collect()
    }

    /// The lines that it printed since they were last taken, and when.
    pub(super) fn take_lines(&self) -> Vec<(Instant, String)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *lines)
    }

    /// Bytes on the disk of files that have no name any more.
    pub(super) fn unnamed_bytes(&self) -> u64 {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let open = open.into_iter().flatten().flatten();
        let files = open.filter_map(|entry| fs::metadata(entry.path()).ok());
        let unnamed = files.filter(|file| file.is_file() && file.nlink() == 0);
        unnamed.map(|file| file.blocks() * 512).sum()
    }

    /// What it has in memory.
    pub(super) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .context("the process is gone")?;
        let kib = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        };
        Ok(Memory {
            now: kib("VmRSS:").unwrap_or(0.0) * 1024.0 / 1e6,
            peak: kib("VmHWM:").unwrap_or(0.0) * 1024.0 / 1e6,
        })
    }

    /// The seconds of processors that it used.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .context("the process is gone")?;
        let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: Result<Vec<u64>, _> = ticks.map(str::parse).collect();
        Ok(ticks?.iter().sum::<u64>() as f64 / TICKS)
    }

    /// Kills it, and waits for its end.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
