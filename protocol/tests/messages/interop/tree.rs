//! Valid messages taken apart and put together otherwise: counts and lengths are those of what is
//! there, so that readers get past them to what is wrong.

use kwire_protocol::schema::{FieldSchema, FieldType, Schema, StructSchema};

use super::random::Rng;

/// A part of a message.
#[derive(Clone, Debug)]
enum Node {
    Fixed(Vec<u8>),
    /// A string, bytes or records.
    Blob(Len, Option<Vec<u8>>),
    Array(Len, Option<Vec<Node>>),
    /// The fields without tags, and those with, if the version has such.
    Struct(Vec<Node>, Option<Tags>),
    /// What comes before a struct that may be null, and the struct if it is not.
    Nullable(Vec<u8>, Option<Box<Node>>),
    /// Bytes that nothing is known of.
    Opaque(Vec<u8>),
}

type Tags = Vec<(u32, Node)>;

/// How a length is written: as a varint and plus one, or in so many bytes.
#[derive(Clone, Copy, Debug)]
enum Len {
    Compact,
    Fixed(usize),
}

/// A message, of which parts can be changed.
#[derive(Clone, Debug)]
pub struct Tree(Node);

impl Tree {
    /// Takes a valid message apart. Panics if the bytes are not that message.
    pub fn new(schema: &'static Schema, version: i16, bytes: &[u8]) -> Tree {
        let mut parse = Parse {
            schema,
            version,
            bytes,
            flexible: schema.flexible.contains(version),
        };
        let tree = parse.structure(&schema.structs[0]);
        assert!(parse.bytes.is_empty(), "{} v{version}", schema.name);
        Tree(tree)
    }

    /// The bytes of the message.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.0.write(&mut out);
        out
    }

    /// Changes one part, and says how.
    pub fn change(&mut self, rng: &mut Rng) -> String {
        let mut place = rng.below(self.0.count());
        let at = place;
        self.0.visit(&mut place, &mut |node| {
            format!("part {at}: {}", node.change(rng))
        })
    }
}

struct Parse<'a> {
    schema: &'static Schema,
    version: i16,
    bytes: &'a [u8],
    flexible: bool,
}

impl Parse<'_> {
    fn structure(&mut self, structure: &'static StructSchema) -> Node {
        let mut fields = Vec::new();
        for field in structure.fields {
            if field.versions.contains(self.version) && !field.tagged.contains(self.version) {
                fields.push(self.untagged(field));
            }
        }
        let tags = self.flexible.then(|| {
            let count = self.varint();
            (0..count).map(|_| self.tagged(structure)).collect()
        });
        Node::Struct(fields, tags)
    }

    fn untagged(&mut self, field: &'static FieldSchema) -> Node {
        if let FieldType::Struct(index) = field.ty
            && field.nullable.contains(self.version)
        {
            let marker = self.take(1);
            let is_null = marker[0] >= 0x80;
            let inner = (!is_null).then(|| self.structure(&self.schema.structs[index]));
            return Node::Nullable(marker, inner.map(Box::new));
        }
        let compact = self.flexible && field.flexible.contains(self.version);
        self.value(field.ty, compact)
    }

    fn tagged(&mut self, structure: &'static StructSchema) -> (u32, Node) {
        let (tag, size) = (self.varint(), self.varint() as usize);
        let mut fields = structure.fields.iter().filter(|f| !f.tagged.is_empty());
        let field = fields.find(|field| field.tag == tag);
        let node = match field.map(|field| (field, field.ty)) {
            None => Node::Opaque(self.take(size)),
            Some((field, FieldType::Struct(index))) if field.nullable.contains(self.version) => {
                let marker = self.varint();
                let inner = (marker > 0).then(|| self.structure(&self.schema.structs[index]));
                Node::Nullable(varint(marker), inner.map(Box::new))
            }
            Some((_, ty)) => self.value(ty, true),
        };
        (tag, node)
    }

    fn value(&mut self, ty: FieldType, compact: bool) -> Node {
        let len = |width| {
            if compact {
                Len::Compact
            } else {
                Len::Fixed(width)
            }
        };
        let fixed = match ty {
            FieldType::Bool | FieldType::Int8 => 1,
            FieldType::Int16 | FieldType::Uint16 => 2,
            FieldType::Int32 | FieldType::Uint32 => 4,
            FieldType::Int64 | FieldType::Float64 => 8,
            FieldType::Uuid => 16,
            FieldType::String => return self.blob(len(2)),
            FieldType::Bytes | FieldType::Records => return self.blob(len(4)),
            FieldType::Struct(index) => return self.structure(&self.schema.structs[index]),
            FieldType::Array(element) => {
                let count = self.len(len(4));
                let read = |count| (0..count).map(|_| self.value(*element, compact)).collect();
                return Node::Array(len(4), count.map(read));
            }
            _ => panic!("{}: not known here: {ty:?}", self.schema.name),
        };
        Node::Fixed(self.take(fixed))
    }

    fn blob(&mut self, len: Len) -> Node {
        let content = self.len(len).map(|count| self.take(count));
        Node::Blob(len, content)
    }

    fn len(&mut self, len: Len) -> Option<usize> {
        match len {
            Len::Compact => self.varint().checked_sub(1).map(|len| len as usize),
            Len::Fixed(width) => {
                let bytes = self.take(width);
                let first = i64::from(bytes[0].cast_signed());
                let len = bytes[1..]
                    .iter()
                    .fold(first, |n, byte| n << 8 | i64::from(*byte));
                usize::try_from(len).ok()
            }
        }
    }

    fn varint(&mut self) -> u32 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        taken.to_vec()
    }
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

impl Len {
    fn write(self, len: Option<usize>, out: &mut Vec<u8>) {
        match self {
            Len::Compact => out.extend(varint(len.map_or(0, |len| len as u32 + 1))),
            Len::Fixed(width) => {
                // What is too long for its length has another one.
                let len = len.map_or(-1, |len| len as i64).to_be_bytes();
                out.extend_from_slice(&len[8 - width..]);
            }
        }
    }
}

impl Node {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Node::Fixed(bytes) | Node::Opaque(bytes) => out.extend_from_slice(bytes),
            Node::Blob(len, content) => {
                len.write(content.as_ref().map(Vec::len), out);
                out.extend(content.iter().flatten());
            }
            Node::Array(len, elements) => {
                len.write(elements.as_ref().map(Vec::len), out);
                elements.iter().flatten().for_each(|node| node.write(out));
            }
            Node::Struct(fields, tags) => {
                fields.iter().for_each(|node| node.write(out));
                let Some(tags) = tags else { return };
                out.extend(varint(tags.len() as u32));
                for (tag, node) in tags {
                    let mut payload = Vec::new();
                    node.write(&mut payload);
                    out.extend(varint(*tag));
                    out.extend(varint(payload.len() as u32));
                    out.extend(payload);
                }
            }
            Node::Nullable(marker, inner) => {
                out.extend_from_slice(marker);
                inner.iter().for_each(|node| node.write(out));
            }
        }
    }

    fn parts(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match self {
            Node::Fixed(_) | Node::Opaque(_) | Node::Blob(..) => Box::new(std::iter::empty()),
            Node::Array(_, elements) => Box::new(elements.iter().flatten()),
            Node::Struct(fields, tags) => {
                let tags = tags.iter().flatten().map(|(_, node)| node);
                Box::new(fields.iter().chain(tags))
            }
            Node::Nullable(_, inner) => Box::new(inner.iter().map(|inner| &**inner)),
        }
    }

    fn parts_mut(&mut self) -> Box<dyn Iterator<Item = &mut Node> + '_> {
        match self {
            Node::Fixed(_) | Node::Opaque(_) | Node::Blob(..) => Box::new(std::iter::empty()),
            Node::Array(_, elements) => Box::new(elements.iter_mut().flatten()),
            Node::Struct(fields, tags) => {
                let tags = tags.iter_mut().flatten().map(|(_, node)| node);
                Box::new(fields.iter_mut().chain(tags))
            }
            Node::Nullable(_, inner) => Box::new(inner.iter_mut().map(|inner| &mut **inner)),
        }
    }

    fn count(&self) -> usize {
        1 + self.parts().map(Node::count).sum::<usize>()
    }

    /// Does something to the part behind `place` others.
    fn visit(&mut self, place: &mut usize, change: &mut dyn FnMut(&mut Node) -> String) -> String {
        if *place == 0 {
            return change(self);
        }
        *place -= 1;
        for part in self.parts_mut() {
            let count = part.count();
            if *place < count {
                return part.visit(place, change);
            }
            *place -= count;
        }
        panic!("there are so many parts")
    }

    fn change(&mut self, rng: &mut Rng) -> String {
        match self {
            Node::Fixed(bytes) => {
                let byte = rng.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]);
                match rng.below(3) {
                    0 => bytes.fill(byte),
                    1 => bytes[0] = byte,
                    _ => *bytes = rng.bytes(bytes.len()),
                }
                format!("{bytes:02x?}")
            }
            Node::Opaque(bytes) => {
                let len = rng.pick(&[0, 1, 5, 127, 128, 200]);
                *bytes = rng.bytes(len);
                format!("{len} other bytes")
            }
            Node::Blob(_, content) => blob(rng, content),
            Node::Array(_, elements) => array(rng, elements),
            Node::Struct(fields, None) => {
                // A struct that is shorter or longer than its version has it.
                let at = rng.below(fields.len() + 1);
                let copy = fields.get(at).cloned();
                fields.splice(at..at, copy);
                format!("field {at} twice")
            }
            Node::Struct(fields, Some(tags)) => tagged(rng, fields.len() as u32, tags),
            Node::Nullable(marker, inner) => {
                if rng.one_in(4) {
                    *inner = None;
                }
                *marker = match rng.below(4) {
                    // As varints: -1, the greatest int and the least.
                    0 => vec![0xff, 0xff, 0xff, 0xff, rng.pick(&[0x0f, 0x07])],
                    1 => vec![0x80, 0x80, 0x80, 0x80, 0x08],
                    _ => vec![rng.pick(&[0, 1, 2, 0x7e, 0x7f, 0x80, 0xfe, 0xff])],
                };
                format!("marker {marker:02x?}, {}", inner.is_some())
            }
        }
    }
}

fn blob(rng: &mut Rng, content: &mut Option<Vec<u8>>) -> String {
    let content = match rng.below(8) {
        0 => {
            *content = None;
            return "null".to_owned();
        }
        1 => {
            *content = Some(Vec::new());
            return "empty".to_owned();
        }
        _ => content.get_or_insert_default(),
    };
    // Bad UTF-8 of every kind, and good at the edges.
    let odd: &[&[u8]] = &[
        b"\x80",
        b"\xc0\x80",
        b"\xc3",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xb0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xff",
        b"\0",
        b"\xc3\xa9",
    ];
    match rng.below(8) {
        0..5 => {
            let odd = rng.pick(odd);
            let at = rng.below(content.len() + 1);
            content.splice(at..at, odd.iter().copied());
            format!("{odd:02x?} at {at}")
        }
        // Where lengths take more bytes, and where strings end.
        5 if rng.one_in(4) => {
            let len = rng.pick(&[
                126, 127, 128, 16382, 16383, 32766, 32767, 32768, 65535, 65536,
            ]);
            // All different: behind a damage before it, the text may be taken for an array, and Java
            // takes minutes for thousands of elements with the same key.
            let filler = rng.bytes(len);
            *content = filler.iter().map(|byte| b' ' + byte % 95).collect();
            format!("{len} bytes")
        }
        _ => {
            let len = rng.between(0, 20);
            *content = rng.bytes(len);
            format!("{content:02x?}")
        }
    }
}

fn array(rng: &mut Rng, elements: &mut Option<Vec<Node>>) -> String {
    let Some(elements) = elements else {
        *elements = Some(Vec::new());
        return "empty, not null".to_owned();
    };
    if elements.is_empty() || rng.one_in(6) {
        let is_null = rng.one_in(2);
        *elements = Vec::new();
        if is_null {
            return "emptied".to_owned();
        }
    }
    let at = rng.below(elements.len().max(1));
    match rng.below(4) {
        0 if !elements.is_empty() => {
            elements.remove(at);
            format!("element {at} left out")
        }
        1 => {
            elements.reverse();
            "reversed".to_owned()
        }
        _ => {
            // Not too many: see `blob`.
            let many = elements.len() < 200;
            let times = if many {
                rng.pick(&[1, 1, 2, 126, 127])
            } else {
                1
            };
            let Some(copy) = elements.get(at).cloned() else {
                return "empty".to_owned();
            };
            elements.splice(at..at, vec![copy; times]);
            format!("element {at} {times} more times")
        }
    }
}

fn tagged(rng: &mut Rng, near: u32, tags: &mut Tags) -> String {
    let at = rng.below(tags.len().max(1));
    let choice = if tags.is_empty() { 0 } else { rng.below(7) };
    match choice {
        1 => {
            let (tag, _) = tags.remove(at);
            format!("tag {tag} left out")
        }
        2 => {
            let copy = tags[at].clone();
            let to = rng.below(tags.len() + 1);
            tags.insert(to, copy);
            format!("tag {at} twice")
        }
        3 => {
            tags.reverse();
            "tags reversed".to_owned()
        }
        4 => {
            tags[at].0 = some_tag(rng, near);
            format!("tag {at} became {}", tags[at].0)
        }
        5 => {
            let mut payload = Vec::new();
            tags[at].1.write(&mut payload);
            let len = payload.len();
            match rng.below(2) {
                0 => payload.push(rng.next() as u8),
                _ => payload.truncate(rng.below(len + 1)),
            }
            tags[at].1 = Node::Opaque(payload);
            format!("the payload of tag {at} is cut or longer")
        }
        _ => {
            let tag = some_tag(rng, near);
            let len = rng.pick(&[0, 1, 2, 4, 16, 17, 128]);
            let payload = Node::Opaque(rng.bytes(len));
            tags.insert(rng.below(tags.len() + 1), (tag, payload));
            format!("tag {tag} of {len} bytes put in")
        }
    }
}

/// Tags around those that structs know, and those that no encoder writes.
fn some_tag(rng: &mut Rng, near: u32) -> u32 {
    let far = [
        127,
        128,
        16383,
        16384,
        i32::MAX as u32 - 1,
        i32::MAX as u32,
        1 << 31,
        u32::MAX,
    ];
    match rng.below(4) {
        0 => rng.pick(&far),
        1 => near,
        _ => rng.below(6) as u32,
    }
}

#[test]
fn trees_are_what_they_were_made_of() {
    use super::values::made;
    for codec in crate::common::CODECS {
        for version in codec.schema.versions.lowest..=codec.schema.versions.highest {
            for case in 0..3 {
                let bytes = super::encode(codec, version, &made((codec, version), case));
                let bytes = bytes.unwrap_or_else(|error| panic!("{error}"));
                let mut tree = Tree::new(codec.schema, version, &bytes);
                assert_eq!(tree.bytes(), bytes, "{} v{version}", codec.schema.name);
                let mut rng = Rng::new(1, codec.schema, version, "tree", case);
                for _ in 0..20 {
                    tree.clone().change(&mut rng);
                }
                tree.change(&mut rng);
            }
        }
    }
}
