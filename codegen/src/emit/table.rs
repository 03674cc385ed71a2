//! The static table of a message's structs and fields.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::types::ident;
use super::write::camel;
use crate::model::{DefaultValue, Field, Kind, Message, Struct, Type};
use crate::versions::Versions;

/// `SCHEMA` of one message.
pub(super) fn table(message: &Message) -> TokenStream {
    let name = &message.name;
    let kind = ident(kind(message.kind));
    let api_key = match message.api_key {
        Some(key) => quote!(Some(#key)),
        None => quote!(None),
    };
    let versions = range(message.versions);
    let flexible = range(message.flexible);
    let (lines, docs): (Vec<_>, Vec<_>) = message
        .structs
        .iter()
        .flat_map(|structure| self::structure(message, structure))
        .unzip();
    quote! {
        /// The message's fields as data.
        pub static SCHEMA: Schema = Schema {
            name: #name,
            kind: Kind::#kind,
            api_key: #api_key,
            versions: #versions,
            flexible: #flexible,
            structs: Structs::new(&[#(#lines),*], docs(&[#(#docs),*])),
        };
    }
}

/// The variant of the runtime's `Kind`.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "Request",
        Kind::Response => "Response",
        Kind::Header => "Header",
        Kind::Data => "Data",
        Kind::Metadata => "Metadata",
        Kind::CoordinatorKey => "CoordinatorKey",
        Kind::CoordinatorValue => "CoordinatorValue",
    }
}

/// A range as an expression of the runtime.
pub(super) fn range(versions: Versions) -> TokenStream {
    let lowest = Literal::i16_unsuffixed(versions.lowest());
    let highest = Literal::i16_unsuffixed(versions.highest());
    if versions.is_empty() {
        quote!(VersionRange::NONE)
    } else if versions.is_open_ended() {
        quote!(VersionRange::from(#lowest))
    } else {
        quote!(VersionRange::new(#lowest, #highest))
    }
}

/// A struct and its fields as lines, and what describes each.
fn structure(message: &Message, structure: &Struct) -> Vec<(String, String)> {
    let fields = structure.fields.iter().map(|field| {
        let line = format!("  {}", field_line(message, field));
        (line, field.doc.clone())
    });
    std::iter::once((structure.name.clone(), structure.doc.clone()))
        .chain(fields)
        .collect()
}

/// One field; what is not said is as if there were no such thing.
fn field_line(message: &Message, field: &Field) -> String {
    let ty = ty(message, &field.ty);
    let mut line = format!("{} {ty} {}", camel(&field.name), field.versions);
    let mut say = |text: String| {
        line.push(' ');
        line.push_str(&text);
    };
    if !field.nullable.is_empty() {
        say(format!("nullable={}", field.nullable));
    }
    if let Some(tag) = field.tag {
        say(format!("tagged={} tag={tag}", field.tagged));
    }
    if let Some(flexible) = field.flexible {
        say(format!("flexible={flexible}"));
    }
    if field.ignorable {
        say("ignorable".to_owned());
    }
    if field.map_key {
        say("key".to_owned());
    }
    if let Some(entity_type) = &field.entity_type {
        say(format!("entity={entity_type}"));
    }
    // Last, because a text may be anything.
    if let Some(default) = default(&field.default) {
        say(format!("default={default}"));
    }
    line
}

fn ty(message: &Message, model: &Type) -> String {
    match model {
        Type::Struct(index) => message.structs[*index].name.clone(),
        Type::Array(element) => format!("[]{}", ty(message, element)),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn default(value: &DefaultValue) -> Option<String> {
    Some(match value {
        DefaultValue::Natural => return None,
        DefaultValue::Null => "null".to_owned(),
        DefaultValue::True => "true".to_owned(),
        DefaultValue::Int(number) => format!("int:{number}"),
        DefaultValue::Float(number) => format!("float:{number:?}"),
        DefaultValue::Text(text) => format!("text:{text}"),
        DefaultValue::Uuid(bytes) => {
            format!("uuid:{}", bytes.map(|byte| format!("{byte:02x}")).concat())
        }
    })
}
