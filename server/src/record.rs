//! Records that can be checked: random, but with a serial number and a checksum inside.

use kwire_raft::random;

/// Bytes that a record has at least.
pub const MIN_SIZE: usize = 16;

/// Who made a record, and as the how manyth: serial numbers of an epoch are 0, 1, 2 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    /// The epoch of the leader that made it.
    pub epoch: u32,
    /// Its number within the epoch.
    pub number: u64,
}

/// Appends a record to `out`: epoch and number, random bytes, and the CRC-32C of all that.
///
/// # Panics
/// If `size` is below [`MIN_SIZE`].
pub fn write(serial: Serial, size: usize, random: &mut Random, out: &mut Vec<u8>) {
    assert!(size >= MIN_SIZE, "a record has {MIN_SIZE} bytes at least");
    let start = out.len();
    out.extend_from_slice(&serial.epoch.to_be_bytes());
    out.extend_from_slice(&serial.number.to_be_bytes());
    random.fill(size - MIN_SIZE, out);
    let crc = crc_fast::crc32_iscsi(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// The serial number of a record; `None` if it is damaged, or was made by somebody else.
#[must_use]
pub fn check(record: &[u8]) -> Option<Serial> {
    let (body, crc) = record.split_last_chunk::<4>()?;
    let (epoch, rest) = body.split_first_chunk::<4>()?;
    let number = rest.first_chunk::<8>()?;
    let intact = crc_fast::crc32_iscsi(body) == u32::from_be_bytes(*crc);
    intact.then(|| Serial {
        epoch: u32::from_be_bytes(*epoch),
        number: u64::from_be_bytes(*number),
    })
}

/// Random enough for bytes that nobody is to compress: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        random::next(&mut self.0)
    }

    fn fill(&mut self, mut len: usize, out: &mut Vec<u8>) {
        while len > 0 {
            let bytes = self.number().to_ne_bytes();
            let take = len.min(bytes.len());
            out.extend_from_slice(&bytes[..take]);
            len -= take;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_who_they_are_and_whether_they_are_whole() {
        let mut random = Random::new(1);
        for size in [MIN_SIZE, MIN_SIZE + 1, 100, 1_024] {
            let serial = Serial {
                epoch: 3,
                number: 9,
            };
            let mut record = Vec::new();
            write(serial, size, &mut random, &mut record);
            assert_eq!(record.len(), size);
            assert_eq!(check(&record), Some(serial));
            for at in 0..size {
                let mut damaged = record.clone();
                damaged[at] ^= 1;
                assert_eq!(check(&damaged), None, "byte {at}");
            }
            assert_eq!(check(&record[..size - 1]), None);
        }
        assert_eq!(check(&[]), None);
    }
}
