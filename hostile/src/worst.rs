//! The dearest bytes that a schema permits, written along its field table.
//!
//! What decoding allocates for an array is `size_of` of its elements times their number, and the
//! number is checked against the least that an element takes on the wire. So the dearest bytes are
//! arrays of the least elements, arrays that claim as many as could still come and then do not
//! come, one in the other as deep as the schema goes, and unknown tags, which take two bytes each.

use kwire_protocol::schema::{FieldSchema, FieldType, Schema, VersionRange};

use crate::damage::{long_varint, varint};
use crate::layout::fixed_len;

/// The steps to an array: places of fields, from the message's struct down.
pub type Path = Vec<usize>;

/// A tag that no schema knows, of one byte.
const UNKNOWN_TAG: u8 = 0x7f;

/// What to write where a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// As many of the least elements as fill about so many bytes; good bytes.
    Elements(usize),
    /// All arrays of the path claim as many elements as so many bytes in all could hold; the first
    /// of each begins, and the last array's are the least that there are.
    Claims(usize),
    /// The same, but the last array's first element is full of unknown tags.
    ClaimsAndTags(usize),
}

/// One element in each array, a character in each string, nothing null, every tagged field, and an
/// unknown one in each struct.
pub fn filled(schema: &'static Schema, version: i16) -> Vec<u8> {
    let mut writer = Writer::new(schema, version, true);
    writer.structure(0);
    writer.out
}

/// The paths to all arrays of the version.
pub fn arrays(schema: &'static Schema, version: i16) -> Vec<Path> {
    let mut found = Vec::new();
    let mut pending = vec![(0, Path::new())];
    while let Some((index, path)) = pending.pop() {
        let Some(structure) = schema.structs.get(index) else {
            continue;
        };
        for (place, field) in structure.fields.iter().enumerate() {
            if !in_version(field, version) {
                continue;
            }
            let below = || [&path[..], &[place]].concat();
            match field.ty {
                FieldType::Array(element) => {
                    found.push(below());
                    if let FieldType::Struct(inner) = *element {
                        pending.push((inner, below()));
                    }
                }
                FieldType::Struct(inner) => pending.push((inner, below())),
                _ => {}
            }
        }
    }
    found
}

/// Whether decoding the array at the end of a path allocates: numbers stay in the frame.
pub fn takes_room(schema: &'static Schema, path: &[usize]) -> bool {
    let mut index = 0;
    for (depth, place) in path.iter().enumerate() {
        let field = schema.structs.get(index).and_then(|s| s.fields.get(*place));
        match field.map(|field| field.ty) {
            Some(FieldType::Struct(inner) | FieldType::Array(&FieldType::Struct(inner))) => {
                index = inner;
            }
            Some(FieldType::Array(element)) if depth + 1 == path.len() => {
                return fixed_len(*element).is_none();
            }
            _ => return false,
        }
    }
    !path.is_empty()
}

/// Bytes of a message with a plan at the end of a path.
pub fn message(schema: &'static Schema, version: i16, path: &[usize], plan: Plan) -> Vec<u8> {
    let mut writer = Writer::new(schema, version, false);
    writer.along(0, path, plan);
    if let Plan::Claims(len) | Plan::ClaimsAndTags(len) = plan {
        writer.out.resize(len, 0);
    }
    writer.out
}

/// The least bytes of a message, with so many unknown tags, which take two bytes each.
pub fn tags(schema: &'static Schema, version: i16, count: u32) -> Vec<u8> {
    let mut writer = Writer::new(schema, version, false);
    writer.structure(0);
    writer.out.pop();
    writer.unknown_tags(count);
    writer.out
}

fn in_version(field: &FieldSchema, version: i16) -> bool {
    field.versions.contains(version) || field.tagged.contains(version)
}

struct Writer {
    schema: &'static Schema,
    version: i16,
    flexible: bool,
    filled: bool,
    out: Vec<u8>,
}

impl Writer {
    fn new(schema: &'static Schema, version: i16, filled: bool) -> Writer {
        Writer {
            schema,
            version,
            flexible: schema.flexible.contains(version),
            filled,
            out: Vec::new(),
        }
    }

    fn count(&mut self, count: usize, width: usize, compact: bool) {
        if compact {
            self.out.extend(varint(count as u32 + 1));
        } else {
            self.out.extend(&(count as u64).to_be_bytes()[8 - width..]);
        }
    }

    fn untagged_fields(&self, index: usize) -> Vec<(usize, &'static FieldSchema)> {
        let fields = self.schema.structs[index].fields.iter().enumerate();
        let version = self.version;
        fields
            .filter(|(_, field)| {
                field.versions.contains(version) && !field.tagged.contains(version)
            })
            .collect()
    }

    fn is_compact(&self, field: &FieldSchema) -> bool {
        self.flexible
            && (field.tagged.contains(self.version) || field.flexible.contains(self.version))
    }

    /// A struct that is filled, or as small as can be.
    fn structure(&mut self, index: usize) {
        for (_, field) in self.untagged_fields(index) {
            self.untagged(field);
        }
        if !self.flexible {
            return;
        }
        if !self.filled {
            self.out.push(0);
            return;
        }
        let version = self.version;
        let fields = self.schema.structs[index].fields.iter();
        let tagged: Vec<&FieldSchema> = fields.filter(|f| f.tagged.contains(version)).collect();
        self.out.extend(varint(tagged.len() as u32 + 1));
        for field in tagged {
            let size = self.tag(field);
            self.value(field.ty, true);
            self.patch(size, self.out.len());
        }
        self.out.extend([UNKNOWN_TAG, 1, 0]);
    }

    /// A tag, with room for its size, and the marker of a struct that could be null.
    fn tag(&mut self, field: &FieldSchema) -> usize {
        self.out.extend(varint(field.tag));
        let size = self.out.len();
        self.out.extend([0; 5]);
        if matches!(field.ty, FieldType::Struct(_)) && field.nullable.contains(self.version) {
            self.out.push(1);
        }
        size
    }

    /// Says that a tagged field goes to `end`.
    fn patch(&mut self, size: usize, end: usize) {
        let len = end.saturating_sub(size + 5);
        self.out[size..size + 5].copy_from_slice(&long_varint(len as u32));
    }

    fn untagged(&mut self, field: &FieldSchema) {
        if let FieldType::Struct(index) = field.ty
            && field.nullable.contains(self.version)
        {
            self.out.push(if self.filled { 1 } else { 0xff });
            if self.filled {
                self.structure(index);
            }
            return;
        }
        self.value(field.ty, self.is_compact(field));
    }

    fn value(&mut self, ty: FieldType, compact: bool) {
        let len = usize::from(self.filled);
        match ty {
            FieldType::String => {
                self.count(len, 2, compact);
                self.out.extend(std::iter::repeat_n(b'x', len));
            }
            FieldType::Bytes | FieldType::Records => {
                self.count(len, 4, compact);
                self.out.extend(std::iter::repeat_n(b'x', len));
            }
            FieldType::Struct(index) => self.structure(index),
            FieldType::Array(element) => {
                self.count(len, 4, compact);
                for _ in 0..len {
                    self.value(*element, compact);
                }
            }
            fixed => self
                .out
                .extend(std::iter::repeat_n(0, fixed_len(fixed).unwrap_or(0))),
        }
    }

    fn unknown_tags(&mut self, count: u32) {
        self.out.extend(varint(count));
        for _ in 0..count {
            self.out.extend([UNKNOWN_TAG, 0]);
        }
    }

    /// A struct with the plan at the end of the path. Says whether anything may follow it.
    fn along(&mut self, index: usize, path: &[usize], plan: Plan) -> bool {
        let (next, rest) = path
            .split_first()
            .map_or((None, path), |(n, rest)| (Some(*n), rest));
        for (place, field) in self.untagged_fields(index) {
            if next != Some(place) {
                self.untagged(field);
            } else if !self.step(field, rest, plan) {
                return false;
            }
        }
        if !self.flexible {
            return true;
        }
        let field = next.and_then(|place| self.schema.structs[index].fields.get(place));
        let Some(field) = field.filter(|field| field.tagged.contains(self.version)) else {
            self.out.push(0);
            return true;
        };
        self.out.push(1);
        let size = self.tag(field);
        let go_on = self.step(field, rest, plan);
        self.patch(
            size,
            match plan {
                Plan::Elements(_) => self.out.len(),
                Plan::Claims(len) | Plan::ClaimsAndTags(len) => len,
            },
        );
        go_on
    }

    fn step(&mut self, field: &'static FieldSchema, path: &[usize], plan: Plan) -> bool {
        let compact = self.is_compact(field);
        match field.ty {
            FieldType::Struct(index) => {
                let untagged = !field.tagged.contains(self.version);
                if untagged && field.nullable.contains(self.version) {
                    self.out.push(1);
                }
                self.along(index, path, plan)
            }
            FieldType::Array(element) => match (*element, path, plan) {
                (element, [], _) => self.last(element, compact, plan),
                (FieldType::Struct(index), _, Plan::Elements(_)) => {
                    self.count(1, 4, compact);
                    self.along(index, path, plan)
                }
                (FieldType::Struct(index), ..) => {
                    self.claim(*element, compact, plan);
                    self.along(index, path, plan)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// The array at the end of the path.
    fn last(&mut self, element: FieldType, compact: bool, plan: Plan) -> bool {
        match (plan, element) {
            (Plan::Elements(len), _) => {
                let start = self.out.len();
                self.value(element, compact);
                let one = self.out.len() - start;
                self.out.truncate(start);
                let count = (len / one.max(1)).max(1);
                self.count(count, 4, compact);
                for _ in 0..count {
                    self.value(element, compact);
                }
                true
            }
            (Plan::ClaimsAndTags(len), FieldType::Struct(index)) if self.flexible => {
                self.claim(element, compact, plan);
                self.structure(index);
                self.out.pop();
                let room = len.saturating_sub(self.out.len() + 3) / 2;
                self.unknown_tags(room.min(10_000) as u32);
                false
            }
            (Plan::Claims(len) | Plan::ClaimsAndTags(len), _) => {
                self.claim(element, compact, plan);
                while self.out.len() < len {
                    let before = self.out.len();
                    self.value(element, compact);
                    if self.out.len() == before {
                        self.out.resize(len, 0);
                    }
                }
                false
            }
        }
    }

    /// A count of as many elements as the bytes that are planned could hold.
    fn claim(&mut self, element: FieldType, compact: bool, plan: Plan) {
        let (Plan::Elements(len) | Plan::Claims(len) | Plan::ClaimsAndTags(len)) = plan;
        let width = if compact { 5 } else { 4 };
        let left = len.saturating_sub(self.out.len() + width);
        let least = least(self.schema, element);
        let count = (left / least.max(1)).min(1_000_000) as u32;
        if compact {
            self.out.extend(long_varint(count + 1));
        } else {
            self.out.extend(count.to_be_bytes());
        }
    }
}

/// The least that an element takes in any version, as the decoder has it.
fn least(schema: &'static Schema, element: FieldType) -> usize {
    let FieldType::Struct(index) = element else {
        return fixed_len(element).unwrap_or(1);
    };
    let reached = reached(schema, 0, index, schema.versions);
    let versions = reached.lowest..=reached.highest;
    versions
        .map(|version| least_at(schema, index, version))
        .min()
        .unwrap_or(1)
}

/// From which version to which one the struct can be met below another.
fn reached(schema: &'static Schema, from: usize, to: usize, in_: VersionRange) -> VersionRange {
    if from == to {
        return in_;
    }
    let mut found = VersionRange::NONE;
    for field in schema.structs[from].fields {
        let inner = match field.ty {
            FieldType::Struct(inner) => inner,
            FieldType::Array(FieldType::Struct(inner)) => *inner,
            _ => continue,
        };
        let below = reached(schema, inner, to, in_.intersect(field.versions));
        if below.is_empty() {
            continue;
        }
        found = match found.is_empty() {
            true => below,
            false => VersionRange::new(
                found.lowest.min(below.lowest),
                found.highest.max(below.highest),
            ),
        };
    }
    found
}

fn least_at(schema: &'static Schema, index: usize, version: i16) -> usize {
    let mut writer = Writer::new(schema, version, false);
    writer.structure(index);
    writer.out.len()
}
