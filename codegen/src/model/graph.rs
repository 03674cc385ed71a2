//! How a message's structs hang together: who holds whom, and what follows for their traits.

use super::{Message, Struct, Type};

/// The struct that a type holds, if it holds one.
pub(super) fn struct_of(ty: &Type) -> Option<usize> {
    match ty {
        Type::Struct(index) => Some(*index),
        Type::Array(element) => struct_of(element),
        _ => None,
    }
}

/// A struct that holds itself, if there is one: it could not have a default, nor be decoded in
/// bounded depth. All structs hang below the first.
pub(super) fn circle(structs: &[Struct]) -> Option<usize> {
    let mut finished = vec![false; structs.len()];
    circle_below(structs, 0, &mut Vec::new(), &mut finished)
}

fn circle_below(
    structs: &[Struct],
    index: usize,
    above: &mut Vec<usize>,
    finished: &mut [bool],
) -> Option<usize> {
    if above.contains(&index) {
        return Some(index);
    }
    if finished[index] {
        return None;
    }
    above.push(index);
    let fields = structs[index].fields.iter();
    let circle = fields
        .filter_map(|field| struct_of(&field.ty))
        .find_map(|inner| circle_below(structs, inner, above, finished));
    above.pop();
    finished[index] = true;
    circle
}

/// A struct with more than `most` fields, if there is one, where those of a struct in it that is no
/// array's element are its own: as many are in each value of it. No struct may hold itself.
pub(super) fn wider_than(structs: &[Struct], most: usize) -> Option<usize> {
    let mut known = vec![None; structs.len()];
    (0..structs.len()).find(|index| width(structs, *index, &mut known) > most)
}

fn width(structs: &[Struct], index: usize, known: &mut [Option<usize>]) -> usize {
    if let Some(width) = known[index] {
        return width;
    }
    let fields = structs[index].fields.iter().map(|field| match field.ty {
        Type::Struct(inner) => width(structs, inner, known),
        _ => 1,
    });
    let sum = fields.fold(1_usize, usize::saturating_add);
    known[index] = Some(sum);
    sum
}

/// Finds out which structs borrow from their frame, and whose equality is total.
pub(super) fn settle_traits(structs: &mut [Struct]) {
    // Each once: several fields may hold the same struct, and those in it another one, and so on.
    let mut known = vec![None; structs.len()];
    for index in 0..structs.len() {
        let (borrows, eq) = traits_of(structs, index, &mut known);
        structs[index].borrows = borrows;
        structs[index].eq = eq;
    }
}

/// Whether a struct borrows, and whether its equality is total.
type Traits = (bool, bool);

fn traits_of(structs: &[Struct], index: usize, known: &mut [Option<Traits>]) -> Traits {
    if let Some(traits) = known[index] {
        return traits;
    }
    let fields = structs[index].fields.iter();
    let traits = fields
        .map(|field| type_traits(structs, &field.ty, known))
        .fold((false, true), |all, one| (all.0 | one.0, all.1 & one.1));
    known[index] = Some(traits);
    traits
}

fn type_traits(structs: &[Struct], ty: &Type, known: &mut [Option<Traits>]) -> Traits {
    match ty {
        Type::String | Type::Bytes | Type::Records => (true, true),
        Type::Float64 => (false, false),
        Type::Struct(inner) => traits_of(structs, *inner, known),
        Type::Array(element) => {
            let (borrows, eq) = type_traits(structs, element, known);
            (borrows || element.fixed_len().is_some(), eq)
        }
        _ => (false, true),
    }
}

/// Removes the structs that no field uses.
pub(super) fn drop_unused(message: &mut Message) {
    let mut used = vec![false; message.structs.len()];
    let mut pending = vec![0];
    while let Some(index) = pending.pop() {
        if !std::mem::replace(&mut used[index], true) {
            let fields = message.structs[index].fields.iter();
            pending.extend(fields.filter_map(|f| struct_of(&f.ty)));
        }
    }
    let mut next = 0;
    let places: Vec<usize> = used
        .iter()
        .map(|used| {
            next += usize::from(*used);
            next.saturating_sub(1)
        })
        .collect();
    let mut used = used.into_iter();
    message.structs.retain(|_| used.next().unwrap_or(false));
    for field in message.structs.iter_mut().flat_map(|s| &mut s.fields) {
        renumber(&mut field.ty, &places);
    }
}

fn renumber(ty: &mut Type, places: &[usize]) {
    match ty {
        Type::Struct(index) => *index = places[*index],
        Type::Array(element) => renumber(element, places),
        _ => {}
    }
}
