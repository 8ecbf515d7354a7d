//! Hash to slot: an open-addressed table of 8-byte words, probed in a line, at most three quarters
//! full.
//!
//! A word holds 32 bits of the flow's hash, and they choose its place too, so growing and removing
//! never touch a slot.

use crate::model::bytes::index;
use crate::pipeline::flow::NONE;

/// Words at first; 128 KiB.
const WORDS_MIN: usize = 1 << 14;

/// Finds slots by hash.
#[derive(Debug)]
pub(super) struct Index {
    words: Vec<Word>,
    used: usize,
}

/// One place of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(8))]
pub(super) struct Word {
    tag: u32,
    slot: u32,
}

/// A place without a slot.
pub(super) const EMPTY: Word = Word { tag: 0, slot: NONE };
const _: () = assert!(size_of::<Word>() == 8);

/// The bits of a flow's hash that the table keeps: the low half, as the high bits chose the worker.
pub(super) fn tag(hash: u64) -> u32 {
    u32::try_from(hash & 0xffff_ffff).unwrap_or_default()
}

impl Index {
    pub(super) fn new() -> Self {
        Self { words: vec![EMPTY; WORDS_MIN], used: 0 }
    }

    /// Returns the first word that may be of `tag`, without looking further: fetches its line.
    pub(super) fn home(&self, tag: u32) -> Word {
        self.at(self.place(tag))
    }

    /// Returns the first slot with `tag` that `is` accepts.
    pub(super) fn find(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.place(tag);
        loop {
            let word = self.at(at);
            if word.slot == NONE {
                return None;
            }
            if word.tag == tag && is(word.slot) {
                return Some(word.slot);
            }
            at = self.after(at);
        }
    }

    /// Adds a slot; doubles the table where it would be over three quarters full.
    pub(super) fn insert(&mut self, tag: u32, slot: u32) {
        self.used = self.used.saturating_add(1);
        if self.used.saturating_mul(4) > self.words.len().saturating_mul(3) {
            self.grow();
        }
        self.put(Word { tag, slot });
    }

    /// Takes a slot out and moves the words behind it up, so that no marks of removed words stay.
    pub(super) fn remove(&mut self, tag: u32, slot: u32) {
        let gone = Word { tag, slot };
        let mut hole = self.place(tag);
        while self.at(hole) != gone {
            if self.at(hole) == EMPTY {
                return;
            }
            hole = self.after(hole);
        }
        let mut at = self.after(hole);
        while self.at(at) != EMPTY {
            let word = self.at(at);
            if self.distance(self.place(word.tag), at) >= self.distance(hole, at) {
                self.set(hole, word);
                hole = at;
            }
            at = self.after(at);
        }
        self.set(hole, EMPTY);
        self.used = self.used.saturating_sub(1);
    }

    fn grow(&mut self) {
        let wider = vec![EMPTY; self.words.len().saturating_mul(2)];
        let words = std::mem::replace(&mut self.words, wider);
        words.into_iter().filter(|word| *word != EMPTY).for_each(|word| self.put(word));
    }

    fn put(&mut self, word: Word) {
        let mut at = self.place(word.tag);
        while self.at(at) != EMPTY {
            at = self.after(at);
        }
        self.set(at, word);
    }

    fn at(&self, at: usize) -> Word {
        self.words.get(at).copied().unwrap_or(EMPTY)
    }

    fn set(&mut self, at: usize, word: Word) {
        if let Some(place) = self.words.get_mut(at) {
            *place = word;
        }
    }

    fn mask(&self) -> usize {
        self.words.len().wrapping_sub(1)
    }

    fn place(&self, tag: u32) -> usize {
        index(tag) & self.mask()
    }

    fn after(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.mask()
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }
}

impl Word {
    /// Returns the slot if the word is of `tag`.
    pub(super) fn slot_of(self, tag: u32) -> Option<u32> {
        (self.tag == tag && self.slot != NONE).then_some(self.slot)
    }

    /// Tells whether a search for `tag` that begins here ends here without a slot.
    pub(super) fn is_empty(self) -> bool {
        self.slot == NONE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::Index;
    use super::WORDS_MIN;

    proptest! {
        #[test]
        fn finds_what_a_map_finds(steps in vec((any::<bool>(), 0_u32..40), 0..400)) {
            let mut index = Index::new();
            let mut map = BTreeMap::new();
            for (adds, n) in steps {
                // few homes, at the end of the table, so that words collide and wrap
                let tag = u32::MAX - n % 5;
                if adds && !map.contains_key(&n) {
                    index.insert(tag, n);
                    map.insert(n, tag);
                } else if !adds && map.remove(&n).is_some() {
                    index.remove(tag, n);
                }
                for n in 0..40 {
                    let found = index.find(u32::MAX - n % 5, |slot| slot == n);
                    prop_assert_eq!(found, map.contains_key(&n).then_some(n));
                }
            }
        }
    }

    #[test]
    fn grows_at_three_quarters_and_keeps_all() {
        let mut index = Index::new();
        let full = u32::try_from(WORDS_MIN / 4 * 3).unwrap();
        let tag = |n: u32| n.wrapping_mul(0x9e37_79b9);
        for n in 0..full {
            index.insert(tag(n), n);
        }
        assert_eq!(index.words.len(), WORDS_MIN);
        index.insert(tag(full), full);
        assert_eq!(index.words.len(), WORDS_MIN * 2);
        for n in 0..=full {
            assert_eq!(index.find(tag(n), |slot| slot == n), Some(n));
            index.remove(tag(n), n);
        }
        assert_eq!(index.used, 0);
        assert!(index.words.iter().all(|word| word.is_empty()));
    }
}
