//! Copying the bytes: what nothing can go below.

use std::hint::black_box;

use crate::cases::Case;
use crate::timing::{Entry, Operation};

const NAME: &str = "memcpy";

pub fn entries(case: &Case) -> Vec<Entry<'_>> {
    let bytes = &case.bytes[..];
    let mut out = Vec::with_capacity(bytes.len());
    vec![
        Entry::new(Operation::Encode, NAME, move || {
            out.clear();
            out.extend_from_slice(black_box(bytes));
            black_box(&out);
        }),
        Entry::new(Operation::EncodeFresh, NAME, move || {
            black_box(bytes).to_vec()
        }),
    ]
}
