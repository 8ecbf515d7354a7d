//! Where the flows of a batch are likely found.

use crate::pipeline::flow::NONE;
use crate::pipeline::flow::index::EMPTY;
use crate::pipeline::flow::index::Word;

/// Where a batch's flows are likely found; only saves time, never decides.
#[derive(Debug, Default)]
pub struct Hints {
    pub(super) hints: Vec<Hint>,
}

/// Where a packet's flow is likely found.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    pub(super) slot: u32,
    pub(super) word: Word,
}

impl Hints {
    /// Makes room for so many packets, with nothing known of any.
    pub(super) fn reset(&mut self, packets: usize) {
        self.hints.clear();
        self.hints.resize(packets, Hint::NONE);
    }

    /// Returns the hints in the order of the packets.
    pub fn iter(&self) -> impl Iterator<Item = Hint> {
        self.hints.iter().copied()
    }
}

impl Hint {
    /// Knows nothing.
    pub const NONE: Self = Self { slot: NONE, word: EMPTY };
}
