//! JSON to messages.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::UNKNOWN_TAGS;
use super::reflect::{Reflect, Slot};
use crate::runtime::{Fixed, Message, UnknownTags, Uuid};
use crate::schema::{FieldType, Schema, StructSchema};

/// What a missing field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An untagged field of the version has to be there, as Java's converters demand.
    Strict,
    /// A missing field takes its default.
    Defaults,
}

/// JSON that is not the message that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromJsonError {
    message: &'static str,
    version: i16,
    path: String,
    problem: String,
}

impl FromJsonError {
    /// The message's name in Kafka's schemas.
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// The version at which it was read.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The field, such as `topics[3].name`; empty for the message itself.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for FromJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}: ", self.message, self.version)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for FromJsonError {}

/// Reads a message from Kafka's JSON form. A field that the version lacks is set, as in Java;
/// encoding then drops it or refuses it.
///
/// # Errors
/// When a value does not fit its field, a key is no field, or (strictly) a field is missing.
pub fn from_json<M: Message + Reflect>(
    json: &Value,
    version: i16,
    mode: Mode,
) -> Result<M, FromJsonError> {
    let mut message = M::default();
    let mut read = JsonRead {
        schema: M::SCHEMA,
        version,
        mode,
        path: Vec::new(),
    };
    match read.structure(&M::SCHEMA.structs[0], &mut message, json) {
        Ok(()) => Ok(message),
        Err(problem) => Err(FromJsonError {
            message: M::SCHEMA.name,
            version,
            path: read.path.concat(),
            problem,
        }),
    }
}

struct JsonRead {
    schema: &'static Schema,
    version: i16,
    mode: Mode,
    path: Vec<String>,
}

type Result_ = Result<(), String>;

impl JsonRead {
    /// Does `read` one step further down; after an error the path stays there.
    fn at(&mut self, step: String, read: impl FnOnce(&mut Self) -> Result_) -> Result_ {
        self.path.push(step);
        read(self)?;
        self.path.pop();
        Ok(())
    }

    fn name_step(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!(".{name}")
        }
    }

    fn structure(
        &mut self,
        structure: &'static StructSchema,
        to: &mut dyn Reflect,
        json: &Value,
    ) -> Result_ {
        let Value::Object(fields) = json else {
            return Err(wanted("an object", json));
        };
        self.check_keys(structure, fields)?;
        for (index, field) in structure.fields.iter().enumerate() {
            let untagged =
                field.versions.contains(self.version) && !field.tagged.contains(self.version);
            match fields.get(field.name) {
                Some(value) => {
                    let slot = to.slot(index);
                    let step = self.name_step(field.name);
                    self.at(step, |read| read.slot(field.ty, slot, value))?;
                }
                None if untagged && self.mode == Mode::Strict => {
                    let step = self.name_step(field.name);
                    self.at(step, |_| Err("the field is missing".to_owned()))?;
                }
                None => {}
            }
        }
        if let Some(tags) = fields.get(UNKNOWN_TAGS) {
            let slot = to.slot(structure.fields.len());
            let step = self.name_step(UNKNOWN_TAGS);
            self.at(step, |_| unknown_tags(slot, tags))?;
        }
        Ok(())
    }

    fn check_keys(&mut self, structure: &StructSchema, fields: &Map<String, Value>) -> Result_ {
        let known = |key: &str| {
            key == UNKNOWN_TAGS || structure.fields.iter().any(|field| field.name == key)
        };
        match fields.keys().find(|key| !known(key)) {
            None => Ok(()),
            Some(key) => {
                let step = self.name_step(key);
                let name = structure.name;
                self.at(step, |_| Err(format!("{name} has no such field")))
            }
        }
    }

    fn slot(&mut self, ty: FieldType, slot: Slot<'_>, json: &Value) -> Result_ {
        match slot {
            Slot::Nullable(option) if json.is_null() => option.set_null(),
            Slot::Nullable(option) => return self.slot(ty, option.set_default(), json),
            _ if json.is_null() => return Err("null is not allowed here".to_owned()),
            Slot::Bool(to) => *to = boolean(json)?,
            Slot::Int8(to) => *to = integer(json)?,
            Slot::Int16(to) => *to = integer(json)?,
            Slot::Uint16(to) => *to = integer(json)?,
            Slot::Int32(to) => *to = integer(json)?,
            Slot::Uint32(to) => *to = integer(json)?,
            Slot::Int64(to) => *to = integer(json)?,
            Slot::Float64(to) => *to = float(json)?,
            Slot::Uuid(to) => *to = uuid(json)?,
            Slot::String(to) => *to = text(json)?.to_owned().into(),
            Slot::Bytes(to) => *to = base64(json)?.into(),
            Slot::Bools(to) => *to = self.array(json, boolean)?.into(),
            Slot::Int8s(to) => *to = self.array(json, integer)?.into(),
            Slot::Int16s(to) => *to = self.array(json, integer)?.into(),
            Slot::Uint16s(to) => *to = self.array(json, integer)?.into(),
            Slot::Int32s(to) => *to = self.array(json, integer)?.into(),
            Slot::Uint32s(to) => *to = self.array(json, integer)?.into(),
            Slot::Int64s(to) => *to = self.array(json, integer)?.into(),
            Slot::Float64s(to) => *to = self.array(json, float)?.into(),
            Slot::Uuids(to) => *to = self.array(json, uuid)?.into(),
            Slot::Strings(to) => {
                *to = self.array(json, |json| Ok(text(json)?.to_owned().into()))?;
            }
            Slot::Blobs(to) => *to = self.array(json, |json| Ok(base64(json)?.into()))?,
            Slot::Struct(to) => return self.structure(self.struct_of(ty)?, to, json),
            Slot::Structs(to) => {
                let structure = self.struct_of(ty)?;
                to.clear();
                for (index, element) in elements(json)?.iter().enumerate() {
                    self.at(format!("[{index}]"), |read| match to.grow() {
                        Some(place) => read.structure(structure, place, element),
                        None => Ok(()),
                    })?;
                }
            }
            Slot::UnknownTags(_) | Slot::None => return Err("the field cannot be set".to_owned()),
        }
        Ok(())
    }

    fn struct_of(&self, ty: FieldType) -> Result<&'static StructSchema, String> {
        let index = match ty {
            FieldType::Struct(index) => index,
            FieldType::Array(FieldType::Struct(index)) => *index,
            _ => usize::MAX,
        };
        let found = self.schema.structs.get(index);
        found.ok_or_else(|| "the table has no struct for this field".to_owned())
    }

    fn array<T>(
        &mut self,
        json: &Value,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut values = Vec::new();
        for (index, element) in elements(json)?.iter().enumerate() {
            self.at(format!("[{index}]"), |_| {
                values.push(read(element)?);
                Ok(())
            })?;
        }
        Ok(values)
    }
}

fn wanted(what: &str, json: &Value) -> String {
    let got = match json {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    format!("{what} is wanted, not {got}")
}

fn boolean(json: &Value) -> Result<bool, String> {
    json.as_bool().ok_or_else(|| wanted("true or false", json))
}

fn integer<T: TryFrom<i64> + Fixed>(json: &Value) -> Result<T, String> {
    let number = json.as_i64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| {
        let what = format!("a whole number that fits {} bits", 8 * T::LEN);
        wanted(&what, json)
    })
}

fn float(json: &Value) -> Result<f64, String> {
    match json {
        Value::String(text) if text == "NaN" => Ok(f64::NAN),
        Value::String(text) if text == "Infinity" => Ok(f64::INFINITY),
        Value::String(text) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => json.as_f64().ok_or_else(|| wanted("a number", json)),
    }
}

fn text(json: &Value) -> Result<&str, String> {
    json.as_str().ok_or_else(|| wanted("a string", json))
}

fn uuid(json: &Value) -> Result<Uuid, String> {
    text(json)?
        .parse()
        .map_err(|error: crate::runtime::ParseUuidError| error.to_string())
}

fn base64(json: &Value) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text(json)?)
        .map_err(|error| format!("not base64: {error}"))
}

fn elements(json: &Value) -> Result<&Vec<Value>, String> {
    json.as_array().ok_or_else(|| wanted("an array", json))
}

/// A list of `[tag, hex]`.
fn unknown_tags(slot: Slot<'_>, json: &Value) -> Result_ {
    let Slot::UnknownTags(to) = slot else {
        return Err("the message has no tagged fields in any version".to_owned());
    };
    *to = UnknownTags::EMPTY;
    for pair in elements(json)? {
        let pair = elements(pair)?;
        let [tag, hex] = pair.as_slice() else {
            return Err("a pair of tag and hex is wanted".to_owned());
        };
        to.push(integer::<u32>(tag)?, unhex(text(hex)?)?);
    }
    Ok(())
}

fn unhex(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
        }
        _ => Err("hex wants two digits a byte".to_owned()),
    }
}
