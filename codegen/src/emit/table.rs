//! The static table of a message's structs and fields.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

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
    let structs = message.structs.iter().map(structure);
    quote! {
        /// The message's fields as data.
        pub static SCHEMA: Schema = Schema {
            name: #name,
            kind: Kind::#kind,
            api_key: #api_key,
            versions: #versions,
            flexible: #flexible,
            structs: &[#(#structs),*],
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

fn structure(structure: &Struct) -> TokenStream {
    let (name, doc) = (&structure.name, &structure.doc);
    let fields = structure.fields.iter().map(field);
    quote! {
        StructSchema {
            name: #name,
            doc: doc(#doc),
            fields: &[#(#fields),*],
        }
    }
}

/// One field; what is not said is as in the runtime's `field`.
fn field(field: &Field) -> TokenStream {
    let name = camel(&field.name);
    let ty = ty(&field.ty);
    let versions = range(field.versions);
    let doc = &field.doc;
    let mut said = quote!(doc: doc(#doc),);
    if !field.nullable.is_empty() {
        let nullable = range(field.nullable);
        said.extend(quote!(nullable: #nullable,));
    }
    if let Some(tag) = field.tag {
        let tagged = range(field.tagged);
        let tag = Literal::u32_unsuffixed(tag);
        said.extend(quote!(tagged: #tagged, tag: #tag,));
    }
    if let Some(flexible) = field.flexible {
        let flexible = range(flexible);
        said.extend(quote!(flexible: #flexible,));
    }
    if field.ignorable {
        said.extend(quote!(ignorable: true,));
    }
    if field.map_key {
        said.extend(quote!(map_key: true,));
    }
    if let Some(default) = default(&field.default) {
        said.extend(quote!(default: #default,));
    }
    if let Some(entity_type) = &field.entity_type {
        said.extend(quote!(entity_type: #entity_type,));
    }
    quote!(FieldSchema { #said ..field(#name, #ty, #versions) })
}

fn ty(model: &Type) -> TokenStream {
    let name = match model {
        Type::Struct(index) => {
            let index = Literal::usize_unsuffixed(*index);
            return quote!(FieldType::Struct(#index));
        }
        Type::Array(element) => {
            let element = ty(element);
            return quote!(FieldType::Array(&#element));
        }
        scalar => format_ident!("{scalar:?}"),
    };
    quote!(FieldType::#name)
}

fn default(value: &DefaultValue) -> Option<TokenStream> {
    let value = match value {
        DefaultValue::Natural => return None,
        DefaultValue::Null => quote!(Null),
        DefaultValue::True => quote!(True),
        DefaultValue::Int(number) => {
            let number = Literal::i64_unsuffixed(*number);
            quote!(Int(#number))
        }
        DefaultValue::Float(number) => {
            let number = Literal::f64_unsuffixed(*number);
            quote!(Float(#number))
        }
        DefaultValue::Text(text) => quote!(Text(#text)),
        DefaultValue::Uuid(bytes) => {
            let bytes = bytes.iter().map(|b| Literal::u8_unsuffixed(*b));
            quote!(Uuid([#(#bytes),*]))
        }
    };
    Some(quote!(DefaultValue::#value))
}
