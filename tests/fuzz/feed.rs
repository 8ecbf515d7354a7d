//! A file of indicators, of any format: the entry and its invariants lie beside the code.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsieve::fuzz::feed(data));
