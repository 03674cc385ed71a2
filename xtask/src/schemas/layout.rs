//! What a schema puts on the wire at one version, to prove that a merge changed nothing.

use kwire_codegen::parse::{FieldSchema, MessageSchema};

/// A description of the bytes of one version; two schemas with equal ones read each other.
pub(crate) fn layout(schema: &MessageSchema, version: i16) -> String {
    let mut text = String::new();
    let flexible = schema
        .flexible_versions
        .is_some_and(|versions| versions.contains(version));
    text.push_str(if flexible { "flexible" } else { "plain" });
    fields(schema, &schema.fields, version, &mut text);
    text
}

fn fields(schema: &MessageSchema, list: &[FieldSchema], version: i16, text: &mut String) {
    text.push('(');
    let present = list.iter().filter(|f| f.versions.contains(version));
    let (mut tagged, untagged): (Vec<_>, Vec<_>) =
        present.partition(|f| f.tagged_versions.contains(version));
    tagged.sort_by_key(|field| field.tag);
    for field in untagged.into_iter().chain(tagged) {
        if field.tagged_versions.contains(version) {
            text.push_str(&format!("tag {:?} default {:?} ", field.tag, field.default));
        }
        let (array, element) = match field.ty.strip_prefix("[]") {
            Some(element) => ("[]", element),
            None => ("", field.ty.as_str()),
        };
        text.push_str(array);
        if field.nullable_versions.contains(version) {
            text.push('?');
        }
        if field
            .flexible_versions
            .is_some_and(|own| !own.contains(version))
        {
            text.push_str("inflexible ");
        }
        let common = schema.common_structs.iter().find(|s| s.name == element);
        if element.starts_with(|c: char| c.is_ascii_uppercase()) {
            let inner = common.map_or(&field.fields, |common| &common.fields);
            fields(schema, inner, version, text);
        } else {
            text.push_str(element);
        }
        text.push(',');
    }
    text.push(')');
}
