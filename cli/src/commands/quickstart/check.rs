//! Whether anything that was acknowledged got lost.

use std::collections::BTreeMap;

use kwire_server::verify::{Found, compare, look_through};

use super::super::status::{LEADER, Status};
use super::nodes::Node;
use crate::failure::Failure;

/// What leaders said to be committed.
#[derive(Default)]
pub(super) struct Promises {
    /// Of each epoch, how many of its records.
    records: BTreeMap<i32, u64>,
    /// The offset before which everything is.
    offset: i64,
    /// Leaders whose log ends before that.
    broken: Vec<String>,
}

impl Promises {
    /// Notes what a node says.
    pub(super) fn note(&mut self, node: usize, status: &Status) {
        if status.role != LEADER {
            return;
        }
        let (end, epoch) = (status.log_end_offset, status.epoch);
        if end < self.offset {
            self.broken.push(format!(
                "node {node} leads epoch {epoch} with a log that ends at {end}, and {} was committed",
                self.offset
            ));
        }
        self.offset = self.offset.max(status.high_watermark.unwrap_or(0));
        if let Some(acknowledged) = status.acknowledged {
            let records = self.records.entry(acknowledged.epoch).or_default();
            *records = acknowledged.records.max(*records);
        }
    }

    /// Records that were acknowledged.
    pub(super) fn records(&self) -> u64 {
        self.records.values().sum()
    }

    /// Reads the logs of nodes that have stopped; what is wrong.
    pub(super) fn verify(&self, nodes: &[Node]) -> Result<Verdict, Failure> {
        let mut verdict = Verdict {
            offset: self.offset,
            faults: self.broken.clone(),
        };
        let logs: Result<Vec<Found>, Failure> = nodes
            .iter()
            .map(|node| {
                let path = node.partition();
                look_through(&path)
                    .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
            })
            .collect();
        let logs = logs?;
        for (node, log) in nodes.iter().zip(&logs) {
            let faults = log
                .faults
                .iter()
                .map(|fault| format!("node {}: {fault}", node.id));
            verdict.faults.extend(faults);
            if let Some(fault) = compare(log, &logs[0], self.offset) {
                verdict.faults.push(format!("node {}: {fault}", node.id));
            }
        }
        verdict.faults.extend(self.missing(&logs));
        Ok(verdict)
    }

    /// Epochs of which most logs lack acknowledged records.
    fn missing(&self, logs: &[Found]) -> Vec<String> {
        let mut missing = Vec::new();
        for (&epoch, &records) in &self.records {
            let has_all = |log: &&Found| {
                let next = log.next_numbers.get(&epoch.unsigned_abs());
                next.copied().unwrap_or(0) >= records
            };
            let holders = logs.iter().filter(has_all).count();
            if holders <= logs.len() / 2 {
                missing.push(format!(
                    "{records} records of epoch {epoch} were acknowledged, and only {holders} of {} logs have them",
                    logs.len()
                ));
            }
        }
        missing
    }
}

/// What was found in the logs.
pub(super) struct Verdict {
    /// The offset before which everything is to be in a majority of them.
    pub(super) offset: i64,
    /// What is wrong.
    pub(super) faults: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::super::super::status::Acknowledged;
    use super::*;

    fn leader(epoch: i32, end: i64, committed: i64, records: u64) -> Status {
        Status {
            role: LEADER.to_owned(),
            epoch,
            leader: Some(1),
            high_watermark: Some(committed),
            log_end_offset: end,
            acknowledged: Some(Acknowledged { epoch, records }),
        }
    }

    #[test]
    fn a_leader_without_what_was_committed_is_told() {
        let mut promises = Promises::default();
        promises.note(1, &leader(1, 120, 100, 99));
        promises.note(2, &leader(2, 100, 50, 0));
        assert!(promises.broken.is_empty());
        promises.note(2, &leader(3, 99, 50, 0));
        assert_eq!(promises.broken.len(), 1);
        assert_eq!(promises.records(), 99);
    }

    #[test]
    fn a_follower_promises_nothing() {
        let mut promises = Promises::default();
        let mut status = leader(1, 1, 1, 1);
        status.role = "follower".to_owned();
        promises.note(1, &status);
        assert_eq!((promises.records(), promises.offset), (0, 0));
    }

    /// Logs with fewer records than were acknowledged, in two nodes of three.
    #[test]
    fn records_that_a_majority_lacks_are_told() {
        let promises = Promises {
            records: [(1, 10)].into(),
            offset: 10,
            broken: Vec::new(),
        };
        let log = |records| {
            let mut found = Found::default();
            found.next_numbers.insert(1, records);
            found
        };
        assert_eq!(promises.missing(&[log(10), log(10), log(9)]), [""; 0]);
        let missing = promises.missing(&[log(10), log(9), log(9)]);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("only 1 of 3 logs"), "{}", missing[0]);
    }
}
