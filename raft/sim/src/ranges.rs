//! Ranges of logs that drivers offered, and whether they stay what they were.

use std::collections::VecDeque;

use bytes::Bytes;
use kwire_raft::driver::{LogRange, LogStore};
use kwire_raft::message::Response;

use crate::disk::{Disk, SimLog};
use crate::world::World;

/// How many are kept. Each is looked at again when it makes place for another.
const KEPT: usize = 64;

type RangeOf<L> = <Disk<L> as LogStore>::Range;

/// Ranges that were offered, with the bytes that were read at once.
pub(crate) struct Ranges<L: SimLog>(VecDeque<(RangeOf<L>, Bytes)>);

impl<L: SimLog> Default for Ranges<L> {
    fn default() -> Ranges<L> {
        Ranges(VecDeque::new())
    }
}

impl<L: SimLog> World<L> {
    /// Reads what a driver offered as a range, and keeps the range as a server does that has a slow
    /// connection.
    pub(crate) fn complete(
        &mut self,
        mut response: Response,
        records: Option<RangeOf<L>>,
    ) -> Response {
        let Some(range) = records else {
            return response;
        };
        match range.read() {
            Ok(bytes) => {
                response.set_records(bytes.clone());
                self.ranges.0.push_back((range, bytes));
                if self.ranges.0.len() > KEPT {
                    let oldest = self.ranges.0.pop_front();
                    self.look_at(oldest.as_ref());
                }
            }
            Err(error) => self.broken("ranges", format!("{range:?} cannot be read: {error}")),
        }
        response
    }

    /// Looks at the ranges that are kept at the end of a run.
    pub(crate) fn look_at_ranges(&mut self) {
        let kept = std::mem::take(&mut self.ranges.0);
        self.look_at(&kept);
    }

    fn look_at<'r>(&mut self, kept: impl IntoIterator<Item = &'r (RangeOf<L>, Bytes)>) {
        for (range, bytes) in kept {
            let what = match range.read() {
                Ok(now) if now == *bytes => continue,
                Ok(_) => format!("{range:?} has other bytes than it had"),
                Err(error) => format!("{range:?} cannot be read any more: {error}"),
            };
            self.broken("ranges", what);
        }
    }
}
