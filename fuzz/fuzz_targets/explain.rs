#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kwire_fuzz_bodies::explain(data));
