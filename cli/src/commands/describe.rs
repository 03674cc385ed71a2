//! `kwire describe`: the fields of a message.

mod json;

use std::io::Write;

use kwire_protocol::Uuid;
use kwire_protocol::codec::{self, Codec};
use kwire_protocol::schema::{
    DefaultValue, FieldSchema, FieldType, Kind, Schema, StructSchema, VersionRange,
};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::messages::{self, CODECS, Version};
use crate::output::{self, DIM, NAME, TITLE};

const EXAMPLES: &str = "\
Examples:
  kwire describe FetchRequest
  kwire describe fetch --version 17
  kwire describe PartitionRecord --json

NAME is a message, or an API, whose request and response are shown then. Versions are written as
in Kafka's schemas: 3+ is 3 and all later ones. `ignorable` fields may be dropped silently at a
version that lacks them; others are refused there unless at their default.";

/// Show the fields of a message, with their types, versions and meaning
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A message, such as FetchRequest, or an API, such as Fetch, in upper or lower case
    name: String,
    /// Only the fields of this version; `latest` is the newest stable one
    #[arg(long)]
    version: Option<Version>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let found = find(&args.name, args.version)?;
    if args.json {
        let mut values: Vec<Value> = found
            .iter()
            .map(|(schema, version)| json::message(schema, *version))
            .collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::from(values),
        };
        return output::json(out, &value, false);
    }
    for (at, (schema, version)) in found.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        message(schema, *version, out)?;
    }
    Ok(())
}

type Found = Vec<(&'static Schema, Option<i16>)>;

fn find(name: &str, version: Option<Version>) -> Result<Found, Failure> {
    let at = |codec: &'static Codec| match version {
        None => Ok((codec.schema, None)),
        Some(version) => {
            let (codec, version) = messages::message(codec.schema.name, version)?;
            Ok((codec.schema, Some(version)))
        }
    };
    let exact = CODECS
        .iter()
        .find(|codec| codec.schema.name.eq_ignore_ascii_case(name))
        .or_else(|| codec::find(CODECS, name, 0).map(|(codec, _)| codec));
    if let Some(codec) = exact {
        return Ok(vec![at(codec)?]);
    }
    if let Some(info) = messages::api(name) {
        let both = [Kind::Request, Kind::Response];
        let codecs = both.iter().filter_map(|kind| messages::of_api(info, *kind));
        return codecs.map(at).collect();
    }
    let names = CODECS.iter().map(|codec| codec.schema.name);
    let names = messages::api_names().chain(names);
    Err(messages::unknown_among("message or API", name, names))
}

fn message(
    schema: &'static Schema,
    version: Option<i16>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    write!(out, "{TITLE}{}{TITLE:#}", schema.name)?;
    if let Some(version) = version {
        write!(out, " {TITLE}v{version}{TITLE:#}")?;
    }
    let key = match (schema.api_key, schema.kind) {
        (None, _) => String::new(),
        (Some(key), Kind::Request | Kind::Response) => format!(", API key {key}"),
        (Some(key), _) => format!(", record type {key}"),
    };
    let kind = kind(schema.kind);
    let (versions, flexible) = (schema.versions, schema.flexible);
    writeln!(
        out,
        ": {kind}{key}, versions {versions}, flexible {flexible}"
    )?;
    let Some(structure) = schema.structs.first() else {
        return Ok(());
    };
    if !structure.doc.is_empty() {
        writeln!(
            out,
            "{}",
            output::wrapped(structure.doc, 2, output::width())
        )?;
    }
    let mut tree = Tree {
        schema,
        version,
        width: output::width(),
        out,
    };
    if fields_at(structure, version).next().is_none() {
        writeln!(tree.out, "\n  {DIM}no fields{DIM:#}")?;
    }
    tree.fields(structure, 1)
}

/// The fields that a version has, or all.
fn fields_at(
    structure: &'static StructSchema,
    version: Option<i16>,
) -> impl Iterator<Item = &'static FieldSchema> {
    let has = move |field: &&FieldSchema| version.is_none_or(|v| field.versions.contains(v));
    structure.fields.iter().filter(has)
}

struct Tree<'a> {
    schema: &'static Schema,
    version: Option<i16>,
    width: usize,
    out: &'a mut dyn Write,
}

impl Tree<'_> {
    fn fields(&mut self, structure: &'static StructSchema, depth: usize) -> Result<(), Failure> {
        let longest = fields_at(structure, self.version).map(|field| field.name.len());
        let longest = longest.max().unwrap_or(0);
        for field in fields_at(structure, self.version) {
            let indent = 2 * depth;
            let name = format!("{:<longest$}", field.name);
            let margin = " ".repeat(indent);
            let ty = type_name(self.schema, field.ty);
            let marks = marks(field, self.version).join(", ");
            let sep = if marks.is_empty() { "" } else { "  " };
            writeln!(
                self.out,
                "{margin}{NAME}{name}{NAME:#}  {ty}{sep}{DIM}{marks}{DIM:#}"
            )?;
            if !field.doc.is_empty() {
                // Not narrower than words need, however deep the tree is.
                let width = self.width.max(indent + 44);
                writeln!(
                    self.out,
                    "{}",
                    output::wrapped(field.doc, indent + 4, width)
                )?;
            }
            if let Some(inner) = struct_of(self.schema, field.ty) {
                self.fields(inner, depth + 2)?;
            }
        }
        Ok(())
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Response => "response",
        Kind::Header => "header",
        Kind::Data => "data",
        Kind::Metadata => "metadata record",
        Kind::CoordinatorKey => "coordinator record key",
        Kind::CoordinatorValue => "coordinator record value",
        _ => "message",
    }
}

/// The struct that a field holds, be it in an array.
pub(crate) fn struct_of(schema: &'static Schema, ty: FieldType) -> Option<&'static StructSchema> {
    match ty {
        FieldType::Struct(index) => schema.structs.get(index),
        FieldType::Array(element) => struct_of(schema, *element),
        _ => None,
    }
}

/// As Kafka's schemas write it.
fn type_name(schema: &Schema, ty: FieldType) -> String {
    let name = match ty {
        FieldType::Bool => "bool",
        FieldType::Int8 => "int8",
        FieldType::Int16 => "int16",
        FieldType::Uint16 => "uint16",
        FieldType::Int32 => "int32",
        FieldType::Uint32 => "uint32",
        FieldType::Int64 => "int64",
        FieldType::Float64 => "float64",
        FieldType::Uuid => "uuid",
        FieldType::String => "string",
        FieldType::Bytes => "bytes",
        FieldType::Records => "records",
        FieldType::Struct(index) => schema.structs.get(index).map_or("struct", |s| s.name),
        FieldType::Array(element) => return format!("[]{}", type_name(schema, *element)),
        _ => "?",
    };
    name.to_owned()
}

/// What there is to say about a field; at one version, not what holds at others only.
fn marks(field: &FieldSchema, version: Option<i16>) -> Vec<String> {
    let mut marks = Vec::new();
    if version.is_none() {
        marks.push(format!("versions {}", field.versions));
    }
    let mut ranged = |what: String, range: VersionRange| match version {
        Some(version) if range.contains(version) => marks.push(what),
        None if range == field.versions => marks.push(what),
        None if !range.is_empty() => marks.push(format!("{what} {range}")),
        _ => {}
    };
    ranged("nullable".to_owned(), field.nullable);
    ranged(format!("tag {}", field.tag), field.tagged);
    if field.default != DefaultValue::Natural {
        let value = default(field);
        marks.push(format!("default {value}"));
    }
    if field.ignorable {
        marks.push("ignorable".to_owned());
    }
    if field.map_key {
        marks.push("map key".to_owned());
    }
    // An override for strings and bytes; Kafka has one, the client id of the request header.
    if field.flexible.is_empty() {
        marks.push("never compact".to_owned());
    } else if field.flexible != VersionRange::from(0) {
        marks.push(format!("compact {}", field.flexible));
    }
    marks
}

/// The default value as JSON; of a struct, an empty object, as its fields have defaults too.
pub(crate) fn default(field: &FieldSchema) -> Value {
    match (field.default, field.ty) {
        (DefaultValue::Null, _) => Value::Null,
        (DefaultValue::True, _) => true.into(),
        (DefaultValue::Int(value), _) => value.into(),
        (DefaultValue::Float(value), _) => value.into(),
        (DefaultValue::Text(value), _) => value.into(),
        (DefaultValue::Uuid(value), _) => Uuid::from_bytes(value).to_string().into(),
        (_, FieldType::Bool) => false.into(),
        (_, FieldType::String | FieldType::Bytes | FieldType::Records) => "".into(),
        (_, FieldType::Uuid) => Uuid::ZERO.to_string().into(),
        (_, FieldType::Float64) => 0.0.into(),
        (_, FieldType::Array(_)) => Value::Array(Vec::new()),
        (_, FieldType::Struct(_)) => Value::Object(Map::new()),
        _ => 0.into(),
    }
}
