//! Where bytes come from: one file per source, and for files one per format and one for
//! compressions.
//!
//! A source writes bytes into a block and says which of them are frames; it reads no header of a
//! packet.

pub mod damage;
pub mod file;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

mod compressed;
mod gauge;
pub mod live;
mod listing;
mod order;
mod packet_socket;
mod patient;
mod pcap;
mod pcapng;
mod reading;
#[cfg(test)]
mod samples;

use std::io;
use std::io::Read;

use crate::model::block::Block;
use crate::model::counters::Counters;
use crate::model::packet::Frame;
use crate::pipeline::capture::damage::Flaw;

/// What a block is filled from.
pub trait Source {
    /// Fills a cleared block with the next frames, all of one input, and sets its `last`;
    /// `clock_secs` is the caller's.
    /// A block may come back without frames when all of them were left out.
    fn fill(&mut self, block: &mut Block) -> State;

    /// Returns what it has counted so far: frames and bytes handed over, frames left out or lost.
    fn counters(&self) -> &Counters;

    /// Tells whether it lends memory of its own to blocks; they need none then.
    fn lends(&self) -> bool {
        false
    }
}

/// Whether a source has more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There may be more.
    More,
    /// The block just filled is the last; it may have frames.
    Ended,
}

/// A capture format, told by its first bytes.
struct Format {
    /// Whether a capture that begins with `head` (at least four bytes) is of this format.
    looks: fn(head: &[u8]) -> bool,
    /// Makes the walk over one file of it.
    walk: fn() -> Box<dyn Walk>,
}

/// Every capture format.
const FORMATS: &[Format] = &[pcap::FORMAT, pcapng::FORMAT];

/// A compression, told by its first bytes.
struct Compression {
    /// Whether a file that begins with `head` (at least four bytes) is compressed so.
    looks: fn(head: &[u8]) -> bool,
    /// Decompresses while reading.
    open: fn(Input) -> io::Result<Input>,
}

/// Every compression.
const COMPRESSIONS: &[Compression] = &[compressed::GZIP, compressed::ZSTD, compressed::LZ4];

/// Bytes of one file, on their way through decompressors.
type Input = Box<dyn Read + Send>;

/// Finds the frames in the bytes of one file.
trait Walk: Send {
    /// Walks whole records from the first of `bytes`, which lies at `place`, and adds their frames.
    /// Returns how many bytes were walked and why no more.
    fn walk(&mut self, bytes: &[u8], place: Place, frames: &mut Vec<Frame>) -> (usize, Stop);

    /// Returns the number of the last frame, those left out as oversized included.
    fn number(&self) -> u64;
}

/// Where bytes lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    /// Index of the input.
    file: u32,
    /// Offset in the block.
    at: u32,
}

/// Why a walk ends before the last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// The next record is not whole: it has this many bytes, or more.
    Short(usize),
    /// The block has no room for another frame.
    Full,
    /// The next record, of this many bytes, holds nothing for us.
    Skip(u64),
    /// The next record, of this many bytes, is longer than any frame that we read.
    Oversized(u64),
    /// The next record contradicts itself.
    Broken(Flaw),
}
