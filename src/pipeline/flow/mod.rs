//! Flow table, TCP reassembly, expiry.
//!
//! The table is the largest cost of the engine: at a million flows each packet misses the caches.
//! Sketch per packet: one line of the index (8 bytes a flow), two lines of the slot (128 bytes a
//! flow), fetched for a batch at a time so that the misses overlap. What only some flows need
//! (reassembly, dissector, values told and shown) lives elsewhere and is found by number.

mod handshake;
mod hint;
mod hold;
mod idle;
mod index;
mod pool;
pub mod segment;
pub mod shown;
mod side;
pub mod slot;
pub mod stream;
#[cfg(test)]
mod stream_tests;
pub mod table;
#[cfg(test)]
mod table_tests;
pub mod told;
mod wheel;
mod window;

/// Stands for "no such slot, stream, hold, chunk or cell" where a number is stored.
const NONE: u32 = u32::MAX;
