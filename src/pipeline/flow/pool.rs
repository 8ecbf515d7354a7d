//! Memory for what reassembly keeps: vectors in four sizes, used again, so that a warm worker never
//! calls the heap.

use crate::model::limits::SIDE_BYTES_MAX;
use crate::model::limits::SIDE_SEGMENTS_MAX;
use crate::pipeline::flow::window::Island;

/// Capacities that vectors are taken in: one segment, a hello, a chain, all that a side may keep.
const SIZES: [usize; 4] = [2 * 1024, 8 * 1024, 32 * 1024, SIDE_BYTES_MAX];

/// The part of all memory that may wait to be used again.
const SPARE_SHARE: usize = 8;

/// Lists of islands that may wait to be used again: half a megabyte.
const SPARE_ISLANDS_MAX: usize = 1_024;

/// Vectors that are not in use, by size.
#[derive(Debug)]
pub(super) struct Pool {
    spares: [Vec<Vec<u8>>; SIZES.len()],
    islands: Vec<Vec<Island>>,
    used_bytes: usize,
    spare_bytes: usize,
    bytes_max: usize,
}

impl Pool {
    /// Returns a pool for `bytes_max` in use.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            spares: Default::default(),
            islands: Vec::new(),
            used_bytes: 0,
            spare_bytes: 0,
            bytes_max,
        }
    }

    /// Tells whether one more side may not find all the room it may need.
    pub(super) fn is_short(&self) -> bool {
        self.used_bytes.saturating_add(SIDE_BYTES_MAX) > self.bytes_max
    }

    /// Makes room for `bytes` (up to `SIDE_BYTES_MAX`) in `kept`, whose content stays.
    pub(super) fn widen(&mut self, kept: &mut Vec<u8>, bytes: usize) {
        if bytes <= kept.capacity() {
            return;
        }
        let mut wider = self.take(bytes);
        wider.extend_from_slice(kept);
        self.give(std::mem::replace(kept, wider));
    }

    /// Takes a vector back.
    pub(super) fn give(&mut self, mut spare: Vec<u8>) {
        let bytes = spare.capacity();
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
        let spare_bytes = self.spare_bytes.saturating_add(bytes);
        let same_size = SIZES.iter().zip(&mut self.spares).find(|(size, _)| **size == bytes);
        if let Some((_, spares)) = same_size
            && spare_bytes <= self.bytes_max.wrapping_div(SPARE_SHARE)
        {
            spare.clear();
            spares.push(spare);
            self.spare_bytes = spare_bytes;
        }
    }

    /// Returns an empty list with room for `SIDE_SEGMENTS_MAX` islands.
    pub(super) fn take_islands(&mut self) -> Vec<Island> {
        self.islands.pop().unwrap_or_else(|| Vec::with_capacity(SIDE_SEGMENTS_MAX))
    }

    /// Takes a list back.
    pub(super) fn give_islands(&mut self, mut islands: Vec<Island>) {
        if islands.capacity() > 0 && self.islands.len() < SPARE_ISLANDS_MAX {
            islands.clear();
            self.islands.push(islands);
        }
    }

    /// Tells whether all memory was given back.
    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.used_bytes == 0
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let fitting = SIZES.iter().zip(&mut self.spares).find(|(size, _)| **size >= bytes);
        let Some((size, spares)) = fitting else { return Vec::new() };
        let taken = if let Some(spare) = spares.pop() {
            self.spare_bytes = self.spare_bytes.saturating_sub(spare.capacity());
            spare
        } else {
            Vec::with_capacity(*size)
        };
        self.used_bytes = self.used_bytes.saturating_add(taken.capacity());
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;
    use super::SIDE_BYTES_MAX;

    #[test]
    fn vectors_come_back_and_content_moves() {
        let mut pool = Pool::new(16 * SIDE_BYTES_MAX);
        let mut kept = Vec::new();
        for (bytes, capacity) in [(1, 2_048), (2_048, 2_048), (2_049, 8_192), (65_536, 65_536)] {
            pool.widen(&mut kept, bytes);
            kept.push(7);
            assert_eq!(kept.capacity(), capacity);
            assert_eq!(pool.used_bytes, capacity);
        }
        assert_eq!(kept, [7; 4]);
        assert_eq!(pool.spare_bytes, 2_048 + 8_192);
        pool.give(kept);
        assert_eq!((pool.used_bytes, pool.spare_bytes), (0, 2_048 + 8_192 + 65_536));
        pool.widen(&mut Vec::new(), 3);
        assert_eq!((pool.used_bytes, pool.spare_bytes), (2_048, 8_192 + 65_536));
    }

    #[test]
    fn no_more_than_its_share_is_spare() {
        let mut pool = Pool::new(8 * SIDE_BYTES_MAX);
        for _ in 0..2 {
            let mut all = [Vec::new(), Vec::new()];
            all.iter_mut().for_each(|kept| pool.widen(kept, SIDE_BYTES_MAX));
            assert_eq!(pool.used_bytes, 2 * SIDE_BYTES_MAX);
            all.into_iter().for_each(|kept| pool.give(kept));
            assert_eq!(pool.spare_bytes, SIDE_BYTES_MAX);
        }
    }

    #[test]
    fn is_short_before_the_bound_is_passed() {
        let mut pool = Pool::new(2 * SIDE_BYTES_MAX);
        pool.widen(&mut Vec::new(), SIDE_BYTES_MAX);
        assert!(!pool.is_short());
        pool.widen(&mut Vec::new(), 1);
        assert!(pool.is_short());
    }
}
