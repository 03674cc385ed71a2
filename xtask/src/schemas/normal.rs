//! The stable normal form in which schemas are kept: Kafka's own JSON, facts only.

use std::fmt::Write;

use kwire_codegen::parse::{FieldSchema, MessageSchema};

/// A schema as text.
pub(crate) fn text(schema: &MessageSchema) -> String {
    let mut keys = Vec::new();
    if let Some(key) = schema.api_key {
        keys.push(format!("\"apiKey\": {key}"));
    }
    keys.push(format!("\"type\": \"{}\"", schema.kind));
    if !schema.listeners.is_empty() {
        let listeners: Vec<String> = schema
            .listeners
            .iter()
            .map(|l| format!("\"{l}\""))
            .collect();
        keys.push(format!("\"listeners\": [{}]", listeners.join(", ")));
    }
    keys.push(format!("\"name\": \"{}\"", schema.name));
    keys.push(format!("\"validVersions\": \"{}\"", schema.valid_versions));
    if let Some(versions) = schema.deprecated_versions {
        keys.push(format!("\"deprecatedVersions\": \"{versions}\""));
    }
    if let Some(versions) = schema.flexible_versions {
        keys.push(format!("\"flexibleVersions\": \"{versions}\""));
    }
    if let Some(map) = &schema.header_versions {
        let pairs: Vec<String> = map
            .iter()
            .map(|(k, v)| format!("\"{k}\": \"{v}\""))
            .collect();
        keys.push(format!("\"headerVersions\": {{ {} }}", pairs.join(", ")));
    }
    if schema.latest_version_unstable {
        keys.push("\"latestVersionUnstable\": true".to_owned());
    }
    if !schema.common_structs.is_empty() {
        let mut text = String::from("\"commonStructs\": [\n");
        for (index, common) in schema.common_structs.iter().enumerate() {
            let head = format!(
                "\"name\": \"{}\", \"versions\": \"{}\"",
                common.name, common.versions
            );
            let comma = comma(index, schema.common_structs.len());
            let _ = writeln!(text, "    {{ {head}, \"fields\": [");
            fields(&common.fields, 3, &mut text);
            let _ = writeln!(text, "    ]}}{comma}");
        }
        text.push_str("  ]");
        keys.push(text);
    }
    let mut text = String::from("\"fields\": [\n");
    fields(&schema.fields, 2, &mut text);
    text.push_str("  ]");
    keys.push(text);
    format!("{{\n  {}\n}}\n", keys.join(",\n  "))
}

fn comma(index: usize, len: usize) -> &'static str {
    if index + 1 < len { "," } else { "" }
}

fn fields(list: &[FieldSchema], depth: usize, text: &mut String) {
    for (index, field) in list.iter().enumerate() {
        let indent = "  ".repeat(depth);
        let comma = comma(index, list.len());
        let facts = facts(field).join(", ");
        if field.fields.is_empty() {
            let _ = writeln!(text, "{indent}{{ {facts} }}{comma}");
        } else {
            let _ = writeln!(text, "{indent}{{ {facts}, \"fields\": [");
            fields(&field.fields, depth + 1, text);
            let _ = writeln!(text, "{indent}]}}{comma}");
        }
    }
}

fn facts(field: &FieldSchema) -> Vec<String> {
    let mut facts = vec![
        format!("\"name\": \"{}\"", field.name),
        format!("\"type\": \"{}\"", field.ty),
        format!("\"versions\": \"{}\"", field.versions),
    ];
    if !field.nullable_versions.is_empty() {
        facts.push(format!(
            "\"nullableVersions\": \"{}\"",
            field.nullable_versions
        ));
    }
    if let Some(tag) = field.tag {
        facts.push(format!("\"taggedVersions\": \"{}\"", field.tagged_versions));
        facts.push(format!("\"tag\": {tag}"));
    }
    if let Some(versions) = field.flexible_versions {
        facts.push(format!("\"flexibleVersions\": \"{versions}\""));
    }
    if let Some(default) = &field.default {
        facts.push(format!(
            "\"default\": {}",
            serde_json::Value::from(default.as_str())
        ));
    }
    for (name, is_set) in [
        ("ignorable", field.ignorable),
        ("mapKey", field.map_key),
        ("zeroCopy", field.zero_copy),
    ] {
        if is_set {
            facts.push(format!("\"{name}\": true"));
        }
    }
    if let Some(entity) = &field.entity_type {
        facts.push(format!("\"entityType\": \"{entity}\""));
    }
    facts
}
