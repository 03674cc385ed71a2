//! What a machine can do at most of the work that a quorum of three has: `cargo xtask bench server`
//! holds servers against it.
//!
//! One thread makes the records that a server's workload makes, and a checksum of each chunk of
//! them, and writes them to a file; two others get them over loopback connections, check them and
//! write them to files of their own. Each file is synced by a thread of its own, and what comes
//! meanwhile shares the next sync. What two of the three files have durably is committed. There is
//! no protocol, no election and no index, and a failure ends it.
//!
//! Arguments: directory, bytes of a record, records a second (-1 for as many as go), seconds, bytes
//! after which it ends in any case. Prints, with tabs between: committed bytes of the log, seconds,
//! milliseconds within which half and 99 % were committed, CPU seconds.

use std::collections::VecDeque;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kwire_server::record::{self, Random, Serial};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// As much as a server's workload has uncommitted, makes in a turn, and a follower fetches.
const MAX_UNCOMMITTED_BYTES: u64 = 8 << 20;
const MAX_TURN_BYTES: usize = 64 << 10;
const MAX_FETCH_BYTES: usize = 1 << 20;

/// A file that grows, and how far it is durable.
struct Growing {
    file: File,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    written: u64,
    synced: u64,
    is_over: bool,
}

impl Growing {
    fn create(path: &Path) -> io::Result<Arc<Growing>> {
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(Growing {
            file,
            progress: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.progress));
        self.changed.notify_all();
    }

    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let at = lock(&self.progress).written;
        self.file.write_all_at(bytes, at)?;
        let end = at + bytes.len() as u64;
        self.change(|progress| progress.written = end);
        Ok(end)
    }

    /// Waits until there is more than `known`. `None` once there will not be.
    fn written_past(&self, known: u64) -> Option<u64> {
        let waiting = |progress: &mut Progress| progress.written <= known && !progress.is_over;
        let progress = self.changed.wait_while(lock(&self.progress), waiting);
        let progress = progress.unwrap_or_else(PoisonError::into_inner);
        (progress.written > known).then_some(progress.written)
    }

    /// Syncs what is written until there is nothing more, and tells of it.
    fn sync(&self, mut tell: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
        let mut synced = 0;
        while let Some(written) = self.written_past(synced) {
            self.file.sync_data()?;
            synced = written;
            self.change(|progress| progress.synced = synced);
            tell(synced)?;
        }
        Ok(())
    }
}

/// What the three files have, and what that commits.
struct Commits {
    state: Mutex<Uncommitted>,
    changed: Condvar,
}

struct Uncommitted {
    durable: [u64; 3],
    committed: u64,
    made: u64,
    /// The end of each turn, when it was made, and its records.
    waiting: VecDeque<(u64, Instant, u64)>,
    latency: Histogram<u64>,
}

impl Commits {
    fn durable(&self, copy: usize, end: u64) {
        let mut state = lock(&self.state);
        state.durable[copy] = end;
        let mut ends = state.durable;
        ends.sort_unstable();
        state.committed = ends[1];
        while let Some((end, made_at, records)) = state.waiting.front().copied()
            && end <= state.committed
        {
            let micros = u64::try_from(made_at.elapsed().as_micros()).unwrap_or(u64::MAX);
            // A histogram without a limit takes any value.
            let _ = state.latency.record_n(micros.max(1), records);
            state.waiting.pop_front();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn wait_for(&self, is_it: impl Fn(&Uncommitted) -> bool) {
        let guard = self.changed.wait_while(lock(&self.state), |s| !is_it(s));
        drop(guard.unwrap_or_else(PoisonError::into_inner));
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    let [_, dir, size, rate, seconds, most] = &args[..] else {
        // `cargo test` runs benchmarks too, without arguments.
        println!("usage: limit DIR RECORD_SIZE RATE SECONDS MAX_BYTES");
        return Ok(());
    };
    let rate: i64 = rate.parse()?;
    let load = Load {
        size: size.parse()?,
        rate: u64::try_from(rate).ok(),
        time: Duration::from_secs_f64(seconds.parse()?),
        most: most.parse()?,
    };
    run(Path::new(dir), &load)
}

struct Load {
    size: usize,
    rate: Option<u64>,
    time: Duration,
    most: u64,
}

fn run(dir: &Path, load: &Load) -> Result<()> {
    let commits = Arc::new(Commits {
        state: Mutex::new(Uncommitted {
            durable: [0; 3],
            committed: 0,
            made: 0,
            waiting: VecDeque::new(),
            latency: Histogram::new(3)?,
        }),
        changed: Condvar::new(),
    });
    let leader = Growing::create(&dir.join("0"))?;
    let mut threads = Vec::new();
    let (file, told) = (leader.clone(), commits.clone());
    threads.push(thread::spawn(move || {
        file.sync(|end| {
            told.durable(0, end);
            Ok(())
        })
    }));
    for copy in 1..3 {
        threads.extend(follow(dir, copy, &leader, &commits)?);
    }

    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    make(load, &leader, &commits)?;
    commits.wait_for(|state| state.committed >= state.made);
    let (elapsed, cpu) = (start.elapsed(), cpu_seconds()? - cpu);
    leader.change(|progress| progress.is_over = true);
    for thread in threads {
        thread.join().map_err(|_| "a thread failed")??;
    }
    let state = lock(&commits.state);
    let ms = |quantile| state.latency.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "{}\t{}\t{}\t{}\t{cpu}",
        state.committed,
        elapsed.as_secs_f64(),
        ms(0.5),
        ms(0.99)
    );
    Ok(())
}

/// Makes records until the time is over.
fn make(load: &Load, leader: &Growing, commits: &Commits) -> Result<()> {
    let mut random = Random::new(1);
    let mut chunk = Vec::new();
    let (start, mut number) = (Instant::now(), 0_u64);
    let most = (MAX_TURN_BYTES / load.size).max(1) as u64;
    while start.elapsed() < load.time && lock(&commits.state).made < load.most {
        let due = load.rate.map_or(u64::MAX, |rate| {
            let due = start.elapsed().as_micros() * u128::from(rate) / 1_000_000;
            u64::try_from(due).unwrap_or(u64::MAX) - number
        });
        if load.rate.is_some() {
            // Turns of a millisecond, as a server's workload has them.
            thread::sleep(Duration::from_millis(1));
        }
        if due == 0 {
            continue;
        }
        chunk.clear();
        chunk.extend_from_slice(&[0; 8]);
        let records = due.min(most);
        for number in number..number + records {
            let serial = Serial { epoch: 1, number };
            record::write(serial, load.size, &mut random, &mut chunk);
        }
        number += records;
        let crc = crc_fast::crc32_iscsi(&chunk[8..]);
        let len = u32::try_from(chunk.len() - 8)?;
        chunk[..4].copy_from_slice(&len.to_be_bytes());
        chunk[4..8].copy_from_slice(&crc.to_be_bytes());
        {
            let mut state = lock(&commits.state);
            state.made += chunk.len() as u64;
            let end = state.made;
            state.waiting.push_back((end, Instant::now(), records));
        }
        leader.append(&chunk)?;
        commits.wait_for(|state| state.made - state.committed < MAX_UNCOMMITTED_BYTES);
    }
    Ok(())
}

/// A copy: a thread each that sends to it, receives, syncs, and hears how far it is.
fn follow(
    dir: &Path,
    copy: usize,
    leader: &Arc<Growing>,
    commits: &Arc<Commits>,
) -> Result<Vec<JoinHandle<io::Result<()>>>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let to = TcpStream::connect(listener.local_addr()?)?;
    let (from, _) = listener.accept()?;
    to.set_nodelay(true)?;
    from.set_nodelay(true)?;
    let file = Growing::create(&dir.join(copy.to_string()))?;

    let (leader, acks, mut out) = (leader.clone(), to.try_clone()?, to);
    let sending = thread::spawn(move || send(&leader, &mut out));
    let (received, mut stream) = (file.clone(), from.try_clone()?);
    let receiving = thread::spawn(move || {
        let result = receive(&received, &mut stream);
        received.change(|progress| progress.is_over = true);
        result
    });
    let mut answers = from;
    let syncing = thread::spawn(move || {
        file.sync(|end| answers.write_all(&end.to_be_bytes()))?;
        answers.shutdown(std::net::Shutdown::Both)
    });
    let (commits, mut acks) = (commits.clone(), acks);
    let hearing = thread::spawn(move || {
        let mut end = [0; 8];
        while acks.read_exact(&mut end).is_ok() {
            commits.durable(copy, u64::from_be_bytes(end));
        }
        Ok(())
    });
    Ok(vec![sending, receiving, syncing, hearing])
}

/// Reads what the leader wrote, as much as there is, and sends it.
fn send(leader: &Growing, out: &mut TcpStream) -> io::Result<()> {
    let mut sent = 0;
    let mut buffer = vec![0; MAX_FETCH_BYTES];
    while let Some(written) = leader.written_past(sent) {
        let len = MAX_FETCH_BYTES.min(usize::try_from(written - sent).unwrap_or(MAX_FETCH_BYTES));
        leader.file.read_exact_at(&mut buffer[..len], sent)?;
        out.write_all(&buffer[..len])?;
        sent += len as u64;
    }
    out.shutdown(std::net::Shutdown::Write)
}

/// Checks whole chunks, and writes all that have come with one call.
fn receive(file: &Growing, stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 2 * MAX_FETCH_BYTES];
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..])?;
        if read == 0 {
            return Ok(());
        }
        have += read;
        let mut whole = 0;
        while let Some((head, rest)) = buffer[whole..have].split_first_chunk::<8>() {
            let [l0, l1, l2, l3, crc @ ..] = *head;
            let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            let Some(body) = rest.get(..len) else { break };
            if crc_fast::crc32_iscsi(body) != u32::from_be_bytes(crc) {
                return Err(io::Error::other("a chunk is damaged"));
            }
            whole += 8 + len;
        }
        if whole > 0 {
            file.append(&buffer[..whole])?;
            buffer.copy_within(whole..have, 0);
            have -= whole;
        }
    }
}

/// What this process used of the processors, in hundredths as Linux counts them for programs.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let ticks = rest.split_whitespace().skip(11).take(2);
    let ticks: std::result::Result<Vec<u64>, _> = ticks.map(str::parse).collect();
    Ok(ticks?.iter().sum::<u64>() as f64 / 100.0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
