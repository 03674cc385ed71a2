//! What a reader finds wrong, made out of line and from plain numbers: code that reads carries
//! no more than a call, and the reader's address does not leave it.

use crate::runtime::error::{DecodeError, DecodeErrorKind};

#[cold]
#[inline(never)]
pub(super) fn bad_uvarint(left: usize, len: usize) -> DecodeError {
    if left < 5 {
        return truncated(left + 1, left, len);
    }
    DecodeError::new(DecodeErrorKind::VarintTooLong, len - left)
}

#[cold]
#[inline(never)]
pub(super) fn truncated(wanted: usize, left: usize, len: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Truncated { wanted, left }, len - left)
}

#[cold]
#[inline(never)]
pub(super) fn over_budget(limit: usize, offset: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::OverBudget { limit }, offset)
}

#[cold]
#[inline(never)]
pub(super) fn tags_over_limit(count: u32, limit: u32, offset: usize) -> DecodeError {
    let (count, limit) = (count as usize, limit as usize);
    DecodeError::new(DecodeErrorKind::TagsOverLimit { count, limit }, offset)
}

#[cold]
#[inline(never)]
pub(super) fn tag_not_in_version(tag: u32, offset: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::TagNotInVersion { tag }, offset)
}

#[cold]
#[inline(never)]
pub(super) fn tag_size(tag: u32, claimed: usize, taken: usize, offset: usize) -> DecodeError {
    let kind = DecodeErrorKind::TagSize {
        tag,
        claimed,
        taken,
    };
    DecodeError::new(kind, offset)
}

#[cold]
#[inline(never)]
pub(super) fn unexpected_null(offset: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::UnexpectedNull, offset)
}
