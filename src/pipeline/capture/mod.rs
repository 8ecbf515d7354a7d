//! Where bytes come from: one file per source, and for files one per format and per compression.
//!
//! A source writes bytes into a block and says which of them are frames; it reads no header of a packet.

pub mod damage;
pub mod file;
pub mod filter;

use crate::model::block::Block;

/// What a block is filled from.
pub trait Source {
    /// Fills a cleared block with the next frames, all of one input, and sets its `last`; `clock_secs` is the caller's.
    /// A block may come back without frames when all of them were left out.
    fn fill(&mut self, block: &mut Block) -> State;
}

/// Whether a source has more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There may be more.
    More,
    /// The block just filled is the last; it may have frames.
    Ended,
}
