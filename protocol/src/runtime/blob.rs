//! Bytes and records: borrowed from the frame, or shared.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// The value of a `bytes` or `records` field. Never copied by decoding.
#[derive(Clone)]
pub enum Blob<'a> {
    /// Part of the frame that was decoded, or of something else that outlives the message.
    Borrowed(&'a [u8]),
    /// Bytes that keep themselves alive; cloning them copies nothing.
    Shared(Bytes),
}

impl<'a> Blob<'a> {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Blob::Borrowed(bytes) => bytes,
            Blob::Shared(bytes) => bytes,
        }
    }

    /// The bytes as a value that keeps itself alive; copies borrowed ones.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Blob::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Blob::Shared(bytes) => bytes,
        }
    }
}

impl Default for Blob<'_> {
    #[inline]
    fn default() -> Self {
        Blob::Borrowed(&[])
    }
}

impl Deref for Blob<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Blob<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Blob<'_> {}

impl Hash for Blob<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Blob<'_> {
    /// The first bytes in hex and the length: records may be megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_slice();
        f.write_str("0x")?;
        for byte in bytes.iter().take(32) {
            write!(f, "{byte:02x}")?;
        }
        if bytes.len() > 32 {
            write!(f, ".. ({} bytes)", bytes.len())?;
        }
        Ok(())
    }
}

impl<'a> From<&'a [u8]> for Blob<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Blob::Borrowed(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Blob<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Blob::Borrowed(bytes)
    }
}

impl From<Vec<u8>> for Blob<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Blob::Shared(bytes.into())
    }
}

impl From<Bytes> for Blob<'_> {
    fn from(bytes: Bytes) -> Self {
        Blob::Shared(bytes)
    }
}
