//! Version conditions, as short as the versions that are possible at their place allow.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::versions::Versions;

/// When something is so, given the versions that can occur.
pub(super) enum Condition {
    Always,
    Never,
    If(TokenStream),
}

impl Condition {
    /// Whether `version` is in `wanted`, knowing that it is in `possible`.
    pub(super) fn new(wanted: Versions, possible: Versions) -> Condition {
        let present = wanted.intersect(possible);
        if present.is_empty() {
            return Condition::Never;
        }
        if present == possible {
            return Condition::Always;
        }
        let lowest = Literal::i16_unsuffixed(present.lowest());
        let highest = Literal::i16_unsuffixed(present.highest());
        Condition::If(if present.highest() == possible.highest() {
            quote!(version >= #lowest)
        } else if present.lowest() == possible.lowest() {
            quote!(version <= #highest)
        } else if present.lowest() == present.highest() {
            quote!(version == #lowest)
        } else {
            quote!((#lowest..=#highest).contains(&version))
        })
    }

    /// As a boolean expression.
    pub(super) fn expression(&self) -> TokenStream {
        match self {
            Condition::Always => quote!(true),
            Condition::Never => quote!(false),
            Condition::If(condition) => condition.clone(),
        }
    }

    /// `body` under the condition; nothing if it never holds.
    pub(super) fn guard(&self, body: TokenStream) -> TokenStream {
        match self {
            Condition::Always => body,
            Condition::Never => TokenStream::new(),
            Condition::If(condition) => quote!(if #condition { #body }),
        }
    }
}
