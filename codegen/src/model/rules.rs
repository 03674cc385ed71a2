//! The rules for one field by itself: what Kafka's generator refuses, refused here too.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fault::{Problem, problem};
use super::{DefaultValue, Type};
use crate::parse::{CommonStruct, FieldSchema};
use crate::versions::Versions;

/// The names that Kafka gives to fixed types; anything with a capital is a struct.
fn scalar(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "uint16" => Type::Uint16,
        "int32" => Type::Int32,
        "uint32" => Type::Uint32,
        "int64" => Type::Int64,
        "float64" => Type::Float64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        _ => return None,
    })
}

/// The type of a field or of its elements, unless it is a struct.
pub(super) fn element_type(
    field: &FieldSchema,
    element: &str,
    is_array: bool,
) -> Result<Option<Type>, Problem> {
    match scalar(element) {
        Some(Type::Records) if is_array => {
            return problem("an array of records", "use bytes or records");
        }
        Some(scalar) => return Ok(Some(scalar)),
        None => {}
    }
    if is_array && element.starts_with("[]") {
        return problem("an array of arrays", "put the inner array into a struct");
    }
    let is_struct = element.starts_with(|c: char| c.is_ascii_uppercase())
        && element.chars().all(|c| c.is_ascii_alphanumeric());
    if is_struct {
        return Ok(None);
    }
    problem(
        format!("unknown type \"{}\"", field.ty),
        "use one of Kafka's types, or a struct's name with a capital",
    )
}

/// Checks a field of a common struct, which `possible` versions have.
pub(super) fn check_common(
    field: &FieldSchema,
    common: &CommonStruct,
    possible: Versions,
) -> Result<(), Problem> {
    let name = &common.name;
    if !field.fields.is_empty() {
        return problem(
            format!("`fields` for the common struct {name}"),
            "remove them here, or the common struct",
        );
    }
    if !common.versions.contains_all(possible) {
        return problem(
            format!(
                "versions {possible} use {name}, which has {} only",
                common.versions
            ),
            "narrow the field's versions, or widen the common struct's",
        );
    }
    Ok(())
}

/// Checks that need nothing but the field and its message's flexible versions.
pub(super) fn check_field(
    field: &FieldSchema,
    ty: &Type,
    flexible: Versions,
    valid: Versions,
) -> Result<(), Problem> {
    let holds_struct = matches!(ty, Type::Struct(_))
        || matches!(ty, Type::Array(element) if matches!(**element, Type::Struct(_)));
    if !field.fields.is_empty() && !holds_struct {
        return problem(
            format!("type {} cannot have fields", field.ty),
            "remove `fields`, or make the type a struct",
        );
    }
    if !field.nullable_versions.is_empty() && !ty.can_be_null() {
        return problem(
            format!("type {} cannot be null", field.ty),
            "remove `nullableVersions`",
        );
    }
    if field.zero_copy && *ty != Type::Bytes {
        return problem(
            format!("`zeroCopy` on type {}", field.ty),
            "only fields of type bytes take `zeroCopy`: remove it",
        );
    }
    check_entity(field)?;
    check_flexible(field, ty, flexible)?;
    check_tag(field, flexible, valid)
}

/// A letter, then letters and digits.
pub(super) fn check_name(field: &FieldSchema) -> Result<(), Problem> {
    let mut chars = field.name.chars();
    let valid = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric());
    if valid {
        return Ok(());
    }
    problem(
        format!("\"{}\" is not a field name", field.name),
        "use a letter, then letters and digits",
    )
}

fn check_entity(field: &FieldSchema) -> Result<(), Problem> {
    let Some(entity) = &field.entity_type else {
        return Ok(());
    };
    let wanted = match entity.as_str() {
        "unknown" => return Ok(()),
        "transactionalId" | "groupId" | "topicName" => "string",
        "producerId" => "int64",
        "brokerId" => "int32",
        _ => {
            return problem(
                format!("unknown `entityType` \"{entity}\""),
                "use transactionalId, producerId, groupId, topicName or brokerId",
            );
        }
    };
    if field.ty.strip_prefix("[]").unwrap_or(&field.ty) == wanted {
        return Ok(());
    }
    problem(
        format!("`entityType` {entity} on type {}", field.ty),
        format!("make the type {wanted}, or remove `entityType`"),
    )
}

fn check_flexible(field: &FieldSchema, ty: &Type, flexible: Versions) -> Result<(), Problem> {
    let Some(own) = field.flexible_versions else {
        return Ok(());
    };
    if !matches!(ty, Type::String | Type::Bytes) {
        return problem(
            format!("`flexibleVersions` on type {}", field.ty),
            "only string and bytes fields may override it: remove it",
        );
    }
    if field.tag.is_some() {
        return problem(
            "`flexibleVersions` on a tagged field",
            "tagged fields are always compact: remove it",
        );
    }
    if !flexible.contains_all(own) {
        return problem(
            format!("`flexibleVersions` {own} is not within the message's {flexible}"),
            "narrow it, or write \"none\"",
        );
    }
    Ok(())
}

fn check_tag(field: &FieldSchema, flexible: Versions, valid: Versions) -> Result<(), Problem> {
    let tagged = field.tagged_versions;
    let Some(tag) = field.tag else {
        if tagged.is_empty() {
            return Ok(());
        }
        return problem(
            format!("`taggedVersions` {tagged} without a tag"),
            "add `tag`, or remove `taggedVersions`",
        );
    };
    if tag < 0 {
        return problem(format!("tag {tag} is negative"), "number tags from 0");
    }
    if tagged.is_empty() {
        return problem(
            format!("tag {tag} without `taggedVersions`"),
            "add `taggedVersions`, or remove `tag`",
        );
    }
    if field.map_key {
        return problem(
            "a tagged field cannot be a map key",
            "remove `mapKey`, or the tag",
        );
    }
    let nullable = field.nullable_versions.intersect(tagged);
    if !nullable.is_empty() && nullable != tagged {
        return problem(
            format!("null is allowed in {nullable} of the tagged versions {tagged} only"),
            "make all tagged versions nullable, or none",
        );
    }
    if !tagged.is_open_ended() {
        return problem(
            format!("`taggedVersions` {tagged} is not open-ended"),
            "end it with a plus sign: a tag is never given up",
        );
    }
    if !field.versions.contains_all(tagged) {
        return problem(
            format!(
                "`taggedVersions` {tagged} is not within `versions` {}",
                field.versions
            ),
            "widen `versions`, or narrow `taggedVersions`",
        );
    }
    if !flexible.contains_all(tagged.intersect(valid)) {
        return problem(
            format!("`taggedVersions` {tagged} is not within `flexibleVersions` {flexible}"),
            "only flexible versions have tagged fields",
        );
    }
    Ok(())
}

/// The value behind `default`; Kafka's rules, with `null` allowed only where every version is.
pub(super) fn default_value(field: &FieldSchema, ty: &Type) -> Result<DefaultValue, Problem> {
    let text = field.default.as_deref().unwrap_or("");
    let invalid = |what: &str| {
        problem(
            format!("\"{text}\" is no default for type {}", field.ty),
            what,
        )
    };
    let nullable = field.nullable_versions.intersect(field.versions);
    if text == "null" && ty.can_be_null() {
        if !nullable.is_empty() && nullable == field.versions {
            return Ok(DefaultValue::Null);
        }
        return problem(
            "the default is null, but not every version is nullable",
            format!(
                "make `nullableVersions` cover {}, or change the default",
                field.versions
            ),
        );
    }
    if text.is_empty() {
        // MemoryRecords starts as null in Kafka wherever null can be written.
        let null = *ty == Type::Records && !nullable.is_empty();
        return Ok(if null {
            DefaultValue::Null
        } else {
            DefaultValue::Natural
        });
    }
    match ty {
        Type::Bool if text.eq_ignore_ascii_case("true") => Ok(DefaultValue::True),
        Type::Bool if text.eq_ignore_ascii_case("false") => Ok(DefaultValue::Natural),
        Type::Bool => invalid("use true or false"),
        Type::Int8 => integer(field, text, i8::MIN, i8::MAX),
        Type::Int16 => integer(field, text, i16::MIN, i16::MAX),
        Type::Uint16 => integer(field, text, 0, u16::MAX),
        Type::Int32 => integer(field, text, i32::MIN, i32::MAX),
        Type::Uint32 => integer(field, text, 0, u32::MAX),
        Type::Int64 => integer(field, text, i64::MIN, i64::MAX),
        Type::Float64 => match text.parse::<f64>() {
            Ok(0.0) => Ok(DefaultValue::Natural),
            Ok(number) if number.is_finite() => Ok(DefaultValue::Float(number)),
            _ => invalid("use a finite decimal number"),
        },
        Type::Uuid => match URL_SAFE_NO_PAD.decode(text).map(<[u8; 16]>::try_from) {
            Ok(Ok(bytes)) if bytes == [0; 16] => Ok(DefaultValue::Natural),
            Ok(Ok(bytes)) => Ok(DefaultValue::Uuid(bytes)),
            _ => invalid("use 22 characters of URL-safe base64"),
        },
        Type::String => Ok(DefaultValue::Text(text.to_owned())),
        _ => invalid("the only defaults of this type are empty and, where allowed, null"),
    }
}

fn integer<T: Into<i64>>(
    field: &FieldSchema,
    text: &str,
    least: T,
    most: T,
) -> Result<DefaultValue, Problem> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    match number {
        Ok(0) => Ok(DefaultValue::Natural),
        Ok(number) if (least.into()..=most.into()).contains(&number) => {
            Ok(DefaultValue::Int(number))
        }
        _ => problem(
            format!("\"{text}\" is no default for type {}", field.ty),
            "use a whole number that fits, decimal or with 0x",
        ),
    }
}
