//! Plans: what a cursor does with a message's bytes, worked out from the field table by the
//! compiler.
//!
//! A plan is a short program per version: skip so many bytes, skip a string, go through an array.
//! Some of its steps give out the field that they pass. Plans of neighbouring versions with the
//! same layout are one. All of it is constant, so that nothing is made when a program runs, and
//! a path that no version of the schema has does not compile.

use crate::schema::{FieldSchema, FieldType, Schema};

/// The most paths that a plan looks for.
const MAX_PATHS: usize = 8;
/// The most steps of all versions of a message together.
const MAX_OPS: usize = 512;
/// The most versions of a message.
const MAX_VERSIONS: usize = 32;
/// The most arrays and tagged fields that a field may stand in.
pub(super) const MAX_DEPTH: usize = 8;
/// A place in a path that the field is not on.
const OFF: usize = usize::MAX;
/// Of an [`Op`] that gives nothing out.
pub(super) const NOTHING: u8 = u8::MAX;
/// Of a tagged field that the version lacks.
pub(super) const ABSENT: u16 = u16::MAX;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Takes as many bytes as the first number says.
    Fixed,
    /// Takes a string.
    Text,
    /// Takes bytes or records.
    Blob,
    /// Takes an array with elements as wide as the first number says.
    Numbers,
    /// Takes an array of strings.
    Texts,
    /// Takes an array of byte strings.
    Blobs,
    /// Takes an array of structs, each as many fixed bytes as the first number says and tagged
    /// fields that nobody wants.
    Rows,
    /// Begins an array of structs; without elements goes on at the first number.
    Each,
    /// Ends a struct in an array.
    Again,
    /// Gives out where an array ends.
    ArrayEnd,
    /// Takes the marker of a struct that may be null; if it is, goes on at the first number.
    Maybe,
    /// The same of a tagged struct.
    MaybeTagged,
    /// Takes tagged fields by their sizes.
    SkipTags,
    /// Begins tagged fields: their rows follow, as many as the first number says. Behind them it
    /// goes on at the second.
    Tags,
    /// A tag, and where its field begins.
    TagRow,
    /// Ends a tagged field; goes on with the next unless it gives that end out.
    TagEnd,
    /// Goes on with the next tagged field.
    NextTag,
    /// Ends the plan.
    End,
}

/// A step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) code: Code,
    pub(super) nullable: bool,
    /// The path that it gives out, or [`NOTHING`]. Of tags: whether something within is given.
    pub(super) give: u8,
    pub(super) first: u16,
    pub(super) second: u16,
}

const fn op(code: Code, first: usize) -> Op {
    assert!(first < ABSENT as usize);
    Op {
        code,
        nullable: false,
        give: NOTHING,
        first: first as u16,
        second: 0,
    }
}

const fn same(a: &Op, b: &Op) -> bool {
    a.code as u8 == b.code as u8
        && a.nullable == b.nullable
        && a.give == b.give
        && a.first == b.first
        && a.second == b.second
}

/// The plans of all versions of a message.
#[derive(Clone, Copy)]
pub(crate) struct Plans {
    schema: &'static Schema,
    ops: [Op; MAX_OPS],
    /// For each version from the lowest where its steps begin and end, and the last path that
    /// they give out the value of.
    spans: [(u16, u16, u8); MAX_VERSIONS],
}

/// The plan of one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(super) ops: &'static [Op],
    pub(crate) flexible: bool,
    /// The last path of which it gives out a value.
    pub(crate) last: u8,
    pub(crate) schema: &'static Schema,
    pub(crate) version: i16,
}

impl Plans {
    /// Plans that give out the fields at `paths` and end behind the last of them, or at the end of
    /// the message if `whole`.
    ///
    /// Tagged fields in which nothing is given out are skipped by their sizes, unless `whole`.
    ///
    /// A path is like `topics[].partitions[].index`; an empty one is on no field. One that ends at an array of structs gives
    /// out its length, and then where it ends.
    pub(crate) const fn new(schema: &'static Schema, paths: &[&str], whole: bool) -> Plans {
        let mut plans = Plans {
            schema,
            ops: [op(Code::End, 0); MAX_OPS],
            spans: [(0, 0, NOTHING); MAX_VERSIONS],
        };
        let mut found = [false; MAX_PATHS];
        let mut len = 0;
        let mut version = schema.versions.lowest;
        while version <= schema.versions.highest {
            let row = (version - schema.versions.lowest) as usize;
            let mut build = Build::new(schema, version, paths, whole);
            build.message();
            let previous = match row {
                0 => (0, 0, NOTHING),
                _ => plans.spans[row - 1],
            };
            let mut index = 0;
            let mut is_same = (previous.1 - previous.0) as usize == build.len;
            while index < build.len && is_same {
                is_same = same(&build.ops[index], &plans.ops[previous.0 as usize + index]);
                index += 1;
            }
            if is_same {
                plans.spans[row] = previous;
            } else {
                let mut index = 0;
                while index < build.len {
                    plans.ops[len + index] = build.ops[index];
                    index += 1;
                }
                plans.spans[row] = (len as u16, (len + build.len) as u16, build.last_value());
                len += build.len;
            }
            let mut path = 0;
            while path < MAX_PATHS {
                found[path] |= build.found[path];
                path += 1;
            }
            version += 1;
        }
        let mut path = 0;
        while path < paths.len() {
            assert!(
                found[path] || paths[path].is_empty(),
                "no version of the message has the path"
            );
            path += 1;
        }
        plans
    }

    /// The plan of a version; `None` if the message has no such version.
    #[inline]
    pub(crate) fn get(&'static self, version: i16) -> Option<Plan> {
        let schema = self.schema;
        if !schema.versions.contains(version) {
            return None;
        }
        let row = usize::try_from(version - schema.versions.lowest).ok()?;
        let (from, to, last) = *self.spans.get(row)?;
        Some(Plan {
            ops: self.ops.get(usize::from(from)..usize::from(to))?,
            flexible: schema.flexible.contains(version),
            last,
            schema,
            version,
        })
    }

    /// Whether every array of structs that is given out has rows of some width.
    pub(crate) const fn all_rows_are(&self, width: usize) -> bool {
        let mut index = 0;
        while index < MAX_OPS {
            let op = &self.ops[index];
            let is_given = op.give != NOTHING;
            let is_row = matches!(op.code, Code::Rows) && op.first as usize == width;
            if is_given && !is_row && !matches!(op.code, Code::ArrayEnd) {
                return false;
            }
            index += 1;
        }
        true
    }

    /// The schema.
    pub(crate) const fn schema(&self) -> &'static Schema {
        self.schema
    }
}

/// The plan of one version, in the making.
struct Build<'p> {
    schema: &'static Schema,
    version: i16,
    flexible: bool,
    paths: &'p [&'p str],
    ops: [Op; 256],
    len: usize,
    found: [bool; MAX_PATHS],
    depth: usize,
    /// Whether the plan goes to the message's end and into every tagged field.
    whole: bool,
    /// Whether the fields are those of a tagged field in which something is given out.
    in_tag: bool,
}

/// How far each path has been gone.
type Places = [usize; MAX_PATHS];

impl<'p> Build<'p> {
    const fn new(
        schema: &'static Schema,
        version: i16,
        paths: &'p [&'p str],
        whole: bool,
    ) -> Build<'p> {
        assert!(paths.len() <= MAX_PATHS);
        Build {
            schema,
            version,
            flexible: schema.flexible.contains(version),
            paths,
            ops: [op(Code::End, 0); 256],
            len: 0,
            found: [false; MAX_PATHS],
            depth: 0,
            whole,
            in_tag: false,
        }
    }

    const fn message(&mut self) {
        let fields = self.schema.structs[0].fields;
        let mut needed = 0;
        let mut index = 0;
        while index < fields.len() {
            let from = self.len;
            self.untagged(&fields[index], &[0; MAX_PATHS]);
            if self.gives(from) {
                needed = self.len;
            }
            index += 1;
        }
        let from = self.len;
        self.tags(0, &[0; MAX_PATHS]);
        if self.whole || self.gives(from) {
            needed = self.len;
        }
        self.len = needed;
        self.push(op(Code::End, 0));
    }

    /// The path of the last step that gives out a value.
    const fn last_value(&self) -> u8 {
        let (mut last, mut index) = (NOTHING, 0);
        while index < self.len {
            let op = &self.ops[index];
            let is_value = matches!(op.code, Code::Fixed | Code::Text | Code::Blob);
            if is_value && op.give != NOTHING {
                last = op.give;
            }
            index += 1;
        }
        last
    }

    /// Whether a step from a place on gives something out.
    const fn gives(&self, from: usize) -> bool {
        let mut index = from;
        while index < self.len {
            if self.ops[index].give != NOTHING {
                return true;
            }
            index += 1;
        }
        false
    }

    const fn push(&mut self, op: Op) {
        self.ops[self.len] = op;
        self.len += 1;
    }

    const fn deeper(&mut self) {
        self.depth += 1;
        assert!(self.depth <= MAX_DEPTH);
    }

    const fn structure(&mut self, index: usize, places: &Places) {
        let fields = self.schema.structs[index].fields;
        let mut field = 0;
        while field < fields.len() {
            self.untagged(&fields[field], places);
            field += 1;
        }
        self.tags(index, places);
    }

    const fn untagged(&mut self, field: &FieldSchema, places: &Places) {
        if !field.versions.contains(self.version) || field.tagged.contains(self.version) {
            return;
        }
        assert!(!self.flexible || field.flexible.contains(self.version));
        let nullable = field.nullable.contains(self.version);
        let (places, give) = self.step(field, places);
        if let FieldType::Struct(index) = field.ty
            && nullable
        {
            let at = self.len;
            self.push(op(Code::Maybe, 0));
            self.structure(index, &places);
            self.ops[at].first = self.len as u16;
            self.barrier();
        } else {
            self.value(field.ty, nullable, give, &places);
        }
    }

    const fn tagged(&mut self, field: &FieldSchema, places: &Places) {
        let nullable = field.nullable.contains(self.version);
        let (places, give) = self.step(field, places);
        if let FieldType::Struct(index) = field.ty
            && nullable
        {
            let at = self.len;
            self.push(op(Code::MaybeTagged, 0));
            self.structure(index, &places);
            self.ops[at].first = self.len as u16;
        } else {
            self.value(field.ty, nullable, give, &places);
        }
    }

    /// Keeps the next fixed bytes from being merged with those before, which a jump passes over.
    const fn barrier(&mut self) {
        self.push(op(Code::Fixed, 0));
    }

    const fn value(&mut self, ty: FieldType, nullable: bool, give: u8, places: &Places) {
        let step = match ty {
            FieldType::String => op(Code::Text, 0),
            FieldType::Bytes | FieldType::Records => op(Code::Blob, 0),
            FieldType::Struct(index) => {
                assert!(give == NOTHING);
                return self.structure(index, places);
            }
            FieldType::Array(element) => match *element {
                FieldType::Struct(index) => {
                    let width = self.width_of_struct(index);
                    if width == 0 || give != NOTHING || goes_on(places) {
                        return self.each(index, nullable, give, places);
                    }
                    op(Code::Numbers, width)
                }
                FieldType::String => op(Code::Texts, 0),
                FieldType::Bytes | FieldType::Records => op(Code::Blobs, 0),
                other => op(Code::Numbers, width(other)),
            },
            fixed => return self.fixed(width(fixed), give),
        };
        self.push(Op {
            nullable,
            give,
            ..step
        });
    }

    /// Fixed bytes, in one step with those before if nobody wants either.
    const fn fixed(&mut self, width: usize, give: u8) {
        if give == NOTHING && self.len > 0 {
            let last = &mut self.ops[self.len - 1];
            if matches!(last.code, Code::Fixed) && last.give == NOTHING {
                last.first += width as u16;
                return;
            }
        }
        self.push(Op {
            give,
            ..op(Code::Fixed, width)
        });
    }

    const fn each(&mut self, index: usize, nullable: bool, give: u8, places: &Places) {
        let at = self.len;
        self.push(Op {
            nullable,
            give,
            ..op(Code::Each, 0)
        });
        self.deeper();
        self.structure(index, places);
        self.depth -= 1;
        if self.is_row(at + 1) {
            // All elements in one step.
            self.ops[at].code = Code::Rows;
            self.ops[at].first = self.ops[at + 1].first;
            self.ops[at].second = (self.len == at + 3) as u16;
            self.len = at + 1;
            return self.array_end(give);
        }
        self.push(op(Code::Again, 0));
        self.ops[at].first = self.len as u16;
        self.array_end(give);
    }

    const fn array_end(&mut self, give: u8) {
        if give != NOTHING {
            self.push(Op {
                give,
                ..op(Code::ArrayEnd, 0)
            });
        }
    }

    /// Whether the steps from a place on are fixed bytes, and tagged fields to be skipped.
    const fn is_row(&self, from: usize) -> bool {
        let count = self.len - from;
        let fixed = count > 0
            && matches!(self.ops[from].code, Code::Fixed)
            && self.ops[from].give == NOTHING;
        let tags = count == 2 && matches!(self.ops[from + 1].code, Code::SkipTags);
        fixed && (count == 1 || tags)
    }

    const fn tags(&mut self, index: usize, places: &Places) {
        if !self.flexible {
            return;
        }
        let fields = self.schema.structs[index].fields;
        if !self.needs_tags(fields, places) {
            return self.push(op(Code::SkipTags, 0));
        }
        let at = self.len;
        self.push(op(Code::Tags, 0));
        let mut field = 0;
        while field < fields.len() {
            if !fields[field].tagged.is_empty() {
                let tag = op(Code::TagRow, fields[field].tag as usize);
                self.push(Op {
                    second: ABSENT,
                    ..tag
                });
            }
            field += 1;
        }
        let rows = self.len - at - 1;
        self.ops[at].first = rows as u16;
        self.deeper();
        let (mut field, mut row) = (0, at + 1);
        while field < fields.len() {
            if fields[field].tagged.contains(self.version) {
                let body = self.len;
                self.ops[row].second = body as u16;
                self.tagged(&fields[field], places);
                let give = if self.gives(body) { 0 } else { NOTHING };
                // The size of one that changes is known when it ends; nobody needs more than one
                // such size at a time.
                assert!(give == NOTHING || !self.in_tag);
                self.ops[row].give = give;
                self.push(Op {
                    give,
                    ..op(Code::TagEnd, 0)
                });
                if give != NOTHING {
                    self.push(op(Code::NextTag, 0));
                }
            }
            if !fields[field].tagged.is_empty() {
                row += 1;
            }
            field += 1;
        }
        self.depth -= 1;
        self.ops[at].second = self.len as u16;
    }

    /// Whether some of a struct's tagged fields have to be gone into.
    const fn needs_tags(&self, fields: &[FieldSchema], places: &Places) -> bool {
        let mut field = 0;
        while field < fields.len() {
            if !fields[field].tagged.is_empty() {
                let (next, give) = self.look(&fields[field], places);
                if self.whole || give != NOTHING || goes_on(&next) {
                    return true;
                }
            }
            field += 1;
        }
        false
    }

    /// How far the paths go with a field, and the path that ends there.
    const fn step(&mut self, field: &FieldSchema, places: &Places) -> (Places, u8) {
        let (next, give) = self.look(field, places);
        if give != NOTHING {
            self.found[give as usize] = true;
        }
        (next, give)
    }

    const fn look(&self, field: &FieldSchema, places: &Places) -> (Places, u8) {
        let mut next = [OFF; MAX_PATHS];
        let mut give = NOTHING;
        let mut path = 0;
        while path < self.paths.len() {
            let text = self.paths[path].as_bytes();
            let at = places[path];
            if at != OFF && continues(text, at, field.name.as_bytes()) {
                let end = at + field.name.len();
                if end == text.len() {
                    give = path as u8;
                } else if continues(text, end, b"[].") {
                    next[path] = end + 3;
                } else if continues(text, end, b".") {
                    next[path] = end + 1;
                }
            }
            path += 1;
        }
        (next, give)
    }

    /// The width of a struct that has the same in every element, or 0.
    const fn width_of_struct(&self, index: usize) -> usize {
        if self.flexible {
            return 0;
        }
        let fields = self.schema.structs[index].fields;
        let (mut sum, mut field) = (0, 0);
        while field < fields.len() {
            if fields[field].versions.contains(self.version) {
                match width(fields[field].ty) {
                    0 => return 0,
                    width => sum += width,
                }
            }
            field += 1;
        }
        sum
    }
}

const fn goes_on(places: &Places) -> bool {
    let mut path = 0;
    while path < MAX_PATHS {
        if places[path] != OFF {
            return true;
        }
        path += 1;
    }
    false
}

/// Whether `part` stands at a place of a path, as a whole name if it is one.
const fn continues(path: &[u8], at: usize, part: &[u8]) -> bool {
    if at + part.len() > path.len() {
        return false;
    }
    let mut index = 0;
    while index < part.len() {
        if path[at + index] != part[index] {
            return false;
        }
        index += 1;
    }
    let end = at + part.len();
    let is_name = part[part.len() - 1] != b'.';
    !is_name || end == path.len() || path[end] == b'[' || path[end] == b'.'
}

/// The width of a type, or 0 if it has several.
const fn width(ty: FieldType) -> usize {
    match ty {
        FieldType::Bool | FieldType::Int8 => 1,
        FieldType::Int16 | FieldType::Uint16 => 2,
        FieldType::Int32 | FieldType::Uint32 => 4,
        FieldType::Int64 | FieldType::Float64 => 8,
        FieldType::Uuid => 16,
        _ => 0,
    }
}
