//! A block: the memory of one hand-over, its frames, and each shard's packets.

use std::fmt::Debug;
use std::sync::Arc;

use crate::model::counters::Counters;
use crate::model::limits::BLOCK_BYTES;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::packet::Packet;

/// Memory of a source's own that it lends to a block; given back when the last clone is gone.
pub trait Lent: Debug + Send + Sync {
    /// Returns it.
    fn bytes(&self) -> &[u8];
}

/// Frames as they arrived, with each shard's list of decoded packets; allocated once, reused for
/// ever.
#[derive(Debug)]
pub struct Block {
    /// Memory of its own. Its length is its capacity: a source that copies writes into it, and
    /// `frames` say what is valid.
    pub bytes: Vec<u8>,
    /// What the frames lie in instead, where the source lends its own memory.
    pub lent: Option<Arc<dyn Lent>>,
    /// The frames in the order read.
    pub frames: Vec<Frame>,
    /// For each shard its packets, in the order read.
    pub shards: Vec<Vec<Packet>>,
    /// No later block holds a frame before this one: every shard's watermark once the block is
    /// done.
    pub last: FrameId,
    /// Whole seconds of the latest time seen up to the block's end.
    pub clock_secs: u32,
    /// How late it is, in seconds since 1970, for a live source, whatever its frames say; 0 where
    /// only they say it.
    pub now_secs: u32,
    /// Which source filled it.
    pub source: u32,
    /// What that source and its capturer have counted so far.
    pub captured: Counters,
    /// The second at whose first block the books are made, where this is it; of a live source only.
    pub checkpoint: Option<u32>,
}

impl Block {
    /// Takes memory for one block and the packet lists of `shards` shards.
    pub fn new(shards: usize) -> Self {
        Self { bytes: vec![0; BLOCK_BYTES], ..Self::without_memory(shards) }
    }

    /// Takes the packet lists alone, for a source that lends its own memory.
    pub fn without_memory(shards: usize) -> Self {
        Self {
            bytes: Vec::new(),
            lent: None,
            frames: Vec::with_capacity(BLOCK_FRAMES_MAX),
            shards: (0..shards).map(|_| Vec::with_capacity(BLOCK_FRAMES_MAX)).collect(),
            last: FrameId::default(),
            clock_secs: 0,
            now_secs: 0,
            source: 0,
            captured: Counters::default(),
            checkpoint: None,
        }
    }

    /// Returns the memory that the frames lie in.
    pub fn memory(&self) -> &[u8] {
        self.lent.as_ref().map_or(self.bytes.as_slice(), |lent| lent.bytes())
    }

    /// Forgets frames and packets, and gives back what was lent; keeps its own memory.
    pub fn clear(&mut self) {
        self.lent = None;
        self.frames.clear();
        self.now_secs = 0;
        self.shards.iter_mut().for_each(Vec::clear);
    }
}
