//! Encoding.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::conditions::Condition;
use super::layout::{self, Piece};
use super::read::{own_flexible, tagged_fields, uses};
use super::structs::{default_value, has_tags};
use super::types::{elided, fixed_method, ident, takes_version, varying_method};
use crate::model::{DefaultValue, Field, Message, Type};
use crate::versions::Versions;

/// `impl Write` of one struct.
pub(super) fn implementation(message: &Message, index: usize) -> TokenStream {
    let structure = &message.structs[index];
    let possible = structure.possible.intersect(message.versions);
    let name = elided(message, index);
    let checks = checks(message, index, possible);
    let parts = layout::layout(structure, possible);
    let piece = |piece: &Piece<'_>, possible| self::piece(message, piece, possible);
    let tags = tags(message, index, possible);
    let fields = if has_tags(message) && tagged_fields(message, index, possible).is_empty() {
        let merged = |piece: &Piece<'_>, possible| run_to_end(message, piece, possible);
        layout::emit_to_end(&parts, possible, &piece, &tags, &merged)
    } else {
        let fields = layout::emit(&parts, &piece);
        quote!(#fields #tags)
    };
    let body = quote!(#checks #fields);
    let (s, version) = (uses(&body, "s"), uses(&body, "version"));
    quote! {
        impl Write for #name {
            #[inline]
            fn write<'m, S: Sink<'m>>(
                &'m self,
                #s: &mut S,
                #version: i16,
            ) -> Result<(), EncodeError> {
                #body
                Ok(())
            }
        }
    }
}

/// Refuses fields that the version lacks and that must not be dropped, unless at their default.
fn checks(message: &Message, index: usize, possible: Versions) -> TokenStream {
    let structure = &message.structs[index];
    let mut groups: Vec<(Versions, Vec<(TokenStream, TokenStream)>)> = Vec::new();
    for field in structure.fields.iter().filter(|field| !field.ignorable) {
        let below = possible.split_at(field.versions.lowest()).0;
        let above = match field.versions.highest() {
            i16::MAX => Versions::NONE,
            highest => possible.split_at(highest + 1).1,
        };
        for absent in [below, above] {
            if absent.is_empty() {
                continue;
            }
            let set = is_set(field);
            let (struct_name, name) = (&structure.name, camel(&field.name));
            let refuse = quote!(return Err(EncodeError::unsupported_field(#struct_name, #name)););
            match groups.iter_mut().find(|(versions, _)| *versions == absent) {
                Some((_, checks)) => checks.push((set, refuse)),
                None => groups.push((absent, vec![(set, refuse)])),
            }
        }
    }
    groups
        .into_iter()
        .map(
            |(absent, checks)| match (Condition::new(absent, possible), checks.as_slice()) {
                (Condition::If(condition), [(set, refuse)]) => {
                    quote!(if #condition && #set { #refuse })
                }
                (condition, checks) => {
                    let checks = checks
                        .iter()
                        .map(|(set, refuse)| quote!(if #set { #refuse }));
                    condition.guard(checks.collect())
                }
            },
        )
        .collect()
}

/// A field's name as Kafka's JSON and messages have it.
pub(super) fn camel(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Whether a field is at something else than its default.
fn is_set(field: &Field) -> TokenStream {
    let name = ident(&field.rust_name);
    match (&field.ty, &field.default, field.is_nullable()) {
        (_, DefaultValue::Null, _) => quote!(self.#name.is_some()),
        (Type::Bool, DefaultValue::True, _) => quote!(!self.#name),
        (Type::Bool, ..) => quote!(self.#name),
        (
            Type::String | Type::Bytes | Type::Records | Type::Array(_),
            DefaultValue::Natural,
            false,
        ) => {
            quote!(!self.#name.is_empty())
        }
        (
            Type::String | Type::Bytes | Type::Records | Type::Array(_),
            DefaultValue::Natural,
            true,
        ) => {
            quote!(self.#name.as_ref().is_none_or(|value| !value.is_empty()))
        }
        (Type::String, DefaultValue::Text(text), false) => quote!(self.#name != #text),
        (Type::String, DefaultValue::Text(text), true) => {
            quote!(self.#name.as_deref() != Some(#text))
        }
        _ => {
            let default = default_value(field);
            quote!(self.#name != #default)
        }
    }
}

fn piece(message: &Message, piece: &Piece<'_>, possible: Versions) -> TokenStream {
    match piece {
        Piece::Run { len, fields } => {
            let len = Literal::usize_unsuffixed(*len);
            let fields = fields.iter().map(|field| {
                let name = ident(&field.rust_name);
                let method = fixed_method(&field.ty);
                quote!(run.#method(self.#name);)
            });
            quote! {
                let mut run = WriteRun::<#len>::new();
                #(#fields)*
                s.run(run);
            }
        }
        Piece::One(field) => {
            let write = untagged_value(field, possible);
            own_flexible(message, field, possible, "s", write)
        }
    }
}

/// The last fields of a struct that knows no tagged ones, with the end of it: a zero byte where no
/// tags are unknown either.
fn run_to_end(message: &Message, piece: &Piece<'_>, possible: Versions) -> Option<TokenStream> {
    let fields = piece.fixed()?;
    if message.flexible.intersect(possible).is_empty() {
        return None;
    }
    let len: usize = fields.iter().filter_map(|field| field.ty.fixed_len()).sum();
    let len = Literal::usize_unsuffixed(len + 1);
    let puts = fields.iter().map(|field| {
        let name = ident(&field.rust_name);
        let method = fixed_method(&field.ty);
        quote!(run.#method(self.#name);)
    });
    Some(quote! {
        let mut run = WriteRun::<#len>::new();
        #(#puts)*
        s.run_to_end(run, &self.unknown_tags)?;
    })
}

fn untagged_value(field: &Field, possible: Versions) -> TokenStream {
    let name = ident(&field.rust_name);
    if let Some(method) = fixed_method(&field.ty) {
        return quote!(s.#method(self.#name););
    }
    let (plain, nullable) = varying_method(&field.ty);
    if !field.is_nullable() {
        if let Type::Struct(_) = field.ty {
            return quote!(self.#name.write(s, version)?;);
        }
        let version = takes_version(&field.ty).then(|| quote!(, version));
        return quote!(s.#plain(&self.#name #version)?;);
    }
    let allowed = Condition::new(field.nullable, possible);
    if let Type::Struct(_) = field.ty {
        return match allowed {
            Condition::Always => quote!(s.nullable_struct(&self.#name, true, version)?;),
            Condition::Never => quote!(s.required_struct(&self.#name, version)?;),
            // Only versions in which it can be null have a marker byte.
            Condition::If(condition) => quote! {
                if #condition {
                    s.nullable_struct(&self.#name, true, version)?;
                } else {
                    s.required_struct(&self.#name, version)?;
                }
            },
        };
    }
    let allowed = allowed.expression();
    let version = takes_version(&field.ty).then(|| quote!(, version));
    quote!(s.#nullable(&self.#name, #allowed #version)?;)
}

fn tagged_value(field: &Field) -> TokenStream {
    let name = ident(&field.rust_name);
    let allowed = field.nullable.contains_all(field.tagged);
    match (&field.ty, field.is_nullable()) {
        (Type::Struct(_), true) if allowed => {
            quote!(s.nullable_tagged_struct(&self.#name, version)?;)
        }
        (Type::Struct(_), true) => quote!(s.required_struct(&self.#name, version)?;),
        _ => untagged_value(field, field.tagged),
    }
}

/// A tagged field of fixed width, whose size is known beforehand: tag, size and value are a run.
fn tagged_run(tag: u32, field: &Field) -> Option<TokenStream> {
    let (method, len) = (fixed_method(&field.ty)?, field.ty.fixed_len()?);
    let tag = u8::try_from(tag).ok().filter(|tag| *tag < 0x80)?;
    let (tag, size) = (
        Literal::u8_unsuffixed(tag),
        Literal::u8_unsuffixed(u8::try_from(len).ok()?),
    );
    let (len, name) = (Literal::usize_unsuffixed(2 + len), ident(&field.rust_name));
    Some(quote! {
        let mut run = WriteRun::<#len>::new();
        run.tag(#tag, #size);
        run.#method(self.#name);
        s.run(run);
    })
}

/// The tagged-field section, where the version has one.
fn tags(message: &Message, index: usize, possible: Versions) -> TokenStream {
    if !has_tags(message) {
        return TokenStream::new();
    }
    let fields = tagged_fields(message, index, possible);
    let end = quote!(s.end_struct(&self.unknown_tags)?;);
    if fields.is_empty() {
        return end;
    }
    let flexible = possible.intersect(message.flexible);
    let known = fields.last().map_or(0, |(tag, _)| tag + 1);
    let known = Literal::u32_unsuffixed(known);
    let flags: Vec<_> = fields
        .iter()
        .map(|(_, field)| format_ident!("has_{}", field.rust_name))
        .collect();
    let conditions = fields.iter().map(|(_, field)| {
        let set = is_set(field);
        match Condition::new(field.tagged, flexible) {
            Condition::If(condition) => quote!(#condition && #set),
            _ => set,
        }
    });
    let values = fields.iter().zip(&flags).map(|((tag, field), flag)| {
        let value = tagged_run(*tag, field).unwrap_or_else(|| {
            let tag = Literal::u32_unsuffixed(*tag);
            let value = tagged_value(field);
            quote! {
                let tag = s.begin_tag(#tag);
                #value
                s.end_tag(tag);
            }
        });
        quote!(if #flag { #value })
    });
    let section = quote! {
        #(let #flags = #conditions;)*
        s.tag_count(#(usize::from(#flags))+*, &self.unknown_tags);
        #(#values)*
        s.unknown_tags(&self.unknown_tags, #known)?;
    };
    match Condition::new(message.flexible, possible) {
        Condition::If(condition) => quote!(if #condition { #section } else { #end }),
        _ => section,
    }
}
