//! CRC-32C by the crate that kwire uses and by others.

use std::hint::black_box;

use crate::timing::{Entry, Operation, Plan};

/// Lengths with the names of their cases.
const LENGTHS: [(&str, usize); 3] = [("64 B", 64), ("4 KiB", 4 << 10), ("1 MiB", 1 << 20)];

/// The table that makes the `crc` crate fastest.
static TABLES: crc::Crc<u32, crc::Table<16>> =
    crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// Times what the plan wants.
pub fn run(plan: &Plan) {
    for (name, len) in LENGTHS {
        if !plan.wants_case(name) {
            continue;
        }
        let bytes: Vec<u8> = (0..len).map(|at| ((at * 31) >> 3) as u8).collect();
        let bytes = &bytes[..];
        let expected = crc32c::crc32c(bytes);
        assert_eq!(crc_fast::crc32_iscsi(bytes), expected);
        assert_eq!(TABLES.checksum(bytes), expected);
        let entries = vec![
            Entry::new(Operation::Crc, "crc32c", || {
                crc32c::crc32c(black_box(bytes))
            }),
            Entry::new(Operation::Crc, "crc-fast", || {
                crc_fast::crc32_iscsi(black_box(bytes))
            }),
            Entry::new(Operation::Crc, "crc", || TABLES.checksum(black_box(bytes))),
        ];
        plan.run(name, entries);
    }
}
