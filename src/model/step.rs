//! What a dissector answers to the bytes it was shown; reassembly obeys it.

/// What a dissector made of the unread bytes of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Bytes that need not be shown again, from the first given. May be more than were given: what
    /// comes next is then skipped unseen (a body, an encrypted record), and a gap inside it does
    /// no harm.
    pub consumed: u64,
    /// Whether to go on.
    pub verdict: Verdict,
}

/// Whether a dissector wants more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Show the bytes that were not consumed again, with more behind them.
    More,
    /// This side is read; the other may not be.
    SideDone,
    /// Both sides are read.
    Done,
    /// Not, or no longer, this protocol.
    Alien,
    /// What both sides send from here on is another protocol: probe again (a tunnel was opened).
    Another,
}
