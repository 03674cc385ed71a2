//! Two contestants in turns, the least time of each.

use std::time::Instant;

/// How often each is timed. Noise only ever adds, so the least is what counts.
const ROUNDS: usize = 400;
/// How long one timing takes at least, in nanoseconds, so that the clock's grain does not matter.
const LEAST_NS: u128 = 200_000;

pub struct Contest<'a> {
    case: &'a str,
    bytes: usize,
    operation: &'a str,
}

impl<'a> Contest<'a> {
    pub fn new(case: &'a str, bytes: usize, operation: &'a str) -> Self {
        Contest {
            case,
            bytes,
            operation,
        }
    }

    /// Times both and prints a row.
    pub fn run(&self, mut ours: impl FnMut(), mut theirs: impl FnMut()) {
        let (ours_turns, theirs_turns) = (turns(&mut ours), turns(&mut theirs));
        let (mut ours_least, mut theirs_least) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            ours_least = ours_least.min(time(&mut ours, ours_turns));
            theirs_least = theirs_least.min(time(&mut theirs, theirs_turns));
        }
        row(&[
            self.case,
            &self.bytes.to_string(),
            self.operation,
            &format!("{ours_least:.0}"),
            &format!("{theirs_least:.0}"),
            &format!("{:.1}", theirs_least / ours_least),
        ]);
    }
}

/// How many calls make one timing.
fn turns(call: &mut impl FnMut()) -> u32 {
    let mut turns = 1;
    loop {
        let start = Instant::now();
        for _ in 0..turns {
            call();
        }
        if start.elapsed().as_nanos() >= LEAST_NS {
            return turns;
        }
        turns *= 2;
    }
}

fn time(call: &mut impl FnMut(), turns: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..turns {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(turns)
}

/// Prints one row of a Markdown table.
pub fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}
