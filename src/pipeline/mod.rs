//! Per packet: bytes become packets, flows, observations and hits. No panic, no heap after warm-up,
//! no lock, no clock, no log.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::as_conversions,
        clippy::disallowed_methods,
        clippy::disallowed_macros,
    )
)]

pub mod capture;
pub mod decode;
pub mod flow;
pub mod dissect;
pub mod matcher;
pub mod capturer;
pub mod worker;
