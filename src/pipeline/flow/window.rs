//! The bytes that one side keeps: unread ones first, then islands of what came too early.
//!
//! Each byte has its place, so filling a hole joins what is behind it without a copy. Where copies
//! differ, the first counts.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::limits::SIDE_BYTES_MAX;
use crate::model::limits::SIDE_SEGMENTS_MAX;
use crate::pipeline::flow::pool::Pool;

/// Unread bytes and islands; empty ones own no memory.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// From the first unread byte to the end of the last island; what lies in holes means nothing.
    bytes: Vec<u8>,
    /// How many bytes are there without a hole.
    ready: usize,
    /// What is behind the first hole; in order, never touching.
    islands: Vec<Island>,
}

/// A stretch of bytes behind a hole; counted from the first unread byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Island {
    from: u32,
    to: u32,
}

/// What became of the bytes that were put into a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// How many of the first bytes are in the window now.
    pub(super) taken: usize,
    /// Whether one of them was not there before.
    pub(super) is_fresh: bool,
}

impl Window {
    /// Returns the unread bytes up to the first hole.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(..self.ready).unwrap_or_default()
    }

    /// Tells whether there is an island.
    pub(super) fn has_islands(&self) -> bool {
        !self.islands.is_empty()
    }

    /// Puts bytes `offset` from the first unread one; bytes that are there already stay. Nothing is
    /// kept beyond `SIDE_BYTES_MAX`, nor of more islands than `SIDE_SEGMENTS_MAX`.
    pub(super) fn place(&mut self, pool: &mut Pool, offset: usize, bytes: &[u8]) -> Placed {
        let to = offset.saturating_add(bytes.len()).min(SIDE_BYTES_MAX);
        let makes_island = offset > self.ready;
        let has_no_room = makes_island && self.islands.len() >= SIDE_SEGMENTS_MAX;
        if offset >= to || has_no_room {
            return Placed { taken: 0, is_fresh: false };
        }
        pool.widen(&mut self.bytes, to);
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        let is_fresh = self.fill(offset, to, bytes);
        if makes_island {
            if self.islands.capacity() == 0 {
                self.islands = pool.take_islands();
            }
            self.add_island(Island { from: narrow(offset), to: narrow(to) });
        } else {
            self.ready = self.ready.max(to);
            self.join();
        }
        Placed { taken: to.saturating_sub(offset), is_fresh }
    }

    /// Drops `count` bytes from the front, holes and islands too, and returns how many were not
    /// there to drop.
    pub(super) fn drop_front(&mut self, count: u64) -> u64 {
        let there = self.bytes.len();
        let dropped = usize::try_from(count).unwrap_or(usize::MAX).min(there);
        self.bytes.drain(..dropped);
        self.ready = self.ready.saturating_sub(dropped);
        for island in &mut self.islands {
            island.from = island.from.saturating_sub(narrow(dropped));
            island.to = island.to.saturating_sub(narrow(dropped));
        }
        self.islands.retain(|island| island.to > 0);
        self.join();
        count.saturating_sub(u64::from(narrow(dropped)))
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        if self.bytes.capacity() > 0 {
            pool.give(std::mem::take(&mut self.bytes));
        }
        pool.give_islands(std::mem::take(&mut self.islands));
        self.ready = 0;
    }

    /// Copies what is not there yet of `offset..to`; tells whether there was any.
    fn fill(&mut self, offset: usize, to: usize, bytes: &[u8]) -> bool {
        let mut at = offset.max(self.ready);
        let mut is_fresh = false;
        let end = Island { from: narrow(to), to: narrow(to) };
        for island in self.islands.iter().copied().chain([end]) {
            let hole_end = index(island.from).min(to);
            if at < hole_end {
                let source = bytes.get(at.saturating_sub(offset)..hole_end.saturating_sub(offset));
                if let (Some(place), Some(source)) = (self.bytes.get_mut(at..hole_end), source) {
                    place.copy_from_slice(source);
                    is_fresh = true;
                }
            }
            at = at.max(index(island.to));
        }
        is_fresh
    }

    /// Adds an island and joins it with those that it meets.
    fn add_island(&mut self, new: Island) {
        let first = self.islands.partition_point(|island| island.to < new.from);
        let mut joined = new;
        while let Some(island) = self.islands.get(first).copied()
            && island.from <= joined.to
        {
            joined.from = joined.from.min(island.from);
            joined.to = joined.to.max(island.to);
            self.islands.remove(first);
        }
        self.islands.insert(first, joined);
    }

    /// Counts islands that the unread bytes reach as unread.
    fn join(&mut self) {
        while let Some(island) = self.islands.first().copied()
            && index(island.from) <= self.ready
        {
            self.ready = self.ready.max(index(island.to));
            self.islands.remove(0);
        }
    }
}
