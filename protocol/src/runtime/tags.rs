//! Tagged fields of later releases, kept as they came.

use bytes::Bytes;

/// A tagged field that the schema does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTag {
    /// The tag.
    pub tag: u32,
    /// The payload, uninterpreted.
    pub data: Bytes,
}

/// The unknown tagged fields of one struct, in the order in which they came.
///
/// One pointer, null in the common case, so that it costs nothing to build or drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::box_collection)] // A vector is three words, in every struct of every message.
pub struct UnknownTags(Option<Box<Vec<UnknownTag>>>);

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
        self.0
            .get_or_insert_default()
            .push(UnknownTag { tag, data });
    }
}
