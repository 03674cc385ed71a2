//! The lines in which generated code has its field tables, read when somebody asks for them.
//!
//! As constants, the tables were a sixth of what the crate takes to compile, and only tools,
//! JSON and errors need them. A line is a struct's name, or, indented, a field: name, type,
//! versions, and what else is to be said of it:
//!
//! ```text
//! VoteRequest
//!   clusterId string 0+ nullable=0+ default=null
//!   topics []TopicData 0+
//! ```

use std::ops::Deref;
use std::sync::OnceLock;

use super::{DefaultValue, FieldSchema, FieldType, StructSchema, VersionRange};

/// All structs of a message; the first is the message itself.
#[derive(Debug)]
pub struct Structs {
    lines: &'static [&'static str],
    docs: &'static [&'static str],
    read: OnceLock<&'static [StructSchema]>,
}

impl Structs {
    /// The structs in `lines`, each described by the line of `docs` in the same place. For
    /// generated code: what cannot be understood is left out.
    pub const fn new(lines: &'static [&'static str], docs: &'static [&'static str]) -> Structs {
        Structs {
            lines,
            docs,
            read: OnceLock::new(),
        }
    }

    /// The lines that say it all, as generated code has them.
    pub fn lines(&self) -> &'static [&'static str] {
        self.lines
    }

    /// Where the types are found that lines name.
    fn names(&self) -> Vec<&'static str> {
        let is_struct = |line: &&&'static str| !line.starts_with(' ');
        self.lines.iter().filter(is_struct).copied().collect()
    }

    fn read(&self) -> &'static [StructSchema] {
        let names = self.names();
        let mut structs: Vec<StructSchema> = Vec::with_capacity(names.len());
        let mut fields = Vec::new();
        for (place, line) in self.lines.iter().enumerate().rev() {
            let doc = self.docs.get(place).copied().unwrap_or_default();
            match line.strip_prefix("  ") {
                Some(words) => fields.extend(field(words, doc, &names)),
                None => {
                    fields.reverse();
                    let fields = std::mem::take(&mut fields).leak();
                    structs.push(StructSchema {
                        name: line,
                        doc,
                        fields,
                    });
                }
            }
        }
        structs.reverse();
        structs.leak()
    }
}

/// Once read, the structs stay: a table is a static.
impl Deref for Structs {
    type Target = [StructSchema];

    fn deref(&self) -> &[StructSchema] {
        self.read.get_or_init(|| self.read())
    }
}

/// The descriptions with the feature `docs`, and none without it, so that programs which do not
/// print them do not carry them.
pub const fn docs(lines: &'static [&'static str]) -> &'static [&'static str] {
    if cfg!(feature = "docs") { lines } else { &[] }
}

fn field(line: &'static str, doc: &'static str, names: &[&'static str]) -> Option<FieldSchema> {
    let (said, default) = match line.split_once(" default=") {
        Some((said, default)) => (said, default_value(default)),
        None => (line, DefaultValue::Natural),
    };
    let mut words = said.split(' ');
    let mut field = FieldSchema {
        name: words.next()?,
        ty: field_type(words.next()?, names)?,
        versions: range(words.next()?),
        nullable: VersionRange::NONE,
        tagged: VersionRange::NONE,
        tag: 0,
        flexible: VersionRange::from(0),
        ignorable: false,
        map_key: false,
        default,
        entity_type: "",
        doc,
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("nullable", versions) => field.nullable = range(versions),
            ("tagged", versions) => field.tagged = range(versions),
            ("tag", tag) => field.tag = number(tag)?,
            ("flexible", versions) => field.flexible = range(versions),
            ("ignorable", _) => field.ignorable = true,
            ("key", _) => field.map_key = true,
            ("entity", name) => field.entity_type = name,
            _ => return None,
        }
    }
    Some(field)
}

fn field_type(name: &str, names: &[&'static str]) -> Option<FieldType> {
    if let Some(element) = name.strip_prefix("[]") {
        let element = Box::new(field_type(element, names)?);
        return Some(FieldType::Array(Box::leak(element)));
    }
    Some(match name {
        "bool" => FieldType::Bool,
        "int8" => FieldType::Int8,
        "int16" => FieldType::Int16,
        "uint16" => FieldType::Uint16,
        "int32" => FieldType::Int32,
        "uint32" => FieldType::Uint32,
        "int64" => FieldType::Int64,
        "float64" => FieldType::Float64,
        "uuid" => FieldType::Uuid,
        "string" => FieldType::String,
        "bytes" => FieldType::Bytes,
        "records" => FieldType::Records,
        _ => FieldType::Struct(names.iter().position(|other| *other == name)?),
    })
}

/// A number of any width, by the same code: parsing is generic, and long.
fn number<T: TryFrom<i64>>(text: &str) -> Option<T> {
    T::try_from(text.parse::<i64>().ok()?).ok()
}

/// `none`, `3`, `3-5` or `3+`, as versions print.
fn range(text: &str) -> VersionRange {
    let range = match (text.strip_suffix('+'), text.split_once('-')) {
        (Some(lowest), _) => number(lowest).map(VersionRange::from),
        (None, Some((lowest, highest))) => {
            number(lowest).and_then(|lowest| Some(VersionRange::new(lowest, number(highest)?)))
        }
        (None, None) => number(text).map(|version| VersionRange::new(version, version)),
    };
    range.unwrap_or(VersionRange::NONE)
}

fn default_value(text: &'static str) -> DefaultValue {
    let (kind, value) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "null" => DefaultValue::Null,
        "true" => DefaultValue::True,
        "int" => number(value).map_or(DefaultValue::Natural, DefaultValue::Int),
        "float" => value
            .parse()
            .map_or(DefaultValue::Natural, DefaultValue::Float),
        "uuid" => {
            let number = u128::from_str_radix(value, 16).unwrap_or_default();
            DefaultValue::Uuid(number.to_be_bytes())
        }
        _ => DefaultValue::Text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_there_is() {
        static STRUCTS: Structs = Structs::new(
            &[
                "Outer",
                "  plain int32 0+",
                "  inner [][]Inner 2-5 nullable=3+ tagged=4 tag=7 flexible=none ignorable key entity=topicName default=null",
                "Inner",
                "  text string none default=text:a default=b",
                "  id uuid 1+ default=uuid:00000000000000000000000000000102",
                "  number float64 1+ default=float:-0.5",
            ],
            &["outer", "plain"],
        );
        let [outer, inner] = &*STRUCTS else {
            panic!("{STRUCTS:?}");
        };
        assert_eq!((outer.name, outer.doc), ("Outer", "outer"));
        let [plain, nested] = outer.fields else {
            panic!("{outer:?}");
        };
        assert_eq!(
            (plain.name, plain.ty, plain.doc),
            ("plain", FieldType::Int32, "plain")
        );
        assert_eq!(plain.versions, VersionRange::from(0));
        assert_eq!(plain.flexible, VersionRange::from(0));
        assert!(plain.nullable.is_empty() && plain.tagged.is_empty());
        assert_eq!(
            nested.ty,
            FieldType::Array(&FieldType::Array(&FieldType::Struct(1)))
        );
        assert_eq!(nested.versions, VersionRange::new(2, 5));
        assert_eq!(nested.nullable, VersionRange::from(3));
        assert_eq!((nested.tagged, nested.tag), (VersionRange::new(4, 4), 7));
        assert!(nested.flexible.is_empty() && nested.ignorable && nested.map_key);
        assert_eq!((nested.entity_type, nested.doc), ("topicName", ""));
        let defaults: Vec<_> = inner.fields.iter().map(|field| field.default).collect();
        let mut uuid = [0; 16];
        uuid[14..].copy_from_slice(&[1, 2]);
        let wanted = [
            DefaultValue::Text("a default=b"),
            DefaultValue::Uuid(uuid),
            DefaultValue::Float(-0.5),
        ];
        assert_eq!(defaults, wanted);
    }
}
