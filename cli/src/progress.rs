//! Progress of long work, for who sits at a terminal and waits.

use std::io::{IsTerminal, stderr, stdout};

use indicatif::{ProgressBar, ProgressStyle};

/// Counts what was done. It is drawn on standard error if that is a terminal, and only if
/// standard output is none: there, the output itself shows that work goes on.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Counts up to nothing known.
    pub(crate) fn counter(what: &'static str) -> Progress {
        let template = format!("{{spinner}} {{human_pos}} {what} in {{elapsed}}, {{per_sec}}");
        Progress::new(None, &template)
    }

    /// Counts up to a number of bytes.
    pub(crate) fn bytes(total: usize) -> Progress {
        Progress::new(
            u64::try_from(total).ok(),
            "{wide_bar} {bytes} of {total_bytes}",
        )
    }

    fn new(total: Option<u64>, template: &str) -> Progress {
        if !stderr().is_terminal() || stdout().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// So much is done now.
    pub(crate) fn at(&self, done: usize) {
        self.0.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
