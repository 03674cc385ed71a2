//! The buffer that decompressed bytes go to.

use crate::records::error::ErrorKind;

/// The least the buffer grows by.
#[cfg(any(feature = "gzip", feature = "zstd"))]
const FIRST_STEP: usize = 4096;

/// Bytes appended to a `Vec`, up to a limit.
///
/// The vector is longer than what is filled, so that a codec can be handed a slice of it: bytes
/// are zeroed once when it grows, and not again for each call of the codec.
pub(super) struct Output<'v> {
    bytes: &'v mut Vec<u8>,
    start: usize,
    filled: usize,
    limit: usize,
}

impl<'v> Output<'v> {
    pub(super) fn new(bytes: &'v mut Vec<u8>, limit: usize) -> Self {
        let start = bytes.len();
        Self {
            bytes,
            start,
            filled: start,
            limit,
        }
    }

    /// The decompressed bytes so far.
    pub(super) fn written(&self) -> usize {
        self.filled - self.start
    }

    pub(super) fn too_long(&self) -> ErrorKind {
        ErrorKind::DecompressedTooLong { limit: self.limit }
    }

    /// Bytes that may still be written.
    pub(super) fn room(&self) -> usize {
        self.limit - self.written()
    }

    /// Room for some bytes more. Where it ends at the limit there is one byte beyond, which must not
    /// be written: a codec that does so has more to give. It comes with the last growth, so that
    /// asking whether there is more does not copy all that there is.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(super) fn spare(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            let room = self.room();
            let step = self.written().max(FIRST_STEP).min(room);
            self.grow(step + usize::from(step == room));
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Exactly `len` bytes of room, and the bytes already written.
    ///
    /// The caller makes sure that `len` is no more than [`Self::room`] and in proportion to the
    /// input.
    #[cfg(any(feature = "lz4", feature = "snappy"))]
    pub(super) fn block(&mut self, len: usize) -> (&[u8], &mut [u8]) {
        let missing = (self.filled + len).saturating_sub(self.bytes.len());
        if missing > 0 {
            // At least doubling, so that many small blocks do not copy the bytes each time. What was
            // written says too little: a block may ask for much more than it fills.
            let len = self.bytes.len() - self.start;
            let step = missing.max(len.min(self.limit.saturating_sub(len)));
            self.grow(step);
        }
        let (written, spare) = self.bytes.split_at_mut(self.filled);
        (
            written.get(self.start..).unwrap_or_default(),
            spare.get_mut(..len).unwrap_or_default(),
        )
    }

    fn grow(&mut self, step: usize) {
        self.bytes.reserve_exact(step);
        self.bytes.resize(self.bytes.len() + step, 0);
    }

    /// Counts `len` bytes as written.
    pub(super) fn advance(&mut self, len: usize) -> Result<(), ErrorKind> {
        if len > self.room() {
            return Err(self.too_long());
        }
        self.filled += len;
        Ok(())
    }

    /// Cuts the vector to what was written.
    pub(super) fn finish(self) {
        self.bytes.truncate(self.filled);
    }
}
