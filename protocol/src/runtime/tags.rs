//! Tagged fields of later releases, kept as they came.

use bytes::Bytes;

/// A tagged field that the schema does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownTag {
    /// The tag.
    pub tag: u32,
    /// The payload, uninterpreted.
    pub data: Bytes,
}

/// The unknown tagged fields of one struct, in the order in which they came.
///
/// One pointer, null in the common case, so that it costs nothing to build or drop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::box_collection)] // A vector is three words, in every struct of every message.
pub struct UnknownTags(Option<Box<Vec<UnknownTag>>>);

impl Drop for UnknownTags {
    /// Every struct of every message has one of these, nearly always empty: only the test for
    /// that belongs where a struct is dropped.
    #[inline]
    fn drop(&mut self) {
        #[cold]
        #[inline(never)]
        #[allow(clippy::box_collection)]
        fn free(tags: Box<Vec<UnknownTag>>) {
            drop(tags);
        }
        if let Some(tags) = self.0.take() {
            free(tags);
        }
    }
}

impl UnknownTags {
    /// No unknown tagged fields.
    pub const EMPTY: UnknownTags = UnknownTags(None);

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The fields, in the order in which they came.
    #[inline]
    pub fn as_slice(&self) -> &[UnknownTag] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Adds a field behind the others. Encoding demands ascending tags that the schema lacks.
    pub fn push(&mut self, tag: u32, data: impl Into<Bytes>) {
        let data = data.into();
        let room = self.room();
        let tags = self.0.get_or_insert_default();
        if room > 0 {
            tags.reserve_exact(room);
        }
        tags.push(UnknownTag { tag, data });
    }

    /// The bytes that the next `push` allocates besides the field's data: nearly always a struct
    /// has no unknown tag, or one.
    pub(crate) fn growth(&self) -> usize {
        let tags = self.0.as_ref().map_or(0, |tags| tags.len());
        let vec = if self.0.is_none() {
            size_of::<Vec<UnknownTag>>()
        } else {
            0
        };
        match self.room() {
            0 => vec,
            room => vec + (tags + room) * size_of::<UnknownTag>(),
        }
    }

    /// For how many more fields the next `push` makes room: one, then as many as there are.
    fn room(&self) -> usize {
        match &self.0 {
            Some(tags) if tags.len() == tags.capacity() => tags.len().max(1),
            Some(_) => 0,
            None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_is_allocated() {
        let mut tags = UnknownTags::EMPTY;
        for tag in 0..100 {
            let before = tags.0.as_ref().map_or(0, |tags| tags.capacity());
            let growth = tags.growth();
            tags.push(tag, Bytes::new());
            let after = tags.0.as_ref().map_or(0, |tags| tags.capacity());
            let vec = if tag == 0 {
                size_of::<Vec<UnknownTag>>()
            } else {
                0
            };
            let fields = if after == before { 0 } else { after };
            assert_eq!(growth, vec + fields * size_of::<UnknownTag>(), "{tag}");
        }
        assert_eq!(tags.as_slice().len(), 100);
    }
}
