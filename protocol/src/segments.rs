//! Encoded messages in segments, for writes that take many slices at once.
//!
//! Records are most of what a broker or proxy sends, and encoding into a buffer copies them. A
//! message encoded by [`Message::encode_segments`](crate::Message::encode_segments), or a whole
//! frame by [`frame::encode_response_segments`](crate::frame::encode_response_segments), is one
//! small buffer and the message's own `bytes` and `records` where they are. Together they are
//! what [`Message::encode`](crate::Message::encode) writes, byte for byte.
//!
//! [`Segments`] is a [`Buf`]: `write_buf` and `write_all_buf` of tokio take it as it is.
//!
//! ```
//! # #[cfg(feature = "clients")] {
//! use std::io::Write;
//!
//! use kwire_protocol::frame;
//! use kwire_protocol::messages::{FetchResponse, fetch_response};
//! use kwire_protocol::segments::DEFAULT_THRESHOLD;
//!
//! let records = vec![7; 1 << 20];
//! let response = FetchResponse {
//!     responses: vec![fetch_response::FetchableTopicResponse {
//!         partitions: vec![fetch_response::PartitionData {
//!             records: Some(records.as_slice().into()),
//!             ..Default::default()
//!         }],
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let frame = frame::encode_response_segments(17, 1, &response, DEFAULT_THRESHOLD)?;
//! assert!(frame.parts().any(|part| part.as_ptr() == records.as_ptr()));
//! # let mut socket = Vec::new();
//! let written = socket.write_vectored(&frame.io_slices())?;
//! assert_eq!(written, frame.len());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::runtime::Blob;
use crate::runtime::segments::Bulk;

/// From how many bytes up `bytes` and `records` stay where they are, unless told otherwise. Below,
/// copying costs less than one more slice in a write.
pub const DEFAULT_THRESHOLD: usize = 4096;

/// An encoded message or frame: one buffer, and the message's bulk bytes where they are.
#[derive(Clone, Debug, Default)]
pub struct Segments<'m> {
    buffer: Vec<u8>,
    bulk: Vec<Bulk<'m>>,
    /// Bytes from the start of the part on.
    left: usize,
    /// The part in which reading as a `Buf` is, and how far in it.
    part: usize,
    offset: usize,
}

impl<'m> Segments<'m> {
    #[inline]
    pub(crate) fn new((buffer, bulk): (Vec<u8>, Vec<Bulk<'m>>)) -> Segments<'m> {
        let bulk_len: usize = bulk.iter().map(|bulk| bulk.blob.len()).sum();
        Segments {
            left: buffer.len() + bulk_len,
            buffer,
            bulk,
            part: 0,
            offset: 0,
        }
    }

    /// The buffer, to set a length in it that is known only now.
    #[inline]
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Bytes in all, less what was taken as a [`Buf`].
    #[inline]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether there is nothing (left).
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Buffer, bulk, buffer and so on; those of the buffer may be empty.
    #[inline]
    fn part_at(&self, part: usize) -> Option<&[u8]> {
        let place = part / 2;
        if part % 2 == 1 {
            return self.bulk.get(place).map(|bulk| bulk.blob.as_slice());
        }
        let from = match place.checked_sub(1) {
            Some(before) => self.bulk.get(before)?.at,
            None => 0,
        };
        let to = self.bulk.get(place).map_or(self.buffer.len(), |b| b.at);
        self.buffer.get(from..to)
    }

    /// The slices that are left, in order; none is empty.
    #[inline]
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let parts = (self.part..).map_while(|part| self.part_at(part));
        let parts = parts.enumerate().map(|(index, bytes)| match index {
            0 => bytes.get(self.offset..).unwrap_or_default(),
            _ => bytes,
        });
        parts.filter(|bytes| !bytes.is_empty())
    }

    /// The slices that are left, for a vectored write.
    #[inline]
    pub fn io_slices(&self) -> Vec<IoSlice<'_>> {
        self.parts().map(IoSlice::new).collect()
    }

    /// What is left, copied into one vector.
    #[inline]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.left);
        self.parts().for_each(|part| out.extend_from_slice(part));
        out
    }

    /// All slices, whatever was taken as a [`Buf`], as values that keep themselves alive. Shared
    /// bulk bytes stay shared; those that the message borrows are copied.
    #[inline]
    pub fn into_chunks(self) -> Vec<Bytes> {
        let buffer = Bytes::from(self.buffer);
        let mut chunks = Vec::with_capacity(2 * self.bulk.len() + 1);
        let mut from = 0;
        for Bulk { at, blob } in self.bulk {
            chunks.push(buffer.slice(from..at));
            chunks.push(match blob {
                Blob::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
                Blob::Shared(bytes) => bytes.clone(),
            });
            from = at;
        }
        chunks.push(buffer.slice(from..));
        chunks.retain(|chunk| !chunk.is_empty());
        chunks
    }

    /// The small buffer, to be used again for the next message.
    #[inline]
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl Buf for Segments<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.left
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.parts().next().unwrap_or_default()
    }

    #[inline]
    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(self.parts()) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// Takes `count` bytes, or all if there are fewer.
    #[inline]
    fn advance(&mut self, count: usize) {
        let mut count = count.min(self.left);
        self.left -= count;
        while let Some(part) = self.part_at(self.part) {
            let rest = part.len() - self.offset;
            if count < rest {
                self.offset += count;
                return;
            }
            count -= rest;
            self.offset = 0;
            self.part += 1;
        }
    }
}
