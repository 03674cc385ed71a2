//! What has to hold in the end, when all nodes have stopped: looked for in their files.

use std::fs;

use kwire_protocol::records::Batches;
use kwire_raft::types::{Epoch, NodeId, Offset};
use kwire_server::verify::look_through;

use crate::clients::Ledger;
use crate::failure::Failure;
use crate::node::{Node, lock};
use crate::quorum::{Quorum, segments};
use crate::reader::{Read, Seen};

/// A node's log: all its bytes, and what they say.
struct Log {
    node: usize,
    bytes: Vec<u8>,
    read: Seen,
}

/// Holds the logs against each other, and against what clients, consumer and nodes knew. `finished`
/// says that every batch that was sent was answered.
pub(crate) fn check(
    quorum: &Quorum,
    ledger: &Ledger,
    seen: &Seen,
    finished: bool,
) -> Result<(), Failure> {
    let mut wrong = [ledger.broken.clone(), seen.broken.clone()].concat();
    let mut found = Vec::new();
    for node in &quorum.nodes {
        let id = NodeId::try_from(node.id).unwrap_or(NodeId::MAX);
        let path = node.partition();
        found.push((id, look_through(&path).map_err(Failure::file(&path))?));
    }
    let promises = lock(&quorum.promises).clone();
    wrong.extend(promises.hold_against(&found));

    let logs: Result<Vec<Log>, Failure> = quorum.nodes.iter().map(Log::read).collect();
    let logs = logs?;
    for log in &logs {
        let broken = log.read.broken.iter();
        wrong.extend(broken.map(|what| format!("the log of node {}: {what}", log.node)));
    }
    let newest = logs
        .iter()
        .max_by_key(|log| (log.read.epoch(), log.read.next()));
    if let Some(newest) = newest {
        let acknowledged = ledger.acknowledged.iter();
        let ends = acknowledged.map(|batch| batch.base.saturating_add_unsigned(batch.count));
        let committed = ends
            .max()
            .unwrap_or(0)
            .max(seen.next())
            .max(promises.committed());
        wrong.extend(agree(&logs, newest, committed));
        wrong.extend(newest.holds(ledger, seen, finished));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::Broken(wrong)),
    }
}

/// Whether the logs have the same bytes as far as they are committed, and enough of them all of
/// those.
fn agree(logs: &[Log], newest: &Log, committed: Offset) -> Vec<String> {
    let mut wrong = Vec::new();
    let until = newest.bytes_before(committed);
    let mut holders = 0;
    for log in logs {
        let common = until.min(log.bytes.len());
        let pairs = log.bytes.iter().zip(&newest.bytes).take(common);
        if let Some(at) = pairs.into_iter().position(|(a, b)| a != b) {
            // What a leader wrote that was followed by another: it was never committed, and is cut
            // off once its node follows.
            let epoch = log.epoch_at(at);
            if epoch.is_some() && epoch < newest.epoch_at(at) {
                continue;
            }
            wrong.push(format!(
                "the logs of nodes {} and {} differ at byte {at} of {until} that are committed",
                log.node, newest.node
            ));
        } else if log.read.next() >= committed {
            holders += 1;
        }
    }
    if holders <= logs.len() / 2 {
        wrong.push(format!(
            "everything before offset {committed} is committed, and {holders} of {} logs have it",
            logs.len()
        ));
    }
    wrong
}

impl Log {
    fn read(node: &Node) -> Result<Log, Failure> {
        let mut bytes = Vec::new();
        for segment in segments(&node.partition()) {
            bytes.extend(fs::read(&segment).map_err(Failure::file(&segment))?);
        }
        Ok(Log::of(node.id, bytes))
    }

    fn of(node: usize, bytes: Vec<u8>) -> Log {
        let mut read = Seen::default();
        for batch in Batches::validated(&bytes) {
            let taken = match batch {
                Ok(batch) => read.take(&batch),
                Err(error) => Err(error.to_string()),
            };
            if let Err(what) = taken {
                read.broken.push(what);
                break;
            }
        }
        Log { node, bytes, read }
    }

    /// The epoch of the batch that a byte is part of.
    fn epoch_at(&self, byte: usize) -> Option<Epoch> {
        let ends_before = |read: &Read| usize::try_from(read.bytes).is_ok_and(|end| end <= byte);
        let batch = self.read.batches.partition_point(ends_before);
        Some(self.read.batches.get(batch)?.epoch)
    }

    fn bytes_before(&self, offset: Offset) -> usize {
        let before = self
            .read
            .batches
            .iter()
            .rev()
            .find(|read| read.end <= offset);
        before.map_or(0, |read| usize::try_from(read.bytes).unwrap_or(usize::MAX))
    }

    /// Whether it has what the consumer read, and what was acknowledged, where it was said to be.
    fn holds(&self, ledger: &Ledger, seen: &Seen, finished: bool) -> Vec<String> {
        let mut wrong = self.read.misplaced(&ledger.acknowledged);
        let pairs = seen.batches.iter().zip(&self.read.batches);
        let differs = pairs.clone().find(|(seen, is)| seen != is);
        if let Some((read, _)) = differs {
            let base = read.base;
            wrong.push(format!("offset {base} is not what the consumer read there"));
        } else if pairs.len() < seen.batches.len() {
            let (end, next) = (self.read.next(), seen.next());
            wrong.push(format!(
                "the newest log ends at {end}, the consumer read up to {next}"
            ));
        }
        let acknowledged = ledger.acknowledged.iter().map(|batch| batch.count);
        let (acknowledged, has) = (acknowledged.sum::<u64>(), self.read.records.len() as u64);
        if finished && has != acknowledged {
            wrong.push(format!(
                "{acknowledged} records were acknowledged, and the log has {has}"
            ));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use kwire_protocol::records::{BatchBuilder, BatchOptions, NewRecord};

    use super::*;
    use crate::clients::{Acknowledged, Made};

    /// A log of batches of one record each, by epoch and the client's number.
    fn log(node: usize, batches: &[(i32, u64)]) -> Log {
        let mut bytes = Vec::new();
        for (base_offset, (epoch, number)) in (0..).zip(batches) {
            let options = BatchOptions {
                base_offset,
                partition_leader_epoch: *epoch,
                producer_id: 7,
                producer_epoch: 0,
                base_sequence: i32::try_from(*number).expect("small"),
                ..BatchOptions::default()
            };
            let mut builder = BatchBuilder::new(options).expect("plain");
            let made = Made {
                client: 0,
                number: *number,
            };
            let value = made.value();
            let record = NewRecord {
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            let _ = builder.try_append(&record).expect("small");
            bytes.extend(builder.finish().expect("it has a record"));
        }
        Log::of(node, bytes)
    }

    fn acknowledged(count: u64) -> Ledger {
        let batch = |number| Acknowledged {
            client: 0,
            first: number,
            count: 1,
            base: i64::try_from(number).expect("small"),
        };
        Ledger {
            acknowledged: (0..count).map(batch).collect(),
            broken: Vec::new(),
        }
    }

    #[test]
    fn logs_agree_as_far_as_they_are_committed() {
        let whole = log(1, &[(1, 0), (1, 1), (2, 2)]);
        let behind = log(2, &[(1, 0)]);
        let elsewhere = log(3, &[(1, 0), (1, 1), (1, 2)]);
        assert_eq!(
            agree(&[log(1, &[(1, 0), (1, 1)]), behind, elsewhere], &whole, 2),
            [""; 0]
        );
        let elsewhere = log(3, &[(1, 0), (1, 1), (2, 3)]);
        let wrong = agree(&[log(1, &[(1, 0)]), log(2, &[]), elsewhere], &whole, 3);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong[0].contains("nodes 3 and 1 differ at byte"),
            "{}",
            wrong[0]
        );
        assert!(wrong[1].contains("0 of 3 logs have it"), "{}", wrong[1]);
    }

    /// As of a leader that wrote on when it was cut off already, and was killed then.
    #[test]
    fn what_was_never_committed_may_differ() {
        let whole = || log(1, &[(1, 0), (1, 1), (2, 2)]);
        let tail = || log(2, &[(1, 0), (1, 1), (1, 2)]);
        assert_eq!(agree(&[whole(), tail(), whole()], &whole(), 3), [""; 0]);
        let wrong = agree(&[whole(), tail(), tail()], &whole(), 3);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].contains("1 of 3 logs have it"), "{}", wrong[0]);
    }

    #[test]
    fn what_was_acknowledged_is_there_and_nothing_else() {
        let newest = log(1, &[(1, 0), (1, 1), (2, 2)]);
        let seen = log(1, &[(1, 0), (1, 1)]).read;
        assert_eq!(newest.holds(&acknowledged(3), &seen, true), [""; 0]);
        assert_eq!(newest.holds(&acknowledged(2), &seen, false), [""; 0]);
        let wrong = newest.holds(&acknowledged(2), &seen, true);
        assert_eq!(wrong, ["2 records were acknowledged, and the log has 3"]);
        let seen = log(1, &[(1, 0), (3, 1)]).read;
        let wrong = newest.holds(&acknowledged(3), &seen, true);
        assert_eq!(wrong, ["offset 1 is not what the consumer read there"]);
        let seen = log(1, &[(1, 0), (1, 1), (2, 2), (2, 3)]).read;
        let wrong = newest.holds(&acknowledged(3), &seen, true);
        assert_eq!(
            wrong,
            ["the newest log ends at 3, the consumer read up to 4"]
        );
    }

    #[test]
    fn a_log_with_a_batch_twice_or_without_one_is_broken() {
        let twice = log(1, &[(1, 0), (1, 1), (1, 1)]).read.broken;
        let expected = ["offset 2: sequence number 1 of producer 7 where 2 was to follow"];
        assert_eq!(twice, expected);
        let without = log(1, &[(1, 0), (1, 2)]).read.broken;
        let expected = ["offset 1: sequence number 2 of producer 7 where 1 was to follow"];
        assert_eq!(without, expected);
    }
}
