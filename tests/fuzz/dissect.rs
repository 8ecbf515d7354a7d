//! A dissector's bytes; PROTO says which, `any` lets the content decide. The entry and its
//! invariants lie beside the code.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsieve::fuzz::dissect(data));
