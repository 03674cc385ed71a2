//! Encoded bytes into a buffer.

use super::counter::uvarint_len;
use super::{Sink, TagMark};
use crate::runtime::{Array, EncodeError, Fixed};

/// Appends to a buffer.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    flexible: bool,
}

impl Writer {
    /// A writer that appends to `out`, for a version that is flexible or not.
    #[inline]
    pub fn new(out: Vec<u8>, flexible: bool) -> Writer {
        Writer { out, flexible }
    }

    /// The buffer with what was appended.
    #[inline]
    pub fn into_inner(self) -> Vec<u8> {
        self.out
    }
}

impl Sink<'_> for Writer {
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
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn put_array<T: Fixed>(&mut self, array: &Array<'_, T>) {
        match array.as_wire() {
            Some(bytes) => self.put(bytes),
            None => {
                self.out.reserve(array.len() * T::LEN);
                array
                    .iter()
                    .for_each(|value| self.put(value.to_wire().as_ref()));
            }
        }
    }

    #[inline]
    fn array<T: Fixed>(&mut self, array: &Array<'_, T>) -> Result<(), EncodeError> {
        let Some((wire, len)) = array.as_short().filter(|_| self.flexible) else {
            self.long_len(array.len())?;
            self.put_array(array);
            return Ok(());
        };
        // What was too much is taken back.
        self.put_fixed(*wire);
        self.out.truncate(self.out.len() - (wire.len() - len));
        Ok(())
    }

    #[inline]
    fn begin_tag(&mut self, tag: u32) -> TagMark {
        self.uvarint(tag);
        // Nearly every tagged field is shorter than 128 bytes: one byte for the size, patched.
        self.out.push(0);
        TagMark { at: self.out.len() }
    }

    #[inline]
    fn end_tag(&mut self, mark: TagMark) {
        self.set_tag_size(mark.at, self.out.len() - mark.at);
    }
}

impl Writer {
    /// How many bytes the buffer has.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Sets the size of the tagged field whose payload begins at `at`.
    #[inline]
    pub(super) fn set_tag_size(&mut self, at: usize, size: usize) {
        if size < 0x80 {
            self.out[at - 1] = size as u8;
        } else {
            self.widen_tag_size(at, size);
        }
    }

    /// Moves a payload so that its size gets the room that it needs, and no more: a buffer that is
    /// just large enough for the message must not grow.
    #[cold]
    #[inline(never)]
    fn widen_tag_size(&mut self, at: usize, size: usize) {
        let more = uvarint_len(size as u32) - 1;
        self.out.resize(self.out.len() + more, 0);
        self.out[at..].rotate_right(more);
        let mut rest = size;
        for byte in &mut self.out[at - 1..at - 1 + more] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.out[at - 1 + more] = rest as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Counter, UnknownTags};

    #[test]
    fn tag_sizes_of_every_width() {
        for len in [0, 1, 127, 128, 300, 16_383, 16_384, 70_000] {
            let payload = vec![7; len];
            let mut writer = Writer::new(vec![9], true);
            let mut counter = Counter::new(true);
            let mark = writer.begin_tag(300);
            writer.put(&payload);
            writer.end_tag(mark);
            writer.put(&[8]);
            let mark = counter.begin_tag(300);
            counter.put(&payload);
            counter.end_tag(mark);

            let mut expected = Writer::new(vec![9], true);
            expected.uvarint(300);
            expected.uvarint(len as u32);
            expected.put(&payload);
            expected.put(&[8]);
            let written = writer.into_inner();
            assert_eq!(written, expected.into_inner());
            assert_eq!(counter.len() + 2, written.len());

            // At the end of a message, in a buffer of the message's size.
            let exact = counter.len();
            let mut writer = Writer::new(Vec::with_capacity(exact), true);
            let room = writer.out.capacity();
            let mark = writer.begin_tag(300);
            writer.put(&payload);
            writer.end_tag(mark);
            assert_eq!((writer.len(), writer.out.capacity()), (exact, room));
        }
    }

    #[test]
    fn tags_that_java_does_not_write() {
        for (tag, is_written) in [
            (1, true),
            (i32::MAX as u32 - 1, true),
            (i32::MAX as u32, false),
        ] {
            let mut unknown = UnknownTags::EMPTY;
            unknown.push(tag, vec![7]);
            let mut writer = Writer::new(Vec::new(), true);
            let result = writer.end_struct(&unknown);
            assert_eq!(result.is_ok(), is_written, "{tag}");
        }
    }
}
