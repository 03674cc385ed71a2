//! The schema as the file has it: attributes read and typed, nothing resolved yet.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::source::{Object, Source, text_of};
use crate::error::SchemaError;
use crate::versions::{ParseVersionsError, Versions};

/// One schema file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSchema {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The line of the message, counted from 1.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `type`: request, response, header, data, metadata, coordinator-key or coordinator-value.
    pub kind: String,
    /// `apiKey`.
    pub api_key: Option<i16>,
    /// `validVersions`; `none` reserves the key without a message.
    pub valid_versions: Versions,
    /// `deprecatedVersions`.
    pub deprecated_versions: Option<Versions>,
    /// `flexibleVersions`.
    pub flexible_versions: Option<Versions>,
    /// `headerVersions` (KIP-1313): message versions to header version, as written.
    pub header_versions: Option<Vec<(String, String)>>,
    /// `listeners`.
    pub listeners: Vec<String>,
    /// `latestVersionUnstable`.
    pub latest_version_unstable: bool,
    /// `fields`.
    pub fields: Vec<FieldSchema>,
    /// `commonStructs`.
    pub common_structs: Vec<CommonStruct>,
    /// `about`, on one line.
    pub about: Option<String>,
}

impl MessageSchema {
    /// Reads the schema as generators before Kafka 3.0 did: without `flexibleVersions` there are
    /// none. Later ones refuse that, because it is too easily forgotten.
    pub fn assume_before_3_0(&mut self) {
        self.flexible_versions.get_or_insert(Versions::NONE);
    }
}

/// A struct that several fields of a message share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonStruct {
    /// The line of the struct, counted from 1.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `versions`.
    pub versions: Versions,
    /// `fields`.
    pub fields: Vec<FieldSchema>,
    /// `about`, on one line.
    pub about: Option<String>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSchema {
    /// The line of the field, counted from 1.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `type`, such as `int32` or `[]Topic`.
    pub ty: String,
    /// `versions`, or `taggedVersions` when only these are given.
    pub versions: Versions,
    /// `nullableVersions`.
    pub nullable_versions: Versions,
    /// `taggedVersions`.
    pub tagged_versions: Versions,
    /// `tag`.
    pub tag: Option<i64>,
    /// `flexibleVersions`, an override for one field.
    pub flexible_versions: Option<Versions>,
    /// `default` as text. A JSON `null` (not the string) means no default at all.
    pub default: Option<String>,
    /// `ignorable`.
    pub ignorable: bool,
    /// `mapKey`.
    pub map_key: bool,
    /// `zeroCopy`.
    pub zero_copy: bool,
    /// `entityType`.
    pub entity_type: Option<String>,
    /// `fields` of an inline struct.
    pub fields: Vec<FieldSchema>,
    /// `about`, on one line.
    pub about: Option<String>,
}

const MESSAGE_KEYS: &[&str] = &[
    "name",
    "type",
    "apiKey",
    "validVersions",
    "deprecatedVersions",
    "flexibleVersions",
    "headerVersions",
    "listeners",
    "latestVersionUnstable",
    "fields",
    "commonStructs",
    "about",
];

const STRUCT_KEYS: &[&str] = &["name", "versions", "deprecatedVersions", "fields", "about"];

const FIELD_KEYS: &[&str] = &[
    "name",
    "type",
    "versions",
    "nullableVersions",
    "taggedVersions",
    "tag",
    "flexibleVersions",
    "default",
    "ignorable",
    "mapKey",
    "zeroCopy",
    "entityType",
    "fields",
    "about",
];

/// How many structs may be in one another: each takes a piece of the stack of whoever reads the
/// schema, and later of whoever reads the message.
pub(crate) const MAX_DEPTH: usize = 64;

/// What is wrong with more than that, and what to do.
pub(crate) const TOO_DEEP: [&str; 2] = [
    "more than 64 structs are in one another",
    "make it flatter: Kafka's own messages have no more than six",
];

/// Reads one schema file. `file` is used in errors only.
///
/// # Errors
/// The first thing that is not as Kafka's schemas have it, with its line.
pub fn parse_message(file: &Path, text: &str) -> Result<MessageSchema, SchemaError> {
    let source = Source::new(file, text);
    let root = source.root()?;
    let (raw, field) = source.object(root, "", MESSAGE_KEYS)?;
    let at = At {
        source: &source,
        line: source.line_of(root.get()),
        field,
        depth: 1,
    };
    let name = at.required_text("name", &raw)?;
    let valid_versions = match at.versions("validVersions", &raw)? {
        Some(versions) => versions,
        None => return Err(at.missing("validVersions", "\"0\" for a first version")),
    };
    let raw_structs: Vec<&RawValue> = at.list("commonStructs", &raw)?;
    Ok(MessageSchema {
        file: file.to_owned(),
        line: at.line,
        kind: at.required_text("type", &raw)?,
        api_key: at.api_key(&raw)?,
        valid_versions,
        deprecated_versions: at.versions("deprecatedVersions", &raw)?,
        flexible_versions: at.versions("flexibleVersions", &raw)?,
        header_versions: at.header_versions(&raw)?,
        listeners: at.list("listeners", &raw)?,
        latest_version_unstable: at.boolean("latestVersionUnstable", &raw)?,
        fields: at.fields(&raw)?,
        common_structs: raw_structs
            .into_iter()
            .map(|raw| common_struct(&source, &at.field, raw))
            .collect::<Result<_, _>>()?,
        about: at.about(&raw)?,
        name,
    })
}

fn common_struct(
    source: &Source,
    message: &str,
    raw_value: &RawValue,
) -> Result<CommonStruct, SchemaError> {
    let (raw, field) = source.object(raw_value, message, STRUCT_KEYS)?;
    let at = At {
        source,
        line: source.line_of(raw_value.get()),
        field,
        depth: 1,
    };
    let name = at.required_text("name", &raw)?;
    let versions = match at.versions("versions", &raw)? {
        Some(versions) => versions,
        None => return Err(at.missing("versions", "\"0+\" when every version has the struct")),
    };
    // Kafka reads it and makes nothing of it.
    at.versions("deprecatedVersions", &raw)?;
    Ok(CommonStruct {
        line: at.line,
        fields: at.fields(&raw)?,
        about: at.about(&raw)?,
        name,
        versions,
    })
}

fn field(parent: &At<'_>, raw_value: &RawValue) -> Result<FieldSchema, SchemaError> {
    let source = parent.source;
    let (raw, path) = source.object(raw_value, &parent.field, FIELD_KEYS)?;
    let at = At {
        source,
        line: source.line_of(raw_value.get()),
        field: path,
        depth: parent.depth + 1,
    };
    let name = at.required_text("name", &raw)?;
    let tagged_versions = at
        .versions("taggedVersions", &raw)?
        .unwrap_or(Versions::NONE);
    let versions = match at.versions("versions", &raw)? {
        Some(versions) => versions,
        None if !tagged_versions.is_empty() => tagged_versions,
        None => return Err(at.missing("versions", "\"0+\" when every version has the field")),
    };
    Ok(FieldSchema {
        line: at.line,
        ty: at.required_text("type", &raw)?.trim().to_owned(),
        versions,
        nullable_versions: at
            .versions("nullableVersions", &raw)?
            .unwrap_or(Versions::NONE),
        tagged_versions,
        tag: at.integer("tag", &raw)?,
        flexible_versions: at.versions("flexibleVersions", &raw)?,
        default: raw
            .get("default")
            .map(|raw| at.text("default", raw))
            .transpose()?,
        ignorable: at.boolean("ignorable", &raw)?,
        map_key: at.boolean("mapKey", &raw)?,
        zero_copy: at.boolean("zeroCopy", &raw)?,
        entity_type: raw
            .get("entityType")
            .map(|raw| at.text("entityType", raw))
            .transpose()?,
        fields: at.fields(&raw)?,
        about: at.about(&raw)?,
        name,
    })
}

/// Where in the file we are, for errors.
struct At<'a> {
    source: &'a Source,
    line: usize,
    field: String,
    /// How many structs the fields here are in.
    depth: usize,
}

impl At<'_> {
    fn error(&self, problem: &str, remedy: &str) -> SchemaError {
        self.source.error(self.line, &self.field, problem, remedy)
    }

    /// A value that is not as it should be.
    fn wrong(&self, key: &str, value: &RawValue, remedy: &str) -> SchemaError {
        let line = self.source.line_of(value.get());
        let problem = match value.get() {
            long if long.len() > 60 => format!("`{key}` has a value of another type"),
            value => format!("`{key}` is {value}"),
        };
        self.source.error(line, &self.field, &problem, remedy)
    }

    fn missing(&self, key: &str, example: &str) -> SchemaError {
        self.error(&format!("`{key}` is missing"), &format!("add {example}"))
    }

    fn text(&self, key: &str, raw: &RawValue) -> Result<String, SchemaError> {
        text_of(raw).ok_or_else(|| self.wrong(key, raw, "write it as a string"))
    }

    fn required_text(&self, key: &str, raw: &Object<'_>) -> Result<String, SchemaError> {
        match raw.get(key) {
            Some(raw) => self.text(key, raw),
            None => Err(self.missing(key, "it, as the other schemas have it")),
        }
    }

    /// The schema's own description, for generated documentation.
    fn about(&self, raw: &Object<'_>) -> Result<Option<String>, SchemaError> {
        let about = raw.get("about").map(|raw| self.text("about", raw));
        let about = about.transpose()?.unwrap_or_default();
        let words: Vec<&str> = about.split_whitespace().collect();
        Ok((!words.is_empty()).then(|| words.join(" ")))
    }

    fn versions(&self, key: &str, raw: &Object<'_>) -> Result<Option<Versions>, SchemaError> {
        let Some(raw) = raw.get(key) else {
            return Ok(None);
        };
        let text = self.text(key, raw)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error: ParseVersionsError| {
            let line = self.source.line_of(raw.get());
            let problem = format!("`{key}` is {}", error.problem());
            let remedy = ParseVersionsError::REMEDY;
            self.source.error(line, &self.field, &problem, remedy)
        })
    }

    /// A boolean, or its text: 2.8.2 has `"ignorable": "true"`.
    fn boolean(&self, key: &str, raw: &Object<'_>) -> Result<bool, SchemaError> {
        let Some(raw) = raw.get(key) else {
            return Ok(false);
        };
        match text_of(raw).as_deref() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(self.wrong(key, raw, "write true or false")),
        }
    }

    /// A whole number, or its text: 3.9.2 has `"tag": "0"`.
    fn integer(&self, key: &str, raw: &Object<'_>) -> Result<Option<i64>, SchemaError> {
        let Some(raw) = raw.get(key) else {
            return Ok(None);
        };
        match text_of(raw).and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(key, raw, "write a whole number")),
        }
    }

    fn api_key(&self, raw: &Object<'_>) -> Result<Option<i16>, SchemaError> {
        let (key, Some(value)) = (self.integer("apiKey", raw)?, raw.get("apiKey")) else {
            return Ok(None);
        };
        let in_range = key.map(i16::try_from).transpose();
        in_range.map_err(|_| self.wrong("apiKey", value, "use a number from 0 to 32767"))
    }

    /// A list, empty if the key is not there.
    fn list<'a, T: Deserialize<'a>>(
        &self,
        key: &str,
        raw: &Object<'a>,
    ) -> Result<Vec<T>, SchemaError> {
        match raw.get(key) {
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|_| self.wrong(key, raw, "write a list, as the other schemas have it")),
            None => Ok(Vec::new()),
        }
    }

    fn fields(&self, raw: &Object<'_>) -> Result<Vec<FieldSchema>, SchemaError> {
        let list: Vec<&RawValue> = self.list("fields", raw)?;
        if !list.is_empty() && self.depth > MAX_DEPTH {
            let [problem, remedy] = TOO_DEEP;
            return Err(self.error(problem, remedy));
        }
        list.into_iter().map(|raw| field(self, raw)).collect()
    }

    fn header_versions(
        &self,
        raw: &Object<'_>,
    ) -> Result<Option<Vec<(String, String)>>, SchemaError> {
        let Some(raw) = raw.get("headerVersions") else {
            return Ok(None);
        };
        let remedy = "map ranges to numbers, such as {\"0-1\": \"1\", \"2+\": \"2\"}";
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw.get())
            .map_err(|_| self.wrong("headerVersions", raw, remedy))?;
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(Some(
            map.iter()
                .map(|(range, header)| (range.clone(), text(header)))
                .collect(),
        ))
    }
}
