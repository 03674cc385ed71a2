//! Damage to the bytes of a message, and where it hurts most: at what says how long something is.

use std::ops::Range;

use kwire_protocol::schema::{FieldSchema, FieldType, Schema, StructSchema};

use super::random::Rng;

/// A number in a message that says what follows it: a length, a count, a tag, the size of a tagged
/// field, or a marker of null.
pub struct Guide {
    /// Where its bytes are.
    pub at: Range<usize>,
    /// Whether it is a varint; otherwise it is a signed number of as many bytes as it has.
    pub varint: bool,
}

/// Finds the guides of a valid message. Panics if the bytes are not that message.
pub fn guides(schema: &'static Schema, version: i16, bytes: &[u8]) -> Vec<Guide> {
    let mut find = Find {
        schema,
        version,
        bytes,
        at: 0,
        flexible: schema.flexible.contains(version),
        guides: Vec::new(),
    };
    find.structure(&schema.structs[0]);
    assert_eq!(find.at, bytes.len(), "{} v{version}", schema.name);
    find.guides
}

struct Find<'a> {
    schema: &'static Schema,
    version: i16,
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
    guides: Vec<Guide>,
}

impl Find<'_> {
    fn structure(&mut self, structure: &'static StructSchema) {
        for field in structure.fields {
            if field.versions.contains(self.version) && !field.tagged.contains(self.version) {
                self.untagged(field);
            }
        }
        if !self.flexible {
            return;
        }
        for _ in 0..self.varint() {
            let tag = self.varint();
            let size = self.varint() as usize;
            let end = self.at + size;
            let mut tagged = structure.fields.iter().filter(|f| !f.tagged.is_empty());
            match tagged.find(|field| u64::from(field.tag) == tag) {
                Some(field) if field.nullable.contains(self.version) && is_struct(field) => {
                    if self.varint() > 0 {
                        self.value(field.ty, true);
                    }
                }
                Some(field) => self.value(field.ty, true),
                None => self.at = end,
            }
            assert_eq!(self.at, end, "{} v{}", self.schema.name, self.version);
        }
    }

    fn untagged(&mut self, field: &'static FieldSchema) {
        if is_struct(field) && field.nullable.contains(self.version) && self.fixed(1) < 0 {
            return;
        }
        self.value(
            field.ty,
            self.flexible && field.flexible.contains(self.version),
        );
    }

    fn value(&mut self, ty: FieldType, compact: bool) {
        match ty {
            FieldType::Bool | FieldType::Int8 => self.at += 1,
            FieldType::Int16 | FieldType::Uint16 => self.at += 2,
            FieldType::Int32 | FieldType::Uint32 => self.at += 4,
            FieldType::Int64 | FieldType::Float64 => self.at += 8,
            FieldType::Uuid => self.at += 16,
            FieldType::String => self.at += self.len(compact, 2),
            FieldType::Bytes | FieldType::Records => self.at += self.len(compact, 4),
            FieldType::Struct(index) => self.structure(&self.schema.structs[index]),
            FieldType::Array(element) => {
                for _ in 0..self.len(compact, 4) {
                    self.value(*element, compact);
                }
            }
            _ => panic!(
                "{}: a type that is not known here: {ty:?}",
                self.schema.name
            ),
        }
    }

    /// A length; that of null is 0.
    fn len(&mut self, compact: bool, width: usize) -> usize {
        if compact {
            self.varint().saturating_sub(1) as usize
        } else {
            self.fixed(width).max(0) as usize
        }
    }

    fn fixed(&mut self, width: usize) -> i64 {
        let at = self.at..self.at + width;
        let first = i64::from(self.bytes[self.at] as i8);
        let rest = &self.bytes[self.at + 1..at.end];
        let value = rest.iter().fold(first, |n, byte| n << 8 | i64::from(*byte));
        self.at = at.end;
        self.guides.push(Guide { at, varint: false });
        value
    }

    fn varint(&mut self) -> u64 {
        let start = self.at;
        let mut value = 0;
        loop {
            let byte = self.bytes[self.at];
            value |= u64::from(byte & 0x7f) << (7 * (self.at - start));
            self.at += 1;
            if byte < 0x80 {
                break;
            }
        }
        let at = start..self.at;
        self.guides.push(Guide { at, varint: true });
        value
    }
}

fn is_struct(field: &FieldSchema) -> bool {
    matches!(field.ty, FieldType::Struct(_))
}

/// A damaged copy, and what was done to it.
pub fn mutate(rng: &mut Rng, bytes: &[u8], guides: &[Guide]) -> (Vec<u8>, String) {
    let mut bytes = bytes.to_vec();
    let mut done = Vec::new();
    if !guides.is_empty() && rng.one_in(2) {
        let guide = &guides[rng.below(guides.len())];
        let old = bytes[guide.at.clone()].to_vec();
        let new = if guide.varint {
            varint(rng, &old)
        } else {
            fixed(rng, &old)
        };
        done.push(format!(
            "{old:02x?} at {} became {new:02x?}",
            guide.at.start
        ));
        bytes.splice(guide.at.clone(), new);
        if rng.one_in(4) {
            done.push(anywhere(rng, &mut bytes));
        }
    } else {
        for _ in 0..rng.pick(&[1, 1, 1, 2, 3]) {
            done.push(anywhere(rng, &mut bytes));
        }
    }
    (bytes, done.join("; "))
}

fn fixed(rng: &mut Rng, old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    let (first, last) = (0, old.len() - 1);
    match rng.below(8) {
        0 => new.fill(0),
        1 => new.fill(0xff),
        2 => {
            new.fill(0xff);
            new[first] = 0x7f;
        }
        3 => {
            new.fill(0);
            new[first] = 0x80;
        }
        4 => new[last] = new[last].wrapping_add(1),
        5 => new[last] = new[last].wrapping_sub(1),
        6 => new[last] = rng.next() as u8,
        _ => new = rng.bytes(old.len()),
    }
    new
}

fn varint(rng: &mut Rng, old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    let last = old.len() - 1;
    match rng.below(14) {
        0 => vec![0],
        1 => vec![1],
        // All ones: -1 as an int.
        2 => vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        // The greatest and the least int.
        3 => vec![0xff, 0xff, 0xff, 0xff, 0x07],
        4 => vec![0x80, 0x80, 0x80, 0x80, 0x08],
        // Bits that no int has.
        5 => vec![0xff, 0xff, 0xff, 0xff, 0x7f],
        6 => {
            new.resize(5, 0x80);
            new[last] |= 0x80;
            new[4] |= 0x70;
            new[4] &= 0x7f;
            new
        }
        // The same number, longer than need be: as far as that goes, and farther.
        7 | 8 => {
            new[last] |= 0x80;
            let more = rng.below(5 - old.len().min(4));
            new.extend(vec![0x80; more]);
            new.push(0);
            new
        }
        9 => {
            new[last] |= 0x80;
            new.resize(5, 0x80);
            new.push(0);
            new
        }
        10 => {
            new[last] = new[last].wrapping_add(1) & 0x7f;
            new
        }
        11 => {
            new[last] = new[last].wrapping_sub(1) & 0x7f;
            new
        }
        12 => {
            new[last] = rng.next() as u8 & 0x7f;
            new
        }
        _ => {
            let len = rng.between(1, 5);
            let mut new = rng.bytes(len);
            new[..len - 1].iter_mut().for_each(|byte| *byte |= 0x80);
            new[len - 1] &= 0x7f;
            new
        }
    }
}

fn anywhere(rng: &mut Rng, bytes: &mut Vec<u8>) -> String {
    let interesting = [0, 1, 2, 0x14, 0x7f, 0x80, 0xc3, 0xfe, 0xff];
    if bytes.is_empty() || rng.one_in(12) {
        let len = rng.between(1, 3);
        let more = rng.bytes(len);
        let done = format!("{more:02x?} behind the end");
        bytes.extend(more);
        return done;
    }
    let at = rng.below(bytes.len());
    let end = (at + rng.between(1, 4)).min(bytes.len());
    match rng.below(9) {
        0 | 1 => {
            let bit = rng.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} at {at} flipped")
        }
        2 | 3 => {
            bytes[at] = rng.pick(&interesting);
            format!("{:02x} at {at}", bytes[at])
        }
        4 | 5 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        6 => {
            bytes.drain(at..end);
            format!("{at}..{end} cut out")
        }
        7 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
            format!("{at}..{end} doubled")
        }
        _ => {
            let byte = rng.pick(&interesting);
            bytes.insert(at, byte);
            format!("{byte:02x} put in at {at}")
        }
    }
}
