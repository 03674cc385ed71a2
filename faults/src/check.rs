//! What has to hold in the end, when all nodes have stopped: looked for in their files.

use std::fs;

use kwire_protocol::records::Batches;
use kwire_raft::types::{NodeId, Offset};
use kwire_server::verify::look_through;

use crate::clients::Ledger;
use crate::failure::Failure;
use crate::node::{Node, lock};
use crate::quorum::{Quorum, segments};
use crate::reader::Seen;

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
        Ok(Log {
            node: node.id,
            bytes,
            read,
        })
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
