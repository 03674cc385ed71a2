//! A frame on its way out, in the pieces in which it is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use kwire_protocol::segments::DEFAULT_THRESHOLD;
use kwire_protocol::{Message, frame};

/// A frame with its length before it. Records stand in it as they came from the log: they are not
/// copied between there and the connection.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// None is empty.
    parts: VecDeque<Bytes>,
}

impl Frame {
    /// The answer to a request.
    ///
    /// # Errors
    /// When the version cannot say it.
    pub fn of_response<M: Message>(
        version: i16,
        correlation_id: i32,
        response: &M,
    ) -> io::Result<Frame> {
        let segments =
            frame::encode_response_segments(version, correlation_id, response, DEFAULT_THRESHOLD);
        let parts = segments.map_err(io::Error::other)?.into_chunks();
        Ok(Frame {
            parts: parts.into(),
        })
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Frame {
        let bytes = Bytes::from(bytes);
        Frame {
            parts: Some(bytes).filter(|b| !b.is_empty()).into_iter().collect(),
        }
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.parts);
        pairs
            .map(|(slice, part)| *slice = IoSlice::new(part))
            .count()
    }

    /// Takes `count` bytes, or all if there are fewer.
    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.parts.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use kwire_protocol::messages::{FetchResponse, fetch_response};

    use super::*;

    #[test]
    fn records_are_not_copied_and_all_is_there() {
        let records = Bytes::from(vec![7; 100_000]);
        let response = FetchResponse {
            responses: vec![fetch_response::FetchableTopicResponse {
                partitions: vec![fetch_response::PartitionData {
                    records: Some(records.clone().into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let frame = Frame::of_response(17, 3, &response).expect("it can be said");
        let shared = |part: &Bytes| part.as_ptr() == records.as_ptr();
        assert!(frame.parts.iter().any(shared));
        let mut expected = Vec::new();
        frame::encode_response(17, 3, &response, &mut expected).expect("it can be said");
        for step in [1, 7, 60, 70_000, 1 << 20] {
            let (mut left, mut all) = (frame.clone(), Vec::new());
            while left.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = left.chunks_vectored(&mut slices);
                let slices: Vec<&[u8]> = slices[..filled].iter().map(|slice| &**slice).collect();
                let bytes = slices.concat();
                assert_eq!(bytes.len(), left.remaining());
                let taken = step.min(bytes.len());
                all.extend_from_slice(&bytes[..taken]);
                left.advance(step);
            }
            assert_eq!(all, expected, "{step}");
        }
    }
}
