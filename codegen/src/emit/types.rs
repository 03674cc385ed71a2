//! Rust types and names for the model's.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::model::{Field, Message, Type};

/// An identifier, raw if it is a keyword.
pub(super) fn ident(name: &str) -> Ident {
    match syn::parse_str::<Ident>(name) {
        // `gen` is a keyword from edition 2024 on only; raw, it is right in all of them.
        Ok(ident) if name != "gen" => ident,
        _ => Ident::new_raw(name, Span::call_site()),
    }
}

/// Documentation, a line each. Brackets and angles in plain text are no links or tags.
pub(super) fn docs(lines: &[&str]) -> TokenStream {
    let lines = lines.iter().map(|line| match *line {
        "" => String::new(),
        line => format!(" {}", line.replace('[', "\\[").replace('<', "\\<")),
    });
    quote!(#(#[doc = #lines])*)
}

/// A struct's name with `'a` if it borrows.
pub(super) fn with_lifetime(message: &Message, index: usize, lifetime: &str) -> TokenStream {
    let structure = &message.structs[index];
    let name = ident(&structure.rust_name);
    if structure.borrows {
        let lifetime = syn::Lifetime::new(lifetime, Span::call_site());
        quote!(#name<#lifetime>)
    } else {
        quote!(#name)
    }
}

/// A struct's name with `'_` if it borrows.
pub(super) fn elided(message: &Message, index: usize) -> TokenStream {
    with_lifetime(message, index, "'_")
}

/// Whether values of the type borrow from the frame.
pub(super) fn borrows(message: &Message, ty: &Type) -> bool {
    match ty {
        Type::String | Type::Bytes | Type::Records => true,
        Type::Struct(index) => message.structs[*index].borrows,
        Type::Array(element) => element.fixed_len().is_some() || borrows(message, element),
        _ => false,
    }
}

/// The Rust type of a field.
pub(super) fn field_type(message: &Message, field: &Field) -> TokenStream {
    let ty = value_type(message, &field.ty);
    if field.is_nullable() {
        quote!(Option<#ty>)
    } else {
        ty
    }
}

fn value_type(message: &Message, ty: &Type) -> TokenStream {
    match ty {
        Type::Bool => quote!(bool),
        Type::Int8 => quote!(i8),
        Type::Int16 => quote!(i16),
        Type::Uint16 => quote!(u16),
        Type::Int32 => quote!(i32),
        Type::Uint32 => quote!(u32),
        Type::Int64 => quote!(i64),
        Type::Float64 => quote!(f64),
        Type::Uuid => quote!(Uuid),
        Type::String => quote!(Str<'a>),
        Type::Bytes | Type::Records => quote!(Blob<'a>),
        Type::Struct(index) => with_lifetime(message, *index, "'a"),
        Type::Array(element) if element.fixed_len().is_some() => {
            let element = value_type(message, element);
            quote!(Array<'a, #element>)
        }
        Type::Array(element) => {
            let element = value_type(message, element);
            quote!(Vec<#element>)
        }
    }
}

/// The method of readers, sinks and runs for a type of fixed width.
pub(super) fn fixed_method(ty: &Type) -> Option<Ident> {
    let name = match ty {
        Type::Bool => "bool",
        Type::Int8 => "i8",
        Type::Int16 => "i16",
        Type::Uint16 => "u16",
        Type::Int32 => "i32",
        Type::Uint32 => "u32",
        Type::Int64 => "i64",
        Type::Float64 => "f64",
        Type::Uuid => "uuid",
        _ => return None,
    };
    Some(Ident::new(name, Span::call_site()))
}

/// The method for a type of any width, as it is called where null cannot occur and where it can.
/// Structs have methods of their own.
pub(super) fn varying_method(ty: &Type) -> (Ident, Ident) {
    let (plain, nullable) = match ty {
        Type::String => ("string", "nullable_string"),
        Type::Bytes | Type::Records => ("bytes", "nullable_bytes"),
        Type::Array(element) => match **element {
            Type::String => ("strings", "nullable_strings"),
            Type::Bytes | Type::Records => ("blobs", "nullable_blobs"),
            Type::Struct(_) => ("structs", "nullable_structs"),
            _ => ("array", "nullable_array"),
        },
        _ => ("value", "nullable_struct"),
    };
    (
        Ident::new(plain, Span::call_site()),
        Ident::new(nullable, Span::call_site()),
    )
}

/// Whether a method takes the version along: those that read or write structs do.
pub(super) fn takes_version(ty: &Type) -> bool {
    matches!(ty, Type::Struct(_))
        || matches!(ty, Type::Array(element) if matches!(**element, Type::Struct(_)))
}
