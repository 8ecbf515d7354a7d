//! A capture file as a whole, compressed or not: the entry and its invariants lie beside the code.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsieve::fuzz::capture(data));
