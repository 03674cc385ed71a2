//! Intervals of message versions, and the algebra from which branches are emitted.

use std::fmt;

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

    /// Reads `none`, `3`, `3-5` or `3+`; `None` when the text is none of these.
    pub fn parse(text: &str) -> Option<Versions> {
        let number = |text: &str| text.trim().parse::<i16>().ok().filter(|n| *n >= 0);
        let text = text.trim();
        if text == "none" {
            return Some(Versions::NONE);
        }
        if let Some(lowest) = text.strip_suffix('+') {
            return Some(Versions::new(number(lowest)?, i16::MAX));
        }
        match text.split_once('-') {
            Some((lowest, highest)) => {
                let (lowest, highest) = (number(lowest)?, number(highest)?);
                (lowest <= highest).then(|| Versions::new(lowest, highest))
            }
            None => number(text).map(|n| Versions::new(n, n)),
        }
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
            assert_eq!(Versions::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "x", "5-3", "-1", "1-", "+", "1+2"] {
            assert_eq!(Versions::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn algebra() {
        let v = |text| Versions::parse(text).unwrap();
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
