//! Nouns: the values that cross a border between stages or threads. No I/O, no clock, nothing of
//! ours imported.
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

pub mod limits;
pub mod bytes;
pub mod time;
pub mod address;
pub mod plain;
pub mod domain;
pub mod url;
pub mod digest;
pub mod community_id;
pub mod special;
pub mod refang;
pub mod refusal;
pub mod policy;
pub mod pattern;
pub mod packet;
pub mod flow;
pub mod block;
pub mod confidence;
pub mod mark;
pub mod marking;
pub mod validity;
pub mod observation;
pub mod step;
pub mod indicator;
pub mod story;
pub mod hit;
pub mod batch;
pub mod canary;
pub mod path;
pub mod counters;
