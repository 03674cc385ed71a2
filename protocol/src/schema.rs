//! The field table: every message's fields as data, for JSON, tools and error paths.

mod table;

pub use table::{Structs, docs};

/// A closed interval of versions; empty if `lowest` is above `highest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The lowest version.
    pub lowest: i16,
    /// The highest version.
    pub highest: i16,
}

impl VersionRange {
    /// No version at all.
    pub const NONE: VersionRange = VersionRange {
        lowest: 0,
        highest: -1,
    };

    /// The versions from `lowest` to `highest`, both included.
    pub const fn new(lowest: i16, highest: i16) -> VersionRange {
        VersionRange { lowest, highest }
    }

    /// All versions from `lowest` up.
    pub const fn from(lowest: i16) -> VersionRange {
        VersionRange::new(lowest, i16::MAX)
    }

    /// Whether `version` lies in the interval.
    #[inline]
    pub const fn contains(self, version: i16) -> bool {
        self.lowest <= version && version <= self.highest
    }

    /// Whether there is no version in the interval.
    pub const fn is_empty(self) -> bool {
        self.lowest > self.highest
    }

    /// The versions that are in both.
    pub fn intersect(self, other: VersionRange) -> VersionRange {
        VersionRange::new(
            self.lowest.max(other.lowest),
            self.highest.min(other.highest),
        )
    }
}

impl std::fmt::Display for VersionRange {
    /// As Kafka's schemas write it: `none`, `3`, `3-5` or `3+`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            f.write_str("none")
        } else if self.highest == i16::MAX {
            write!(f, "{}+", self.lowest)
        } else if self.lowest == self.highest {
            write!(f, "{}", self.lowest)
        } else {
            write!(f, "{}-{}", self.lowest, self.highest)
        }
    }
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A request of an API.
    Request,
    /// A response of an API.
    Response,
    /// A request or response header.
    Header,
    /// A message that stands alone, such as a control record or a file's content.
    Data,
    /// A record of the KRaft metadata log.
    Metadata,
    /// The key of a coordinator's record.
    CoordinatorKey,
    /// The value of a coordinator's record.
    CoordinatorValue,
}

/// A message: name, versions, structs and fields.
#[derive(Debug)]
pub struct Schema {
    /// The name in Kafka's schemas, such as `VoteRequest`.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// The API key, or the record type of a metadata or coordinator record.
    pub api_key: Option<i16>,
    /// The versions that can be read and written.
    pub versions: VersionRange,
    /// The versions with compact encodings and tagged fields.
    pub flexible: VersionRange,
    /// All structs; the first is the message itself.
    pub structs: Structs,
}

/// A struct of a message.
#[derive(Debug)]
pub struct StructSchema {
    /// The name in Kafka's schemas.
    pub name: &'static str,
    /// What it is; empty without the feature `docs`.
    pub doc: &'static str,
    /// The fields in the order of the wire.
    pub fields: &'static [FieldSchema],
}

/// A field of a struct.
#[derive(Debug)]
pub struct FieldSchema {
    /// The name as Kafka's JSON has it: the schema's, beginning in lower case.
    pub name: &'static str,
    /// The type on the wire.
    pub ty: FieldType,
    /// The versions that have the field.
    pub versions: VersionRange,
    /// The versions in which it may be null.
    pub nullable: VersionRange,
    /// The versions in which it is a tagged field.
    pub tagged: VersionRange,
    /// Its tag, where it is a tagged field.
    pub tag: u32,
    /// The versions in which it is compact, of those in which its message is. All but for one
    /// field of Kafka's: the client id in the request header, which has an int16 length always.
    pub flexible: VersionRange,
    /// Whether a value may be dropped silently at a version without the field.
    pub ignorable: bool,
    /// Whether it is (part of) the key by which elements of an array are found.
    pub map_key: bool,
    /// The value of a field that the version lacks.
    pub default: DefaultValue,
    /// What it means to Kafka's tools, such as `topicName`; empty if it has no entity type.
    pub entity_type: &'static str,
    /// What it means; empty without the feature `docs`.
    pub doc: &'static str,
}

/// A field's type on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are Kafka's.
pub enum FieldType {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    /// A struct, by its place in [`Schema::structs`].
    Struct(usize),
    /// An array of any of the others.
    Array(&'static FieldType),
}

/// A field's default value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum DefaultValue {
    /// Zero, false, empty, or a struct of defaults.
    Natural,
    /// Null.
    Null,
    /// `true`.
    True,
    /// A number other than zero.
    Int(i64),
    /// A floating-point number other than zero.
    Float(f64),
    /// A text that is not empty.
    Text(&'static str),
    /// A UUID other than zero.
    Uuid([u8; 16]),
}
