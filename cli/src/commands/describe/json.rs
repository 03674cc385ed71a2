//! Messages and their fields as JSON.

use kwire_protocol::schema::{DefaultValue, FieldSchema, FieldType, Schema, StructSchema};
use serde_json::{Map, Value, json};

use super::{default, fields_at, kind, struct_of, type_name};

/// The message, or of a version the fields that it has.
pub(super) fn message(schema: &'static Schema, version: Option<i16>) -> Value {
    let mut value = json!({
        "name": schema.name,
        "kind": kind(schema.kind),
        "apiKey": schema.api_key,
        "versions": schema.versions.to_string(),
        "flexible": schema.flexible.to_string(),
    });
    if let (Some(version), Some(object)) = (version, value.as_object_mut()) {
        object.insert("version".to_owned(), version.into());
    }
    if let (Some(structure), Some(object)) = (schema.structs.first(), value.as_object_mut()) {
        object.insert("doc".to_owned(), structure.doc.into());
        object.insert("fields".to_owned(), fields(schema, structure, version));
    }
    value
}

fn fields(
    schema: &'static Schema,
    structure: &'static StructSchema,
    version: Option<i16>,
) -> Value {
    let field = |field: &'static FieldSchema| {
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| json.insert(key.to_owned(), value);
        put("name", field.name.into());
        put("type", type_name(schema, field.ty).into());
        put("versions", field.versions.to_string().into());
        if !field.nullable.is_empty() {
            put("nullable", field.nullable.to_string().into());
        }
        if !field.tagged.is_empty() {
            put("tag", field.tag.into());
            put("tagged", field.tagged.to_string().into());
        }
        if !matches!(field.ty, FieldType::Struct(_)) || field.default == DefaultValue::Null {
            put("default", default(field));
        }
        put("ignorable", field.ignorable.into());
        put("mapKey", field.map_key.into());
        if !field.entity_type.is_empty() {
            put("entityType", field.entity_type.into());
        }
        put("doc", field.doc.into());
        if let Some(inner) = struct_of(schema, field.ty) {
            put("fields", fields(schema, inner, version));
        }
        Value::from(json)
    };
    fields_at(structure, version).map(field).collect()
}
