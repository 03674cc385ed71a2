//! What fuzzers have found, each by its name.

use kwire_fuzz_bodies::{records, unhex};

/// A message set that was built at a negative offset could not be read.
#[test]
fn message_set_at_a_negative_offset() {
    records(&unhex(
        "2503ff000000000000004d00000042000000040200000035b7e8300000000000018bcfe568000000018bcfe568000000011f71fb04cb0009ffffffff0000000120003a0008000000010c00000000001f00",
    ));
}
