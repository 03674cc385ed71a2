//! What happened: a line an event, and a running hash of them all.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use crate::clock::Micros;

/// The lines of a run.
#[derive(Debug, Default)]
pub struct Trace {
    hasher: DefaultHasher,
    prints: bool,
    line: String,
}

impl Trace {
    /// A trace that prints its lines, or only counts them into its hash.
    #[must_use]
    pub fn new(prints: bool) -> Trace {
        Trace {
            prints,
            ..Default::default()
        }
    }

    /// Something happened on a machine.
    pub fn line(&mut self, now: Micros, host: Option<usize>, what: fmt::Arguments<'_>) {
        use fmt::Write;
        self.line.clear();
        let host = host.map_or("-".to_owned(), |host| host.to_string());
        let (s, us) = (now / 1_000_000, now % 1_000_000);
        let written = write!(self.line, "{s:>4}.{us:06} {host:>2} {what}");
        debug_assert!(written.is_ok());
        self.hasher.write(self.line.as_bytes());
        if self.prints {
            println!("{}", self.line);
        }
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}
