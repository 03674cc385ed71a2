//! The records of one uncompressed batch of magic 2: what a bare loop over their varints costs.

use super::wire::{Malformed, Result, i32, i64};

/// A record: what anybody who looks at one needs.
#[allow(dead_code)]
pub struct Record<'a> {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [u8],
}

/// Where the header ends, and where what the checksum covers begins.
const HEADER_LEN: usize = 61;
const ATTRIBUTES_AT: usize = 21;

/// Compares the checksum, and gives every record to `visit`.
pub fn visit<'a>(batch: &'a [u8], mut visit: impl FnMut(&Record<'a>)) -> Result<usize> {
    let (header, mut rest) = batch.split_first_chunk::<HEADER_LEN>().ok_or(Malformed)?;
    let sum = crc_fast::crc32_iscsi(&batch[ATTRIBUTES_AT..]);
    let is_sound = i32(header, 8) as usize == batch.len() - 12
        && header[16] == 2
        && header[22] & 7 == 0
        && i32(header, 17) as u32 == sum;
    if !is_sound {
        return Err(Malformed);
    }
    let (base_offset, base_timestamp) = (i64(header, 0), i64(header, 27));
    let count = usize::try_from(i32(header, 57)).map_err(|_| Malformed)?;
    for _ in 0..count {
        let len = length(&mut rest)?.ok_or(Malformed)?;
        let body;
        (body, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
        let (_, mut body) = body.split_first().ok_or(Malformed)?;
        let timestamp = base_timestamp.wrapping_add(zigzag(varint(&mut body)?));
        let offset = base_offset.wrapping_add(zigzag(varint(&mut body)?));
        let key = nullable(&mut body)?;
        let value = nullable(&mut body)?;
        let headers = headers(body)?;
        visit(&Record {
            offset,
            timestamp,
            key,
            value,
            headers,
        });
    }
    rest.is_empty().then_some(count).ok_or(Malformed)
}

#[inline(always)]
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let low = |byte: u8| u64::from(byte & 0x7f);
    let value;
    (value, *bytes) = match *bytes {
        [a @ ..0x80, rest @ ..] => (u64::from(*a), rest),
        [a, b @ ..0x80, rest @ ..] => (low(*a) | low(*b) << 7, rest),
        [a, b, c @ ..0x80, rest @ ..] => (low(*a) | low(*b) << 7 | low(*c) << 14, rest),
        _ => long_varint(bytes)?,
    };
    Ok(value)
}

#[inline(never)]
fn long_varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(Malformed)
}

#[inline(always)]
fn zigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// A length, `None` if it is negative.
#[inline(always)]
fn length(bytes: &mut &[u8]) -> Result<Option<usize>> {
    Ok(usize::try_from(zigzag(varint(bytes)?)).ok())
}

#[inline(always)]
fn nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let Some(len) = length(bytes)? else {
        return Ok(None);
    };
    let (value, rest) = bytes.split_at_checked(len).ok_or(Malformed)?;
    *bytes = rest;
    Ok(Some(value))
}

/// The headers, which have to fill the bytes.
#[inline(always)]
fn headers(bytes: &[u8]) -> Result<&[u8]> {
    match bytes {
        [0] => Ok(&[]),
        _ => some_headers(bytes),
    }
}

#[inline(never)]
fn some_headers(bytes: &[u8]) -> Result<&[u8]> {
    let mut rest = bytes;
    let count = length(&mut rest)?.ok_or(Malformed)?;
    for _ in 0..count {
        nullable(&mut rest)?.ok_or(Malformed)?;
        nullable(&mut rest)?;
    }
    rest.is_empty().then_some(bytes).ok_or(Malformed)
}
