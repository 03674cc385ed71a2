//! Decoding.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::conditions::Condition;
use super::layout::{self, Piece};
use super::structs::has_tags;
use super::types::{fixed_method, ident, takes_version, varying_method, with_lifetime};
use crate::model::{Field, Message, Type};
use crate::versions::Versions;

/// `impl Read` of one struct.
pub(super) fn implementation(message: &Message, index: usize) -> TokenStream {
    let structure = &message.structs[index];
    let possible = structure.possible.intersect(message.versions);
    let name = with_lifetime(message, index, "'a");
    let min_len = Literal::usize_unsuffixed(message.min_len(index));
    let parts = layout::layout(structure, possible);
    let fields = layout::emit(&parts, &|piece, possible| {
        self::piece(message, piece, possible)
    });
    let tags = tags(message, index, possible);
    let body = quote!(#fields #tags);
    let (r, version) = (uses(&body, "r"), uses(&body, "version"));
    quote! {
        impl<'a> Read<'a> for #name {
            const MIN_LEN: usize = #min_len;

            #[inline]
            fn read<'r, L: Leaves<'r, 'a>>(
                &mut self,
                #r: &mut Reader<'r, 'a, L>,
                #version: i16,
            ) -> Result<(), DecodeError> {
                #body
                Ok(())
            }
        }
    }
}

/// The parameter's name, with an underscore before it if the body does without.
pub(super) fn uses(body: &TokenStream, name: &str) -> proc_macro2::Ident {
    // A name behind a dot is a field: several messages have one called `version`.
    fn mentions(tokens: TokenStream, name: &str) -> bool {
        let mut after_dot = false;
        tokens.into_iter().any(|token| {
            let is_field = std::mem::replace(&mut after_dot, false);
            match token {
                proc_macro2::TokenTree::Ident(ident) => ident == name && !is_field,
                proc_macro2::TokenTree::Group(group) => mentions(group.stream(), name),
                proc_macro2::TokenTree::Punct(punct) => {
                    after_dot = punct.as_char() == '.';
                    false
                }
                proc_macro2::TokenTree::Literal(_) => false,
            }
        })
    }
    if mentions(body.clone(), name) {
        ident(name)
    } else {
        ident(&format!("_{name}"))
    }
}

fn piece(message: &Message, piece: &Piece<'_>, possible: Versions) -> TokenStream {
    match piece {
        Piece::Run { len, fields } => {
            let len = Literal::usize_unsuffixed(*len);
            let fields = fields.iter().map(|field| {
                let name = ident(&field.rust_name);
                let method = fixed_method(&field.ty);
                quote!(self.#name = run.#method();)
            });
            quote! {
                let mut run = r.run::<#len>()?;
                #(#fields)*
            }
        }
        Piece::One(field) => one(message, field, possible),
    }
}

fn one(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let name = ident(&field.rust_name);
    let value = untagged_value(field, possible);
    let read = if matches!(field.ty, Type::Struct(_)) && !field.is_nullable() {
        quote!(self.#name.read(r, version)?;)
    } else {
        quote!(self.#name = #value;)
    };
    own_flexible(message, field, possible, "r", read)
}

/// `body` with the field's own flexible versions, if it has any, for a reader or sink.
pub(super) fn own_flexible(
    message: &Message,
    field: &Field,
    possible: Versions,
    wire: &str,
    body: TokenStream,
) -> TokenStream {
    let Some(flexible) = field.flexible else {
        return body;
    };
    let wire = ident(wire);
    let own = Condition::new(flexible, possible).expression();
    let message = Condition::new(message.flexible, possible).expression();
    quote! {
        #wire.set_flexible(#own);
        #body
        #wire.set_flexible(#message);
    }
}

fn untagged_value(field: &Field, possible: Versions) -> TokenStream {
    if let Some(method) = fixed_method(&field.ty) {
        return quote!(r.#method()?);
    }
    let (plain, nullable) = varying_method(&field.ty);
    let version = takes_version(&field.ty).then(|| quote!(version));
    if !field.is_nullable() {
        return quote!(r.#plain(#version)?);
    }
    let allowed = Condition::new(field.nullable, possible);
    if let (Type::Struct(_), Condition::If(condition)) = (&field.ty, &allowed) {
        // Only versions in which it can be null have a marker byte.
        return quote! {
            if #condition { r.nullable_struct(true, version)? } else { Some(r.value(version)?) }
        };
    }
    if let (Type::Struct(_), Condition::Never) = (&field.ty, &allowed) {
        return quote!(Some(r.value(version)?));
    }
    let allowed = allowed.expression();
    let version = version.map(|version| quote!(, #version));
    quote!(r.#nullable(#allowed #version)?)
}

/// Reads a tagged field into its place.
fn tagged(field: &Field) -> TokenStream {
    let name = ident(&field.rust_name);
    let allowed = field.nullable.contains_all(field.tagged);
    let value = match (&field.ty, field.is_nullable()) {
        (Type::Struct(_), false) => return quote!(r.replace(&mut self.#name, version)?),
        (Type::Struct(_), true) if allowed => quote!(r.nullable_tagged_struct(version)?),
        (Type::Struct(_), true) => quote!(Some(r.value(version)?)),
        _ => untagged_value(field, field.tagged),
    };
    quote!(self.#name = #value)
}

/// The tagged-field section, where the version has one.
fn tags(message: &Message, index: usize, possible: Versions) -> TokenStream {
    if !has_tags(message) {
        return TokenStream::new();
    }
    let fields = tagged_fields(message, index, possible);
    if fields.is_empty() {
        return quote!(r.end_struct(&mut self.unknown_tags)?;);
    }
    let flexible = possible.intersect(message.flexible);
    let mut elsewhere: Vec<u32> = Vec::new();
    let arms: Vec<TokenStream> = fields
        .iter()
        .map(|(number, field)| {
            let tag = Literal::u32_unsuffixed(*number);
            let read = tagged(field);
            match Condition::new(field.tagged, flexible) {
                Condition::If(condition) => {
                    elsewhere.push(*number);
                    quote!(#tag if #condition => #read,)
                }
                _ => quote!(#tag => #read,),
            }
        })
        .collect();
    elsewhere.extend(gaps(&fields));
    elsewhere.sort_unstable();
    let elsewhere = (!elsewhere.is_empty()).then(|| {
        let tags = patterns(&elsewhere);
        quote!(#(#tags)|* => return Err(r.tag_not_in_version(tag)),)
    });
    Condition::new(message.flexible, possible).guard(quote! {
        for _ in 0..r.tag_count()? {
            let (tag, size) = r.tag()?;
            let end = r.tag_end(size);
            match tag {
                #(#arms)*
                #elsewhere
                _ => r.unknown_tag(&mut self.unknown_tags, tag, size)?,
            }
            r.check_tag_end(tag, size, end)?;
        }
    })
}

/// Tags below the highest that no possible version has. A schema numbers its tags without gaps,
/// so that they are known, just not here.
fn gaps(fields: &[(u32, &Field)]) -> impl Iterator<Item = u32> {
    let known = fields.last().map_or(0, |(tag, _)| *tag);
    (0..known).filter(|tag| fields.iter().all(|(other, _)| other != tag))
}

/// Patterns for ascending tags: three neighbours or more are a range, as Clippy would have it.
fn patterns(tags: &[u32]) -> Vec<TokenStream> {
    let mut patterns = Vec::new();
    for run in tags.chunk_by(|a, b| a + 1 == *b) {
        let literals = run.iter().map(|tag| Literal::u32_unsuffixed(*tag));
        let literals: Vec<Literal> = literals.collect();
        match literals.as_slice() {
            [first, _, .., last] => patterns.push(quote!(#first..=#last)),
            few => patterns.extend(few.iter().map(|tag| quote!(#tag))),
        }
    }
    patterns
}

/// The fields that are tagged in some possible version, by tag.
pub(super) fn tagged_fields(
    message: &Message,
    index: usize,
    possible: Versions,
) -> Vec<(u32, &Field)> {
    let flexible = possible.intersect(message.flexible);
    let mut fields: Vec<(u32, &Field)> = message.structs[index]
        .fields
        .iter()
        .filter(|field| !field.tagged.intersect(flexible).is_empty())
        .filter_map(|field| field.tag.map(|tag| (tag, field)))
        .collect();
    fields.sort_by_key(|(tag, _)| *tag);
    fields
}
