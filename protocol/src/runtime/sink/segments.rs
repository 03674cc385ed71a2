//! Encoded bytes around bulk bytes that stay where they are.

use super::{Sink, TagMark, Writer};
use crate::runtime::error::EncodeError;
use crate::runtime::{Array, Blob, Fixed};

/// Appends to a buffer, but for `bytes` and `records` from some length up: of those it keeps the
/// place.
#[derive(Debug)]
pub(crate) struct Gather<'m> {
    out: Writer,
    bulk: Vec<Bulk<'m>>,
    threshold: usize,
}

/// Bytes of the message that are not in the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bulk<'m> {
    /// How many bytes of the buffer come before.
    pub(crate) at: usize,
    pub(crate) blob: &'m Blob<'m>,
}

impl<'m> Gather<'m> {
    /// A sink that appends to `out`, and leaves what has `threshold` bytes or more.
    #[inline]
    pub(crate) fn new(out: Vec<u8>, flexible: bool, threshold: usize) -> Gather<'m> {
        Gather {
            out: Writer::new(out, flexible),
            bulk: Vec::new(),
            threshold,
        }
    }

    /// The buffer and what belongs into it.
    #[inline]
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<Bulk<'m>>) {
        (self.out.into_inner(), self.bulk)
    }
}

impl<'m> Sink<'m> for Gather<'m> {
    #[inline]
    fn flexible(&self) -> bool {
        self.out.flexible()
    }

    #[inline]
    fn set_flexible(&mut self, flexible: bool) {
        self.out.set_flexible(flexible);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out.put(bytes);
    }

    #[inline]
    fn put_array<T: Fixed>(&mut self, array: &Array<'_, T>) {
        self.out.put_array(array);
    }

    #[inline]
    fn array<T: Fixed>(&mut self, array: &Array<'_, T>) -> Result<(), EncodeError> {
        self.out.array(array)
    }

    #[inline]
    fn begin_tag(&mut self, tag: u32) -> TagMark {
        self.out.begin_tag(tag)
    }

    #[inline]
    fn end_tag(&mut self, mark: TagMark) {
        let inside = |bulk: &&mut Bulk<'_>| bulk.at >= mark.at;
        let left = self.bulk.iter_mut().rev().take_while(inside);
        let left: usize = left.map(|bulk| bulk.blob.len()).sum();
        let end = self.out.len();
        self.out.set_tag_size(mark.at, end - mark.at + left);
        // What is in the tag moved by as many bytes as its size got more than one.
        let moved = self.out.len() - end;
        for bulk in self.bulk.iter_mut().rev().take_while(inside) {
            bulk.at += moved;
        }
    }

    #[inline]
    fn bytes(&mut self, blob: &'m Blob<'m>) -> Result<(), EncodeError> {
        self.long_len(blob.len())?;
        if blob.len() < self.threshold {
            self.put(blob);
        } else {
            let at = self.out.len();
            self.bulk.push(Bulk { at, blob });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(gather: Gather<'_>) -> Vec<u8> {
        let (out, bulk) = gather.into_parts();
        let (mut flat, mut from) = (Vec::new(), 0);
        for Bulk { at, blob } in bulk {
            flat.extend_from_slice(&out[from..at]);
            flat.extend_from_slice(blob);
            from = at;
        }
        flat.extend_from_slice(&out[from..]);
        flat
    }

    fn tagged<'m, S: Sink<'m>>(sink: &mut S, first: &'m Blob<'m>, second: &'m Blob<'m>) {
        sink.bytes(second).unwrap();
        let outer = sink.begin_tag(300);
        sink.bytes(first).unwrap();
        let inner = sink.begin_tag(1);
        sink.put(&[1, 2, 3]);
        sink.bytes(second).unwrap();
        sink.bytes(first).unwrap();
        sink.end_tag(inner);
        sink.end_tag(outer);
        sink.bytes(first).unwrap();
    }

    #[test]
    fn tag_sizes_count_what_is_left_out() {
        let lens = [0, 1, 8, 100, 127, 128, 16_383, 16_384, 70_000];
        for (first, second) in lens.iter().flat_map(|a| lens.map(|b| (*a, b))) {
            let blobs: (Blob<'_>, Blob<'_>) = (vec![7; first].into(), vec![8; second].into());
            let mut writer = Writer::new(vec![9], true);
            tagged(&mut writer, &blobs.0, &blobs.1);
            let expected = writer.into_inner();
            for threshold in [0, 1, 100, 1000, usize::MAX] {
                let mut gather = Gather::new(vec![9], true, threshold);
                tagged(&mut gather, &blobs.0, &blobs.1);
                assert_eq!(flat(gather), expected, "{first} {second} {threshold}");
            }
        }
    }
}
