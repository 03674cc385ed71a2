//! Intervals of message versions, and the algebra from which branches are emitted.

use std::fmt;
use std::str::FromStr;

/// A closed interval of versions, possibly open-ended or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    lowest: i16,
    highest: i16,
}

impl Versions {
    /// No version at all, written `none`.
    pub const NONE: Versions = Versions {
        lowest: 0,
        highest: -1,
    };
    /// Every version, written `0+`.
    pub const ALL: Versions = Versions {
        lowest: 0,
        highest: i16::MAX,
    };

    /// The versions from `lowest` to `highest`, both included; empty if `lowest > highest`.
    pub fn new(lowest: i16, highest: i16) -> Versions {
        if lowest > highest {
            return Versions::NONE;
        }
        Versions { lowest, highest }
    }

    /// The lowest version.
    pub fn lowest(self) -> i16 {
        self.lowest
    }

    /// The highest version; `i16::MAX` when open-ended.
    pub fn highest(self) -> i16 {
        self.highest
    }

    /// Whether there is no version in the interval.
    pub fn is_empty(self) -> bool {
        self.lowest > self.highest
    }

    /// Whether the interval has no upper end.
    pub fn is_open_ended(self) -> bool {
        self.highest == i16::MAX
    }

    /// Whether `version` lies in the interval.
    pub fn contains(self, version: i16) -> bool {
        self.lowest <= version && version <= self.highest
    }

    /// Whether all of `other` lies in this interval.
    pub fn contains_all(self, other: Versions) -> bool {
        self.intersect(other) == other
    }

    /// The versions that are in both.
    pub fn intersect(self, other: Versions) -> Versions {
        Versions::new(
            self.lowest.max(other.lowest),
            self.highest.min(other.highest),
        )
    }

    /// Both together, if that is one interval.
    pub fn union(self, other: Versions) -> Option<Versions> {
        if self.is_empty() {
            return Some(other);
        }
        if other.is_empty() {
            return Some(self);
        }
        let (first, second) = if self.lowest <= other.lowest {
            (self, other)
        } else {
            (other, self)
        };
        let touches = first.is_open_ended() || second.lowest <= first.highest + 1;
        touches.then(|| Versions::new(first.lowest, first.highest.max(second.highest)))
    }

    /// The versions of this interval below `version`, and those from `version` up.
    pub fn split_at(self, version: i16) -> (Versions, Versions) {
        let below = if version == 0 {
            Versions::NONE
        } else {
            self.intersect(Versions::new(0, version - 1))
        };
        (below, self.intersect(Versions::new(version, i16::MAX)))
    }
}

/// A text that is no interval of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseVersionsError {
    text: String,
    reason: &'static str,
}

impl ParseVersionsError {
    /// What is wrong with the text, without what to do about it.
    pub(crate) fn problem(&self) -> String {
        format!("\"{}\", {}", self.text, self.reason)
    }

    /// What to do about it.
    pub(crate) const REMEDY: &'static str = "write \"none\", \"3\", \"3-5\" or \"3+\"";
}

impl fmt::Display for ParseVersionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "versions are {}: {}", self.problem(), Self::REMEDY)
    }
}

impl std::error::Error for ParseVersionsError {}

/// Reads `none`, `3`, `3-5` or `3+`.
impl FromStr for Versions {
    type Err = ParseVersionsError;

    fn from_str(text: &str) -> Result<Versions, ParseVersionsError> {
        let text = text.trim();
        let fail = |reason| {
            let text = text.to_owned();
            Err(ParseVersionsError { text, reason })
        };
        let number = |text: &str| text.trim().parse::<i16>().ok().filter(|n| *n >= 0);
        let bounds = match (text.strip_suffix('+'), text.split_once('-')) {
            _ if text == "none" => return Ok(Versions::NONE),
            (Some(lowest), _) => (number(lowest), Some(i16::MAX)),
            (None, Some((lowest, highest))) => (number(lowest), number(highest)),
            (None, None) => (number(text), number(text)),
        };
        match bounds {
            (Some(lowest), Some(highest)) if lowest <= highest => {
                Ok(Versions::new(lowest, highest))
            }
            (Some(_), Some(_)) => fail("which ends below where it begins"),
            _ => fail("which has something else than numbers from 0 to 32767"),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            f.write_str("none")
        } else if self.is_open_ended() {
            write!(f, "{}+", self.lowest)
        } else if self.lowest == self.highest {
            write!(f, "{}", self.lowest)
        } else {
            write!(f, "{}-{}", self.lowest, self.highest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["none", "0+", "3", "3-5", "12+"] {
            assert_eq!(text.parse::<Versions>().unwrap().to_string(), text);
        }
        for text in ["", "x", "5-3", "-1", "1-", "+", "1+2", "32768", "1-2+"] {
            assert!(text.parse::<Versions>().is_err(), "{text:?}");
        }
        assert_eq!(
            "5-3".parse::<Versions>().unwrap_err().to_string(),
            "versions are \"5-3\", which ends below where it begins: \
             write \"none\", \"3\", \"3-5\" or \"3+\""
        );
    }

    #[test]
    fn algebra() {
        let v = |text: &str| text.parse::<Versions>().unwrap();
        assert_eq!(v("0-5").intersect(v("3+")), v("3-5"));
        assert_eq!(v("0-2").intersect(v("3+")), Versions::NONE);
        assert_eq!(v("0-2").union(v("3+")), Some(v("0+")));
        assert_eq!(v("3+").union(v("0-2")), Some(v("0+")));
        assert_eq!(v("0-1").union(v("3+")), None);
        assert_eq!(v("none").union(v("3+")), Some(v("3+")));
        assert_eq!(v("0+").split_at(3), (v("0-2"), v("3+")));
        assert_eq!(v("4+").split_at(0), (Versions::NONE, v("4+")));
        assert!(v("0+").contains_all(v("none")));
        assert!(!v("1+").contains_all(v("0-3")));
    }
}
