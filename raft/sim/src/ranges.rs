//! Ranges of logs that drivers offered, and whether they stay what they were.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kwire_raft::driver::{LogRange, LogStore};
use kwire_raft::message::Response;

use crate::disk::{Disk, SimLog};
use crate::world::World;

/// How many are kept of a machine. Each is looked at again when it makes place for another.
const KEPT: usize = 64;

type RangeOf<L> = <Disk<L> as LogStore>::Range;

/// Ranges that each machine's driver offered, with the bytes that were read at once.
pub(crate) struct Ranges<L: SimLog>(BTreeMap<usize, VecDeque<(RangeOf<L>, Bytes)>>);

impl<L: SimLog> Default for Ranges<L> {
    fn default() -> Ranges<L> {
        Ranges(BTreeMap::new())
    }
}

impl<L: SimLog> World<L> {
    /// Reads what a driver offered as a range, and keeps the range as a server does that has a slow
    /// connection.
    pub(crate) fn complete(
        &mut self,
        host: usize,
        mut response: Response,
        records: Option<RangeOf<L>>,
    ) -> Response {
        let Some(range) = records else {
            return response;
        };
        match range.read() {
            Ok(bytes) => {
                response.set_records(bytes.clone());
                let kept = self.ranges.0.entry(host).or_default();
                kept.push_back((range, bytes));
                let oldest = (kept.len() > KEPT).then(|| kept.pop_front()).flatten();
                self.look_at(oldest);
            }
            Err(error) => self.broken("ranges", format!("{range:?} cannot be read: {error}")),
        }
        response
    }

    /// Looks at the ranges of a machine that is about to stop, and so does its server.
    pub(crate) fn look_at_ranges_of(&mut self, host: usize) {
        let kept = self.ranges.0.remove(&host).unwrap_or_default();
        self.look_at(kept);
    }

    /// Looks at all ranges, at the end of a run.
    pub(crate) fn look_at_ranges(&mut self) {
        let kept = std::mem::take(&mut self.ranges.0);
        self.look_at(kept.into_values().flatten());
    }

    fn look_at(&mut self, kept: impl IntoIterator<Item = (RangeOf<L>, Bytes)>) {
        for (range, bytes) in kept {
            let what = match range.read() {
                Ok(now) if now == bytes => continue,
                Ok(_) => format!("{range:?} has other bytes than it had"),
                Err(error) => format!("{range:?} cannot be read any more: {error}"),
            };
            self.broken("ranges", what);
        }
    }
}
