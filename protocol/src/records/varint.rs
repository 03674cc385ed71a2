//! Variable-length integers, and the cursor that reads them.
//!
//! Records use zigzag encoding; the framing of metadata records uses plain unsigned varints.

use super::error::ErrorKind;

/// The bytes a varint of 64 bits can take at most.
const MAX_VARLONG: usize = 10;
/// The bytes a varint of 32 bits can take at most.
const MAX_VARINT: usize = 5;

/// Reads forward through a slice. A failed read may have moved the position: the caller stops.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Length of the whole slice; the position is what has been taken from it.
    len: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            len: bytes.len(),
        }
    }

    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What is left, without moving.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], ErrorKind> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(not_enough(len, self.rest.len())),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ErrorKind> {
        match self.rest.split_first_chunk::<N>() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(not_enough(N, self.rest.len())),
        }
    }

    #[inline]
    pub(crate) fn i8(&mut self) -> Result<i8, ErrorKind> {
        self.array().map(i8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i16(&mut self) -> Result<i16, ErrorKind> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, ErrorKind> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, ErrorKind> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, ErrorKind> {
        self.array().map(i64::from_be_bytes)
    }

    /// A zigzag varint of 32 bits.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<i32, ErrorKind> {
        self.uvarint()
            .map(|raw| (raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// A zigzag varint of 64 bits.
    #[inline(always)]
    pub(crate) fn varlong(&mut self) -> Result<i64, ErrorKind> {
        let raw = match self.short_form() {
            Some(raw) => u64::from(raw),
            None => self.long_form(MAX_VARLONG)?,
        };
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// An unsigned varint of 32 bits.
    #[inline(always)]
    pub(crate) fn uvarint(&mut self) -> Result<u32, ErrorKind> {
        match self.short_form() {
            Some(raw) => Ok(raw),
            // Bits beyond the 32nd are dropped, as Kafka's own reader does.
            None => self.long_form(MAX_VARINT).map(|raw| raw as u32),
        }
    }

    /// A varint of up to three bytes, as nearly all lengths and deltas in a record are.
    #[inline(always)]
    fn short_form(&mut self) -> Option<u32> {
        let low = |byte: u8| u32::from(byte & 0x7f);
        let (value, rest) = match self.rest {
            [a @ ..0x80, rest @ ..] => (u32::from(*a), rest),
            [a, b @ ..0x80, rest @ ..] => (low(*a) | low(*b) << 7, rest),
            [a, b, c @ ..0x80, rest @ ..] => (low(*a) | low(*b) << 7 | low(*c) << 14, rest),
            _ => return None,
        };
        self.rest = rest;
        Some(value)
    }

    #[inline]
    fn long_form(&mut self, max: usize) -> Result<u64, ErrorKind> {
        let (value, rest) = long_form(self.rest, max)?;
        self.rest = rest;
        Ok(value)
    }
}

// Out of line and by value: a cursor whose address nobody takes stays in registers.

#[cold]
#[inline(never)]
fn not_enough(needed: usize, remaining: usize) -> ErrorKind {
    ErrorKind::NotEnoughBytes { needed, remaining }
}

/// A varint of any length, and what follows it.
#[inline(never)]
fn long_form(bytes: &[u8], max: usize) -> Result<(u64, &[u8]), ErrorKind> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(max).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    if bytes.len() < max {
        return Err(not_enough(bytes.len() + 1, bytes.len()));
    }
    Err(ErrorKind::VarintTooLong)
}

/// The bytes a zigzag varint takes.
#[inline]
pub(crate) fn varlong_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a zigzag varint. One of 32 bits has the same bytes, so this serves both.
#[inline]
pub(crate) fn put_varlong(value: i64, out: &mut Vec<u8>) {
    put_uvarint(zigzag(value), out);
}

/// Appends an unsigned varint.
#[inline]
pub(crate) fn put_uvarint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_take_the_length_foretold() {
        let mut values = vec![0_i64, i64::MAX, i64::MIN, i32::MAX.into(), i32::MIN.into()];
        for shift in 0..63 {
            values.extend([1_i64 << shift, -(1_i64 << shift), (1 << shift) - 1]);
        }
        for value in values {
            let mut bytes = Vec::new();
            put_varlong(value, &mut bytes);
            assert_eq!(bytes.len(), varlong_len(value), "{value}");
            assert_eq!(Cursor::new(&bytes).varlong(), Ok(value));
            if let Ok(value) = i32::try_from(value) {
                let mut cursor = Cursor::new(&bytes);
                assert_eq!(cursor.varint(), Ok(value));
                assert_eq!(cursor.remaining(), 0);
            }
            for end in 0..bytes.len() {
                let error = Cursor::new(&bytes[..end]).varlong().unwrap_err();
                assert_eq!(
                    error,
                    ErrorKind::NotEnoughBytes {
                        needed: end + 1,
                        remaining: end
                    }
                );
            }
        }
    }

    #[test]
    fn known_bytes() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i32::MAX.into(), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN.into(), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_varlong(value, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn too_long_is_refused() {
        assert_eq!(
            Cursor::new(&[0x80; 5]).varint(),
            Err(ErrorKind::VarintTooLong)
        );
        assert_eq!(
            Cursor::new(&[0xff; 20]).varlong(),
            Err(ErrorKind::VarintTooLong)
        );
        let mut padded = Cursor::new(&[0x82, 0x80, 0x80, 0x80, 0x00]);
        assert_eq!(padded.varint(), Ok(1));
    }
}
