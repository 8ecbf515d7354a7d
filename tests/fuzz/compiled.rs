//! A compiled set, as it is and with a header that fits: the entry and its invariants lie beside
//! the code.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsieve::fuzz::compiled(data));
