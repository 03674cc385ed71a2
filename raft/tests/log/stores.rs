//! The store in memory and the one on a disk do the same.

use bytes::Bytes;
use kwire_protocol::records::Batches;
use kwire_raft::control::{Control, control_batch};
use kwire_raft::driver::{Installed, LogRange, LogStore, MemoryLog};
use kwire_raft::log::files::memory::MemoryFiles;
use kwire_raft::log::{FileLog, LogError, LogOptions};
use kwire_raft::types::{Offset, OffsetAndEpoch, Recovered};
use kwire_raft::voters::VoterSet;
use proptest::prelude::*;

use crate::common::{batch, open, small, snapshot, sync};

#[derive(Clone, Debug)]
enum Action {
    Append {
        batches: Vec<(i64, usize)>,
        bump: bool,
    },
    Control,
    Truncate(usize),
    Snapshot(usize),
    Install(u8),
    Delete(usize),
    Sync,
    Reopen,
    Read {
        from: usize,
        until: usize,
        max: usize,
    },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let append = (
        prop::collection::vec((1..4i64, 0..90usize), 1..5),
        any::<bool>(),
    )
        .prop_map(|(batches, bump)| Action::Append { batches, bump });
    let read = (any::<usize>(), any::<usize>(), 0..1500usize)
        .prop_map(|(from, until, max)| Action::Read { from, until, max });
    let action = prop_oneof![
        6 => append,
        1 => Just(Action::Control),
        2 => any::<usize>().prop_map(Action::Truncate),
        2 => any::<usize>().prop_map(Action::Snapshot),
        1 => (0..9u8).prop_map(Action::Install),
        1 => any::<usize>().prop_map(Action::Delete),
        2 => Just(Action::Sync),
        2 => Just(Action::Reopen),
        4 => read,
    ];
    prop::collection::vec(action, 1..40)
}

/// Both stores, and where batches begin.
struct Pair {
    options: LogOptions,
    files: MemoryFiles,
    disk: FileLog<MemoryFiles>,
    memory: MemoryLog,
    epoch: i32,
    bounds: Vec<(Offset, i32)>,
}

impl Pair {
    fn end(&self) -> Offset {
        self.disk.end()
    }

    fn append(&mut self, bytes: Bytes) {
        let base = self.end();
        self.disk.append(base, &bytes).unwrap();
        self.memory.append(base, &bytes).unwrap();
    }

    /// A boundary between batches, with the epoch of the batch before.
    fn pick(&self, index: usize) -> Option<OffsetAndEpoch> {
        let start = self.disk.start();
        let bounds: Vec<_> = self.bounds.iter().filter(|(at, _)| *at > start).collect();
        let &&(offset, epoch) = bounds.get(index % bounds.len().max(1))?;
        Some(OffsetAndEpoch::new(offset, epoch))
    }

    fn write(&mut self, id: OffsetAndEpoch) {
        let bytes = snapshot(id);
        self.disk.write_snapshot(id, 0, &bytes).unwrap();
        self.memory.write_snapshot(id, 0, &bytes).unwrap();
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::Append { batches, bump } => {
                self.epoch += i32::from(*bump);
                let mut bytes = Vec::new();
                let mut next = self.end();
                for &(records, len) in batches {
                    bytes.extend_from_slice(&batch(next, self.epoch, records, len));
                    next += records;
                    self.bounds.push((next, self.epoch));
                }
                self.append(bytes.into());
            }
            Action::Control => {
                let controls = [Control::Voters(VoterSet::EMPTY).into()];
                let bytes = control_batch(self.end(), self.epoch, 5, &controls);
                self.bounds.push((self.end() + 1, self.epoch));
                self.append(bytes);
            }
            Action::Truncate(index) => {
                if let Some(id) = self.pick(*index) {
                    let latest = self.disk.snapshots().next_back();
                    let to = id.offset.max(latest.map_or(0, |info| info.id.offset));
                    self.disk.truncate(to).unwrap();
                    self.memory.truncate(to).unwrap();
                    self.bounds.retain(|(at, _)| *at <= to);
                    // What follows may be of any epoch that was not there before the cut.
                    self.epoch = self.bounds.last().map_or(self.epoch, |(_, epoch)| *epoch);
                }
            }
            Action::Snapshot(index) => {
                sync(&mut self.disk);
                sync(&mut self.memory);
                if let Some(id) = self.pick(*index) {
                    self.write(id);
                    let size = self.disk.finish_snapshot(id).unwrap();
                    assert_eq!(self.memory.finish_snapshot(id).unwrap(), size);
                }
            }
            Action::Install(beyond) => {
                self.epoch += 1;
                // Beyond the end of the log, or before it.
                let offset = self.end() + i64::from(*beyond) - 4;
                let id = OffsetAndEpoch::new(offset.max(0), self.epoch);
                self.write(id);
                let installed = self.disk.install_snapshot(id).unwrap();
                assert!(matches!(&installed, Installed::Done { info, .. } if info.id == id));
                assert_eq!(self.memory.install_snapshot(id).unwrap(), installed);
                self.bounds.clear();
            }
            Action::Delete(index) => {
                let infos: Vec<_> = self.disk.snapshots().collect();
                if let Some(info) = infos.get(index % infos.len().max(1)) {
                    self.disk.delete_before(info.id).unwrap();
                    self.disk.chore().expect("files to remove").run().unwrap();
                    self.memory.delete_before(info.id).unwrap();
                }
            }
            Action::Sync => {
                sync(&mut self.disk);
                sync(&mut self.memory);
            }
            Action::Reopen => {
                self.files = self.files.crash(u64::MAX);
                self.disk = FileLog::open(self.files.clone(), self.options.clone()).unwrap();
                self.memory.crash(u64::MAX);
            }
            Action::Read { from, until, max } => self.read(*from, *until, *max),
        }
    }

    fn read(&self, from: usize, until: usize, max: usize) {
        let (start, end) = (self.disk.start(), self.end());
        let span = (end - start + 1) as usize;
        let from = start + (from % span) as Offset;
        let until = start + (until % span) as Offset;
        let disk = self.disk.read(from, until, max).unwrap();
        assert_eq!(
            disk,
            self.memory.read(from, until, max).unwrap(),
            "{from}..{until}, {max}"
        );
        let range = self.disk.range(from, until, max).unwrap();
        let bytes = range.read().unwrap();
        assert!(disk.starts_with(&bytes));
        assert_eq!(range.len(), bytes.len() as u64);
        assert_eq!(range.is_empty(), disk.is_empty());
        assert_eq!(range.parts().unwrap().concat(), bytes);
        if let Some(last) = Batches::new(&bytes).map(Result::unwrap).last() {
            assert_eq!(range.next_offset(), Some(last.last_offset() + 1));
        }
    }

    /// What both say, and would say if they were opened now.
    fn compare(&mut self) {
        for from in self.disk.start()..self.end() {
            let disk = self.disk.read(from, self.end(), 1).unwrap();
            let memory = self.memory.read(from, self.end(), 1).unwrap();
            assert_eq!(disk, memory, "{from}");
        }
        let disk = open(&self.files.fork().crash(u64::MAX))
            .recovered()
            .unwrap();
        let mut memory = self.memory.clone();
        memory.crash(u64::MAX);
        let memory: Recovered = memory.recovered().unwrap();
        assert_eq!(disk, memory);
        assert_eq!(
            (self.disk.start(), self.disk.end()),
            (memory.log_start, memory.log_end)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_stores_agree(
        actions in actions(),
        tail_bytes in prop_oneof![Just(0), Just(700), Just(5_000), Just(1 << 20)],
    ) {
        let files = MemoryFiles::new();
        let options = LogOptions { tail_bytes, ..small() };
        let mut pair = Pair {
            disk: FileLog::open(files.clone(), options.clone()).unwrap(),
            options,
            files,
            memory: MemoryLog::new(),
            epoch: 1,
            bounds: vec![],
        };
        for action in &actions {
            pair.apply(action);
            pair.compare();
        }
    }
}

#[test]
fn a_crash_in_memory_keeps_a_prefix() {
    let mut log = MemoryLog::new();
    for base in 0..5 {
        log.append(base, &batch(base, 1, 1, 10)).unwrap();
        if base == 1 {
            sync(&mut log);
        }
    }
    let never = log.barrier();
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut crashed = log.clone();
        crashed.crash(seed);
        ends.insert(crashed.end());
        assert_eq!(crashed.end(), crashed.durable_end());
    }
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [2, 3, 4, 5]);
    let mut copy = log.clone();
    kwire_raft::driver::Barrier::sync(never).unwrap();
    assert_eq!((log.durable_end(), copy.durable_end()), (5, 2));
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let files = MemoryFiles::new();
    let mut log = open(&files);
    log.append(0, &batch(0, 2, 3, 10)).unwrap();
    let good = batch(3, 2, 1, 10);
    let mut two = good.to_vec();
    two.extend_from_slice(&good);
    for (base, bytes) in [
        (4, batch(4, 2, 1, 10)),
        (3, batch(4, 2, 1, 10)),
        (3, batch(3, 1, 1, 10)),
        (3, good.slice(..good.len() - 1)),
        (3, two.into()),
    ] {
        let error = log.append(base, &bytes).unwrap_err();
        assert!(matches!(error, LogError::Append { end: 3, .. }), "{error}");
    }
    assert!(matches!(
        log.truncate(1),
        Err(LogError::NoBoundary { offset: 1 })
    ));
    assert!(matches!(log.read(4, 9, 9), Err(LogError::Outside { .. })));
    log.append(3, &good).unwrap();
    assert_eq!(log.end(), 4);
}

#[test]
fn after_a_failure_nothing_is_written_any_more() {
    let files = MemoryFiles::new();
    let mut log = open(&files);
    log.append(0, &batch(0, 1, 1, 10)).unwrap();
    let (first, second) = (log.barrier(), log.barrier());
    files.stop_at(files.operations() + 1);
    let first = kwire_raft::driver::Barrier::sync(first).unwrap_err();
    assert!(matches!(first, LogError::Io { action: "sync", .. }));
    let failed = kwire_raft::driver::Barrier::sync(second).unwrap_err();
    assert!(matches!(failed, LogError::Failed { .. }));
    // Any of them may be the one that says why the node stops.
    let text = failed.to_string();
    assert!(text.ends_with(&first.to_string()), "{text}");
    let failed = log.append(1, &batch(1, 1, 1, 10)).unwrap_err();
    assert_eq!(failed.to_string(), text);
}

#[test]
fn one_sync_serves_all_barriers_before_it() {
    let files = MemoryFiles::new();
    let mut log = open(&files);
    let mut barriers = Vec::new();
    for base in 0..4 {
        log.append(base, &batch(base, 1, 1, 10)).unwrap();
        barriers.push(log.barrier());
    }
    let before = files.operations();
    for barrier in barriers {
        kwire_raft::driver::Barrier::sync(barrier).unwrap();
    }
    // The log, and the recovery point.
    assert_eq!(files.operations() - before, 2);
}
