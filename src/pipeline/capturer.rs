//! Loop 1: source, decode, shard, channel.
//!
//! A fixed set of blocks circulates: the source fills one, every frame is decoded into the packet
//! list of its shard, the block goes to all workers at once, and comes back when the last of them
//! is done. A replay waits for a free block: nothing is lost.

use std::sync::Arc;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;

use crate::model::block::Block;
use crate::model::bytes::index;
use crate::model::counters::Counters;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
use crate::pipeline::decode::FlowHasher;
use crate::pipeline::decode::decode;

/// How deep frames go; the rest of the pipeline is cut off, so that its cost can be seen (`bench
/// replay --stop-after`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Depth {
    /// Frames are found.
    Read,
    /// Headers are decoded.
    Decode,
    /// Flows are kept.
    Flow,
    /// Payload is read.
    Dissect,
    /// Observations are matched.
    Match,
}

/// Reads a source and hands its packets to the workers.
#[derive(Debug)]
pub struct Capturer<S> {
    number: u32,
    source: S,
    hasher: FlowHasher,
    depth: Depth,
    counters: Counters,
    clock: Clock,
    /// The second of the last checkpoint.
    checked_secs: u32,
    wire_bytes: u64,
}

/// The time that flows expire by, in seconds: never goes back, and follows a leap of more than a
/// day only once the next frame is as late, so that one broken time stamp does not end all flows,
/// or keep all that follow alive.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    secs: u32,
    leap: Option<u32>,
}

/// What a capturer has when its source has ended.
#[derive(Debug)]
pub struct Captured<S> {
    /// The source.
    pub source: S,
    /// What was counted.
    pub counters: Counters,
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
}

/// The channels to and from the workers.
#[derive(Debug)]
pub struct Circuit {
    /// One channel for each worker.
    pub workers: Vec<Sender<Arc<Block>>>,
    /// One token for each block that a worker let go of; holds more than can be under way, so
    /// workers never wait.
    pub returns: Receiver<()>,
    /// The circulating blocks.
    pub blocks: Vec<Arc<Block>>,
}

impl<S: Source> Capturer<S> {
    /// Returns capturer `number` of a run; all of them hash flows with one `seed`.
    pub fn new(number: u32, source: S, depth: Depth, seed: u64) -> Self {
        Self {
            number,
            source,
            hasher: FlowHasher::new(seed),
            depth,
            counters: Counters::default(),
            clock: Clock::default(),
            checked_secs: 0,
            wire_bytes: 0,
        }
    }

    /// Fills and hands over blocks until the source has ended or the workers are gone.
    pub fn run(mut self, mut circuit: Circuit) -> Captured<S> {
        let mut next = 0;
        while let Some(block) = free_block(&mut circuit, next) {
            let state = self.fill(block);
            let Some(block) = circuit.blocks.get(next) else { break };
            let gone = |worker: &Sender<Arc<Block>>| worker.send(Arc::clone(block)).is_err();
            if circuit.workers.iter().any(gone) || state == State::Ended {
                break;
            }
            next = following(next, circuit.blocks.len());
        }
        self.end()
    }

    /// Fills one block and decodes its frames into the packet lists of their shards.
    pub fn fill(&mut self, block: &mut Block) -> State {
        block.clear();
        let state = self.source.fill(block);
        if self.depth >= Depth::Decode {
            self.decode(block);
        } else {
            let wire = block.frames.iter().map(|frame| u64::from(frame.wire_bytes)).sum();
            self.wire_bytes = self.wire_bytes.saturating_add(wire);
        }
        block.clock_secs = self.clock.secs;
        block.source = self.number;
        block.captured.clone_from(&self.counters);
        block.captured.add(self.source.counters());
        block.checkpoint = (block.now_secs > self.checked_secs).then_some(block.now_secs);
        self.checked_secs = self.checked_secs.max(block.now_secs);
        state
    }

    /// Returns the source and the counts.
    pub fn end(self) -> Captured<S> {
        Captured { source: self.source, counters: self.counters, wire_bytes: self.wire_bytes }
    }

    fn decode(&mut self, block: &mut Block) {
        let shards = u64::try_from(block.shards.len()).unwrap_or(1);
        let Block { bytes, lent, frames, shards: lists, now_secs, .. } = block;
        let memory = lent.as_ref().map_or(bytes.as_slice(), |lent| lent.bytes());
        let told = *now_secs > 0;
        if told {
            self.clock.secs = *now_secs;
        }
        let mut wire_bytes = 0_u64;
        for frame in &*frames {
            wire_bytes = wire_bytes.saturating_add(u64::from(frame.wire_bytes));
            if !told {
                self.clock.see(frame.time.secs());
            }
            let at = index(frame.at);
            let end = at.saturating_add(index(frame.captured_bytes));
            let bytes = memory.get(at..end).unwrap_or_default();
            match decode(frame, bytes, &self.hasher) {
                Ok(mut packet) => {
                    packet.clock_secs = self.clock.secs;
                    if let Some(shard) = lists.get_mut(shard_of(packet.hash, shards)) {
                        shard.push(packet);
                    }
                }
                Err(error) => error.count(&mut self.counters),
            }
        }
        self.wire_bytes = self.wire_bytes.saturating_add(wire_bytes);
    }
}

impl Clock {
    /// Leaps of more seconds wait for a second frame.
    const LEAP_SECS: u32 = 86_400;

    fn see(&mut self, secs: u32) {
        let leaps = |from: u32| from > 0 && secs.saturating_sub(from) > Self::LEAP_SECS;
        if let Some(leap) = self.leap.take()
            && secs >= leap
        {
            self.secs = self.secs.max(leap);
        }
        if leaps(self.secs) {
            self.leap = Some(secs);
        } else {
            self.secs = self.secs.max(secs);
        }
    }
}

/// The shard of a flow: its hash's high bits, so that the low ones stay good for the flow table.
fn shard_of(hash: u64, shards: u64) -> usize {
    let shard = (hash >> 32).wrapping_mul(shards) >> 32;
    usize::try_from(shard).unwrap_or(0)
}

/// Waits until every worker has let go of a block. `None`: the workers are gone. What a source lent
/// to others that are free goes back to it meanwhile.
fn free_block(circuit: &mut Circuit, slot: usize) -> Option<&mut Block> {
    while circuit.returns.try_recv().is_ok() {}
    let free = circuit.blocks.iter_mut().filter_map(Arc::get_mut);
    free.filter(|block| block.lent.is_some()).for_each(Block::clear);
    while Arc::strong_count(circuit.blocks.get(slot)?) > 1 {
        circuit.returns.recv().ok()?;
    }
    Arc::get_mut(circuit.blocks.get_mut(slot)?)
}

fn following(slot: usize, slots: usize) -> usize {
    let next = slot.saturating_add(1);
    if next < slots { next } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use super::shard_of;

    /// Seconds of frames, then the clock after the last.
    fn check(frames: &[u32], clock: u32) {
        let mut seen = Clock::default();
        frames.iter().for_each(|secs| seen.see(*secs));
        assert_eq!(seen.secs, clock, "{frames:?}");
    }

    #[test]
    fn a_leap_needs_two_frames() {
        check(&[100], 100);
        check(&[1_000, 2_000, 1_500], 2_000);
        check(&[1_000, 4_000_000_000], 1_000);
        check(&[1_000, 4_000_000_000, 1_001, 1_002], 1_002);
        check(&[1_000, 4_000_000_000, 1_001, 4_000_000_000], 1_001);
        check(&[1_000, 200_000, 200_001], 200_001);
        check(&[1_000, 200_000, 400_000], 200_000);
        check(&[1_000, 200_000, 400_000, 400_000], 400_000);
    }

    #[test]
    fn shards_are_within_bounds_and_even() {
        for shards in [1, 2, 3, 8] {
            let mut counts = [0_u32; 8];
            for i in 0..8_000_u64 {
                let hash = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
                counts[shard_of(hash.wrapping_mul(0xff51_afd7_ed55_8ccd), shards)] += 1;
            }
            let used: Vec<_> = counts.iter().filter(|n| **n > 0).collect();
            assert_eq!(used.len() as u64, shards);
        }
        assert_eq!(shard_of(u64::MAX, 3), 2);
    }
}
