//! Where the flows of a batch are likely found.

use crate::pipeline::flow::NONE;
use crate::pipeline::flow::index::EMPTY;
use crate::pipeline::flow::index::Word;

/// Packets whose flows are looked for at once: enough misses in flight for any core, few enough to stay in its cache.
pub const GATHER_MAX: usize = 64;

/// Where a batch's flows are likely found; only saves time, never decides.
#[derive(Debug)]
pub struct Hints {
    pub(super) hints: [Hint; GATHER_MAX],
}

/// Where a packet's flow is likely found.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    pub(super) slot: u32,
    pub(super) word: Word,
}

impl Default for Hints {
    fn default() -> Self {
        Self { hints: [Hint::NONE; GATHER_MAX] }
    }
}

impl Hints {
    /// Returns the hints in the order of the packets.
    pub fn iter(&self) -> impl Iterator<Item = Hint> {
        self.hints.iter().copied()
    }
}

impl Hint {
    /// Knows nothing.
    pub const NONE: Self = Self { slot: NONE, word: EMPTY };
}
