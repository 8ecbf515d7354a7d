//! Observations to hits: one file per index shape, and the index that asks them.
//!
//! A flow costs two look-ups in the table of addresses, a name one for each parent length that an
//! indicator has; shapes without an indicator cost nothing. What is found comes sorted by
//! indicator, each once.

mod beginning;
mod buckets;
pub mod current;
mod exact;
mod filter;
mod index;
mod pattern;
mod prefix;
pub mod sift;
mod suffix;
pub mod table;
#[cfg(test)]
mod tests;

pub use index::Index;
pub use index::IndexBuilder;
pub use index::IndexError;
