//! Reads primitive values from a frame; every length is checked before anything is allocated.

use std::borrow::Cow;

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind};
use super::{Array, Blob, Fixed, Limits, Read, ReadRun, Str, UnknownTags, Uuid};

type Result<T> = std::result::Result<T, DecodeError>;

/// The longest string in bytes, in flexible versions too.
pub(crate) const MAX_STRING_LEN: usize = i16::MAX as usize;

/// A position in a frame, and what may still be allocated on its behalf.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Length of the whole frame; offsets are what has been taken from it.
    len: usize,
    flexible: bool,
    budget: usize,
    limits: Limits,
    /// The frame as a value that can be shared; bytes and records are then parts of it.
    owner: Option<&'a Bytes>,
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

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`, for a version that is flexible or not.
    #[inline]
    pub fn new(bytes: &'a [u8], flexible: bool, limits: &Limits) -> Reader<'a> {
        Reader {
            rest: bytes,
            len: bytes.len(),
            flexible,
            budget: limits.max_allocated_bytes,
            limits: *limits,
            owner: None,
        }
    }

    /// A reader at the start of `frame` whose bytes and records share the frame.
    #[inline]
    pub fn sharing(frame: &'a Bytes, flexible: bool, limits: &Limits) -> Reader<'a> {
        Reader {
            owner: Some(frame),
            ..Reader::new(frame, flexible, limits)
        }
    }

    /// The bytes that have not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes have been read.
    #[inline]
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.offset())
    }

    #[cold]
    #[inline(never)]
    fn truncated(&self, wanted: usize) -> DecodeError {
        let left = self.rest.len();
        self.error(DecodeErrorKind::Truncated { wanted, left })
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        match self.rest.split_first_chunk() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
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
    pub fn run<const N: usize>(&mut self) -> Result<ReadRun<'a>> {
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
            _ => self.uvarint_slow(),
        }
    }

    #[inline(never)]
    fn uvarint_slow(&mut self) -> Result<u32> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(5).enumerate() {
            value |= u32::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        if self.rest.len() < 5 {
            return Err(self.truncated(self.rest.len() + 1));
        }
        Err(self.error(DecodeErrorKind::VarintTooLong))
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

    #[cold]
    #[inline(never)]
    fn unexpected_null(&self) -> DecodeError {
        self.error(DecodeErrorKind::UnexpectedNull)
    }

    #[inline]
    fn text(&mut self, len: usize) -> Result<Str<'a>> {
        if len > MAX_STRING_LEN {
            return Err(self.error(DecodeErrorKind::StringTooLong { len }));
        }
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => Err(self.error(DecodeErrorKind::InvalidUtf8)),
        }
    }

    /// Reads a string that may not be null.
    #[inline]
    pub fn string(&mut self) -> Result<Str<'a>> {
        match usize::try_from(self.string_len()?) {
            Ok(len) => self.text(len),
            Err(_) => Err(self.unexpected_null()),
        }
    }

    /// Reads a string; null passes if it is `allowed` in the version.
    #[inline]
    pub fn nullable_string(&mut self, allowed: bool) -> Result<Option<Str<'a>>> {
        match usize::try_from(self.string_len()?) {
            Ok(len) => self.text(len).map(Some),
            Err(_) if allowed => Ok(None),
            Err(_) => Err(self.unexpected_null()),
        }
    }

    #[inline]
    fn blob(&mut self, len: usize) -> Result<Blob<'a>> {
        let start = self.offset();
        let bytes = self.take(len)?;
        Ok(match self.owner {
            Some(frame) => Blob::Shared(frame.slice(start..start + len)),
            None => Blob::Borrowed(bytes),
        })
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

    #[cold]
    #[inline(never)]
    pub(crate) fn over_budget(&self) -> DecodeError {
        self.error(DecodeErrorKind::OverBudget {
            limit: self.limits.max_allocated_bytes,
        })
    }

    /// An empty vector with room for `len` elements, which the budget has paid for.
    #[inline]
    fn vec<T>(&mut self, len: usize) -> Result<Vec<T>> {
        self.charge(len.saturating_mul(size_of::<T>()))?;
        Ok(Vec::with_capacity(len))
    }

    #[inline]
    fn elements<T: Read<'a>>(&mut self, len: usize, version: i16) -> Result<Vec<T>> {
        let mut elements = self.vec(len)?;
        for _ in 0..len {
            // Decoded into its place: moving a large struct there costs as much as decoding it.
            elements.push(T::default());
            if let Some(element) = elements.last_mut() {
                element.read(self, version)?;
            }
        }
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
    #[inline]
    fn short_array<T: Fixed>(&mut self) -> Option<Array<'a, T>> {
        let (byte, rest) = self.rest.split_first()?;
        let len = usize::from(*byte).wrapping_sub(1);
        if !self.flexible || len >= 0x7f || len > self.limits.max_array_len as usize {
            return None;
        }
        let (elements, rest) = rest.split_at_checked(len * T::LEN)?;
        self.rest = rest;
        Some(Array::from_wire(elements))
    }

    #[inline(never)]
    fn long_array<T: Fixed>(&mut self) -> Result<Option<Array<'a, T>>> {
        match self.array_len(T::LEN)? {
            Some(len) => Ok(Some(Array::from_wire(self.take(len * T::LEN)?))),
            None => Ok(None),
        }
    }

    /// Reads an array of fixed-width elements that may not be null.
    #[inline]
    pub fn array<T: Fixed>(&mut self) -> Result<Array<'a, T>> {
        match self.short_array() {
            Some(array) => Ok(array),
            None => match self.long_array()? {
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
            None => match self.long_array()? {
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

    /// Reads a struct with a fresh value, for a tagged field that may come twice.
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

    /// Reads the end of a struct without known tagged fields.
    #[inline]
    pub fn end_struct(&mut self, unknown: &mut UnknownTags) -> Result<()> {
        if !self.flexible {
            return Ok(());
        }
        match self.rest.split_first() {
            Some((0, rest)) => {
                self.rest = rest;
                Ok(())
            }
            _ => self.unknown_tags(unknown),
        }
    }

    #[cold]
    #[inline(never)]
    fn unknown_tags(&mut self, unknown: &mut UnknownTags) -> Result<()> {
        for _ in 0..self.tag_count()? {
            let (tag, size) = self.tag()?;
            self.unknown_tag(unknown, tag, size)?;
        }
        Ok(())
    }

    /// Reads the number of tagged fields at the end of a struct.
    #[inline]
    pub fn tag_count(&mut self) -> Result<u32> {
        let count = self.uvarint()?;
        if count > self.limits.max_tagged_fields {
            return Err(self.error(DecodeErrorKind::TagsOverLimit {
                count: count as usize,
                limit: self.limits.max_tagged_fields as usize,
            }));
        }
        Ok(count)
    }

    /// Reads a tag and the size of its payload, which must be there.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, usize)> {
        let tag = self.uvarint()?;
        let size = self.uvarint()? as usize;
        if size > self.rest.len() {
            return Err(self.truncated(size));
        }
        Ok((tag, size))
    }

    /// Keeps the payload of a tag that the schema does not know.
    #[cold]
    #[inline(never)]
    pub fn unknown_tag(&mut self, unknown: &mut UnknownTags, tag: u32, size: usize) -> Result<()> {
        // A field costs many times over what the shortest takes on the wire, which is why their
        // number has a limit of its own.
        self.charge(size + unknown.growth())?;
        let data = self.take(size)?;
        unknown.push(tag, data.to_vec());
        Ok(())
    }

    /// Takes the payload of a tag that nobody wants to keep.
    pub(crate) fn skip_tag(&mut self, size: usize) -> Result<()> {
        self.take(size).map(drop)
    }

    /// Where a tagged field that begins here has to end.
    #[inline]
    pub fn tag_end(&self, size: usize) -> usize {
        self.rest.len() - size
    }

    /// Checks that a tagged field took as many bytes as it claimed.
    #[inline]
    pub fn check_tag_end(&self, tag: u32, size: usize, end: usize) -> Result<()> {
        if self.rest.len() == end {
            return Ok(());
        }
        let taken = (end + size).saturating_sub(self.rest.len());
        Err(self.error(DecodeErrorKind::TagSize {
            tag,
            claimed: size,
            taken,
        }))
    }

    /// A tag that the schema knows, but not in this version.
    #[cold]
    #[inline(never)]
    pub fn tag_not_in_version(&self, tag: u32) -> DecodeError {
        self.error(DecodeErrorKind::TagNotInVersion { tag })
    }

    /// Reads the following strings with an int16 length although the version is flexible, or
    /// ends that: the client id in the request header.
    #[inline]
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
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
