//! Struct definitions, their defaults, and cutting them loose from the frame.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::types::{borrows, docs, elided, field_type, ident, with_lifetime};
use crate::model::{DefaultValue, Field, Message, Struct, Type};

/// The struct with its documentation, `Default` and `IntoOwned`.
pub(super) fn definition(
    message: &Message,
    index: usize,
    attributes: &[syn::Attribute],
) -> TokenStream {
    let structure = &message.structs[index];
    let name = with_lifetime(message, index, "'a");
    let doc = struct_doc(message, index);
    let fields = structure.fields.iter().map(|field| {
        let name = ident(&field.rust_name);
        let ty = field_type(message, field);
        let doc = docs(&[&field.doc, "", &clause(field)]);
        quote!(#doc pub #name: #ty)
    });
    let unknown_tags = has_tags(message).then(|| {
        quote! {
            /// Tagged fields that the schema does not know, kept as they came.
            pub unknown_tags: UnknownTags,
        }
    });
    // Not derived: that would generate a function for each struct which nobody calls.
    let eq = structure.eq.then(|| {
        let name = elided(message, index);
        quote!(impl Eq for #name {})
    });
    let natural = structure.fields.iter().all(default_is_derived);
    let default = if natural {
        quote!(, Default)
    } else {
        TokenStream::new()
    };
    let default_impl = (!natural).then(|| default_impl(message, index));
    // Generic code asks it of every message, of nested structs only where there is a borrow.
    let into_owned = (structure.borrows || index == 0).then(|| into_owned(message, index));
    quote! {
        #doc
        #[derive(Clone, Debug #default, PartialEq)]
        #(#attributes)*
        pub struct #name {
            #(#fields,)*
            #unknown_tags
        }
        #eq
        #default_impl
        #into_owned
    }
}

/// Whether a message's structs keep unknown tagged fields.
pub(super) fn has_tags(message: &Message) -> bool {
    !message.flexible.intersect(message.versions).is_empty()
}

fn struct_doc(message: &Message, index: usize) -> TokenStream {
    let structure: &Struct = &message.structs[index];
    if index > 0 {
        return docs(&[&structure.doc]);
    }
    let flexible = message.flexible.intersect(message.versions);
    let key = match message.api_key {
        Some(key) => format!(" API key {key}."),
        None => String::new(),
    };
    let versions = format!("Versions {}, flexible {flexible}.{key}", message.versions);
    docs(&[&structure.doc, "", &versions])
}

/// The generated clause of a field's documentation: versions, tag, null, ignorable, default.
pub(super) fn clause(field: &Field) -> String {
    let mut text = format!("Versions {}", field.versions);
    if let Some(tag) = field.tag {
        text.push_str(&format!("; tag {tag}"));
        if field.tagged != field.versions {
            text.push_str(&format!(" in {}", field.tagged));
        }
    }
    if !field.nullable.is_empty() {
        text.push_str("; nullable");
        if field.nullable != field.versions {
            text.push_str(&format!(" in {}", field.nullable));
        }
    }
    if field.ignorable {
        text.push_str("; ignorable");
    }
    let default = match &field.default {
        DefaultValue::Natural => None,
        DefaultValue::Null => Some("null".to_owned()),
        DefaultValue::True => Some("true".to_owned()),
        DefaultValue::Int(number) => Some(number.to_string()),
        DefaultValue::Float(number) => Some(number.to_string()),
        DefaultValue::Text(text) => Some(format!("{text:?}")),
        DefaultValue::Uuid(_) => Some("a UUID".to_owned()),
    };
    if let Some(default) = default {
        text.push_str(&format!("; default {default}"));
    }
    text.push('.');
    text
}

fn default_is_derived(field: &Field) -> bool {
    match field.default {
        DefaultValue::Natural => !field.is_nullable(),
        DefaultValue::Null => true,
        _ => false,
    }
}

fn default_impl(message: &Message, index: usize) -> TokenStream {
    let name = elided(message, index);
    let fields = message.structs[index].fields.iter().map(|field| {
        let name = ident(&field.rust_name);
        let value = default_value(field);
        quote!(#name: #value,)
    });
    let unknown_tags = has_tags(message).then(|| quote!(unknown_tags: UnknownTags::EMPTY,));
    quote! {
        impl Default for #name {
            #[inline]
            fn default() -> Self {
                Self { #(#fields)* #unknown_tags }
            }
        }
    }
}

/// A field's default as an expression.
pub(super) fn default_value(field: &Field) -> TokenStream {
    let value = match &field.default {
        DefaultValue::Null => return quote!(None),
        DefaultValue::Natural => natural(&field.ty),
        DefaultValue::True => quote!(true),
        DefaultValue::Int(number) => {
            let number = Literal::i64_unsuffixed(*number);
            quote!(#number)
        }
        DefaultValue::Float(number) => {
            let number = Literal::f64_unsuffixed(*number);
            quote!(#number)
        }
        DefaultValue::Text(text) => quote!(Str::Borrowed(#text)),
        DefaultValue::Uuid(bytes) => {
            let bytes = bytes.iter().map(|b| Literal::u8_unsuffixed(*b));
            quote!(Uuid::from_bytes([#(#bytes),*]))
        }
    };
    if field.is_nullable() {
        quote!(Some(#value))
    } else {
        value
    }
}

fn natural(ty: &Type) -> TokenStream {
    match ty {
        Type::Bool => quote!(false),
        Type::Float64 => quote!(0.0),
        Type::Uuid => quote!(Uuid::ZERO),
        Type::String => quote!(Str::Borrowed("")),
        Type::Array(element) if element.fixed_len().is_none() => quote!(Vec::new()),
        Type::Bytes | Type::Records | Type::Struct(_) | Type::Array(_) => {
            quote!(Default::default())
        }
        _ => quote!(0),
    }
}

fn into_owned(message: &Message, index: usize) -> TokenStream {
    let borrowed = elided(message, index);
    let owned = with_lifetime(message, index, "'static");
    if !message.structs[index].borrows {
        return quote! {
            impl IntoOwned for #borrowed {
                type Owned = #owned;

                #[inline]
                fn into_owned(self) -> Self::Owned {
                    self
                }
            }
        };
    }
    let bare = ident(&message.structs[index].rust_name);
    let fields = message.structs[index].fields.iter().map(|field| {
        let name = ident(&field.rust_name);
        if borrows(message, &field.ty) {
            quote!(#name: IntoOwned::into_owned(self.#name),)
        } else {
            quote!(#name: self.#name,)
        }
    });
    let unknown_tags = has_tags(message).then(|| quote!(unknown_tags: self.unknown_tags,));
    quote! {
        impl IntoOwned for #borrowed {
            type Owned = #owned;

            #[inline]
            fn into_owned(self) -> Self::Owned {
                #bare { #(#fields)* #unknown_tags }
            }
        }
    }
}
