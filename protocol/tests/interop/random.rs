//! Messages as JSON, made from the field table and a seed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kwire_protocol::Uuid;
use kwire_protocol::schema::{DefaultValue, FieldSchema, FieldType, Schema, StructSchema};
use serde_json::{Map, Value};

use super::common::hex;

/// The key of unknown tagged fields in JSON.
pub const UNKNOWN_TAGS: &str = "_unknownTaggedFields";

/// A stream of numbers that depends on nothing but what it was started with (splitmix64).
pub struct Rng(u64);

impl Rng {
    /// Every (seed, message, version, purpose, case) has a stream of its own, so that a case can be
    /// made again alone, and a new message shifts no other.
    pub fn new(seed: u64, schema: &Schema, version: i16, purpose: &str, case: usize) -> Rng {
        let label = format!("{seed}/{}/{version}/{purpose}/{case}", schema.name);
        let mut rng = Rng(label.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }));
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but without, `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the elements.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// What kind of value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Anything that the version can carry.
    Any,
    /// As [`Shape::Any`], but short, for mutations that shall hit something.
    Small,
    /// Nothing null, nothing empty, every array of one element, no unknown tags: every struct is
    /// reached.
    Full,
    /// Empty, and null where that is allowed.
    Minimal,
}

/// Makes values of one message at one version.
pub struct Values {
    pub rng: Rng,
    schema: &'static Schema,
    version: i16,
    shape: Shape,
    /// How many more values may be made; afterwards arrays are empty and texts short.
    left: usize,
}

impl Values {
    pub fn new(rng: Rng, schema: &'static Schema, version: i16, shape: Shape) -> Values {
        let left = if shape == Shape::Any { 1500 } else { 60 };
        Values {
            rng,
            schema,
            version,
            shape,
            left,
        }
    }

    /// A message.
    pub fn message(&mut self) -> Value {
        self.structure(&self.schema.structs[0])
    }

    fn structure(&mut self, structure: &'static StructSchema) -> Value {
        let mut fields = Map::new();
        for field in structure.fields {
            if !field.versions.contains(self.version) {
                continue;
            }
            let value = self.field(field);
            let value = match self.shape {
                _ if !field.tagged.contains(self.version) => value,
                Shape::Full => value,
                Shape::Minimal => continue,
                // A tagged field may be left out, or be there and say nothing.
                _ => match self.rng.below(6) {
                    0 | 1 => continue,
                    2 => match default_json(field) {
                        Some(default) => default,
                        None => continue,
                    },
                    _ => value,
                },
            };
            fields.insert(field.name.to_owned(), value);
        }
        let carries_tags = self.schema.flexible.contains(self.version);
        if carries_tags && matches!(self.shape, Shape::Any | Shape::Small) && self.rng.one_in(4) {
            fields.insert(UNKNOWN_TAGS.to_owned(), self.unknown_tags(structure));
        }
        fields.into()
    }

    /// Ascending, and above every tag that any version of the struct knows.
    fn unknown_tags(&mut self, structure: &StructSchema) -> Value {
        let mut tag = known_tags(structure);
        let mut tags = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            tag += match self.rng.below(8) {
                0 => self.rng.below(1 << 14) as u32,
                1 => self.rng.below(1 << 28) as u32,
                _ => self.rng.below(30) as u32,
            };
            let data = self.bytes();
            tags.push(Value::from(vec![Value::from(tag), hex(&data).into()]));
            tag += 1;
        }
        tags.into()
    }

    fn field(&mut self, field: &FieldSchema) -> Value {
        let null = match self.shape {
            Shape::Full => false,
            Shape::Minimal => true,
            _ => self.rng.one_in(5),
        };
        if null && field.nullable.contains(self.version) {
            return Value::Null;
        }
        self.value(field.ty)
    }

    fn value(&mut self, ty: FieldType) -> Value {
        self.left = self.left.saturating_sub(1);
        match ty {
            FieldType::Bool => self.rng.one_in(2).into(),
            FieldType::Int8 => self.integer(i8::MIN.into(), i8::MAX.into()).into(),
            FieldType::Int16 => self.integer(i16::MIN.into(), i16::MAX.into()).into(),
            FieldType::Uint16 => self.integer(0, u16::MAX.into()).into(),
            FieldType::Int32 => self.integer(i32::MIN.into(), i32::MAX.into()).into(),
            FieldType::Uint32 => self.integer(0, u32::MAX.into()).into(),
            FieldType::Int64 => self.integer(i64::MIN, i64::MAX).into(),
            FieldType::Float64 => self.float(),
            FieldType::Uuid => self.uuid(),
            FieldType::String => self.text().into(),
            FieldType::Bytes | FieldType::Records => STANDARD.encode(self.bytes()).into(),
            FieldType::Struct(index) => self.structure(&self.schema.structs[index]),
            FieldType::Array(element) => self.array(*element),
            _ => panic!(
                "{}: a type that is not known here: {ty:?}",
                self.schema.name
            ),
        }
    }

    fn array(&mut self, element: FieldType) -> Value {
        let is_struct = matches!(element, FieldType::Struct(_));
        let len = match self.shape {
            Shape::Full => 1,
            Shape::Minimal => 0,
            // Structs may hold themselves only through arrays, so this ends every recursion.
            _ if self.left == 0 => 0,
            Shape::Small => self.rng.between(0, 2),
            // Around where the length takes a second byte in compact form, and a third.
            Shape::Any => match self.rng.below(24) {
                0..4 => 0,
                4 if self.left > 300 => self.rng.between(126, 129),
                5 if !is_struct && self.left > 300 && self.rng.one_in(8) => {
                    self.rng.between(16382, 16385)
                }
                _ => self.rng.between(1, 3),
            },
        };
        (0..len).map(|_| self.value(element)).collect()
    }

    fn integer(&mut self, min: i64, max: i64) -> i64 {
        let random = self.rng.next();
        match self.rng.below(8) {
            0 => min,
            1 => max,
            2 => (-1).max(min),
            3 => 0,
            4 => max.min((random % 1000) as i64),
            _ if min == i64::MIN => random as i64,
            _ => min + (random % (max - min + 1) as u64) as i64,
        }
    }

    fn float(&mut self) -> Value {
        let edges = [
            0.0,
            -0.0,
            1.0,
            f64::MIN,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            5e-324,
            -1e15,
            9_007_199_254_740_993.0,
        ];
        match self.rng.below(8) {
            // JSON has no numbers for these; both sides write them as words.
            0 => self.rng.pick(&["NaN", "Infinity", "-Infinity"]).into(),
            1..5 => self.rng.pick(&edges).into(),
            _ => match f64::from_bits(self.rng.next()) {
                finite if finite.is_finite() => finite.into(),
                _ => 0.1.into(),
            },
        }
    }

    fn uuid(&mut self) -> Value {
        let mut bytes = [0; 16];
        match self.rng.below(6) {
            0 => {}
            1 => bytes[15] = 1,
            2 => bytes = [0xff; 16],
            _ => bytes.copy_from_slice(&self.rng.bytes(16)),
        }
        Uuid::from_bytes(bytes).to_string().into()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = match (self.shape, self.rng.below(24)) {
            (Shape::Full, _) => 3,
            (Shape::Minimal, _) | (_, 0..4) => 0,
            (Shape::Any, 4..8) if self.left > 0 => self.rng.between(125, 130),
            (Shape::Any, 8) if self.left > 0 => self.rng.between(16380, 16386),
            _ => self.rng.between(1, 12),
        };
        self.rng.bytes(len)
    }

    fn text(&mut self) -> String {
        match (self.shape, self.rng.below(24)) {
            (Shape::Full, _) => "full".to_owned(),
            (Shape::Minimal, _) | (_, 0..4) => String::new(),
            (Shape::Any, 4..7) if self.left > 0 => {
                let len = self.rng.between(40, 130);
                self.chars(len)
            }
            // As long as a string can be, or where its length takes a third byte.
            (Shape::Any, 7) if self.left > 0 && self.rng.one_in(12) => {
                let len = self.rng.pick(&[16381, 16382, 16383, 16384, 32766, 32767]);
                "0123456789abcdef".chars().cycle().take(len).collect()
            }
            _ => {
                let len = self.rng.between(1, 10);
                self.chars(len)
            }
        }
    }

    /// Characters of all widths in UTF-8; surrogates are none.
    fn chars(&mut self, len: usize) -> String {
        let curious = [
            '\0', '\t', '\r', '\n', '"', '\\', '\u{7f}', '\u{2028}', '\u{feff}', '\u{fffd}',
            '\u{ffff}',
        ];
        let mut text = String::new();
        for _ in 0..len {
            let range = match self.rng.below(12) {
                0 => 0x80..0x800,
                1 => 0x800..0xd800,
                2 => 0xe000..0x1_0000,
                3 => 0x1_0000..0x11_0000,
                4 => {
                    text.push(self.rng.pick(&curious));
                    continue;
                }
                _ => 0x20..0x7f,
            };
            let code = range.start + self.rng.below((range.end - range.start) as usize) as u32;
            text.extend(char::from_u32(code));
        }
        text
    }
}

/// One more than the highest tag that the struct knows in any version.
pub fn known_tags(structure: &StructSchema) -> u32 {
    let tagged = structure.fields.iter().filter(|f| !f.tagged.is_empty());
    tagged.map(|field| field.tag + 1).max().unwrap_or(0)
}

/// A field's default in JSON; none for the defaults of structs.
fn default_json(field: &FieldSchema) -> Option<Value> {
    Some(match (field.default, field.ty) {
        (DefaultValue::Null, _) => Value::Null,
        (DefaultValue::True, _) => true.into(),
        (DefaultValue::Int(number), _) => number.into(),
        (DefaultValue::Float(number), _) => number.into(),
        (DefaultValue::Text(text), _) => text.into(),
        (DefaultValue::Uuid(bytes), _) => Uuid::from_bytes(bytes).to_string().into(),
        (_, FieldType::Bool) => false.into(),
        (_, FieldType::Float64) => 0.0.into(),
        (_, FieldType::Uuid) => Uuid::from_bytes([0; 16]).to_string().into(),
        (_, FieldType::String | FieldType::Bytes) => "".into(),
        (_, FieldType::Array(_)) => Vec::<Value>::new().into(),
        (_, FieldType::Struct(_) | FieldType::Records) => return None,
        _ => 0.into(),
    })
}

/// A value that is not the field's default, whatever the version.
pub fn not_default(schema: &Schema, field: &FieldSchema) -> Value {
    match (field.default, field.ty) {
        (DefaultValue::True, _) => false.into(),
        (DefaultValue::Int(number), _) => (if number == 1 { 2 } else { 1 }).into(),
        // A struct of defaults differs from null, and from nothing else.
        (DefaultValue::Null, FieldType::Struct(_)) => Map::new().into(),
        (_, FieldType::Struct(index)) => {
            let field = &schema.structs[index].fields[0];
            let mut fields = Map::new();
            fields.insert(field.name.to_owned(), not_default(schema, field));
            fields.into()
        }
        (_, ty) => something(ty),
    }
}

fn something(ty: FieldType) -> Value {
    match ty {
        FieldType::Bool => true.into(),
        FieldType::Float64 => 1.5.into(),
        FieldType::Uuid => Uuid::from_bytes([1; 16]).to_string().into(),
        FieldType::String => "something".into(),
        FieldType::Bytes | FieldType::Records => STANDARD.encode(b"something").into(),
        FieldType::Struct(_) => Map::new().into(),
        FieldType::Array(element) => vec![something(*element)].into(),
        _ => 1.into(),
    }
}
