//! What a piece of work allocates.

use std::sync::Once;

/// What was allocated on this thread during some work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes in all, whether or not they were given back. An allocation that grows counts anew.
    pub total: u64,
    /// The most bytes that were held at a time.
    pub peak: u64,
    /// The number of allocations.
    pub count: u64,
}

/// What it costs to do `work` and to drop what comes of it.
pub fn of<T>(work: impl FnOnce() -> T) -> Cost {
    // A message's field table is read once in a program's life, by whoever asks first: an error
    // that looks for its place. That is no cost of the bytes.
    static TABLES: Once = Once::new();
    TABLES.call_once(|| {
        for codec in crate::messages::ALL {
            assert!(!codec.schema.structs.is_empty());
        }
    });
    let info = allocation_counter::measure(|| drop(work()));
    Cost {
        total: info.bytes_total,
        peak: info.bytes_max,
        count: info.count_total,
    }
}

/// A bound that is linear in the length of the input.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes allocated in all for a byte of the input.
    pub total: u64,
    /// Bytes held at a time for a byte of the input.
    pub peak: u64,
    /// What comes on top of either, whatever the input.
    pub constant: u64,
}

impl Bound {
    /// Whether the cost of an input of `len` bytes keeps to the bound.
    pub fn holds(&self, cost: Cost, len: usize) -> bool {
        let len = len as u64;
        cost.total <= self.total * len + self.constant
            && cost.peak <= self.peak * len + self.constant
    }
}

/// The highest cost for a byte of input that was seen, to print.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    /// How many inputs were tried.
    pub inputs: u64,
    /// The most bytes in all beyond the bound's constant, for a byte, and for which input.
    pub total: (f64, String),
    /// The same for the bytes held at a time.
    pub peak: (f64, String),
}

impl Worst {
    /// Takes one input into account.
    ///
    /// # Panics
    /// If it does not keep to the bound.
    pub fn see(&mut self, cost: Cost, len: usize, bound: &Bound, name: impl Fn() -> String) {
        assert!(
            bound.holds(cost, len),
            "{}: {cost:?} for {len} bytes, more than {bound:?}",
            name()
        );
        self.inputs += 1;
        let ratio = |bytes: u64| bytes.saturating_sub(bound.constant) as f64 / len.max(1) as f64;
        let (total, peak) = (ratio(cost.total), ratio(cost.peak));
        if total > self.total.0 {
            self.total = (total, name());
        }
        if peak > self.peak.0 {
            self.peak = (peak, name());
        }
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} inputs; worst: {:.1} bytes in all for a byte ({}), {:.1} at a time ({})",
            self.inputs, self.total.0, self.total.1, self.peak.0, self.peak.1
        )
    }
}
