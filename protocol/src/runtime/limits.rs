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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{DecodeError, DecodeErrorKind, Leaves, Read, Reader};

    /// A struct of a schema of one's own that has no fields in some version.
    #[derive(Default)]
    struct Nothing;

    impl<'a> Read<'a> for Nothing {
        const MIN_LEN: usize = 0;

        fn read<'r, L: Leaves<'r, 'a>>(
            &mut self,
            _: &mut Reader<'r, 'a, L>,
            _: i16,
        ) -> Result<(), DecodeError> {
            Ok(())
        }
    }

    #[derive(Default)]
    struct Holder(Vec<Nothing>);

    impl<'a> Read<'a> for Holder {
        const MIN_LEN: usize = 4;

        fn read<'r, L: Leaves<'r, 'a>>(
            &mut self,
            r: &mut Reader<'r, 'a, L>,
            version: i16,
        ) -> Result<(), DecodeError> {
            self.0 = r.structs(version)?;
            Ok(())
        }
    }

    /// Arrays of them are read without using up bytes, so that each could have as many as there
    /// are bytes left: the square of the frame's length in all.
    #[test]
    fn elements_without_bytes_are_paid_for() {
        let holders = 1000_i32;
        let mut bytes = holders.to_be_bytes().to_vec();
        for left in (0..holders).rev() {
            bytes.extend((4 * left).to_be_bytes());
        }
        let limits = Limits {
            max_allocated_bytes: 100_000,
            ..Limits::DEFAULT
        };
        let mut reader = Reader::new(&bytes, false, &limits);
        let error = reader.structs::<Holder>(0).map(|all| all.len());
        let kind = error.map_err(|error| error.kind().clone());
        assert_eq!(kind, Err(DecodeErrorKind::OverBudget { limit: 100_000 }));
        let mut reader = Reader::new(&bytes, false, &Limits::DEFAULT);
        let all = reader.structs::<Holder>(0).unwrap();
        let read: usize = all.iter().map(|holder| holder.0.len()).sum();
        assert_eq!(read, 1_998_000);
    }
}
