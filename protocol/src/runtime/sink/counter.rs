//! Encoded bytes, merely counted.

use super::{Sink, TagMark};
use crate::runtime::{Array, Fixed};

/// Counts bytes. The same code that writes runs against it, so that they cannot disagree.
#[derive(Debug)]
pub struct Counter {
    len: usize,
    flexible: bool,
}

impl Counter {
    /// A counter at zero, for a version that is flexible or not.
    #[inline]
    pub fn new(flexible: bool) -> Counter {
        Counter { len: 0, flexible }
    }

    /// How many bytes have been put.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been put.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Sink<'_> for Counter {
    #[inline]
    fn flexible(&self) -> bool {
        self.flexible
    }

    #[inline]
    fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
    }

    #[inline]
    fn uvarint(&mut self, value: u32) {
        self.len += uvarint_len(value);
    }

    #[inline(always)]
    fn aside<T>(&mut self, put: impl FnOnce(&mut Self) -> T) -> T {
        let mut copy = Counter {
            len: self.len,
            flexible: self.flexible,
        };
        let value = put(&mut copy);
        self.len = copy.len;
        value
    }

    #[inline]
    fn put_array<T: Fixed>(&mut self, array: &Array<'_, T>) {
        self.len += array.len() * T::LEN;
    }

    #[inline]
    fn begin_tag(&mut self, tag: u32) -> TagMark {
        self.uvarint(tag);
        TagMark { at: self.len }
    }

    #[inline]
    fn end_tag(&mut self, mark: TagMark) {
        self.uvarint((self.len - mark.at) as u32);
    }
}

/// The number of bytes of an unsigned varint.
pub(super) fn uvarint_len(value: u32) -> usize {
    (31 - (value | 1).leading_zeros() as usize) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Writer;

    #[test]
    fn varint_lengths() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            268_435_455,
            268_435_456,
            u32::MAX,
        ] {
            let mut writer = Writer::new(Vec::new(), true);
            writer.uvarint(value);
            assert_eq!(writer.into_inner().len(), uvarint_len(value), "{value}");
        }
    }
}
