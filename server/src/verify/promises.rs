//! What nodes said to be committed while they ran, to hold their logs against.

use std::collections::BTreeMap;

use kwire_raft::types::{Epoch, NodeId, Offset};

use super::{Fault, Found, compare};
use crate::workload::Acknowledged;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: NodeId,
    /// The epoch that it is in.
    pub epoch: Epoch,
    /// Whether it leads that.
    pub leads: bool,
    /// Before which offset it knows the log to be committed.
    pub high_watermark: Option<Offset>,
    /// Where its log ends.
    pub log_end: Offset,
    /// What its workload knows to be committed.
    pub acknowledged: Option<Acknowledged>,
}

/// What leaders said to be committed.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// Of each epoch, how many of its records.
    records: BTreeMap<Epoch, u64>,
    /// The largest high watermark that anybody in each epoch knew.
    committed: BTreeMap<Epoch, Offset>,
    /// Leaders whose log ends before what was committed in an earlier epoch.
    broken: Vec<String>,
}

impl Promises {
    /// Notes what a node says. The claims of one node are noted in their order; a leader of an
    /// earlier epoch may not know yet that there is another.
    pub fn note(&mut self, claim: &Claim) {
        let &Claim {
            node,
            epoch,
            log_end,
            ..
        } = claim;
        let before = self.committed.range(..epoch);
        let before = before.map(|(_, offset)| *offset).max().unwrap_or(0);
        if claim.leads && log_end < before {
            self.broken.push(format!(
                "node {node} leads epoch {epoch} with a log that ends at {log_end}, and {before} \
                 was committed"
            ));
        }
        let committed = self.committed.entry(epoch).or_default();
        *committed = claim.high_watermark.unwrap_or(0).max(*committed);
        if let Some(acknowledged) = claim.acknowledged.filter(|_| claim.leads) {
            let records = self.records.entry(acknowledged.epoch).or_default();
            *records = acknowledged.records.max(*records);
        }
    }

    /// Records of the nodes' own workload that were acknowledged.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.values().sum()
    }

    /// The offset before which everything is committed.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.committed.values().copied().max().unwrap_or(0)
    }

    /// What was wrong while the nodes ran.
    #[must_use]
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Holds the logs of all nodes, once they have stopped, against what was promised. Returns what
    /// is wrong.
    #[must_use]
    pub fn hold_against(&self, logs: &[(NodeId, Found)]) -> Vec<String> {
        let mut wrong = self.broken.clone();
        let newest = logs.iter().map(|(_, log)| log).max_by_key(|log| log.last());
        let mut reach = 0;
        for (node, log) in logs {
            let faults = log.faults.iter();
            wrong.extend(faults.map(|fault| format!("node {node}: {fault}")));
            match newest.and_then(|newest| differs(log, newest, self.committed())) {
                Some(Differs::Uncommitted) => {}
                Some(Differs::Wrong(fault)) => wrong.push(format!("node {node}: {fault}")),
                None => reach += usize::from(log.end >= self.committed()),
            }
        }
        wrong.extend(self.missing(logs, reach));
        wrong
    }

    /// What most logs lack, of which so many have all that is committed.
    fn missing(&self, logs: &[(NodeId, Found)], reach: usize) -> Vec<String> {
        let mut missing = Vec::new();
        let is_minority = |holders: usize| holders <= logs.len() / 2;
        for (&epoch, &records) in &self.records {
            let has_all = |(_, log): &&(NodeId, Found)| {
                let next = log.next_numbers.get(&epoch.unsigned_abs());
                next.copied().unwrap_or(0) >= records
            };
            let holders = logs.iter().filter(has_all).count();
            if is_minority(holders) {
                missing.push(format!(
                    "{records} records of epoch {epoch} were acknowledged, and only {holders} of \
                     {} logs have them",
                    logs.len()
                ));
            }
        }
        if is_minority(reach) {
            missing.push(format!(
                "offset {} was committed, and only {reach} of {} logs reach it",
                self.committed(),
                logs.len()
            ));
        }
        missing
    }
}

/// How a log is not what the newest is.
enum Differs {
    /// It ends with what a leader wrote that was followed by another: nobody else has that, and it is
    /// cut off once its node follows.
    Uncommitted,
    Wrong(Fault),
}

fn differs(log: &Found, newest: &Found, committed: Offset) -> Option<Differs> {
    let fault = compare(log, newest, committed)?;
    let Fault::Differs { offset, .. } = fault else {
        return Some(Differs::Wrong(fault));
    };
    let is_older = log.epoch_at(offset) < newest.epoch_at(offset);
    Some(match is_older {
        true => Differs::Uncommitted,
        false => Differs::Wrong(fault),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(node: NodeId, epoch: Epoch, end: Offset, committed: Offset, records: u64) -> Claim {
        Claim {
            node,
            epoch,
            leads: true,
            high_watermark: Some(committed),
            log_end: end,
            acknowledged: Some(Acknowledged { epoch, records }),
        }
    }

    #[test]
    fn a_leader_without_what_was_committed_is_told() {
        let mut promises = Promises::default();
        promises.note(&leader(1, 1, 120, 100, 99));
        promises.note(&leader(2, 2, 100, 50, 0));
        assert_eq!(promises.broken(), [""; 0]);
        promises.note(&leader(2, 3, 99, 50, 0));
        assert_eq!(promises.broken().len(), 1);
        assert_eq!((promises.records(), promises.committed()), (99, 100));
    }

    /// As one that was cut off, or could not run.
    #[test]
    fn a_leader_that_does_not_know_of_the_next_has_less() {
        let mut promises = Promises::default();
        promises.note(&leader(1, 1, 120, 100, 99));
        promises.note(&leader(2, 2, 300, 200, 100));
        promises.note(&leader(1, 1, 130, 100, 99));
        assert_eq!(promises.broken(), [""; 0]);
    }

    #[test]
    fn a_follower_knows_what_is_committed_and_acknowledges_nothing() {
        let mut promises = Promises::default();
        let mut claim = leader(1, 1, 1, 1, 1);
        claim.leads = false;
        promises.note(&claim);
        assert_eq!((promises.records(), promises.committed()), (0, 1));
    }

    /// As a leader's that wrote on when it was cut off already, and was killed then.
    #[test]
    fn what_was_never_committed_may_differ() {
        let mut promises = Promises::default();
        promises.note(&leader(1, 2, 20, 20, 0));
        let log = |node, batches: &[(Offset, u32, Epoch)]| {
            let found = Found {
                end: 10 * Offset::try_from(batches.len()).expect("few"),
                batches: batches.to_vec(),
                ..Found::default()
            };
            (node, found)
        };
        let [first, second] = [(0, 1, 1), (10, 2, 2)];
        let (whole, tail) = ([first, second], [first, (10, 3, 1)]);
        let told = promises.hold_against(&[log(1, &tail), log(2, &whole), log(3, &whole)]);
        assert_eq!(told, [""; 0]);
        let told = promises.hold_against(&[log(1, &tail), log(2, &tail), log(3, &whole)]);
        assert_eq!(
            told,
            ["offset 20 was committed, and only 1 of 3 logs reach it"]
        );
        let other = [first, (10, 3, 2)];
        let told = promises.hold_against(&[log(1, &other), log(2, &whole), log(3, &whole)]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("offset 10 is not what"), "{}", told[0]);
    }

    /// Logs with fewer records than were acknowledged, in two nodes of three.
    #[test]
    fn records_that_a_majority_lacks_are_told() {
        let mut promises = Promises::default();
        promises.note(&leader(1, 1, 10, 10, 10));
        let log = |records: u64| {
            let mut found = Found {
                end: Offset::try_from(records).expect("small"),
                ..Found::default()
            };
            found.next_numbers.insert(1, records);
            (1, found)
        };
        let told = promises.hold_against(&[log(10), log(10), log(9)]);
        assert_eq!(told, [""; 0]);
        let told = promises.hold_against(&[log(10), log(9), log(9)]);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("only 1 of 3 logs have"), "{}", told[0]);
        assert!(told[1].contains("only 1 of 3 logs reach"), "{}", told[1]);
    }
}
