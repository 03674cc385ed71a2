//! Seeds that failed once, and always run: `regressions.txt`.

/// A seed, and what it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regression {
    /// The seed.
    pub seed: u64,
    /// What it showed.
    pub what: &'static str,
}

/// All of them: lines of a seed and what it showed; `#` begins a comment.
pub fn all() -> impl Iterator<Item = Regression> {
    let lines = include_str!("../regressions.txt").lines();
    lines
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (seed, what) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let seed = parse_seed(seed).expect("regressions.txt has a seed in each line");
            Regression {
                seed,
                what: what.trim(),
            }
        })
}

/// A seed as people write it: decimal, or hexadecimal after `0x`.
#[must_use]
pub fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
