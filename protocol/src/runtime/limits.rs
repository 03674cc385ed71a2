//! Bounds on what decoding may read and allocate.

/// What a frame may make the decoder do. The defaults are those of Kafka 4.4.0, which
/// introduced them against CVE-2026-111108 and CVE-2026-111115, and a budget of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most elements that one array may have.
    pub max_array_len: u32,
    /// The most tagged fields that one struct may have.
    pub max_tagged_fields: u32,
    /// The most bytes that decoding one frame may allocate in all.
    pub max_allocated_bytes: usize,
}

impl Limits {
    /// What applies unless something else is asked for.
    pub const DEFAULT: Limits = Limits {
        max_array_len: 1_000_000,
        max_tagged_fields: 10_000,
        max_allocated_bytes: 256 << 20,
    };

    /// For bytes that this crate has just written itself.
    pub(crate) const NONE: Limits = Limits {
        max_array_len: u32::MAX,
        max_tagged_fields: u32::MAX,
        max_allocated_bytes: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
