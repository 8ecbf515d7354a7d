//! Streams and datagrams to observations: one file (or folder) per protocol, and the table of them.
//!
//! A dissector sees a side and bytes, and tells observations. It knows no flow, address, time or
//! setting.

pub mod dns;
#[cfg(any(test, fuzzing))]
pub mod drive;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
mod proxy;
pub mod reader;
pub mod tls;

use crate::model::flow::Side;
use crate::model::observation::Seen;
use crate::model::step::Step;

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

    /// Reads the bytes that `side` sent and that were not consumed yet: first the ones shown
    /// before, then newer ones. Called again only when there are more. The same bytes give the
    /// same observations however they are cut.
    fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step;
}
