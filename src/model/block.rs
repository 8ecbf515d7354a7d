//! A block: the memory of one hand-over, its frames, and each shard's packets.

use crate::model::counters::Counters;
use crate::model::limits::BLOCK_BYTES;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::packet::Packet;

/// Frames as they arrived, with each shard's list of decoded packets; allocated once, reused for
/// ever.
#[derive(Debug)]
pub struct Block {
    /// The bytes as read. Its length is its capacity: a source writes into it, and `frames` say
    /// what is valid.
    pub bytes: Vec<u8>,
    /// The frames in the order read.
    pub frames: Vec<Frame>,
    /// For each shard its packets, in the order read.
    pub shards: Vec<Vec<Packet>>,
    /// No later block holds a frame before this one: every shard's watermark once the block is
    /// done.
    pub last: FrameId,
    /// Whole seconds of the latest time seen up to the block's end.
    pub clock_secs: u32,
    /// Whole seconds since 1970 by which a live source has handed over all there was; 0 where only
    /// the frames say how late it is.
    pub now_secs: u32,
    /// Which source filled it.
    pub source: u32,
    /// What that source and its capturer have counted so far.
    pub captured: Counters,
}

impl Block {
    /// Takes memory for one block and the packet lists of `shards` shards.
    pub fn new(shards: usize) -> Self {
        Self {
            bytes: vec![0; BLOCK_BYTES],
            frames: Vec::with_capacity(BLOCK_FRAMES_MAX),
            shards: (0..shards).map(|_| Vec::with_capacity(BLOCK_FRAMES_MAX)).collect(),
            last: FrameId::default(),
            clock_secs: 0,
            now_secs: 0,
            source: 0,
            captured: Counters::default(),
        }
    }

    /// Forgets frames and packets; keeps all memory.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.now_secs = 0;
        self.shards.iter_mut().for_each(Vec::clear);
    }
}
