//! What becomes of strings, bytes and arrays of numbers when they are read.

use std::borrow::Cow;

use bytes::Bytes;

use super::array::SHORT_LEN;
use super::{Array, Blob, Fixed, Str};

/// How a reader of bytes that live for `'r` makes the leaves of a message that lives for `'a`.
///
/// The same generated code reads both kinds of message; which one is known when it is compiled.
pub trait Leaves<'r, 'a>: Clone {
    /// The bytes that a leaf allocates which takes `len` bytes and may be kept in a value of
    /// `inline` bytes. They are paid for from the frame's budget.
    fn allocated(len: usize, inline: usize) -> usize;

    /// A string.
    fn text(&self, text: &'r str) -> Str<'a>;

    /// Bytes or records.
    fn blob(&self, bytes: &'r [u8]) -> Blob<'a>;

    /// The elements of an array, which fill `wire`.
    fn array<T: Fixed>(&self, wire: &'r [u8]) -> Array<'a, T>;

    /// The same of an array with a length of one byte, with which `rest` of the frame begins.
    fn short_array<T: Fixed>(&self, wire: &'r [u8], rest: &'r [u8]) -> Array<'a, T>;
}

/// Leaves are parts of the bytes that are read.
#[derive(Clone, Copy, Debug)]
pub struct Borrowing;

impl<'a> Leaves<'a, 'a> for Borrowing {
    #[inline]
    fn allocated(_: usize, _: usize) -> usize {
        0
    }

    #[inline]
    fn text(&self, text: &'a str) -> Str<'a> {
        Cow::Borrowed(text)
    }

    #[inline]
    fn blob(&self, bytes: &'a [u8]) -> Blob<'a> {
        Blob::Borrowed(bytes)
    }

    #[inline]
    fn array<T: Fixed>(&self, wire: &'a [u8]) -> Array<'a, T> {
        Array::from_wire(wire)
    }

    #[inline]
    fn short_array<T: Fixed>(&self, wire: &'a [u8], _: &'a [u8]) -> Array<'a, T> {
        Array::from_wire(wire)
    }
}

/// Leaves live on their own: bytes and records share the frame, strings and arrays are copied.
#[derive(Clone, Copy, Debug)]
pub struct Sharing<'r>(pub(super) &'r Bytes);

impl<'r> Leaves<'r, 'static> for Sharing<'r> {
    #[inline]
    fn allocated(len: usize, inline: usize) -> usize {
        if len > inline { len } else { 0 }
    }

    #[inline]
    fn text(&self, text: &'r str) -> Str<'static> {
        Cow::Owned(text.into())
    }

    #[inline]
    fn blob(&self, bytes: &'r [u8]) -> Blob<'static> {
        Blob::Shared(self.0.slice_ref(bytes))
    }

    #[inline]
    fn array<T: Fixed>(&self, wire: &'r [u8]) -> Array<'static, T> {
        Array::from_wire(wire).into_owned()
    }

    #[inline]
    fn short_array<T: Fixed>(&self, wire: &'r [u8], rest: &'r [u8]) -> Array<'static, T> {
        match rest.first_chunk() {
            Some(short) if wire.len() <= SHORT_LEN => Array::from_short(*short),
            _ => self.array(wire),
        }
    }
}
