//! Walks a message's bytes along the schema's table, without the generated structs.
//!
//! A second reader of the same bytes: slower, but it costs no code per message. It finds the
//! path of a field in which decoding or encoding failed, and turns bytes into JSON.

use crate::runtime::{
    Blob, Borrowing, DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Limits, Reader,
    Str, UnknownTags, Uuid,
};
use crate::schema::{FieldSchema, FieldType, Schema, StructSchema};

/// What is made of the values that the walk meets.
pub(crate) trait Build {
    /// Bytes that a value costs with its place in an array or struct, besides its content; zero
    /// if nothing is built. They are paid for from the walk's budget, as content is.
    const COST: usize;

    /// A finished value.
    type Value: Default;
    /// A struct's fields so far.
    type Struct: Default;

    fn bool(&mut self, value: bool) -> Self::Value;
    fn int(&mut self, value: i64) -> Self::Value;
    fn float(&mut self, value: f64) -> Self::Value;
    fn uuid(&mut self, value: Uuid) -> Self::Value;
    fn string(&mut self, value: Str<'_>) -> Self::Value;
    fn bytes(&mut self, value: Blob<'_>) -> Self::Value;
    fn array(&mut self, values: Vec<Self::Value>) -> Self::Value;
    fn field(&mut self, to: &mut Self::Struct, field: &'static FieldSchema, value: Self::Value);
    fn unknown_tags(&mut self, to: &mut Self::Struct, tags: &UnknownTags);
    fn finish(&mut self, fields: Self::Struct) -> Self::Value;
}

/// A step on the way to a field.
#[derive(Clone, Copy, Debug)]
enum Step {
    Field(&'static str),
    Index(usize),
}

/// One walk over one message.
pub(crate) struct Walk<'a, 'b, B> {
    schema: &'static Schema,
    version: i16,
    reader: Reader<'a, 'a, Borrowing>,
    build: &'b mut B,
    /// Where the walk is; after an error, where it happened.
    path: Vec<Step>,
    /// The structs that the walk is in, with the length of the path to each.
    structs: Vec<(&'static str, usize)>,
    /// Whether the bytes end somewhere in the message, so that array lengths prove nothing.
    partial: bool,
    /// Of partial bytes, the path to the outermost struct that ends where they do.
    ended: Option<Vec<Step>>,
    /// Where another reader of the same bytes was out of budget, and so is the walk.
    stop: Option<usize>,
}

impl<'a, 'b, B: Build> Walk<'a, 'b, B> {
    pub(crate) fn new(
        schema: &'static Schema,
        version: i16,
        bytes: &'a [u8],
        limits: &Limits,
        build: &'b mut B,
    ) -> Self {
        let reader = Reader::new(bytes, schema.flexible.contains(version), limits);
        Walk {
            schema,
            version,
            reader,
            build,
            path: Vec::new(),
            structs: Vec::new(),
            partial: false,
            ended: None,
            stop: None,
        }
    }

    /// The whole message.
    pub(crate) fn message(&mut self) -> Result<B::Value, DecodeError> {
        self.structure(&self.schema.structs[0])
    }

    /// The bytes behind what was walked.
    #[cfg(feature = "json")]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// Stops where another reader did, just behind the size that it could not pay for.
    fn check_stop(&self) -> Result<(), DecodeError> {
        if self.stop == Some(self.reader.offset()) {
            return Err(self.reader.over_budget());
        }
        Ok(())
    }

    /// Pays for something to be built out of `values` values and `bytes` bytes of content.
    fn pay(&mut self, values: usize, bytes: usize) -> Result<(), DecodeError> {
        if B::COST == 0 {
            return Ok(());
        }
        self.reader
            .charge(values.saturating_mul(B::COST).saturating_add(bytes))
    }

    fn structure(&mut self, structure: &'static StructSchema) -> Result<B::Value, DecodeError> {
        self.structs.push((structure.name, self.path.len()));
        let mut unknown = UnknownTags::EMPTY;
        // Where nothing is built nothing is kept: a walk that looks for a place allocates nothing
        // for the structs on its way.
        let kept = if B::COST == 0 {
            0
        } else {
            structure.fields.len()
        };
        let mut values = Vec::with_capacity(kept);
        for (place, field) in structure.fields.iter().enumerate() {
            let untagged =
                field.versions.contains(self.version) && !field.tagged.contains(self.version);
            if untagged {
                self.path.push(Step::Field(field.name));
                self.pay(1, field.name.len())?;
                let value = self.untagged(field)?;
                self.path.pop();
                if B::COST != 0 {
                    values.push((place, field, value));
                }
            }
        }
        if self.schema.flexible.contains(self.version) {
            self.tags(structure, &mut values, &mut unknown)?;
        }
        self.structs.pop();
        if self.partial && self.reader.rest().is_empty() {
            self.ended = Some(self.path.clone());
        }
        let mut fields = B::Struct::default();
        for (_, field, value) in values {
            self.build.field(&mut fields, field, value);
        }
        if !unknown.is_empty() {
            self.build.unknown_tags(&mut fields, &unknown);
        }
        Ok(self.build.finish(fields))
    }

    fn tags(
        &mut self,
        structure: &'static StructSchema,
        values: &mut Vec<(usize, &'static FieldSchema, B::Value)>,
        unknown: &mut UnknownTags,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.reader.tag_count()? {
            let (tag, size) = self.reader.tag()?;
            let mut fields = structure.fields.iter().enumerate();
            let field = fields.find(|(_, field)| !field.tagged.is_empty() && field.tag == tag);
            let Some((place, field)) = field else {
                self.check_stop()?;
                if B::COST == 0 {
                    self.reader.skip_tag(size)?;
                } else {
                    // A pair of numbers in a list, in twice as many hex digits as bytes.
                    self.pay(3, size.saturating_mul(2))?;
                    self.reader.unknown_tag(unknown, tag, size)?;
                }
                continue;
            };
            self.path.push(Step::Field(field.name));
            if !field.tagged.contains(self.version) {
                return Err(self.reader.tag_not_in_version(tag));
            }
            let end = self.reader.tag_end(size);
            self.pay(1, field.name.len())?;
            let value = self.tagged(field)?;
            self.reader.check_tag_end(tag, size, end)?;
            self.path.pop();
            if B::COST != 0 {
                // In the order of the schema, in which tagged fields may come before others. Of a
                // tag that comes twice, the last counts.
                match values.binary_search_by_key(&place, |(other, ..)| *other) {
                    Ok(at) => values[at] = (place, field, value),
                    Err(at) => values.insert(at, (place, field, value)),
                }
            }
        }
        Ok(())
    }

    fn untagged(&mut self, field: &'static FieldSchema) -> Result<B::Value, DecodeError> {
        let allowed = field.nullable.contains(self.version);
        if let FieldType::Struct(index) = field.ty
            && !field.nullable.is_empty()
            && allowed
        {
            return match self.reader.i8()? {
                0.. => self.structure(&self.schema.structs[index]),
                _ => Ok(B::Value::default()),
            };
        }
        let flexible = self.schema.flexible.contains(self.version);
        let compact = flexible && field.flexible.contains(self.version);
        self.reader.set_flexible(compact);
        let value = self.value(field.ty, allowed)?;
        self.reader.set_flexible(flexible);
        Ok(value)
    }

    fn tagged(&mut self, field: &'static FieldSchema) -> Result<B::Value, DecodeError> {
        let allowed = field.nullable.contains(self.version);
        match field.ty {
            FieldType::Struct(index) if allowed => match self.reader.tagged_struct_is_there()? {
                false => Ok(B::Value::default()),
                true => self.structure(&self.schema.structs[index]),
            },
            ty => self.value(ty, allowed),
        }
    }

    fn value(&mut self, ty: FieldType, allowed: bool) -> Result<B::Value, DecodeError> {
        let r = &mut self.reader;
        Ok(match ty {
            FieldType::Bool => self.build.bool(r.bool()?),
            FieldType::Int8 => self.build.int(r.i8()?.into()),
            FieldType::Int16 => self.build.int(r.i16()?.into()),
            FieldType::Uint16 => self.build.int(r.u16()?.into()),
            FieldType::Int32 => self.build.int(r.i32()?.into()),
            FieldType::Uint32 => self.build.int(r.u32()?.into()),
            FieldType::Int64 => self.build.int(r.i64()?),
            FieldType::Float64 => self.build.float(r.f64()?),
            FieldType::Uuid => self.build.uuid(r.uuid()?),
            FieldType::String => match r.nullable_string(allowed)? {
                Some(text) => {
                    self.pay(0, text.len())?;
                    self.build.string(text)
                }
                None => B::Value::default(),
            },
            FieldType::Bytes | FieldType::Records => match r.nullable_bytes(allowed)? {
                Some(blob) => {
                    // As base64.
                    self.pay(0, blob.len().saturating_mul(2))?;
                    self.build.bytes(blob)
                }
                None => B::Value::default(),
            },
            FieldType::Struct(index) => self.structure(&self.schema.structs[index])?,
            FieldType::Array(element) => self.elements(*element, allowed)?,
        })
    }

    fn elements(&mut self, element: FieldType, allowed: bool) -> Result<B::Value, DecodeError> {
        let min_len = fixed_len(element).unwrap_or(1);
        let len = if self.partial {
            self.reader.raw_array_len()?
        } else {
            self.reader.array_len(min_len)?
        };
        let Some(len) = len else {
            if allowed {
                return Ok(B::Value::default());
            }
            return Err(self.reader.error(DecodeErrorKind::UnexpectedNull));
        };
        self.check_stop()?;
        self.pay(len, 0)?;
        let mut values = Vec::with_capacity(if B::COST == 0 { 0 } else { len });
        for index in 0..len {
            self.path.push(Step::Index(index));
            values.push(self.value(element, false)?);
            self.path.pop();
        }
        Ok(self.build.array(values))
    }

    /// Says of an error that ended the walk where it happened.
    pub(crate) fn locate(&self, error: DecodeError) -> DecodeError {
        error.located(self.schema.name, self.version, self.path_text(usize::MAX))
    }

    /// The path to where the walk is.
    fn path_text(&self, steps: usize) -> String {
        path_text(&self.path[..steps.min(self.path.len())])
    }
}

/// A path such as `topics[3].name`.
fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.extend([".", name]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn fixed_len(ty: FieldType) -> Option<usize> {
    Some(match ty {
        FieldType::Bool | FieldType::Int8 => 1,
        FieldType::Int16 | FieldType::Uint16 => 2,
        FieldType::Int32 | FieldType::Uint32 => 4,
        FieldType::Int64 | FieldType::Float64 => 8,
        FieldType::Uuid => 16,
        _ => return None,
    })
}

/// Builds nothing: for walks that look for a place only.
struct Nothing;

impl Build for Nothing {
    const COST: usize = 0;
    type Value = ();
    type Struct = ();

    fn bool(&mut self, _: bool) {}
    fn int(&mut self, _: i64) {}
    fn float(&mut self, _: f64) {}
    fn uuid(&mut self, _: Uuid) {}
    fn string(&mut self, _: Str<'_>) {}
    fn bytes(&mut self, _: Blob<'_>) {}
    fn array(&mut self, _: Vec<()>) {}
    fn field(&mut self, _: &mut (), _: &'static FieldSchema, _: ()) {}
    fn unknown_tags(&mut self, _: &mut (), _: &UnknownTags) {}
    fn finish(&mut self, _: ()) {}
}

/// Adds message, version and field path to an error of the generated decoder.
#[cold]
#[inline(never)]
pub(crate) fn locate_decode(
    error: DecodeError,
    schema: &'static Schema,
    version: i16,
    bytes: &[u8],
    limits: &Limits,
) -> DecodeError {
    let mut nothing = Nothing;
    let mut walk = Walk::new(schema, version, bytes, limits, &mut nothing);
    // The walk builds nothing, so that it is never out of budget by itself.
    let over_budget = matches!(error.kind(), DecodeErrorKind::OverBudget { .. });
    walk.stop = over_budget.then(|| error.offset());
    match walk.message() {
        // The walk reads field by field, so its offset is exact where a run's is its start.
        Err(exact) => walk.locate(exact),
        Ok(()) => error.located(schema.name, version, String::new()),
    }
}

/// Adds message, version and field path to an error of the generated encoder, and takes back
/// what it appended: the bytes end where it gave up, and so does a walk over them.
#[cold]
#[inline(never)]
pub(crate) fn locate_encode(
    error: EncodeError,
    schema: &'static Schema,
    version: i16,
    out: &mut Vec<u8>,
    start: usize,
) -> EncodeError {
    let mut nothing = Nothing;
    let mut walk = Walk::new(schema, version, &out[start..], &Limits::NONE, &mut nothing);
    walk.partial = true;
    let result = walk.message();
    let path = match (result, error.kind()) {
        // Nothing else is in the version: the field can only be the message's own.
        (Ok(()), EncodeErrorKind::UnsupportedField { field, .. }) => (*field).to_owned(),
        // Found behind the last field of a struct, where others may end too: of those, the
        // outermost is sure.
        (_, EncodeErrorKind::TagsNotInVersion) => path_text(walk.ended.as_deref().unwrap_or(&[])),
        (Ok(()), _) => String::new(),
        (Err(_), EncodeErrorKind::UnsupportedField { structure, field }) => {
            // The version lacks the field, so the walk stands at another of the same struct.
            let holder = walk.structs.iter().rfind(|(name, _)| name == structure);
            let parent = walk.path_text(holder.map_or(0, |(_, steps)| *steps));
            if parent.is_empty() {
                (*field).to_owned()
            } else {
                format!("{parent}.{field}")
            }
        }
        (Err(_), _) => walk.path_text(usize::MAX),
    };
    out.truncate(start);
    error.located(schema.name, version, path)
}
