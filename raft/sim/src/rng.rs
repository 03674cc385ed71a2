//! Numbers that follow from a seed: one stream a concern, so that a draw more in one leaves the
//! others as they were.

use kwire_raft::random;

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Salt {
    /// Latencies, losses, duplicates.
    Network = 0x6e65_7477_6f72_6b00,
    /// Latencies of the disk, and what a crash leaves.
    Disk = 0x6469_736b_0000_0000,
    /// Skew and drift.
    Clock = 0x636c_6f63_6b00_0000,
    /// What clients and the application do.
    Workload = 0x776f_726b_6c6f_6164,
    /// What fails, and when.
    Faults = 0x6661_756c_7473_0000,
    /// The options of a run.
    Swarm = 0x7377_6172_6d00_0000,
}

/// A stream of numbers: SplitMix64.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed for a concern.
    #[must_use]
    pub fn new(seed: u64, salt: Salt) -> Stream {
        let mut stream = Stream(seed ^ salt as u64);
        // Neighbouring seeds would otherwise begin alike.
        let first = stream.draw();
        Stream(first)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        random::next(&mut self.0)
    }

    /// A number below `n`, 0 if that is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let drawn = self.draw();
        if n == 0 { 0 } else { drawn % n }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, n: u32) -> bool {
        self.below(1_000) < u64::from(n)
    }

    /// One of a slice, if it has any.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.index(of.len());
        of.get(at)
    }

    /// A number with this mean, exponentially distributed but for a straight line between powers
    /// of two: integers are the same everywhere, logarithms are not.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        let drawn = self.draw() | 1;
        let zeros = u64::from(drawn.leading_zeros());
        let fraction = ((drawn << zeros) << 1) >> 48;
        let log2 = (zeros << 16) + (65_536 - fraction);
        // ln 2 = 45426 / 65536
        let scaled = u128::from(mean) * u128::from(log2) * 45_426;
        (scaled >> 32) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, salt| {
            let mut stream = Stream::new(seed, salt);
            (stream.draw(), stream.draw())
        };
        assert_eq!(draw(7, Salt::Disk), draw(7, Salt::Disk));
        assert_ne!(draw(7, Salt::Disk), draw(7, Salt::Network));
        assert_ne!(draw(7, Salt::Disk), draw(8, Salt::Disk));
    }

    #[test]
    fn the_mean_is_about_right() {
        let mut stream = Stream::new(1, Salt::Network);
        let sum: u64 = (0..10_000).map(|_| stream.exponential(1_000)).sum();
        assert!((900..1_100).contains(&(sum / 10_000)), "{}", sum / 10_000);
    }
}
