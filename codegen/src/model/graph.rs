//! How a message's structs hang together: who holds whom, and what follows for their traits.

use super::{Message, Struct, Type};
use crate::parse::MAX_DEPTH;

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

/// The most fields of a struct and of all that is in it but for arrays, which is what a value of it
/// takes in memory at once. Kafka's largest has 23.
const MAX_FIELDS: usize = 10_000;

/// A struct that is too much for whoever decodes it, and why, if there is one. Common structs that
/// use each other several times grow exponentially, with few lines of schema.
pub(super) fn excess(structs: &[Struct]) -> Option<(usize, String)> {
    let (mut depths, mut sizes) = (vec![0; structs.len()], vec![0; structs.len()]);
    for index in inner_first(structs) {
        let (mut depth, mut size) = (0, 0_usize);
        for field in &structs[index].fields {
            size = size.saturating_add(1);
            if let Some(inner) = struct_of(&field.ty) {
                depth = depth.max(1 + depths[inner]);
            }
            if let Type::Struct(inner) = field.ty {
                size = size.saturating_add(sizes[inner]);
            }
        }
        if depth > MAX_DEPTH {
            let problem = format!("structs are nested more than {MAX_DEPTH} deep");
            return Some((index, problem));
        }
        if size > MAX_FIELDS {
            let problem = format!("it has more than {MAX_FIELDS} fields, with the structs in it");
            return Some((index, problem));
        }
        (depths[index], sizes[index]) = (depth, size);
    }
    None
}

/// The places of all structs, each behind those that it holds. There must be no circle.
fn inner_first(structs: &[Struct]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut met = vec![false; structs.len()];
    // A struct comes twice: when it is met, and when all that it holds have been.
    let mut pending = vec![(0, false)];
    while let Some((index, finished)) = pending.pop() {
        if finished {
            order.push(index);
        } else if !std::mem::replace(&mut met[index], true) {
            pending.push((index, true));
            let inner = structs[index]
                .fields
                .iter()
                .filter_map(|f| struct_of(&f.ty));
            pending.extend(inner.map(|inner| (inner, false)));
        }
    }
    order
}

/// Finds out which structs borrow from their frame, and whose equality is total.
pub(super) fn settle_traits(structs: &mut [Struct]) {
    for index in inner_first(structs) {
        let fields = structs[index].fields.iter();
        let (borrows, eq) = fields
            .map(|field| type_traits(structs, &field.ty))
            .fold((false, true), |all, one| (all.0 | one.0, all.1 & one.1));
        structs[index].borrows = borrows;
        structs[index].eq = eq;
    }
}

/// The traits of a type whose structs are settled.
fn type_traits(structs: &[Struct], ty: &Type) -> (bool, bool) {
    match ty {
        Type::String | Type::Bytes | Type::Records => (true, true),
        Type::Float64 => (false, false),
        Type::Struct(inner) => (structs[*inner].borrows, structs[*inner].eq),
        Type::Array(element) => {
            let (borrows, eq) = type_traits(structs, element);
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
