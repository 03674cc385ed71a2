//! Where encoded bytes go: into a buffer, or merely counted.

mod counter;
pub(crate) mod segments;
mod writer;

pub use counter::Counter;
pub use writer::Writer;

use crate::runtime::error::{EncodeError, EncodeErrorKind};
use crate::runtime::reader::MAX_STRING_LEN;
use crate::runtime::{Array, Blob, Fixed, Str, UnknownTags, Uuid, Write, WriteRun};

type Result<T> = std::result::Result<T, EncodeError>;

/// Where a tagged field began, to be given back at its end.
#[derive(Debug)]
#[must_use = "a tagged field needs its size"]
pub struct TagMark {
    at: usize,
}

/// Takes the bytes of a message, which lives for `'m`. The same generated code writes, counts, and
/// leaves bulk bytes where they are.
pub trait Sink<'m> {
    /// Whether the version has compact encodings and tagged fields.
    fn flexible(&self) -> bool;

    /// Writes the following strings with an int16 length although the version is flexible, or
    /// ends that: the client id in the request header.
    fn set_flexible(&mut self, flexible: bool);

    /// Puts bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    /// Puts an array's elements.
    fn put_array<T: Fixed>(&mut self, array: &Array<'_, T>);

    /// Begins a tagged field.
    fn begin_tag(&mut self, tag: u32) -> TagMark;

    /// Ends a tagged field: now its size is known.
    fn end_tag(&mut self, mark: TagMark);

    /// Does what is rare in a way that keeps the sink's address from leaving the caller, where
    /// that is cheap: the compiler can then hold its state in registers.
    #[inline(always)]
    fn aside<T>(&mut self, put: impl FnOnce(&mut Self) -> T) -> T {
        put(self)
    }

    /// Puts a few bytes whose number is known.
    #[inline(always)]
    fn put_fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put(&bytes);
    }

    /// Puts neighbouring fields of fixed width.
    #[inline(always)]
    fn run<const N: usize>(&mut self, run: WriteRun<N>) {
        self.put_fixed(run.finish());
    }

    /// Puts a field of type `bool`.
    #[inline]
    fn bool(&mut self, value: bool) {
        self.put_fixed([u8::from(value)]);
    }

    /// Puts a field of type `int8`.
    #[inline]
    fn i8(&mut self, value: i8) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `int16`.
    #[inline]
    fn i16(&mut self, value: i16) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `uint16`.
    #[inline]
    fn u16(&mut self, value: u16) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `int32`.
    #[inline]
    fn i32(&mut self, value: i32) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `uint32`.
    #[inline]
    fn u32(&mut self, value: u32) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `int64`.
    #[inline]
    fn i64(&mut self, value: i64) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `float64`.
    #[inline]
    fn f64(&mut self, value: f64) {
        self.put_fixed(value.to_be_bytes());
    }

    /// Puts a field of type `uuid`.
    #[inline]
    fn uuid(&mut self, value: Uuid) {
        self.put_fixed(value.to_bytes());
    }

    /// Puts an unsigned varint.
    #[inline]
    fn uvarint(&mut self, value: u32) {
        if value < 0x80 {
            self.put_fixed([value as u8]);
        } else {
            self.long_uvarint(value);
        }
    }

    /// Puts an unsigned varint of more than one byte.
    #[inline(never)]
    fn long_uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.put_fixed([value as u8 | 0x80]);
            value >>= 7;
        }
        self.put_fixed([value as u8]);
    }

    /// Puts a string.
    ///
    /// # Errors
    /// When it is longer than 32767 bytes.
    #[inline(always)]
    fn string(&mut self, text: &str) -> Result<()> {
        if self.flexible() && text.len() < 0x7f {
            self.put_fixed([text.len() as u8 + 1]);
            self.put(text.as_bytes());
            return Ok(());
        }
        self.aside(|s| s.long_string(text))
    }

    /// Puts a string whose length takes more than a byte.
    ///
    /// # Errors
    /// When it is longer than 32767 bytes.
    #[inline(never)]
    fn long_string(&mut self, text: &str) -> Result<()> {
        let len = text.len();
        if len > MAX_STRING_LEN {
            return Err(EncodeError::new(EncodeErrorKind::StringTooLong { len }));
        }
        if self.flexible() {
            self.uvarint(len as u32 + 1);
        } else {
            self.i16(len as i16);
        }
        self.put(text.as_bytes());
        Ok(())
    }

    /// Puts a string, or null if that is `allowed` in the version.
    ///
    /// # Errors
    /// When it is null and may not be, or too long.
    #[inline(always)]
    fn nullable_string(&mut self, text: &Option<Str<'_>>, allowed: bool) -> Result<()> {
        match text {
            Some(text) => self.string(text),
            None => {
                check_null(allowed)?;
                if self.flexible() {
                    self.put_fixed([0]);
                } else {
                    self.i16(-1);
                }
                Ok(())
            }
        }
    }

    /// Puts the length of bytes or of an array.
    ///
    /// # Errors
    /// When it is over `i32::MAX`.
    #[inline(always)]
    fn long_len(&mut self, len: usize) -> Result<()> {
        // In the compact form the length plus one has to fit.
        let Ok(len) = i32::try_from(len) else {
            return Err(EncodeError::new(EncodeErrorKind::TooLong { len }));
        };
        if self.flexible() {
            self.uvarint(len as u32 + 1);
        } else {
            self.i32(len);
        }
        Ok(())
    }

    /// Puts the null of bytes or of an array.
    ///
    /// # Errors
    /// When it is not `allowed` in the version.
    #[inline]
    fn long_null(&mut self, allowed: bool) -> Result<()> {
        check_null(allowed)?;
        if self.flexible() {
            self.put_fixed([0]);
        } else {
            self.i32(-1);
        }
        Ok(())
    }

    /// Puts bytes or records.
    ///
    /// # Errors
    /// When they are too long.
    #[inline]
    fn bytes(&mut self, blob: &'m Blob<'m>) -> Result<()> {
        self.long_len(blob.len())?;
        self.put(blob);
        Ok(())
    }

    /// Puts bytes or records, or null if that is `allowed` in the version.
    ///
    /// # Errors
    /// When they are null and may not be, or too long.
    #[inline]
    fn nullable_bytes(&mut self, blob: &'m Option<Blob<'m>>, allowed: bool) -> Result<()> {
        match blob {
            Some(blob) => self.bytes(blob),
            None => self.long_null(allowed),
        }
    }

    /// Puts an array of fixed-width elements.
    ///
    /// # Errors
    /// When it is too long.
    #[inline]
    fn array<T: Fixed>(&mut self, array: &Array<'_, T>) -> Result<()> {
        self.long_len(array.len())?;
        self.put_array(array);
        Ok(())
    }

    /// Puts an array of fixed-width elements, or null if that is `allowed` in the version.
    ///
    /// # Errors
    /// When it is null and may not be, or too long.
    #[inline]
    fn nullable_array<T: Fixed>(
        &mut self,
        array: &Option<Array<'_, T>>,
        allowed: bool,
    ) -> Result<()> {
        match array {
            Some(array) => self.array(array),
            None => self.long_null(allowed),
        }
    }

    /// Puts an array of strings.
    ///
    /// # Errors
    /// When it or one of them is too long.
    fn strings(&mut self, strings: &[Str<'_>]) -> Result<()> {
        self.long_len(strings.len())?;
        for text in strings {
            self.string(text)?;
        }
        Ok(())
    }

    /// Puts an array of strings, or null if that is `allowed` in the version.
    ///
    /// # Errors
    /// When it is null and may not be, or something is too long.
    fn nullable_strings(&mut self, strings: &Option<Vec<Str<'_>>>, allowed: bool) -> Result<()> {
        match strings {
            Some(strings) => self.strings(strings),
            None => self.long_null(allowed),
        }
    }

    /// Puts an array of byte strings.
    ///
    /// # Errors
    /// When it or one of them is too long.
    fn blobs(&mut self, blobs: &'m [Blob<'m>]) -> Result<()> {
        self.long_len(blobs.len())?;
        for blob in blobs {
            self.bytes(blob)?;
        }
        Ok(())
    }

    /// Puts an array of byte strings, or null if that is `allowed` in the version.
    ///
    /// # Errors
    /// When it is null and may not be, or something is too long.
    fn nullable_blobs(&mut self, blobs: &'m Option<Vec<Blob<'m>>>, allowed: bool) -> Result<()> {
        match blobs {
            Some(blobs) => self.blobs(blobs),
            None => self.long_null(allowed),
        }
    }

    /// Puts an array of structs.
    ///
    /// # Errors
    /// When one of them cannot be written in the version.
    #[inline]
    fn structs<T: Write>(&mut self, structs: &'m [T], version: i16) -> Result<()>
    where
        Self: Sized,
    {
        self.long_len(structs.len())?;
        for element in structs {
            element.write(self, version)?;
        }
        Ok(())
    }

    /// Puts an array of structs, or null if that is `allowed` in the version.
    ///
    /// # Errors
    /// When it is null and may not be, or one of them cannot be written in the version.
    #[inline]
    fn nullable_structs<T: Write>(
        &mut self,
        structs: &'m Option<Vec<T>>,
        allowed: bool,
        version: i16,
    ) -> Result<()>
    where
        Self: Sized,
    {
        match structs {
            Some(structs) => self.structs(structs, version),
            None => self.long_null(allowed),
        }
    }

    /// Puts an untagged struct behind its marker byte, or null if that is `allowed`.
    ///
    /// # Errors
    /// When it is null and may not be, or cannot be written in the version.
    #[inline]
    fn nullable_struct<T: Write>(
        &mut self,
        value: &'m Option<T>,
        allowed: bool,
        version: i16,
    ) -> Result<()>
    where
        Self: Sized,
    {
        match value {
            Some(value) => {
                self.i8(1);
                value.write(self, version)
            }
            None => {
                check_null(allowed)?;
                self.i8(-1);
                Ok(())
            }
        }
    }

    /// Puts a struct that the type allows to be null and the version does not.
    ///
    /// # Errors
    /// When it is null, or cannot be written in the version.
    #[inline]
    fn required_struct<T: Write>(&mut self, value: &'m Option<T>, version: i16) -> Result<()>
    where
        Self: Sized,
    {
        match value {
            Some(value) => value.write(self, version),
            None => Err(EncodeError::new(EncodeErrorKind::UnexpectedNull)),
        }
    }

    /// Puts a tagged struct that may be null: a varint comes first, zero for null.
    ///
    /// # Errors
    /// When it cannot be written in the version.
    #[inline]
    fn nullable_tagged_struct<T: Write>(&mut self, value: &'m Option<T>, version: i16) -> Result<()>
    where
        Self: Sized,
    {
        match value {
            Some(value) => {
                self.uvarint(1);
                value.write(self, version)
            }
            None => {
                self.uvarint(0);
                Ok(())
            }
        }
    }

    /// Puts the end of a struct without known tagged fields.
    ///
    /// # Errors
    /// When unknown tagged fields are not ascending, or the version has none.
    #[inline(always)]
    fn end_struct(&mut self, unknown: &UnknownTags) -> Result<()> {
        if unknown.is_empty() {
            if self.flexible() {
                self.put_fixed([0]);
            }
            return Ok(());
        }
        self.aside(|s| s.end_struct_slow(unknown))
    }

    /// Puts the last fields of a struct without known tagged fields, and its end: the run has a
    /// byte more than the fields take, which is the number of tagged fields if there are none.
    ///
    /// # Errors
    /// When unknown tagged fields are not ascending, or the version has none.
    #[inline(always)]
    fn run_to_end<const N: usize>(
        &mut self,
        run: WriteRun<N>,
        unknown: &UnknownTags,
    ) -> Result<()> {
        if self.flexible() && unknown.is_empty() {
            self.run(run);
            return Ok(());
        }
        let bytes = run.finish();
        self.aside(|s| s.run_to_end_slow(bytes, unknown))
    }

    /// The same where the end is not a zero byte. It gets the bytes as a value, for the run not to
    /// be in memory elsewhere: reading wider than it was written would wait for the writes.
    ///
    /// # Errors
    /// When unknown tagged fields are not ascending, or the version has none.
    #[inline(never)]
    fn run_to_end_slow<const N: usize>(
        &mut self,
        bytes: [u8; N],
        unknown: &UnknownTags,
    ) -> Result<()> {
        self.put(bytes.get(..N - 1).unwrap_or(&[]));
        self.end_struct(unknown)
    }

    /// Puts the end of a struct that has unknown tagged fields and no known ones.
    ///
    /// # Errors
    /// When they are not ascending, or the version has no tagged fields.
    #[cold]
    #[inline(never)]
    fn end_struct_slow(&mut self, unknown: &UnknownTags) -> Result<()> {
        if !self.flexible() {
            return Err(EncodeError::new(EncodeErrorKind::TagsNotInVersion));
        }
        self.tag_count(0, unknown);
        self.unknown_tags(unknown, 0)
    }

    /// Puts the number of tagged fields: the known ones that are set, and the unknown ones.
    #[inline(always)]
    fn tag_count(&mut self, known: usize, unknown: &UnknownTags) {
        if unknown.is_empty() {
            self.uvarint(known as u32);
        } else {
            self.uvarint((known + unknown.as_slice().len()) as u32);
        }
    }

    /// Puts unknown tagged fields behind the known ones, whose tags are below `known`.
    ///
    /// # Errors
    /// When they are not ascending, or have tags of the schema.
    #[inline(always)]
    fn unknown_tags(&mut self, unknown: &UnknownTags, known: u32) -> Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        self.aside(|s| s.unknown_tags_slow(unknown, known))
    }

    /// Puts unknown tagged fields, of which there are some.
    ///
    /// # Errors
    /// When they are not ascending, or have tags of the schema or too high ones.
    #[cold]
    #[inline(never)]
    fn unknown_tags_slow(&mut self, unknown: &UnknownTags, known: u32) -> Result<()> {
        let mut previous = None;
        for field in unknown.as_slice() {
            let tag = field.tag;
            if tag < known {
                return Err(EncodeError::new(EncodeErrorKind::KnownTag { tag }));
            }
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(EncodeError::new(EncodeErrorKind::TagOrder { tag }));
            }
            if tag >= i32::MAX as u32 {
                return Err(EncodeError::new(EncodeErrorKind::TagTooHigh { tag }));
            }
            previous = Some(tag);
            self.uvarint(tag);
            let len = field.data.len();
            let Ok(size) = u32::try_from(len) else {
                return Err(EncodeError::new(EncodeErrorKind::TooLong { len }));
            };
            self.uvarint(size);
            self.put(&field.data);
        }
        Ok(())
    }
}

#[inline]
fn check_null(allowed: bool) -> Result<()> {
    if allowed {
        Ok(())
    } else {
        Err(EncodeError::new(EncodeErrorKind::UnexpectedNull))
    }
}
