//! Runs: neighbouring fields of fixed width, read and written with one bounds check.

use super::Uuid;

/// The bytes of a run being read. Offsets are constants once inlined.
pub struct ReadRun<'a> {
    rest: &'a [u8],
}

macro_rules! read_run {
    ($($name:ident: $ty:ty;)*) => {$(
        #[doc = concat!("The next field, of type `", stringify!($ty), "`.")]
        #[inline(always)]
        pub fn $name(&mut self) -> $ty {
            <$ty>::from_be_bytes(self.take())
        }
    )*};
}

impl<'a> ReadRun<'a> {
    #[inline(always)]
    pub(crate) fn new<const N: usize>(bytes: &'a [u8; N]) -> ReadRun<'a> {
        ReadRun { rest: bytes }
    }

    /// The generator asks for as many bytes as the fields have, so that there is always enough;
    /// the compiler sees it too and drops the other branch.
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                *head
            }
            None => [0; N],
        }
    }

    read_run! {
        i8: i8; i16: i16; u16: u16; i32: i32; u32: u32; i64: i64; f64: f64;
    }

    /// The next field, of type `bool`: anything but zero is true, as in Java.
    #[inline(always)]
    pub fn bool(&mut self) -> bool {
        self.take::<1>() != [0]
    }

    /// The next field, of type `Uuid`.
    #[inline(always)]
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_bytes(self.take())
    }
}

/// The bytes of a run being written, of which there are `N` in the end.
pub struct WriteRun<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

macro_rules! write_run {
    ($($name:ident: $ty:ty;)*) => {$(
        #[doc = concat!("Puts the next field, of type `", stringify!($ty), "`.")]
        #[inline(always)]
        pub fn $name(&mut self, value: $ty) {
            self.put(value.to_be_bytes());
        }
    )*};
}

impl<const N: usize> WriteRun<N> {
    /// A run with no fields put yet.
    #[inline(always)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> WriteRun<N> {
        WriteRun {
            bytes: [0; N],
            at: 0,
        }
    }

    #[inline(always)]
    fn put<const M: usize>(&mut self, value: [u8; M]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + M) {
            place.copy_from_slice(&value);
        }
        self.at += M;
    }

    write_run! {
        i8: i8; i16: i16; u16: u16; i32: i32; u32: u32; i64: i64; f64: f64;
    }

    /// Puts the tag and the size of a tagged field of fixed width, both below 128.
    #[inline(always)]
    pub fn tag(&mut self, tag: u8, size: u8) {
        self.put([tag, size]);
    }

    /// Puts the next field, of type `bool`.
    #[inline(always)]
    pub fn bool(&mut self, value: bool) {
        self.put([u8::from(value)]);
    }

    /// Puts the next field, of type `Uuid`.
    #[inline(always)]
    pub fn uuid(&mut self, value: Uuid) {
        self.put(value.to_bytes());
    }

    #[inline(always)]
    pub(crate) fn finish(self) -> [u8; N] {
        self.bytes
    }
}
