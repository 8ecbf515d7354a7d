//! A negative filter: most keys that are not there are told so by one load of eight bytes.
//!
//! A Bloom filter in words, 10 bits a key: three bits of one word each, about 4 % false answers. It
//! is half as large as a hash table's control bytes, and its loads can be issued for several keys
//! at once, before anything waits for one.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

const BITS_PER_KEY: usize = 10;

/// A set of hashes that may tell of one that is not in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    words: Table<u64>,
}

impl Filter {
    /// Makes the set of hashes that may be asked for.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let bits = hashes.len().saturating_mul(BITS_PER_KEY);
        let mut words = vec![0_u64; bits.div_ceil(64)];
        for hash in hashes {
            let at = scaled(hash, words.len());
            let word = words.get_mut(at);
            word.into_iter().for_each(|word| *word |= bits_of(hash));
        }
        Self { words: words.into() }
    }

    /// Tells whether a hash may be there.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let bits = bits_of(hash);
        let words = &*self.words;
        words.get(scaled(hash, words.len())).is_some_and(|word| word & bits == bits)
    }

    /// Puts its table on a shelf, or takes it from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        shelf.table([name, "filter"], &mut self.words);
    }
}

/// Maps a hash's upper half onto so many places, without a division.
#[inline]
pub(super) fn scaled(hash: u64, places: usize) -> usize {
    let scaled = (hash >> 32).wrapping_mul(u64::from(narrow(places)));
    index(u32::try_from(scaled >> 32).unwrap_or_default())
}

/// Three of 64 bits, by the hash's lower half.
#[inline]
fn bits_of(hash: u64) -> u64 {
    let bit =
        |shift: u32| 1_u64.wrapping_shl(u32::try_from((hash >> shift) & 63).unwrap_or_default());
    bit(0) | bit(6) | bit(12)
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn what_is_there_is_told_and_little_else() {
        let hash = |n: u64| {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15).swap_bytes().wrapping_mul(0xd6e8_feb8_6659_fd93)
        };
        let filter = Filter::of((0..10_000_u32).map(|n| hash(n.into())));
        assert!((0..10_000).all(|n| filter.may_have(hash(n))));
        let wrong = (10_000..110_000).filter(|n| filter.may_have(hash(*n))).count();
        assert!(wrong < 6_000, "{wrong} of 100,000");
    }

    #[test]
    fn an_empty_one_has_nothing() {
        assert!(!Filter::default().may_have(7));
        assert!(!Filter::of(std::iter::empty()).may_have(7));
    }
}
