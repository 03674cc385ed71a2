//! The resolved model: every field has a Rust name, a type, a presence and a default value.
//!
//! The emitter works from this alone; it never looks at JSON and never invents a name.

mod docs;
mod fault;
mod graph;
mod headers;
mod message;
mod names;
mod narrow;
mod resolve;
mod rules;

pub use docs::Docs;
pub use narrow::{Direction, Narrowing};
pub use resolve::resolve;

use crate::versions::Versions;

/// What a message is for; decides which traits and tables it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// The key of a coordinator's record; its API key is the record type.
    CoordinatorKey,
    /// The value of a coordinator's record.
    CoordinatorValue,
}

/// One message with all its structs.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The schema's name, such as `VoteRequest`.
    pub name: String,
    /// The Rust module, such as `vote_request`.
    pub module: String,
    /// What it is for.
    pub kind: Kind,
    /// The API key, or the record type of a coordinator record.
    pub api_key: Option<i16>,
    /// The versions that the generated code reads and writes; empty if only the key is reserved.
    pub versions: Versions,
    /// Versions with compact encodings and tagged fields.
    pub flexible: Versions,
    /// Versions that Kafka has announced to drop.
    pub deprecated: Versions,
    /// Whether the highest version is not yet stable.
    pub latest_unstable: bool,
    /// The header version for each range of versions (requests and responses).
    pub headers: Vec<(Versions, i16)>,
    /// The listeners that serve a request.
    pub listeners: Vec<String>,
    /// All structs; the first is the message itself.
    pub structs: Vec<Struct>,
}

/// One struct of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// The schema's name.
    pub name: String,
    /// The name in Rust.
    pub rust_name: String,
    /// What it is, without markup.
    pub doc: String,
    /// The versions in which it can occur at all.
    pub possible: Versions,
    /// Its fields, in the order of the wire.
    pub fields: Vec<Field>,
    /// Whether a value may borrow from the frame that it was decoded from.
    pub borrows: bool,
    /// Whether equality is total (no floating point inside).
    pub eq: bool,
}

/// One field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The schema's name.
    pub name: String,
    /// The name in Rust, without `r#`.
    pub rust_name: String,
    /// What it means, without markup.
    pub doc: String,
    /// Its type on the wire.
    pub ty: Type,
    /// The versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// The versions in which it is a tagged field.
    pub tagged: Versions,
    /// Its tag.
    pub tag: Option<u32>,
    /// Its own flexible versions, where they differ from the message's.
    pub flexible: Option<Versions>,
    /// Whether a value may be dropped silently at a version without the field.
    pub ignorable: bool,
    /// Whether it is (part of) the key by which the elements of an array are found.
    pub map_key: bool,
    /// What the field means to Kafka's tools, such as `topicName`.
    pub entity_type: Option<String>,
    /// The value of a field that the version lacks.
    pub default: DefaultValue,
}

/// A field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`
    Bool,
    /// `int8`
    Int8,
    /// `int16`
    Int16,
    /// `uint16`
    Uint16,
    /// `int32`
    Int32,
    /// `uint32`
    Uint32,
    /// `int64`
    Int64,
    /// `float64`
    Float64,
    /// `uuid`
    Uuid,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `records`
    Records,
    /// A struct, by its place in [`Message::structs`].
    Struct(usize),
    /// An array of any of the others.
    Array(Box<Type>),
}

impl Type {
    /// The length on the wire, if every value has the same.
    pub fn fixed_len(&self) -> Option<usize> {
        match self {
            Type::Bool | Type::Int8 => Some(1),
            Type::Int16 | Type::Uint16 => Some(2),
            Type::Int32 | Type::Uint32 => Some(4),
            Type::Int64 | Type::Float64 => Some(8),
            Type::Uuid => Some(16),
            _ => None,
        }
    }

    /// Whether the type has a null.
    pub fn can_be_null(&self) -> bool {
        matches!(
            self,
            Type::String | Type::Bytes | Type::Records | Type::Struct(_) | Type::Array(_)
        )
    }
}

/// A field's default.
#[derive(Clone, Debug, PartialEq)]
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
    Text(String),
    /// A UUID other than zero.
    Uuid([u8; 16]),
}

impl Field {
    /// Whether the Rust type is an `Option`.
    pub fn is_nullable(&self) -> bool {
        !self.nullable.is_empty()
    }
}

impl Message {
    /// The API of a request or response: `Fetch` for `FetchRequest`. Other messages' own name.
    pub fn api_name(&self) -> &str {
        let name = self.name.as_str();
        name.strip_suffix("Request")
            .or_else(|| name.strip_suffix("Response"))
            .unwrap_or(name)
    }

    /// The struct that is the message itself.
    pub fn top(&self) -> &Struct {
        &self.structs[0]
    }

    /// The least number of bytes that a struct takes in any version in which it can occur.
    pub fn min_len(&self, index: usize) -> usize {
        let structure = &self.structs[index];
        let possible = structure.possible.intersect(self.versions);
        if possible.is_empty() {
            return 0;
        }
        (possible.lowest()..=possible.highest())
            .map(|version| self.min_len_at(structure, version))
            .min()
            .unwrap_or(0)
    }

    fn min_len_at(&self, structure: &Struct, version: i16) -> usize {
        let flexible = self.flexible.contains(version);
        let untagged = structure
            .fields
            .iter()
            .filter(|f| f.versions.contains(version) && !f.tagged.contains(version));
        let fields: usize = untagged
            .map(|field| {
                let flexible = flexible && field.flexible.is_none_or(|f| f.contains(version));
                match &field.ty {
                    Type::String => {
                        if flexible {
                            1
                        } else {
                            2
                        }
                    }
                    Type::Bytes | Type::Records | Type::Array(_) => {
                        if flexible {
                            1
                        } else {
                            4
                        }
                    }
                    Type::Struct(_) if field.nullable.contains(version) => 1,
                    Type::Struct(index) => self.min_len_at(&self.structs[*index], version),
                    fixed => fixed.fixed_len().unwrap_or(0),
                }
            })
            .sum();
        fields + usize::from(flexible)
    }
}
