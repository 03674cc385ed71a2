//! Good bytes made bad.

use crate::layout::{Site, What};

/// The bytes with something else in the place of a site.
pub fn replaced(bytes: &[u8], site: &Site, with: &[u8]) -> Vec<u8> {
    [&bytes[..site.start], with, &bytes[site.end..]].concat()
}

/// An unsigned varint.
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// An unsigned varint of five bytes, whatever the value.
pub fn long_varint(value: u32) -> [u8; 5] {
    std::array::from_fn(|index| {
        let more = if index < 4 { 0x80 } else { 0 };
        (value >> (7 * index)) as u8 & 0x7f | more
    })
}

/// What an attacker would put in the place of a site, `left` being the bytes behind it.
pub fn replacements(site: &Site, left: usize) -> Vec<Vec<u8>> {
    let left = left as i64;
    // A tag or a number of them is what it is; a length is one more than that, so that null is 0.
    let extra = i64::from(matches!(site.what, What::Len | What::Count));
    let values = [
        0,
        -1,
        -2,
        1,
        left,
        left + 1,
        127,
        10_000,
        10_001,
        1_000_000,
        1_000_001,
        i64::from(i16::MAX),
        i64::from(i32::MAX),
        i64::from(i32::MIN),
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    match (site.varint, site.end - site.start) {
        (true, _) => {
            all.extend(values.map(|value| varint((value + extra) as u32)));
            // The same numbers in more bytes than they need, in more bits than there are, and in
            // more bytes than there may be.
            all.push(long_varint(extra as u32).to_vec());
            all.push(long_varint((left + extra) as u32).to_vec());
            all.push(vec![0xff, 0xff, 0xff, 0xff, 0x7f]);
            all.push(vec![0x80, 0x80, 0x80, 0x80, 0x80, 0]);
            all.push(vec![0xff; 10]);
        }
        (false, 1) => all.extend([0, 1, 0x7f, 0x80, 0xff].map(|byte| vec![byte])),
        (false, width) => {
            all.extend(values.map(|value| value.to_be_bytes()[8 - width..].to_vec()));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Numbers that look random and are the same every time.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that belong to a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end.max(1) as u64) as usize
    }

    /// The bytes with up to four bits turned over, and sometimes a byte put in or taken out.
    pub fn flipped(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(out.len());
            let bit = self.below(8);
            if let Some(byte) = out.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        match self.below(8) {
            0 => out.insert(self.below(out.len()), self.below(256) as u8),
            1 if !out.is_empty() => drop(out.remove(self.below(out.len()))),
            _ => {}
        }
        out
    }
}
