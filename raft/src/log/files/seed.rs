//! Numbers that look random and follow from a seed.

/// SplitMix64: enough to draw what a crash leaves, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn new(seed: u64) -> Seed {
        Seed(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: usize) -> usize {
        let span = (max as u64).wrapping_add(1).max(1);
        (self.next() % span) as usize
    }
}
