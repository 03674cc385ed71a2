//! Bounds on what decoding may read and allocate.

/// What a frame may make the decoder do. The defaults are those of Kafka 4.4.0, which
/// introduced them against CVE-2026-111108 and CVE-2026-111115, and a budget of our own.
///
/// # What decoding costs
///
/// Whatever the bytes are, decoding a message of Kafka's allocates at most **144 bytes** in all for
/// each of them and holds at most **128 bytes** at a time, and **2 KiB** besides; the error with its
/// path is counted in. Cutting the message loose with [`IntoOwned`](super::IntoOwned) stays within
/// that. 80 of the bytes are the price of unknown tagged fields, which take two bytes each on the
/// wire; the others are that of arrays in arrays which claim as many elements as their bytes could
/// hold, and then do not come. As JSON it is 480 bytes, 256 at a time, and 16 KiB.
///
/// In all it is never more than [`max_allocated_bytes`](Limits::max_allocated_bytes) and those 2 KiB
/// (16 for JSON), to which cutting loose adds no more than the bytes themselves. That alone is what
/// holds for schemas of one's own, where the factor depends on how large a struct becomes of how
/// few bytes.
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
