//! Appends through node, driver and file log on one node, beside the disk's own sequential write.
//!
//! `cargo xtask bench raft`, or `cargo bench -p kwire-raft --bench append [SECONDS]`.
//! Prints a table: a lone voter is given batches of records; the disk is given as many bytes in
//! writes of the same size, to a file in the same directory, in turns with it.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant as Clock};

use kwire_protocol::records::NewRecord;
use kwire_raft::Config;
use kwire_raft::driver::{Barrier, Disk, Driver, Effect, LogStore};
use kwire_raft::log::files::StdFiles;
use kwire_raft::log::{FileLog, FileStateStore, LogOptions};
use kwire_raft::node::IoId;
use kwire_raft::types::{Instant, Offset, ReplicaKey, Uuid};
use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type FileDriver = Driver<FileLog, FileStateStore>;
type FileBarrier = <FileLog as LogStore>::Barrier;

/// When appends count as durable.
#[derive(Clone, Copy, PartialEq)]
enum Sync {
    /// Each batch is synced before the next is made.
    EachBatch,
    /// A thread syncs; what is appended meanwhile shares the next sync.
    Shared,
    /// Never: what the work costs without the disk.
    None,
}

struct Figures {
    records: u64,
    bytes: u64,
    elapsed: Duration,
}

fn main() -> Result<()> {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let time = Duration::from_secs_f64(seconds.unwrap_or(1.0));
    println!("| record | batch | sync | records/s | MB/s | disk alone, MB/s | of disk |");
    println!("|---|---|---|---|---|---|---|");
    for record in [100, 1024] {
        for batch in [1, 64 << 10, 1 << 20] {
            for sync in [Sync::EachBatch, Sync::Shared, Sync::None] {
                row(record, batch, sync, time)?;
            }
        }
    }
    Ok(())
}

fn row(record: usize, batch: usize, sync: Sync, time: Duration) -> Result<()> {
    let count = (batch / record).max(1);
    // In turns, so that both see the same disk; the better of each counts.
    let (mut best, mut disk) = (0.0_f64, 0.0_f64);
    let mut records = 0.0_f64;
    for _ in 0..2 {
        let figures = append(record, count, sync, time / 2)?;
        let seconds = figures.elapsed.as_secs_f64();
        best = best.max(figures.bytes as f64 / seconds / 1e6);
        records = records.max(figures.records as f64 / seconds);
        let write = usize::try_from(figures.bytes / (figures.records / count as u64).max(1))?;
        disk = disk.max(disk_alone(write, sync, time / 2)?);
    }
    let batch = match count {
        1 => "1 record".to_owned(),
        _ => format!("{count} records"),
    };
    let sync = match sync {
        Sync::EachBatch => "each batch",
        Sync::Shared => "shared",
        Sync::None => "none",
    };
    println!(
        "| {record} B | {batch} | {sync} | {records:.0} | {best:.1} | {disk:.1} | {:.2} |",
        best / disk
    );
    Ok(())
}

fn driver(dir: &Path, disk: Disk) -> Result<FileDriver> {
    let directory = Uuid::from_parts(1, 2);
    let endpoints = Endpoints::one("CONTROLLER", Address::new("localhost", 9093));
    let voter = Voter {
        key: ReplicaKey::new(1, directory),
        endpoints: endpoints.clone(),
        kraft_versions: KRaftVersions::SUPPORTED,
    };
    let config = Config {
        static_voters: [voter].into_iter().collect(),
        endpoints,
        max_pending_bytes: 64 << 20,
        ..Config::new(Some(1), directory)
    };
    let files = StdFiles::new(dir)?;
    let log = FileLog::open(files.clone(), LogOptions::new(config.topic.clone()))?;
    let state = FileStateStore::new(files);
    Ok(Driver::new(Instant(0), config, disk, log, state)?)
}

fn append(record: usize, count: usize, sync: Sync, time: Duration) -> Result<Figures> {
    let dir = tempfile::tempdir_in(".")?;
    let disk = match sync {
        Sync::EachBatch => Disk::Synchronous,
        Sync::Shared | Sync::None => Disk::Asynchronous,
    };
    let mut driver = driver(dir.path(), disk)?;
    // Runs barriers one after the other, and says when each is done.
    let (to_sync, barriers) = mpsc::channel::<(IoId, FileBarrier)>();
    let (done, synced) = mpsc::channel();
    let syncer = thread::spawn(move || {
        for (id, barrier) in barriers {
            let outcome = if sync == Sync::None {
                Ok(())
            } else {
                barrier.sync()
            };
            if done.send((id, outcome)).is_err() {
                return;
            }
        }
    });

    let value = vec![0x5a_u8; record];
    let new = NewRecord {
        timestamp: 1_700_000_000_000,
        value: Some(&value),
        ..Default::default()
    };
    let records = vec![new; count];
    let start = Clock::now();
    let now = |start: Clock| Instant(u64::try_from(start.elapsed().as_millis()).unwrap_or(0));
    let begin = driver.node().log_end().offset;
    let size = driver.log().size();
    let mut last: Offset = begin;
    while start.elapsed() < time {
        let at = now(start);
        let epoch = driver.node().epoch();
        match driver.append(at, epoch, &records)? {
            Ok(offset) => last = offset,
            // The disk is behind: wait for it.
            Err(_) => {
                let (id, outcome) = synced.recv()?;
                driver.synced(now(start), id, outcome)?;
            }
        }
        if sync == Sync::EachBatch || driver.poll_timeout() <= at {
            driver.timeout(at)?;
        }
        effects(&mut driver, &to_sync)?;
        while let Ok((id, outcome)) = synced.try_recv() {
            driver.synced(now(start), id, outcome)?;
            effects(&mut driver, &to_sync)?;
        }
    }
    while driver.node().high_watermark() <= Some(last) {
        driver.timeout(now(start))?;
        effects(&mut driver, &to_sync)?;
        if sync != Sync::EachBatch {
            let (id, outcome) = synced.recv()?;
            driver.synced(now(start), id, outcome)?;
            effects(&mut driver, &to_sync)?;
        }
    }
    let elapsed = start.elapsed();
    let figures = Figures {
        records: u64::try_from(last + 1 - begin)?,
        bytes: driver.log().size() - size,
        elapsed,
    };
    drop(to_sync);
    syncer.join().map_err(|_| "the syncing thread failed")?;
    Ok(figures)
}

fn effects(driver: &mut FileDriver, to_sync: &mpsc::Sender<(IoId, FileBarrier)>) -> Result<()> {
    while let Some(effect) = driver.poll_effect() {
        if let Effect::Sync { id, barrier } = effect {
            to_sync
                .send((id, barrier))
                .map_err(|_| "the syncing thread is gone")?;
        }
    }
    Ok(())
}

/// Bytes a second that the disk takes in writes of this size.
fn disk_alone(write: usize, sync: Sync, time: Duration) -> Result<f64> {
    let dir = tempfile::tempdir_in(".")?;
    let mut file = File::create(dir.path().join("file"))?;
    let bytes = vec![0x5a_u8; write];
    let (mut written, mut unsynced) = (0_u64, 0_usize);
    let start = Clock::now();
    while start.elapsed() < time {
        file.write_all(&bytes)?;
        written += write as u64;
        unsynced += write;
        // A shared sync is compared with what the disk can do at most: few syncs, much each.
        let due = match sync {
            Sync::EachBatch => true,
            Sync::Shared => unsynced >= 8 << 20,
            Sync::None => false,
        };
        if due {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    if sync != Sync::None {
        file.sync_data()?;
    }
    Ok(written as f64 / start.elapsed().as_secs_f64() / 1e6)
}
