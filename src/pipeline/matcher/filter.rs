//! A negative filter: most keys that are not there are told so by one load of eight bytes.
//!
//! A Bloom filter in words, 10 bits a key: three bits of one word each, about 4 % false answers. It
//! is half as large as a hash table's control bytes, and its loads can be issued for several keys
//! at once, before anything waits for one.

use crate::model::bytes::index;
use crate::model::bytes::narrow;

const BITS_PER_KEY: usize = 10;

/// A set of hashes that may tell of one that is not in it.
#[derive(Debug, Default)]
pub(super) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// Takes the memory for `keys` hashes.
    pub(super) fn with_capacity(keys: usize) -> Self {
        let bits = keys.saturating_mul(BITS_PER_KEY);
        Self { words: vec![0; bits.div_ceil(64)] }
    }

    /// Adds a hash.
    pub(super) fn add(&mut self, hash: u64) {
        let at = self.place(hash);
        self.words.get_mut(at).into_iter().for_each(|word| *word |= bits_of(hash));
    }

    /// Tells whether a hash may be there.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let bits = bits_of(hash);
        self.words.get(self.place(hash)).is_some_and(|word| word & bits == bits)
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity().saturating_mul(size_of::<u64>())
    }

    /// Maps the hash's upper half onto the words, without a division.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        let scaled = (hash >> 32).wrapping_mul(u64::from(narrow(self.words.len())));
        index(u32::try_from(scaled >> 32).unwrap_or_default())
    }
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
        let mut filter = Filter::with_capacity(10_000);
        (0..10_000).for_each(|n| filter.add(hash(n)));
        assert!((0..10_000).all(|n| filter.may_have(hash(n))));
        let wrong = (10_000..110_000).filter(|n| filter.may_have(hash(*n))).count();
        assert!(wrong < 6_000, "{wrong} of 100,000");
    }

    #[test]
    fn an_empty_one_has_nothing() {
        assert!(!Filter::default().may_have(7));
        assert!(!Filter::with_capacity(0).may_have(7));
    }
}
