//! Plans: what a cursor does with a message's bytes, worked out from the field table.
//!
//! A plan is a short program per version: skip so many bytes, skip a string, go through an array.
//! Some of its steps give out the field that they pass. Plans of neighbouring versions with the
//! same layout are one. They are made when the first cursor needs them, and stay.

use crate::runtime::{DecodeError, unsupported_decode};
use crate::schema::{FieldSchema, FieldType, Schema};

/// The most paths that a plan looks for.
const MAX_PATHS: usize = 8;
/// The most arrays and tagged fields that a field may stand in.
pub(super) const MAX_DEPTH: usize = 8;
/// How many values a cursor keeps the places of: paths with the same number modulo this share one.
pub(super) const SLOTS: usize = 4;
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
    /// The same, behind tagged fields that are taken by their sizes.
    TagsAgain,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) code: Code,
    pub(super) nullable: bool,
    /// The path that it gives out, or [`NOTHING`]. Of tags: whether something within is given.
    pub(super) give: u8,
    /// Whether the cursor stops when it has given this value out, as no other follows for sure.
    pub(super) stop: bool,
    pub(super) first: u16,
    pub(super) second: u16,
}

#[inline]
fn op(code: Code, first: usize) -> Op {
    assert!(first < usize::from(ABSENT));
    Op {
        code,
        nullable: false,
        give: NOTHING,
        stop: false,
        first: first as u16,
        second: 0,
    }
}

/// The plans of all versions of a message.
#[derive(Debug)]
pub struct Plans {
    schema: &'static Schema,
    ops: Vec<Op>,
    /// For each version from the lowest where its steps begin and end.
    spans: Vec<(usize, usize)>,
}

/// The plan of one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(super) ops: &'static [Op],
    pub(crate) flexible: bool,
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
    #[inline]
    pub(crate) fn new(schema: &'static Schema, paths: &[&str], whole: bool) -> Plans {
        let mut plans = Plans {
            schema,
            ops: Vec::new(),
            spans: Vec::new(),
        };
        let mut found = [false; MAX_PATHS];
        for version in schema.versions.lowest..=schema.versions.highest {
            let mut build = Build::new(schema, version, paths, whole);
            build.message();
            let previous = plans.spans.last().copied().unwrap_or((0, 0));
            if plans.ops.get(previous.0..previous.1) == Some(&build.ops[..]) {
                plans.spans.push(previous);
            } else {
                let from = plans.ops.len();
                plans.ops.append(&mut build.ops);
                plans.spans.push((from, plans.ops.len()));
            }
            for (found, now) in found.iter_mut().zip(build.found) {
                *found |= now;
            }
        }
        for (path, found) in paths.iter().zip(found) {
            assert!(
                found || path.is_empty(),
                "no version of {} has {path}",
                schema.name
            );
        }
        plans
    }

    /// The plan of a version.
    ///
    /// # Errors
    /// When the message has no such version.
    #[inline]
    pub(crate) fn get(&'static self, version: i16) -> Result<Plan, DecodeError> {
        self.find(version)
            .ok_or_else(|| unsupported_decode(self.schema, version))
    }

    #[inline]
    fn find(&'static self, version: i16) -> Option<Plan> {
        let schema = self.schema;
        if !schema.versions.contains(version) {
            return None;
        }
        let row = usize::try_from(version - schema.versions.lowest).ok()?;
        let (from, to) = *self.spans.get(row)?;
        Some(Plan {
            ops: self.ops.get(from..to)?,
            flexible: schema.flexible.contains(version),
            schema,
            version,
        })
    }

    /// For each version, the paths at whose values a cursor stops.
    #[cfg(test)]
    pub(crate) fn stops(&self) -> Vec<Vec<u8>> {
        let stops = |&(from, to): &(usize, usize)| {
            let stops = self.ops[from..to].iter().filter(|op| op.stop);
            stops.map(|op| op.give).collect()
        };
        self.spans.iter().map(stops).collect()
    }

    /// Whether every array of structs that is given out has rows of some width.
    #[cfg(test)]
    pub(crate) fn all_rows_are(&self, width: usize) -> bool {
        let mut given = self.ops.iter().filter(|op| op.give != NOTHING);
        given.all(|op| match op.code {
            Code::Rows => usize::from(op.first) == width,
            code => code == Code::ArrayEnd,
        })
    }
}

/// The plan of one version, in the making.
struct Build<'p> {
    schema: &'static Schema,
    version: i16,
    flexible: bool,
    paths: &'p [&'p str],
    ops: Vec<Op>,
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
    #[inline]
    fn new(schema: &'static Schema, version: i16, paths: &'p [&'p str], whole: bool) -> Build<'p> {
        assert!(paths.len() <= MAX_PATHS);
        Build {
            schema,
            version,
            flexible: schema.flexible.contains(version),
            paths,
            ops: Vec::new(),
            found: [false; MAX_PATHS],
            depth: 0,
            whole,
            in_tag: false,
        }
    }

    #[inline]
    fn message(&mut self) {
        let mut needed = 0;
        for field in self.schema.structs[0].fields {
            let from = self.ops.len();
            self.untagged(field, &[0; MAX_PATHS]);
            if self.gives(from) {
                needed = self.ops.len();
            }
        }
        let from = self.ops.len();
        self.tags(0, &[0; MAX_PATHS]);
        if self.whole || self.gives(from) {
            needed = self.ops.len();
        }
        self.ops.truncate(needed);
        self.ops.push(op(Code::End, 0));
        self.mark_stops();
    }

    /// Marks the steps whose values are the last before something that may have others in it, or
    /// not be there.
    #[inline]
    fn mark_stops(&mut self) {
        let mut is_last = true;
        for op in self.ops.iter_mut().rev() {
            match op.code {
                Code::Fixed | Code::Text | Code::Blob if op.give != NOTHING => {
                    op.stop = is_last;
                    is_last = false;
                }
                Code::Fixed | Code::Text | Code::Blob | Code::SkipTags => {}
                Code::Numbers | Code::Texts | Code::Blobs => {}
                Code::Rows if op.give == NOTHING => {}
                _ => is_last = true,
            }
        }
    }

    /// Whether a step from a place on gives something out.
    #[inline]
    fn gives(&self, from: usize) -> bool {
        self.ops[from..].iter().any(|op| op.give != NOTHING)
    }

    #[inline]
    fn deeper(&mut self) {
        self.depth += 1;
        assert!(self.depth <= MAX_DEPTH);
    }

    #[inline]
    fn structure(&mut self, index: usize, places: &Places) {
        for field in self.schema.structs[index].fields {
            self.untagged(field, places);
        }
        self.tags(index, places);
    }

    #[inline]
    fn untagged(&mut self, field: &FieldSchema, places: &Places) {
        if !field.versions.contains(self.version) || field.tagged.contains(self.version) {
            return;
        }
        assert!(!self.flexible || field.flexible.contains(self.version));
        let nullable = field.nullable.contains(self.version);
        let (places, give) = self.step(field, places);
        if let FieldType::Struct(index) = field.ty
            && nullable
        {
            let at = self.ops.len();
            self.ops.push(op(Code::Maybe, 0));
            self.structure(index, &places);
            self.ops[at].first = self.ops.len() as u16;
            self.barrier();
        } else {
            self.value(field.ty, nullable, give, &places);
        }
    }

    #[inline]
    fn tagged(&mut self, field: &FieldSchema, places: &Places) {
        let nullable = field.nullable.contains(self.version);
        let (places, give) = self.step(field, places);
        if let FieldType::Struct(index) = field.ty
            && nullable
        {
            let at = self.ops.len();
            self.ops.push(op(Code::MaybeTagged, 0));
            self.structure(index, &places);
            self.ops[at].first = self.ops.len() as u16;
        } else {
            self.value(field.ty, nullable, give, &places);
        }
    }

    /// Keeps the next fixed bytes from being merged with those before, which a jump passes over.
    #[inline]
    fn barrier(&mut self) {
        self.ops.push(op(Code::Fixed, 0));
    }

    #[inline]
    fn value(&mut self, ty: FieldType, nullable: bool, give: u8, places: &Places) {
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
        self.ops.push(Op {
            nullable,
            give,
            ..step
        });
    }

    /// Fixed bytes, in one step with those before if nobody wants either.
    #[inline]
    fn fixed(&mut self, width: usize, give: u8) {
        if give == NOTHING
            && let Some(last) = self.ops.last_mut()
            && matches!(last.code, Code::Fixed)
            && last.give == NOTHING
        {
            last.first += width as u16;
            return;
        }
        self.ops.push(Op {
            give,
            ..op(Code::Fixed, width)
        });
    }

    #[inline]
    fn each(&mut self, index: usize, nullable: bool, give: u8, places: &Places) {
        let at = self.ops.len();
        self.ops.push(Op {
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
            self.ops[at].second = u16::from(self.ops.len() == at + 3);
            self.ops.truncate(at + 1);
            return self.array_end(give);
        }
        match self.ops.last_mut() {
            // In this struct's steps, as there is no jump to behind it.
            Some(last) if last.code == Code::SkipTags => last.code = Code::TagsAgain,
            _ => self.ops.push(op(Code::Again, 0)),
        }
        self.ops[at].first = self.ops.len() as u16;
        self.array_end(give);
    }

    #[inline]
    fn array_end(&mut self, give: u8) {
        if give != NOTHING {
            self.ops.push(Op {
                give,
                ..op(Code::ArrayEnd, 0)
            });
        }
    }

    /// Whether the steps from a place on are fixed bytes, and tagged fields to be skipped.
    #[inline]
    fn is_row(&self, from: usize) -> bool {
        let count = self.ops.len() - from;
        let fixed = count > 0
            && matches!(self.ops[from].code, Code::Fixed)
            && self.ops[from].give == NOTHING;
        let tags = count == 2 && matches!(self.ops[from + 1].code, Code::SkipTags);
        fixed && (count == 1 || tags)
    }

    #[inline]
    fn tags(&mut self, index: usize, places: &Places) {
        if !self.flexible {
            return;
        }
        let fields = self.schema.structs[index].fields;
        if !self.needs_tags(fields, places) {
            return self.ops.push(op(Code::SkipTags, 0));
        }
        let at = self.ops.len();
        self.ops.push(op(Code::Tags, 0));
        let is_tagged = |field: &&FieldSchema| !field.tagged.is_empty();
        for field in fields.iter().filter(is_tagged) {
            let tag = op(Code::TagRow, field.tag as usize);
            self.ops.push(Op {
                second: ABSENT,
                ..tag
            });
        }
        let rows = self.ops.len() - at - 1;
        self.ops[at].first = rows as u16;
        self.deeper();
        for (row, field) in (at + 1..).zip(fields.iter().filter(is_tagged)) {
            if !field.tagged.contains(self.version) {
                continue;
            }
            let body = self.ops.len();
            self.ops[row].second = body as u16;
            self.tagged(field, places);
            let give = if self.gives(body) { 0 } else { NOTHING };
            // The size of one that changes is known when it ends; nobody needs more than one
            // such size at a time.
            assert!(give == NOTHING || !self.in_tag);
            self.ops[row].give = give;
            self.ops.push(Op {
                give,
                ..op(Code::TagEnd, 0)
            });
            if give != NOTHING {
                self.ops.push(op(Code::NextTag, 0));
            }
        }
        self.depth -= 1;
        self.ops[at].second = self.ops.len() as u16;
    }

    /// Whether some of a struct's tagged fields have to be gone into.
    #[inline]
    fn needs_tags(&self, fields: &[FieldSchema], places: &Places) -> bool {
        let mut tagged = fields.iter().filter(|field| !field.tagged.is_empty());
        tagged.any(|field| {
            let (next, give) = self.look(field, places);
            self.whole || give != NOTHING || goes_on(&next)
        })
    }

    /// How far the paths go with a field, and the path that ends there.
    #[inline]
    fn step(&mut self, field: &FieldSchema, places: &Places) -> (Places, u8) {
        let (next, give) = self.look(field, places);
        if give != NOTHING {
            self.found[give as usize] = true;
        }
        (next, give)
    }

    #[inline]
    fn look(&self, field: &FieldSchema, places: &Places) -> (Places, u8) {
        let mut next = [OFF; MAX_PATHS];
        let mut give = NOTHING;
        for (path, text) in self.paths.iter().enumerate() {
            let rest = text.get(places[path]..).unwrap_or_default();
            let Some(after) = rest.strip_prefix(field.name) else {
                continue;
            };
            let end = text.len() - after.len();
            if after.is_empty() {
                give = path as u8;
            } else if after.starts_with("[].") {
                next[path] = end + 3;
            } else if after.starts_with('.') {
                next[path] = end + 1;
            }
        }
        (next, give)
    }

    /// The width of a struct that has the same in every element, or 0.
    #[inline]
    fn width_of_struct(&self, index: usize) -> usize {
        if self.flexible {
            return 0;
        }
        let is_there = |field: &&FieldSchema| field.versions.contains(self.version);
        let fields = self.schema.structs[index].fields.iter().filter(is_there);
        let widths: Vec<_> = fields.map(|field| width(field.ty)).collect();
        if widths.contains(&0) {
            0
        } else {
            widths.iter().sum()
        }
    }
}

#[inline]
fn goes_on(places: &Places) -> bool {
    places.iter().any(|place| *place != OFF)
}

/// The width of a type, or 0 if it has several.
#[inline]
fn width(ty: FieldType) -> usize {
    match ty {
        FieldType::Bool | FieldType::Int8 => 1,
        FieldType::Int16 | FieldType::Uint16 => 2,
        FieldType::Int32 | FieldType::Uint32 => 4,
        FieldType::Int64 | FieldType::Float64 => 8,
        FieldType::Uuid => 16,
        _ => 0,
    }
}
