//! The clock of a machine: it stands elsewhere than others, and runs a little faster or slower.

use kwire_raft::types::Instant;

use crate::rng::Stream;

/// Microseconds of virtual time since a run began.
pub type Micros = u64;

/// A machine's clock, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed when the run began.
    skew_ms: u64,
    /// How many of its seconds pass in a thousand seconds.
    rate_permille: u64,
}

impl Clock {
    /// A clock that drifts by at most so much.
    pub fn draw(stream: &mut Stream, drift_permille: u64) -> Clock {
        Clock {
            skew_ms: stream.below(3_600_000),
            rate_permille: stream.between(1_000 - drift_permille, 1_000 + drift_permille),
        }
    }

    /// What it shows.
    #[must_use]
    pub fn read(self, now: Micros) -> Instant {
        Instant(self.skew_ms + now * self.rate_permille / 1_000_000)
    }

    /// When it will first show this; the end of time if it is never to.
    #[must_use]
    pub fn when(self, shown: Instant) -> Micros {
        if shown == Instant::NEVER {
            return Micros::MAX;
        }
        let passed = shown.0.saturating_sub(self.skew_ms);
        passed
            .saturating_mul(1_000_000)
            .div_ceil(self.rate_permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Salt;

    #[test]
    fn a_timer_ends_when_the_clock_shows_it_and_not_before() {
        let mut stream = Stream::new(3, Salt::Clock);
        for _ in 0..1_000 {
            let clock = Clock::draw(&mut stream, 50);
            let wanted = Instant(clock.skew_ms + stream.below(100_000));
            let at = clock.when(wanted);
            assert!(clock.read(at) >= wanted);
            assert!(at == 0 || clock.read(at - 1) < wanted);
        }
    }
}
