//! The order of a struct's untagged fields on the wire, cut into runs and branches.
//!
//! Neighbouring fields of fixed width make a run: one bounds check, constant offsets. Where
//! their versions differ, the newest layout gets a run of its own and older versions a branch.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::conditions::Condition;
use crate::model::{Field, Struct};
use crate::versions::Versions;

/// A part of a struct's layout.
pub(super) enum Part<'a> {
    /// Fields that the same versions have.
    Fields {
        /// The versions that have them, of those possible.
        present: Versions,
        /// The versions that are possible here.
        possible: Versions,
        /// The pieces in order.
        pieces: Vec<Piece<'a>>,
    },
    /// One layout from `at` on, and another below.
    Split {
        at: i16,
        above: Vec<Part<'a>>,
        below: Vec<Part<'a>>,
    },
}

/// What is read or written in one go.
pub(super) enum Piece<'a> {
    /// Several fields of fixed width, `len` bytes in all.
    Run { len: usize, fields: Vec<&'a Field> },
    /// One field.
    One(&'a Field),
}

impl<'a> Piece<'a> {
    /// Its fields if they have a fixed width.
    pub(super) fn fixed(&self) -> Option<&[&'a Field]> {
        match self {
            Piece::Run { fields, .. } => Some(fields),
            Piece::One(field) => field.ty.fixed_len().map(|_| std::slice::from_ref(field)),
        }
    }
}

/// The versions in which a field is there and not tagged.
pub(super) fn untagged(field: &Field, possible: Versions) -> Versions {
    let present = field.versions.intersect(possible);
    if field.tagged.is_empty() {
        return present;
    }
    // Tagged versions are open-ended, so the untagged ones lie below.
    present.split_at(field.tagged.lowest()).0
}

/// The layout of a struct in the versions that are possible.
pub(super) fn layout(structure: &Struct, possible: Versions) -> Vec<Part<'_>> {
    let fields: Vec<&Field> = structure
        .fields
        .iter()
        .filter(|field| !untagged(field, possible).is_empty())
        .collect();
    let mut parts = Vec::new();
    let mut rest = fields.as_slice();
    while let Some(first) = rest.first() {
        let fixed = rest.iter().take_while(|f| f.ty.fixed_len().is_some());
        let stretch = fixed.count();
        if stretch == 0 {
            push(
                &mut parts,
                untagged(first, possible),
                possible,
                Piece::One(first),
            );
            rest = &rest[1..];
        } else {
            let (fields, after) = rest.split_at(stretch);
            push_stretch(&mut parts, fields, possible);
            rest = after;
        }
    }
    parts
}

/// Adds a piece, to the last part if that has the same versions.
fn push<'a>(parts: &mut Vec<Part<'a>>, present: Versions, possible: Versions, piece: Piece<'a>) {
    if let Some(Part::Fields {
        present: last,
        pieces,
        ..
    }) = parts.last_mut()
        && *last == present
    {
        pieces.push(piece);
        return;
    }
    parts.push(Part::Fields {
        present,
        possible,
        pieces: vec![piece],
    });
}

/// Adds neighbouring fields of fixed width.
fn push_stretch<'a>(parts: &mut Vec<Part<'a>>, fields: &[&'a Field], possible: Versions) {
    if let Some(at) = newest_layout(fields, possible) {
        let (older, newer) = possible.split_at(at);
        let mut below = Vec::new();
        push_runs(&mut below, fields, older);
        if !below.is_empty() {
            let mut above = Vec::new();
            push_runs(&mut above, fields, newer);
            parts.push(Part::Split { at, above, below });
            return;
        }
    }
    push_runs(parts, fields, possible);
}

/// The version from which on the fields' layout stays the same, if the layout differs before
/// and a run is worth a branch.
fn newest_layout(fields: &[&Field], possible: Versions) -> Option<i16> {
    let newest = possible.highest();
    let mut at = possible.lowest();
    let mut in_newest = 0;
    for field in fields {
        let present = untagged(field, possible);
        if present.contains(newest) {
            at = at.max(present.lowest());
            in_newest += 1;
        } else {
            at = at.max(present.highest() + 1);
        }
    }
    (at > possible.lowest() && in_newest >= 2).then_some(at)
}

/// Adds fields, neighbours of the same versions as a run.
fn push_runs<'a>(parts: &mut Vec<Part<'a>>, fields: &[&'a Field], possible: Versions) {
    let mut fields = fields
        .iter()
        .copied()
        .filter(|field| !untagged(field, possible).is_empty())
        .peekable();
    while let Some(field) = fields.next() {
        let present = untagged(field, possible);
        let mut run = vec![field];
        while let Some(next) = fields.next_if(|next| untagged(next, possible) == present) {
            run.push(next);
        }
        let piece = if run.len() == 1 {
            Piece::One(field)
        } else {
            let len = run.iter().filter_map(|field| field.ty.fixed_len()).sum();
            Piece::Run { len, fields: run }
        };
        push(parts, present, possible, piece);
    }
}

/// Emits parts: `piece` gives the code of one piece, for the versions that are possible there.
pub(super) fn emit(
    parts: &[Part<'_>],
    piece: &dyn Fn(&Piece<'_>, Versions) -> TokenStream,
) -> TokenStream {
    parts
        .iter()
        .map(|part| match part {
            Part::Fields {
                present,
                possible,
                pieces,
            } => {
                let body = pieces.iter().map(|p| piece(p, *present)).collect();
                Condition::new(*present, *possible).guard(body)
            }
            Part::Split { at, above, below } => {
                let at = Literal::i16_unsuffixed(*at);
                let above = emit(above, piece);
                let below = emit(below, piece);
                quote! {
                    if version >= #at { #above } else { #below }
                }
            }
        })
        .collect()
}

/// Emits parts with what follows the last of them: `end` its code, or `merged` that of a last piece
/// together with it, if there is such in the versions that are possible there.
pub(super) fn emit_to_end(
    parts: &[Part<'_>],
    possible: Versions,
    piece: &dyn Fn(&Piece<'_>, Versions) -> TokenStream,
    end: &TokenStream,
    merged: &dyn Fn(&Piece<'_>, Versions) -> Option<TokenStream>,
) -> TokenStream {
    match parts {
        [
            before @ ..,
            Part::Fields {
                present, pieces, ..
            },
        ] if *present == possible
            && let [others @ .., last] = pieces.as_slice()
            && let Some(last) = merged(last, possible) =>
        {
            let before = emit(before, piece);
            let others = others.iter().map(|other| piece(other, possible));
            quote!(#before #(#others)* #last)
        }
        [before @ .., Part::Split { at, above, below }] => {
            let before = emit(before, piece);
            let (older, newer) = possible.split_at(*at);
            let above = emit_to_end(above, newer, piece, end, merged);
            let below = emit_to_end(below, older, piece, end, merged);
            let at = Literal::i16_unsuffixed(*at);
            quote!(#before if version >= #at { #above } else { #below })
        }
        _ => {
            let fields = emit(parts, piece);
            quote!(#fields #end)
        }
    }
}
