//! One frame; its first byte chooses the link type. The entry and its invariants lie beside the
//! code.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsieve::fuzz::decode(data));
