//! Arrays of fixed-width elements, left as bytes until somebody reads them.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::Uuid;

/// An element type of one width on the wire.
pub trait Fixed: Copy + PartialEq + fmt::Debug + 'static {
    /// The width on the wire in bytes.
    const LEN: usize;
    /// As many bytes as an element takes.
    type Bytes: AsRef<[u8]>;

    /// The element in `bytes`, of which there are [`Fixed::LEN`].
    fn read(bytes: &[u8]) -> Self;
    /// The element's bytes.
    fn to_wire(self) -> Self::Bytes;
}

macro_rules! fixed {
    ($($ty:ty)*) => {$(
        impl Fixed for $ty {
            const LEN: usize = size_of::<$ty>();
            type Bytes = [u8; size_of::<$ty>()];

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(Default::default(), |b| <$ty>::from_be_bytes(*b))
            }

            #[inline]
            fn to_wire(self) -> Self::Bytes {
                self.to_be_bytes()
            }
        }
    )*};
}

fixed!(i8 i16 i32 i64 u16 u32 f64);

impl Fixed for bool {
    const LEN: usize = 1;
    type Bytes = [u8; 1];

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        bytes.first().is_some_and(|b| *b != 0)
    }

    #[inline]
    fn to_wire(self) -> [u8; 1] {
        [u8::from(self)]
    }
}

impl Fixed for Uuid {
    const LEN: usize = 16;
    type Bytes = [u8; 16];

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        bytes
            .first_chunk()
            .map_or(Uuid::ZERO, |b| Uuid::from_bytes(*b))
    }

    #[inline]
    fn to_wire(self) -> [u8; 16] {
        self.to_bytes()
    }
}

/// An array of numbers or UUIDs: big-endian bytes of the frame, or a vector.
///
/// A Metadata response has three such arrays for each partition; making a vector of each is
/// what decoding it costs elsewhere.
#[derive(Clone)]
pub struct Array<'a, T>(Repr<'a, T>);

/// The most bytes that fit into the value itself: with three replicas, nearly every array of a
/// Metadata response.
pub(crate) const SHORT_LEN: usize = 15;

/// A short array as flexible versions have it: the number of elements plus one, then the
/// elements. What follows them does not matter.
///
/// All sixteen bytes are copied from a frame at once, and into one: copying as many as there are
/// would be a call.
pub(crate) type ShortWire = [u8; 1 + SHORT_LEN];

#[derive(Clone)]
enum Repr<'a, T> {
    /// A whole number of elements as they are on the wire.
    Wire(&'a [u8]),
    /// The same, of at most [`SHORT_LEN`] bytes, without a frame and without an allocation.
    Short(ShortWire),
    Owned(Vec<T>),
}

/// Where the elements of an array are.
enum Place<'s, T> {
    Wire(&'s [u8]),
    Owned(&'s [T]),
}

/// The bytes that the elements of a short array take.
#[inline]
fn short_len<T: Fixed>(wire: &ShortWire) -> usize {
    usize::from(wire[0]).saturating_sub(1) * T::LEN
}

impl<'a, T: Fixed> Array<'a, T> {
    /// An array with no elements.
    pub const EMPTY: Array<'static, T> = Array(Repr::Owned(Vec::new()));

    /// The elements in `bytes`; what does not fill an element at the end is left out.
    #[inline]
    pub fn from_wire(bytes: &'a [u8]) -> Self {
        Array(Repr::Wire(&bytes[..bytes.len() - bytes.len() % T::LEN]))
    }

    /// The elements of an array that is short, which is for the caller to know.
    #[inline]
    pub(crate) fn from_short(wire: ShortWire) -> Array<'static, T> {
        Array(Repr::Short(wire))
    }

    #[inline]
    fn place(&self) -> Place<'_, T> {
        match &self.0 {
            Repr::Wire(bytes) => Place::Wire(bytes),
            Repr::Short(wire) => Place::Wire(wire.get(1..1 + short_len::<T>(wire)).unwrap_or(&[])),
            Repr::Owned(values) => Place::Owned(values),
        }
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self.place() {
            Place::Wire(bytes) => bytes.len() / T::LEN,
            Place::Owned(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        match self.place() {
            Place::Wire(bytes) => {
                let start = index.checked_mul(T::LEN)?;
                bytes.get(start..)?.get(..T::LEN).map(T::read)
            }
            Place::Owned(values) => values.get(index).copied(),
        }
    }

    /// The elements in order.
    #[inline]
    pub fn iter(&self) -> ArrayIter<'_, T> {
        match self.place() {
            Place::Wire(bytes) => ArrayIter(Iter::Wire(bytes.chunks_exact(T::LEN))),
            Place::Owned(values) => ArrayIter(Iter::Owned(values.iter())),
        }
    }

    /// The elements as a vector.
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }

    /// The elements as a vector that can be changed; reads them from the frame first if need be.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if !matches!(self.0, Repr::Owned(_)) {
            self.0 = Repr::Owned(self.to_vec());
        }
        match &mut self.0 {
            Repr::Owned(values) => values,
            // Just replaced above.
            Repr::Wire(_) | Repr::Short(_) => unreachable!(),
        }
    }

    /// The elements as they are on the wire, if they are kept so.
    #[inline]
    pub(crate) fn as_wire(&self) -> Option<&[u8]> {
        match self.place() {
            Place::Wire(bytes) => Some(bytes),
            Place::Owned(_) => None,
        }
    }

    /// The wire form of an array that is in the value itself, and how many bytes of it count.
    #[inline]
    pub(crate) fn as_short(&self) -> Option<(&ShortWire, usize)> {
        match &self.0 {
            Repr::Short(wire) => Some((wire, 1 + short_len::<T>(wire))),
            _ => None,
        }
    }

    /// The same elements without a borrow. A few elements need no allocation for that.
    #[inline]
    pub fn into_owned(self) -> Array<'static, T> {
        match self.0 {
            Repr::Wire(wire) if wire.len() <= SHORT_LEN => {
                let mut short = [0; 1 + SHORT_LEN];
                short[0] = 1 + (wire.len() / T::LEN) as u8;
                short[1..=wire.len()].copy_from_slice(wire);
                Array(Repr::Short(short))
            }
            Repr::Wire(_) => Array(Repr::Owned(self.to_vec())),
            Repr::Short(wire) => Array(Repr::Short(wire)),
            Repr::Owned(values) => Array(Repr::Owned(values)),
        }
    }
}

impl<T> Default for Array<'_, T> {
    #[inline]
    fn default() -> Self {
        Array(Repr::Wire(&[]))
    }
}

impl<T: Fixed> PartialEq for Array<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Fixed + Eq> Eq for Array<'_, T> {}

impl<T: Fixed + Hash> Hash for Array<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.iter().for_each(|value| value.hash(state));
    }
}

impl<T: Fixed> PartialEq<[T]> for Array<'_, T> {
    fn eq(&self, other: &[T]) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter().copied())
    }
}

impl<T: Fixed> fmt::Debug for Array<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Fixed> From<Vec<T>> for Array<'_, T> {
    fn from(values: Vec<T>) -> Self {
        if values.len() * T::LEN <= SHORT_LEN {
            return values.as_slice().into();
        }
        Array(Repr::Owned(values))
    }
}

impl<T: Fixed> From<&[T]> for Array<'_, T> {
    fn from(values: &[T]) -> Self {
        if values.len() * T::LEN > SHORT_LEN {
            return Array(Repr::Owned(values.to_vec()));
        }
        let mut short = [0; 1 + SHORT_LEN];
        short[0] = 1 + values.len() as u8;
        for (place, value) in short[1..].chunks_exact_mut(T::LEN).zip(values) {
            place.copy_from_slice(value.to_wire().as_ref());
        }
        Array(Repr::Short(short))
    }
}

impl<T: Fixed, const N: usize> From<[T; N]> for Array<'_, T> {
    fn from(values: [T; N]) -> Self {
        values.as_slice().into()
    }
}

impl<T: Fixed> FromIterator<T> for Array<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().collect::<Vec<T>>().into()
    }
}

impl<'s, T: Fixed> IntoIterator for &'s Array<'_, T> {
    type Item = T;
    type IntoIter = ArrayIter<'s, T>;

    fn into_iter(self) -> ArrayIter<'s, T> {
        self.iter()
    }
}

/// The elements of an [`Array`], read one by one.
#[derive(Clone, Debug)]
pub struct ArrayIter<'s, T>(Iter<'s, T>);

#[derive(Clone, Debug)]
enum Iter<'s, T> {
    Wire(std::slice::ChunksExact<'s, u8>),
    Owned(std::slice::Iter<'s, T>),
}

impl<T: Fixed> Iterator for ArrayIter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Iter::Wire(chunks) => chunks.next().map(T::read),
            Iter::Owned(values) => values.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Iter::Wire(chunks) => chunks.size_hint(),
            Iter::Owned(values) => values.size_hint(),
        }
    }
}

impl<T: Fixed> ExactSizeIterator for ArrayIter<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_and_owned_are_equal() {
        let wire: Array<'_, i32> = Array::from_wire(&[0, 0, 0, 1, 255, 255, 255, 255, 9]);
        let mut owned: Array<'_, i32> = vec![1, -1].into();
        assert_eq!(wire, owned);
        assert_eq!(wire.get(1), Some(-1));
        assert_eq!(wire.get(2), None);
        assert_eq!(wire.get(usize::MAX), None);
        owned.to_mut().push(5);
        assert_ne!(wire, owned);
        let mut changed = wire.clone();
        changed.to_mut().push(5);
        assert_eq!(changed, owned);
        assert_eq!(changed.into_owned().to_vec(), [1, -1, 5]);
    }

    #[test]
    fn arrays_cut_loose_are_equal_at_every_length() {
        let bytes: Vec<u8> = (1..=64).collect();
        for len in 0..=bytes.len() {
            let wire: Array<'_, i32> = Array::from_wire(&bytes[..len]);
            let owned = wire.clone().into_owned();
            assert_eq!(owned, wire, "{len}");
            assert_eq!(owned.len(), len / 4);
            assert_eq!(owned.get(0), wire.get(0));
            assert_eq!(owned.clone().into_owned(), wire);
            let mut changed = owned;
            changed.to_mut().push(7);
            assert_eq!(changed.len(), len / 4 + 1);
            assert_eq!(changed.get(len / 4), Some(7));
        }
    }

    #[test]
    fn leaves_are_three_words() {
        assert_eq!(size_of::<Array<'_, i32>>(), 24);
        assert_eq!(size_of::<Option<Array<'_, i32>>>(), 24);
    }
}
