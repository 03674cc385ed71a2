//! The fields of a message in few lines: those that differ from their defaults, as a tree.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kwire_protocol::records::Batches;
use kwire_protocol::schema::{FieldSchema, FieldType, Schema, StructSchema};
use kwire_protocol::{ApiKey, ErrorCode};
use serde_json::{Map, Value};

use crate::commands::describe::{default, struct_of};
use crate::failure::Failure;
use crate::output::{self, BAD, DIM, NAME, PLAIN};

/// Structs of an array, and numbers or texts of one, that are shown unless all are asked for.
const SOME_STRUCTS: usize = 4;
const SOME_VALUES: usize = 12;
/// Characters of a text that are shown unless all are asked for.
const SOME_TEXT: usize = 60;
/// Bytes that are shown unless all are asked for.
const SOME_BYTES: usize = 12;

/// Fields whose default says as much as any other value.
const TELLING: &[&str] = &["preVote", "voteGranted"];

/// Prints fields.
pub(super) struct Fields<'a> {
    pub(super) schema: &'static Schema,
    /// All fields, and all of each.
    pub(super) full: bool,
    pub(super) width: usize,
    pub(super) out: &'a mut dyn Write,
}

/// A field on a line.
struct Item {
    name: &'static str,
    value: String,
    bad: bool,
}

/// A struct below another.
struct Child<'v> {
    label: String,
    structure: &'static StructSchema,
    value: &'v Value,
    /// Elements of the same array that are left out after this one.
    more: usize,
}

impl Fields<'_> {
    /// The fields of the message, behind `indent` spaces.
    pub(super) fn message(&mut self, json: &Value, indent: usize) -> Result<(), Failure> {
        match self.schema.structs.first() {
            Some(structure) => self.structure(structure, json, String::new(), indent),
            None => Ok(()),
        }
    }

    fn structure(
        &mut self,
        structure: &'static StructSchema,
        json: &Value,
        label: String,
        indent: usize,
    ) -> Result<(), Failure> {
        let empty = Map::new();
        let values = json.as_object().unwrap_or(&empty);
        let items = self.items(structure, values);
        let mut children = self.children(structure, values);
        // A struct that only leads to another needs no line of its own.
        if items.is_empty()
            && let [child] = children.as_mut_slice()
            && child.more == 0
        {
            let label = match label.as_str() {
                "" => std::mem::take(&mut child.label),
                label => format!("{label}.{}", child.label),
            };
            return self.structure(child.structure, child.value, label, indent);
        }
        self.line(&label, &items, indent)?;
        let below = if label.is_empty() { indent } else { indent + 2 };
        for child in children {
            self.structure(child.structure, child.value, child.label, below)?;
            if child.more > 0 {
                let margin = " ".repeat(below);
                writeln!(self.out, "{margin}{DIM}... and {} more{DIM:#}", child.more)?;
            }
        }
        Ok(())
    }

    /// Fields side by side, on as many lines as they need.
    fn line(&mut self, label: &str, items: &[Item], indent: usize) -> Result<(), Failure> {
        if label.is_empty() && items.is_empty() {
            return Ok(());
        }
        write!(self.out, "{}", " ".repeat(indent))?;
        let mut column = indent;
        if !label.is_empty() {
            write!(self.out, "{DIM}{label}:{DIM:#}")?;
            column += label.len() + 1;
            if items.is_empty() {
                write!(self.out, " {DIM}all at their defaults{DIM:#}")?;
            }
        }
        let margin = if label.is_empty() { indent } else { indent + 4 };
        for item in items {
            let len = item.name.len() + 1 + item.value.chars().count();
            if column > margin && column + 2 + len > self.width {
                write!(self.out, "\n{}", " ".repeat(margin))?;
                column = margin;
            } else if column > indent {
                write!(self.out, " ")?;
                column += 1;
            }
            let (name, value) = (item.name, &item.value);
            let style = if item.bad { BAD } else { PLAIN };
            write!(self.out, "{NAME}{name}{NAME:#}={style}{value}{style:#}")?;
            column += len;
        }
        Ok(writeln!(self.out)?)
    }

    fn items(&self, structure: &'static StructSchema, values: &Map<String, Value>) -> Vec<Item> {
        let mut items = Vec::new();
        for field in structure.fields {
            let Some(value) = values.get(field.name) else {
                continue;
            };
            let is_struct = struct_of(self.schema, field.ty).is_some();
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if is_struct && !is_empty {
                continue;
            }
            let telling = TELLING.contains(&field.name);
            if self.full || telling || *value != default(field) {
                items.push(Item {
                    name: field.name,
                    value: self.value(field, field.ty, value),
                    bad: field.name == "errorCode" && value.as_i64() != Some(0),
                });
            }
        }
        if let Some(tags) = values.get("_unknownTaggedFields") {
            items.push(Item {
                name: "unknownTaggedFields",
                value: tags.to_string(),
                bad: false,
            });
        }
        items
    }

    fn children<'v>(
        &self,
        structure: &'static StructSchema,
        values: &'v Map<String, Value>,
    ) -> Vec<Child<'v>> {
        let mut children = Vec::new();
        for field in structure.fields {
            let inner = struct_of(self.schema, field.ty);
            let (Some(structure), Some(value)) = (inner, values.get(field.name)) else {
                continue;
            };
            match value {
                Value::Array(elements) => {
                    let all = self.full || elements.len() <= SOME_STRUCTS + 1;
                    let shown = if all { elements.len() } else { SOME_STRUCTS };
                    for (at, value) in elements.iter().take(shown).enumerate() {
                        let last = at + 1 == shown;
                        children.push(Child {
                            label: format!("{}[{at}]", field.name),
                            structure,
                            value,
                            more: if last { elements.len() - shown } else { 0 },
                        });
                    }
                }
                Value::Object(_) if self.full || self.differs(structure, value) => {
                    children.push(Child {
                        label: field.name.to_owned(),
                        structure,
                        value,
                        more: 0,
                    });
                }
                _ => {}
            }
        }
        children
    }

    /// Whether any field of the struct is not at its default.
    fn differs(&self, structure: &'static StructSchema, value: &Value) -> bool {
        structure.fields.iter().any(|field| {
            let Some(value) = value.get(field.name) else {
                return false;
            };
            match (struct_of(self.schema, field.ty), value) {
                (Some(structure), Value::Object(_)) => self.differs(structure, value),
                _ => *value != default(field),
            }
        })
    }

    fn value(&self, field: &FieldSchema, ty: FieldType, value: &Value) -> String {
        match (ty, value) {
            (FieldType::Records, Value::String(text)) => records(text),
            (FieldType::Bytes, Value::String(text)) => self.bytes(text),
            (_, Value::String(text)) => self.text(text),
            (FieldType::Array(element), Value::Array(values)) => {
                let all = self.full || values.len() <= SOME_VALUES;
                let shown = if all { values.len() } else { SOME_VALUES };
                let mut parts: Vec<String> = values
                    .iter()
                    .take(shown)
                    .map(|value| self.value(field, *element, value))
                    .collect();
                if shown < values.len() {
                    parts.push(format!("... and {} more", values.len() - shown));
                }
                format!("[{}]", parts.join(", "))
            }
            (_, Value::Number(number)) => {
                let code = number.as_i64().and_then(|code| i16::try_from(code).ok());
                let name = match field.name {
                    "errorCode" => code.and_then(|code| ErrorCode(code).name()),
                    "apiKey" | "requestApiKey" => code.and_then(|key| ApiKey(key).name()),
                    _ => None,
                };
                name.map_or_else(|| number.to_string(), str::to_owned)
            }
            _ => value.to_string(),
        }
    }

    /// Text without quotes, where it cannot be taken for anything else.
    fn text(&self, text: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.:/@+-".contains(c);
        if !self.full && text.chars().count() > SOME_TEXT {
            let start: String = text.chars().take(SOME_TEXT).collect();
            return format!("{start:?}...");
        }
        if !text.is_empty() && text.chars().all(plain) {
            return text.to_owned();
        }
        format!("{text:?}")
    }

    fn bytes(&self, base64: &str) -> String {
        let bytes = STANDARD.decode(base64).unwrap_or_default();
        if self.full || bytes.len() <= SOME_BYTES {
            return format!("0x{}", output::hex(&bytes));
        }
        let start = output::hex(bytes.get(..SOME_BYTES).unwrap_or_default());
        format!("0x{start}...({} bytes)", bytes.len())
    }
}

/// What is in the record batches of a field.
fn records(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    let (mut batches, mut records) = (0, 0);
    let (mut first, mut last) = (None, None);
    for batch in Batches::new(&bytes) {
        let Ok(batch) = batch else { break };
        batches += 1;
        let header = batch.header();
        records += header.map_or(1, |header| header.record_count.max(0));
        first = first.or(Some(batch.base_offset().unwrap_or(batch.last_offset())));
        last = Some(batch.last_offset());
    }
    let plural = |count, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    match (first, last) {
        (Some(first), Some(last)) => {
            let batches = plural(batches, "batch", "batches");
            let records = plural(records, "record", "records");
            let offsets = match first == last {
                true => format!("offset {first}"),
                false => format!("offsets {first} to {last}"),
            };
            format!("({records} in {batches}, {offsets})")
        }
        _ if bytes.is_empty() => "none".to_owned(),
        _ => format!("({} bytes, no whole batch)", bytes.len()),
    }
}
