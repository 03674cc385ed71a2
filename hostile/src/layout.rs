//! Where in a message its lengths, counts and tags are, found along the field table.
//!
//! A reader of its own, so that it finds them in good bytes without asking the code that is tested.

use kwire_protocol::schema::{FieldSchema, FieldType, Schema, StructSchema};

/// What a number says that is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The bytes of a string, bytes or records.
    Len,
    /// The elements of an array.
    Count,
    /// The tagged fields of a struct.
    TagCount,
    /// A tag.
    Tag,
    /// The bytes of a tagged field.
    TagSize,
    /// Whether a struct is null.
    Marker,
}

/// A number that says where something else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// What it says.
    pub what: What,
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
    /// Whether it is a varint; else it is big-endian.
    pub varint: bool,
}

/// The sites of a message, in the order of its bytes; `None` if the bytes are not the message.
pub fn sites(schema: &'static Schema, version: i16, bytes: &[u8]) -> Option<Vec<Site>> {
    let mut walk = Walk {
        schema,
        version,
        flexible: schema.flexible.contains(version),
        bytes,
        at: 0,
        sites: Vec::new(),
    };
    walk.structure(schema.structs.first()?)?;
    (walk.at == bytes.len()).then_some(walk.sites)
}

struct Walk<'a> {
    schema: &'static Schema,
    version: i16,
    flexible: bool,
    bytes: &'a [u8],
    at: usize,
    sites: Vec<Site>,
}

impl Walk<'_> {
    fn skip(&mut self, len: usize) -> Option<()> {
        self.at = self.at.checked_add(len)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn varint(&mut self, what: What) -> Option<u32> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                self.site(what, start, true);
                return Some(value);
            }
        }
        None
    }

    fn site(&mut self, what: What, start: usize, varint: bool) {
        self.sites.push(Site {
            what,
            start,
            end: self.at,
            varint,
        });
    }

    /// A length of `width` bytes, or a varint; `None` in it is null.
    fn len(&mut self, what: What, width: usize, compact: bool) -> Option<Option<usize>> {
        if compact {
            return Some((self.varint(what)? as usize).checked_sub(1));
        }
        let start = self.at;
        self.skip(width)?;
        self.site(what, start, false);
        let bytes = self.bytes.get(start..self.at)?;
        if bytes[0] >= 0x80 {
            return Some(None);
        }
        Some(Some(
            bytes
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte)),
        ))
    }

    fn structure(&mut self, structure: &'static StructSchema) -> Option<()> {
        for field in structure.fields {
            if field.versions.contains(self.version) && !field.tagged.contains(self.version) {
                self.untagged(field)?;
            }
        }
        if !self.flexible {
            return Some(());
        }
        for _ in 0..self.varint(What::TagCount)? {
            let tag = self.varint(What::Tag)?;
            let size = self.varint(What::TagSize)? as usize;
            let known =
                |field: &&FieldSchema| field.tagged.contains(self.version) && field.tag == tag;
            match structure.fields.iter().find(known) {
                Some(field) => self.tagged(field)?,
                None => self.skip(size)?,
            }
        }
        Some(())
    }

    fn untagged(&mut self, field: &'static FieldSchema) -> Option<()> {
        if let FieldType::Struct(index) = field.ty
            && field.nullable.contains(self.version)
        {
            let start = self.at;
            self.skip(1)?;
            self.site(What::Marker, start, false);
            if self.bytes[start] >= 0x80 {
                return Some(());
            }
            return self.structure(self.schema.structs.get(index)?);
        }
        let compact = self.flexible && field.flexible.contains(self.version);
        self.value(field.ty, compact)
    }

    fn tagged(&mut self, field: &'static FieldSchema) -> Option<()> {
        if matches!(field.ty, FieldType::Struct(_))
            && field.nullable.contains(self.version)
            && self.varint(What::Marker)? == 0
        {
            return Some(());
        }
        self.value(field.ty, true)
    }

    fn value(&mut self, ty: FieldType, compact: bool) -> Option<()> {
        match ty {
            FieldType::String => {
                let len = self.len(What::Len, 2, compact)?;
                self.skip(len.unwrap_or(0))
            }
            FieldType::Bytes | FieldType::Records => {
                let len = self.len(What::Len, 4, compact)?;
                self.skip(len.unwrap_or(0))
            }
            FieldType::Struct(index) => self.structure(self.schema.structs.get(index)?),
            FieldType::Array(element) => {
                for _ in 0..self.len(What::Count, 4, compact)?.unwrap_or(0) {
                    self.value(*element, compact)?;
                }
                Some(())
            }
            fixed => self.skip(fixed_len(fixed)?),
        }
    }
}

/// The width of a type that has only one.
pub fn fixed_len(ty: FieldType) -> Option<usize> {
    Some(match ty {
        FieldType::Bool | FieldType::Int8 => 1,
        FieldType::Int16 | FieldType::Uint16 => 2,
        FieldType::Int32 | FieldType::Uint32 => 4,
        FieldType::Int64 | FieldType::Float64 => 8,
        FieldType::Uuid => 16,
        _ => return None,
    })
}
