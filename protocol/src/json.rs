//! Kafka's JSON form of messages, both ways, driven by the field table.
//!
//! The form is that of Kafka's `*JsonConverter` classes, with two additions that lose nothing:
//! `records` are base64, and unknown tagged fields stand under `_unknownTaggedFields` as a list
//! of `[tag, hex]`.

mod read;
mod reflect;
mod write;

pub use read::{FromJsonError, Mode, from_json};
pub use reflect::{Reflect, Slot, SlotOf};
pub use write::{ToJsonError, bytes_to_json, to_json};

/// The key of unknown tagged fields in JSON.
pub(crate) const UNKNOWN_TAGS: &str = "_unknownTaggedFields";
