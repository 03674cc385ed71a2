//! Numbers that look random and follow from a seed.

use crate::random;

/// SplitMix64: enough to draw what a crash leaves, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn new(seed: u64) -> Seed {
        Seed(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        random::next(&mut self.0)
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: usize) -> usize {
        let span = (max as u64).wrapping_add(1).max(1);
        (self.next() % span) as usize
    }
}
