//! Streams and datagrams to observations: one file (or folder) per protocol, and the table of them.
//!
//! A dissector sees a side and bytes, and tells observations. It knows no flow, address, time or setting.

pub mod dns;
#[cfg(any(test, fuzzing))]
pub mod drive;
pub mod http;

use crate::model::flow::Side;
use crate::model::observation::Seen;

pub mod tls;

/// What a dissector made of the unread bytes of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Bytes that need not be shown again, from the first given. May be more than were given: what
    /// comes next is then skipped unseen (a body, an encrypted record), and a gap inside it does no harm.
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

/// Whether the first bytes of a side look like a protocol's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guess {
    /// They are.
    Yes,
    /// Too few bytes to tell.
    Maybe,
    /// They are not.
    No,
}

/// A protocol over TCP.
pub trait Dissect: Default {
    /// Judges the first bytes that either side sent.
    fn probe(bytes: &[u8]) -> Guess;

    /// Reads the bytes that `side` sent and that were not consumed yet: first the ones shown before, then newer ones.
    /// Called again only when there are more. The same bytes give the same observations however they are cut.
    fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step;
}
