//! Stops the file system at every single operation of a script, and looks at what is left.

use bytes::Bytes;
use kwire_raft::driver::{Installed, LogStore};
use kwire_raft::log::files::memory::MemoryFiles;
use kwire_raft::log::{FileLog, LogError};
use kwire_raft::types::{Epoch, Offset, OffsetAndEpoch};

use crate::common::{batch, contents, open, small, snapshot, sync};

type Log = FileLog<MemoryFiles>;

#[derive(Clone, Debug)]
enum Step {
    /// So many batches of an epoch, in one call.
    Append(usize, Epoch),
    Sync,
    Truncate(Offset),
    Snapshot(OffsetAndEpoch),
    /// One that is made whole beside the log, and then taken in.
    Beside(OffsetAndEpoch),
    Install(OffsetAndEpoch),
    /// A damaged snapshot, which is refused.
    Refuse(OffsetAndEpoch),
    Abandon(OffsetAndEpoch),
    DeleteBefore(OffsetAndEpoch),
    /// The same, and so many batches of an epoch before the files go.
    DeleteAround(OffsetAndEpoch, usize, Epoch),
    Reopen,
    Close,
}

/// What a log ought to hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    start: Offset,
    batches: Vec<(Offset, Bytes)>,
    end: Offset,
    /// How far it is certain to go.
    durable: Offset,
    snapshots: Vec<OffsetAndEpoch>,
}

/// Batches have two records each.
const RECORDS: i64 = 2;

impl Model {
    fn append(&mut self, count: usize, epoch: Epoch) -> (Offset, Bytes) {
        let base = self.end;
        let mut bytes = Vec::new();
        for _ in 0..count {
            let batch = batch(self.end, epoch, RECORDS, 30);
            bytes.extend_from_slice(&batch);
            self.batches.push((self.end, batch));
            self.end += RECORDS;
        }
        (base, bytes.into())
    }

    /// What it is after a step. Nothing is more durable than it has to be.
    fn after(&self, step: &Step) -> Model {
        let mut model = self.clone();
        match step {
            Step::Append(count, epoch) => {
                model.append(*count, *epoch);
            }
            Step::Sync | Step::Reopen | Step::Close => model.durable = model.end,
            Step::Truncate(to) => {
                let to = (*to).max(model.start);
                model.batches.retain(|(base, _)| *base < to);
                model.end = to.min(model.end);
                model.durable = model.end;
            }
            Step::Snapshot(id) | Step::Beside(id) => {
                model.snapshots.push(*id);
                model.snapshots.sort();
                model.snapshots.dedup();
            }
            Step::Install(id) => {
                model = Model {
                    start: id.offset,
                    end: id.offset,
                    durable: id.offset,
                    snapshots: vec![*id],
                    batches: Vec::new(),
                }
            }
            Step::DeleteBefore(id) => {
                model.snapshots.retain(|other| other >= id);
                model.start = model.start.max(id.offset);
                model.batches.retain(|(base, _)| *base >= id.offset);
            }
            Step::DeleteAround(id, count, epoch) => {
                model = model.after(&Step::DeleteBefore(*id));
                model.append(*count, *epoch);
                model.durable = model.end;
            }
            Step::Refuse(_) | Step::Abandon(_) => {}
        }
        model
    }

    /// Whether a log is what a crash may leave of this.
    fn allows(&self, log: &mut Log) -> Result<(), String> {
        let found = log.recovered().unwrap();
        let ids: Vec<_> = found.snapshots.iter().map(|info| info.id).collect();
        if found.log_start != self.start || ids != self.snapshots {
            return Err(format!("starts at {} with {ids:?}", found.log_start));
        }
        if !(self.durable..=self.end).contains(&found.log_end) {
            return Err(format!("ends at {}", found.log_end));
        }
        let left = self
            .batches
            .iter()
            .filter(|(base, _)| *base < found.log_end);
        let expected: Vec<u8> = left.flat_map(|(_, bytes)| bytes.to_vec()).collect();
        if contents(log, found.log_start, found.log_end) != expected {
            return Err("has other batches".to_owned());
        }
        Ok(())
    }
}

fn part(log: &mut Log, id: OffsetAndEpoch, bytes: &[u8]) -> Result<(), LogError> {
    let (first, second) = bytes.split_at(100);
    log.write_snapshot(id, 0, first)?;
    log.write_snapshot(id, 100, second)
}

fn chores(log: &mut Log) -> Result<(), LogError> {
    while let Some(chore) = log.chore() {
        chore.run()?;
    }
    Ok(())
}

fn perform(files: &MemoryFiles, mut log: Log, model: &Model, step: &Step) -> Result<Log, LogError> {
    match step {
        Step::Append(count, epoch) => {
            let (base, bytes) = model.clone().append(*count, *epoch);
            log.append(base, &bytes)?;
        }
        Step::Sync => kwire_raft::driver::Barrier::sync(log.barrier())?,
        Step::Truncate(to) => log.truncate(*to)?,
        Step::Snapshot(id) => {
            part(&mut log, *id, &snapshot(*id))?;
            log.finish_snapshot(*id)?;
        }
        Step::Beside(id) => {
            log.beside().write_snapshot(*id, &snapshot(*id))?;
            log.finish_snapshot(*id)?;
        }
        Step::Install(id) => {
            part(&mut log, *id, &snapshot(*id))?;
            let installed = log.install_snapshot(*id)?;
            assert!(matches!(installed, Installed::Done { .. }));
        }
        Step::Refuse(id) => {
            let mut bytes = snapshot(*id);
            bytes[150] ^= 1;
            part(&mut log, *id, &bytes)?;
            let installed = log.install_snapshot(*id)?;
            assert!(matches!(installed, Installed::Refused { .. }));
        }
        Step::Abandon(id) => {
            part(&mut log, *id, &snapshot(*id))?;
            log.drop_unfinished_snapshots()?;
        }
        Step::DeleteBefore(id) => {
            log.delete_before(*id)?;
            chores(&mut log)?;
        }
        Step::DeleteAround(id, count, epoch) => {
            log.delete_before(*id)?;
            let (base, bytes) = model.clone().append(*count, *epoch);
            log.append(base, &bytes)?;
            kwire_raft::driver::Barrier::sync(log.barrier())?;
            chores(&mut log)?;
        }
        Step::Reopen => {
            drop(log);
            log = FileLog::open(files.clone(), small())?;
        }
        Step::Close => {
            log.close()?;
            log = FileLog::open(files.clone(), small())?;
        }
    }
    Ok(log)
}

/// Runs the steps until one fails. Gives the models that what is left may be of.
fn run(files: &MemoryFiles, steps: &[Step]) -> (Vec<Model>, bool) {
    let mut model = Model::default();
    let Ok(mut log) = FileLog::open(files.clone(), small()) else {
        return (vec![model], false);
    };
    for step in steps {
        let after = model.after(step);
        match perform(files, log, &model, step) {
            Ok(next) => log = next,
            Err(error) => {
                assert!(files.has_stopped(), "{step:?}: {error}");
                let mut before = model.clone();
                let mut later = after;
                // A sync that failed promises nothing, a cut may have been made or not.
                before.durable = before.durable.min(later.end);
                later.durable = later.durable.min(before.durable.max(later.start));
                if let Step::Install(_) = step {
                    later.durable = later.end;
                }
                let mut models = vec![before, later];
                if let Step::DeleteAround(_, count, epoch) = step {
                    // What was appended may be there before the start has moved.
                    models.push(Model {
                        durable: model.durable,
                        ..model.after(&Step::Append(*count, *epoch))
                    });
                }
                return (models, false);
            }
        }
        model = after;
    }
    (vec![model], true)
}

/// Opens what a crash left, holds it against the models, and goes on with it.
fn check(left: &MemoryFiles, models: &[Model], context: &str) {
    let mut log = match FileLog::open(left.clone(), small()) {
        Ok(log) => log,
        Err(error) => panic!("{context}: {error}"),
    };
    let refusals: Vec<_> = models
        .iter()
        .map(|model| model.allows(&mut log))
        .filter_map(Result::err)
        .collect();
    let report = log.recovery().to_string();
    assert!(
        refusals.len() < models.len(),
        "{context}: {refusals:?}\n{models:#?}\n{report}"
    );
    let (start, end) = (log.start(), log.end());
    let before = contents(&log, start, end);
    log.append(end, &batch(end, 1000, RECORDS, 30)).unwrap();
    sync(&mut log);
    let after = contents(&log, start, end + RECORDS);
    assert_eq!(after[..before.len()], before, "{context}");
    let log = open(&left.crash(0));
    assert_eq!(log.recovery().dropped, None, "{context}");
    assert_eq!(contents(&log, start, end + RECORDS), after, "{context}");
}

fn everywhere(steps: &[Step], seeds: u64) {
    let mut stop = 1;
    loop {
        let mut done = false;
        for seed in (0..seeds).chain([u64::MAX]) {
            let files = MemoryFiles::new();
            files.stop_at(stop);
            let (models, all) = run(&files, steps);
            done = all;
            let left = files.crash(seed);
            check(&left.fork(), &models, &format!("stop {stop}, seed {seed}"));
            // Crashes do not wait for the mending to be over.
            for again in 1.. {
                let left = left.fork();
                left.stop_at(again);
                if FileLog::open(left.clone(), small()).is_ok() {
                    break;
                }
                let context = format!("stop {stop}, seed {seed}, again {again}");
                check(&left.crash(seed ^ again), &models, &context);
            }
        }
        if done {
            return;
        }
        stop += 1;
    }
}

fn id(offset: Offset, epoch: Epoch) -> OffsetAndEpoch {
    OffsetAndEpoch::new(offset, epoch)
}

#[test]
fn appending_and_rolling() {
    use Step::*;
    let steps = [
        Append(1, 1),
        Append(2, 1),
        Sync,
        Append(1, 1),
        Append(6, 2),
        Append(1, 3),
        Sync,
        Append(1, 3),
        Reopen,
        Append(2, 5),
        Close,
        Append(2, 5),
    ];
    everywhere(&steps, 6);
}

#[test]
fn cutting() {
    use Step::*;
    let steps = [
        Append(4, 1),
        Append(6, 2),
        Sync,
        Append(1, 2),
        Truncate(18),
        Append(2, 3),
        Truncate(20),
        Sync,
        Append(3, 3),
        // Over two segments.
        Truncate(8),
        Append(1, 4),
        Sync,
        Truncate(0),
        Append(1, 5),
    ];
    everywhere(&steps, 6);
}

#[test]
fn cutting_within_a_segment() {
    use Step::*;
    let mut steps = Vec::new();
    // Segments have two batches: the cuts fall on either of them, some beyond what is durable, some
    // below.
    for round in 0..4 {
        let cut = Truncate(2 * i64::from(round) + 2);
        steps.extend([
            Append(1, 1 + round),
            Append(1, 1 + round),
            cut.clone(),
            Append(1, 1 + round),
            Sync,
            cut,
        ]);
    }
    everywhere(&steps, 6);
}

#[test]
fn snapshots() {
    use Step::*;
    let steps = [
        Append(6, 1),
        Sync,
        Snapshot(id(4, 1)),
        Append(6, 2),
        Abandon(id(12, 1)),
        Sync,
        Snapshot(id(10, 1)),
        Snapshot(id(20, 2)),
        DeleteBefore(id(10, 1)),
        Append(2, 2),
        Reopen,
        DeleteBefore(id(20, 2)),
        Truncate(20),
        Append(1, 3),
        Sync,
    ];
    everywhere(&steps, 6);
}

#[test]
fn snapshots_beside_the_log_and_files_that_go_later() {
    use Step::*;
    let steps = [
        Append(6, 1),
        Sync,
        Beside(id(4, 1)),
        Append(6, 2),
        Sync,
        Beside(id(14, 2)),
        DeleteAround(id(4, 1), 1, 2),
        Beside(id(26, 2)),
        DeleteAround(id(26, 2), 3, 4),
        Reopen,
        Append(1, 4),
        Sync,
    ];
    everywhere(&steps, 6);
}

#[test]
fn a_log_that_is_cut_or_replaced_before_its_files_go_stays_so() {
    use Step::*;
    for last in [Truncate(26), Install(id(40, 3))] {
        let files = MemoryFiles::new();
        let steps = [Append(13, 1), Sync, Snapshot(id(8, 1)), Snapshot(id(20, 1))];
        let (models, _) = run(&files, &steps);
        let mut log = open(&files);
        log.delete_before(id(20, 1)).unwrap();
        let appended = batch(log.end(), 2, RECORDS, 30);
        log.append(log.end(), &appended).unwrap();
        let model = &models[0];
        let model = model.after(&DeleteBefore(id(20, 1))).after(&Append(1, 2));
        let mut log = perform(&files, log, &model, &last).unwrap();
        chores(&mut log).unwrap();
        for seed in 0..20 {
            check(
                &files.crash(seed),
                &[model.after(&last)],
                &format!("{last:?}, seed {seed}"),
            );
        }
    }
}

#[test]
fn installing() {
    use Step::*;
    let steps = [
        Append(9, 1),
        Sync,
        Refuse(id(30, 2)),
        Append(1, 1),
        Install(id(40, 2)),
        Append(5, 3),
        Sync,
        // As long as the log, but of another history.
        Append(5, 4),
        Install(id(44, 3)),
        Append(1, 6),
        Snapshot(id(44, 3)),
        Install(id(46, 7)),
        Reopen,
        Append(1, 7),
    ];
    everywhere(&steps, 6);
}

#[test]
fn a_snapshot_beyond_what_was_durable_takes_the_place_of_the_log() {
    let files = MemoryFiles::new();
    let mut log = open(&files);
    log.append(0, &batch(0, 1, 10, 10)).unwrap();
    part(&mut log, id(10, 1), &snapshot(id(10, 1))).unwrap();
    log.finish_snapshot(id(10, 1)).unwrap();
    let mut log = open(&files.crash(0));
    assert_eq!(log.recovery().restarted_at, Some(id(10, 1)));
    let found = log.recovered().unwrap();
    assert_eq!((found.log_start, found.log_end), (10, 10));
    assert_eq!(found.controls.len(), 2);
    assert!(found.controls.iter().all(|(offset, _)| *offset == 9));
}
