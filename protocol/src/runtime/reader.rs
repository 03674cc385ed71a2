//! Reads primitive values from a frame; every length is checked before anything is allocated.

mod fault;
mod tags;

use std::marker::PhantomData;

use bytes::Bytes;

use super::array::SHORT_LEN;
use super::error::{DecodeError, DecodeErrorKind};
use super::{Array, Blob, Borrowing, Fixed, Leaves, Limits, Read, ReadRun, Sharing, Str, Uuid};

type Result<T> = std::result::Result<T, DecodeError>;

/// The longest string in bytes, in flexible versions too.
pub(crate) const MAX_STRING_LEN: usize = i16::MAX as usize;

/// The longest length of one byte.
const MAX_SHORT_LEN: u32 = 0x7e;

/// A position in a frame that lives for `'r`, from which a message is read that lives for `'a`,
/// and what may still be allocated on its behalf.
#[derive(Clone, Debug)]
pub struct Reader<'r, 'a, L> {
    rest: &'r [u8],
    /// Length of the whole frame; offsets are what has been taken from it.
    len: usize,
    flexible: bool,
    /// Whether arrays may have as many elements as a length of one byte says, which spares those
    /// the comparison with the limit.
    has_short: bool,
    budget: usize,
    limits: Limits,
    leaves: L,
    message: PhantomData<&'a ()>,
}

macro_rules! read_fixed {
    ($($name:ident: $ty:ty;)*) => {$(
        #[doc = concat!("Reads a field of type `", stringify!($ty), "`.")]
        #[inline]
        pub fn $name(&mut self) -> Result<$ty> {
            self.take_array().map(|bytes| <$ty>::from_be_bytes(*bytes))
        }
    )*};
}

impl<'a> Reader<'a, 'a, Borrowing> {
    /// A reader at the start of `bytes`, for a version that is flexible or not; the message
    /// borrows from them.
    #[inline]
    pub fn new(bytes: &'a [u8], flexible: bool, limits: &Limits) -> Self {
        Reader::with_leaves(bytes, flexible, limits, Borrowing)
    }
}

impl<'r> Reader<'r, 'static, Sharing<'r>> {
    /// A reader at the start of `frame`; the message shares the frame's bytes and records, and
    /// has copies of the rest.
    #[inline]
    pub fn sharing(frame: &'r Bytes, flexible: bool, limits: &Limits) -> Self {
        Reader::with_leaves(frame, flexible, limits, Sharing(frame))
    }
}

impl<'r, 'a, L: Leaves<'r, 'a>> Reader<'r, 'a, L> {
    #[inline]
    fn with_leaves(bytes: &'r [u8], flexible: bool, limits: &Limits, leaves: L) -> Self {
        Reader {
            rest: bytes,
            len: bytes.len(),
            flexible,
            has_short: flexible && limits.max_array_len >= MAX_SHORT_LEN,
            budget: limits.max_allocated_bytes,
            limits: *limits,
            leaves,
            message: PhantomData,
        }
    }

    /// The bytes that have not been read.
    #[inline]
    pub fn rest(&self) -> &'r [u8] {
        self.rest
    }

    /// The limits that it keeps to.
    #[inline]
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// How many bytes have been read.
    #[inline]
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    #[inline]
    pub(crate) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.offset())
    }

    #[inline]
    fn truncated(&self, wanted: usize) -> DecodeError {
        fault::truncated(wanted, self.rest.len(), self.len)
    }

    /// Does what is rare with a copy, so that no address of this reader leaves the function that
    /// has it: the compiler then keeps the position in registers instead of in memory, which is
    /// a third of the time that decoding takes.
    #[inline(always)]
    fn aside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut copy = self.clone();
        let value = read(&mut copy)?;
        self.rest = copy.rest;
        self.budget = copy.budget;
        Ok(value)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<&'r [u8; N]> {
        match self.rest.split_first_chunk() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'r [u8]> {
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.truncated(len)),
        }
    }

    read_fixed! {
        i8: i8; i16: i16; u16: u16; i32: i32; u32: u32; i64: i64; f64: f64;
    }

    /// Reads a field of type `bool`: anything but zero is true, as in Java.
    #[inline]
    pub fn bool(&mut self) -> Result<bool> {
        self.take_array().map(|byte| *byte != [0])
    }

    /// Reads a field of type `uuid`.
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid> {
        self.take_array().map(|bytes| Uuid::from_bytes(*bytes))
    }

    /// Takes the bytes of neighbouring fields of fixed width, `N` in all.
    #[inline]
    pub fn run<const N: usize>(&mut self) -> Result<ReadRun<'r>> {
        self.take_array::<N>().map(ReadRun::new)
    }

    /// Reads an unsigned varint. As in Java, bits beyond the 32nd are lost and overlong forms pass.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32> {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                Ok(u32::from(*byte))
            }
            _ => {
                let (value, taken) = long_uvarint(self.rest);
                match self.rest.get(taken..) {
                    Some(rest) if taken > 0 => {
                        self.rest = rest;
                        Ok(value)
                    }
                    _ => Err(fault::bad_uvarint(self.rest.len(), self.len)),
                }
            }
        }
    }

    /// A length that is stored plus one; negative means null. In Java this is an `int`.
    #[inline]
    fn compact_len(&mut self) -> Result<i32> {
        self.uvarint().map(|n| (n as i32).wrapping_sub(1))
    }

    #[inline]
    fn string_len(&mut self) -> Result<i32> {
        if self.flexible {
            self.compact_len()
        } else {
            self.i16().map(i32::from)
        }
    }

    #[inline]
    fn long_len(&mut self) -> Result<i32> {
        if self.flexible {
            self.compact_len()
        } else {
            self.i32()
        }
    }

    #[inline]
    fn unexpected_null(&self) -> DecodeError {
        fault::unexpected_null(self.offset())
    }

    fn text(&mut self, len: usize) -> Result<Str<'a>> {
        if len > MAX_STRING_LEN {
            return Err(self.error(DecodeErrorKind::StringTooLong { len }));
        }
        self.charge(L::allocated(len, 0))?;
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(self.leaves.text(text)),
            Err(_) => Err(self.error(DecodeErrorKind::InvalidUtf8)),
        }
    }

    #[inline(never)]
    fn long_string(&mut self) -> Result<Option<Str<'a>>> {
        match usize::try_from(self.string_len()?) {
            Ok(len) => self.text(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A length of one byte, as nearly all lengths are in flexible versions, and what follows it.
    #[inline]
    fn short_len(&self) -> Option<(usize, &'r [u8])> {
        let (byte, rest) = self.rest.split_first()?;
        let len = usize::from(*byte).wrapping_sub(1);
        (len <= MAX_SHORT_LEN as usize).then_some((len, rest))
    }

    /// Takes a string whose length is one byte.
    #[inline]
    fn short_string(&mut self) -> Option<Str<'a>> {
        if !self.flexible {
            return None;
        }
        let (len, rest) = self.short_len()?;
        let (text, rest) = rest.split_at_checked(len)?;
        let text = std::str::from_utf8(text).ok()?;
        self.budget = self.budget.checked_sub(L::allocated(len, 0))?;
        self.rest = rest;
        Some(self.leaves.text(text))
    }

    /// Reads a string that may not be null.
    #[inline]
    pub fn string(&mut self) -> Result<Str<'a>> {
        if let Some(text) = self.short_string() {
            return Ok(text);
        }
        match self.aside(Self::long_string)? {
            Some(text) => Ok(text),
            None => Err(self.unexpected_null()),
        }
    }

    /// Reads a string; null passes if it is `allowed` in the version.
    #[inline]
    pub fn nullable_string(&mut self, allowed: bool) -> Result<Option<Str<'a>>> {
        if let Some(text) = self.short_string() {
            return Ok(Some(text));
        }
        match self.aside(Self::long_string)? {
            None if !allowed => Err(self.unexpected_null()),
            text => Ok(text),
        }
    }

    #[inline]
    fn blob(&mut self, len: usize) -> Result<Blob<'a>> {
        let bytes = self.take(len)?;
        Ok(self.leaves.blob(bytes))
    }

    /// Reads bytes or records that may not be null.
    #[inline]
    pub fn bytes(&mut self) -> Result<Blob<'a>> {
        match usize::try_from(self.long_len()?) {
            Ok(len) => self.blob(len),
            Err(_) => Err(self.unexpected_null()),
        }
    }

    /// Reads bytes or records; null passes if it is `allowed` in the version.
    #[inline]
    pub fn nullable_bytes(&mut self, allowed: bool) -> Result<Option<Blob<'a>>> {
        match usize::try_from(self.long_len()?) {
            Ok(len) => self.blob(len).map(Some),
            Err(_) if allowed => Ok(None),
            Err(_) => Err(self.unexpected_null()),
        }
    }

    /// Reads an array's length, and refuses it unless its elements can be there.
    /// `min_len` is the least that an element takes on the wire.
    #[inline]
    pub(crate) fn array_len(&mut self, min_len: usize) -> Result<Option<usize>> {
        if self.has_short
            && let Some((len, rest)) = self.short_len()
            && len * min_len.max(1) <= rest.len()
        {
            self.rest = rest;
            return Ok(Some(len));
        }
        self.aside(|r| r.long_array_len(min_len))
    }

    #[inline(never)]
    fn long_array_len(&mut self, min_len: usize) -> Result<Option<usize>> {
        let Ok(len) = usize::try_from(self.long_len()?) else {
            return Ok(None);
        };
        let left = self.rest.len();
        if len.saturating_mul(min_len.max(1)) > left {
            return Err(self.error(DecodeErrorKind::ArrayTooLong { len, left }));
        }
        if len > self.limits.max_array_len as usize {
            let limit = self.limits.max_array_len as usize;
            return Err(self.error(DecodeErrorKind::ArrayOverLimit { len, limit }));
        }
        Ok(Some(len))
    }

    /// Reads an array's length without asking whether its elements can be there.
    pub(crate) fn raw_array_len(&mut self) -> Result<Option<usize>> {
        self.long_len().map(|len| usize::try_from(len).ok())
    }

    /// Takes `bytes` out of the frame's budget before they are allocated.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<()> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(self.over_budget()),
        }
    }

    #[inline]
    pub(crate) fn over_budget(&self) -> DecodeError {
        fault::over_budget(self.limits.max_allocated_bytes, self.offset())
    }

    /// An empty vector with room for `len` elements, which the budget has paid for. A struct of no
    /// fields takes no memory and no bytes, but reading it takes time: it is not free either.
    #[inline]
    fn vec<T>(&mut self, len: usize) -> Result<Vec<T>> {
        self.charge(len.saturating_mul(size_of::<T>().max(1)))?;
        Ok(Vec::with_capacity(len))
    }

    #[inline]
    fn elements<T: Read<'a>>(&mut self, len: usize, version: i16) -> Result<Vec<T>> {
        let mut elements = self.vec(len)?;
        // Decoded into their places: moving a large struct there costs as much as decoding it.
        elements.resize_with(len, T::default);
        self.aside(|r| {
            for element in &mut elements {
                element.read(r, version)?;
            }
            Ok(())
        })?;
        Ok(elements)
    }

    /// Reads an array of structs that may not be null.
    #[inline]
    pub fn structs<T: Read<'a>>(&mut self, version: i16) -> Result<Vec<T>> {
        match self.array_len(T::MIN_LEN)? {
            Some(len) => self.elements(len, version),
            None => Err(self.unexpected_null()),
        }
    }

    /// Reads an array of structs; null passes if it is `allowed` in the version.
    #[inline]
    pub fn nullable_structs<T: Read<'a>>(
        &mut self,
        allowed: bool,
        version: i16,
    ) -> Result<Option<Vec<T>>> {
        match self.array_len(T::MIN_LEN)? {
            Some(len) => self.elements(len, version).map(Some),
            None if allowed => Ok(None),
            None => Err(self.unexpected_null()),
        }
    }

    /// Takes an array of fixed-width elements whose length is one byte, as nearly all are.
    #[inline(always)]
    fn short_array<T: Fixed>(&mut self) -> Option<Array<'a, T>> {
        if !self.has_short {
            return None;
        }
        let (len, rest) = self.short_len()?;
        let (elements, after) = rest.split_at_checked(len * T::LEN)?;
        let allocated = L::allocated(elements.len(), SHORT_LEN);
        self.budget = self.budget.checked_sub(allocated)?;
        let array = self.leaves.short_array(elements, self.rest);
        self.rest = after;
        Some(array)
    }

    #[inline(never)]
    fn long_array<T: Fixed>(&mut self) -> Result<Option<Array<'a, T>>> {
        match self.array_len(T::LEN)? {
            Some(len) => {
                self.charge(L::allocated(len * T::LEN, SHORT_LEN))?;
                let elements = self.take(len * T::LEN)?;
                Ok(Some(self.leaves.array(elements)))
            }
            None => Ok(None),
        }
    }

    /// Reads an array of fixed-width elements that may not be null.
    #[inline(always)]
    pub fn array<T: Fixed>(&mut self) -> Result<Array<'a, T>> {
        match self.short_array() {
            Some(array) => Ok(array),
            None => match self.aside(Self::long_array)? {
                Some(array) => Ok(array),
                None => Err(self.unexpected_null()),
            },
        }
    }

    /// Reads an array of fixed-width elements; null passes if it is `allowed` in the version.
    #[inline]
    pub fn nullable_array<T: Fixed>(&mut self, allowed: bool) -> Result<Option<Array<'a, T>>> {
        match self.short_array() {
            Some(array) => Ok(Some(array)),
            None => match self.aside(Self::long_array)? {
                Some(array) => Ok(Some(array)),
                None if allowed => Ok(None),
                None => Err(self.unexpected_null()),
            },
        }
    }

    fn string_elements(&mut self, len: usize) -> Result<Vec<Str<'a>>> {
        let mut strings = self.vec(len)?;
        for _ in 0..len {
            strings.push(self.string()?);
        }
        Ok(strings)
    }

    /// Reads an array of strings that may not be null.
    pub fn strings(&mut self) -> Result<Vec<Str<'a>>> {
        match self.array_len(1)? {
            Some(len) => self.string_elements(len),
            None => Err(self.unexpected_null()),
        }
    }

    /// Reads an array of strings; null passes if it is `allowed` in the version.
    pub fn nullable_strings(&mut self, allowed: bool) -> Result<Option<Vec<Str<'a>>>> {
        match self.array_len(1)? {
            Some(len) => self.string_elements(len).map(Some),
            None if allowed => Ok(None),
            None => Err(self.unexpected_null()),
        }
    }

    fn blob_elements(&mut self, len: usize) -> Result<Vec<Blob<'a>>> {
        let mut blobs = self.vec(len)?;
        for _ in 0..len {
            blobs.push(self.bytes()?);
        }
        Ok(blobs)
    }

    /// Reads an array of byte strings that may not be null.
    pub fn blobs(&mut self) -> Result<Vec<Blob<'a>>> {
        match self.array_len(1)? {
            Some(len) => self.blob_elements(len),
            None => Err(self.unexpected_null()),
        }
    }

    /// Reads an array of byte strings; null passes if it is `allowed` in the version.
    pub fn nullable_blobs(&mut self, allowed: bool) -> Result<Option<Vec<Blob<'a>>>> {
        match self.array_len(1)? {
            Some(len) => self.blob_elements(len).map(Some),
            None if allowed => Ok(None),
            None => Err(self.unexpected_null()),
        }
    }

    /// Reads a struct over a fresh value in its place, for a tagged field that may come twice.
    ///
    /// A struct read elsewhere and moved there is read back in wider pieces than those in which it
    /// was just stored, for which the processor waits until the stores are done.
    #[inline]
    pub fn replace<T: Read<'a>>(&mut self, value: &mut T, version: i16) -> Result<()> {
        *value = T::default();
        value.read(self, version)
    }

    /// Reads a struct into a fresh value.
    #[inline]
    pub fn value<T: Read<'a>>(&mut self, version: i16) -> Result<T> {
        let mut value = T::default();
        value.read(self, version)?;
        Ok(value)
    }

    /// Reads an untagged struct behind its marker byte; null passes if it is `allowed`.
    #[inline]
    pub fn nullable_struct<T: Read<'a>>(
        &mut self,
        allowed: bool,
        version: i16,
    ) -> Result<Option<T>> {
        match self.i8()? {
            0.. => self.value(version).map(Some),
            _ if allowed => Ok(None),
            _ => Err(self.unexpected_null()),
        }
    }

    /// Reads what comes before a tagged struct that may be null: whether it is not. As in Java, a
    /// varint that is negative as an `int` means null, as zero does.
    #[inline]
    pub(crate) fn tagged_struct_is_there(&mut self) -> Result<bool> {
        self.uvarint().map(|marker| marker as i32 > 0)
    }

    /// Reads a tagged struct that may be null.
    #[inline]
    pub fn nullable_tagged_struct<T: Read<'a>>(&mut self, version: i16) -> Result<Option<T>> {
        match self.tagged_struct_is_there()? {
            false => Ok(None),
            true => self.value(version).map(Some),
        }
    }

    /// Reads the following strings with an int16 length although the version is flexible, or
    /// ends that: the client id in the request header.
    #[inline]
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
        self.has_short = flexible && self.limits.max_array_len >= MAX_SHORT_LEN;
    }

    /// Fails if bytes are left.
    #[inline]
    pub fn finish(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.error(DecodeErrorKind::TrailingBytes { left })),
        }
    }
}

/// The value of a varint of up to five bytes, and how many it takes; none if it does not end.
#[inline(never)]
fn long_uvarint(bytes: &[u8]) -> (u32, usize) {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return (value, index + 1);
        }
    }
    (0, 0)
}
